//! Timing figures: delays from the gold onset, time won before a Confirm, false
//! alarms, and the early-detection figures of eRisk. Each is summed as a
//! histogram, from which core's own counts are made again under every draw.

use std::num::NonZeroUsize;

use mindrail_core::metrics::Confusion;
use mindrail_core::metrics::crisis::{
    CrisisDialogue, DelayCounts, EarlyDecision, ErdeCosts, LabelView, LatencyCounts, LeadTime, OnsetDelay,
    early_decision, erde_cost, false_alarms, latency_rate, lead_times, onset_delays,
};

use super::evaluator::Row;
use super::{Crisis, FalsePositiveCost, LatencyRate};
use crate::protocol::definition::{Definition, ratio};
use crate::protocol::evaluation::{Entries, Measure, Summary, entries, one, place_of_decision};
use crate::report::{Better, Unit};

/// Delays and latencies beyond this many user turns are counted at this many.
/// Only a median that lies there could differ for it.
const FARTHEST: i64 = 64;
/// The deadlines o of ERDE, in user turns; eRisk's 5 and 50 are for long histories.
pub(super) const DEADLINES: [u32; 4] = [1, 2, 3, 5];

/// The measures of this module.
pub(super) fn measures(protocol: &Crisis, rows: &[Row<'_>]) -> Vec<Measure> {
    let mut measures = vec![
        delays("alert", "Alerts", LabelView::AlertOnly, rows),
        delays("confirm", "Confirms", LabelView::ConfirmOnly, rows),
        warnings(protocol, rows),
        alarms(protocol.false_alarm_tolerance, rows),
        latency(protocol, rows),
    ];
    let cost = false_positive_cost(protocol, rows);
    measures.extend(DEADLINES.map(|o| erde(o, cost, rows)));
    measures
}

/// What each dialogue adds to a table.
fn placed<'a>(
    rows: &'a [Row<'_>],
    entries: impl Fn(&CrisisDialogue) -> Entries + 'a,
) -> impl Iterator<Item = (usize, Entries)> + 'a {
    rows.iter().enumerate().map(move |(place, row)| (place, entries(&row.dialogue)))
}

/// Cells of a histogram: the delays from -[`FARTHEST`] to [`FARTHEST`], then
/// those without one.
const DELAYS: usize = 2 * FARTHEST as usize + 2;

fn histogram(delays: impl Iterator<Item = Option<i64>>) -> Entries {
    let cell = |delay: i64| (delay.clamp(-FARTHEST, FARTHEST) + FARTHEST) as usize;
    delays.map(|delay| one(delay.map_or(DELAYS - 1, cell))).collect()
}

impl Summary for DelayCounts {
    fn of(sums: &[f64]) -> Self {
        let called = sums[..DELAYS - 1].iter().enumerate().filter(|(_, count)| **count > 0.0);
        Self {
            histogram: called.map(|(place, &count)| (place as i64 - FARTHEST, count as usize)).collect(),
            missed: sums[DELAYS - 1] as usize,
        }
    }
}

fn delays(name: &str, title: &str, view: LabelView, rows: &[Row<'_>]) -> Measure {
    let support = rows.iter().map(|row| onset_delays(&row.dialogue, view).len()).sum();
    let share = |kind: &str, count: fn(&DelayCounts) -> usize, better| {
        let words = kind.replace('_', " ");
        Definition::share(
            format!("{name}_{kind}"),
            format!("{title}: {words}"),
            move |found: &DelayCounts| ratio(count(found) as f64, found.onsets() as f64),
        )
        .better(better)
        .on(support)
    };
    let median = Definition::share(
        format!("{name}_median_delay"),
        format!("{title}: median delay"),
        DelayCounts::median,
    );
    let figures = vec![
        share("early", DelayCounts::early, Better::Neither),
        share("on_time", DelayCounts::on_time, Better::Higher),
        share("late", DelayCounts::late, Better::Lower),
        share("missed", |found| found.missed, Better::Lower),
        median.in_unit(Unit::Turns).better(Better::Neither).on(support),
    ];
    let delay = |onset: OnsetDelay| onset.delay;
    let delays =
        move |dialogue: &CrisisDialogue| histogram(onset_delays(dialogue, view).into_iter().map(delay));
    Measure::new(DELAYS, placed(rows, delays), figures)
}

/// Leads: positive where the warning came before the Confirm.
fn warnings(protocol: &Crisis, rows: &[Row<'_>]) -> Measure {
    let window = protocol.window;
    let support = rows.iter().map(|row| lead_times(&row.dialogue, window).len()).sum();
    let warned = |name: &str, title: &str, count: fn(&DelayCounts) -> usize| {
        Definition::share(name, title, move |found: &DelayCounts| {
            ratio(count(found) as f64, found.onsets() as f64)
        })
        .on(support)
    };
    let lead = Definition::share("median_lead", "Median lead time of the warned", DelayCounts::median);
    let figures = vec![
        warned("warned_by_confirm", "Confirms warned of in time", |found| found.on_time() + found.late()),
        warned("warned_before_confirm", "Confirms warned of before", DelayCounts::late),
        lead.in_unit(Unit::Turns).on(support),
    ];
    let lead = |lead: LeadTime| lead.lead;
    let leads =
        move |dialogue: &CrisisDialogue| histogram(lead_times(dialogue, window).into_iter().map(lead));
    Measure::new(DELAYS, placed(rows, leads), figures)
}

fn alarms(tolerance: usize, rows: &[Row<'_>]) -> Measure {
    type Sums = [f64; 5];
    let per_dialogue =
        Definition::share("false_alarms_per_dialogue", "False alarms per dialogue", |sums: &Sums| {
            ratio(sums[0], sums[1])
        });
    let per_turns =
        Definition::share("false_alarms_per_100_turns", "False alarms per 100 user turns", |sums: &Sums| {
            Some(100.0 * ratio(sums[0], sums[2])?)
        });
    let quiet =
        Definition::share("quiet_alarmed", "Dialogues without crisis that raise an alarm", |sums: &Sums| {
            ratio(sums[3], sums[4])
        });
    let sums = move |dialogue: &CrisisDialogue| {
        let found = false_alarms(std::slice::from_ref(dialogue), LabelView::All, tolerance);
        let all = dialogue.union();
        let quiet = usize::from(all.gold.is_empty());
        let alarmed = usize::from(!all.predicted.is_empty());
        entries([found.alarms, 1, found.turns, quiet * alarmed, quiet])
    };
    let number = |figure: Definition<Sums>| figure.better(Better::Lower).in_unit(Unit::Number);
    let figures = vec![number(per_dialogue), number(per_turns), quiet.better(Better::Lower)];
    Measure::new(5, placed(rows, sums), figures)
}

/// The decision on a row's dialogue: any label at all.
fn decision(dialogue: &CrisisDialogue) -> EarlyDecision {
    early_decision(dialogue, LabelView::All)
}

/// The cost of a wrong yes that the option names.
pub(super) fn false_positive_cost(protocol: &Crisis, rows: &[Row<'_>]) -> f64 {
    match protocol.false_positive_cost {
        FalsePositiveCost::Fixed(cost) => cost,
        FalsePositiveCost::PositiveShare => {
            let positives = rows.iter().filter(|row| decision(&row.dialogue).positive).count();
            ratio(positives as f64, rows.len() as f64).unwrap_or(0.0)
        }
    }
}

fn erde(o: u32, false_positive: f64, rows: &[Row<'_>]) -> Measure {
    let costs = ErdeCosts::new(f64::from(o), false_positive);
    let mean = Definition::share(format!("erde_{o}"), format!("ERDE {o}"), |sums: &[f64; 2]| {
        ratio(sums[0], sums[1])
    });
    let cost = move |dialogue: &CrisisDialogue| vec![(0, erde_cost(decision(dialogue), &costs)), one(1)];
    Measure::new(2, placed(rows, cost), vec![mean.better(Better::Lower)])
}

/// The rate p that the option names; none where the median dialogue has one
/// user turn, so that no latency can be told from another.
pub(super) fn rate(protocol: &Crisis, rows: &[Row<'_>]) -> Option<f64> {
    let median = |of: &dyn Fn(&Row<'_>) -> bool| {
        let lengths = rows.iter().filter(|row| of(row)).map(|row| row.dialogue.turns.len());
        let counts = DelayCounts {
            histogram: lengths.fold(std::collections::BTreeMap::new(), |mut histogram, turns| {
                *histogram.entry(turns as i64).or_default() += 1;
                histogram
            }),
            missed: 0,
        };
        counts.median().and_then(latency_rate)
    };
    match protocol.latency_rate {
        LatencyRate::Fixed(rate) => Some(rate),
        LatencyRate::MedianOfDialogues => median(&|_| true),
        LatencyRate::MedianOfPositives => median(&|row| decision(&row.dialogue).positive),
    }
}

/// Cells of the decisions: tp, fp, fn, tn, then the number found after 1, 2, …
/// [`FARTHEST`] user turns.
const DECISIONS: usize = 4 + FARTHEST as usize;

impl Summary for LatencyCounts {
    fn of(sums: &[f64]) -> Self {
        let found = (1..=FARTHEST as usize).filter_map(|after| {
            let count = sums[3 + after] as usize;
            Some((NonZeroUsize::new(after)?, count)).filter(|_| count > 0)
        });
        Self { decisions: Confusion::of(&sums[..4]), latencies: found.collect() }
    }
}

fn latency(protocol: &Crisis, rows: &[Row<'_>]) -> Measure {
    let rate = rate(protocol, rows);
    let cells = |dialogue: &CrisisDialogue| {
        let EarlyDecision { positive, decided_after } = decision(dialogue);
        let found = decided_after.filter(|_| positive);
        let after = found.map(|after| one(3 + after.get().min(FARTHEST as usize)));
        after.into_iter().chain([one(place_of_decision(positive, decided_after.is_some()))]).collect()
    };
    let figure =
        Definition::share("f_latency", "F latency", move |found: &LatencyCounts| found.f_latency(rate?));
    let speed = Definition::share("speed", "Speed of right decisions", move |found: &LatencyCounts| {
        found.median_latency().and(rate).map(|rate| found.speed(rate))
    });
    let median = Definition::share(
        "median_latency",
        "Median latency of right decisions",
        LatencyCounts::median_latency,
    );
    let figures = vec![figure, speed, median.in_unit(Unit::Turns).better(Better::Lower)];
    Measure::new(DECISIONS, placed(rows, cells), figures)
}
