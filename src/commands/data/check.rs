//! `mindrail data check`: whether files hold what their data sets promise.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use mindrail_data::check::{Findings, Rule, check};

use super::SetName;
use crate::commands::Exit;

/// Check files against what their data sets promise.
///
/// A promise that a row breaks is a warning with file, row and rule: every
/// published set breaks some of its own. An error is only a row that cannot be
/// read; the exit code is then 4, else 0. No text of a row is ever printed.
///
/// What is checked, where a set has it: label names; languages, stages, registers,
/// topics; names and pairs that stand twice; KHP's label against its signals;
/// PKU-SafeRLHF's safety against severity and harms, that the safer reply is not
/// less safe, the SHA-256 of prompt and reply; CRADLE-Dialogue's labels off the
/// person's turns, rows without a speaker, more than one Confirm of a kind.
///
/// Example: mindrail data check train.jsonl --json
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// JSON lines, a JSON list, CSV or Parquet.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The data set, where the columns of the first row do not tell it.
    #[arg(long, value_enum, value_name = "NAME")]
    set: Option<SetName>,

    /// Rows that are named for each rule, and errors for each file; all are counted.
    #[arg(long, value_name = "N", default_value_t = 5)]
    show: usize,

    /// One JSON object per file, on a line of its own.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let mut out = std::io::stdout().lock();
        let mut exit = Exit::Done;
        for file in &self.files {
            let findings = check(file, self.set.map(SetName::set), self.show)?;
            if findings.bad > 0 {
                exit = Exit::BadRows;
            }
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&findings)?)?;
            } else {
                draw(&mut out, &findings)?;
            }
        }
        Ok(exit)
    }
}

fn draw(out: &mut impl std::io::Write, findings: &Findings) -> std::io::Result<()> {
    let warnings: usize = findings.broken.values().sum();
    writeln!(
        out,
        "{}: {}, {} samples read, {} unreadable rows, {warnings} warnings",
        findings.file, findings.set, findings.samples, findings.bad
    )?;
    for error in &findings.errors {
        writeln!(out, "  error    {error}")?;
    }
    for warning in &findings.warnings {
        writeln!(out, "  warning  {}: {}, expected {}", warning.place, warning.rule, warning.expected)?;
    }
    for (rule, _, _) in Rule::ALL {
        if let Some(count) = findings.broken.get(rule.wire()) {
            writeln!(out, "  {count:>8} {}", rule.wire())?;
        }
    }
    Ok(())
}
