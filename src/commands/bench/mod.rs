//! `mindrail bench`: puts a system through one of the four published protocols
//! and writes a report; or compares two runs.

mod compare;
mod harm;
mod one;
mod remote;
mod reply;
mod system;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mindrail_core::metrics::crisis::EmptyDialogues;
use mindrail_data::sets::{DataSet, RowReader};
use mindrail_lab::bench::Gate;
use mindrail_lab::protocol::crisis::Crisis;
use mindrail_lab::protocol::distress::{Decision, Distress};
use mindrail_lab::protocol::{Item, Unanswered};
use mindrail_lab::resampling::{IntervalMethod, Settings};
use mindrail_lab::sample::{Draw, DrawError, draw};

use super::{Exit, share};

/// Measure a system by one of the four published protocols.
///
/// A run is a folder: it holds the plan, every answer as it came, the report as
/// JSON, Markdown and one HTML page that opens from disk. A run that was
/// interrupted or killed goes on when the same command is given again; nothing
/// that was answered is asked again.
///
/// Systems:
///   bundle              the guard of this program, as it serves
///   bundle:FOLDER       the guard with another bundle
///   predictions:FILE    answers that somebody else made (docs/PREDICTIONS.md)
///   llm:MODEL           a model behind an OpenAI-compatible --endpoint
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Bench {
    /// Is the person at high risk? (KHP files, the corpus)
    Distress(DistressArgs),
    /// At which turn does which crisis begin to show? (CRADLE-Dialogue, the corpus)
    Crisis(CrisisArgs),
    /// Is the reply safe for this person, and if not, why? (DialogueSafety, the corpus)
    Reply(reply::ReplyArgs),
    /// Does the answer do harm, which, how grave, and which of two is safer?
    /// (PKU-SafeRLHF, BeaverTails)
    Harm(harm::HarmArgs),
    /// Two runs on the same data, with paired tests.
    Compare(compare::Compare),
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Distress(args) => one::run(&args.protocol(), &args.common),
            Self::Crisis(args) => one::run(&args.protocol(), &args.common),
            Self::Reply(args) => one::run(&args.protocol()?, &args.common),
            Self::Harm(args) => one::run(&args.protocol()?, &args.common),
            Self::Compare(compare) => compare.run(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DistressArgs {
    #[command(flatten)]
    common: Common,

    /// A risk at or above this is a call of high risk, where the threshold decides.
    #[arg(long, value_name = "RISK", default_value_t = 0.5, value_parser = share, allow_negative_numbers = true)]
    threshold: f64,

    /// Let the threshold decide even where the system states a decision.
    #[arg(long)]
    by_threshold: bool,
}

impl DistressArgs {
    pub(super) fn protocol(&self) -> Distress {
        let decision = if self.by_threshold { Decision::Threshold } else { Decision::Stated };
        Distress { threshold: self.threshold, decision, seed: self.common.seed, ..Distress::default() }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CrisisArgs {
    #[command(flatten)]
    common: Common,

    /// How dialogues without any label in gold enter the figures.
    #[arg(long, value_enum, default_value_t = EmptyName::Counted)]
    empty_dialogues: EmptyName,

    /// User turns that a predicted onset may be off and still be no false alarm.
    #[arg(long, value_name = "TURNS", default_value_t = 0)]
    false_alarm_tolerance: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EmptyName {
    Counted,
    LeftOut,
}

impl CrisisArgs {
    pub(super) fn protocol(&self) -> Crisis {
        let empty = match self.empty_dialogues {
            EmptyName::Counted => EmptyDialogues::Counted,
            EmptyName::LeftOut => EmptyDialogues::LeftOut,
        };
        Crisis { empty, false_alarm_tolerance: self.false_alarm_tolerance, ..Crisis::default() }
    }
}

/// What every protocol's command takes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Common {
    /// The files with what is so; several are read as one set.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,

    /// The data set, where it cannot be told from the columns; see `mindrail data
    /// stats --help`.
    #[arg(long, value_name = "NAME", value_parser = data_set)]
    set: Option<DataSet>,

    /// bundle, bundle:FOLDER, predictions:FILE or llm:MODEL.
    #[arg(long, value_name = "SYSTEM")]
    system: system::System,

    #[command(flatten)]
    computing: super::Computing,

    /// The run's folder.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,

    /// Judge a sample of at most so many items, for a quick look: dialogues, families
    /// or prompts with all of their items, drawn with the seed.
    #[arg(long, value_name = "ITEMS")]
    limit: Option<usize>,

    /// Draws of the bootstrap behind the intervals; 0 for none.
    #[arg(long, value_name = "DRAWS", default_value_t = 2_000)]
    resamples: u64,

    /// The seed of every random choice.
    #[arg(long, default_value_t = 17)]
    seed: u64,

    /// How intervals follow from the draws.
    #[arg(long, value_enum, default_value_t = IntervalName::Percentile)]
    interval: IntervalName,

    /// What counts for an item that the system did not answer.
    #[arg(long, value_enum, default_value_t = UnansweredName::Negative)]
    unanswered: UnansweredName,

    /// A condition such as `turn_f1>=0.51`; the exit code is 3 where it is not held.
    #[arg(long, value_name = "CONDITION")]
    min: Vec<Gate>,

    /// Let the report hold the conversations of up to so many wrong items.
    #[arg(long, value_name = "ITEMS", num_args = 0..=1, default_missing_value = "20")]
    show_text: Option<usize>,

    /// Remove the run that the folder holds and begin anew.
    #[arg(long)]
    overwrite: bool,

    /// Ask nothing; make the report again from the answers that are there.
    #[arg(long, conflicts_with = "overwrite")]
    rescore: bool,

    /// Print every table, not the headline alone.
    #[arg(long)]
    tables: bool,

    /// Print report.json instead.
    #[arg(long, conflicts_with = "tables")]
    json: bool,

    /// A policy file in place of the default, for bundles.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    remote: remote::RemoteArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IntervalName {
    Percentile,
    Bca,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UnansweredName {
    /// As no danger.
    Negative,
    /// As danger.
    Positive,
    /// Not at all.
    LeftOut,
}

impl UnansweredName {
    const fn policy(self) -> Unanswered {
        match self {
            Self::Negative => Unanswered::Negative,
            Self::Positive => Unanswered::Positive,
            Self::LeftOut => Unanswered::LeftOut,
        }
    }
}

impl Common {
    /// The data set that was named, or that of the first file.
    fn set(&self) -> anyhow::Result<DataSet> {
        Ok(match (self.set, self.data.first()) {
            (None, Some(first)) => RowReader::open(first, None)?.set(),
            (set, _) => set.unwrap_or(DataSet::Corpus),
        })
    }

    /// What `--limit` draws of the items; none without it.
    fn sample<I, G>(&self, items: &[Item<I, G>]) -> Result<Option<Draw>, DrawError> {
        self.limit.map(|limit| draw(items, limit, self.seed)).transpose()
    }

    fn resampling(&self) -> Settings {
        let method = match self.interval {
            IntervalName::Percentile => IntervalMethod::Percentile,
            IntervalName::Bca => IntervalMethod::Bca,
        };
        Settings { draws: self.resamples, seed: self.seed, method }
    }
}

fn data_set(name: &str) -> Result<DataSet, String> {
    let names = || DataSet::ALL.map(DataSet::wire).join(", ");
    DataSet::from_wire(name).ok_or_else(|| format!("expected one of {}", names()))
}
