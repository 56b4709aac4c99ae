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
use crate::protocol::tally::{Line, Measure, ratio};
use crate::report::{Better, Unit};

/// Delays and latencies beyond this many user turns are counted at this many.
/// Only a median that lies there could differ for it.
const FARTHEST: i64 = 64;
/// The deadlines o of ERDE, in user turns; eRisk's 5 and 50 are for long histories.
pub(super) const DEADLINES: [u32; 4] = [1, 2, 3, 5];

/// The measures of this module.
pub(super) fn measures<'a>(protocol: &Crisis, rows: &[Row<'_>]) -> Vec<Measure<'a, Row<'a>>> {
    let mut measures = vec![
        delays("alert", "Alerts", LabelView::AlertOnly, rows),
        delays("confirm", "Confirms", LabelView::ConfirmOnly, rows),
        warnings(protocol, rows),
        alarms(protocol.false_alarm_tolerance),
        latency(protocol, rows),
    ];
    let cost = false_positive_cost(protocol, rows);
    measures.extend(DEADLINES.map(|o| erde(o, cost)));
    measures
}

/// A count for each delay from -[`FARTHEST`] to [`FARTHEST`], then those without one.
fn histogram(delays: impl Iterator<Item = Option<i64>>) -> Vec<f64> {
    let mut sums = vec![0.0; 2 * FARTHEST as usize + 2];
    for delay in delays {
        let place = delay.map_or(2 * FARTHEST + 1, |d| d.clamp(-FARTHEST, FARTHEST) + FARTHEST);
        sums[place as usize] += 1.0;
    }
    sums
}

fn delay_counts(sums: &[f64]) -> Option<DelayCounts> {
    let (missed, called) = sums.split_last()?;
    let called = called.iter().enumerate().filter(|(_, count)| **count > 0.0);
    Some(DelayCounts {
        histogram: called.map(|(place, &count)| (place as i64 - FARTHEST, count as usize)).collect(),
        missed: *missed as usize,
    })
}

fn delays<'a>(name: &str, title: &str, view: LabelView, rows: &[Row<'_>]) -> Measure<'a, Row<'a>> {
    let support = rows.iter().map(|row| onset_delays(&row.dialogue, view).len()).sum::<usize>() as u64;
    let share = |kind: &str, count: fn(&DelayCounts) -> usize, better| {
        let words = kind.replace('_', " ");
        Line::share(format!("{name}_{kind}"), format!("{title}: {words}"), move |sums: &[f64]| {
            let counts = delay_counts(sums)?;
            ratio(count(&counts) as f64, counts.onsets() as f64)
        })
        .with_better(better)
        .with_support(support)
    };
    let median = Line::share(format!("{name}_median_delay"), format!("{title}: median delay"), |sums| {
        delay_counts(sums)?.median()
    });
    let lines = vec![
        share("early", DelayCounts::early, Better::Neither),
        share("on_time", DelayCounts::on_time, Better::Higher),
        share("late", DelayCounts::late, Better::Lower),
        share("missed", |counts| counts.missed, Better::Lower),
        median.with_unit(Unit::Turns).with_better(Better::Neither).with_support(support),
    ];
    let delay = |onset: OnsetDelay| onset.delay;
    Measure::new(
        move |row: &Row<'_>| histogram(onset_delays(&row.dialogue, view).into_iter().map(delay)),
        lines,
    )
}

/// Leads: positive where the warning came before the Confirm.
fn warnings<'a>(protocol: &Crisis, rows: &[Row<'_>]) -> Measure<'a, Row<'a>> {
    let window = protocol.window;
    let support = rows.iter().map(|row| lead_times(&row.dialogue, window).len()).sum::<usize>() as u64;
    let warned = Line::share("warned_by_confirm", "Confirms warned of in time", |sums| {
        let counts = delay_counts(sums)?;
        ratio((counts.on_time() + counts.late()) as f64, counts.onsets() as f64)
    });
    let before = Line::share("warned_before_confirm", "Confirms warned of before", |sums| {
        let counts = delay_counts(sums)?;
        ratio(counts.late() as f64, counts.onsets() as f64)
    });
    let lead =
        Line::share("median_lead", "Median lead time of the warned", |sums| delay_counts(sums)?.median());
    let lines = vec![
        warned.with_support(support),
        before.with_support(support),
        lead.with_unit(Unit::Turns).with_support(support),
    ];
    let leads = |lead: LeadTime| lead.lead;
    Measure::new(
        move |row: &Row<'_>| histogram(lead_times(&row.dialogue, window).into_iter().map(leads)),
        lines,
    )
}

fn alarms<'a>(tolerance: usize) -> Measure<'a, Row<'a>> {
    let per_dialogue =
        Line::share("false_alarms_per_dialogue", "False alarms per dialogue", |sums| ratio(sums[0], sums[1]));
    let per_turns = Line::share("false_alarms_per_100_turns", "False alarms per 100 user turns", |sums| {
        Some(100.0 * ratio(sums[0], sums[2])?)
    });
    let quiet = Line::share("quiet_alarmed", "Dialogues without crisis that raise an alarm", |sums| {
        ratio(sums[3], sums[4])
    });
    let lower = |line: Line| line.with_better(Better::Lower);
    let number = |line: Line| lower(line).with_unit(Unit::Number);
    let sums = move |row: &Row<'_>| {
        let found = false_alarms(std::slice::from_ref(&row.dialogue), LabelView::All, tolerance);
        let all = row.dialogue.union();
        let quiet = f64::from(u8::from(all.gold.is_empty()));
        let alarmed = f64::from(u8::from(!all.predicted.is_empty()));
        vec![found.alarms as f64, 1.0, found.turns as f64, quiet * alarmed, quiet]
    };
    Measure::new(sums, vec![number(per_dialogue), number(per_turns), lower(quiet)])
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

fn erde<'a>(o: u32, false_positive: f64) -> Measure<'a, Row<'a>> {
    let costs = ErdeCosts::new(f64::from(o), false_positive);
    let line = Line::share(format!("erde_{o}"), format!("ERDE {o}"), |sums| ratio(sums[0], sums[1]));
    let sums = move |row: &Row<'_>| vec![erde_cost(decision(&row.dialogue), &costs), 1.0];
    Measure::new(sums, vec![line.with_better(Better::Lower)])
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

/// tp, fp, fn, tn, then the number found after 1, 2, … [`FARTHEST`] user turns.
fn latency<'a>(protocol: &Crisis, rows: &[Row<'_>]) -> Measure<'a, Row<'a>> {
    let rate = rate(protocol, rows);
    let sums = |row: &Row<'_>| {
        let decision = decision(&row.dialogue);
        let mut sums = vec![0.0; 4 + FARTHEST as usize];
        let place = match (decision.positive, decision.decided_after) {
            (true, Some(after)) => {
                sums[3 + after.get().min(FARTHEST as usize)] = 1.0;
                0
            }
            (false, Some(_)) => 1,
            (true, None) => 2,
            (false, None) => 3,
        };
        sums[place] = 1.0;
        sums
    };
    let figure = Line::share("f_latency", "F latency", move |sums| latency_counts(sums).f_latency(rate?));
    let speed = Line::share("speed", "Speed of right decisions", move |sums| {
        let counts = latency_counts(sums);
        counts.median_latency().and(rate).map(|rate| counts.speed(rate))
    });
    let median = Line::share("median_latency", "Median latency of right decisions", |sums| {
        latency_counts(sums).median_latency()
    });
    let lines = vec![figure, speed, median.with_unit(Unit::Turns).with_better(Better::Lower)];
    Measure::new(sums, lines)
}

fn latency_counts(sums: &[f64]) -> LatencyCounts {
    let count = |place: usize| sums.get(place).map_or(0, |sum| *sum as usize);
    let latencies = (1..=FARTHEST as usize).filter_map(|after| {
        let found = count(3 + after);
        Some((NonZeroUsize::new(after)?, found)).filter(|_| found > 0)
    });
    LatencyCounts {
        decisions: Confusion { tp: count(0), fp: count(1), fn_: count(2), tn: count(3) },
        latencies: latencies.collect(),
    }
}
