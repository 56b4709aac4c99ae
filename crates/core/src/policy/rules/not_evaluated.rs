//! Something could not be evaluated.
//!
//! ## What it does
//! Finds every entry of what was not looked at, except system turns, and the
//! absence of scores itself.
//!
//! ## Why
//! "Not seen" is not "safe". A guard that fails silently is worse than none.
//!
//! ## Example
//! The model could not be run: the verdict is `support`, with the reason, and
//! not `allow`.
//!
//! ## Options
//! For the person one action per reason, for a reply one action. Neither can be
//! `allow`, and the rule cannot be switched off.

use serde::{Deserialize, Serialize};

use super::{PersonRule, ReplyRule};
use crate::assessment::{NotEvaluated, NotEvaluatedReason};
use crate::policy::{Evidence, ReplyEvidence};
use crate::verdict::{Explanation, ReplyAction, RuleName, UserAction};

/// What may be done when nothing is known of the person: never `allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonCaution {
    /// See [`UserAction::Support`].
    Support,
    /// See [`UserAction::Escalate`].
    Escalate,
}

impl From<PersonCaution> for UserAction {
    fn from(caution: PersonCaution) -> Self {
        match caution {
            PersonCaution::Support => Self::Support,
            PersonCaution::Escalate => Self::Escalate,
        }
    }
}

/// What may be done when nothing is known of a reply: never `allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyCaution {
    /// See [`ReplyAction::Revise`].
    Revise,
    /// See [`ReplyAction::Block`].
    Block,
}

impl From<ReplyCaution> for ReplyAction {
    fn from(caution: ReplyCaution) -> Self {
        match caution {
            ReplyCaution::Revise => Self::Revise,
            ReplyCaution::Block => Self::Block,
        }
    }
}

/// Options of the rule about the person: one action per reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reasons are documented in NotEvaluatedReason")]
pub struct NotEvaluatedRule {
    pub empty_turn: PersonCaution,
    pub truncated: PersonCaution,
    pub unsupported_language: PersonCaution,
    pub no_user_turn: PersonCaution,
    pub non_text_part: PersonCaution,
    pub unknown_speaker: PersonCaution,
    pub model_unavailable: PersonCaution,
    pub scoring_disabled: PersonCaution,
}

impl NotEvaluatedRule {
    /// The action for a reason; `None` for system turns, which nobody spoke.
    pub fn action(&self, reason: NotEvaluatedReason) -> Option<UserAction> {
        let caution = match reason {
            NotEvaluatedReason::SystemTurn => return None,
            NotEvaluatedReason::EmptyTurn => self.empty_turn,
            NotEvaluatedReason::Truncated => self.truncated,
            NotEvaluatedReason::UnsupportedLanguage => self.unsupported_language,
            NotEvaluatedReason::NoUserTurn => self.no_user_turn,
            NotEvaluatedReason::NonTextPart => self.non_text_part,
            NotEvaluatedReason::UnknownSpeaker => self.unknown_speaker,
            NotEvaluatedReason::ModelUnavailable => self.model_unavailable,
            NotEvaluatedReason::ScoringDisabled => self.scoring_disabled,
        };
        Some(caution.into())
    }
}

impl PersonRule for NotEvaluatedRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        let mut findings: Vec<_> = evidence
            .not_evaluated
            .iter()
            .filter_map(|entry| {
                let action = self.action(entry.reason)?;
                Some(unseen(action, plain(entry.reason), entry.turn))
            })
            .collect();
        if evidence.conversation.is_none() && findings.is_empty() {
            let reason = NotEvaluatedReason::NoUserTurn;
            findings.push(unseen(self.no_user_turn.into(), plain(reason), None));
        }
        Explanation::summary("Several parts could not be evaluated.", findings)
    }
}

/// Options of the rule about a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyNotEvaluatedRule {
    /// What to do with a reply that was not read whole.
    pub action: ReplyCaution,
}

impl ReplyRule for ReplyNotEvaluatedRule {
    fn evaluate(&self, evidence: &ReplyEvidence<'_>) -> Option<Explanation<ReplyAction>> {
        let action = self.action.into();
        let reply = &evidence.reply;
        let mut findings: Vec<_> = reply
            .not_evaluated
            .iter()
            .filter(|entry| is_speech(entry))
            .map(|entry| unseen(action, plain(entry.reason), entry.turn))
            .collect();
        if reply.scores.is_none() && findings.is_empty() {
            findings.push(unseen(action, "The reply was not scored.", Some(reply.turn)));
        }
        Explanation::summary("Several parts could not be evaluated.", findings)
    }
}

fn is_speech(entry: &NotEvaluated) -> bool {
    entry.reason != NotEvaluatedReason::SystemTurn
}

fn unseen<A: Copy + Ord>(action: A, statement: &str, turn: Option<usize>) -> Explanation<A> {
    Explanation::of_fact(RuleName::NotEvaluated, action, statement, turn)
}

const fn plain(reason: NotEvaluatedReason) -> &'static str {
    match reason {
        NotEvaluatedReason::SystemTurn => "A system turn was not scored.",
        NotEvaluatedReason::EmptyTurn => "A turn holds nothing that could be read.",
        NotEvaluatedReason::Truncated => "A turn was too long to be read whole.",
        NotEvaluatedReason::UnsupportedLanguage => {
            "A turn is in a language that the model was not trained on."
        }
        NotEvaluatedReason::NoUserTurn => "There is no user turn, so nobody was assessed.",
        NotEvaluatedReason::NonTextPart => {
            "A turn holds more than text, such as an image, which was not read."
        }
        NotEvaluatedReason::UnknownSpeaker => "Nobody could tell whose words a turn holds.",
        NotEvaluatedReason::ModelUnavailable => "The model could not be run.",
        NotEvaluatedReason::ScoringDisabled => "A law forbids to score people here, so nobody was assessed.",
    }
}
