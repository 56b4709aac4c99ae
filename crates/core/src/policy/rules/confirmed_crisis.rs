//! A crisis that goes on has become explicit.
//!
//! ## What it does
//! Finds each ongoing Confirm that was certain at any user turn, and each that
//! was not, but reached the threshold at which a crisis begins.
//!
//! ## Why
//! Once somebody has said it, it is so for the rest of the conversation. People
//! deny and minimise when they see what their words set off. The threshold at
//! which a crisis begins is chosen to find the turn; whether a human should come is
//! another question, with a threshold of its own, normally a higher one.
//!
//! ## Example
//! `confirm_DV_ongoing` reached its threshold at turn 6; at turn 12 the person
//! says that all is well. The finding at turn 12 is still there; it names the turn
//! that showed it best.
//!
//! ## Options
//! `certain`: the threshold, in place of the bundle's. `when_unsure`: what to do
//! below it. One action for each of the seven types where it is certain.

use serde::{Deserialize, Serialize};

use super::{PersonRule, Switch};
use crate::policy::Evidence;
use crate::probability::Probability;
use crate::taxonomy::{CrisisLabel, CrisisType, Stage, Taxonomy, Tense};
use crate::verdict::{Explanation, Reached, RuleName, UserAction};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmedCrisisRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// A Confirm is certain at or above this; the bundle's value if absent.
    #[serde(default)]
    pub certain: Option<Probability>,
    /// What to do about a Confirm that began and is not certain.
    pub when_unsure: UserAction,
    /// What to do for each type; never less than what is done when unsure.
    pub actions: ActionPerType,
}

/// One action for each type of crisis, by the published codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the types are documented in the crisis taxonomy")]
pub struct ActionPerType {
    #[serde(rename = "SI_active")]
    pub suicidal_ideation_active: UserAction,
    #[serde(rename = "SI_passive")]
    pub suicidal_ideation_passive: UserAction,
    #[serde(rename = "SH")]
    pub self_harm: UserAction,
    #[serde(rename = "DV")]
    pub domestic_violence: UserAction,
    #[serde(rename = "CA")]
    pub child_abuse: UserAction,
    #[serde(rename = "SHA")]
    pub sexual_harassment: UserAction,
    #[serde(rename = "RA")]
    pub rape: UserAction,
}

impl ActionPerType {
    /// The action for one type.
    pub const fn action(&self, crisis: CrisisType) -> UserAction {
        match crisis {
            CrisisType::SuicidalIdeationActive => self.suicidal_ideation_active,
            CrisisType::SuicidalIdeationPassive => self.suicidal_ideation_passive,
            CrisisType::SelfHarm => self.self_harm,
            CrisisType::DomesticViolence => self.domestic_violence,
            CrisisType::ChildAbuse => self.child_abuse,
            CrisisType::SexualHarassment => self.sexual_harassment,
            CrisisType::Rape => self.rape,
        }
    }
}

impl ConfirmedCrisisRule {
    /// Whether an ongoing crisis of any type is certain, also where the rule is off:
    /// replies are judged by what is so, not by what is done about it.
    pub fn is_certain(&self, evidence: &Evidence<'_>) -> bool {
        confirms(Tense::Ongoing).any(|(label, _)| self.certain(evidence, label).is_some())
    }

    fn certain(&self, evidence: &Evidence<'_>, label: CrisisLabel) -> Option<Reached> {
        let threshold = self.certain.unwrap_or(evidence.calibration.certain_confirm.value);
        evidence.crisis_at(label, threshold)
    }

    fn finding(
        &self,
        evidence: &Evidence<'_>,
        (label, crisis): (CrisisLabel, CrisisType),
    ) -> Option<Explanation<UserAction>> {
        let (action, told, reached) = match self.certain(evidence, label) {
            Some(reached) => (self.actions.action(crisis).max(self.when_unsure), "told", reached),
            None => (self.when_unsure, "may have told", evidence.crossed(label)?),
        };
        let statement = format!("The person {told} of {} that goes on now.", plain(crisis));
        Some(Explanation::of_score(RuleName::ConfirmedCrisis, action, statement, reached))
    }
}

impl PersonRule for ConfirmedCrisisRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let findings = confirms(Tense::Ongoing).filter_map(|confirm| self.finding(evidence, confirm));
        Explanation::summary("There are signs of several crises that go on now.", findings.collect())
    }
}

/// Every Confirm of a tense, with its type.
pub fn confirms(tense: Tense) -> impl Iterator<Item = (CrisisLabel, CrisisType)> {
    let of_tense = CrisisLabel::ALL.iter().filter(move |label| label.tense() == tense);
    of_tense.filter_map(|&label| match label.stage() {
        Stage::Alert => None,
        Stage::Confirm(crisis) => Some((label, crisis)),
    })
}

/// The type of crisis in plain words, fit to stand before "that goes on".
pub(super) const fn plain(crisis: CrisisType) -> &'static str {
    match crisis {
        CrisisType::SuicidalIdeationPassive => "a wish to be dead, without plan or intent,",
        CrisisType::SuicidalIdeationActive => "suicidal intent or preparation",
        CrisisType::SelfHarm => "self-injury, or an urge to it,",
        CrisisType::DomesticViolence => "violence or control by a partner",
        CrisisType::ChildAbuse => "abuse, neglect or endangerment of a minor",
        CrisisType::SexualHarassment => "sexual harassment",
        CrisisType::Rape => "rape",
    }
}
