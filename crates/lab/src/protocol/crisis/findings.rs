//! What the crisis report shows beside its figures: all levels and views side by
//! side, the sixteen labels, the tolerance curve, delays, warnings and false
//! alarms, early detection, slices, and what breaks the protocol.

use std::collections::BTreeMap;

use mindrail_core::metrics::crisis::{
    DelayCounts, LabelView, ProtocolViolations, WarningWindow, false_alarms, lead_times, onset_delays,
    protocol_violations,
};
use mindrail_core::metrics::{auroc, average_precision};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};

use super::evaluator::{Row, WIDEST, rows, scored, support};
use super::timing::{DEADLINES, false_positive_cost, rate};
use super::{Crisis, FalsePositiveCost, Judged, LatencyRate, StrayLabel, TurnAnswer};
use crate::protocol::figures::{bar, cell, count, plain, section, slice_bars, slice_tables, table, text};
use crate::protocol::slice::Slice;
use crate::protocol::{Findings, Intervals};
use crate::published;
use crate::report::{Bar, Cell, Chart, HistogramColumn, Section, Unit};

pub(super) fn findings(protocol: &Crisis, judged: &[Judged<'_, Crisis>], intervals: &Intervals) -> Findings {
    let rows = rows(judged);
    let mut sections = vec![
        levels(intervals),
        labels(&rows, intervals),
        tolerance(protocol, &rows, intervals),
        delays(&rows, intervals),
        warnings(protocol, &rows, intervals),
        early(protocol, &rows, intervals),
        slice_section(protocol, &rows, intervals),
    ];
    sections.extend(ranking(judged));
    sections.push(violations(judged, &rows));
    Findings {
        sections,
        published: published::crisis::rows(),
        notes: notes(judged, &rows, rate(protocol, &rows)),
        options: options(protocol, &rows),
    }
}

fn levels(intervals: &Intervals) -> Section {
    let views = [
        ("All labels", "turn", "dialogue"),
        ("Confirm only", "confirm", "confirm_dialogue"),
        ("Alert only", "alert", "alert_dialogue"),
        ("Type only", "type", "type_dialogue"),
        ("Time only", "time", "time_dialogue"),
        ("Any risk at all", "turn_any", "dialogue_any"),
    ];
    let row = |(title, turn, dialogue): (&str, &str, &str)| {
        let figures = ["f1", "precision", "recall"];
        let mut row = vec![text(title)];
        for level in [turn, dialogue] {
            row.extend(figures.map(|figure| cell(intervals, &format!("{level}_{figure}"), Unit::Share)));
        }
        row
    };
    let mut section = section(
        "levels",
        "When it shows, and that it shows",
        "At turn level a label must stand on its exact user turn; at dialogue level it must stand anywhere. \
         F1 is pooled over all labels, and turns without a label in gold and prediction do not enter it.",
    );
    section.tables.push(table(
        "Levels and views",
        &["Labels", "Turn F1", "Precision", "Recall", "Dialogue F1", "Precision", "Recall"],
        views.into_iter().map(row).collect(),
    ));
    section
}

/// User turns with a gold label, of all rows.
fn cases(rows: &[Row<'_>], label: CrisisLabel) -> usize {
    let turns = rows.iter().flat_map(|row| &row.dialogue.turns);
    turns.filter(|turn| turn.gold.contains(label)).count()
}

fn labels(rows: &[Row<'_>], intervals: &Intervals) -> Section {
    let name = |figure: &str, label: CrisisLabel| format!("{figure}@label={}", label.wire());
    let row = |&label: &CrisisLabel| {
        let mut row = vec![text(label.wire()), count(cases(rows, label))];
        row.extend(
            ["f1", "precision", "recall"].map(|figure| cell(intervals, &name(figure, label), Unit::Share)),
        );
        row
    };
    let total: usize = CrisisLabel::ALL.iter().map(|&label| cases(rows, label)).sum();
    let mut section = section(
        "labels",
        "The sixteen labels",
        "At turn level. A label with few cases has a wide interval: read that, not the value.",
    );
    section.tables.push(table(
        &format!("{total} labels on user turns"),
        &["Label", "Cases", "F1", "Precision", "Recall"],
        CrisisLabel::ALL.iter().map(row).collect(),
    ));
    let one = |&label: &CrisisLabel| bar(intervals, &name("f1", label), label.wire(), cases(rows, label));
    section.charts.push(Chart::Bars {
        title: "Turn F1 of each label".to_owned(),
        axis: "F1".to_owned(),
        bars: CrisisLabel::ALL.iter().map(one).collect(),
    });
    section
}

fn tolerance(protocol: &Crisis, rows: &[Row<'_>], intervals: &Intervals) -> Section {
    let cases = support(&scored(rows, protocol.turn(protocol.turn_labels, 0)));
    let one = |within: usize| -> Bar {
        match within {
            0 => bar(intervals, "turn_f1", "exact turn", cases),
            _ => bar(intervals, &format!("turn_f1_within_{within}"), &format!("within {within}"), cases),
        }
    };
    let mut section = section(
        "tolerance",
        "Near misses",
        "Turn F1 where a label may be some user turns early or late; each prediction is matched to one onset.",
    );
    section.charts.push(Chart::Bars {
        title: "Turn F1 by tolerance in user turns".to_owned(),
        axis: "F1".to_owned(),
        bars: (0..=WIDEST).map(one).collect(),
    });
    section
}

fn delays(rows: &[Row<'_>], intervals: &Intervals) -> Section {
    let mut section = section(
        "delays",
        "Delay from the gold onset",
        "Predicted turn less gold turn, in user turns, for the same label: negative is early.",
    );
    let kinds = ["early", "on_time", "late", "missed"];
    let row = |(title, name): (&str, &str)| {
        let mut row = vec![text(title)];
        row.extend(kinds.map(|kind| cell(intervals, &format!("{name}_{kind}"), Unit::Share)));
        row.push(cell(intervals, &format!("{name}_median_delay"), Unit::Turns));
        row
    };
    section.tables.push(table(
        "Onsets that were called",
        &["Onset", "Early", "On time", "Late", "Missed", "Median delay"],
        [("Alerts", "alert"), ("Confirms", "confirm")].map(row).into(),
    ));
    for (title, view) in [("Alerts", LabelView::AlertOnly), ("Confirms", LabelView::ConfirmOnly)] {
        let delays = rows.iter().flat_map(|row| onset_delays(&row.dialogue, view));
        section.charts.push(histogram(&format!("{title}: delay in user turns"), &delays.collect(), "missed"));
    }
    section
}

/// A column for every delay between the least and the greatest, then the missed.
fn histogram(title: &str, counts: &DelayCounts, missed: &str) -> Chart {
    let ends = counts.histogram.first_key_value().zip(counts.histogram.last_key_value());
    let delays = ends.map_or_else(Vec::new, |((first, _), (last, _))| (*first..=*last).collect());
    let column = |delay: i64| HistogramColumn {
        name: if delay == 0 { "0".to_owned() } else { format!("{delay:+}") },
        count: counts.histogram.get(&delay).copied().unwrap_or(0) as u64,
    };
    let last = HistogramColumn { name: missed.to_owned(), count: counts.missed as u64 };
    Chart::Histogram {
        title: title.to_owned(),
        axis: "User turns".to_owned(),
        columns: delays.into_iter().map(column).chain([last]).collect(),
    }
}

fn warnings(protocol: &Crisis, rows: &[Row<'_>], intervals: &Intervals) -> Section {
    let mut section = section(
        "warnings",
        "Warnings and false alarms",
        "Lead time runs from the first correct warning to the Confirm: an Alert, or a Confirm of the same type in \
         either tense. A false alarm is a predicted label that no gold onset of the same label takes.",
    );
    let figures = [
        ("Confirms warned of at their turn or before", "warned_by_confirm", Unit::Share),
        ("Confirms warned of before their turn", "warned_before_confirm", Unit::Share),
        ("Median lead time of the warned, in user turns", "median_lead", Unit::Turns),
        ("False alarms per dialogue", "false_alarms_per_dialogue", Unit::Number),
        ("False alarms per 100 user turns", "false_alarms_per_100_turns", Unit::Number),
        ("Dialogues without crisis that raise an alarm", "quiet_alarmed", Unit::Share),
    ];
    let cells = figures.map(|(title, name, unit)| vec![text(title), cell(intervals, name, unit)]);
    section.tables.push(table("Warnings", &["Figure", "Value"], cells.into()));
    let dialogues: Vec<_> = rows.iter().map(|row| row.dialogue.clone()).collect();
    let alarms = (0..=WIDEST).map(|tolerance| {
        let found = false_alarms(&dialogues, LabelView::All, tolerance);
        vec![
            text(if tolerance == 0 { "exact turn".to_owned() } else { format!("within {tolerance}") }),
            Cell::Count(found.alarms as u64),
            plain(found.per_dialogue(), Unit::Number),
            plain(found.per_100_turns(), Unit::Number),
        ]
    });
    let columns = ["Tolerance in user turns", "False alarms", "Per dialogue", "Per 100 user turns"];
    section.tables.push(table("False alarms by tolerance", &columns, alarms.collect()));
    let leads = rows.iter().flat_map(|row| lead_times(&row.dialogue, protocol.window));
    let mut counts = DelayCounts::default();
    for lead in leads {
        match lead.lead {
            Some(turns) => *counts.histogram.entry(turns).or_default() += 1,
            None => counts.missed += 1,
        }
    }
    section.charts.push(histogram("Lead time before Confirms", &counts, "no warning"));
    section
}

fn early(protocol: &Crisis, rows: &[Row<'_>], intervals: &Intervals) -> Section {
    let cost = false_positive_cost(protocol, rows);
    let rate = rate(protocol, rows).map_or("not defined".to_owned(), |rate| format!("{rate:.4}"));
    let mut section = section(
        "early",
        "Early detection",
        &format!(
            "The figures of the eRisk tasks, from the start of the dialogue: one decision for each dialogue, at the \
             first user turn with any predicted label. ERDE o: a right decision loses half its worth after o user \
             turns; a miss costs 1, a wrong decision {cost:.4}. F latency: F1 of the decision times its speed, with \
             p = {rate}. Delays are in user turns. Both depend on the data set: compare systems on the same one only."
        ),
    );
    let mut cells: Vec<_> = DEADLINES
        .iter()
        .map(|o| {
            vec![
                text(format!("ERDE {o} (lower is better)")),
                cell(intervals, &format!("erde_{o}"), Unit::Share),
            ]
        })
        .collect();
    cells.push(vec![text("F latency"), cell(intervals, "f_latency", Unit::Share)]);
    cells.push(vec![text("Speed"), cell(intervals, "speed", Unit::Share)]);
    cells.push(vec![text("Median latency in user turns"), cell(intervals, "median_latency", Unit::Turns)]);
    section.tables.push(table("Early detection", &["Figure", "Value"], cells));
    section
}

fn slice_section(protocol: &Crisis, rows: &[Row<'_>], intervals: &Intervals) -> Section {
    let mut section = section(
        "slices",
        "Slices",
        &format!(
            "Slices with fewer than {} dialogues have no figures. Reveal is the user turn of the first gold Confirm; \
             its cuts come from a third party's analysis and are not verified against the paper.",
            protocol.min_slice
        ),
    );
    let slices = Slice::all(rows.iter().map(|row| row.slices));
    let figures = [
        ("Turn F1", "turn_f1"),
        ("Precision", "turn_precision"),
        ("Recall", "turn_recall"),
        ("Dialogue F1", "dialogue_f1"),
        ("Exact match", "exact_match"),
    ];
    section.tables = slice_tables(&slices, &figures, intervals);
    section.charts.push(Chart::Bars {
        title: "Turn F1 of each slice".to_owned(),
        axis: "F1".to_owned(),
        bars: slice_bars(&slices, protocol.min_slice, "turn_f1", intervals),
    });
    section
}

/// How the probabilities rank user turns; nothing unless every user turn of
/// every item has them.
fn ranking(judged: &[Judged<'_, Crisis>]) -> Option<Section> {
    let mut turns = Vec::new();
    for one in judged {
        let scores = one.prediction.probabilities.as_ref()?;
        if scores.len() != one.item.gold.turns.len() {
            return None;
        }
        let all = one.item.gold.turns.iter().zip(scores).zip(&one.prediction.turns);
        turns.extend(all.filter_map(|(turn, said)| said.labels().map(|_| turn)));
    }
    let row = |name: &str, scores: Vec<f64>, labels: Vec<bool>| {
        vec![
            text(name),
            Cell::Count(labels.iter().filter(|label| **label).count() as u64),
            plain(auroc(&scores, &labels), Unit::Share),
            plain(average_precision(&scores, &labels), Unit::Share),
        ]
    };
    let highest = |p: &mindrail_core::taxonomy::Scores<CrisisLabel>| f64::from(p.top().1.get());
    let any = turns.iter().map(|(gold, p)| (highest(p), !gold.is_empty())).unzip();
    let mut cells = vec![row("any label, by the highest probability", any.0, any.1)];
    cells.extend(CrisisLabel::ALL.iter().map(|&label| {
        let own = turns.iter().map(|(gold, p)| (f64::from(p[label].get()), gold.contains(label))).unzip();
        row(label.wire(), own.0, own.1)
    }));
    let mut section = section(
        "ranking",
        "Ranking of user turns",
        "How well the probabilities put the turns of an onset first, whatever the thresholds.",
    );
    section.tables.push(table("Ranking", &["Label", "Cases", "AUROC", "AUPRC"], cells));
    Some(section)
}

/// Predicted names that are no label, and dialogues of which more turns are
/// predicted than there are user turns.
fn malformed(judged: &[Judged<'_, Crisis>]) -> (u64, u64) {
    let unknown = |one: &Judged<'_, Crisis>| {
        let of_turn = |turn: &TurnAnswer| match turn {
            TurnAnswer::Labels { unknown, .. } => *unknown as u64,
            TurnAnswer::Unanswered(_) => 0,
        };
        one.prediction.turns.iter().map(of_turn).sum::<u64>()
    };
    let uneven = judged.iter().filter(|one| one.prediction.turns.len() != one.item.gold.turns.len());
    (judged.iter().map(unknown).sum(), uneven.count() as u64)
}

fn violations(judged: &[Judged<'_, Crisis>], rows: &[Row<'_>]) -> Section {
    let (mut gold, mut predicted) = (ProtocolViolations::default(), ProtocolViolations::default());
    for row in rows {
        let turns = &row.dialogue.turns;
        gold += protocol_violations(&turns.iter().map(|turn| turn.gold).collect::<Vec<_>>());
        predicted += protocol_violations(&turns.iter().map(|turn| turn.predicted).collect::<Vec<_>>());
    }
    let (unknown, uneven) = malformed(judged);
    let stray = |kind: fn(&StrayLabel) -> bool| {
        judged.iter().flat_map(|one| &one.item.gold.stray).filter(|label| kind(label)).count() as u64
    };
    let unknown_gold = stray(|label| matches!(label, StrayLabel::Unknown(_)));
    let off_user = stray(|label| matches!(label, StrayLabel::OffUserTurn(_)));
    let row =
        |title: &str, gold: u64, predicted: u64| vec![text(title), Cell::Count(gold), Cell::Count(predicted)];
    let both = |title: &str, count: fn(&ProtocolViolations) -> usize| {
        row(title, count(&gold) as u64, count(&predicted) as u64)
    };
    let mut section = section(
        "violations",
        "What breaks the protocol",
        "An event has at most one Alert and one Confirm. Alerts name no event, so that a second one may be right.",
    );
    section.tables.push(table(
        "Violations",
        &["Kind", "Gold", "Predicted"],
        vec![
            both("A Confirm of the same label again", |found| found.repeated_confirms),
            both("An Alert of the same tense again", |found| found.repeated_alerts),
            both("An Alert after the last Confirm of its tense", |found| found.alerts_after_confirm),
            row("A name that is no label (not scored)", unknown_gold, unknown),
            row("A label on a turn that is not the user's (not scored)", off_user, 0),
            row("A dialogue with too many turns", 0, uneven),
        ],
    ));
    section
}

fn notes(judged: &[Judged<'_, Crisis>], rows: &[Row<'_>], rate: Option<f64>) -> Vec<String> {
    let turns: usize = rows.iter().map(|row| row.dialogue.turns.len()).sum();
    let labelled =
        rows.iter().flat_map(|row| &row.dialogue.turns).filter(|turn| !turn.gold.is_empty()).count();
    let mut notes = vec![format!(
        "{labelled} of {turns} user turns carry a label: a system that never says anything matches {:.2} % of the \
         turns exactly and has F1 0. Labels mark onsets, so that a turn without one is not thereby safe.",
        100.0 * (turns - labelled) as f64 / turns.max(1) as f64
    )];
    let stray: Vec<_> = judged.iter().flat_map(|one| &one.item.gold.stray).collect();
    if !stray.is_empty() {
        notes.push(format!("{} gold labels cannot be scored: {}.", stray.len(), stray_names(&stray)));
    }
    let (unknown, uneven) = malformed(judged);
    if unknown > 0 {
        notes.push(format!("{unknown} predicted names are no label; they were left out and cost nothing."));
    }
    if uneven > 0 {
        notes.push(format!(
            "{uneven} predictions have more turns than the dialogue has user turns; the surplus counts as nothing."
        ));
    }
    if rate.is_none() {
        notes.push("The median dialogue has one user turn, so that F latency is not defined.".to_owned());
    }
    notes
}

/// Label names with their numbers; label names are no conversation text.
fn stray_names(stray: &[&StrayLabel]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for label in stray {
        let name = match label {
            StrayLabel::Unknown(_) => "unknown names".to_owned(),
            StrayLabel::OffUserTurn(name) if CrisisLabel::from_wire(name).is_ok() => {
                format!("{name} off a user turn")
            }
            StrayLabel::OffUserTurn(_) => "unknown names off a user turn".to_owned(),
        };
        *counts.entry(name).or_default() += 1;
    }
    let words: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    words.join(", ")
}

/// An option's value as it stands in JSON.
fn wire<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).map_or_else(
        |_| String::new(),
        |value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        },
    )
}

fn options(protocol: &Crisis, rows: &[Row<'_>]) -> BTreeMap<String, String> {
    let cost = match protocol.false_positive_cost {
        FalsePositiveCost::PositiveShare => "share of dialogues with a label: ",
        FalsePositiveCost::Fixed(_) => "fixed: ",
    };
    let rule = match protocol.latency_rate {
        LatencyRate::MedianOfDialogues => "ln 3 / (median user turns of all dialogues - 1): ",
        LatencyRate::MedianOfPositives => "ln 3 / (median user turns of dialogues with a label - 1): ",
        LatencyRate::Fixed(_) => "fixed: ",
    };
    let p = rate(protocol, rows).map_or("not defined".to_owned(), |rate| format!("{rate:.6}"));
    let window = match protocol.window {
        WarningWindow::FromStart => "from the first turn",
        WarningWindow::FromOnset => "from the gold onset",
    };
    [
        ("turn_labels", wire(protocol.turn_labels)),
        ("dialogue_labels", wire(protocol.dialogue_labels)),
        ("empty_dialogues", wire(protocol.empty)),
        ("empty_turns", "not a class".to_owned()),
        ("unknown_predicted_names", "left out and counted".to_owned()),
        ("unanswered_turns", "without a label, or left out with --unanswered left-out".to_owned()),
        ("macro_over", wire(protocol.macro_over)),
        ("correct_warning", window.to_owned()),
        ("false_alarm_tolerance", protocol.false_alarm_tolerance.to_string()),
        ("erde_o", wire(DEADLINES)),
        ("erde_false_positive_cost", format!("{cost}{:.6}", false_positive_cost(protocol, rows))),
        ("latency_p", format!("{rule}{p}")),
        ("delay_unit", "user turns".to_owned()),
        ("min_slice", protocol.min_slice.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
