//! Conversation risk has reached a threshold.
//!
//! ## What it does
//! Compares the conversation's risk after the newest user turn with the two
//! thresholds of its language: `high_risk` and `support`.
//!
//! ## Why
//! Risk is the one number that was calibrated and given thresholds with a known
//! recall; it also catches what no single label names.
//!
//! ## Example
//! Risk 0.83 with a high-risk threshold of 0.55 asks for `escalate`; the finding
//! points at the user turn with the highest risk of its own.
//!
//! ## Options
//! `at_high_risk`, `at_support`: the actions. `thresholds.LANGUAGE`: thresholds
//! in place of the bundle's. A risk at both thresholds gets the graver action.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PersonRule, Switch};
use crate::calibration::Calibration;
use crate::language::Language;
use crate::policy::{Evidence, bundle_levels};
use crate::probability::Probability;
use crate::verdict::{Explanation, Reached, RuleName, UserAction};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// The action at or above the high-risk threshold.
    pub at_high_risk: UserAction,
    /// The action at or above the support threshold.
    pub at_support: UserAction,
    /// Thresholds in place of the bundle's, per language.
    #[serde(default)]
    pub thresholds: BTreeMap<Language, RiskLevels>,
}

/// The two thresholds on conversation risk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "UncheckedRiskLevels")]
pub struct RiskLevels {
    /// At or above: high risk.
    pub high_risk: Probability,
    /// At or above: support. Never above `high_risk`.
    pub support: Probability,
}

/// Risk levels as read, before their order is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedRiskLevels {
    high_risk: Probability,
    support: Probability,
}

impl TryFrom<UncheckedRiskLevels> for RiskLevels {
    type Error = String;

    fn try_from(unchecked: UncheckedRiskLevels) -> Result<Self, String> {
        let UncheckedRiskLevels { high_risk, support } = unchecked;
        if support > high_risk {
            let (support, high) = (support.get(), high_risk.get());
            return Err(format!(
                "found support = {support} above high_risk = {high}, expected it at or below"
            ));
        }
        Ok(Self { high_risk, support })
    }
}

impl RiskRule {
    /// The thresholds that hold for a language: the policy's own or the bundle's.
    pub fn levels(&self, language: Language, calibration: &Calibration) -> RiskLevels {
        let own = self.thresholds.get(&language).copied();
        own.unwrap_or_else(|| bundle_levels(language, calibration))
    }
}

impl PersonRule for RiskRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        let conversation = evidence.conversation.filter(|_| self.rule == Switch::On)?;
        let levels = self.levels(conversation.language, evidence.calibration);
        let candidates =
            [(levels.high_risk, self.at_high_risk, HIGH_RISK), (levels.support, self.at_support, SUPPORT)];
        let findings = candidates.into_iter().filter(|(threshold, ..)| conversation.risk >= *threshold).map(
            |(threshold, action, statement)| {
                let reached = Reached {
                    turn: evidence.tracker.ledger().risk().map(|peak| peak.turn),
                    label: None,
                    probability: conversation.risk,
                    threshold,
                };
                Explanation::of_score(RuleName::Risk, action, statement, reached)
            },
        );
        findings.reduce(|a, b| if b.action > a.action { b } else { a })
    }
}

const HIGH_RISK: &str = "The risk is at the level where a human should step in now.";
const SUPPORT: &str = "The risk is at the level where the answer should offer support.";
