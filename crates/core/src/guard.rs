//! One conversation on its way through assessor, tracker and policy, a turn at
//! a time. Whoever serves, scores a batch or replays a benchmark goes through
//! here, so all of them decide alike.

use serde::{Deserialize, Serialize};

use crate::assessment::{ConversationScores, NotEvaluated, NotEvaluatedReason, TurnAssessment, TurnScores};
use crate::assessor::{Assessor, StateError};
use crate::conversation::{Role, Turn};
use crate::policy::{Evidence, PolicyInForce, ReplyContext, is_high_risk};
use crate::tracker::{Onset, Tracker};
use crate::verdict::{ReplyAction, UserAction, Verdict};

/// An assessor with the policy that its scores are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Guard<'a, A> {
    /// Scores turns.
    pub assessor: &'a A,
    /// Says what follows.
    pub policy: &'a PolicyInForce,
}

/// What is kept of a conversation between two turns: a few KB, serialisable.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardState<S> {
    assessor: S,
    tracker: Tracker,
    conversation: Option<ConversationScores>,
    /// Entries about the person's side.
    not_evaluated: Vec<NotEvaluated>,
}

/// What one turn brought.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardedTurn {
    /// The turn's scores.
    pub assessment: TurnAssessment,
    /// What began at this turn.
    pub onsets: Vec<Onset>,
    /// For assistant turns, what should happen to the reply.
    pub reply: Option<Verdict<ReplyAction>>,
}

impl<A: Assessor> Guard<'_, A> {
    /// The state before the first turn.
    pub fn start(&self) -> GuardState<A::State> {
        GuardState {
            assessor: self.assessor.start(),
            tracker: self.policy.new_tracker(),
            conversation: None,
            not_evaluated: Vec::new(),
        }
    }

    /// Takes a turn. `unread` is a reason why the turn holds more than its
    /// text, such as an image.
    ///
    /// # Errors
    /// [`StateError`] when the state is another model's.
    pub fn push(
        &self,
        state: &mut GuardState<A::State>,
        turn: &Turn,
        unread: Option<NotEvaluatedReason>,
    ) -> Result<GuardedTurn, StateError> {
        let mut assessment = self.assessor.push(&mut state.assessor, turn)?;
        let index = assessment.index;
        assessment.not_evaluated.extend(unread.map(|reason| NotEvaluated { turn: Some(index), reason }));
        let mut onsets = Vec::new();
        let mut reply = None;
        match turn.role {
            Role::User => {
                if let TurnScores::User(scores) = &assessment.scores {
                    onsets = state.tracker.observe(index, scores, self.assessor.calibration());
                }
                state.conversation = assessment.conversation.clone().or(state.conversation.take());
                remember(&mut state.not_evaluated, assessment.not_evaluated.iter());
            }
            Role::Assistant => {
                reply = Some(self.judge_reply(state, &assessment));
                // The turn may hold words of the person.
                let in_doubt = |entry: &&NotEvaluated| entry.reason == NotEvaluatedReason::UnknownSpeaker;
                remember(&mut state.not_evaluated, assessment.not_evaluated.iter().filter(in_doubt));
            }
            Role::System => {}
        }
        Ok(GuardedTurn { assessment, onsets, reply })
    }

    /// What should happen with regard to the person, after the newest turn.
    pub fn verdict(&self, state: &GuardState<A::State>) -> Verdict<UserAction> {
        if state.conversation.is_some() {
            return self.policy.judge_person(&self.evidence(state, &state.not_evaluated));
        }
        let mut entries = state.not_evaluated.clone();
        entries.push(NotEvaluated { turn: None, reason: NotEvaluatedReason::NoUserTurn });
        self.policy.judge_person(&self.evidence(state, &entries))
    }

    /// Whether the conversation's risk reaches the bundle's threshold.
    pub fn is_high_risk(&self, state: &GuardState<A::State>) -> bool {
        let scores = state.conversation.as_ref();
        scores.is_some_and(|scores| is_high_risk(scores, self.assessor.calibration()))
    }

    fn judge_reply(&self, state: &GuardState<A::State>, assessment: &TurnAssessment) -> Verdict<ReplyAction> {
        let scores = match &assessment.scores {
            TurnScores::Assistant(scores) => Some(scores),
            TurnScores::User(_) | TurnScores::None => None,
        };
        let context =
            ReplyContext { turn: assessment.index, scores, not_evaluated: &assessment.not_evaluated };
        self.policy.judge_reply(context, &self.evidence(state, &state.not_evaluated))
    }

    fn evidence<'s>(
        &'s self,
        state: &'s GuardState<A::State>,
        not_evaluated: &'s [NotEvaluated],
    ) -> Evidence<'s> {
        Evidence {
            conversation: state.conversation.as_ref(),
            tracker: &state.tracker,
            calibration: self.assessor.calibration(),
            not_evaluated,
        }
    }
}

/// Turns that are remembered for each reason why something was not looked at, so that
/// a state does not grow with its conversation.
const MOST_REMEMBERED: usize = 8;

/// Takes entries in. Of many with one reason the first ones and the newest stay.
fn remember<'a>(remembered: &mut Vec<NotEvaluated>, entries: impl Iterator<Item = &'a NotEvaluated>) {
    for entry in entries {
        let same = |known: &NotEvaluated| known.reason == entry.reason;
        if remembered.iter().filter(|known| same(known)).count() >= MOST_REMEMBERED
            && let Some(newest) = remembered.iter().rposition(same)
        {
            remembered.remove(newest);
        }
        remembered.push(entry.clone());
    }
}

impl<S> GuardState<S> {
    /// The pooled scores; `None` before the first user turn that was scored.
    pub const fn conversation(&self) -> Option<&ConversationScores> {
        self.conversation.as_ref()
    }

    /// Phases, onsets and peaks so far.
    pub const fn tracker(&self) -> &Tracker {
        &self.tracker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_turns_that_could_not_be_read_the_first_and_the_newest_are_remembered() {
        let mut remembered = Vec::new();
        for turn in 0..100 {
            let reason =
                if turn == 50 { NotEvaluatedReason::Truncated } else { NotEvaluatedReason::EmptyTurn };
            remember(&mut remembered, [NotEvaluated { turn: Some(turn), reason }].iter());
        }
        let turns: Vec<_> = remembered.iter().filter_map(|entry| entry.turn).collect();
        assert_eq!(turns, [0, 1, 2, 3, 4, 5, 6, 50, 99]);
    }
}
