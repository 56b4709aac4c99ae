//! A calibration fitted on rows, and how it was come to: the head is fitted on some
//! folds and scores the others, so that map, thresholds and abstain band are chosen on
//! scores of rows that no head has seen. Choosing them on the rows that fitted the
//! head, as the KHP guardrail does, makes every figure better than it will be.

use std::collections::HashMap;

use mindrail_core::calibration::{
    AbstainBand, Aggregation, AggregationKind, BandError, CalibrationMap, DataFile, FitError,
    LanguageThresholds, ModelOutputs, SignalCalibration, SignalCalibrationOptions, ThresholdRow,
    raised_by_floor,
};
use mindrail_core::metrics::{
    Confusion, auroc, brier, calibration_error, calibration_noise_floor, confusion_at,
};
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{Signal, Taxonomy as _};
use mindrail_data::split;
use serde::Serialize;
use thiserror::Error;

use super::disjoint::{FitFile, Overlap, SelectionFile, check_disjoint};
use super::rows::FitRow;
use super::{BINS, NOISE, findings};

/// Why there is no calibration.
#[derive(Debug, Error)]
pub enum FittingError {
    /// The rows selected the checkpoint.
    #[error(transparent)]
    Overlap(#[from] Overlap),
    /// A row has another number of outputs than a model gives.
    #[error("row {row} has {found} outputs; expected {expected}")]
    Outputs {
        /// The row over all files, from 1.
        row: usize,
        /// Its number of outputs.
        found: usize,
        /// What would have been accepted.
        expected: String,
    },
    /// There are too few folds, or too few families to deal to them.
    #[error(
        "found {folds} folds for {families} families of rows; expected 2 folds or more, and a family for each"
    )]
    Folds {
        /// Folds that were asked for.
        folds: usize,
        /// Families among the rows.
        families: usize,
    },
    /// A floor is asked for where there are no signals.
    #[error("a floor needs nine signals; the rows have one risk each: expected none")]
    Floor,
    /// A part cannot be fitted.
    #[error("{part}: {source}")]
    Fit {
        /// Head, map or thresholds.
        part: &'static str,
        /// Why.
        source: FitError,
    },
    /// The abstain band cannot be fitted.
    #[error("abstain band: {0}")]
    Band(#[from] BandError),
}

/// A calibration and how it was come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// What serving applies.
    pub calibration: SignalCalibration,
    /// What people should know of it.
    pub report: FitReport,
}

impl Fitted {
    /// The same with the model that gave the outputs, by the SHA-256 of its manifest.
    #[must_use]
    pub fn of_model(mut self, sha256: &str) -> Self {
        self.calibration.model = Some(sha256.to_owned());
        self
    }
}

/// How a calibration was come to. All figures are on out-of-fold scores unless they say
/// otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FitReport {
    /// Number of rows.
    pub rows: usize,
    /// High-risk rows among them.
    pub high_risk: usize,
    /// Families among them: rows that name one, and exact copies of one another's
    /// outputs or texts.
    pub families: usize,
    /// Each fold that was scored by a head of the other folds.
    pub folds: Vec<Fold>,
    /// The head that was fitted on all rows, if there is one.
    pub head: Option<HeadReport>,
    /// The aggregated score.
    pub score: ScoreFigures,
    /// The probability after map and floor. For Brier score and calibration error the
    /// map of each fold is fitted on the others' scores, since an isotonic one shows no
    /// error on its own rows; they are absent where the map has no fit without some fold.
    pub probability: ScoreFigures,
    /// The pooled threshold on out-of-fold probabilities.
    pub out_of_fold: Confusion,
    /// The same threshold on the rows that fitted the head: how much better that looks.
    pub same_rows: Confusion,
    /// What follows, in sentences.
    pub findings: Vec<String>,
}

/// The rows of a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Fold {
    /// All rows.
    pub rows: usize,
    /// High-risk rows among them.
    pub high_risk: usize,
}

/// The fitted head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadReport {
    /// The weight of each output.
    pub weights: Vec<OutputWeight>,
    /// The logit of a row of zeros.
    pub bias: f64,
}

/// An output's part in the head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputWeight {
    /// The signal, or `risk`.
    pub output: &'static str,
    /// Its weight.
    pub weight: f64,
    /// The calibrated probability, without the floor, where this output is certain and
    /// all others are 0.
    pub alone: Probability,
    /// The same with the floor.
    pub alone_with_floor: Probability,
}

/// How well a score ranks, and how far it is from a probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ScoreFigures {
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Expected calibration error, ten bins of equal width.
    pub ece: Option<f64>,
    /// The error that a perfectly calibrated score would show on these rows.
    pub ece_noise_floor: Option<f64>,
}

/// Fits a calibration on the rows of `files`, none of which may be among those of
/// `selected`, the files that selected the model's checkpoint.
///
/// # Errors
/// [`FittingError`] when rows overlap with the selection, are too few, have one class,
/// or other outputs than a model gives, and when an option is out of range.
pub fn fit(
    files: &[FitFile],
    selected: &[SelectionFile],
    options: &SignalCalibrationOptions,
) -> Result<Fitted, FittingError> {
    check_disjoint(files, selected)?;
    let rows = Rows::new(files, options)?;
    let scores = rows.out_of_fold(options)?;
    let map = CalibrationMap::fit(options.map, &scores, &rows.labels).map_err(part("map"))?;
    let risk = |row: usize| raised_by_floor(options.floor, map.apply(scores[row]), &rows.outputs[row]);
    let risks: Vec<Probability> = (0..scores.len()).map(risk).collect();
    let thresholds =
        LanguageThresholds::choose(options.target, &rows.threshold_rows(&risks), options.least_per_class)
            .map_err(part("thresholds"))?;
    let abstain = options
        .abstain
        .map(|target| AbstainBand::fit(target, &risks, &rows.labels, thresholds.lowest()))
        .transpose()?;
    let aggregation = Aggregation::fit(options.aggregation, &rows.outputs, &rows.labels, options.c)
        .map_err(part("head"))?;
    let calibration = SignalCalibration {
        outputs: rows.kind,
        aggregation,
        map,
        floor: options.floor,
        thresholds,
        abstain,
        model: None,
        fitted_on: files.iter().map(data_file).collect(),
        selected_on: selected.iter().map(|file| file.sha256.clone()).collect(),
        options: *options,
    };
    let mut report = rows.report(&calibration, &scores, &risks);
    report.findings = findings::findings(&calibration, &report, selected);
    Ok(Fitted { calibration, report })
}

fn part(part: &'static str) -> impl Fn(FitError) -> FittingError {
    move |source| FittingError::Fit { part, source }
}

fn data_file(file: &FitFile) -> DataFile {
    DataFile { file: file.file.clone(), sha256: file.sha256.clone(), rows: file.rows.len() }
}

/// All rows, each with the fold that it is left out with.
struct Rows<'a> {
    all: Vec<&'a FitRow>,
    kind: ModelOutputs,
    outputs: Vec<Vec<Probability>>,
    labels: Vec<bool>,
    families: usize,
    folds: Vec<usize>,
}

impl<'a> Rows<'a> {
    fn new(files: &'a [FitFile], options: &SignalCalibrationOptions) -> Result<Self, FittingError> {
        let all: Vec<&FitRow> = files.iter().flat_map(|file| &file.rows).collect();
        let kind = kind(&all)?;
        if options.floor.is_some() && kind == ModelOutputs::Risk {
            return Err(FittingError::Floor);
        }
        let numbers = families(&all);
        let families = numbers.iter().max().map_or(0, |most| most + 1);
        if options.folds < 2 || families < options.folds {
            return Err(FittingError::Folds { folds: options.folds, families });
        }
        let labels: Vec<bool> = all.iter().map(|row| row.label).collect();
        let classes: Vec<usize> = labels.iter().map(|&label| usize::from(label)).collect();
        let folds = split::folds(&numbers, &classes, options.folds, options.seed);
        let outputs = all.iter().map(|row| row.outputs.clone()).collect();
        Ok(Self { all, kind, outputs, labels, families, folds })
    }

    /// The score of each row by an aggregation that was fitted on the other folds. The
    /// penalty of a fold's head is that of the head that ships *per row*: with C itself
    /// it would weigh more against fewer rows, and scores nearer to each other than the
    /// shipped head's would put map and thresholds in the wrong place. (Measured on
    /// 300 draws of 300 simulated rows, C = 0.1, delta = 0.2: limits of an abstain band
    /// were broken in 25 % of draws, and in 15 % this way.)
    fn out_of_fold(&self, options: &SignalCalibrationOptions) -> Result<Vec<Probability>, FittingError> {
        if options.aggregation == AggregationKind::Largest {
            return Ok(self.outputs.iter().map(|row| Aggregation::Largest.score(row)).collect());
        }
        self.each_fold(options.folds, |kept, left_out| {
            let outputs: Vec<Vec<Probability>> = kept.iter().map(|&row| self.outputs[row].clone()).collect();
            let c = options.c * self.labels.len() as f64 / kept.len().max(1) as f64;
            let head = Aggregation::fit(options.aggregation, &outputs, &self.labels_of(kept), c)?;
            Ok(left_out.iter().map(|&row| head.score(&self.outputs[row])).collect())
        })
        .map_err(part("head of a fold"))
    }

    /// The probability of each row by a map that was fitted on the scores of the other
    /// folds.
    fn cross_mapped(
        &self,
        scores: &[Probability],
        options: &SignalCalibrationOptions,
    ) -> Result<Vec<Probability>, FitError> {
        self.each_fold(options.folds, |kept, left_out| {
            let own: Vec<Probability> = kept.iter().map(|&row| scores[row]).collect();
            let map = CalibrationMap::fit(options.map, &own, &self.labels_of(kept))?;
            let risk =
                |&row: &usize| raised_by_floor(options.floor, map.apply(scores[row]), &self.outputs[row]);
            Ok(left_out.iter().map(risk).collect())
        })
    }

    /// For each fold, what `score` makes of the rows that it leaves out, given the rows
    /// that it keeps.
    fn each_fold(
        &self,
        folds: usize,
        score: impl Fn(&[usize], &[usize]) -> Result<Vec<Probability>, FitError>,
    ) -> Result<Vec<Probability>, FitError> {
        let mut scores = vec![Probability::ONE; self.labels.len()];
        for fold in 0..folds {
            let (left_out, kept): (Vec<usize>, Vec<usize>) =
                (0..scores.len()).partition(|&row| self.folds[row] == fold);
            let found = score(&kept, &left_out)?;
            left_out.iter().zip(found).for_each(|(&row, own)| scores[row] = own);
        }
        Ok(scores)
    }

    fn labels_of(&self, rows: &[usize]) -> Vec<bool> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    fn threshold_rows(&self, risks: &[Probability]) -> Vec<ThresholdRow> {
        let rows = self.all.iter().zip(risks);
        let row = |(row, &probability): (&&FitRow, &Probability)| ThresholdRow {
            probability,
            label: row.label,
            language: row.language,
        };
        rows.map(row).collect()
    }

    fn report(
        &self,
        calibration: &SignalCalibration,
        scores: &[Probability],
        risks: &[Probability],
    ) -> FitReport {
        let threshold = f64::from(calibration.thresholds.pooled.value.get());
        let at = |risks: &[Probability]| confusion_at(&numbers(risks), &self.labels, threshold);
        // No rows, and so no figures, where a fold has no fit.
        let cross_mapped = self.cross_mapped(scores, &calibration.options).unwrap_or_default();
        // The outputs were counted, so that all can be applied to.
        let same: Vec<Probability> =
            self.outputs.iter().filter_map(|outputs| calibration.apply(outputs).ok()).collect();
        FitReport {
            rows: self.labels.len(),
            high_risk: self.labels.iter().filter(|label| **label).count(),
            families: self.families,
            folds: self.fold_counts(calibration.options.folds),
            head: head_report(calibration),
            score: figures(scores, &self.labels),
            // Several maps together would rank rows of different folds otherwise.
            probability: ScoreFigures {
                auroc: auroc(&numbers(risks), &self.labels),
                ..figures(&cross_mapped, &self.labels)
            },
            out_of_fold: at(risks),
            same_rows: at(&same),
            findings: Vec::new(),
        }
    }

    fn fold_counts(&self, folds: usize) -> Vec<Fold> {
        let mut counts = vec![Fold::default(); folds];
        for (&fold, &label) in self.folds.iter().zip(&self.labels) {
            counts[fold].rows += 1;
            counts[fold].high_risk += usize::from(label);
        }
        counts
    }
}

/// What all rows have: nine signals, or one risk.
fn kind(rows: &[&FitRow]) -> Result<ModelOutputs, FittingError> {
    let error = |row, found, expected: String| FittingError::Outputs { row, found, expected };
    let Some(first) = rows.first().map(|row| row.outputs.len()) else {
        return Err(error(0, 0, "at least one row".to_owned()));
    };
    let kind = ModelOutputs::of_count(first).ok_or_else(|| error(1, first, "9 or 1".to_owned()))?;
    match rows.iter().position(|row| row.outputs.len() != first) {
        Some(at) => Err(error(at + 1, rows[at].outputs.len(), format!("{first} as in row 1"))),
        None => Ok(kind),
    }
}

/// The family of each row, from 0 without gaps. Rows without one are by themselves,
/// but for exact copies, which would else be in the fold that fits and in the one that
/// is scored.
fn families(rows: &[&FitRow]) -> Vec<usize> {
    let mut known = HashMap::new();
    let name = |row: &FitRow| match (&row.family, &row.text) {
        (Some(family), _) => format!("family {family}"),
        (None, Some(text)) => format!("text {text}"),
        (None, None) => {
            let bits: Vec<u32> = row.outputs.iter().map(|output| output.get().to_bits()).collect();
            format!("outputs {bits:?}")
        }
    };
    let number = |row: &&FitRow| {
        let next = known.len();
        *known.entry(name(row)).or_insert(next)
    };
    rows.iter().map(number).collect()
}

fn numbers(probabilities: &[Probability]) -> Vec<f64> {
    probabilities.iter().map(|p| f64::from(p.get())).collect()
}

fn figures(probabilities: &[Probability], labels: &[bool]) -> ScoreFigures {
    let scores = numbers(probabilities);
    ScoreFigures {
        auroc: auroc(&scores, labels),
        brier: brier(&scores, labels),
        ece: calibration_error(&scores, labels, BINS),
        ece_noise_floor: calibration_noise_floor(&scores, BINS, NOISE.0, NOISE.1),
    }
}

fn head_report(calibration: &SignalCalibration) -> Option<HeadReport> {
    let head = calibration.aggregation.head()?;
    let weight = |(place, &weight): (usize, &f64)| {
        let mut outputs = vec![Probability::ZERO; head.weights.len()];
        outputs[place] = Probability::ONE;
        let alone = calibration.map.apply(calibration.aggregation.score(&outputs));
        OutputWeight {
            output: output_name(calibration.outputs, place),
            weight,
            alone,
            alone_with_floor: raised_by_floor(calibration.floor, alone, &outputs),
        }
    };
    Some(HeadReport { weights: head.weights.iter().enumerate().map(weight).collect(), bias: head.intercept })
}

fn output_name(kind: ModelOutputs, place: usize) -> &'static str {
    match kind {
        ModelOutputs::Signals => Signal::ALL[place].wire(),
        ModelOutputs::Risk => "risk",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_core::calibration::{
        BandRate, BandTarget, CalibrationMapKind, SignalFloor, ThresholdSource, ThresholdTarget,
    };
    use mindrail_core::language::Language;

    use super::*;

    fn options() -> SignalCalibrationOptions {
        SignalCalibrationOptions {
            aggregation: AggregationKind::Monotone,
            c: 1.0,
            map: CalibrationMapKind::Platt,
            floor: Some(SignalFloor { certain: Probability::new(0.9).unwrap() }),
            target: ThresholdTarget::Recall(0.9),
            least_per_class: 30,
            abstain: None,
            folds: 5,
            seed: 17,
        }
    }

    /// A number in [0, 1) of a row and a place.
    fn noise(row: usize, place: usize) -> f32 {
        let mixed = (row * 9 + place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 32)) >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Rows of which six signals follow the label, more or less (AUROC of their sum about
    /// 0.92); two rows to a family.
    fn rows(count: usize, first: usize) -> Vec<FitRow> {
        let row = |number: usize| {
            let label = number % 5 < 2;
            let signal = |place: usize| {
                let pull = if label && place < 6 { 0.12 } else { 0.0 };
                Probability::new((noise(number, place) * 0.5 + pull).min(1.0)).unwrap()
            };
            FitRow {
                id: Some(format!("row-{number}")),
                family: Some(format!("family-{}", number / 2)),
                language: Some(if number.is_multiple_of(4) { Language::Fr } else { Language::En }),
                outputs: (0..9).map(signal).collect(),
                label,
                text: None,
            }
        };
        (first..first + count).map(row).collect()
    }

    fn file(rows: Vec<FitRow>) -> FitFile {
        FitFile { file: "fit.csv".into(), sha256: "a".repeat(64), rows }
    }

    #[test]
    fn no_row_is_scored_by_a_head_that_has_seen_its_family() {
        let file = [file(rows(200, 0))];
        let own = Rows::new(&file, &options()).unwrap();
        assert_eq!(own.families, 100);
        assert!(own.folds.chunks(2).all(|pair| pair[0] == pair[1]));
        // Turning the label of a family round changes no score of its own rows.
        let before = own.out_of_fold(&options()).unwrap();
        let mut turned = file.clone();
        turned[0].rows[6].label = !turned[0].rows[6].label;
        let again = Rows { labels: turned[0].rows.iter().map(|row| row.label).collect(), ..own };
        let after = again.out_of_fold(&options()).unwrap();
        assert_eq!((before[6], before[7]), (after[6], after[7]));
        assert_ne!(before, after);
    }

    #[test]
    fn exact_copies_without_a_family_count_as_one() {
        let mut all = rows(20, 0);
        all.iter_mut().for_each(|row| row.family = None);
        all[3].outputs = all[9].outputs.clone();
        let found = families(&all.iter().collect::<Vec<_>>());
        assert_eq!(found[3], found[9]);
        assert_eq!(found.iter().max(), Some(&18));
    }

    #[test]
    fn a_calibration_says_what_it_was_fitted_on_and_reaches_its_target() {
        let abstain = BandTarget { miss: 0.1, false_alarm: 0.2, delta: 0.1, rate: BandRate::OfClass };
        let options = SignalCalibrationOptions { abstain: Some(abstain), ..options() };
        let found = fit(&[file(rows(400, 0))], &[], &options).unwrap();
        let Fitted { calibration, report } = &found;
        assert_eq!((calibration.fitted_on[0].rows, report.rows, report.high_risk), (400, 400, 160));
        assert_eq!(report.folds.iter().map(|fold| fold.rows).sum::<usize>(), 400);
        assert!(report.out_of_fold.recall() >= 0.9, "{report:?}");
        assert!(report.probability.auroc > Some(0.85), "{report:?}");
        assert_eq!(calibration.thresholds.languages[&Language::Fr].source, ThresholdSource::Own);
        let band = calibration.abstain.as_ref().unwrap();
        assert!(band.low.is_some_and(|low| low.value <= calibration.thresholds.lowest()));
        // The seed decides, and nothing else.
        assert_eq!(fit(&[file(rows(400, 0))], &[], &options).unwrap(), found);
        let text = serde_json::to_string(calibration).unwrap();
        assert_eq!(&SignalCalibration::from_json("c.json", &text).unwrap(), calibration);
    }

    #[test]
    fn a_map_is_not_measured_on_the_rows_that_it_was_fitted_on() {
        let options = SignalCalibrationOptions { map: CalibrationMapKind::Isotonic, ..options() };
        let found = fit(&[file(rows(200, 0))], &[], &options).unwrap();
        // On its own rows an isotonic curve has no calibration error at all.
        assert!(found.report.probability.ece > Some(0.005), "{:?}", found.report.probability);
    }

    #[test]
    fn rows_of_the_selection_are_refused() {
        let selected = SelectionFile {
            file: "dev.csv".into(),
            sha256: "b".repeat(64),
            ids: ["row-7".to_owned()].into(),
            texts: [].into(),
            compared: super::super::Compared::ByRow,
        };
        let error = fit(&[file(rows(100, 0))], &[selected], &options()).unwrap_err();
        let expected = "1 rows of fit.csv, the first of them row 8, are in dev.csv";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn rows_that_cannot_be_fitted_are_told_apart() {
        let error = |rows: Vec<FitRow>, options: &SignalCalibrationOptions| {
            fit(&[file(rows)], &[], options).unwrap_err().to_string()
        };
        assert!(error(Vec::new(), &options()).contains("at least one row"));
        let mut ragged = rows(20, 0);
        ragged[4].outputs.pop();
        assert!(error(ragged, &options()).contains("row 5 has 8 outputs; expected 9 as in row 1"));
        let few = SignalCalibrationOptions { folds: 30, ..options() };
        assert!(error(rows(20, 0), &few).contains("found 30 folds for 10 families"));
        let mut risks = rows(20, 0);
        risks.iter_mut().for_each(|row| row.outputs.truncate(1));
        assert!(error(risks, &options()).contains("a floor needs nine signals"));
        let mut positive = rows(20, 0);
        positive.iter_mut().for_each(|row| row.label = true);
        assert!(error(positive, &options()).starts_with("head of a fold: found"));
    }

    #[test]
    fn one_risk_output_is_calibrated_as_it_is() {
        let mut all = rows(300, 0);
        all.iter_mut().for_each(|row| row.outputs.truncate(1));
        let options =
            SignalCalibrationOptions { aggregation: AggregationKind::Largest, floor: None, ..options() };
        let found = fit(&[file(all)], &[], &options).unwrap();
        assert_eq!((found.calibration.outputs, found.report.head), (ModelOutputs::Risk, None));
        assert_eq!(found.report.out_of_fold, found.report.same_rows);
    }

    #[test]
    fn cross_fitted_bands_keep_their_limits_on_new_rows_about_as_often_as_promised() {
        let abstain = BandTarget { miss: 0.1, false_alarm: 0.1, delta: 0.2, rate: BandRate::OfClass };
        let options = SignalCalibrationOptions { abstain: Some(abstain), floor: None, c: 0.1, ..options() };
        let fresh = rows(20_000, 1_000_000);
        let positives = fresh.iter().filter(|row| row.label).count() as f64;
        let (mut broken, mut decided) = (0, 0);
        for draw in 0..100 {
            let calibration = fit(&[file(rows(300, draw * 300))], &[], &options).unwrap().calibration;
            let band = calibration.abstain.as_ref().unwrap();
            decided += band.rows - band.abstained;
            let low = band.low.map_or(0.0, |end| end.value.get());
            let high = band.high.map_or(2.0, |end| end.value.get());
            let (mut misses, mut alarms) = (0.0, 0.0);
            for row in &fresh {
                let risk = calibration.apply(&row.outputs).unwrap().get();
                misses += f64::from(u8::from(row.label && risk < low));
                alarms += f64::from(u8::from(!row.label && risk >= high));
            }
            let negatives = fresh.len() as f64 - positives;
            broken += usize::from(misses / positives > 0.1 || alarms / negatives > 0.1);
        }
        // 20 of 100 may be; the standard error of that is 4.
        assert!(broken <= 28, "{broken} of 100");
        // Nor is that because nobody is called.
        assert!(decided > 100 * 300 / 2, "{decided} of 30000 rows");
    }
}
