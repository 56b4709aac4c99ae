//! A conversation as the trail knows it: its turns with their scores, and what was
//! decided after which turn. It holds no text.

use std::collections::{BTreeMap, BTreeSet};

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::{CrisisLabel, ReplyClass};

use crate::audit::{Decision, Entry, Reason, Status, Subject};

/// A conversation's turns and decisions, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Course {
    pub(super) turns: Vec<Seen>,
    pub(super) steps: Vec<Step>,
    /// Why the newest decision was made.
    pub(super) reasons: Vec<Reason>,
    /// Whether resources were given with the newest decision.
    pub(super) resources_offered: bool,
}

/// A turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Its place, from 0.
    pub(super) turn: usize,
    pub(super) role: Role,
    pub(super) risk: Option<f32>,
    pub(super) onsets: Vec<CrisisLabel>,
    pub(super) class: Option<ReplyClass>,
}

/// A decision on the person's side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) sequence: u64,
    pub(super) at_ms: u64,
    /// The newest turn that it knew.
    pub(super) turn: usize,
    /// Risk of the conversation.
    pub(super) risk: Option<f32>,
    pub(super) action: String,
    pub(super) status: Status,
}

impl Course {
    /// From a conversation's entries, the oldest first.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let (mut course, mut turns) = (Self::default(), BTreeMap::new());
        for Entry { sequence, decision, .. } in entries {
            if decision.subject == Subject::Person {
                course.take(*sequence, decision, &mut turns);
            }
        }
        course.turns = turns.into_values().collect();
        course
    }

    /// A turn that was scored again, by another model say, counts as scored last.
    fn take(&mut self, sequence: u64, decision: &Decision, turns: &mut BTreeMap<usize, Seen>) {
        for seen in &decision.turns {
            let (turn, role, risk, class) = (seen.turn, seen.role, seen.risk, seen.class);
            turns.insert(turn, Seen { turn, role, risk, onsets: seen.onsets.clone(), class });
        }
        self.steps.push(Step {
            sequence,
            at_ms: decision.at_ms,
            turn: (decision.scanned.first + decision.scanned.turns).saturating_sub(1) as usize,
            risk: decision.risk,
            action: decision.action.clone(),
            status: decision.status,
        });
        self.reasons.clone_from(&decision.reasons);
        self.resources_offered = decision.resources_offered;
    }

    /// The turns that the newest decision rests on.
    pub(super) fn evidence(&self) -> BTreeSet<usize> {
        self.reasons.iter().filter_map(|reason| reason.turn).collect()
    }

    /// What the newest decision was.
    pub(super) fn newest(&self) -> Option<&Step> {
        self.steps.last()
    }

    /// The decision after which a turn was known.
    pub(super) fn decided_at(&self, turn: usize) -> Option<&Step> {
        self.steps.iter().rfind(|step| step.turn == turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::decision;
    use crate::audit::{Scanned, Span};

    fn entry(sequence: u64, first: u64, risks: &[f32]) -> Entry {
        let turns = (first as usize..).zip(risks);
        let scanned = |(turn, risk): (usize, &f32)| Scanned {
            turn,
            role: Role::User,
            risk: Some(*risk),
            onsets: Vec::new(),
            class: None,
        };
        let mut made = decision(sequence);
        made.turns = turns.map(scanned).collect();
        made.scanned = Span { first, turns: risks.len() as u64 };
        Entry { sequence, previous: String::new(), decision: made }
    }

    #[test]
    fn turns_stand_in_order_and_what_was_scored_last_counts() {
        let mut reply = entry(4, 9, &[0.9]);
        reply.decision.subject = Subject::Reply;
        let entries = [entry(1, 0, &[0.1, 0.2]), entry(2, 2, &[0.3]), entry(3, 1, &[0.6, 0.7]), reply];
        let course = Course::of(&entries);
        let turns: Vec<(usize, Option<f32>)> =
            course.turns.iter().map(|seen| (seen.turn, seen.risk)).collect();
        assert_eq!(turns, [(0, Some(0.1)), (1, Some(0.6)), (2, Some(0.7))]);
        assert_eq!(course.steps.iter().map(|step| step.turn).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(course.decided_at(2).map(|step| step.sequence), Some(3));
    }
}
