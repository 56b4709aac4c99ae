//! The distress figures under any draw of the clusters.

use std::collections::BTreeMap;

use mindrail_core::metrics::{Binning, Confusion, MicroF1, RankingFigure, ppv_at_prevalence};
use mindrail_core::taxonomy::{Signal, Taxonomy as _};

use super::{Distress, Judged};
use crate::protocol::FigureName;
use crate::protocol::definition::{
    Definition, f1, false_positive_rate, of_slice, precision, ratio, recall, share, three,
};
use crate::protocol::evaluation::{Evaluation, Measure, Ranking, one, place_of_decision};
use crate::protocol::slice::Slice;
use crate::report::Better;

/// Prevalences at which the positive predictive value is given, with their names:
/// weekly users of a large assistant (0.15 %), messages of a prospective
/// deployment (0.55 %), and 1, 5 and 25 % (texters of a helpline).
pub(super) const PREVALENCES: [(&str, f64); 5] =
    [("0.15", 0.0015), ("0.55", 0.0055), ("1", 0.01), ("5", 0.05), ("25", 0.25)];

/// The figures that stand at the head of a report, in this order.
const HEAD: [&str; 6] = ["f1", "precision", "recall", "auroc", "auprc", "recall_at_fpr_5pct"];

/// What the figures need of an item.
pub(super) struct Row<'a> {
    pub(super) high_risk: bool,
    pub(super) called: bool,
    pub(super) risk: f64,
    /// Gold and probability of each signal, where both are known.
    pub(super) signals: Option<[(bool, f64); 9]>,
    pub(super) slices: &'a BTreeMap<String, String>,
}

impl Row<'_> {
    /// Truth less risk.
    fn gap(&self) -> f64 {
        f64::from(u8::from(self.high_risk)) - self.risk
    }
}

/// What the figures need of the items, in order.
pub(super) fn rows<'a>(protocol: &Distress, judged: &'a [Judged<'a, Distress>]) -> Vec<Row<'a>> {
    let row = |one: &'a Judged<'a, Distress>| Row {
        high_risk: one.item.gold.high_risk,
        called: protocol.calls(&one.prediction),
        risk: one.prediction.risk,
        signals: signals(one),
        slices: &one.item.slices,
    };
    judged.iter().map(row).collect()
}

fn signals(one: &Judged<'_, Distress>) -> Option<[(bool, f64); 9]> {
    let (gold, said) = (one.item.gold.signals?, one.prediction.signals.as_ref()?);
    let mut pairs = gold.map(|label| (label, 0.0));
    said.iter().for_each(|(signal, p)| pairs[signal.index()].1 = f64::from(p.get()));
    Some(pairs)
}

/// The slices that are large enough for figures.
fn slices(protocol: &Distress, rows: &[Row<'_>]) -> Vec<Slice> {
    let mut slices = Slice::all(rows.iter().map(|row| row.slices));
    slices.retain(|slice| slice.items() >= protocol.min_slice);
    slices
}

/// The evaluator.
pub(super) fn evaluator(
    protocol: &Distress,
    judged: &[Judged<'_, Distress>],
    numbers: &[usize],
) -> Evaluation {
    let rows = rows(protocol, judged);
    let slices = slices(protocol, &rows);
    let mut measures = vec![decision(&rows), brier(&rows)];
    measures.extend(calibration(protocol.binning, &rows));
    measures.extend(signal_measure(protocol.signal_threshold, &rows));
    measures.extend(slices.iter().map(|slice| sliced(slice, &rows)));
    Evaluation::new(numbers, measures, rankings(&rows, &slices)).headed(&HEAD)
}

/// The rows with their places.
fn placed<'a>(rows: &'a [Row<'a>]) -> impl Iterator<Item = (usize, &'a Row<'a>)> {
    rows.iter().enumerate()
}

/// Precision and recall of the decision, and what follows from them.
fn decision(rows: &[Row<'_>]) -> Measure {
    let positives = rows.iter().filter(|row| row.high_risk).count();
    let mut figures = vec![
        Definition::share("precision", "Precision", |found: &Confusion| precision(*found)),
        Definition::share("recall", "Recall", |found: &Confusion| recall(*found)).on(positives),
        Definition::share("f1", "F1", |found: &Confusion| f1(*found)).on(positives),
        false_positives().on(rows.len() - positives),
        Definition::share("accuracy", "Accuracy", |found: &Confusion| {
            (found.rows() > 0).then(|| found.accuracy())
        })
        .on(rows.len()),
        Definition::share("mcc", "Matthews' correlation", |found: &Confusion| found.mcc()),
    ];
    figures.extend(PREVALENCES.map(|(percent, prevalence)| {
        let title = format!("Right calls at {percent} % prevalence");
        Definition::share(format!("ppv_at_{percent}pct"), title, move |found: &Confusion| {
            ppv_at_prevalence(recall(*found)?, false_positive_rate(*found)?, prevalence)
        })
    }));
    let decision = |row: &Row<'_>| vec![one(place_of_decision(row.high_risk, row.called))];
    Measure::new(4, placed(rows).map(|(place, row)| (place, decision(row))), figures)
}

fn false_positives() -> Definition<Confusion> {
    Definition::share("fpr", "False-positive rate", |found: &Confusion| false_positive_rate(*found))
        .better(Better::Lower)
}

fn brier(rows: &[Row<'_>]) -> Measure {
    let mean = Definition::share("brier", "Brier score", |sums: &[f64; 2]| ratio(sums[0], sums[1]));
    let squares = placed(rows).map(|(place, row)| (place, vec![(0, row.gap().powi(2)), one(1)]));
    Measure::new(2, squares, vec![mean.better(Better::Lower)])
}

/// The calibration error over bins of equal width, which do not move with the
/// draw; bins of equal mass would, so that error has no interval.
fn calibration(binning: Binning, rows: &[Row<'_>]) -> Option<Measure> {
    let Binning::EqualWidth(bins @ 1..) = binning else { return None };
    let error = Definition::share("ece", "Calibration error", |sums: &Vec<f64>| {
        let (rows, gaps) = sums.split_last()?;
        ratio(gaps.iter().map(|gap| gap.abs()).sum(), *rows)
    });
    let bin = |row: &Row<'_>| ((row.risk * bins as f64) as usize).min(bins - 1);
    let gaps = placed(rows).map(|(place, row)| (place, vec![(bin(row), row.gap()), one(bins)]));
    Some(Measure::new(bins + 1, gaps, vec![error.better(Better::Lower)]))
}

/// P, R and F1 of each signal, and their macro average over the signals that
/// occur; nothing where no item has signals in gold and prediction.
fn signal_measure(threshold: f64, rows: &[Row<'_>]) -> Option<Measure> {
    rows.iter().find(|row| row.signals.is_some())?;
    let mut figures =
        vec![Definition::share("signal_macro_f1", "Macro F1 of the signals", |signals: &Vec<MicroF1>| {
            let found: Vec<f64> = signals.iter().filter_map(|&signal| f1(signal)).collect();
            ratio(found.iter().sum(), found.len() as f64)
        })];
    for &signal in Signal::ALL {
        let slice = signal_slice(signal, rows);
        let own = three(plain_names, move |signals: &Vec<MicroF1>| signals[signal.index()]);
        figures.extend(own.into_iter().map(|figure| figure.of_slice(&slice)));
    }
    // The wire carries f32 probabilities, so the threshold is met as an f32 too.
    let called = |p: f64| p >= f64::from(threshold as f32);
    let calls = |row: &Row<'_>| {
        let signals = row.signals.iter().flatten().enumerate();
        let places = signals.map(|(place, &(label, p))| (place, place_of_decision(label, called(p))));
        // Of a signal that is neither there nor called nothing is counted.
        places.filter(|(_, cell)| *cell < 3).map(|(place, cell)| one(3 * place + cell)).collect()
    };
    let calls = placed(rows).map(|(place, row)| (place, calls(row)));
    Some(Measure::new(3 * Signal::ALL.len(), calls, figures))
}

fn plain_names(name: &str, title: &str) -> [String; 2] {
    [name.to_owned(), title.to_owned()]
}

/// A signal as a slice of the figures; its items are those that have it.
fn signal_slice(signal: Signal, rows: &[Row<'_>]) -> Slice {
    let positives = signal_rows(rows, signal).filter(|(_, _, label)| *label);
    let places = positives.map(|(place, ..)| place).collect();
    Slice { key: "signal".to_owned(), value: signal.wire().to_owned(), places }
}

/// Place, probability and gold of the rows that have signals.
fn signal_rows<'a>(rows: &'a [Row<'_>], signal: Signal) -> impl Iterator<Item = (usize, f64, bool)> + 'a {
    rows.iter().enumerate().filter_map(move |(place, row)| {
        let (label, p) = row.signals?[signal.index()];
        Some((place, p, label))
    })
}

fn sliced(slice: &Slice, rows: &[Row<'_>]) -> Measure {
    let mut figures = three(plain_names, |found: &Confusion| *found);
    figures.push(false_positives());
    let decision = |row: &Row<'_>| vec![one(place_of_decision(row.high_risk, row.called))];
    let calls = slice.places.iter().map(|&place| (place, decision(&rows[place])));
    Measure::new(4, calls, figures.into_iter().map(|figure| figure.of_slice(slice)).collect())
}

/// The rankings by risk, of all rows and of slices, and those by each signal.
fn rankings(rows: &[Row<'_>], slices: &[Slice]) -> Vec<Ranking> {
    let by_risk = |place: usize| (place, rows[place].risk, rows[place].high_risk);
    let all = (0..rows.len()).map(by_risk);
    let mut rankings = vec![Ranking::new(all, areas().into_iter().chain(points()).collect())];
    for slice in slices {
        rankings.push(Ranking::new(slice.places.iter().copied().map(by_risk), areas_of(slice)));
    }
    if rows.iter().any(|row| row.signals.is_some()) {
        rankings.extend(
            Signal::ALL.iter().map(|&signal| {
                Ranking::new(signal_rows(rows, signal), areas_of(&signal_slice(signal, rows)))
            }),
        );
    }
    rankings
}

fn areas() -> [(FigureName, RankingFigure); 2] {
    [
        (share("auroc", "AUROC"), RankingFigure::Auroc),
        (share("auprc", "AUPRC"), RankingFigure::AveragePrecision),
    ]
}

fn areas_of(slice: &Slice) -> Vec<(FigureName, RankingFigure)> {
    areas().into_iter().map(|(name, figure)| (of_slice(&name, slice), figure)).collect()
}

/// The operating points that are reported.
fn points() -> Vec<(FigureName, RankingFigure)> {
    let recall = |percent: u8| {
        let title = format!("Recall at {percent} % false positives");
        let rate = f64::from(percent) / 100.0;
        (share(format!("recall_at_fpr_{percent}pct"), title), RankingFigure::RecallAtFpr(rate))
    };
    let specificity = |percent: u8| {
        let title = format!("Specificity at {percent} % recall");
        let least = f64::from(percent) / 100.0;
        let name = format!("specificity_at_recall_{percent}pct");
        (share(name, title), RankingFigure::SpecificityAtRecall(least))
    };
    [1, 5, 10].map(recall).into_iter().chain([90, 95].map(specificity)).collect()
}
