//! The command line: its shape, shared options, and exit codes.

mod audit;
mod bench;
mod calibrate;
mod check;
mod data;
mod desk;
mod generate;
mod keys;
mod model;
mod policy;
mod score;
mod serve;
mod timeline;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use mindrail_core::policy::Policy;
use mindrail_core::policy::date::Date;
use mindrail_core::policy::helplines::Registry;
use mindrail_core::policy::offer::Circumstances;
use mindrail_core::policy::place::Place;
use mindrail_finetune::assessor::{AnyAssessor, FineTunedAssessor};
use mindrail_finetune::bundle::{FineTuned, Opening, is_fine_tuned};
use mindrail_model::assessor::EmbeddedAssessor;
use mindrail_model::bundle::Bundle;

/// A safety layer for AI assistants that talk with people in distress.
///
/// Mindrail reads a conversation turn by turn and says how much danger the
/// person may be in, which signals show it, which crisis, since when, and what
/// should happen now. It judges the assistant's replies as well. Nothing leaves
/// this machine.
///
/// Begin with `mindrail check --demo`.
#[derive(Debug, Parser)]
#[command(name = "mindrail", version, max_term_width = 90)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Score(score::Score),
    #[command(subcommand)]
    Policy(policy::Policy),
    Serve(serve::Serve),
    #[command(subcommand)]
    Desk(desk::Desk),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Data(data::Data),
    #[command(subcommand)]
    Bench(bench::Bench),
    #[command(subcommand)]
    Train(train::Train),
    #[command(subcommand)]
    Model(model::Model),
    Calibrate(calibrate::Calibrate),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All of it was done.
    Done,
    /// Something could not be done; the message is on standard error.
    Failed,
    /// Something was found that the caller asked to be told of: a verdict that reached
    /// `--fail-on`, a figure below `--min`, a case that failed, a broken trail.
    Reached,
    /// A batch was done, but some of its rows were bad.
    BadRows,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Reached => 3,
            Exit::BadRows => 4,
        })
    }
}

impl Cli {
    /// Carries out the command.
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Check(check) => check.run(),
            Command::Score(score) => score.run(),
            Command::Policy(policy) => policy.run(),
            Command::Serve(serve) => serve.run(),
            Command::Desk(desk) => desk.run(),
            Command::Audit(audit) => audit.run(),
            Command::Keys(keys) => keys.run(),
            Command::Data(data) => data.run(),
            Command::Bench(bench) => bench.run(),
            Command::Train(train) => train.run(),
            Command::Model(model) => model.run(),
            Command::Calibrate(calibrate) => calibrate.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
        }
    }
}

/// Options of every command that judges.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// A policy file in place of the default. See
    /// `crates/core/src/policy/default.toml`, which is commented.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// A registry of helplines of your own. Its entries take the place of those of
    /// the shipped registry with the same id. See docs/HELPLINES.md.
    #[arg(long, value_name = "FILE")]
    helplines: Option<PathBuf>,

    /// A bundle folder in place of the model inside this program: one of `mindrail train
    /// embedded`, or of a fine-tuned model.
    #[arg(long, value_name = "FOLDER")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    computing: Computing,
}

/// Where and how a fine-tuned model computes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Computing {
    /// Where a fine-tuned model computes: cpu, or cuda and cuda:N in a program that was
    /// built with the feature `cuda`.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,

    /// The folder of the base checkpoint, where a fine-tuned model is an adapter and its
    /// base has moved since.
    #[arg(long, value_name = "FOLDER")]
    base: Option<PathBuf>,
}

impl Computing {
    /// Opens the bundle of a fine-tuned model.
    fn open(&self, folder: &Path) -> anyhow::Result<FineTuned> {
        let device = mindrail_finetune::device(&self.device)?;
        Ok(FineTuned::open(
            folder,
            &Opening { device: &device, base: self.base.as_deref(), precision: None },
        )?)
    }
}

/// The assessor of a bundle of any kind, or of the one inside this program.
fn assessor(folder: Option<&Path>, computing: &Computing) -> anyhow::Result<AnyAssessor> {
    Ok(match folder {
        Some(folder) if is_fine_tuned(folder) => {
            let assessor = FineTunedAssessor::new(computing.open(folder)?)?;
            let name = &assessor.bundle().manifest().name;
            assessor.remarks().iter().for_each(|remark| complain(&format!("{name}: {remark}")));
            AnyAssessor::FineTuned(Box::new(assessor))
        }
        _ => AnyAssessor::Embedded(Box::new(EmbeddedAssessor::new(&bundle(folder)?)?)),
    })
}

impl Judging {
    fn policy(&self) -> anyhow::Result<Policy> {
        let policy = match &self.policy {
            Some(path) => Policy::from_toml(&path.display().to_string(), &text("policy", path)?)?,
            None => Policy::default(),
        };
        Ok(match &self.helplines {
            Some(path) => policy
                .with_registry(Registry::from_toml(&path.display().to_string(), &text("helplines", path)?)?),
            None => policy,
        })
    }

    fn assessor(&self) -> anyhow::Result<AnyAssessor> {
        assessor(self.bundle.as_deref(), &self.computing)
    }

    /// The assessor for a server, which keeps states but no texts.
    fn embedded(&self) -> anyhow::Result<EmbeddedAssessor> {
        if let Some(folder) = self.bundle.as_deref().filter(|folder| is_fine_tuned(folder)) {
            anyhow::bail!(
                "{}: found a fine-tuned model, which reads every conversation anew from its texts, and a server \
                 keeps none; expected a bundle that `mindrail train distill` has made of it",
                folder.display()
            );
        }
        Ok(EmbeddedAssessor::new(&bundle(self.bundle.as_deref())?)?)
    }
}

/// What is known of the person beside the conversation. It decides which helplines are
/// offered, and nothing else.
#[derive(Debug, Args)]
pub(crate) struct About {
    /// Where the person is: a country such as CA, or a region such as CA-QC. Without it
    /// no helpline of the registry is offered.
    #[arg(long, value_name = "CODE")]
    country: Option<Place>,

    /// The person's age in years.
    #[arg(long, value_name = "YEARS")]
    age: Option<u8>,
}

impl About {
    /// With the day by the system's clock; 1970 where it stands before that.
    fn circumstances(&self) -> Circumstances {
        let today = Date::of_unix_ms(mindrail_server::http::now_ms());
        Circumstances { place: self.country.clone(), age: self.age, today }
    }
}

/// The text of a file that an option names.
fn text(what: &str, path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{what} {}", path.display()))
}

/// The bundle in a folder, or the one inside this program.
fn bundle(folder: Option<&Path>) -> anyhow::Result<Bundle> {
    Ok(match folder {
        Some(folder) => Bundle::from_folder(folder)?,
        None => Bundle::embedded()?,
    })
}

/// A threshold, probability or share of the command line.
fn share(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to 1", |number| (0.0..=1.0).contains(&number))
}

/// An amount of the command line: of money, or a temperature.
fn amount(text: &str) -> Result<f64, String> {
    number(text, "a number, 0 or more", |number| number >= 0.0)
}

/// What `holds` of a finite number; the parser of arguments says what was found.
fn number(text: &str, expected: &str, holds: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite() && holds(*number));
    number.ok_or_else(|| format!("expected {expected}"))
}

/// Writes to standard output. Where nobody reads any more, as behind `head`, the rest
/// is dropped without a word: the exit code still tells how the command ended.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// An error with its causes on one line. Errors of files hold what the system said;
/// a cause that the words before it end with already is not said twice.
pub(crate) fn words(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |words, cause| match cause.to_string() {
        cause if words.is_empty() => cause,
        cause if words.ends_with(&cause) => words,
        cause => format!("{words}: {cause}"),
    })
}

/// Says something on standard error, here and nowhere else. Where nobody listens
/// any more, nothing is said.
pub(crate) fn complain(message: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "mindrail: {message}");
}
