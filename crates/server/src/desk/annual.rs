//! The annual report that some jurisdictions ask of whoever runs a companion chatbot:
//! how many crisis-referral notifications were given in a calendar year, and by which
//! protocol. It holds no identifier, and no count that could point at a person.
//!
//! **What is counted.** A referral notification is a decision about a person that gave
//! resources with its answer. A conversation counts once in a year, by its gravest
//! decision and in the quarter of its first; a decision that is tied to no conversation
//! (any more) counts by itself. Exercises do not count. Whether the service showed what
//! it was given, Mindrail cannot know.
//!
//! **What is left out.** A total of 1 to 4 is told as "<5". Where any part of a
//! breakdown is 1 to 4 the whole breakdown is withheld, zeros too: with the total and
//! the other parts the small one could be worked out.

use std::collections::HashMap;

use mindrail_core::assessor::ModelIdentity;
use serde::Serialize;

use crate::audit::{Decision, Entry, Subject};
use crate::calendar::{DAY_MS, civil, date, year_begins};
use crate::store::reading::Period;

/// Counts from 1 to one below this are not told.
pub(crate) const SMALLEST_TOLD: u64 = 5;

/// Which report is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Of {
    pub(crate) jurisdiction: String,
    pub(crate) year: u64,
}

impl Of {
    /// Reads a jurisdiction (ISO 3166: `US-CA`, `FR`) and a year.
    pub(crate) fn parse(jurisdiction: Option<&str>, year: Option<&str>) -> Result<Self, &'static str> {
        let jurisdiction = jurisdiction.filter(|code| is_code(code));
        let jurisdiction =
            jurisdiction.ok_or("jurisdiction: expected a code of ISO 3166, such as US-CA or FR")?;
        let year = year.and_then(|year| year.parse().ok()).filter(|year| (1970..=9999).contains(year));
        let year = year.ok_or("year: expected a year, such as 2026")?;
        Ok(Self { jurisdiction: jurisdiction.to_owned(), year })
    }

    pub(crate) fn period(&self) -> Period {
        Period { from_ms: year_begins(self.year), until_ms: year_begins(self.year + 1) }
    }
}

fn is_code(code: &str) -> bool {
    let (country, part) = code.split_once('-').map_or((code, None), |(country, part)| (country, Some(part)));
    let is_part = |part: &str| {
        (1..=3).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()) && part.is_none_or(is_part)
}

/// A count as it may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// As it is.
    Count(u64),
    /// From 1 to 4.
    Few,
}

impl Told {
    fn of(count: u64) -> Self {
        if (1..SMALLEST_TOLD).contains(&count) { Self::Few } else { Self::Count(count) }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Few => write!(f, "<{SMALLEST_TOLD}"),
        }
    }
}

impl Serialize for Told {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Few => serializer.collect_str(self),
        }
    }
}

/// A breakdown as it may be told: all parts, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "told", content = "parts")]
pub(crate) enum Breakdown {
    /// Every part with its count.
    Whole(Vec<(&'static str, u64)>),
    /// A part is small, so none is told.
    Withheld,
}

impl Breakdown {
    fn of(parts: Vec<(&'static str, u64)>) -> Self {
        let has_few = parts.iter().any(|(_, count)| Told::of(*count) == Told::Few);
        if has_few { Self::Withheld } else { Self::Whole(parts) }
    }
}

/// The report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AnnualReport {
    pub(crate) jurisdiction: String,
    pub(crate) year: u64,
    /// First day of the period.
    pub(crate) from: String,
    /// Last day of it.
    pub(crate) until: String,
    /// Whether the year is over.
    pub(crate) complete: bool,
    /// When it was made.
    pub(crate) made: String,
    /// Conversations in which resources were given, with decisions of no conversation.
    pub(crate) referral_notifications: Told,
    /// By the gravest action.
    pub(crate) by_action: Breakdown,
    /// By the quarter of the first.
    pub(crate) by_quarter: Breakdown,
    pub(crate) protocol: Protocol,
    /// What a reader must know.
    pub(crate) notes: Vec<&'static str>,
}

/// How danger is found and what follows, from the policy and the model.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Protocol {
    pub(crate) statement: Vec<&'static str>,
    pub(crate) model: ModelIdentity,
    pub(crate) policy_sha256: String,
    /// Every setting of the policy, but the words and services that it offers.
    pub(crate) policy: Vec<(String, String)>,
    /// Thresholds of the model, each with what it was chosen for and on.
    pub(crate) thresholds: Vec<Threshold>,
    /// How many services that the operator has checked are offered.
    pub(crate) helplines: usize,
}

/// A threshold on risk.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Threshold {
    pub(crate) name: String,
    pub(crate) value: f32,
    pub(crate) chosen_for: String,
    pub(crate) recall: f64,
    pub(crate) recall_interval: (f64, f64),
    pub(crate) false_positive_rate: f64,
    pub(crate) conversations: usize,
}

/// The protocol in words. What the policy of an installation changes stands below it, in
/// the policy's own settings.
pub(crate) const STATEMENT: [&str; 8] = [
    "Detection. Each message of a person is scored when it arrives, in the context of the conversation so far, \
     by a model whose hash is given below; not by key words alone. It gives the risk of the conversation, nine \
     signs of distress, and whether a crisis of one of seven types shows itself, ongoing or past.",
    "Escalation over time. An ambiguous sign is an Alert; an explicit one is a Confirm. Nothing clears a Confirm: \
     neither denial nor a change of subject.",
    "Response. At 'support' the assistant is given words and services to offer with its answer (the referral \
     notification that is counted here). At 'escalate' these are given as well, and the conversation is put before \
     a human counsellor with a time by which somebody must have looked.",
    "Replies. An assistant's reply is judged in its context before it is shown; where the person is in danger, by \
     stricter thresholds. A reply that does harm is not shown.",
    "What could not be read is never treated as safe.",
    "Human oversight. Counsellors acknowledge, resolve or override each escalation with a reason. Nobody else sees \
     what was said; each look at it is recorded.",
    "Records. Each decision stands in an append-only trail, chained by hashes, without any text and without \
     identifiers.",
    "Limits. Scores are not a diagnosis, and a low score does not mean safe.",
];

/// What a reader must know of every such report.
const NOTES: [&str; 5] = [
    "A referral notification is counted when resources were given with an answer to the service; whether the \
     service showed them is not known here.",
    "Each conversation counts once; a decision that is tied to no conversation, or no longer, counts by itself, so \
     that the count is not too low.",
    "The counts are of all conversations of this operator: where a person is, is not known here. An operator who \
     must report by place keeps a tenant for each.",
    "Counts from 1 to 4 are told as <5; a breakdown with such a part is withheld.",
    "Exercises at the console are left out.",
];

/// What is counted of a conversation.
#[derive(Debug, Clone, Copy)]
struct Counted {
    escalated: bool,
    first_ms: u64,
}

/// Counts a year's decisions, in any order.
#[derive(Debug, Default)]
pub(crate) struct Count {
    conversations: HashMap<String, Counted>,
    nameless: Vec<Counted>,
}

impl Count {
    pub(crate) fn take(&mut self, entry: &Entry, conversation: Option<String>) {
        if !is_referral(&entry.decision) {
            return;
        }
        let this = Counted { escalated: entry.decision.action == "escalate", first_ms: entry.decision.at_ms };
        let Some(name) = conversation else { return self.nameless.push(this) };
        let known = self.conversations.entry(name).or_insert(this);
        known.escalated |= this.escalated;
        known.first_ms = known.first_ms.min(this.first_ms);
    }

    fn all(&self) -> impl Iterator<Item = &Counted> {
        self.conversations.values().chain(&self.nameless)
    }

    /// The report on what was counted.
    pub(crate) fn report(&self, of: Of, protocol: Protocol, now_ms: u64) -> AnnualReport {
        let total = self.all().count() as u64;
        let escalated = self.all().filter(|counted| counted.escalated).count() as u64;
        let period = of.period();
        let quarter =
            |wanted| self.all().filter(|counted| quarter(counted.first_ms) == wanted).count() as u64;
        AnnualReport {
            jurisdiction: of.jurisdiction,
            year: of.year,
            from: date(period.from_ms),
            until: date(period.until_ms - DAY_MS),
            complete: now_ms >= period.until_ms,
            made: date(now_ms),
            referral_notifications: Told::of(total),
            by_action: Breakdown::of(vec![("support", total - escalated), ("escalate", escalated)]),
            by_quarter: Breakdown::of(vec![
                ("Q1", quarter(1)),
                ("Q2", quarter(2)),
                ("Q3", quarter(3)),
                ("Q4", quarter(4)),
            ]),
            protocol,
            notes: NOTES.to_vec(),
        }
    }
}

fn quarter(ms: u64) -> u64 {
    civil(ms / DAY_MS).1.div_ceil(3)
}

fn is_referral(decision: &Decision) -> bool {
    decision.subject == Subject::Person
        && decision.origin.is_none()
        && decision.resources_offered
        && matches!(decision.action.as_str(), "support" | "escalate")
}

impl AnnualReport {
    /// As JSON.
    ///
    /// # Panics
    /// Never: a report is plain data.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data")
    }

    /// The counts as CSV; no cell needs quotes.
    pub(crate) fn csv(&self) -> String {
        let mut lines = vec!["jurisdiction,year,complete,figure,part,count".to_owned()];
        let complete = self.complete;
        let mut line = |figure: &str, part: &str, count: &str| {
            lines.push(format!("{},{},{complete},{figure},{part},{count}", self.jurisdiction, self.year));
        };
        line("referral_notifications", "all", &self.referral_notifications.to_string());
        for (name, breakdown) in [("by_action", &self.by_action), ("by_quarter", &self.by_quarter)] {
            match breakdown {
                Breakdown::Whole(parts) => {
                    parts.iter().for_each(|(part, count)| line(name, part, &count.to_string()));
                }
                Breakdown::Withheld => line(name, "all", "withheld"),
            }
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::audit::Origin;
    use crate::audit::tests::decision;

    fn of() -> Of {
        Of { jurisdiction: "US-CA".to_owned(), year: 2026 }
    }

    fn protocol() -> Protocol {
        let model = ModelIdentity { name: "m".to_owned(), version: "1".to_owned(), sha256: "0".repeat(64) };
        let (policy_sha256, policy, thresholds) = ("p".to_owned(), Vec::new(), Vec::new());
        Protocol { statement: Vec::new(), model, policy_sha256, policy, thresholds, helplines: 0 }
    }

    fn referral(action: &str, at_ms: u64) -> Entry {
        let mut made = decision(1);
        (made.action, made.at_ms, made.resources_offered) = (action.to_owned(), at_ms, true);
        made.conversation = Some("a-digest".to_owned());
        Entry { sequence: 1, previous: String::new(), decision: made }
    }

    fn spring() -> u64 {
        year_begins(2026) + 100 * DAY_MS
    }

    #[test]
    fn a_conversation_counts_once_and_what_is_nobodys_by_itself() {
        let mut count = Count::default();
        for number in 0..6 {
            for action in ["support", "escalate", "support"] {
                count.take(&referral(action, spring()), Some(format!("c{number}")));
            }
        }
        for _ in 0..5 {
            count.take(&referral("support", spring() + 100 * DAY_MS), None);
        }
        let mut exercise = referral("escalate", spring());
        exercise.decision.origin = Some(Origin::Console);
        count.take(&exercise, Some("x".to_owned()));
        let mut without = referral("support", spring());
        without.decision.resources_offered = false;
        count.take(&without, Some("y".to_owned()));
        let report = count.report(of(), protocol(), spring());
        assert_eq!(report.referral_notifications, Told::Count(11));
        assert_eq!(report.by_action, Breakdown::Whole(vec![("support", 5), ("escalate", 6)]));
        assert_eq!(report.by_quarter, Breakdown::Whole(vec![("Q1", 0), ("Q2", 6), ("Q3", 5), ("Q4", 0)]));
        assert_eq!(
            (report.from.as_str(), report.until.as_str(), report.complete),
            ("2026-01-01", "2026-12-31", false)
        );
    }

    #[test]
    fn no_identifier_is_in_a_report() {
        let mut count = Count::default();
        let names: Vec<String> = (0..40).map(|number| format!("jane.doe+{number}@example.org")).collect();
        for name in &names {
            let mut entry = referral("support", spring());
            entry.decision.person = Some("a-person's-digest".to_owned());
            entry.decision.tenant = "the-tenant".to_owned();
            count.take(&entry, Some(name.clone()));
        }
        let report = count.report(of(), protocol(), spring());
        for told in [report.json(), report.csv()] {
            for secret in
                ["jane", "example.org", "digest", "the-tenant", "\"d\"", "sequence", "conversation\""]
            {
                assert!(!told.contains(secret), "{secret}: {told}");
            }
        }
    }

    proptest! {
        /// Whoever knows the report only cannot tell a count from 1 to 4: another year
        /// with another such count gives the same report.
        #[test]
        fn no_small_count_can_be_worked_out(counts in prop::collection::vec((any::<bool>(), 0_u64..4), 0..40)) {
            let report = |counts: &[(bool, u64)]| {
                let mut count = Count::default();
                for (number, (escalated, quarter)) in counts.iter().enumerate() {
                    let action = if *escalated { "escalate" } else { "support" };
                    let at_ms = year_begins(2026) + (10 + quarter * 92) * DAY_MS;
                    count.take(&referral(action, at_ms), Some(format!("c{number}")));
                }
                count.report(of(), protocol(), 0)
            };
            let told = report(&counts);
            let total = counts.len() as u64;
            prop_assert_eq!(told.referral_notifications == Told::Few, (1..5).contains(&total));
            let csv = told.csv();
            let cells = csv.lines().skip(1).map(|line| line.rsplit(',').next().unwrap());
            for cell in cells.filter_map(|cell| cell.parse::<u64>().ok()) {
                prop_assert!(!(1..5).contains(&cell), "{}", csv);
            }
            // A breakdown tells every part or none, so that none is left to subtract for.
            for breakdown in [&told.by_action, &told.by_quarter] {
                if let Breakdown::Whole(parts) = breakdown {
                    prop_assert_eq!(parts.iter().map(|(_, count)| count).sum::<u64>(), total);
                }
            }
        }
    }

    #[test]
    fn jurisdictions_and_years_are_codes() {
        assert_eq!(Of::parse(Some("US-CA"), Some("2026")), Ok(of()));
        assert!(Of::parse(Some("FR"), Some("2026")).is_ok());
        for (jurisdiction, year) in [
            (None, Some("2026")),
            (Some("us-ca"), Some("2026")),
            (Some("US-CALI"), Some("2026")),
            (Some("US-C,A"), Some("2026")),
            (Some("US-CA"), None),
            (Some("US-CA"), Some("-1")),
            (Some("US-CA"), Some("20260")),
        ] {
            assert!(Of::parse(jurisdiction, year).is_err(), "{jurisdiction:?} {year:?}");
        }
    }
}
