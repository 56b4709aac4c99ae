//! Calibration of nine signal probabilities to one decision, as the KHP Youth
//! Mental Health Guardrail does it: the threshold sweep on the largest signal, the
//! logistic aggregation head, and the same sweep on the head's score. It
//! reproduces the guardrail's published figures, and says what they hide: a
//! threshold that was chosen on one score is shipped with another.
//!
//! Mindrail's own thresholds are chosen otherwise; see
//! [`mindrail_core::calibration`]. [`fit`] makes a calibration that way: out of fold,
//! on rows that did not select the checkpoint, in a file that serving applies.

mod bundle;
mod disjoint;
mod explanation;
mod findings;
mod fitting;
mod rows;

use std::collections::HashSet;

use mindrail_core::calibration::{
    FitError, Logistic, SweepRow, best_precision_at_recall, best_youden, fit_logistic, sweep_thresholds,
};
use mindrail_core::metrics::{
    Binning, Confusion, auroc, brier, calibration_error, calibration_noise_floor, confusion_at,
};
use mindrail_core::taxonomy::{Signal, Taxonomy as _};
use serde::Serialize;
use thiserror::Error;

pub use bundle::{BundleRows, BundleRowsError, SeenRows, rows_of_bundle, selection_of_bundle};
pub use disjoint::{Compared, FitFile, Overlap, SelectionFile, check_disjoint, text_digest};
pub use fitting::{FitReport, Fitted, FittingError, Fold, HeadReport, OutputWeight, ScoreFigures, fit};
pub use rows::{CalibrationRows, FitRow, RowsError, read_fit_rows, read_rows};

/// Bins of the calibration error, as in the guardrail's reports.
const BINS: Binning = Binning::EqualWidth(10);
/// Draws of its noise floor, and their seed.
const NOISE: (u32, u64) = (200, 0);
/// The recalls for which the guardrail names thresholds.
const RECALLS: [f64; 3] = [0.95, 0.90, 0.80];

/// How to calibrate. The defaults are the guardrail's.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrateOptions {
    /// Inverse strength of the head's penalty, greater than 0.
    pub c: f64,
    /// The recall that the recommended threshold must reach, in \[0, 1\].
    pub recall: f64,
    /// Thresholds that were stated elsewhere, to be looked at too.
    pub stated: Vec<f64>,
}

impl Default for CalibrateOptions {
    fn default() -> Self {
        Self { c: 0.1, recall: RECALLS[0], stated: Vec::new() }
    }
}

/// Why there is no calibration.
#[derive(Debug, Error)]
pub enum CalibrateError {
    /// The head cannot be fitted.
    #[error("logistic head: {0}")]
    Fit(#[from] FitError),
    /// There is nothing to sweep.
    #[error("found {rows} rows, expected at least one with a finite score")]
    Empty {
        /// Number of rows.
        rows: usize,
    },
}

/// What a threshold leads to. Ratios are rounded to 4 decimals, as published.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ThresholdRow {
    /// A score at or above it is called.
    pub threshold: f64,
    /// Precision; 0 without calls.
    pub precision: f64,
    /// Recall.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Recall less false-positive rate.
    pub youden_j: f64,
    /// What is called rightly and wrongly.
    #[serde(flatten)]
    pub counts: Confusion,
}

impl ThresholdRow {
    fn new(threshold: f64, counts: Confusion) -> Self {
        // Ties to even, as the guardrail's Python rounds.
        let rounded = |value: f64| (value * 1e4).round_ties_even() / 1e4;
        Self {
            threshold,
            precision: rounded(counts.precision()),
            recall: rounded(counts.recall()),
            f1: rounded(counts.f1()),
            youden_j: rounded(counts.youden_j()),
            counts,
        }
    }
}

impl From<&SweepRow> for ThresholdRow {
    fn from(row: &SweepRow) -> Self {
        Self::new(row.threshold, row.counts)
    }
}

/// Which score a calibration is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// The largest of the nine signal probabilities.
    LargestSignal,
    /// The logistic head's score as the file states it.
    StatedHead,
    /// The score of the head that was fitted here.
    FittedHead,
}

impl ScoreKind {
    /// The score in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::LargestSignal => "largest signal",
            Self::StatedHead => "logistic head, as stated",
            Self::FittedHead => "logistic head, fitted here",
        }
    }
}

/// All about one score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreCalibration {
    /// Which score.
    pub score: ScoreKind,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Expected calibration error, ten bins of equal width.
    pub ece: Option<f64>,
    /// The error that a perfectly calibrated score would show on these rows.
    pub ece_noise_floor: Option<f64>,
    /// The row at 0.5.
    pub at_half: ThresholdRow,
    /// The first row with the largest Youden's J.
    pub youden: ThresholdRow,
    /// For recall 0.95, 0.90 and 0.80, the most precise row that reaches it.
    pub at_recall: [Option<ThresholdRow>; 3],
    /// The row that the guardrail's rule picks: the most precise one that
    /// reaches the recall asked for, else Youden's.
    pub recommended: ThresholdRow,
    /// Thresholds that were chosen or stated elsewhere.
    pub elsewhere: Vec<ThresholdRow>,
    /// The whole sweep, thresholds rising.
    pub sweep: Vec<ThresholdRow>,
}

/// The fitted head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadCalibration {
    /// Inverse strength of the penalty.
    pub c: f64,
    /// The weight of each signal, in taxonomy order.
    pub weights: Vec<SignalWeight>,
    /// The logit of a row of zeros.
    pub bias: f64,
    /// Largest distance of a fitted score from the stated one.
    pub farthest_from_stated: Option<f64>,
}

/// A signal's part in the head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SignalWeight {
    /// The signal.
    pub signal: Signal,
    /// Its weight.
    pub weight: f64,
    /// The head's score where this signal is certain and all others are 0.
    pub alone: f64,
}

/// What a calibration found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationReport {
    /// Number of rows.
    pub rows: usize,
    /// High-risk rows among them.
    pub high_risk: usize,
    /// Rows whose label and probabilities repeat an earlier row's: high, low risk.
    pub duplicates: Duplicates,
    /// The fitted head.
    pub head: HeadCalibration,
    /// The largest signal, then the head's score.
    pub scores: [ScoreCalibration; 2],
    /// What follows, in sentences.
    pub explanation: Vec<String>,
}

/// Rows that are exact copies of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Duplicates {
    /// Among high-risk rows.
    pub high_risk: usize,
    /// Among low-risk rows.
    pub low_risk: usize,
}

/// Calibrates.
///
/// # Errors
/// [`CalibrateError`] when there are no rows, one class is absent, or an option
/// is out of range.
pub fn calibrate(
    rows: &CalibrationRows,
    options: &CalibrateOptions,
) -> Result<CalibrationReport, CalibrateError> {
    let features: Vec<Vec<f64>> = rows.signals.iter().map(|row| row.to_vec()).collect();
    let head = fit_logistic(&features, &rows.labels, options.c)?;
    let fitted: Vec<f64> = features.iter().map(|row| head.probability(row)).collect();
    let largest = score(ScoreKind::LargestSignal, &rows.largest, rows, options)?;
    let chosen = [largest.recommended.threshold];
    let second = CalibrateOptions {
        stated: chosen.iter().chain(&options.stated).copied().collect(),
        ..options.clone()
    };
    let (kind, scores) = match &rows.head {
        Some(stated) => (ScoreKind::StatedHead, stated),
        None => (ScoreKind::FittedHead, &fitted),
    };
    let mut report = CalibrationReport {
        rows: rows.labels.len(),
        high_risk: rows.labels.iter().filter(|label| **label).count(),
        duplicates: duplicates(rows),
        head: head_calibration(&head, options.c, rows.head.as_deref(), &fitted),
        scores: [largest, score(kind, scores, rows, &second)?],
        explanation: Vec::new(),
    };
    report.explanation = explanation::explanation(&report, options);
    Ok(report)
}

fn score(
    kind: ScoreKind,
    scores: &[f64],
    rows: &CalibrationRows,
    options: &CalibrateOptions,
) -> Result<ScoreCalibration, CalibrateError> {
    let empty = || CalibrateError::Empty { rows: rows.labels.len() };
    let labels = &rows.labels;
    let sweep = sweep_thresholds(scores, labels).ok_or_else(empty)?;
    let youden = best_youden(&sweep).ok_or_else(empty)?;
    let reached = |recall: f64| best_precision_at_recall(&sweep, recall);
    Ok(ScoreCalibration {
        score: kind,
        auroc: auroc(scores, labels),
        brier: brier(scores, labels),
        ece: calibration_error(scores, labels, BINS),
        ece_noise_floor: calibration_noise_floor(scores, BINS, NOISE.0, NOISE.1),
        at_half: row_at(scores, labels, 0.5),
        youden: youden.into(),
        at_recall: RECALLS.map(|recall| reached(recall).map(ThresholdRow::from)),
        recommended: reached(options.recall).unwrap_or(youden).into(),
        elsewhere: options.stated.iter().map(|&threshold| row_at(scores, labels, threshold)).collect(),
        sweep: sweep.iter().map(ThresholdRow::from).collect(),
    })
}

fn row_at(scores: &[f64], labels: &[bool], threshold: f64) -> ThresholdRow {
    ThresholdRow::new(threshold, confusion_at(scores, labels, threshold))
}

fn head_calibration(head: &Logistic, c: f64, stated: Option<&[f64]>, fitted: &[f64]) -> HeadCalibration {
    let weight = |(&signal, &weight): (&Signal, &f64)| {
        let certain: Vec<f64> = Signal::ALL.iter().map(|&own| f64::from(u8::from(own == signal))).collect();
        SignalWeight { signal, weight, alone: head.probability(&certain) }
    };
    HeadCalibration {
        c,
        weights: Signal::ALL.iter().zip(&head.weights).map(weight).collect(),
        bias: head.intercept,
        farthest_from_stated: stated
            .map(|stated| stated.iter().zip(fitted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)),
    }
}

fn duplicates(rows: &CalibrationRows) -> Duplicates {
    let mut seen = HashSet::new();
    let mut found = Duplicates::default();
    for (&label, signals) in rows.labels.iter().zip(&rows.signals) {
        if !seen.insert((label, signals.map(f64::to_bits))) {
            *if label { &mut found.high_risk } else { &mut found.low_risk } += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Rows with one signal, whose largest and head scores differ.
    fn rows() -> CalibrationRows {
        let scores = [0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1, 0.1];
        let signals: Vec<[f64; 9]> =
            scores.iter().map(|&p| [p, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect();
        CalibrationRows {
            labels: [true, true, true, false, true, false, false, false, false].into(),
            largest: scores.into(),
            signals,
            head: None,
        }
    }

    #[test]
    fn copies_of_a_row_are_counted_by_label() {
        assert_eq!(duplicates(&rows()), Duplicates { high_risk: 0, low_risk: 1 });
    }

    #[test]
    fn without_stated_head_scores_the_fitted_ones_are_swept() {
        let report =
            calibrate(&rows(), &CalibrateOptions { stated: vec![0.6], ..CalibrateOptions::default() })
                .unwrap();
        assert_eq!(report.scores[1].score, ScoreKind::FittedHead);
        assert_eq!(report.head.farthest_from_stated, None);
        // All four at 0.4 and above; the penalty draws the head's scores
        // together, so that the threshold of the largest signal calls everybody.
        let [largest, head] = &report.scores;
        assert_eq!((largest.recommended.counts.tp, largest.recommended.counts.fp), (4, 1));
        assert!(head.elsewhere[0].counts.fp > 1, "{:?}", head.elsewhere[0]);
        assert_eq!(head.elsewhere.len(), 2);
        assert!(
            report.explanation.iter().any(|sentence| sentence.contains("is wrong")),
            "{:?}",
            report.explanation
        );
    }

    #[test]
    fn one_class_alone_is_an_error() {
        let mut rows = rows();
        rows.labels.fill(true);
        let error = calibrate(&rows, &CalibrateOptions::default()).unwrap_err();
        assert!(matches!(error, CalibrateError::Fit(FitError::OneClass { .. })), "{error}");
        let none = calibrate(&CalibrationRows::default(), &CalibrateOptions::default());
        assert!(none.is_err());
    }
}
