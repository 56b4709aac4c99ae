//! `mindrail score`: a batch, in input order, on all cores, resumable.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_core::guard::Guard;
use mindrail_core::policy::Policy;
use mindrail_core::reader::{self, ReadError, Row};
use mindrail_core::report::report;
use mindrail_model::assessor::EmbeddedAssessor;
use rayon::prelude::*;
use serde_json::json;

use super::{Exit, Judging, complain};
use crate::input::{self, FormatName};

/// Rows that are scored at once before they are written.
const CHUNK: usize = 64;

/// Bad rows that are named on standard error; the rest is counted.
const NAMED_ERRORS: usize = 10;

/// Score a batch of conversations; one JSON line each, in input order.
///
/// A row that cannot be read becomes `{"id":null,"status":"error","message":…}`
/// and the others go on; the exit code is then 4. The shape of a line is
/// `schemas/score.schema.json`.
///
/// After an interruption, the same command with `--resume` goes on behind the
/// last whole line of the output.
#[derive(Debug, Args)]
pub(crate) struct Score {
    /// The conversations: JSONL, JSON, CSV, or one transcript; `-` for standard
    /// input.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Where the lines go; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// How the input is written.
    #[arg(long, value_enum, default_value_t = FormatName::Auto)]
    format: FormatName,

    /// The CSV column that holds the conversations.
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,

    /// Go on behind the last whole line of the output.
    #[arg(long)]
    resume: bool,

    /// Replace the output if it exists.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,

    #[command(flatten)]
    judging: Judging,
}

impl Score {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let bytes = input::bytes(&self.input)?;
        let options = input::options(&self.input, self.format, self.text_column.clone());
        let (assessor, policy) = (self.judging.assessor()?, self.judging.policy()?);
        let total = reader::read(&bytes, &options)?.count();
        let (mut out, done) = self.output()?;
        if done > total {
            bail!(
                "{}: holds {done} lines, but the input has {total} rows; it belongs to another input",
                self.output.display()
            );
        }
        let progress = bar(total, done);
        let mut rows = reader::read(&bytes, &options)?.skip(done).peekable();
        let scorer = Scorer { assessor: &assessor, policy: &policy };
        let mut bad = Vec::new();
        let mut turns = 0;
        while rows.peek().is_some() {
            let chunk: Vec<Result<Row, ReadError>> = rows.by_ref().take(CHUNK).collect();
            turns += chunk.iter().flatten().map(|row| row.conversation.turns.len()).sum::<usize>();
            let lines: Vec<Line> = chunk.into_par_iter().map(|row| scorer.line(row)).collect();
            for line in lines {
                writeln!(out, "{}", line.json)?;
                bad.extend(line.error);
                progress.inc(1);
            }
            out.flush()?;
        }
        let seconds = progress.elapsed().as_secs_f64();
        progress.finish_and_clear();
        complain(&format!(
            "{} conversations, {turns} turns in {seconds:.1} s ({:.0} turns/s), {} bad",
            total - done,
            turns as f64 / seconds.max(1e-9),
            bad.len()
        ));
        name_errors(&bad);
        Ok(if bad.is_empty() { Exit::Done } else { Exit::BadRows })
    }

    /// The output, and how many whole lines it holds already.
    fn output(&self) -> anyhow::Result<(Box<dyn Write>, usize)> {
        let path = &self.output;
        if path == Path::new("-") {
            return Ok((Box::new(std::io::stdout().lock()), 0));
        }
        let name = || path.display().to_string();
        if let (Ok(out), Ok(input)) = (path.canonicalize(), self.input.canonicalize())
            && out == input
        {
            bail!("{} is the input too; name another output", path.display());
        }
        if self.resume && path.exists() {
            let done = keep_whole_lines(path).with_context(name)?;
            let file = OpenOptions::new().append(true).open(path).with_context(name)?;
            return Ok((Box::new(BufWriter::new(file)), done));
        }
        if path.exists() && !self.overwrite {
            bail!("{} exists; say --resume to go on with it or --overwrite to replace it", path.display());
        }
        Ok((Box::new(BufWriter::new(File::create(path).with_context(name)?)), 0))
    }
}

/// Cuts a file behind its last line break and counts the lines before it.
fn keep_whole_lines(path: &Path) -> std::io::Result<usize> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut reader = BufReader::new(&file);
    let (mut lines, mut end, mut line) = (0, 0, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        lines += 1;
        end += length as u64;
    }
    file.set_len(end)?;
    Ok(lines)
}

/// One line of output.
struct Line {
    json: String,
    error: Option<String>,
}

struct Scorer<'a> {
    assessor: &'a EmbeddedAssessor,
    policy: &'a Policy,
}

impl Scorer<'_> {
    fn line(&self, row: Result<Row, ReadError>) -> Line {
        let scored = row.map_err(|e| (None, e.to_string())).and_then(|row| {
            let guard = Guard { assessor: self.assessor, policy: self.policy };
            let id = row.conversation.id.clone();
            let report =
                report(&guard, &row.conversation, &row.unread).map_err(|e| (id.clone(), e.to_string()))?;
            serde_json::to_string(&report).map_err(|e| (id, e.to_string()))
        });
        match scored {
            Ok(json) => Line { json, error: None },
            Err((id, message)) => Line {
                json: json!({"id": id, "status": "error", "message": message}).to_string(),
                error: Some(message),
            },
        }
    }
}

fn bar(total: usize, done: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} conversations, {elapsed}, {eta} left");
    let bar =
        ProgressBar::new(total as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position(done as u64);
    bar
}

fn name_errors(bad: &[String]) {
    for message in bad.iter().take(NAMED_ERRORS) {
        complain(message);
    }
    if bad.len() > NAMED_ERRORS {
        complain(&format!(
            "… and {} more bad rows, each with its message in the output",
            bad.len() - NAMED_ERRORS
        ));
    }
}
