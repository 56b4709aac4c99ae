//! What a guard says of a case, and whether that is what was expected.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Case, Claim, Expectation, Moment, Place, wire};
use crate::assessor::{Assessor, StateError};
use crate::guard::{Guard, GuardedTurn};
use crate::policy::date::Date;
use crate::policy::offer::Circumstances;
use crate::report::{Report, so_far};
use crate::taxonomy::{CrisisLabel, Taxonomy as _};
use crate::tracker::Onset;
use crate::verdict::{Explanation, RuleName, UserAction, Verdict};

/// All that a guard said of a case.
#[derive(Debug, Clone)]
pub struct Course {
    /// What each turn brought.
    turns: Vec<GuardedTurn>,
    /// The verdict on the person after each turn.
    verdicts: Vec<Verdict<UserAction>>,
    /// The whole conversation.
    pub report: Report,
}

/// An expectation with what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<'a> {
    /// What was expected.
    pub expectation: &'a Expectation,
    /// Whether it was so.
    pub standing: Standing,
    /// What was found, in numbers and names of labels.
    pub found: String,
}

/// How an expectation, or a whole case, stands; the later, the more there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is as expected.
    Ok,
    /// It is not, and is marked so.
    KnownToFail,
    /// It is marked as known to fail and holds: the mark has to go.
    HoldsDespiteMark,
    /// It is not as expected.
    Failed,
}

impl Standing {
    const fn of(holds: bool, expectation: &Expectation) -> Self {
        match (holds, expectation.known_to_fail.is_some()) {
            (true, false) => Self::Ok,
            (false, true) => Self::KnownToFail,
            (true, true) => Self::HoldsDespiteMark,
            (false, false) => Self::Failed,
        }
    }

    /// Whether there is nothing to do about it.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Ok | Self::KnownToFail)
    }
}

/// How a case stands: as the worst of its expectations.
pub fn standing(judged: &[Judged<'_>]) -> Standing {
    judged.iter().map(|judged| judged.standing).max().unwrap_or(Standing::Ok)
}

impl Case {
    /// Puts the conversation through a guard, turn by turn.
    ///
    /// # Errors
    /// [`StateError`], which a fresh state never gives.
    pub fn run<A: Assessor>(&self, guard: &Guard<'_, A>) -> Result<Course, StateError> {
        let mut state = guard.start();
        let (mut turns, mut verdicts) = (Vec::new(), Vec::new());
        for (index, turn) in self.conversation.turns.iter().enumerate() {
            let unread = self.unread.iter().find(|unread| unread.turn == index).map(|unread| unread.reason);
            turns.push(guard.push(&mut state, turn, unread)?);
            verdicts.push(guard.verdict(&state));
        }
        // No case depends on where or when it is run.
        let circumstances = Circumstances::unknown(Date::of_unix_ms(0));
        let report = so_far(guard, &state, None, turns.clone(), &circumstances);
        Ok(Course { turns, verdicts, report })
    }

    /// Compares what was found with what was expected.
    pub fn judge(&self, course: &Course) -> Vec<Judged<'_>> {
        self.expectations.iter().map(|expectation| expectation.judge(course)).collect()
    }
}

impl Expectation {
    fn judge(&self, course: &Course) -> Judged<'_> {
        let (holds, found) = course.check(self.claim);
        Judged { expectation: self, standing: Standing::of(holds, self), found }
    }
}

impl Course {
    /// Whether a claim holds, and what was found in its place.
    fn check(&self, claim: Claim) -> (bool, String) {
        match claim {
            Claim::Person(moment, wanted) => {
                let verdict = self.verdict(moment);
                (verdict.is_some_and(|v| wanted.holds(v.action)), self.person(moment))
            }
            Claim::PersonRule(moment, presence, rule) => {
                let reasons = self.verdict(moment).map_or(&[][..], |verdict| &verdict.reasons);
                (presence.holds(names(reasons, rule)), self.person(moment))
            }
            Claim::Reply(turn, wanted) => {
                let verdict = self.turns.get(turn).and_then(|turn| turn.reply.as_ref());
                (verdict.is_some_and(|v| wanted.holds(v.action)), self.reply(turn))
            }
            Claim::ReplyRule(turn, presence, rule) => {
                let verdict = self.turns.get(turn).and_then(|turn| turn.reply.as_ref());
                (verdict.is_some_and(|v| presence.holds(names(&v.reasons, rule))), self.reply(turn))
            }
            Claim::Onset(label, place) => (self.begins(label, place), self.onsets()),
            Claim::NoOnset(Some(label)) => (!self.begins(label, Place::Anywhere), self.onsets()),
            Claim::NoOnset(None) => (self.all_onsets().next().is_none(), self.onsets()),
            Claim::NotEvaluated(wanted) => {
                let entries = &self.report.not_evaluated;
                let holds = wanted.map_or(entries.is_empty(), |r| entries.iter().any(|e| e.reason == r));
                (holds, self.not_evaluated())
            }
            Claim::Language(language) => {
                let found = self.report.language;
                (found == Some(language), found.map_or("no language", |found| found.wire()).to_owned())
            }
            Claim::Resources(presence) => {
                let is_offered = self.report.resources.is_some();
                (presence.holds(is_offered), if is_offered { "offered" } else { "none" }.to_owned())
            }
        }
    }

    fn verdict(&self, moment: Moment) -> Option<&Verdict<UserAction>> {
        match moment {
            Moment::End => self.verdicts.last(),
            Moment::After(turn) => self.verdicts.get(turn),
        }
    }

    /// The verdict on the person with its reasons, and the risk where it is not one.
    fn person(&self, moment: Moment) -> String {
        let Some(verdict) = self.verdict(moment) else { return "no turn".to_owned() };
        let turn = match moment {
            Moment::End => self.turns.last(),
            Moment::After(turn) => self.turns.get(turn),
        };
        let mut found = told(verdict);
        let scores = turn.and_then(|turn| turn.assessment.conversation.as_ref());
        if let Some(scores) = scores.filter(|_| !names(&verdict.reasons, RuleName::Risk)) {
            let _ = write!(found, "; risk {:.2}", scores.risk.get());
        }
        found
    }

    fn reply(&self, turn: usize) -> String {
        let verdict = self.turns.get(turn).and_then(|turn| turn.reply.as_ref());
        verdict.map_or_else(|| "no reply".to_owned(), told)
    }

    fn all_onsets(&self) -> impl Iterator<Item = &Onset> {
        self.turns.iter().flat_map(|turn| &turn.onsets)
    }

    fn begins(&self, label: CrisisLabel, place: Place) -> bool {
        self.all_onsets().any(|onset| onset.label == label && place.holds(onset.turn))
    }

    fn onsets(&self) -> String {
        let told = |onset: &Onset| {
            format!("{} at turn {} ({:.2})", onset.label.wire(), onset.turn, onset.probability.get())
        };
        listed(self.all_onsets().map(told), "no onset")
    }

    fn not_evaluated(&self) -> String {
        let entries = self.report.not_evaluated.iter().map(|entry| match entry.turn {
            Some(turn) => format!("{} at turn {turn}", wire(&entry.reason)),
            None => wire(&entry.reason),
        });
        listed(entries, "nothing")
    }
}

fn names<A>(reasons: &[Explanation<A>], rule: RuleName) -> bool {
    reasons.iter().any(|reason| reason.rule == rule)
}

/// A verdict in one line: the action, then each reason with its numbers.
fn told<A: Serialize>(verdict: &Verdict<A>) -> String {
    let reasons = listed(verdict.reasons.iter().map(reason), "no reason");
    format!("{} ({reasons})", wire(&verdict.action))
}

fn reason<A>(reason: &Explanation<A>) -> String {
    let mut told = wire(&reason.rule);
    if let Some(label) = &reason.label {
        let _ = write!(told, " {}", wire(label));
    }
    if let (Some(found), Some(threshold)) = (reason.probability, reason.threshold) {
        let _ = write!(told, " {:.2} reaches {:.2}", found.get(), threshold.get());
    }
    if let Some(turn) = reason.turn {
        let _ = write!(told, " at turn {turn}");
    }
    told
}

fn listed(items: impl Iterator<Item = String>, none: &str) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}
