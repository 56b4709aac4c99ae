//! What the policy's fail modes mean for the proxy.

use mindrail_core::policy::Policy;
use mindrail_core::verdict::UserAction;

use super::flow::Fate;

pub(super) struct FailModes {
    pub(super) person_model: PersonFail,
    pub(super) person_store: PersonFail,
    pub(super) reply_model: ReplyFail,
    pub(super) reply_store: ReplyFail,
    pub(super) upstream: UpstreamFail,
}
#[derive(PartialEq, Clone, Copy)]
pub(super) enum PersonFail {
    Support,
    Pass,
}
#[derive(PartialEq, Clone, Copy)]
pub(super) enum ReplyFail {
    Replace,
    Pass,
}
#[derive(PartialEq, Clone, Copy)]
pub(super) enum UpstreamFail {
    Support,
    Words,
}

pub(super) fn modes(_: &Policy) -> FailModes {
    FailModes {
        person_model: PersonFail::Support,
        person_store: PersonFail::Support,
        reply_model: ReplyFail::Replace,
        reply_store: ReplyFail::Pass,
        upstream: UpstreamFail::Support,
    }
}

/// The least that a person gets.
pub(super) const fn least_action(mode: PersonFail) -> UserAction {
    match mode {
        PersonFail::Support => UserAction::Support,
        PersonFail::Pass => UserAction::Allow,
    }
}

/// What becomes of a reply.
pub(super) const fn fate(mode: ReplyFail) -> Fate {
    match mode {
        ReplyFail::Replace => Fate::Withhold,
        ReplyFail::Pass => Fate::Show,
    }
}
