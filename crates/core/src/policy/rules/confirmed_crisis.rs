//! A crisis that goes on has become explicit.
//!
//! ## What it does
//! Finds each ongoing Confirm that reached its threshold at any user turn.
//!
//! ## Why
//! Once somebody has said it, it is so for the rest of the conversation. People
//! deny and minimise when they see what their words set off.
//!
//! ## Example
//! `confirm_DV_ongoing` reached its threshold at turn 6; at turn 12 the person
//! says that all is well. The finding at turn 12 is still the one of turn 6.
//!
//! ## Options
//! One action for each of the seven types.

use serde::{Deserialize, Serialize};

use super::{PersonRule, Switch};
use crate::policy::Evidence;
use crate::taxonomy::{CrisisLabel, CrisisType, Stage, Taxonomy, Tense};
use crate::verdict::{Explanation, RuleName, UserAction};

/// Options of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmedCrisisRule {
    /// Whether the rule is asked.
    pub rule: Switch,
    /// What to do for each type.
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

impl PersonRule for ConfirmedCrisisRule {
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>> {
        if self.rule == Switch::Off {
            return None;
        }
        let findings = confirms(evidence, Tense::Ongoing, |crisis| {
            let statement = format!("The person told of {} that goes on now.", plain(crisis));
            (RuleName::ConfirmedCrisis, self.actions.action(crisis), statement)
        });
        Explanation::summary("The person told of several crises that go on now.", findings)
    }
}

/// What a rule says of one type of crisis.
pub(super) type Say = (RuleName, UserAction, String);

/// A finding for each Confirm of a tense that reached its threshold.
pub(super) fn confirms(
    evidence: &Evidence<'_>,
    tense: Tense,
    say: impl Fn(CrisisType) -> Say,
) -> Vec<Explanation<UserAction>> {
    let of_tense = CrisisLabel::ALL.iter().filter(|label| label.tense() == tense);
    of_tense
        .filter_map(|&label| match label.stage() {
            Stage::Alert => None,
            Stage::Confirm(crisis) => Some((crisis, evidence.crossed(label)?)),
        })
        .map(|(crisis, reached)| {
            let (rule, action, statement) = say(crisis);
            Explanation::of_score(rule, action, statement, reached)
        })
        .collect()
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
