//! What the distress report shows beside its figures: the decision, the curves
//! with the operating point, reliability, right calls at true prevalences, the
//! nine signals, and the slices.

use std::collections::BTreeMap;

use mindrail_core::metrics::{
    Binning, Confusion, calibration_error, calibration_noise_floor, pr_curve, reliability_bins,
};
use mindrail_core::taxonomy::{Signal, Taxonomy as _};

use super::evaluator::{PREVALENCES, Row, rows};
use super::{Decision, Distress, Judged};
use crate::protocol::figures::{
    CURVE_POINTS, bar, cell, count, names, plain, reliability, roc, section, slice_bars, slice_tables, table,
    text,
};
use crate::protocol::slice::Slice;
use crate::protocol::{Findings, Intervals};
use crate::published;
use crate::report::{Chart, Curve, Mark, Section, Unit};

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
        labels: names(&["high risk", "low risk"]),
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
    let found = confusion(rows);
    let mark = |x, y| Mark { name: "The decision".to_owned(), x, y };
    let mut section = section(
        "ranking",
        "Ranking",
        "How well the risk puts high-risk conversations first, whatever the threshold. \
         The mark is the decision that the figures above rest on.",
    );
    let decision = mark(found.false_positive_rate(), found.recall());
    section.charts.push(roc("ROC curve", &risks, &labels, decision)?);
    let points = pr_curve(&risks, &labels, CURVE_POINTS)?;
    let points = points.iter().map(|point| [point.recall, point.precision.unwrap_or(1.0)]).collect();
    let prevalence = labels.iter().filter(|label| **label).count() as f64 / labels.len() as f64;
    let chance = vec![[0.0, prevalence], [1.0, prevalence]];
    section.charts.push(Chart::Curves {
        title: "Precision and recall".to_owned(),
        x: "Recall".to_owned(),
        y: "Precision".to_owned(),
        curves: vec![Curve { name: "System".to_owned(), points }],
        marks: if found.tp + found.fp > 0 {
            vec![mark(found.recall(), found.precision())]
        } else {
            Vec::new()
        },
        chance: Some(Curve { name: "Chance".to_owned(), points: chance }),
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
    section.charts.push(reliability("Reliability", &bins));
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
    let support = |signal: Signal| known.iter().filter(|row| row[signal.index()].0).count();
    let row = |&signal: &Signal| {
        let mut row = vec![text(signal.wire()), count(support(signal))];
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
    let slices = Slice::all(rows.iter().map(|row| row.slices));
    slices.first()?;
    let words = format!(
        "Slices with fewer than {} conversations have no figures: they would be chance.",
        protocol.min_slice
    );
    let mut section = section("slices", "Slices", &words);
    let figures = [
        ("F1", "f1"),
        ("Precision", "precision"),
        ("Recall", "recall"),
        ("False positives", "fpr"),
        ("AUROC", "auroc"),
    ];
    section.tables = slice_tables(&slices, &figures, intervals);
    for (table, own) in section.tables.iter_mut().zip(slices.chunk_by(|a, b| a.key == b.key)) {
        table.columns.insert(2, "High risk".to_owned());
        for (cells, slice) in table.rows.iter_mut().zip(own) {
            let high_risk = slice.places.iter().filter(|&&place| rows[place].high_risk).count();
            cells.insert(2, count(high_risk));
        }
    }
    section.charts.push(Chart::Bars {
        title: "F1 of each slice".to_owned(),
        axis: "F1".to_owned(),
        bars: slice_bars(&slices, protocol.min_slice, "f1", intervals),
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
