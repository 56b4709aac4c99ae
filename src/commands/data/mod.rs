//! `mindrail data`: data sets in and out, checked, counted, split.

mod check;
mod convert;
mod export;
mod overlap;
mod pull;
mod split;
mod stats;

use clap::{Subcommand, ValueEnum};
use mindrail_data::sets::DataSet;

use super::Exit;

/// Work with the published data sets.
///
/// Every command reads JSON lines, JSON lists, CSV and Parquet, and tells the data
/// set from the columns. Nothing but labels, counts and places is printed.
#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    Pull(pull::Pull),
    Check(check::Check),
    Stats(stats::Stats),
    Convert(convert::Convert),
    Split(split::Split),
    Overlap(overlap::Overlap),
    Export(export::Export),
}

impl Data {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Pull(pull) => pull.run(),
            Self::Check(check) => check.run(),
            Self::Stats(stats) => stats.run(),
            Self::Convert(convert) => convert.run(),
            Self::Split(split) => split.run(),
            Self::Overlap(overlap) => overlap.run(),
            Self::Export(export) => export.run(),
        }
    }
}

/// A data set by its name.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum SetName {
    /// KHP Youth Mental Health Guardrail: pipeline, master, augmented, seed, hub.
    Khp,
    /// CRADLE-Dialogue: one row per turn.
    CradleDialogue,
    /// CRADLE-Bench: posts.
    CradleBench,
    /// DialogueSafety: context, reply, class.
    DialogueSafety,
    /// PKU-SafeRLHF, version 1.
    Saferlhf,
    /// PKU-SafeRLHF, version 0, 30K, 10K.
    SaferlhfV0,
    /// PKU-SafeRLHF-single-dimension.
    SaferlhfSingleDimension,
    /// PKU-SafeRLHF-QA.
    SaferlhfQa,
    /// PKU-SafeRLHF-prompt, and the evaluation prompts of BeaverTails.
    SaferlhfPrompt,
    /// BeaverTails.
    Beavertails,
    /// ESConv, in its three schemas.
    Esconv,
    /// The project's corpus.
    Corpus,
}

impl SetName {
    /// The data set that is meant.
    pub(crate) const fn set(self) -> DataSet {
        match self {
            Self::Khp => DataSet::Khp,
            Self::CradleDialogue => DataSet::CradleDialogue,
            Self::CradleBench => DataSet::CradleBench,
            Self::DialogueSafety => DataSet::DialogueSafety,
            Self::Saferlhf => DataSet::SafeRlhf,
            Self::SaferlhfV0 => DataSet::SafeRlhfV0,
            Self::SaferlhfSingleDimension => DataSet::SafeRlhfSingle,
            Self::SaferlhfQa => DataSet::SafeRlhfQa,
            Self::SaferlhfPrompt => DataSet::SafeRlhfPrompt,
            Self::Beavertails => DataSet::BeaverTails,
            Self::Esconv => DataSet::Esconv,
            Self::Corpus => DataSet::Corpus,
        }
    }
}
