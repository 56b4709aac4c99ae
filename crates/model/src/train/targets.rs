//! What a training aims at, as probabilities. A label is 0 or 1; a teacher's judgement may
//! be anything between. What is not known is no target and adds nothing to a loss.

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::Taxonomy;

use super::examples::{Example, LabelledReply};

/// The targets of one conversation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Targets {
    /// Risk of the conversation.
    pub(super) risk: Option<f32>,
    /// Its nine signals.
    pub(super) signals: Option<Vec<f32>>,
    /// One for each turn.
    pub(super) turns: Vec<TurnTargets>,
    /// One for each judged reply.
    pub(super) replies: Vec<ReplyTargets>,
}

/// The targets of one turn; none but at user turns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TurnTargets {
    /// Risk at this turn.
    pub(super) risk: Option<f32>,
    /// The sixteen onsets.
    pub(super) crisis: Option<Vec<f32>>,
}

/// The targets of one reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReplyTargets {
    /// The eight classes; they sum to 1.
    pub(super) classes: Option<Vec<f32>>,
    /// The nineteen harms.
    pub(super) harms: Option<Vec<f32>>,
    /// The four severities; they sum to 1.
    pub(super) severity: Option<Vec<f32>>,
}

impl Targets {
    /// The labels of an example as targets of 0 and 1. Risk at a turn is known only where
    /// the source says at which turns crises begin.
    pub(super) fn of_labels(example: &Example) -> Self {
        let unknown = vec![None; example.turns.len()];
        let risks = if example.has_labelled_turns() { example.turn_risks() } else { unknown };
        let turn = |(turn, risk): (&super::examples::LabelledTurn, Option<bool>)| TurnTargets {
            risk: risk.filter(|_| turn.role == Role::User).map(certain),
            crisis: turn.crisis.as_ref().map(|begins| present(begins)),
        };
        Self {
            risk: example.high_risk.map(certain),
            signals: example.signals.clone(),
            turns: example.turns.iter().zip(risks).map(turn).collect(),
            replies: example.replies.iter().map(ReplyTargets::of_labels).collect(),
        }
    }

    /// These and a teacher's, as [`mixed`].
    pub(super) fn mixed(self, teacher: Self, share: f32) -> Self {
        let turns = self.turns.into_iter().zip(teacher.turns).map(|(gold, soft)| TurnTargets {
            risk: mixed_one(gold.risk, soft.risk, share),
            crisis: mixed(gold.crisis, soft.crisis, share),
        });
        let replies = self.replies.into_iter().zip(teacher.replies).map(|(gold, soft)| ReplyTargets {
            classes: mixed(gold.classes, soft.classes, share),
            harms: mixed(gold.harms, soft.harms, share),
            severity: mixed(gold.severity, soft.severity, share),
        });
        Self {
            risk: mixed_one(self.risk, teacher.risk, share),
            signals: mixed(self.signals, teacher.signals, share),
            turns: turns.collect(),
            replies: replies.collect(),
        }
    }
}

impl ReplyTargets {
    fn of_labels(reply: &LabelledReply) -> Self {
        Self {
            classes: reply.class.map(one_of),
            harms: reply.harm.as_ref().map(|(harms, _)| present(harms)),
            severity: reply.harm.as_ref().map(|&(_, severity)| one_of(severity)),
        }
    }

    /// Harms and severity with what the guidelines say of a safe reply, for the wide
    /// part; see [`LabelledReply::known_harm`].
    pub(super) fn or_known(mut self, reply: &LabelledReply) -> Self {
        if let (None, None, Some((harms, severity))) = (&self.harms, &self.severity, reply.known_harm()) {
            (self.harms, self.severity) = (Some(present(&harms)), Some(one_of(severity)));
        }
        self
    }
}

/// `share` of the label and the rest of the teacher's, where both are known; else the one
/// that is. Cross-entropy is linear in its target, so this mixes the losses.
fn mixed(gold: Option<Vec<f32>>, teacher: Option<Vec<f32>>, share: f32) -> Option<Vec<f32>> {
    match (gold, teacher) {
        (Some(gold), Some(teacher)) => {
            Some(gold.iter().zip(teacher).map(|(g, t)| share * g + (1.0 - share) * t).collect())
        }
        (gold, teacher) => gold.or(teacher),
    }
}

fn mixed_one(gold: Option<f32>, teacher: Option<f32>, share: f32) -> Option<f32> {
    mixed(gold.map(|g| vec![g]), teacher.map(|t| vec![t]), share).map(|both| both[0])
}

/// A yes or no as a probability.
fn certain(is_so: bool) -> f32 {
    if is_so { 1.0 } else { 0.0 }
}

/// 1 for each label that is among these.
fn present<T: Taxonomy>(labels: &[T]) -> Vec<f32> {
    T::ALL.iter().map(|label| certain(labels.contains(label))).collect()
}

/// 1 for this label alone.
pub(super) fn one_of<T: Taxonomy>(label: T) -> Vec<f32> {
    present(&[label])
}
