//! A policy in force. It changes no more, so its hash, which stands in every report and
//! every entry of an audit trail, is worked out once and not for each of them.

use std::ops::Deref;

use super::Policy;

/// A policy that changes no more, with its hash.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyInForce {
    policy: Policy,
    sha256: String,
}

impl PolicyInForce {
    /// See [`Policy::sha256`].
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl From<Policy> for PolicyInForce {
    fn from(policy: Policy) -> Self {
        Self { sha256: policy.sha256(), policy }
    }
}

impl Deref for PolicyInForce {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}
