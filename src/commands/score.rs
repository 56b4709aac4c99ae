//! `mindrail score`: a batch, in input order, on all cores, resumable.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_core::assessor::Assessor as _;
use mindrail_core::conversation::Role;
use mindrail_core::guard::Guard;
use mindrail_core::policy::PolicyInForce;
use mindrail_core::policy::offer::Circumstances;
use mindrail_core::reader::{self, ReadError, Row};
use mindrail_core::report::report;
use mindrail_finetune::assessor::AnyAssessor;
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{About, Exit, Judging, complain};
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
/// last whole line of the output. The lines before it must have the rows' ids and
/// roles, and be of the same model and policy; the texts are not compared, since
/// nothing of them is kept, nor are `--country` and `--age`.
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
    about: About,

    #[command(flatten)]
    judging: Judging,
}

impl Score {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        if is_same_file(&self.output, &self.input) {
            bail!("{} is the input too; name another output", self.output.display());
        }
        let bytes = input::bytes(&self.input)?;
        let options = input::options(&self.input, self.format, self.text_column.clone());
        let (assessor, policy) = (self.judging.assessor()?, self.judging.policy()?.into());
        let circumstances = self.about.circumstances();
        let scorer = Scorer { assessor: &assessor, policy: &policy, circumstances: &circumstances };
        let total = reader::read(&bytes, &options)?.count();
        let mut rows = reader::read(&bytes, &options)?;
        let mut bad = if self.goes_on() { self.kept(&mut rows, &scorer)? } else { Kept::default() };
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
        if path.is_file() && !self.overwrite && !self.resume {
            bail!("{} exists; say --resume to go on with it or --overwrite to replace it", path.display());
        }
        let mut open = OpenOptions::new();
        open.create(true).write(true).append(self.goes_on()).truncate(!self.goes_on());
        Ok(Box::new(BufWriter::new(open.open(path).with_context(|| self.output_name())?)))
    }

    /// Takes as many rows off the input as an earlier output has whole lines, checks
    /// that each line is of its row, this model and this policy, and only then cuts
    /// off what stands behind the last of them.
    fn kept(
        &self,
        rows: &mut impl Iterator<Item = Result<Row, ReadError>>,
        scorer: &Scorer<'_>,
    ) -> anyhow::Result<Kept> {
        let file = OpenOptions::new().read(true).write(true).open(&self.output);
        let file = file.with_context(|| self.output_name())?;
        let policy = scorer.policy.sha256();
        let (mut kept, mut end, mut line) = (Kept::default(), 0, Vec::new());
        let mut reader = BufReader::new(&file);
        while reader.read_until(b'\n', &mut line).with_context(|| self.output_name())? > 0 {
            if line.last() != Some(&b'\n') {
                break;
            }
            kept.lines += 1;
            let known = KeptLine::parse(&line).and_then(|line| line.must_be_of(rows.next(), scorer, policy));
            kept.messages.extend(known.map_err(|what| self.foreign(kept.lines, what))?);
            end += line.len() as u64;
            line.clear();
        }
        if !line.is_empty() && !line.starts_with(LINE_START) && !LINE_START.starts_with(&line) {
            return Err(self.foreign(kept.lines + 1, NO_LINE));
        }
        file.set_len(end).with_context(|| self.output_name())?;
        Ok(kept)
    }

    fn foreign(&self, line: usize, what: &str) -> anyhow::Error {
        anyhow!("{}:{line}: {what}; name another output or say --overwrite", self.output_name())
    }
}

/// How every line of output begins.
const LINE_START: &[u8] = b"{\"id\":";
/// Said of lines that somebody else wrote.
const NO_LINE: &str = "no line of `mindrail score`";

/// What is known of the lines written so far.
#[derive(Default)]
struct Kept {
    /// Lines of an earlier run.
    lines: usize,
    /// Messages of bad rows.
    messages: Vec<String>,
}

/// A line of an earlier run, as far as it tells where it comes from.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptLine {
    Scored {
        id: Option<String>,
        turns: Vec<KeptTurn>,
        model: Hashed,
        policy: Hashed,
    },
    /// A bad row; its message only tells it from other objects.
    Bad {
        id: Option<String>,
        #[serde(rename = "message")]
        _message: IgnoredAny,
    },
}

#[derive(Deserialize)]
struct KeptTurn {
    role: Role,
}

#[derive(Deserialize)]
struct Hashed {
    sha256: String,
}

impl KeptLine {
    fn parse(line: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(line).map_err(|_| NO_LINE)
    }

    /// Checks that the line may have been made from a row; gives the row's message
    /// if it is bad.
    fn must_be_of(
        &self,
        row: Option<Result<Row, ReadError>>,
        scorer: &Scorer<'_>,
        policy_sha256: &str,
    ) -> Result<Option<String>, &'static str> {
        match (self, row) {
            (Self::Scored { id, turns, model, policy }, Some(Ok(row))) => {
                let roles = row.conversation.turns.iter().map(|turn| turn.role);
                if *id != row.conversation.id || !turns.iter().map(|turn| turn.role).eq(roles) {
                    Err("belongs to another input")
                } else if model.sha256 != scorer.assessor.model().sha256 {
                    Err("was scored by another model")
                } else if policy.sha256 != policy_sha256 {
                    Err("was judged by another policy")
                } else {
                    Ok(None)
                }
            }
            // The message is made anew: what stands in a file is not repeated.
            (Self::Bad { id, .. }, Some(Err(error))) if id.as_deref() == error.id.as_deref() => {
                Ok(Some(error.to_string()))
            }
            _ => Err("belongs to another input"),
        }
    }
}

/// Whether two paths lead to one file, by links of either kind too.
fn is_same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let identity = |path: &Path| std::fs::metadata(path).map(|of| (of.dev(), of.ino()));
        matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b)
    }
    #[cfg(not(unix))]
    {
        matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
    }
}

/// One line of output.
struct Line {
    json: String,
    error: Option<String>,
}

struct Scorer<'a> {
    assessor: &'a AnyAssessor,
    policy: &'a PolicyInForce,
    circumstances: &'a Circumstances,
}

impl Scorer<'_> {
    fn line(&self, row: Result<Row, ReadError>) -> Line {
        let scored = row.map_err(|e| (e.id.as_deref().map(str::to_owned), e.to_string())).and_then(|row| {
            let guard = Guard { assessor: self.assessor, policy: self.policy };
            let id = row.conversation.id.clone();
            let report = report(&guard, &row.conversation, &row.unread, self.circumstances)
                .map_err(|e| (id.clone(), e.to_string()))?;
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
