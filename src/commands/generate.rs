//! `mindrail completions` and `mindrail man`: what shells and packagers need,
//! made from the command line's own definition.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};

use super::{Cli, Exit};

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "mindrail", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(Exit::Done)
    }
}

/// The manual page.
pub(crate) fn man() -> anyhow::Result<Exit> {
    clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
    Ok(Exit::Done)
}
