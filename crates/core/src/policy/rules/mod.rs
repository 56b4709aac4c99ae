//! The rules of the policy, one per file. A rule is a struct of its options, as
//! they stand in the policy file, with one function that looks at the evidence
//! and may return a finding. Rules do not know of one another; the policy asks
//! all of them and the gravest finding counts.
//!
//! Every rule rises with the probabilities it reads: it compares each with a
//! threshold that depends on no probability (or only falls with one), and a
//! further finding can only make it graver. So the verdict rises with them too.

mod alert;
mod confirmed_crisis;
mod grave_signal;
mod harmful_reply;
mod not_evaluated;
mod past_event;
mod risk;
mod third_party;
mod unsafe_reply;

use serde::{Deserialize, Serialize};

pub use alert::AlertRule;
pub use confirmed_crisis::{ActionPerType, ConfirmedCrisisRule, confirms};
pub use grave_signal::GraveSignalRule;
pub use harmful_reply::HarmfulReplyRule;
pub use not_evaluated::{NotEvaluatedRule, PersonCaution, ReplyCaution, ReplyNotEvaluatedRule};
pub use past_event::PastEventRule;
pub use risk::{RiskLevels, RiskRule};
pub use third_party::ThirdPartyRule;
pub use unsafe_reply::{UnsafeReplyRule, unsafe_probability};

use super::{Evidence, ReplyEvidence};
use crate::verdict::{Explanation, ReplyAction, UserAction};

/// Whether a rule is asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// The rule is asked.
    On,
    /// The rule finds nothing.
    Off,
}

/// A rule about the person.
pub trait PersonRule {
    /// What the rule finds; `None` if nothing or if it is off.
    fn evaluate(&self, evidence: &Evidence<'_>) -> Option<Explanation<UserAction>>;
}

/// A rule about a reply.
pub trait ReplyRule {
    /// What the rule finds; `None` if nothing or if it is off.
    fn evaluate(&self, evidence: &ReplyEvidence<'_>) -> Option<Explanation<ReplyAction>>;
}

/// The rules about the person, as in `[person]` of the policy file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each rule is documented in its own file")]
pub struct PersonRules {
    pub risk: RiskRule,
    pub grave_signal: GraveSignalRule,
    pub confirmed_crisis: ConfirmedCrisisRule,
    pub alert: AlertRule,
    pub past_event: PastEventRule,
    pub third_party: ThirdPartyRule,
    pub not_evaluated: NotEvaluatedRule,
}

impl PersonRules {
    /// The rules that are off, by their names in the policy file. What was not evaluated is
    /// no rule that can be.
    pub fn off(&self) -> Vec<&'static str> {
        let switches = [
            ("risk", self.risk.rule),
            ("grave_signal", self.grave_signal.rule),
            ("confirmed_crisis", self.confirmed_crisis.rule),
            ("alert", self.alert.rule),
            ("past_event", self.past_event.rule),
            ("third_party", self.third_party.rule),
        ];
        switches.into_iter().filter(|(_, switch)| *switch == Switch::Off).map(|(name, _)| name).collect()
    }

    /// All rules in the order in which equally grave reasons are given: the
    /// most telling first.
    pub fn in_order(&self) -> [&dyn PersonRule; 7] {
        [
            &self.confirmed_crisis,
            &self.grave_signal,
            &self.risk,
            &self.alert,
            &self.past_event,
            &self.third_party,
            &self.not_evaluated,
        ]
    }
}

/// The rules about a reply, as in `[reply]` of the policy file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each rule is documented in its own file")]
pub struct ReplyRules {
    pub in_danger: super::InDanger,
    pub unsafe_reply: UnsafeReplyRule,
    pub harmful_reply: HarmfulReplyRule,
    pub not_evaluated: ReplyNotEvaluatedRule,
}

impl ReplyRules {
    /// All rules in the order in which equally grave reasons are given.
    pub fn in_order(&self) -> [&dyn ReplyRule; 3] {
        [&self.harmful_reply, &self.unsafe_reply, &self.not_evaluated]
    }
}
