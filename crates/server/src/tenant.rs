//! Whose conversations these are. Each tenant has its own policy, and nothing of one
//! is ever shown to another: every call names its tenant, and every row of the store
//! has one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mindrail_core::conversation::Turn;
use mindrail_core::policy::date::Date;
use mindrail_core::policy::offer::Circumstances;
use mindrail_core::policy::place::Place;
use mindrail_core::policy::{Policy, PolicyInForce};

use crate::desk::identity::Provider;
use crate::proxy::Upstream;
use crate::seal::{PlaceOf, TextKey};
use crate::store::Said;

/// The tenant where no configuration names one.
pub const DEFAULT: &str = "default";

/// One tenant, as it is configured now.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its name, which stands in the audit trail.
    pub name: String,
    /// What follows from what is seen.
    pub policy: Arc<PolicyInForce>,
    /// Where its people are, where a request does not say it.
    pub country: Option<Place>,
    /// How soon a counsellor shall have looked at an escalation.
    pub review_within: Duration,
    /// Who is told of escalations.
    pub webhooks: Vec<Webhook>,
    /// The key under which what was said is kept; none where it is not kept.
    pub text_key: Option<Arc<TextKey>>,
    /// Who says who somebody at the desk is, beside passwords or in their place.
    pub provider: Option<Arc<Provider>>,
    /// The assistant behind the proxy; none where there is no proxy.
    pub upstream: Option<Arc<Upstream>>,
}

/// Who is told of escalations.
#[derive(Clone)]
pub struct Webhook {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is told.
    pub url: String,
    /// The secret that signs what it is told.
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How soon a counsellor shall have looked, where no configuration says it.
pub const REVIEW_WITHIN: Duration = Duration::from_mins(15);

impl Tenant {
    /// A tenant with a policy and nothing else.
    pub fn new(name: impl Into<String>, policy: Policy) -> Self {
        Self {
            name: name.into(),
            policy: Arc::new(policy.into()),
            country: None,
            review_within: REVIEW_WITHIN,
            webhooks: Vec::new(),
            text_key: None,
            provider: None,
            upstream: None,
        }
    }

    /// What is known of its people beside their conversations, at a time.
    pub fn circumstances(&self, at_ms: u64) -> Circumstances {
        Circumstances { place: self.country.clone(), age: None, today: Date::of_unix_ms(at_ms) }
    }

    /// Turns from `first` on, sealed, where this tenant keeps what was said.
    pub(crate) fn seal_turns(&self, conversation: Option<&str>, first: usize, turns: &[Turn]) -> Vec<Said> {
        let (Some(key), Some(conversation)) = (&self.text_key, conversation) else { return Vec::new() };
        let seal = |(turn, said): (usize, &Turn)| {
            let place = PlaceOf { tenant: &self.name, conversation, turn };
            Said { place: turn, sealed: key.seal(said, place) }
        };
        (first..).zip(turns).map(seal).collect()
    }
}

impl Tenant {
    /// What an operator should hear of its policy; none where every rule is on.
    pub fn warning(&self) -> Option<String> {
        let off = self.policy.person.off();
        let name = &self.name;
        (!off.is_empty())
            .then(|| format!("tenant {name}: rules about the person are off: {}", off.join(", ")))
    }
}

/// All tenants. They are replaced together when the configuration is read anew, and a
/// request that has begun goes on with those that it began with.
#[derive(Debug)]
pub struct Tenants {
    all: RwLock<Arc<BTreeMap<String, Arc<Tenant>>>>,
    refused: AtomicBool,
}

impl Tenants {
    /// These tenants.
    pub fn new(tenants: impl IntoIterator<Item = Tenant>) -> Self {
        Self { all: RwLock::new(Arc::new(by_name(tenants))), refused: AtomicBool::new(false) }
    }

    /// The tenant of a name.
    pub fn get(&self, name: &str) -> Option<Arc<Tenant>> {
        self.all().get(name).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Arc<BTreeMap<String, Arc<Tenant>>> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in their place.
    pub fn replace(&self, tenants: impl IntoIterator<Item = Tenant>) {
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(by_name(tenants));
        self.refused.store(false, Ordering::Relaxed);
    }

    /// Notes that a newer configuration could not be taken up.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether the newest configuration could not be taken up.
    pub fn are_outdated(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

fn by_name(tenants: impl IntoIterator<Item = Tenant>) -> BTreeMap<String, Arc<Tenant>> {
    tenants.into_iter().map(|tenant| (tenant.name.clone(), Arc::new(tenant))).collect()
}
