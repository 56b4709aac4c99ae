//! `mindrail check`: one conversation, a timeline for people, the verdict and
//! why.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use mindrail_core::assessor::Assessor as _;
use mindrail_core::conversation::Conversation;
use mindrail_core::guard::Guard;
use mindrail_core::language::Language;
use mindrail_core::policy::rules::RiskLevels;
use mindrail_core::reader::{self, ReadOptions, Row};
use mindrail_core::report::{Report, report};
use mindrail_core::verdict::UserAction;

use super::timeline::{Style, Timeline};
use super::{About, Exit, Judging, complain};
use crate::input::{self, FormatName};

/// The conversation that `--demo` shows.
const DEMO: &[u8] = include_bytes!("../../examples/demo.jsonl");

/// Show one conversation turn by turn, the verdict and its reasons.
///
/// FILE may hold OpenAI messages (JSON), a transcript with nearly any style of
/// speaker names, or a CSV; `-` reads standard input. If it holds several
/// conversations, `--row` says which; the first otherwise.
///
/// Exit codes: 0 done, 1 the input cannot be read, 2 wrong usage, 3 the verdict
/// reached `--fail-on`.
#[derive(Debug, Args)]
#[command(override_usage = "mindrail check [OPTIONS] <FILE|->\n       mindrail check [OPTIONS] --demo")]
pub(crate) struct Check {
    /// The conversation's file, or `-`.
    #[arg(required_unless_present = "demo")]
    file: Option<PathBuf>,

    /// Use the example that ships with the program.
    #[arg(long, conflicts_with = "file")]
    demo: bool,

    /// Print the answer as JSON, without any text of the conversation.
    #[arg(long)]
    json: bool,

    /// Exit with 3 when the verdict is this or graver.
    #[arg(long, value_name = "ACTION")]
    fail_on: Option<FailOn>,

    /// Which conversation of the file, from 1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    row: u64,

    /// How the file is written.
    #[arg(long, value_enum, default_value_t = FormatName::Auto)]
    format: FormatName,

    /// The CSV column that holds the conversation.
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,

    #[command(flatten)]
    about: About,

    #[command(flatten)]
    judging: Judging,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
    Support,
    Escalate,
}

impl From<FailOn> for UserAction {
    fn from(action: FailOn) -> Self {
        match action {
            FailOn::Support => Self::Support,
            FailOn::Escalate => Self::Escalate,
        }
    }
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let (bytes, options) = self.input()?;
        let row = pick(&bytes, &options, self.row)?;
        let (assessor, policy) = (self.judging.assessor()?, self.judging.policy()?.into());
        let guard = Guard { assessor: &assessor, policy: &policy };
        let report = report(&guard, &row.conversation, &row.unread, &self.about.circumstances())?;
        let language = report.language.unwrap_or(Language::Mix);
        let levels = policy.person.risk.levels(language, assessor.calibration());
        let shown = self.show(&row.conversation, &report, levels);
        match shown {
            // Whoever reads may stop early; the exit code still tells the verdict.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(self.exit(&report)),
        }
    }

    fn show(&self, conversation: &Conversation, report: &Report, levels: RiskLevels) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, report)?;
            writeln!(out)
        } else {
            let style = if out.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
                Style::Colour
            } else {
                Style::Plain
            };
            write!(out, "{}", Timeline { conversation, report, levels, style })
        }
    }

    fn input(&self) -> anyhow::Result<(Vec<u8>, ReadOptions)> {
        let demo = Path::new("examples/demo.jsonl");
        let path = self.file.as_deref().unwrap_or(demo);
        let bytes = if self.demo { DEMO.to_vec() } else { input::bytes(path)? };
        Ok((bytes, input::options(path, self.format, self.text_column.clone())))
    }

    fn exit(&self, report: &Report) -> Exit {
        match self.fail_on {
            Some(action) if report.verdict.action >= action.into() => Exit::Reached,
            _ => Exit::Done,
        }
    }
}

/// The `number`-th conversation of the input, from 1.
fn pick(bytes: &[u8], options: &ReadOptions, number: u64) -> anyhow::Result<Row> {
    let skipped = usize::try_from(number - 1).context("--row")?;
    let mut rows = reader::read(bytes, options)?;
    let row = rows.nth(skipped);
    if number == 1 && rows.next().is_some() {
        complain("the input holds several conversations; this is the first, --row shows others");
    }
    match row {
        Some(row) => Ok(row?),
        None => bail!("{}: there is no conversation {number}", options.source_name),
    }
}
