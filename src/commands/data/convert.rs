//! `mindrail data convert`: the rows of a data set in another file format.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use mindrail_data::sets::{RowReader, convert};
use mindrail_data::table::TableFormat;

use super::SetName;
use crate::commands::{Exit, complain};

/// The format of the output.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatName {
    /// One JSON object per line.
    Jsonl,
    /// A list of JSON objects.
    Json,
    /// A header, then cells; lists and objects as JSON in a cell.
    Csv,
    /// Apache Parquet, with zstd.
    Parquet,
}

impl FormatName {
    const fn format(self) -> TableFormat {
        match self {
            Self::Jsonl => TableFormat::Jsonl,
            Self::Json => TableFormat::Json,
            Self::Csv => TableFormat::Csv,
            Self::Parquet => TableFormat::Parquet,
        }
    }
}

/// Write a data set in another file format, row by row.
///
/// Rows keep their order and their columns; columns that are not the data set's
/// are left out and counted. A row that cannot be read is left out too, named on
/// standard error, and makes the exit code 4.
///
/// Example: mindrail data convert test.parquet test.jsonl
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// JSON lines, a JSON list, CSV or Parquet.
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// Where the rows go. The extension tells the format: jsonl, json, csv, parquet.
    #[arg(value_name = "TO")]
    to: PathBuf,

    /// The format, where the extension does not tell it.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatName>,

    /// The data set, where the columns of the first row do not tell it.
    #[arg(long, value_enum, value_name = "NAME")]
    set: Option<SetName>,

    /// Replace the output if it exists.
    #[arg(long)]
    overwrite: bool,
}

impl Convert {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let named = self.format.map(FormatName::format);
        let Some(format) = named.or_else(|| TableFormat::of_name(&self.to)) else {
            bail!("{}: the extension tells no format; say --format", self.to.display());
        };
        let same = self.from.canonicalize().ok().zip(self.to.canonicalize().ok());
        if same.is_some_and(|(from, to)| from == to) {
            bail!("{} is the input too; name another output", self.to.display());
        }
        if self.to.exists() && !self.overwrite {
            bail!("{} exists; name another output or say --overwrite", self.to.display());
        }
        let rows = RowReader::open(&self.from, self.set.map(SetName::set))?;
        let set = rows.set();
        let done = convert(rows, &self.to, format)?;
        done.errors.iter().for_each(|error| complain(&error.to_string()));
        complain(&format!(
            "{}: {} rows written, {} bad rows and {} columns left out",
            set.wire(),
            done.written,
            done.bad,
            done.left_out
        ));
        Ok(if done.bad == 0 { Exit::Done } else { Exit::BadRows })
    }
}
