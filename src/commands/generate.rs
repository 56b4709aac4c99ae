//! `mindrail completions` and `mindrail man`: what shells and packagers need,
//! made from the command line's own definition.

use clap::{Args, CommandFactory as _};

use super::{Cli, Exit};

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Print the manual page, in roff: `mindrail man | man -l -`.
#[derive(Debug, Args)]
pub(crate) struct Man {}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        clap_complete::generate(self.shell, &mut Cli::command(), "mindrail", &mut std::io::stdout());
        Ok(Exit::Done)
    }
}

impl Man {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
        Ok(Exit::Done)
    }
}
