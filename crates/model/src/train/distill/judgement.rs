//! What an assessor says of one conversation, in the shape of targets: what it did not
//! evaluate is not there.

use std::collections::BTreeSet;

use mindrail_core::assessment::{
    ConversationScores, NotEvaluated, NotEvaluatedReason, ReplyScores, TurnAssessment, TurnScores, UserScores,
};
use mindrail_core::assessor::{Assessor, StateError};
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::language::Language;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal};
use serde::{Deserialize, Serialize};

use super::{Task, Teacher};
use crate::train::examples::{Example, ReplyOrigin};

/// What was said of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Judgement {
    /// One for each turn; none where it is not the person's or was not evaluated.
    pub(super) turns: Vec<Option<TurnJudgement>>,
    /// One for each judged reply.
    pub(super) replies: Vec<Option<ReplyJudgement>>,
    /// The whole conversation; none where part of it was not evaluated.
    pub(super) conversation: Option<ConversationJudgement>,
}

/// What was said of a user turn, with all turns before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TurnJudgement {
    pub(super) risk: Option<Probability>,
    pub(super) signals: Option<Scores<Signal>>,
    pub(super) onsets: Option<Scores<CrisisLabel>>,
}

/// What was said of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplyJudgement {
    pub(super) classes: Option<Scores<ReplyClass>>,
    pub(super) harms: Option<Scores<Harm>>,
    pub(super) severity: Option<Scores<Severity>>,
}

/// What was said of the conversation after its last user turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConversationJudgement {
    pub(super) risk: Option<Probability>,
    pub(super) signals: Option<Scores<Signal>>,
    pub(super) language: Language,
}

/// Why an assessor said nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum JudgeError {
    #[error(transparent)]
    State(#[from] StateError),
    /// A turn came back as [`NotEvaluatedReason::ModelUnavailable`]. To go on would write
    /// down for good that this conversation teaches nothing.
    #[error("the model could not be run")]
    Unavailable,
}

/// Scores an example turn by turn, and each of its replies where it stands.
pub(super) fn judge<A: Assessor>(
    teacher: &Teacher<'_, A>,
    example: &Example,
) -> Result<Judgement, JudgeError> {
    let mut judging = Judging {
        assessor: teacher.assessor,
        covers: &teacher.covers,
        example,
        state: teacher.assessor.start(),
        judgement: Judgement {
            turns: vec![None; example.turns.len()],
            replies: vec![None; example.replies.len()],
            conversation: None,
        },
        is_whole: true,
    };
    for index in 0..example.turns.len() {
        judging.turn(index)?;
    }
    Ok(judging.judgement)
}

/// A conversation on its way through an assessor.
struct Judging<'a, A: Assessor> {
    assessor: &'a A,
    covers: &'a BTreeSet<Task>,
    example: &'a Example,
    state: A::State,
    judgement: Judgement,
    /// Whether all words so far were read.
    is_whole: bool,
}

impl<A: Assessor> Judging<'_, A> {
    fn turn(&mut self, index: usize) -> Result<(), JudgeError> {
        let turn = &self.example.turns[index];
        let assessment = push(self.assessor, &mut self.state, turn.role, &turn.text)?;
        let is_read = !assessment.not_evaluated.iter().any(leaves_words_out);
        self.is_whole &= is_read;
        match assessment.scores {
            TurnScores::User(scores) if is_read => {
                self.judgement.turns[index] = Some(of_turn(scores, self.covers));
            }
            TurnScores::Assistant(scores) if is_read => self.said_reply(index, &scores),
            TurnScores::User(_) | TurnScores::Assistant(_) | TurnScores::None => {}
        }
        if turn.role == Role::User {
            let whole = assessment.conversation.filter(|_| self.is_whole);
            self.judgement.conversation = whole.map(|scores| of_conversation(scores, self.covers));
        }
        self.other_replies(index)
    }

    /// The reply that this listener's turn is: it was scored on the way.
    fn said_reply(&mut self, index: usize, scores: &ReplyScores) {
        let replies = self.example.replies.iter().zip(&mut self.judgement.replies);
        for (reply, judgement) in replies {
            if reply.origin == ReplyOrigin::Said && reply.after + 1 == index {
                *judgement = Some(of_reply(scores.clone(), self.covers));
            }
        }
    }

    /// The replies to this turn that the conversation does not go on with.
    fn other_replies(&mut self, index: usize) -> Result<(), JudgeError> {
        let goes_on = index + 1 < self.example.turns.len();
        for (place, reply) in self.example.replies.iter().enumerate() {
            if reply.after != index || (reply.origin == ReplyOrigin::Said && goes_on) {
                continue;
            }
            let mut state = self.state.clone();
            let assessment = push(self.assessor, &mut state, Role::Assistant, &reply.text)?;
            let is_read = !assessment.not_evaluated.iter().any(leaves_words_out);
            if let (TurnScores::Assistant(scores), true) = (assessment.scores, is_read) {
                self.judgement.replies[place] = Some(of_reply(scores, self.covers));
            }
        }
        Ok(())
    }
}

fn push<A: Assessor>(
    assessor: &A,
    state: &mut A::State,
    role: Role,
    text: &str,
) -> Result<TurnAssessment, JudgeError> {
    let assessment = assessor.push(state, &Turn { role, text: text.to_owned() })?;
    let unavailable = |note: &NotEvaluated| note.reason == NotEvaluatedReason::ModelUnavailable;
    if assessment.not_evaluated.iter().any(unavailable) {
        return Err(JudgeError::Unavailable);
    }
    Ok(assessment)
}

/// Whether a note says that words went unread. A system turn and an empty one have none
/// that concern anybody.
fn leaves_words_out(note: &NotEvaluated) -> bool {
    match note.reason {
        NotEvaluatedReason::SystemTurn | NotEvaluatedReason::EmptyTurn => false,
        NotEvaluatedReason::Truncated
        | NotEvaluatedReason::UnsupportedLanguage
        | NotEvaluatedReason::NoUserTurn
        | NotEvaluatedReason::NonTextPart
        | NotEvaluatedReason::UnknownSpeaker
        | NotEvaluatedReason::ModelUnavailable
        | NotEvaluatedReason::ScoringDisabled => true,
    }
}

fn of_turn(scores: UserScores, covers: &BTreeSet<Task>) -> TurnJudgement {
    TurnJudgement {
        risk: covers.contains(&Task::Risk).then_some(scores.risk),
        signals: covers.contains(&Task::Signals).then_some(scores.signals),
        onsets: covers.contains(&Task::Crisis).then_some(scores.crisis),
    }
}

fn of_reply(scores: ReplyScores, covers: &BTreeSet<Task>) -> ReplyJudgement {
    let harms = covers.contains(&Task::Harms);
    ReplyJudgement {
        classes: covers.contains(&Task::Replies).then_some(scores.classes),
        harms: harms.then_some(scores.harms),
        severity: harms.then_some(scores.severity),
    }
}

fn of_conversation(scores: ConversationScores, covers: &BTreeSet<Task>) -> ConversationJudgement {
    ConversationJudgement {
        risk: covers.contains(&Task::Risk).then_some(scores.risk),
        signals: covers.contains(&Task::Signals).then_some(scores.signals),
        language: scores.language,
    }
}
