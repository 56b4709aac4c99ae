//! The distress figures under any draw of the clusters. Counts and summed errors
//! are linear in the draw ([`Tally`]); ranking figures are read off one pass over
//! the rows, which are sorted by score once.

use std::collections::BTreeMap;

use mindrail_core::metrics::{
    Binning, Confusion, TieGroup, auroc_of_groups, average_precision_of_groups, ppv_at_prevalence,
    recall_at_fpr_of_groups, specificity_at_recall_of_groups,
};
use mindrail_core::taxonomy::{Signal, Taxonomy as _};

use super::{Distress, Judged};
use crate::protocol::tally::{Line, Measure, Tally, ratio};
use crate::protocol::{Evaluator, FigureName};
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

/// The items of each slice value that has enough of them, by `slice=value`.
pub(super) fn slices(rows: &[Row<'_>], least: usize) -> BTreeMap<String, Vec<usize>> {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        for (slice, value) in row.slices {
            found.entry(format!("{slice}={value}")).or_default().push(place);
        }
    }
    found.retain(|_, members| members.len() >= least);
    found
}

/// See the module.
pub(super) struct DistressEvaluator {
    tally: Tally,
    rankings: Vec<Ranking>,
    /// All figures, and where each stands among those of the parts.
    figures: Vec<FigureName>,
    order: Vec<usize>,
}

impl DistressEvaluator {
    pub(super) fn new(protocol: &Distress, judged: &[Judged<'_, Distress>], numbers: &[usize]) -> Self {
        let rows = rows(protocol, judged);
        let slices = slices(&rows, protocol.min_slice);
        let tally = Tally::new(&rows, numbers, measures(protocol, &rows, &slices));
        let rankings = rankings(&rows, numbers, &slices);
        let parts = tally.figures().iter().chain(rankings.iter().flat_map(|ranking| &ranking.figures));
        let parts: Vec<FigureName> = parts.cloned().collect();
        let rank = |place: &usize| HEAD.iter().position(|name| *name == parts[*place].name);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|place| (rank(place).unwrap_or(HEAD.len()), parts[*place].name.contains('@')));
        let figures = order.iter().map(|&place| parts[place].clone()).collect();
        Self { tally, rankings, figures, order }
    }
}

impl Evaluator for DistressEvaluator {
    fn figures(&self) -> &[FigureName] {
        &self.figures
    }

    fn clusters(&self) -> usize {
        self.tally.clusters()
    }

    fn values(&self, multiplicities: &[u32]) -> Vec<Option<f64>> {
        let mut values = self.tally.values(multiplicities);
        self.rankings.iter().for_each(|ranking| values.extend(ranking.values(multiplicities)));
        self.order.iter().map(|&place| values[place]).collect()
    }
}

/// tp, fp, fn, tn of one yes-or-no decision.
fn counted(label: bool, called: bool) -> Vec<f64> {
    let cell = match (label, called) {
        (true, true) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (false, false) => 3,
    };
    (0..4).map(|place| f64::from(u8::from(place == cell))).collect()
}

/// The four sums as counts.
fn confusion(sums: &[f64]) -> Confusion {
    let count = |place: usize| sums.get(place).map_or(0, |sum| *sum as usize);
    Confusion { tp: count(0), fp: count(1), fn_: count(2), tn: count(3) }
}

/// Precision; none without calls.
fn precision(sums: &[f64]) -> Option<f64> {
    let found = confusion(sums);
    (found.tp + found.fp > 0).then(|| found.precision())
}

/// Recall; none without positives.
fn recall(sums: &[f64]) -> Option<f64> {
    let found = confusion(sums);
    (found.tp + found.fn_ > 0).then(|| found.recall())
}

/// F1; none without positives and calls.
fn f1(sums: &[f64]) -> Option<f64> {
    let found = confusion(sums);
    (found.tp + found.fp + found.fn_ > 0).then(|| found.f1())
}

fn false_positive_rate(sums: &[f64]) -> Option<f64> {
    let found = confusion(sums);
    (found.fp + found.tn > 0).then(|| found.false_positive_rate())
}

fn measures<'a>(
    protocol: &Distress,
    rows: &[Row<'_>],
    slices: &'a BTreeMap<String, Vec<usize>>,
) -> Vec<Measure<'a, Row<'a>>> {
    let mut measures = vec![decision(rows), brier()];
    measures.extend(calibration(protocol.binning));
    measures.extend(per_signal(protocol.signal_threshold, rows));
    measures.extend(slices.iter().map(|(name, members)| sliced(name, members.len())));
    measures
}

fn decision<'a>(rows: &[Row<'_>]) -> Measure<'a, Row<'a>> {
    let positives = rows.iter().filter(|row| row.high_risk).count() as u64;
    let negatives = rows.len() as u64 - positives;
    let mut lines = vec![
        Line::share("precision", "Precision", precision),
        Line::share("recall", "Recall", recall).with_support(positives),
        Line::share("f1", "F1", f1).with_support(positives),
        Line::share("fpr", "False-positive rate", false_positive_rate)
            .with_better(Better::Lower)
            .with_support(negatives),
        Line::share("accuracy", "Accuracy", |sums| {
            let found = confusion(sums);
            (found.rows() > 0).then(|| found.accuracy())
        })
        .with_support(rows.len() as u64),
        Line::share("mcc", "Matthews' correlation", |sums| confusion(sums).mcc()),
    ];
    lines.extend(PREVALENCES.map(|(percent, prevalence)| {
        let name = format!("ppv_at_{percent}pct");
        Line::share(name, format!("Right calls at {percent} % prevalence"), move |sums| {
            ppv_at_prevalence(recall(sums)?, false_positive_rate(sums)?, prevalence)
        })
    }));
    Measure::new(|row: &Row<'_>| counted(row.high_risk, row.called), lines)
}

fn brier<'a>() -> Measure<'a, Row<'a>> {
    let line = Line::share("brier", "Brier score", |sums| ratio(sums[0], sums[1])).with_better(Better::Lower);
    Measure::new(|row: &Row<'_>| vec![(truth(row.high_risk) - row.risk).powi(2), 1.0], vec![line])
}

/// The calibration error over bins of equal width, which do not move with the
/// draw; bins of equal mass would, so that error has no interval.
fn calibration<'a>(binning: Binning) -> Option<Measure<'a, Row<'a>>> {
    let Binning::EqualWidth(bins @ 1..) = binning else { return None };
    let line = Line::share("ece", "Calibration error", |sums| {
        let (rows, gaps) = sums.split_last()?;
        ratio(gaps.iter().map(|gap| gap.abs()).sum(), *rows)
    });
    let sums = move |row: &Row<'_>| {
        let mut sums = vec![0.0; bins + 1];
        sums[((row.risk * bins as f64) as usize).min(bins - 1)] = truth(row.high_risk) - row.risk;
        sums[bins] = 1.0;
        sums
    };
    Some(Measure::new(sums, vec![line.with_better(Better::Lower)]))
}

fn truth(label: bool) -> f64 {
    f64::from(u8::from(label))
}

/// P, R and F1 of each signal, and their macro average over the signals that
/// occur; nothing where no item has signals in gold and prediction.
fn per_signal<'a>(threshold: f64, rows: &[Row<'_>]) -> Vec<Measure<'a, Row<'a>>> {
    if rows.iter().all(|row| row.signals.is_none()) {
        return Vec::new();
    }
    let one = |signal: Signal| {
        let place = signal.index();
        let support = signal_rows(rows, place).filter(|(_, (label, _))| *label).count() as u64;
        let line = |figure: &str, formula: fn(&[f64]) -> Option<f64>| {
            let title = format!("{} of {}", figure.to_uppercase(), signal.wire());
            Line::share(format!("{figure}@signal={}", signal.wire()), title, formula).with_support(support)
        };
        let lines = vec![line("f1", f1), line("precision", precision), line("recall", recall)];
        Measure::new(move |row: &Row<'_>| signal_counts(row, place, threshold), lines)
    };
    let macro_f1 = Line::share("signal_macro_f1", "Macro F1 of the signals", |sums| {
        let found: Vec<f64> = sums.chunks(4).filter_map(f1).collect();
        ratio(found.iter().sum(), found.len() as f64)
    });
    let all = move |row: &Row<'_>| (0..9).flat_map(|place| signal_counts(row, place, threshold)).collect();
    let mut measures = vec![Measure::new(all, vec![macro_f1])];
    measures.extend(Signal::ALL.iter().map(|&signal| one(signal)));
    measures
}

fn signal_counts(row: &Row<'_>, place: usize, threshold: f64) -> Vec<f64> {
    // The wire carries f32 probabilities, so the threshold is met as an f32 too.
    let called = |p: f64| p >= f64::from(threshold as f32);
    row.signals.map_or(vec![0.0; 4], |signals| counted(signals[place].0, called(signals[place].1)))
}

/// Rows that have signals, with gold and probability of one of them.
fn signal_rows<'a>(rows: &'a [Row<'_>], place: usize) -> impl Iterator<Item = (usize, (bool, f64))> + 'a {
    rows.iter().enumerate().filter_map(move |(number, row)| Some((number, row.signals?[place])))
}

fn sliced(name: &str, size: usize) -> Measure<'_, Row<'_>> {
    let (slice, value) = name.split_once('=').unwrap_or((name, ""));
    let belongs = move |row: &Row<'_>| row.slices.get(slice).is_some_and(|own| own == value);
    let sums = move |row: &Row<'_>| {
        if belongs(row) { counted(row.high_risk, row.called) } else { vec![0.0; 4] }
    };
    let line = |figure: &str, title: &str, formula: fn(&[f64]) -> Option<f64>| {
        Line::share(format!("{figure}@{name}"), format!("{title}, {name}"), formula).with_support(size as u64)
    };
    let lines = vec![
        line("f1", "F1", f1),
        line("precision", "Precision", precision),
        line("recall", "Recall", recall),
        line("fpr", "False-positive rate", false_positive_rate).with_better(Better::Lower),
    ];
    Measure::new(sums, lines)
}

/// A figure of a ranking.
type RankFormula = Box<dyn Fn(&[TieGroup]) -> Option<f64> + Send + Sync>;

/// A row before it is ranked.
struct ScoredRow {
    cluster: usize,
    score: f64,
    positive: bool,
}

/// A row's place in a ranking: rows of one score are of one group.
struct RankedRow {
    cluster: u32,
    group: u32,
    positive: bool,
}

/// Rows sorted by score, highest first, with tied scores in one group.
struct Ranking {
    rows: Vec<RankedRow>,
    groups: usize,
    figures: Vec<FigureName>,
    formulas: Vec<RankFormula>,
}

impl Ranking {
    fn new(mut rows: Vec<ScoredRow>, lines: Vec<(Line, RankFormula)>) -> Self {
        rows.sort_by(|a, b| b.score.total_cmp(&a.score));
        let (mut ranked, mut groups) = (Vec::with_capacity(rows.len()), 0);
        // Not `total_cmp`: 0 and -0 are one score.
        for tie in rows.chunk_by(|a, b| a.score <= b.score) {
            let row = |row: &ScoredRow| RankedRow {
                cluster: row.cluster as u32,
                group: groups as u32,
                positive: row.positive,
            };
            ranked.extend(tie.iter().map(row));
            groups += 1;
        }
        let (lines, formulas): (Vec<Line>, _) = lines.into_iter().unzip();
        Self { rows: ranked, groups, figures: lines.into_iter().map(|line| line.figure).collect(), formulas }
    }

    fn values(&self, multiplicities: &[u32]) -> Vec<Option<f64>> {
        let mut groups = vec![TieGroup::default(); self.groups];
        for row in &self.rows {
            let times = multiplicities[row.cluster as usize];
            let group = &mut groups[row.group as usize];
            if row.positive { group.positives += times } else { group.negatives += times }
        }
        self.formulas.iter().map(|formula| formula(&groups)).collect()
    }
}

fn rankings(rows: &[Row<'_>], numbers: &[usize], slices: &BTreeMap<String, Vec<usize>>) -> Vec<Ranking> {
    let scored = |&place: &usize| ScoredRow {
        cluster: numbers[place],
        score: rows[place].risk,
        positive: rows[place].high_risk,
    };
    let mut rankings = vec![Ranking::new((0..rows.len()).map(|place| scored(&place)).collect(), whole())];
    for (name, members) in slices {
        let lines = area_lines(name, members.len() as u64);
        rankings.push(Ranking::new(members.iter().map(scored).collect(), lines));
    }
    for &signal in Signal::ALL {
        let own: Vec<_> = signal_rows(rows, signal.index())
            .map(|(place, (positive, score))| ScoredRow { cluster: numbers[place], score, positive })
            .collect();
        if own.is_empty() {
            continue;
        }
        let positives = own.iter().filter(|row| row.positive).count() as u64;
        rankings.push(Ranking::new(own, area_lines(&format!("signal={}", signal.wire()), positives)));
    }
    rankings
}

fn ranked(
    name: &str,
    title: &str,
    formula: impl Fn(&[TieGroup]) -> Option<f64> + Send + Sync + 'static,
) -> (Line, RankFormula) {
    (Line::share(name, title, |_| None), Box::new(formula))
}

fn whole() -> Vec<(Line, RankFormula)> {
    let recall = |percent: &str, fpr: f64| {
        let title = format!("Recall at {percent} % false positives");
        ranked(&format!("recall_at_fpr_{percent}pct"), &title, move |g| recall_at_fpr_of_groups(g, fpr))
    };
    let specificity = |percent: &str, recall: f64| {
        let title = format!("Specificity at {percent} % recall");
        ranked(&format!("specificity_at_recall_{percent}pct"), &title, move |g| {
            specificity_at_recall_of_groups(g, recall)
        })
    };
    vec![
        ranked("auroc", "AUROC", auroc_of_groups),
        ranked("auprc", "AUPRC", average_precision_of_groups),
        recall("1", 0.01),
        recall("5", 0.05),
        recall("10", 0.10),
        specificity("90", 0.90),
        specificity("95", 0.95),
    ]
}

fn area_lines(name: &str, support: u64) -> Vec<(Line, RankFormula)> {
    let supported = |(line, formula): (Line, RankFormula)| (line.with_support(support), formula);
    vec![
        supported(ranked(&format!("auroc@{name}"), &format!("AUROC, {name}"), auroc_of_groups)),
        supported(ranked(&format!("auprc@{name}"), &format!("AUPRC, {name}"), average_precision_of_groups)),
    ]
}
