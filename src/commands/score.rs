//! `mindrail score`: a batch, in input order, on all cores, resumable.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_core::assessor::Assessor as _;
use mindrail_core::guard::Guard;
use mindrail_core::policy::Policy;
use mindrail_core::reader::{self, ReadError, Row};
use mindrail_core::report::report;
use mindrail_model::assessor::EmbeddedAssessor;
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Exit, Judging, complain};
use crate::input::{self, FormatName};

/// Rows that are scored at once before they are written.
const CHUNK: usize = 64;

/// Bad rows that are named on standard error; the rest is counted.
const NAMED_ERRORS: usize = 10;

/// Score a batch of conversations; one JSON line each, in input order.
///
/// A row that cannot be read becomes `{"id":…,"status":"error","message":…}` and
/// the others go on; the exit code is then 4. The shape of a line is
/// `schemas/score.schema.json`.
///
/// After an interruption, the same command with `--resume` goes on behind the
/// last whole line of the output. The lines before it must be of the same rows,
/// model and policy.
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
        let scorer = Scorer { assessor: &assessor, policy: &policy };
        let total = reader::read(&bytes, &options)?.count();
        let mut rows = reader::read(&bytes, &options)?;
        let mut bad = if self.goes_on() { self.kept(&mut rows, &scorer)? } else { Bad::default() };
        let done = bad.lines;
        let mut out = self.output()?;
        let progress = bar(total, done);
        let mut rows = rows.peekable();
        let mut turns = 0;
        while rows.peek().is_some() {
            let chunk: Vec<Result<Row, ReadError>> = rows.by_ref().take(CHUNK).collect();
            turns += chunk.iter().flatten().map(|row| row.conversation.turns.len()).sum::<usize>();
            let lines: Vec<Line> = chunk.into_par_iter().map(|row| scorer.line(row)).collect();
            for line in lines {
                writeln!(out, "{}", line.json).with_context(|| self.output_name())?;
                bad.messages.extend(line.error);
                progress.inc(1);
            }
            out.flush().with_context(|| self.output_name())?;
        }
        let seconds = progress.elapsed().as_secs_f64();
        progress.finish_and_clear();
        complain(&format!(
            "{} conversations, {turns} turns in {seconds:.1} s ({:.0} turns/s), {} bad",
            total - done,
            turns as f64 / seconds.max(1e-9),
            bad.messages.len()
        ));
        name_errors(&bad.messages);
        Ok(if bad.messages.is_empty() { Exit::Done } else { Exit::BadRows })
    }

    fn is_standard_output(&self) -> bool {
        self.output == Path::new("-")
    }

    fn output_name(&self) -> String {
        if self.is_standard_output() {
            "standard output".to_owned()
        } else {
            self.output.display().to_string()
        }
    }

    /// Whether an earlier output is there to go on with.
    fn goes_on(&self) -> bool {
        self.resume && self.output.is_file()
    }

    /// Where lines are written, behind those that are kept.
    fn output(&self) -> anyhow::Result<Box<dyn Write>> {
        if self.is_standard_output() {
            return Ok(Box::new(std::io::stdout().lock()));
        }
        let path = &self.output;
        if is_same_file(path, &self.input) {
            bail!("{} is the input too; name another output", path.display());
        }
        if path.is_file() && !self.overwrite && !self.resume {
            bail!("{} exists; say --resume to go on with it or --overwrite to replace it", path.display());
        }
        let mut open = OpenOptions::new();
        open.create(true).write(true).append(self.goes_on()).truncate(!self.goes_on());
        Ok(Box::new(BufWriter::new(open.open(path).with_context(|| self.output_name())?)))
    }

    /// Cuts an earlier output behind its last whole line, takes as many rows off the
    /// input, and checks that each line is of its row, this model and this policy.
    fn kept(
        &self,
        rows: &mut impl Iterator<Item = Result<Row, ReadError>>,
        scorer: &Scorer<'_>,
    ) -> anyhow::Result<Bad> {
        if is_same_file(&self.output, &self.input) {
            bail!("{} is the input too; name another output", self.output.display());
        }
        cut_to_whole_lines(&self.output).with_context(|| self.output_name())?;
        let file = File::open(&self.output).with_context(|| self.output_name())?;
        let policy = scorer.policy.sha256();
        let mut bad = Bad::default();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| self.output_name())?;
            bad.lines += 1;
            let foreign = |what: &str| {
                anyhow!(
                    "{}:{}: {what}; name another output or say --overwrite",
                    self.output_name(),
                    bad.lines
                )
            };
            let kept: KeptLine =
                serde_json::from_slice(&line).map_err(|_| foreign("no line of `mindrail score`"))?;
            if !rows.next().is_some_and(|row| kept.is_of(&row)) {
                return Err(foreign("belongs to another input"));
            }
            if kept.model.is_some_and(|model| model.sha256 != scorer.assessor.model().sha256) {
                return Err(foreign("was scored by another model"));
            }
            if kept.policy.is_some_and(|kept| kept.sha256 != policy) {
                return Err(foreign("was judged by another policy"));
            }
            bad.messages.extend(kept.message);
        }
        Ok(bad)
    }
}

/// What is known of the lines written so far.
#[derive(Default)]
struct Bad {
    /// Lines of an earlier run that are kept.
    lines: usize,
    /// Messages of bad rows, those of kept lines included.
    messages: Vec<String>,
}

/// A line of an earlier run, as far as it tells where it comes from.
#[derive(Deserialize)]
struct KeptLine {
    id: Option<String>,
    #[serde(default)]
    turns: Vec<IgnoredAny>,
    model: Option<Hashed>,
    policy: Option<Hashed>,
    /// Of a bad row.
    message: Option<String>,
}

#[derive(Deserialize)]
struct Hashed {
    sha256: String,
}

impl KeptLine {
    /// Whether the line may have been made from a row.
    fn is_of(&self, row: &Result<Row, ReadError>) -> bool {
        match row {
            Ok(row) => {
                self.message.is_none()
                    && self.id == row.conversation.id
                    && self.turns.len() == row.conversation.turns.len()
            }
            Err(error) => self.message.is_some() && self.id.as_deref() == error.id.as_deref(),
        }
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Cuts a file behind its last line break.
fn cut_to_whole_lines(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut reader = BufReader::new(&file);
    let (mut end, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        end += length as u64;
    }
    file.set_len(end)
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
        let scored = row.map_err(|e| (e.id.as_deref().map(str::to_owned), e.to_string())).and_then(|row| {
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
