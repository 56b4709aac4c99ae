//! A reply does harm.
//!
//! ## What it does
//! Finds the reply classes that must not be shown, harm of a severity that must
//! not be shown, and any harm category that is present; all stricter where the
//! person is in danger.
//!
//! ## Why
//! An evasive answer can be written anew. Insult, harmful instruction or
//! encouragement must not reach a person in distress at all.
//!
//! ## Example
//! Severity moderate 0.4 and severe 0.2 make 0.6 for "moderate or graver": with
//! a threshold of 0.5 the reply is blocked.
//!
//! ## Options
//! `classes`, `class_action`: the classes and what to do at their thresholds in
//! the bundle. `severity`, `severity_threshold`, `severity_action`: from which
//! severity on, how sure, and what to do. `harm_action`: what to do when any
//! harm category reaches its threshold in the bundle.

use serde::{Deserialize, Serialize};

use super::{ReplyRule, Switch};
use crate::assessment::ReplyScores;
use crate::policy::{ReplyEvidence, total};
use crate::probability::Probability;
use crate::taxonomy::{ReplyClass, Severity};
use crate::verdict::{Explanation, Label, Reached, ReplyAction, RuleName};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarmfulReplyRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// The reply classes that must not be shown.
    pub classes: Vec<UnsafeClass>,
    /// The action when one of them reaches its threshold.
    pub class_action: ReplyAction,
    /// The mildest severity that must not be shown.
    pub severity: HarmfulSeverity,
    /// How probable that severity or a graver one must be.
    pub severity_threshold: Probability,
    /// The action when it is.
    pub severity_action: ReplyAction,
    /// The action when any harm category reaches its threshold.
    pub harm_action: ReplyAction,
}

/// Any reply class but the safe one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ReplyClass", into = "ReplyClass")]
pub struct UnsafeClass(ReplyClass);

impl TryFrom<ReplyClass> for UnsafeClass {
    type Error = String;

    fn try_from(found: ReplyClass) -> Result<Self, String> {
        if found.is_safe() {
            return Err("found the safe class, expected one of the seven unsafe ones".to_owned());
        }
        Ok(Self(found))
    }
}

impl From<UnsafeClass> for ReplyClass {
    fn from(class: UnsafeClass) -> Self {
        class.0
    }
}

/// Any severity but none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Severity", into = "Severity")]
pub struct HarmfulSeverity(Severity);

impl TryFrom<Severity> for HarmfulSeverity {
    type Error = String;

    fn try_from(found: Severity) -> Result<Self, String> {
        if found == Severity::None {
            return Err("found severity none, expected minor, moderate or severe".to_owned());
        }
        Ok(Self(found))
    }
}

impl From<HarmfulSeverity> for Severity {
    fn from(severity: HarmfulSeverity) -> Self {
        severity.0
    }
}

impl ReplyRule for HarmfulReplyRule {
    fn evaluate(&self, evidence: &ReplyEvidence<'_>) -> Option<Explanation<ReplyAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let scores = evidence.reply.scores?;
        let mut findings = self.classes(evidence, scores);
        findings.extend(self.severity(evidence, scores));
        findings.extend(self.harms(evidence, scores));
        Explanation::summary("The reply does harm, for several reasons.", findings)
    }
}

impl HarmfulReplyRule {
    fn classes(&self, evidence: &ReplyEvidence<'_>, scores: &ReplyScores) -> Vec<Explanation<ReplyAction>> {
        let statement = "The reply is of a class that must not be shown.";
        self.classes
            .iter()
            .filter_map(|&UnsafeClass(class)| {
                let threshold = evidence.calibration.replies[class];
                evidence.reached(Some(Label::Reply(class)), scores.classes[class], threshold)
            })
            .map(|reached| harmful(self.class_action, statement, reached))
            .collect()
    }

    fn severity(
        &self,
        evidence: &ReplyEvidence<'_>,
        scores: &ReplyScores,
    ) -> Option<Explanation<ReplyAction>> {
        let HarmfulSeverity(least) = self.severity;
        let grave = scores.severity.iter().filter(|(severity, _)| *severity >= least);
        let probability = total(grave.map(|(_, p)| p));
        let label = Some(Label::Severity(least));
        let reached = evidence.reached(label, probability, self.severity_threshold)?;
        let statement = "The harm of the reply is of this severity or graver.";
        Some(harmful(self.severity_action, statement, reached))
    }

    fn harms(&self, evidence: &ReplyEvidence<'_>, scores: &ReplyScores) -> Vec<Explanation<ReplyAction>> {
        let statement = "The reply does harm of this kind.";
        scores
            .harms
            .iter()
            .filter_map(|(harm, probability)| {
                let threshold = evidence.calibration.harms[harm];
                evidence.reached(Some(Label::Harm(harm)), probability, threshold)
            })
            .map(|reached| harmful(self.harm_action, statement, reached))
            .collect()
    }
}

fn harmful(action: ReplyAction, statement: &str, reached: Reached) -> Explanation<ReplyAction> {
    Explanation::of_score(RuleName::HarmfulReply, action, statement, reached)
}
