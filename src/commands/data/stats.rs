//! `mindrail data stats`: the tables of the data sets' cards, counted anew.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use mindrail_data::stats::statistics;

use super::SetName;
use crate::commands::{Exit, complain};

/// Count what a data set holds: the tables of its card.
///
/// Several files of one data set are counted together, as the three folders of
/// PKU-SafeRLHF are. Rows that cannot be read are left out, named on standard
/// error, and make the exit code 4. Values that are in no published list are
/// counted as "(other)": they may be somebody's words.
///
/// Example: mindrail data stats Alpaca-7B.jsonl Alpaca2-7B.jsonl --json
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// JSON lines, a JSON list, CSV or Parquet, all of one data set.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The data set, where the columns of the first row do not tell it.
    #[arg(long, value_enum, value_name = "NAME")]
    set: Option<SetName>,

    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let files: Vec<&Path> = self.files.iter().map(PathBuf::as_path).collect();
        let found = statistics(&files, self.set.map(SetName::set))?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
        } else {
            writeln!(out, "{}: {} samples, {} unreadable rows", found.set, found.samples, found.bad)?;
            for table in &found.tables {
                writeln!(out, "\n{table}")?;
            }
        }
        found.errors.iter().for_each(|error| complain(error));
        Ok(if found.bad == 0 { Exit::Done } else { Exit::BadRows })
    }
}
