//! The crisis figures under any draw of the clusters: all of them follow from
//! sums over dialogues, which core's functions give for one dialogue at a time.

use std::collections::BTreeMap;

use mindrail_core::metrics::crisis::{CrisisDialogue, CrisisReading, LabelView, count_crisis};
use mindrail_core::metrics::{MicroF1, MultilabelCounts};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};
use rayon::prelude::*;

use super::{Crisis, Judged, dialogue, timing};
use crate::protocol::definition::{Definition, f1, ratio, three};
use crate::protocol::evaluation::{Entries, Evaluation, Measure, Summary, counts, entries};
use crate::protocol::slice::Slice;

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

/// The evaluator.
pub(super) fn evaluator(protocol: &Crisis, judged: &[Judged<'_, Crisis>], numbers: &[usize]) -> Evaluation {
    let rows = rows(judged);
    let turn = scored(&rows, protocol.turn(protocol.turn_labels, 0));
    let whole = scored(&rows, protocol.dialogue(protocol.dialogue_labels));
    let mut measures = vec![
        headline(protocol, ["turn", "Turn"], &turn),
        headline(protocol, ["dialogue", "Dialogue"], &whole),
    ];
    measures.extend(views(protocol, &rows));
    measures.extend((1..=WIDEST).map(|within| tolerance(protocol, within, &rows)));
    measures.extend(timing::measures(protocol, &rows));
    measures.push(per_label(&scored(&rows, protocol.turn(LabelView::All, 0))));
    let mut slices = Slice::all(rows.iter().map(|row| row.slices));
    slices.retain(|slice| slice.items() >= protocol.min_slice);
    for slice in &slices {
        let turns = slice.places.iter().map(|&place| (place, &turn[place]));
        measures.push(sliced_turns(slice, turns));
        let dialogues = slice.places.iter().map(|&place| (place, &whole[place]));
        measures.push(pooled(dialogues, vec![f1_of("dialogue_f1", "Dialogue F1").of_slice(slice)]));
    }
    Evaluation::new(numbers, measures, Vec::new()).headed(&HEAD)
}

/// The counts of each dialogue under a reading.
pub(super) fn scored(rows: &[Row<'_>], reading: CrisisReading) -> Vec<MultilabelCounts> {
    rows.par_iter().map(|row| count_crisis(&row.dialogue, &reading)).collect()
}

impl Summary for MultilabelCounts {
    /// From the sums tp, fp and fn of each label, then rows, exact rows, and tp,
    /// fp, fn of "any label".
    fn of(sums: &[f64]) -> Self {
        let (labels, any) = sums.split_at(sums.len() - 5);
        let mut found = Self { labels: Vec::of(labels), ..Self::default() };
        [found.rows, found.exact, found.any.tp, found.any.fp, found.any.fn_] = counts(any);
        found
    }
}

/// What a dialogue adds to these sums.
fn all_entries(found: &MultilabelCounts) -> Entries {
    let any = [found.rows, found.exact, found.any.tp, found.any.fp, found.any.fn_];
    entries(label_counts(found).chain(any))
}

fn label_counts(found: &MultilabelCounts) -> impl Iterator<Item = usize> + '_ {
    found.labels.iter().flat_map(|label| [label.tp, label.fp, label.fn_])
}

/// Figures of all labels pooled.
fn pooled<'a>(
    found: impl Iterator<Item = (usize, &'a MultilabelCounts)>,
    figures: Vec<Definition<MicroF1>>,
) -> Measure {
    let pooled = |found: &MultilabelCounts| {
        let MicroF1 { tp, fp, fn_ } = found.micro();
        entries([tp, fp, fn_])
    };
    Measure::new(3, found.map(|(place, found)| (place, pooled(found))), figures)
}

fn f1_of(name: impl Into<String>, title: impl Into<String>) -> Definition<MicroF1> {
    Definition::share(name, title, |found: &MicroF1| f1(*found))
}

/// The number of gold labels.
pub(super) fn support(found: &[MultilabelCounts]) -> usize {
    let all: MicroF1 = found.iter().map(MultilabelCounts::micro).sum();
    all.tp + all.fn_
}

/// How the F1, precision and recall of a level or view are called.
fn named(name: &str, title: &str) -> impl Fn(&str, &str) -> [String; 2] {
    move |figure, _| {
        let words = if figure == "f1" { "F1" } else { figure };
        [format!("{name}_{figure}"), format!("{title} {words}")]
    }
}

/// The full figures of a level.
fn headline(protocol: &Crisis, [name, title]: [&str; 2], found: &[MultilabelCounts]) -> Measure {
    let support = support(found);
    let pooled = three(named(name, title), |found: &MultilabelCounts| found.micro());
    let mut figures: Vec<_> = pooled.into_iter().map(|figure| figure.on(support)).collect();
    let over = protocol.macro_over;
    figures.push(Definition::share(
        format!("{name}_macro_f1"),
        format!("{title} macro F1"),
        move |found: &MultilabelCounts| Some(found.macro_average(over)?.f1),
    ));
    let exact = if name == "turn" { "exact_match".to_owned() } else { format!("{name}_exact_match") };
    figures.push(Definition::share(exact, format!("{title} exact match"), MultilabelCounts::exact_match));
    let (any_name, any_title) = (format!("{name}_any"), format!("{title} any-risk"));
    figures.extend(three(named(&any_name, &any_title), |found: &MultilabelCounts| found.any));
    let labels = found.first().map_or(0, |found| found.labels.len());
    let all = found.iter().enumerate().map(|(place, found)| (place, all_entries(found)));
    Measure::new(3 * labels + 5, all, figures)
}

/// Confirms only, alerts only, types only, tenses only, of turns and dialogues.
fn views(protocol: &Crisis, rows: &[Row<'_>]) -> Vec<Measure> {
    let views = [
        ("confirm", "Confirm-only", LabelView::ConfirmOnly),
        ("alert", "Alert-only", LabelView::AlertOnly),
        ("type", "Type-only", LabelView::TypeOnly),
        ("time", "Time-only", LabelView::TimeOnly),
    ];
    let levels = views.into_iter().flat_map(|(name, title, view)| {
        [
            (name.to_owned(), format!("{title} turn"), protocol.turn(view, 0)),
            (format!("{name}_dialogue"), format!("{title} dialogue"), protocol.dialogue(view)),
        ]
    });
    let measure = |(name, title, reading): (String, String, CrisisReading)| {
        let found = scored(rows, reading);
        let support = support(&found);
        let figures = three(named(&name, &title), |found: &MicroF1| *found).into_iter();
        pooled(found.iter().enumerate(), figures.map(|figure| figure.on(support)).collect())
    };
    levels.map(measure).collect()
}

fn tolerance(protocol: &Crisis, within: usize, rows: &[Row<'_>]) -> Measure {
    let found = scored(rows, protocol.turn(protocol.turn_labels, within));
    let title = format!("Turn F1 within {within} user turns");
    pooled(found.iter().enumerate(), vec![f1_of(format!("turn_f1_within_{within}"), title)])
}

/// F1, precision and recall of each of the sixteen labels.
fn per_label(found: &[MultilabelCounts]) -> Measure {
    let mut figures = Vec::new();
    for &label in CrisisLabel::ALL {
        let place = label.index();
        let gold = |found: &MultilabelCounts| found.labels[place].tp + found.labels[place].fn_;
        let support = found.iter().map(gold).sum();
        let names = |figure: &str, title: &str| {
            [format!("{figure}@label={}", label.wire()), format!("{title}, {}", label.wire())]
        };
        let own = three(names, move |labels: &Vec<MicroF1>| labels[place]);
        figures.extend(own.into_iter().map(|figure| figure.on(support)));
    }
    let counts = found.iter().enumerate().map(|(place, found)| (place, entries(label_counts(found))));
    Measure::new(3 * CrisisLabel::ALL.len(), counts, figures)
}

/// The turn level of a slice.
fn sliced_turns<'a>(slice: &Slice, found: impl Iterator<Item = (usize, &'a MultilabelCounts)>) -> Measure {
    let mut figures = three(named("turn", "Turn"), |sums: &[f64; 5]| MicroF1::of(&sums[..3]));
    let exact = |sums: &[f64; 5]| ratio(sums[3], sums[4]);
    figures.push(Definition::share("exact_match", "Exact match", exact));
    let sums = |found: &MultilabelCounts| {
        let MicroF1 { tp, fp, fn_ } = found.micro();
        entries([tp, fp, fn_, found.exact, found.rows])
    };
    let figures = figures.into_iter().map(|figure| figure.of_slice(slice)).collect();
    Measure::new(5, found.map(|(place, found)| (place, sums(found))), figures)
}
