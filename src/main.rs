//! The binary `mindrail`: reads arguments, calls the libraries, draws answers,
//! sets the exit code. One file per subcommand in `commands`.
//!
//! Exit codes: 0 done; 1 something could not be done; 2 wrong usage; 3 a verdict
//! reached `--fail-on`, a case failed or the like; 4 a batch is done but some of its
//! rows were bad.

mod commands;
mod input;

use std::process::ExitCode;

use clap::Parser as _;
use mindrail_data::table::DataError;

use commands::{Cli, Exit};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) if is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            commands::complain(&commands::words(&error));
            Exit::Failed.into()
        }
    }
}

/// Whether the reader of our output went away, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause();
    let io = match cause.downcast_ref() {
        Some(DataError::Io { cause, .. }) => Some(cause),
        _ => cause.downcast_ref(),
    };
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
