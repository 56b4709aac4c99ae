//! The crisis figures under any draw of the clusters: all of them follow from
//! sums over dialogues, which core's functions give for one dialogue at a time.

use std::collections::BTreeMap;

use mindrail_core::metrics::crisis::{CrisisDialogue, CrisisReading, LabelView, count_crisis};
use mindrail_core::metrics::{MicroF1, MultilabelCounts};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};

use super::{Crisis, Judged, dialogue, timing};
use crate::protocol::tally::{Line, Measure, Tally, ratio};

/// The figures that stand at the head of a report, in this order.
const HEAD: [&str; 6] =
    ["turn_f1", "dialogue_f1", "confirm_f1", "confirm_dialogue_f1", "exact_match", "turn_macro_f1"];
/// Largest tolerance of the curve, in user turns.
pub(super) const WIDEST: usize = 3;

/// What the figures need of an item.
pub(super) struct Row<'a> {
    pub(super) dialogue: CrisisDialogue,
    pub(super) slices: &'a BTreeMap<String, String>,
}

/// What the figures need of the items, in order.
pub(super) fn rows<'a>(judged: &'a [Judged<'a, Crisis>]) -> Vec<Row<'a>> {
    judged.iter().map(|one| Row { dialogue: dialogue(one), slices: &one.item.slices }).collect()
}

/// Number of dialogues of each slice value, by `slice=value`.
pub(super) fn slices(rows: &[Row<'_>]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (slice, value) in rows.iter().flat_map(|row| row.slices) {
        *found.entry(format!("{slice}={value}")).or_insert(0) += 1;
    }
    found
}

/// The evaluator.
pub(super) fn evaluator(protocol: &Crisis, judged: &[Judged<'_, Crisis>], numbers: &[usize]) -> Tally {
    let rows = rows(judged);
    let slices = slices(&rows);
    let mut measures = levels(protocol, &rows);
    measures.extend((1..=WIDEST).map(|within| tolerance(protocol, within)));
    measures.extend(timing::measures(protocol, &rows));
    measures.push(per_label(protocol, &rows));
    let enough = slices.iter().filter(|(_, size)| **size >= protocol.min_slice);
    measures.extend(enough.flat_map(|(name, &size)| sliced(protocol, name, size as u64)));
    Tally::new(&rows, numbers, measures).headed(&HEAD)
}

/// tp, fp and fn of each label, then rows, exact rows, and tp, fp, fn of "any label".
fn sums(dialogue: &CrisisDialogue, reading: &CrisisReading) -> Vec<f64> {
    let counts = count_crisis(dialogue, reading);
    let labels = counts.labels.iter().flat_map(|label| [label.tp, label.fp, label.fn_]);
    let any = [counts.rows, counts.exact, counts.any.tp, counts.any.fp, counts.any.fn_];
    labels.chain(any).map(|count| count as f64).collect()
}

/// The same counts as core's, from their sums.
fn counts(sums: &[f64]) -> MultilabelCounts {
    let whole = |sum: &f64| *sum as usize;
    let (labels, any) = sums.split_at(sums.len().saturating_sub(5));
    let mut counts = MultilabelCounts::new(0);
    counts.labels = labels.chunks_exact(3).map(micro).collect();
    if let [rows, exact, tp, fp, fn_] = any {
        (counts.rows, counts.exact) = (whole(rows), whole(exact));
        (counts.any.tp, counts.any.fp, counts.any.fn_) = (whole(tp), whole(fp), whole(fn_));
    }
    counts
}

fn micro(sums: &[f64]) -> MicroF1 {
    let count = |place: usize| sums.get(place).map_or(0, |sum| *sum as usize);
    MicroF1 { tp: count(0), fp: count(1), fn_: count(2) }
}

/// F1; none without anything in gold and prediction.
fn f1(found: MicroF1) -> Option<f64> {
    (found.tp + found.fp + found.fn_ > 0).then(|| found.f1())
}

/// Precision; none without predictions.
fn precision(found: MicroF1) -> Option<f64> {
    (found.tp + found.fp > 0).then(|| found.precision())
}

/// Recall; none without gold.
fn recall(found: MicroF1) -> Option<f64> {
    (found.tp + found.fn_ > 0).then(|| found.recall())
}

/// F1, precision and recall of some counts that the sums hold.
fn three(name: &str, title: &str, of: fn(&[f64]) -> MicroF1, support: u64) -> Vec<Line> {
    let line = |figure: &str, words: &str, ratio: fn(MicroF1) -> Option<f64>| {
        Line::share(format!("{name}_{figure}"), format!("{title} {words}"), move |sums: &[f64]| {
            ratio(of(sums))
        })
        .with_support(support)
    };
    vec![line("f1", "F1", f1), line("precision", "precision", precision), line("recall", "recall", recall)]
}

fn all_labels(sums: &[f64]) -> MicroF1 {
    counts(sums).micro()
}

fn any_label(sums: &[f64]) -> MicroF1 {
    let any = counts(sums).any;
    MicroF1 { tp: any.tp, fp: any.fp, fn_: any.fn_ }
}

/// The number of gold labels under a reading.
pub(super) fn support(rows: &[Row<'_>], reading: &CrisisReading) -> u64 {
    let gold = |row: &Row<'_>| {
        let found = count_crisis(&row.dialogue, reading).micro();
        found.tp + found.fn_
    };
    rows.iter().map(gold).sum::<usize>() as u64
}

/// Every level and view: turns and dialogues, all labels, confirms only, alerts
/// only, types only, tenses only, and any risk at all.
fn levels<'a>(protocol: &Crisis, rows: &[Row<'_>]) -> Vec<Measure<'a, Row<'a>>> {
    let turn = |labels| protocol.turn(labels, 0);
    let whole = |labels| protocol.dialogue(labels);
    let named = [
        ("confirm", "Confirm-only turn", turn(LabelView::ConfirmOnly)),
        ("confirm_dialogue", "Confirm-only dialogue", whole(LabelView::ConfirmOnly)),
        ("alert", "Alert-only turn", turn(LabelView::AlertOnly)),
        ("alert_dialogue", "Alert-only dialogue", whole(LabelView::AlertOnly)),
        ("type", "Type-only turn", turn(LabelView::TypeOnly)),
        ("type_dialogue", "Type-only dialogue", whole(LabelView::TypeOnly)),
        ("time", "Time-only turn", turn(LabelView::TimeOnly)),
        ("time_dialogue", "Time-only dialogue", whole(LabelView::TimeOnly)),
    ];
    let mut measures = vec![
        headline(protocol, "turn", "Turn", turn(protocol.turn_labels), rows),
        headline(protocol, "dialogue", "Dialogue", whole(protocol.dialogue_labels), rows),
    ];
    measures.extend(named.map(|(name, title, reading)| {
        let lines = three(name, title, all_labels, support(rows, &reading));
        Measure::new(move |row: &Row<'_>| sums(&row.dialogue, &reading), lines)
    }));
    measures
}

fn headline<'a>(
    protocol: &Crisis,
    name: &str,
    title: &str,
    reading: CrisisReading,
    rows: &[Row<'_>],
) -> Measure<'a, Row<'a>> {
    let macro_over = protocol.macro_over;
    let mut lines = three(name, title, all_labels, support(rows, &reading));
    lines.push(Line::share(format!("{name}_macro_f1"), format!("{title} macro F1"), move |sums| {
        Some(counts(sums).macro_average(macro_over)?.f1)
    }));
    let exact = if name == "turn" { "exact_match".to_owned() } else { format!("{name}_exact_match") };
    lines.push(Line::share(exact, format!("{title} exact match"), |sums| counts(sums).exact_match()));
    lines.extend(three(&format!("{name}_any"), &format!("{title} any-risk"), any_label, 0).into_iter().map(
        |mut line| {
            line.figure.support = None;
            line
        },
    ));
    Measure::new(move |row: &Row<'_>| sums(&row.dialogue, &reading), lines)
}

fn tolerance<'a>(protocol: &Crisis, within: usize) -> Measure<'a, Row<'a>> {
    let reading = protocol.turn(protocol.turn_labels, within);
    let line =
        Line::share(format!("turn_f1_within_{within}"), format!("Turn F1 within {within} user turns"), |s| {
            f1(all_labels(s))
        });
    Measure::new(move |row: &Row<'_>| sums(&row.dialogue, &reading), vec![line])
}

/// F1, precision and recall of each of the sixteen labels.
fn per_label<'a>(protocol: &Crisis, rows: &[Row<'_>]) -> Measure<'a, Row<'a>> {
    let reading = protocol.turn(LabelView::All, 0);
    let mut lines = Vec::new();
    for &label in CrisisLabel::ALL {
        let place = 3 * label.index();
        let gold = rows.iter().flat_map(|row| &row.dialogue.turns).filter(|turn| turn.gold.contains(label));
        let support = gold.count() as u64;
        let mut line = |figure: &str, ratio: fn(MicroF1) -> Option<f64>| {
            let name = format!("{figure}@label={}", label.wire());
            let title = format!("{}, {}", figure.to_uppercase(), label.wire());
            let formula = move |sums: &[f64]| ratio(micro(&sums[place..place + 3]));
            lines.push(Line::share(name, title, formula).with_support(support));
        };
        line("f1", f1);
        line("precision", precision);
        line("recall", recall);
    }
    Measure::new(move |row: &Row<'_>| sums(&row.dialogue, &reading), lines)
}

fn sliced<'a>(protocol: &Crisis, name: &'a str, size: u64) -> Vec<Measure<'a, Row<'a>>> {
    let (slice, value) = name.split_once('=').unwrap_or((name, ""));
    let measure = move |reading: CrisisReading, lines: Vec<Line>| {
        let zeros = 3 * reading.labels.names().len() + 5;
        let own = move |row: &Row<'_>| {
            let belongs = row.slices.get(slice).is_some_and(|own| own == value);
            if belongs { sums(&row.dialogue, &reading) } else { vec![0.0; zeros] }
        };
        Measure::new(own, lines)
    };
    let line = |figure: &str, title: &str, formula: fn(&[f64]) -> Option<f64>| {
        Line::share(format!("{figure}@{name}"), format!("{title}, {name}"), formula).with_support(size)
    };
    let turn = vec![
        line("turn_f1", "Turn F1", |sums| f1(all_labels(sums))),
        line("turn_precision", "Turn precision", |sums| precision(all_labels(sums))),
        line("turn_recall", "Turn recall", |sums| recall(all_labels(sums))),
        line("exact_match", "Exact match", |sums| {
            let counts = counts(sums);
            ratio(counts.exact as f64, counts.rows as f64)
        }),
    ];
    let whole = vec![line("dialogue_f1", "Dialogue F1", |sums| f1(all_labels(sums)))];
    vec![
        measure(protocol.turn(protocol.turn_labels, 0), turn),
        measure(protocol.dialogue(protocol.dialogue_labels), whole),
    ]
}
