//! What a person gets when a part of the guard fails, stated for each phase in
//! `[fail]` of the policy file. No type here has a default, so none can stand in for a
//! missing line, and none can be written that turns a person away: what may be chosen
//! is support or the assistant's answer, the reply or the words in its place.
//!
//! A fail mode is the least that a person gets. Where a verdict was reached before the
//! failure and asks for more, the verdict counts. A fail mode is no verdict: `pass`
//! does not say that anything was safe, and whatever was done is recorded as degraded
//! wherever a record can be made.

use serde::{Deserialize, Serialize};

/// The fail modes, as in `[fail]` of the policy file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailModes {
    /// The model could not read the person's side.
    pub person_model: PersonFail,
    /// The conversation's state could not be fetched, or the decision on the person's
    /// side could not be written.
    pub person_store: PersonFail,
    /// The model could not judge a reply.
    pub reply_model: ReplyFail,
    /// The decision on a reply could not be written.
    pub reply_store: ReplyFail,
    /// The assistant behind the guard gave no answer.
    pub upstream: UpstreamFail,
}

/// What a person gets when their side could not be judged or recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonFail {
    /// The turn is handled like a verdict of `support`: the assistant answers with the
    /// support note, and the person gets the resources.
    Support,
    /// The assistant answers as it would.
    Pass,
}

/// What a person gets when a reply could not be judged or recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyFail {
    /// The words for a withheld reply stand in its place, with resources.
    Replace,
    /// The reply is shown.
    Pass,
}

/// What a person gets when the assistant gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamFail {
    /// The words for that, always with resources.
    Support,
    /// The words alone where the verdict is `allow`, with resources where it is more.
    Words,
}

/// A phase that can fail, for records: its name in the policy file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each phase is documented at its field of `FailModes`")]
pub enum Phase {
    PersonModel,
    PersonStore,
    ReplyModel,
    ReplyStore,
    Upstream,
}

impl Phase {
    /// Every phase, in the order of the policy file.
    pub const ALL: [Self; 5] =
        [Self::PersonModel, Self::PersonStore, Self::ReplyModel, Self::ReplyStore, Self::Upstream];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_line() {
        let modes = FailModes {
            person_model: PersonFail::Support,
            person_store: PersonFail::Pass,
            reply_model: ReplyFail::Replace,
            reply_store: ReplyFail::Pass,
            upstream: UpstreamFail::Support,
        };
        let lines = serde_json::to_value(modes).expect("serialises");
        let lines = lines.as_object().expect("a table");
        let phases = Phase::ALL.map(|phase| serde_json::to_value(phase).expect("serialises"));
        assert_eq!(lines.len(), phases.len());
        for phase in phases {
            assert!(lines.contains_key(phase.as_str().expect("a name")), "{phase}");
        }
    }
}
