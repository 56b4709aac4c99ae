//! What a period's decisions come to, from the trail. Exercises at the console are
//! counted apart and enter no other figure.
//!
//! Drift is the population stability index of the risk of decisions in ten equal bins,
//! `PSI = Σ (p − q) ln(p / q)`, where p and q are the bin's shares in the period and in
//! the frozen reference, each count plus one half so that an empty bin is no infinity.
//! Without any drift PSI is not 0: for n and m independent decisions, PSI / (1/n + 1/m)
//! follows a chi-squared distribution with 9 degrees of freedom (Yurdakul, "Statistical
//! properties of the population stability index", 2018), whose 95th percentile is
//! 16.92. Decisions on one conversation are not independent, so that what is by chance
//! is rather more than that.

use std::collections::{BTreeMap, HashMap};

use mindrail_core::metrics::wilson_interval;
use mindrail_core::taxonomy::Stage;

use crate::audit::{Decision, Entry, Status, Subject};
use crate::store::drift::BINS;

/// The 0.95 quantile of chi-squared with 9 degrees of freedom.
const CHI_SQUARED_95: f64 = 16.919;

/// Decisions on either side below which drift says nothing.
pub(super) const FEWEST_FOR_DRIFT: u64 = 100;

/// Closed reviews below which a false-alarm rate says little.
pub(super) const FEWEST_CLOSED: usize = 20;

/// What a period's decisions come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// Decisions, without exercises.
    pub(super) decisions: u64,
    /// Decisions at the console.
    pub(super) exercises: u64,
    /// Decisions by subject and action.
    pub(super) by_action: BTreeMap<(&'static str, String), u64>,
    /// Decisions by how they came about.
    pub(super) by_status: BTreeMap<&'static str, u64>,
    /// Decisions by the first letters of the model's hash.
    pub(super) by_model: BTreeMap<String, u64>,
    /// Microseconds of each decision.
    latencies: Vec<u64>,
    /// Decisions on persons by model and tenth of risk.
    risks: HashMap<String, [u64; BINS]>,
    conversations: HashMap<String, Signs>,
}

/// When a conversation showed what, by turn and time.
#[derive(Debug, Clone, Copy, Default)]
struct Signs {
    alert: Option<(usize, u64)>,
    call: Option<(usize, u64)>,
}

/// What lay between a conversation's first Alert and the call for a human.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) turns: usize,
    pub(super) ms: u64,
}

/// How soon conversations in which a human was called had shown a first sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leads {
    /// Conversations in which a human was called.
    pub(super) called: usize,
    /// Of those, the ones that had shown an Alert on an earlier turn.
    pub(super) warned: usize,
    /// The median over those; none where there are none.
    pub(super) median: Option<Lead>,
}

/// A share with its 95 % interval (Wilson).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share {
    pub(super) hits: usize,
    pub(super) of: usize,
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Share {
    pub(super) fn of(hits: usize, of: usize) -> Option<Self> {
        let (low, high) = wilson_interval(hits, of)?;
        Some(Self { hits, of, value: hits as f64 / of as f64, low, high })
    }
}

/// How far the distribution of risk has moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drift {
    pub(super) index: f64,
    /// What chance alone stays below in 95 of 100 periods of independent decisions.
    pub(super) by_chance: f64,
}

impl Drift {
    pub(super) fn between(now: &[u64; BINS], reference: &[u64; BINS]) -> Option<Self> {
        let (n, m) = (now.iter().sum::<u64>(), reference.iter().sum::<u64>());
        if n.min(m) < FEWEST_FOR_DRIFT {
            return None;
        }
        let share = |count: u64, total: u64| (count as f64 + 0.5) / (total as f64 + 0.5 * BINS as f64);
        let term = |(now, before): (&u64, &u64)| {
            let (p, q) = (share(*now, n), share(*before, m));
            (p - q) * (p / q).ln()
        };
        let index = now.iter().zip(reference).map(term).sum();
        Some(Self { index, by_chance: CHI_SQUARED_95 * (1.0 / n as f64 + 1.0 / m as f64) })
    }
}

impl Figures {
    /// Takes a decision, in any order.
    pub(super) fn take(&mut self, entry: &Entry, conversation: Option<String>) {
        let decision = &entry.decision;
        if decision.origin.is_some() {
            self.exercises += 1;
            return;
        }
        self.decisions += 1;
        *self.by_action.entry((subject(decision.subject), decision.action.clone())).or_default() += 1;
        *self.by_status.entry(status(decision.status)).or_default() += 1;
        *self.by_model.entry(decision.model.chars().take(12).collect()).or_default() += 1;
        self.latencies.push(decision.latency_us);
        if decision.subject == Subject::Person {
            self.take_person(decision, conversation);
        }
    }

    fn take_person(&mut self, decision: &Decision, conversation: Option<String>) {
        if let Some(risk) = decision.risk {
            self.risks.entry(decision.model.clone()).or_default()[bin(risk)] += 1;
        }
        if let Some(name) = conversation {
            self.conversations.entry(name).or_default().take(decision);
        }
    }

    /// Decisions on persons by tenth of risk, of one model.
    pub(super) fn risks_of(&self, model: &str) -> [u64; BINS] {
        self.risks.get(model).copied().unwrap_or_default()
    }

    /// The time that this share of decisions took at most, in microseconds (nearest
    /// rank).
    pub(super) fn latency(&self, share: f64) -> Option<u64> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }

    /// How soon there was a first sign.
    pub(super) fn leads(&self) -> Leads {
        let called = self.conversations.values().filter(|signs| signs.call.is_some()).count();
        let leads: Vec<Lead> = self.conversations.values().filter_map(Signs::lead).collect();
        Leads { called, warned: leads.len(), median: median(&leads) }
    }

    /// How many decisions on persons asked for an action.
    pub(super) fn persons(&self, action: &str) -> u64 {
        self.by_action.get(&("person", action.to_owned())).copied().unwrap_or_default()
    }
}

impl Signs {
    fn take(&mut self, decision: &Decision) {
        let stages = |wanted: fn(Stage) -> bool| {
            let turns = decision.turns.iter();
            turns
                .filter(move |seen| seen.onsets.iter().any(|label| wanted(label.stage())))
                .map(|seen| seen.turn)
                .min()
        };
        let at = |turn| (turn, decision.at_ms);
        if let Some(turn) = stages(|stage| stage == Stage::Alert) {
            self.alert = Some(earlier(self.alert, at(turn)));
        }
        if decision.action == "escalate" {
            // A Confirm tells the turn; without one it is the newest that was known.
            let newest = (decision.scanned.first + decision.scanned.turns).saturating_sub(1) as usize;
            let turn = stages(|stage| stage != Stage::Alert).unwrap_or(newest);
            self.call = Some(earlier(self.call, at(turn)));
        }
    }

    fn lead(&self) -> Option<Lead> {
        let ((alert, alert_ms), (call, call_ms)) = (self.alert?, self.call?);
        (alert < call).then(|| Lead { turns: call - alert, ms: call_ms.saturating_sub(alert_ms) })
    }
}

fn earlier(known: Option<(usize, u64)>, other: (usize, u64)) -> (usize, u64) {
    known.map_or(other, |known| known.min(other))
}

/// The lower median of turns, and that of times.
fn median(leads: &[Lead]) -> Option<Lead> {
    let middle = leads.len().checked_sub(1)? / 2;
    let mut turns: Vec<usize> = leads.iter().map(|lead| lead.turns).collect();
    let mut times: Vec<u64> = leads.iter().map(|lead| lead.ms).collect();
    turns.sort_unstable();
    times.sort_unstable();
    Some(Lead { turns: turns[middle], ms: times[middle] })
}

/// The tenth of the range in which a risk lies; 1 lies in the last.
fn bin(risk: f32) -> usize {
    ((risk * BINS as f32) as usize).min(BINS - 1)
}

pub(super) const fn subject(subject: Subject) -> &'static str {
    match subject {
        Subject::Person => "person",
        Subject::Reply => "reply",
    }
}

/// A status by its name in the trail.
pub(super) const fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::NotEvaluated => "not_evaluated",
        Status::Degraded => "degraded",
        Status::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_core::conversation::Role;
    use mindrail_core::taxonomy::CrisisLabel;

    use super::*;
    use crate::audit::tests::decision;
    use crate::audit::{Origin, Scanned, Span};

    fn entry(change: impl FnOnce(&mut Decision)) -> Entry {
        let mut made = decision(1);
        change(&mut made);
        Entry { sequence: 1, previous: String::new(), decision: made }
    }

    fn turn(turn: usize, onsets: &[CrisisLabel]) -> Scanned {
        Scanned { turn, role: Role::User, risk: Some(0.5), onsets: onsets.to_vec(), class: None }
    }

    #[test]
    fn the_lead_is_what_lies_between_the_first_alert_and_the_first_call() {
        let mut figures = Figures::default();
        let called = entry(|decision| {
            (decision.at_ms, decision.action) = (9_000, "escalate".to_owned());
            decision.scanned = Span { first: 3, turns: 4 };
            decision.turns = vec![turn(3, &[]), turn(5, &[CrisisLabel::ConfirmShOngoing])];
        });
        let alerted = entry(|decision| {
            (decision.at_ms, decision.action) = (2_000, "support".to_owned());
            decision.turns = vec![turn(2, &[CrisisLabel::AlertOngoing])];
        });
        // The trail is read from its end.
        figures.take(&called, Some("a".to_owned()));
        figures.take(&alerted, Some("a".to_owned()));
        figures.take(&called, Some("b".to_owned()));
        let median = Some(Lead { turns: 3, ms: 7_000 });
        assert_eq!(figures.leads(), Leads { called: 2, warned: 1, median });
    }

    #[test]
    fn exercises_enter_no_figure_but_their_own() {
        let mut figures = Figures::default();
        figures.take(&entry(|decision| decision.origin = Some(Origin::Console)), Some("a".to_owned()));
        assert_eq!((figures.decisions, figures.exercises, figures.latency(0.5)), (0, 1, None));
        figures.take(&entry(|_| {}), None);
        assert_eq!((figures.decisions, figures.persons("allow"), figures.latency(0.99)), (1, 1, Some(7)));
    }

    #[test]
    fn latency_is_of_the_nearest_rank() {
        let mut figures = Figures::default();
        for micros in (1..=100).rev() {
            figures.take(&entry(|decision| decision.latency_us = micros), None);
        }
        assert_eq!(
            (figures.latency(0.5), figures.latency(0.99), figures.latency(1.0)),
            (Some(50), Some(99), Some(100))
        );
    }

    #[test]
    fn risks_lie_in_tenths() {
        for (risk, expected) in [(0.0, 0), (0.099, 0), (0.1, 1), (0.55, 5), (0.999, 9), (1.0, 9)] {
            assert_eq!(bin(risk), expected, "{risk}");
        }
    }

    #[test]
    fn drift_is_the_population_stability_index_and_few_decisions_say_nothing() {
        let even = [10; BINS];
        let drift = Drift::between(&even, &even).unwrap();
        assert!(drift.index.abs() < 1e-12);
        assert!((drift.by_chance - 16.919 * 0.02).abs() < 1e-9);
        // By hand: shares 100.5/205 and 0.5/205 against 20.5/205.
        let mut two = [0; BINS];
        (two[0], two[9]) = (100, 100);
        let (p, z, q) = (100.5_f64 / 205.0, 0.5_f64 / 205.0, 20.5_f64 / 205.0);
        let expected = 2.0 * (p - q) * (p / q).ln() + 8.0 * (z - q) * (z / q).ln();
        assert!((Drift::between(&two, &[20; BINS]).unwrap().index - expected).abs() < 1e-12);
        assert_eq!(Drift::between(&[9; BINS], &even), None);
    }

    #[test]
    fn a_share_of_nothing_is_none() {
        assert_eq!(Share::of(0, 0), None);
        let share = Share::of(1, 10).unwrap();
        assert!(share.low > 0.0 && share.low < share.value && share.value < share.high, "{share:?}");
    }
}
