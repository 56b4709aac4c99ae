//! `mindrail data split`: parts that share no family.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use mindrail_data::family::FamilyRule;
use mindrail_data::split::{Fractions, Outcome, Part, Plan, split};

use crate::commands::{Exit, complain};

/// How rows that belong together are told.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum By {
    /// By the data set's own families: parent and persona, dialogue, prompt,
    /// shared utterance or author, whichever its columns show.
    Family,
    /// Every row by itself.
    Row,
}

/// Split a file so that no family is in two parts and labels are spread evenly.
///
/// Writes train, dev and test (for two parts: train and test) in the format of
/// the file. The same seed gives the same parts. A part that stays empty, since
/// no family is divided, is named on standard error; if that is train, the split
/// fails.
#[derive(Debug, Args)]
pub(crate) struct Split {
    /// JSON lines, JSON, CSV or Parquet.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// How rows that belong together are told.
    #[arg(long, value_enum, default_value = "family")]
    by: By,

    /// The column that names the family.
    #[arg(long, value_name = "COLUMN", conflicts_with = "by")]
    family_column: Option<String>,

    /// The column whose values are spread evenly; found if it is a known label.
    #[arg(long, value_name = "COLUMN")]
    stratify: Option<String>,

    /// Shares of the parts.
    #[arg(long, value_name = "SHARES", default_value = "0.8,0.1,0.1")]
    fractions: Fractions,

    /// Decides between families of one size.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Where the parts go.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,

    /// Tell the outcome as JSON.
    #[arg(long)]
    json: bool,
}

impl Split {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let family = match (self.family_column, self.by) {
            (Some(column), _) => Some(FamilyRule::Column(column)),
            (None, By::Row) => Some(FamilyRule::Row),
            (None, By::Family) => None,
        };
        let plan = Plan { family, stratify: self.stratify, fractions: self.fractions, seed: self.seed };
        let holds_files = std::fs::read_dir(&self.output).is_ok_and(|mut entries| entries.next().is_some());
        if holds_files {
            bail!(
                "{} holds files already; parts of two splits must not mix, name another folder",
                self.output.display()
            );
        }
        let outcome = split(&self.file, &plan, &self.output, &mut |error| complain(&error.to_string()))?;
        empty_parts(&outcome).iter().for_each(|message| complain(message));
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&outcome)?)?;
        } else {
            out.write_all(table(&outcome).as_bytes())?;
        }
        Ok(if outcome.bad == 0 { Exit::Done } else { Exit::BadRows })
    }
}

/// Which parts stayed empty, and why.
fn empty_parts(outcome: &Outcome) -> Vec<String> {
    let rows: usize = outcome.parts.iter().map(|part| part.rows).sum();
    // No family is in two parts, so that they may be added.
    let families: usize = outcome.parts.iter().map(|part| part.families).sum();
    let message = |part: &Part| {
        format!(
            "{} stayed empty: {:.1} % of the {rows} rows were wanted, but these are {families} families by {}, \
             and no family is divided; --family-column or --by row tells smaller ones",
            part.file.display(),
            100.0 * part.wanted,
            outcome.family_rule
        )
    };
    outcome.parts.iter().filter(|part| part.rows == 0).map(message).collect()
}

fn table(outcome: &Outcome) -> String {
    let stratified = outcome.stratified_by.as_deref().unwrap_or("nothing");
    let mut text =
        format!("families by {}, spread by {stratified}, seed {}\n", outcome.family_rule, outcome.seed);
    for part in &outcome.parts {
        let _ = writeln!(
            text,
            "{}  {} rows, {} families, {:.1} % (wanted {:.1} %)",
            part.file.display(),
            part.rows,
            part.families,
            100.0 * part.share,
            100.0 * part.wanted
        );
        for (label, rows) in &part.labels {
            let label = if label.is_empty() { "no label" } else { label };
            let _ = writeln!(text, "    {label}: {rows}, {:.1} %", 100.0 * *rows as f64 / part.rows as f64);
        }
    }
    if outcome.bad > 0 {
        let _ = writeln!(text, "{} bad rows are in no part", outcome.bad);
    }
    text
}
