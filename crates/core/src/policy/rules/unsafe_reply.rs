//! A reply is unsafe in its context.
//!
//! ## What it does
//! Adds up the seven unsafe reply classes and compares the sum with a threshold,
//! stricter where the person is in danger.
//!
//! ## Why
//! Which class it is may be unsure while it is quite sure that the reply is not
//! safe; the sum sees that.
//!
//! ## Example
//! Neglect at 0.4 and judgment at 0.3 make 0.7: with a threshold of 0.5 the
//! reply should be revised. The details name the classes at their own threshold.
//!
//! ## Options
//! `action`: what to do. `threshold`: in place of the bundle's.

use serde::{Deserialize, Serialize};

use super::{ReplyRule, Switch};
use crate::policy::{ReplyEvidence, total};
use crate::probability::Probability;
use crate::taxonomy::{ReplyClass, Scores};
use crate::verdict::{Explanation, Label, ReplyAction, RuleName};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsafeReplyRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// The action when the reply is unsafe.
    pub action: ReplyAction,
    /// Unsafe at or above this; the bundle's threshold if absent.
    #[serde(default)]
    pub threshold: Option<Probability>,
}

impl ReplyRule for UnsafeReplyRule {
    fn evaluate(&self, evidence: &ReplyEvidence<'_>) -> Option<Explanation<ReplyAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let classes = &evidence.reply.scores?.classes;
        let threshold = self.threshold.unwrap_or(evidence.calibration.unsafe_reply);
        let probability = unsafe_probability(classes);
        let reached = evidence.reached(None, probability, threshold)?;
        let statement = "The reply is not safe for the person in this state.";
        let sum = Explanation::of_score(RuleName::UnsafeReply, self.action, statement, reached);
        Some(Explanation { details: self.named_classes(evidence, classes), ..sum })
    }
}

impl UnsafeReplyRule {
    /// A detail for each unsafe class at its own threshold.
    fn named_classes(
        &self,
        evidence: &ReplyEvidence<'_>,
        classes: &Scores<ReplyClass>,
    ) -> Vec<Explanation<ReplyAction>> {
        unsafe_classes(classes)
            .filter_map(|(class, probability)| {
                let threshold = evidence.calibration.replies[class];
                let reached = evidence.reached(Some(Label::Reply(class)), probability, threshold)?;
                let statement = "The reply is of an unsafe class.";
                Some(Explanation::of_score(RuleName::UnsafeReply, self.action, statement, reached))
            })
            .collect()
    }
}

/// How probably a reply is unsafe: all classes but the safe one together, at most 1. A
/// threshold must be chosen on this very sum, or the row that it was chosen by may fall
/// below it.
pub fn unsafe_probability(classes: &Scores<ReplyClass>) -> Probability {
    total(unsafe_classes(classes).map(|(_, p)| p))
}

fn unsafe_classes(classes: &Scores<ReplyClass>) -> impl Iterator<Item = (ReplyClass, Probability)> + '_ {
    classes.iter().filter(|(class, _)| !class.is_safe())
}
