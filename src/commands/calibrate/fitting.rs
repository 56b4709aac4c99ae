//! `mindrail calibrate` with an option of fitting: one calibration, out of fold, in a
//! file, and drawn for people.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use mindrail_core::calibration::{
    AggregationKind, BandEnd, BandRate, BandTarget, CalibrationMap, CalibrationMapKind, Estimate,
    ModelOutputs, RiskThreshold, SignalCalibration, SignalCalibrationOptions, SignalFloor, ThresholdSource,
    ThresholdTarget,
};
use mindrail_core::probability::Probability;
use mindrail_finetune::bundle::FineTuned;
use mindrail_finetune::labels::LabelCalibration;
use mindrail_lab::calibrate::{
    BundleRows, FitFile, FitReport, Fitted, HeadReport, ScoreFigures, SelectionFile, fit,
};
use serde::Serialize;

use crate::commands::number;

/// A grave signal at or above this is certain, as the default policy has it.
const CERTAIN: f32 = 0.9;
/// The recall that thresholds must reach, unless a target is given.
const RECALL: f64 = 0.95;
/// The probability that a limit of the abstain band is broken, unless it is given.
const DELTA: f64 = 0.05;
/// Rows of each class from which on a language has a threshold of its own: with 30
/// positives, a recall of 0.95 has a 95 % interval of about 0.8 to 0.99.
const LEAST_PER_CLASS: usize = 30;

/// How a calibration is fitted.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Fitting")]
pub(super) struct Fitting {
    /// Write the calibration here, as JSON.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// How the outputs become one score. [default: monotone; largest for one risk]
    #[arg(long)]
    aggregation: Option<AggregationName>,

    /// How the score becomes a probability. [default: platt]
    #[arg(long)]
    map: Option<MapName>,

    /// What thresholds are chosen for: recall=0.95, fpr=0.05, youden or f1.
    /// [default: recall=0.95]
    #[arg(long, value_name = "TARGET")]
    target: Option<ThresholdTarget>,

    /// With --bundle, what the thresholds of labels are chosen for. [default: f1]
    #[arg(long, value_name = "TARGET", requires = "bundle")]
    label_target: Option<ThresholdTarget>,

    /// Make an abstain band: miss=0.02,false=0.1 and, if wished, delta=0.05 and of=class
    /// (limits of misses among high-risk rows and false alarms among low-risk rows) or
    /// of=calls (of errors among rows called low, and called high).
    #[arg(long, value_name = "LIMITS", value_parser = band)]
    abstain: Option<BandTarget>,

    /// From which probability on one grave signal is enough, or none.
    /// [default: 0.9; none for one risk]
    #[arg(long, value_name = "PROBABILITY")]
    floor: Option<Floor>,

    /// Rows of each class from which on a language, or a label, has a threshold of its own.
    /// [default: 30]
    #[arg(long, value_name = "ROWS")]
    least_per_class: Option<usize>,

    /// Folds of the cross-fitting. [default: 5]
    #[arg(long)]
    folds: Option<usize>,

    /// Deals families to folds. [default: 17]
    #[arg(long)]
    seed: Option<u64>,

    /// A file that selected the model's checkpoint; may be repeated. A calibration on it,
    /// or on rows of it, is refused.
    #[arg(long, value_name = "FILE")]
    selected_on: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AggregationName {
    /// The largest output.
    Largest,
    /// A logistic regression.
    Logistic,
    /// A logistic regression without negative weights.
    Monotone,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MapName {
    /// The score as it is.
    None,
    /// One parameter: logits are divided.
    Temperature,
    /// Two: logits are scaled and shifted.
    Platt,
    /// Any rising curve; needs about a thousand rows.
    Isotonic,
}

/// The floor of the command line.
#[derive(Debug, Clone, Copy)]
struct Floor(Option<SignalFloor>);

impl FromStr for Floor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let certain = |text: &str| text.trim().parse().ok().and_then(Probability::new);
        match (text, certain(text)) {
            ("none", _) => Ok(Self(None)),
            (_, Some(certain)) => Ok(Self(Some(SignalFloor { certain }))),
            (_, None) => Err("expected a number from 0 to 1, or none".to_owned()),
        }
    }
}

/// Limits as `miss=0.02,false=0.1,delta=0.05,of=class`.
fn band(text: &str) -> Result<BandTarget, String> {
    let (mut miss, mut false_alarm, mut delta, mut rate) = (None, None, DELTA, BandRate::OfClass);
    for part in text.split(',') {
        let (name, value) = part.trim().split_once('=').unwrap_or((part, ""));
        let share = || number(value, "numbers above 0 and below 1", |share| share > 0.0 && share < 1.0);
        match (name, value) {
            ("miss", _) => miss = Some(share()?),
            ("false", _) => false_alarm = Some(share()?),
            ("delta", _) => delta = share()?,
            ("of", "class") => rate = BandRate::OfClass,
            ("of", "calls") => rate = BandRate::OfCalls,
            _ => return Err("expected miss=, false=, delta= and of=class or of=calls".to_owned()),
        }
    }
    let (Some(miss), Some(false_alarm)) = (miss, false_alarm) else {
        return Err("expected miss= and false= among the limits".to_owned());
    };
    let target = BandTarget { miss, false_alarm, delta, rate };
    target.check().map_err(|error| error.to_string())?;
    Ok(target)
}

impl Fitting {
    /// Fits a calibration on the rows of a file.
    pub(super) fn fit(&self, name: &str, bytes: &[u8], c: f64) -> anyhow::Result<Fitted> {
        self.fit_rows(&[FitFile::read(name, bytes)?], &self.selection()?, c)
    }

    /// Fits a calibration on rows that are at hand.
    pub(super) fn fit_rows(
        &self,
        files: &[FitFile],
        selected: &[SelectionFile],
        c: f64,
    ) -> anyhow::Result<Fitted> {
        let first = files.iter().flat_map(|file| &file.rows).next();
        let gives_risk = first.is_some_and(|row| row.outputs.len() == ModelOutputs::Risk.count());
        let kind = if gives_risk { ModelOutputs::Risk } else { ModelOutputs::Signals };
        Ok(fit(files, selected, &self.options(kind, c))?)
    }

    /// Thresholds of the labels of a fine-tuned model.
    pub(super) fn label_thresholds(
        &self,
        rows: &BundleRows,
        model: &FineTuned,
        selected: &[SelectionFile],
    ) -> anyhow::Result<LabelCalibration> {
        let target = self.label_target.unwrap_or(ThresholdTarget::MaxF1);
        let least = self.least_per_class.unwrap_or(LEAST_PER_CLASS);
        Ok(rows.label_thresholds(model, selected, target, least)?)
    }

    /// An option that has nothing to act on where rows have no label of risk.
    pub(super) fn of_risk(&self) -> Option<&'static str> {
        [
            ("--write", self.write.is_some()),
            ("--aggregation", self.aggregation.is_some()),
            ("--map", self.map.is_some()),
            ("--target", self.target.is_some()),
            ("--abstain", self.abstain.is_some()),
            ("--floor", self.floor.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }

    /// Whether there is a target for the thresholds of labels.
    pub(super) const fn has_label_target(&self) -> bool {
        self.label_target.is_some()
    }

    /// The files that selected the checkpoint.
    pub(super) fn selection(&self) -> anyhow::Result<Vec<SelectionFile>> {
        let read = |path: &PathBuf| Ok(SelectionFile::read(path, &crate::input::bytes(path)?));
        self.selected_on.iter().map(read).collect()
    }

    /// The options, with the defaults for what a model gives.
    pub(super) fn options(&self, kind: ModelOutputs, c: f64) -> SignalCalibrationOptions {
        let floor = SignalFloor { certain: Probability::new(CERTAIN).unwrap_or(Probability::ONE) };
        let (aggregation, floor) = match kind {
            ModelOutputs::Signals => (AggregationKind::Monotone, Some(floor)),
            ModelOutputs::Risk => (AggregationKind::Largest, None),
        };
        SignalCalibrationOptions {
            aggregation: self.aggregation.map_or(aggregation, AggregationName::kind),
            c,
            map: self.map.map_or(CalibrationMapKind::Platt, MapName::kind),
            floor: self.floor.map_or(floor, |own| own.0),
            target: self.target.unwrap_or(ThresholdTarget::Recall(RECALL)),
            least_per_class: self.least_per_class.unwrap_or(LEAST_PER_CLASS),
            abstain: self.abstain,
            folds: self.folds.unwrap_or(5),
            seed: self.seed.unwrap_or(17),
        }
    }

    /// Where the calibration is written, if it is.
    pub(super) fn written(&self) -> Option<&Path> {
        self.write.as_deref()
    }

    /// Writes the calibration, never over the rows that it came from.
    pub(super) fn write(&self, calibration: &SignalCalibration, rows: &Path) -> anyhow::Result<()> {
        let Some(path) = &self.write else { return Ok(()) };
        if matches!((path.canonicalize(), rows.canonicalize()), (Ok(a), Ok(b)) if a == b) {
            bail!("{}: found the rows themselves, expected another file to write to", path.display());
        }
        write_to(path, calibration)
    }
}

/// Writes what was chosen to a file.
pub(super) fn write_to(path: &Path, chosen: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(chosen)? + "\n";
    fs::write(path, text).with_context(|| format!("{}", path.display()))
}

impl AggregationName {
    fn kind(self) -> AggregationKind {
        match self {
            Self::Largest => AggregationKind::Largest,
            Self::Logistic => AggregationKind::Logistic,
            Self::Monotone => AggregationKind::Monotone,
        }
    }
}

impl MapName {
    fn kind(self) -> CalibrationMapKind {
        match self {
            Self::None => CalibrationMapKind::None,
            Self::Temperature => CalibrationMapKind::Temperature,
            Self::Platt => CalibrationMapKind::Platt,
            Self::Isotonic => CalibrationMapKind::Isotonic,
        }
    }
}

/// The calibration for people.
pub(super) fn drawn(fitted: &Fitted, written: Option<&Path>) -> String {
    let Fitted { calibration, report } = fitted;
    let mut lines = vec![format!(
        "{} rows, {} high risk, {} low risk, {} families in {} folds",
        report.rows,
        report.high_risk,
        report.rows - report.high_risk,
        report.families,
        report.folds.len()
    )];
    lines.extend(report.head.iter().flat_map(|head| head_lines(head, calibration)));
    lines.push(format!("\nMap: {}", map(&calibration.map)));
    lines.extend(figures(report));
    lines.extend(thresholds(calibration));
    lines.extend(band_lines(calibration));
    lines.push("\nWhat this means".to_owned());
    lines.extend(report.findings.iter().map(|sentence| format!("- {sentence}")));
    lines.extend(written.map(|path| format!("\nWritten: {}", path.display())));
    lines.join("\n") + "\n"
}

fn head_lines(head: &HeadReport, calibration: &SignalCalibration) -> Vec<String> {
    let kind = match calibration.options.aggregation {
        AggregationKind::Largest => "Largest output",
        AggregationKind::Logistic => "Logistic head",
        AggregationKind::Monotone => "Monotone logistic head",
    };
    let mut lines = vec![
        format!("\n{kind}, C = {}, bias {:.6}", calibration.options.c, head.bias),
        format!("  {:<20} {:>8} {:>16} {:>11}", "output", "weight", "alone at 1: risk", "with floor"),
    ];
    lines.extend(head.weights.iter().map(|own| {
        format!(
            "  {:<20} {:>8.4} {:>16.3} {:>11.3}",
            own.output,
            own.weight,
            own.alone.get(),
            own.alone_with_floor.get()
        )
    }));
    lines
}

fn map(map: &CalibrationMap) -> String {
    match map {
        CalibrationMap::None => "none, the score is taken for a probability".to_owned(),
        CalibrationMap::Temperature(own) => format!("temperature {:.4}", own.temperature),
        CalibrationMap::Platt(own) => {
            format!("Platt, slope {:.4}, intercept {:.4}", own.slope, own.intercept)
        }
        CalibrationMap::Isotonic(own) => format!("isotonic, {} knots", own.knots().len()),
    }
}

fn figures(report: &FitReport) -> Vec<String> {
    let row = |name: &str, own: &ScoreFigures| {
        let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
        format!(
            "  {name:<28} {:>7} {:>7} {:>18} {:>12}",
            figure(own.auroc),
            figure(own.brier),
            figure(own.ece),
            figure(own.ece_noise_floor)
        )
    };
    vec![
        format!(
            "\n  {:<28} {:>7} {:>7} {:>18} {:>12}",
            "out of fold", "AUROC", "Brier", "calibration error", "noise floor"
        ),
        row("score", &report.score),
        row("after map and floor", &report.probability),
    ]
}

fn thresholds(calibration: &SignalCalibration) -> Vec<String> {
    let row = |name: &str, own: &RiskThreshold, source: &str| {
        format!(
            "  {name:<8} {:>9.6}  {:<22} {:<22} {:>6}  {source}",
            own.value.get(),
            interval(&own.recall),
            interval(&own.false_positive_rate),
            own.rows
        )
        .trim_end()
        .to_owned()
    };
    let own = &calibration.thresholds;
    let mut lines = vec![
        format!("\nThresholds, {}", own.pooled.target),
        format!(
            "  {:<8} {:>9}  {:<22} {:<22} {:>6}",
            "", "threshold", "recall", "false-positive rate", "rows"
        ),
        row("pooled", &own.pooled, ""),
    ];
    lines.extend(own.languages.iter().map(|(language, of)| {
        let source = match of.source {
            ThresholdSource::Own => "its own",
            ThresholdSource::PooledTooFewRows => "pooled: too few rows",
            ThresholdSource::PooledTargetNotReached => "pooled: target not reached",
        };
        row(language.wire(), &of.threshold, source)
    }));
    lines
}

pub(super) fn interval(estimate: &Estimate) -> String {
    format!("{:.3} [{:.3}, {:.3}]", estimate.value, estimate.low, estimate.high)
}

fn band_lines(calibration: &SignalCalibration) -> Vec<String> {
    let Some(band) = &calibration.abstain else { return Vec::new() };
    let rate = match band.target.rate {
        BandRate::OfClass => "of each class",
        BandRate::OfCalls => "of each call",
    };
    let row = |name: &str, end: &Option<BandEnd>| match end {
        Some(end) => format!(
            "  {name:<8} {:>9.6} {:>7} {:>7} {:>7}  {}",
            end.value.get(),
            end.called,
            end.errors,
            end.class,
            interval(&end.rate)
        ),
        None => format!("  {name:<8} {:>9}", "nobody"),
    };
    vec![
        format!(
            "\nAbstain band: misses <= {}, false alarms <= {}, {rate}, with confidence {}",
            band.target.miss,
            band.target.false_alarm,
            (1e6 * (1.0 - band.target.delta)).round() / 1e6
        ),
        format!("  {:<8} {:>9} {:>7} {:>7} {:>7}  {}", "", "threshold", "called", "errors", "class", "rate"),
        row("low <", &band.low),
        row("high >=", &band.high),
        format!("  between: {} of {} rows", band.abstained, band.rows),
    ]
}
