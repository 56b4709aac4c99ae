//! `mindrail data export`: a folder that others can load.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use mindrail_data::export::{Format, Input, Order, SHARD, export};
use mindrail_data::licence::{Purpose, Source};

use crate::commands::{Exit, complain};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Parquet,
    Jsonl,
}

/// What the rows will be used for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PurposeName {
    /// Measure and publish figures, without handing on the rows.
    Research,
    /// Use in a product or service.
    Commercial,
    /// Train weights that are handed on under Apache-2.0.
    TrainShippedWeights,
    /// Hand on the rows, with their licence, without charge.
    Redistribute,
}

impl From<PurposeName> for Purpose {
    fn from(name: PurposeName) -> Self {
        match name {
            PurposeName::Research => Self::Research,
            PurposeName::Commercial => Self::Commercial,
            PurposeName::TrainShippedWeights => Self::TrainShippedWeights,
            PurposeName::Redistribute => Self::Redistribute,
        }
    }
}

/// Write files as a data set: rows, card, licences and Croissant metadata.
///
/// Every row carries its source and its licence. If a licence forbids the
/// purpose, nothing is written. What this program knows of licences is no legal
/// advice.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Files of rows, as FILE or SPLIT=FILE. A name that begins with train, dev,
    /// val or test tells the split.
    #[arg(value_name = "FILES", required = true)]
    files: Vec<String>,

    /// A new or empty folder.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,

    /// What the rows will be used for.
    #[arg(long, value_enum)]
    purpose: PurposeName,

    /// How rows are written.
    #[arg(long, value_enum, default_value = "parquet")]
    format: FormatName,

    /// What people call the set; the folder's name if absent.
    #[arg(long, value_name = "TITLE")]
    title: Option<String>,

    /// Where the rows come from, if their columns do not show it: corpus, khp,
    /// esconv, pku-saferlhf, beavertails, cradle-dialogue, cradle-bench, dialoguesafety.
    #[arg(long, value_name = "SOURCE", value_parser = source)]
    source: Option<Source>,
}

fn source(name: &str) -> Result<Source, String> {
    let known = || Source::ALL.map(Source::wire).join(", ");
    Source::of_wire(name).ok_or_else(|| format!("expected one of {}", known()))
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let folder_name = self.to.file_name().map(|name| name.to_string_lossy().into_owned());
        let order = Order {
            inputs: self.files.iter().map(|file| Input::new(file)).collect(),
            purpose: self.purpose.into(),
            format: match self.format {
                FormatName::Parquet => Format::Parquet,
                FormatName::Jsonl => Format::Jsonl,
            },
            title: self.title.or(folder_name).context("the set has no title; give one with --title")?,
            source: self.source,
            shard: SHARD,
        };
        let outcome = export(&order, &self.to, &mut |error| complain(&error.to_string()))?;
        let mut out = std::io::stdout().lock();
        for shard in &outcome.shards {
            writeln!(
                out,
                "{}  {} rows, {} bytes, sha256 {}",
                shard.name, shard.rows, shard.bytes, shard.sha256
            )?;
        }
        for (source, rows) in &outcome.sources {
            writeln!(out, "{rows} rows of {} under {}", source.wire(), source.licence())?;
        }
        Ok(if outcome.bad == 0 { Exit::Done } else { Exit::BadRows })
    }
}
