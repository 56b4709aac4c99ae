//! `mindrail model`: what is inside the bundle, and how good it is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use mindrail_core::assessor::Assessor as _;
use mindrail_model::assessor::EmbeddedAssessor;
use mindrail_model::bench;
use mindrail_model::evaluate::evaluate;
use mindrail_model::figures::measure_by_language;
use mindrail_model::tokenizer::Tokenizer;
use mindrail_model::train::View;
use mindrail_model::train::examples::{self, Source, SourceKind};

use super::Exit;

/// Look into the model.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Verify the bundle's hashes and print its card.
    Inspect {
        /// A bundle folder in place of the model inside this program.
        #[arg(long, value_name = "FOLDER")]
        bundle: Option<PathBuf>,
    },
    /// Measure the model on labelled conversations, as JSON with intervals.
    ///
    /// Reads JSONL in the corpus format (`corpus/README.md`), or CSV with `text`,
    /// `label` and `signals`, and scores it as it would be served.
    Evaluate {
        /// The labelled file.
        #[arg(long, value_name = "FILE")]
        input: PathBuf,
        /// Which turns the model may read.
        #[arg(long, value_enum, default_value_t = ViewName::All)]
        view: ViewName,
        /// A bundle folder in place of the model inside this program.
        #[arg(long, value_name = "FOLDER")]
        bundle: Option<PathBuf>,
    },
    /// Measure speed on this machine, as JSON for `scripts/bench_peers.py`.
    Bench {
        /// Threads for batches of texts; a single text always uses one.
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// A bundle folder in place of the model inside this program.
        #[arg(long, value_name = "FOLDER")]
        bundle: Option<PathBuf>,
    },
}

/// Which turns the model may read.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ViewName {
    /// The person's and, before each user turn, the listener's.
    All,
    /// The person's only.
    Person,
}

impl Model {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Inspect { bundle } => inspect(bundle.as_deref()),
            Self::Evaluate { input, view, bundle } => measure(input, view, bundle.as_deref()),
            Self::Bench { threads, bundle } => speed(threads, bundle.as_deref()),
        }
    }
}

fn inspect(folder: Option<&Path>) -> anyhow::Result<Exit> {
    if let Some(folder) = folder.filter(|folder| mindrail_finetune::bundle::is_fine_tuned(folder)) {
        let manifest = mindrail_finetune::bundle::inspect(folder)?;
        let text = serde_json::to_string_pretty(&manifest)?;
        writeln!(std::io::stdout().lock(), "{text}\nAll hashes of the bundle's own files verified.")?;
        return Ok(Exit::Done);
    }
    let bundle = super::bundle(folder)?;
    EmbeddedAssessor::new(&bundle)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", bundle.card.trim_end())?;
    writeln!(out, "\n## Hashes\n\nAll verified.\n\nbundle  {}", bundle.sha256)?;
    for (file, hash) in &bundle.manifest.files {
        writeln!(out, "{hash}  {file}")?;
    }
    Ok(Exit::Done)
}

fn measure(input: PathBuf, view: ViewName, folder: Option<&Path>) -> anyhow::Result<Exit> {
    let bundle = super::bundle(folder)?;
    let assessor = EmbeddedAssessor::new(&bundle)?;
    let is_csv = input.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let source = Source {
        path: input,
        kind: if is_csv { SourceKind::ConversationCsv } else { SourceKind::Corpus },
        licence: String::new(),
        fold: 0,
        weight: 1.0,
        wide_weight: 1.0,
        rows_per_epoch: None,
        turns_per_row: None,
    };
    let name = source.path.display().to_string();
    let examples = examples::load(&source, 0, &Tokenizer::from_bytes(&bundle.tokenizer)?)?;
    if examples.is_empty() {
        bail!("{name}: found no conversation, expected labelled ones");
    }
    let view = match view {
        ViewName::All => View::All,
        ViewName::Person => View::Person,
    };
    let figures = measure_by_language(&evaluate(&assessor, &examples, view)?);
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(
        &mut out,
        &serde_json::json!({"model": assessor.model(), "languages": figures}),
    )?;
    writeln!(out)?;
    Ok(Exit::Done)
}

fn speed(threads: usize, folder: Option<&Path>) -> anyhow::Result<Exit> {
    let bundle = super::bundle(folder)?;
    let mut out = std::io::stdout().lock();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    serde_json::to_writer_pretty(&mut out, &pool.install(|| bench::run(&bundle))?)?;
    writeln!(out)?;
    Ok(Exit::Done)
}
