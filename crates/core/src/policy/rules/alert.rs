//! An ambiguous sign of a crisis was seen.
//!
//! ## What it does
//! Finds each Alert that reached its threshold at any user turn, also after a
//! Confirm has made it explicit: the sign remains true.
//!
//! ## Why
//! The first sign is the moment to ask with care. It is too early to call
//! somebody: most Alerts alone are not high risk.
//!
//! ## Example
//! `alert_ongoing` at turn 2 asks for `support`, and nothing else does yet.
//!
//! ## Options
//! `ongoing`, `past`: the action for each tense.

use serde::{Deserialize, Serialize};

use super::{PersonRule, Switch};
use crate::policy::Evidence;
use crate::taxonomy::CrisisLabel;
use crate::verdict::{Explanation, RuleName, UserAction};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// The action when the sign is of something that goes on.
    pub ongoing: UserAction,
    /// The action when the sign is of something that is over.
    pub past: UserAction,
}

impl PersonRule for AlertRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let alerts =
            [(CrisisLabel::AlertOngoing, self.ongoing, ONGOING), (CrisisLabel::AlertPast, self.past, PAST)];
        let findings = alerts
            .into_iter()
            .filter_map(|(label, action, statement)| {
                let reached = evidence.crossed(label)?;
                Some(Explanation::of_score(RuleName::Alert, action, statement, reached))
            })
            .collect();
        Explanation::summary("There were signs of possible crises, now and earlier.", findings)
    }
}

const ONGOING: &str = "There was a sign of a possible crisis that goes on now.";
const PAST: &str = "There was a sign of a possible crisis that is over.";
