//! The person is worried about somebody else's safety.
//!
//! ## What it does
//! Finds the signal `third_party_concern` of the conversation at its threshold.
//!
//! ## Why
//! Someone who carries another's danger needs support and a way to get help for
//! them, and "a friend of mine" may be the person. It is no reason to be milder:
//! all other rules are asked as well.
//!
//! ## Example
//! `third_party_concern` at 0.9 in a calm conversation asks for `support`.
//!
//! ## Options
//! `action`: what to do. `threshold`: in place of the bundle's.

use serde::{Deserialize, Serialize};

use super::{PersonRule, Switch};
use crate::policy::Evidence;
use crate::probability::Probability;
use crate::taxonomy::Signal;
use crate::verdict::{Explanation, RuleName, UserAction};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThirdPartyRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// The action when the signal is active.
    pub action: UserAction,
    /// The signal is active at or above this; the bundle's threshold if absent.
    #[serde(default)]
    pub threshold: Option<Probability>,
}

impl PersonRule for ThirdPartyRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let signal = Signal::ThirdPartyConcern;
        let threshold = self.threshold.unwrap_or(evidence.calibration.signals[signal]);
        let reached = evidence.signal_at(signal, threshold)?;
        let statement = "The person is worried about somebody else's safety.";
        Some(Explanation::of_score(RuleName::ThirdParty, self.action, statement, reached))
    }
}
