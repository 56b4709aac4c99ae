//! A crisis that is over has become explicit.
//!
//! ## What it does
//! Finds each past Confirm that reached its threshold at any user turn.
//!
//! ## Why
//! Telling of it takes courage and deserves support, but what is over is no
//! emergency. The corpus guidelines: past or resolved content is usually not
//! high risk. If it still weighs, the risk rule says so.
//!
//! ## Example
//! `confirm_RA_past` at turn 4 asks for `support`. If `confirm_RA_ongoing`
//! reached its threshold too, the graver finding decides.
//!
//! ## Options
//! One action for each of the seven types.

use serde::{Deserialize, Serialize};

use super::confirmed_crisis::{ActionPerType, confirms, plain};
use super::{PersonRule, Switch};
use crate::policy::Evidence;
use crate::taxonomy::Tense;
use crate::verdict::{Explanation, RuleName, UserAction};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastEventRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// What to do for each type.
    pub actions: ActionPerType,
}

impl PersonRule for PastEventRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let findings = confirms(Tense::Past).filter_map(|(label, crisis)| {
            let reached = evidence.crossed(label)?;
            let statement = format!("The person told of {} that is over.", plain(crisis));
            Some(Explanation::of_score(RuleName::PastEvent, self.actions.action(crisis), statement, reached))
        });
        Explanation::summary("The person told of several crises that are over.", findings.collect())
    }
}
