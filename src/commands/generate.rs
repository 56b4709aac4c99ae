//! `mindrail completions` and `mindrail man`: what shells and packagers need,
//! made from the command line's own definition.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
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

/// Print the manual page, in roff (`mindrail man | man -l -`), or write one page
/// per command.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write `mindrail.1`, `mindrail-check.1` and the others into this folder.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> anyhow::Result<Exit> {
        match &self.output {
            Some(folder) => clap_mangen::generate_to(Cli::command(), folder)
                .with_context(|| folder.display().to_string())?,
            None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?,
        }
        Ok(Exit::Done)
    }
}
