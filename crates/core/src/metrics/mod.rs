//! The figures that reports, training and calibration share: pure functions
//! from scores and labels to numbers.
//!
//! Conventions, the same in every submodule: an input for which a figure is not
//! defined (empty, one class only, lengths that differ, a NaN score) gives
//! `None`, never NaN and never a made-up number. Ratios inside a [`Confusion`]
//! or a [`MicroF1`] follow scikit-learn's `zero_division=0` instead, because
//! there an empty denominator means that nothing was called or nothing was there.
//!
//! Where to find what:
//! - yes or no: [`Confusion`], [`auroc`] and its neighbours, [`roc_curve`],
//!   [`reliability_bins`], [`calibration_noise_floor`], [`ppv_at_prevalence`];
//! - one of several classes, severities too: [`ConfusionMatrix`];
//! - any number of labels: [`MultilabelCounts`], [`JointCounts`];
//! - crisis onsets in dialogues: [`crisis`];
//! - preferences and costs: [`PreferenceCounts`], [`sign_accuracy`];
//! - intervals: [`wilson_interval`], [`clopper_pearson_interval`], [`Resampling`]
//!   of [`CellSums`] and [`ClusteredRanking`] with [`percentile_interval`] and
//!   [`bca_interval`];
//! - two scores of the same rows: [`pearson`], [`spearman`];
//! - two systems: [`mcnemar`], [`paired_bootstrap_p_value`],
//!   [`randomisation_p_value`], [`holm`].

mod bca;
mod compare;
mod confusion;
mod correlation;
pub mod crisis;
mod curve;
mod draws;
mod interval;
mod multiclass;
mod multilabel;
mod normal;
mod onset;
mod pairs;
mod probabilistic;
mod random;
mod ranked;
mod ranking;
mod reliability;
mod resample;

#[cfg(test)]
mod golden;

pub use bca::{bca_interval, percentile_interval};
pub use compare::{McNemar, McNemarMethod, holm, mcnemar, paired_bootstrap_p_value, randomisation_p_value};
pub use confusion::{Confusion, JointCounts, MicroF1, confusion_at, ppv_at_prevalence};
pub use correlation::{pearson, spearman};
pub use curve::{OperatingPoint, pr_curve, roc_curve};
pub use draws::{CellAmount, CellSums, Draws, LANES, Lanes};
pub use interval::{bootstrap_interval, clopper_pearson_interval, wilson_interval};
pub use multiclass::{Averages, ClassFigures, ConfusionMatrix, KappaWeights, macro_f1, weighted_f1};
pub use multilabel::{EmptyRows, MacroOver, MultilabelCounts};
pub use onset::{OnsetSets, count_onsets, onset_f1};
pub use pairs::{PairCounts, PairStratum, PreferenceCounts, PreferencePair, sign_accuracy};
pub use probabilistic::{brier, expected_calibration_error};
pub use ranked::{ClusteredRanking, RankingFigure};
pub use ranking::{auroc, average_precision, recall_at_fpr, specificity_at_recall, weighted_auroc};
pub use reliability::{
    Binning, ReliabilityBin, calibration_error, calibration_noise_floor, reliability_bins,
};
pub use resample::Resampling;

pub(crate) use interval::binomial_lower_tail;
#[cfg(test)]
pub(crate) use random::SplitMix64;
pub(crate) use ranking::descending_groups;
