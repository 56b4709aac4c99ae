//! One grave signal is certain.
//!
//! ## What it does
//! Looks at the signals of self-harm now, of finality (plan, means, farewell)
//! and of present danger, and finds each that is certain.
//!
//! ## Why
//! A sum over signals can drown a single one; the published guardrail missed
//! more than half of the high-risk conversations that showed only one signal.
//! One certain grave signal must be enough, whatever the sum says.
//!
//! ## Example
//! `immediate_safety` at 0.97 with `certain = 0.90` asks for `escalate`, also
//! in a conversation whose overall risk is low.
//!
//! ## Options
//! `action`: what to do. `certain`: the threshold, in place of the bundle's.

use serde::{Deserialize, Serialize};

use super::{PersonRule, Switch};
use crate::policy::Evidence;
use crate::probability::Probability;
use crate::taxonomy::Signal;
use crate::verdict::{Explanation, RuleName, UserAction};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraveSignalRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// The action when a grave signal is certain.
    pub action: UserAction,
    /// A signal is certain at or above this; the bundle's floor if absent.
    #[serde(default)]
    pub certain: Option<Probability>,
}

impl PersonRule for GraveSignalRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let certain = self.certain.unwrap_or(evidence.calibration.floor.certain);
        let findings = Signal::GRAVE
            .iter()
            .filter_map(|&signal| evidence.signal_at(signal, certain).map(|r| (signal, r)))
            .map(|(signal, reached)| {
                Explanation::of_score(RuleName::GraveSignal, self.action, plain(signal), reached)
            })
            .collect();
        Explanation::summary("Several grave signs are certain.", findings)
    }
}

/// What a grave signal says, in a sentence.
const fn plain(signal: Signal) -> &'static str {
    match signal {
        Signal::ActiveSelfHarm => "It is certain that the person harms themselves or has urges to.",
        Signal::FinalityLanguage => "It is certain that the person speaks of a final end.",
        Signal::ImmediateSafety => "It is certain that the person is in danger now.",
        _ => "A sign that was declared grave is certain.",
    }
}
