//! What the distress report shows beside its figures: the decision, the curves
//! with the operating point, reliability, right calls at true prevalences, the
//! nine signals, and the slices.

use std::collections::BTreeMap;

use mindrail_core::metrics::{
    Binning, Confusion, OperatingPoint, calibration_error, calibration_noise_floor, pr_curve,
    reliability_bins, roc_curve,
};
use mindrail_core::taxonomy::{Signal, Taxonomy as _};

use super::evaluator::{PREVALENCES, Row, rows, slices};
use super::{Decision, Distress, Judged};
use crate::protocol::figures::{bar, cell, plain, section, table, text};
use crate::protocol::{Findings, Intervals};
use crate::published;
use crate::report::{Cell, Chart, Curve, Interval, Mark, ReliabilityBin, Section, Unit};

/// Points that a curve has at most.
const CURVE_POINTS: usize = 400;

pub(super) fn findings(
    protocol: &Distress,
    judged: &[Judged<'_, Distress>],
    intervals: &Intervals,
) -> Findings {
    let rows = rows(protocol, judged);
    let sections = [
        Some(decision(&rows)),
        ranking(&rows),
        calibration(protocol, &rows, intervals),
        Some(prevalence(intervals)),
        signals(&rows, intervals),
        slice_section(protocol, &rows, intervals),
    ];
    Findings {
        sections: sections.into_iter().flatten().collect(),
        published: published::distress::rows(),
        notes: notes(protocol, &rows),
        options: options(protocol),
    }
}

fn confusion(rows: &[Row<'_>]) -> Confusion {
    rows.iter().map(|row| (row.high_risk, row.called)).collect()
}

fn decision(rows: &[Row<'_>]) -> Section {
    let found = confusion(rows);
    let count = |count: usize| count as u64;
    let mut section =
        section("decision", "The decision", "Missed people stand in the first row, second column.");
    section.charts.push(Chart::Confusion {
        title: "High risk: gold against called".to_owned(),
        labels: vec!["high risk".to_owned(), "low risk".to_owned()],
        counts: vec![vec![count(found.tp), count(found.fn_)], vec![count(found.fp), count(found.tn)]],
    });
    section
}

fn scores(rows: &[Row<'_>]) -> (Vec<f64>, Vec<bool>) {
    rows.iter().map(|row| (row.risk, row.high_risk)).unzip()
}

/// ROC and precision-recall curves; nothing where only one class is there.
fn ranking(rows: &[Row<'_>]) -> Option<Section> {
    let (risks, labels) = scores(rows);
    let roc = roc_curve(&risks, &labels, CURVE_POINTS)?;
    let pr = pr_curve(&risks, &labels, CURVE_POINTS)?;
    let found = confusion(rows);
    let prevalence = labels.iter().filter(|label| **label).count() as f64 / labels.len() as f64;
    let chance = |points| Some(Curve { name: "chance".to_owned(), points });
    let mark = |x, y| vec![Mark { name: "the decision".to_owned(), x, y }];
    let curve = |points: &[OperatingPoint], place: fn(&OperatingPoint) -> [f64; 2]| {
        vec![Curve { name: "by risk".to_owned(), points: points.iter().map(place).collect() }]
    };
    let mut section = section(
        "ranking",
        "Ranking",
        "How well the risk puts high-risk conversations first, whatever the threshold. \
         The mark is the decision that the figures above rest on.",
    );
    section.charts.push(Chart::Curves {
        title: "ROC curve".to_owned(),
        x: "False-positive rate".to_owned(),
        y: "Recall".to_owned(),
        curves: curve(&roc, |point| [point.false_positive_rate, point.recall]),
        marks: mark(found.false_positive_rate(), found.recall()),
        chance: chance(vec![[0.0, 0.0], [1.0, 1.0]]),
    });
    section.charts.push(Chart::Curves {
        title: "Precision and recall".to_owned(),
        x: "Recall".to_owned(),
        y: "Precision".to_owned(),
        curves: curve(&pr, |point| [point.recall, point.precision.unwrap_or(1.0)]),
        marks: if found.tp + found.fp > 0 { mark(found.recall(), found.precision()) } else { Vec::new() },
        chance: chance(vec![[0.0, prevalence], [1.0, prevalence]]),
    });
    Some(section)
}

fn calibration(protocol: &Distress, rows: &[Row<'_>], intervals: &Intervals) -> Option<Section> {
    let (risks, labels) = scores(rows);
    let bins = reliability_bins(&risks, &labels, protocol.binning)?;
    let error = match protocol.binning {
        Binning::EqualWidth(_) => cell(intervals, "ece", Unit::Share),
        Binning::EqualMass(_) => plain(calibration_error(&risks, &labels, protocol.binning), Unit::Share),
    };
    let floor = calibration_noise_floor(&risks, protocol.binning, protocol.noise_draws, protocol.seed);
    let mut section = section(
        "calibration",
        "Calibration",
        "Whether of the conversations with risk p a share p is high risk. The noise floor is the error that a \
         perfectly calibrated system with the same risks would show on so few rows: an error at the floor is no \
         sign of bad calibration, and one below it none of good.",
    );
    let rows = vec![
        vec![text("Expected calibration error"), error],
        vec![text("Its noise floor"), plain(floor, Unit::Share)],
        vec![text("Brier score"), cell(intervals, "brier", Unit::Share)],
    ];
    section.tables.push(table("Calibration", &["Figure", "Value"], rows));
    let bin = |bin: &mindrail_core::metrics::ReliabilityBin| ReliabilityBin {
        score: bin.mean_probability,
        observed: bin.share(),
        interval: Interval { low: bin.interval.0, high: bin.interval.1 },
        count: bin.rows as u64,
    };
    section
        .charts
        .push(Chart::Reliability { title: "Reliability".to_owned(), bins: bins.iter().map(bin).collect() });
    Some(section)
}

fn prevalence(intervals: &Intervals) -> Section {
    let mut section = section(
        "prevalence",
        "Right calls at true prevalences",
        "Test sets hold about as many high-risk as low-risk conversations; the world does not. The share of calls \
         that would be right follows from recall and false-positive rate by Bayes' rule. References: 0.15 % of \
         the weekly users of a large assistant, 0.55 % of the messages of a prospective deployment, 25 % of the \
         texters of a helpline.",
    );
    let row = |(percent, _): &(&str, f64)| {
        vec![text(format!("{percent} %")), cell(intervals, &format!("ppv_at_{percent}pct"), Unit::Share)]
    };
    let rows = PREVALENCES.iter().map(row).collect();
    section.tables.push(table("Share of calls that are right", &["Prevalence", "Right calls"], rows));
    section
}

/// One row and bar for each signal; nothing where no item has signals on both sides.
fn signals(rows: &[Row<'_>], intervals: &Intervals) -> Option<Section> {
    let known: Vec<_> = rows.iter().filter_map(|row| row.signals).collect();
    if known.is_empty() {
        return None;
    }
    let support = |signal: Signal| known.iter().filter(|row| row[signal.index()].0).count() as u64;
    let row = |&signal: &Signal| {
        let mut row = vec![text(signal.wire()), Cell::Count(support(signal))];
        row.extend(
            ["f1", "precision", "recall", "auroc", "auprc"]
                .map(|figure| cell(intervals, &format!("{figure}@signal={}", signal.wire()), Unit::Share)),
        );
        row
    };
    let mut section = section(
        "signals",
        "The nine signals",
        "Signals are labelled for the whole conversation; a low-risk conversation may carry some.",
    );
    section.tables.push(table(
        &format!("Signals of {} conversations", known.len()),
        &["Signal", "Positives", "F1", "Precision", "Recall", "AUROC", "AUPRC"],
        Signal::ALL.iter().map(row).collect(),
    ));
    let name = |signal: Signal| format!("f1@signal={}", signal.wire());
    section.charts.push(Chart::Bars {
        title: "F1 of each signal".to_owned(),
        axis: "F1".to_owned(),
        bars: Signal::ALL.iter().map(|&s| bar(intervals, &name(s), s.wire(), support(s))).collect(),
    });
    Some(section)
}

fn slice_section(protocol: &Distress, rows: &[Row<'_>], intervals: &Intervals) -> Option<Section> {
    let all = slices(rows, 0);
    if all.is_empty() {
        return None;
    }
    let mut section = section(
        "slices",
        "Slices",
        &format!(
            "Slices with fewer than {} conversations have no figures: they would be chance.",
            protocol.min_slice
        ),
    );
    let mut by_slice: BTreeMap<&str, Vec<Vec<Cell>>> = BTreeMap::new();
    for (name, members) in &all {
        let (slice, value) = name.split_once('=').unwrap_or((name, ""));
        let positives = members.iter().filter(|&&place| rows[place].high_risk).count();
        let mut row = vec![text(value), Cell::Count(members.len() as u64), Cell::Count(positives as u64)];
        row.extend(
            ["f1", "precision", "recall", "fpr", "auroc"]
                .map(|figure| cell(intervals, &format!("{figure}@{name}"), Unit::Share)),
        );
        by_slice.entry(slice).or_default().push(row);
    }
    let columns =
        ["Slice", "Conversations", "High risk", "F1", "Precision", "Recall", "False positives", "AUROC"];
    section.tables =
        by_slice.into_iter().map(|(slice, rows)| table(&format!("By {slice}"), &columns, rows)).collect();
    let shown = slices(rows, protocol.min_slice);
    let bars =
        shown.iter().map(|(name, members)| bar(intervals, &format!("f1@{name}"), name, members.len() as u64));
    section.charts.push(Chart::Bars {
        title: "F1 of each slice".to_owned(),
        axis: "F1".to_owned(),
        bars: bars.collect(),
    });
    Some(section)
}

fn notes(protocol: &Distress, rows: &[Row<'_>]) -> Vec<String> {
    let positives = rows.iter().filter(|row| row.high_risk).count();
    let mut notes = vec![format!(
        "{positives} of {} conversations are high risk; precision and F1 hold for this share alone.",
        rows.len()
    )];
    if positives == 0 || positives == rows.len() {
        notes.push("Only one class is there, so that ranking figures are not defined.".to_owned());
    }
    let without = rows.iter().filter(|row| row.signals.is_none()).count();
    if without > 0 {
        notes.push(format!(
            "{without} conversations have no signals in gold or prediction; signal figures leave them out."
        ));
    }
    let certain = rows.iter().filter(|row| row.risk >= 1.0).count();
    if certain * 10 > rows.len() {
        notes.push(format!(
            "{certain} risks are exactly 1: their order is lost, and with it the top of the ranking."
        ));
    }
    if protocol.decision == Decision::Stated
        && rows.iter().any(|row| row.called != (row.risk >= protocol.threshold))
    {
        notes.push(
            "Some decisions of the system differ from its risk against the threshold; the decisions count."
                .to_owned(),
        );
    }
    notes
}

fn options(protocol: &Distress) -> BTreeMap<String, String> {
    let decision = match protocol.decision {
        Decision::Stated => "the system's own, else the threshold",
        Decision::Threshold => "the threshold",
    };
    let binning = match protocol.binning {
        Binning::EqualWidth(bins) => format!("{bins} bins of equal width"),
        Binning::EqualMass(bins) => format!("{bins} bins of equal mass"),
    };
    [
        ("decision", decision.to_owned()),
        ("threshold", protocol.threshold.to_string()),
        ("signal_threshold", protocol.signal_threshold.to_string()),
        ("calibration_bins", binning),
        ("noise_floor", format!("median of {} draws, seed {}", protocol.noise_draws, protocol.seed)),
        ("min_slice", protocol.min_slice.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
