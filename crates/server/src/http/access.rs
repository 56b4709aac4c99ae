//! Who may ask. A caller shows a key as `Authorization: Bearer KEY`: the one of the
//! environment, which opens everything for the default tenant, or one of the store
//! (`mindrail keys`), which opens its scopes for its tenant. Where there is no key at
//! all, whoever reaches the port is the default tenant; the server then listens on
//! this machine only.
//!
//! What the store says of a key is believed for [`BELIEVED`], so a key that is revoked
//! opens nothing after that time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use mindrail_core::digest::sha256;

use super::{Failure, Shared, now_ms};
use crate::store::keys::{ApiKey, Scope};
use crate::tenant::{DEFAULT, Tenant};

/// How long what the store says of a key is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// How long it is believed while the store does not answer, so that the policy's fail
/// modes can say what people get.
const BELIEVED_WITHOUT_STORE: Duration = Duration::from_mins(10);

/// Keys that are remembered, so that guesses do not fill the memory.
const MOST_KEYS: usize = 4_096;

/// A caller that may ask.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Whose conversations it asks about.
    pub(crate) tenant: Arc<Tenant>,
}

/// What is known of keys.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// SHA-256 of the environment's key.
    environment: Option<String>,
    known: Mutex<HashMap<String, (Option<ApiKey>, Instant)>>,
    /// Whether the store has any key.
    any: Mutex<Option<(bool, Instant)>>,
    /// When the next request of a key is due, by the key's name.
    due: Mutex<HashMap<String, Instant>>,
}

impl Access {
    pub(super) fn new(environment: Option<&str>) -> Self {
        Self { environment: environment.map(|key| sha256(key.trim().as_bytes())), ..Self::default() }
    }

    /// Takes one request of a key's rate, or says in how many seconds there is one.
    /// Up to a minute's requests may come at once (the virtual scheduling of the
    /// generic cell rate algorithm, ITU-T I.371).
    fn take(&self, key: &ApiKey, now: Instant) -> Result<(), u64> {
        const BURST: Duration = Duration::from_mins(1);
        let each = BURST.div_f64(key.per_minute.max(1) as f64);
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due.get(&key.id).copied().unwrap_or(now).max(now) + each;
        let wait = next.saturating_duration_since(now + BURST);
        if wait.is_zero() {
            due.insert(key.id.clone(), next);
            return Ok(());
        }
        Err(wait.as_secs_f64().ceil() as u64)
    }
}

impl Shared {
    /// That the caller may do what a scope names, and whose conversations it asks
    /// about.
    pub(crate) async fn authorise(
        self: &Arc<Self>,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<Caller, Failure> {
        let Some(shown) = shown(headers) else {
            return if self.access.environment.is_none() && !self.any_key().await? {
                self.caller(DEFAULT)
            } else {
                Err(Failure::unauthorised("expected `Authorization: Bearer KEY`"))
            };
        };
        // Digests are compared, so that the time that it takes tells nothing of a key.
        let digest = sha256(shown.as_bytes());
        if self.access.environment.as_ref() == Some(&digest) {
            return self.caller(DEFAULT);
        }
        let key = self.known_key(shown, digest).await?.filter(|key| key.is_valid_at(now_ms()));
        let Some(key) = key else {
            if self.access.environment.is_none() && !self.any_key().await? {
                return self.caller(DEFAULT);
            }
            return Err(Failure::unauthorised("the key is unknown, revoked or past its time"));
        };
        if !key.scopes.contains(&scope) {
            let message = format!("the key does not open this: its scopes lack {scope}");
            return Err(Failure::new(StatusCode::FORBIDDEN, "scope_missing", message));
        }
        self.access.take(&key, Instant::now()).map_err(Failure::rate_limited)?;
        self.caller(&key.tenant)
    }

    /// Whether whoever reaches the port is answered: there is no key at all.
    pub(crate) async fn is_open(self: &Arc<Self>) -> Result<bool, Failure> {
        Ok(self.access.environment.is_none() && !self.any_key().await?)
    }

    pub(crate) fn caller(&self, tenant: &str) -> Result<Caller, Failure> {
        let tenant = self.tenants.get(tenant).ok_or_else(|| {
            Failure::new(StatusCode::FORBIDDEN, "tenant_unknown", "the key's tenant is not configured here")
        })?;
        Ok(Caller { tenant })
    }

    async fn known_key(self: &Arc<Self>, shown: &str, digest: String) -> Result<Option<ApiKey>, Failure> {
        let known = self.access.known.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some((key, _)) = known.as_ref().filter(|(_, at)| at.elapsed() < BELIEVED) {
            return Ok(key.clone());
        }
        let shown = shown.to_owned();
        let key = match (self.ask_store(move |store| store.key(&shown)).await, known) {
            (Ok(key), _) => key,
            (Err(_), Some((key, at))) if at.elapsed() < BELIEVED_WITHOUT_STORE => return Ok(key),
            (Err(failure), _) => return Err(failure),
        };
        let mut known = self.access.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KEYS {
            known.clear();
        }
        known.insert(digest, (key.clone(), Instant::now()));
        Ok(key)
    }

    async fn any_key(self: &Arc<Self>) -> Result<bool, Failure> {
        let known = *self.access.any.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((any, _)) = known.filter(|(_, at)| at.elapsed() < BELIEVED) {
            return Ok(any);
        }
        let any = match (self.ask_store(crate::store::Store::keys).await, known) {
            (Ok(keys), _) => !keys.is_empty(),
            (Err(_), Some((any, at))) if at.elapsed() < BELIEVED_WITHOUT_STORE => return Ok(any),
            (Err(failure), _) => return Err(failure),
        };
        *self.access.any.lock().unwrap_or_else(PoisonError::into_inner) = Some((any, Instant::now()));
        Ok(any)
    }
}

/// The key that a caller shows: as a bearer token, or as the header in which
/// `OpenAI`'s clients for Azure or LiteLLM's guardrails send it.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let value =
        |name: HeaderName| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let bearer = value(header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key);
    let other = ["api-key", "x-api-key"].into_iter().find_map(|name| value(HeaderName::from_static(name)));
    bearer.or(other).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(per_minute: u64) -> ApiKey {
        ApiKey {
            id: "k".to_owned(),
            tenant: "t".to_owned(),
            scopes: vec![Scope::Guard],
            per_minute,
            created_ms: 0,
            expires_ms: None,
            revoked_ms: None,
        }
    }

    #[test]
    fn a_key_may_ask_a_minutes_requests_at_once_and_then_at_its_rate() {
        let (access, now) = (Access::default(), Instant::now());
        for _ in 0..60 {
            assert_eq!(access.take(&key(60), now), Ok(()));
        }
        assert_eq!(access.take(&key(60), now), Err(1));
        assert_eq!(access.take(&key(60), now + Duration::from_secs(1)), Ok(()));
        assert_eq!(access.take(&key(60), now + Duration::from_secs(1)), Err(1));
        let later = now + Duration::from_mins(5);
        let taken = (0..100).filter(|_| access.take(&key(60), later).is_ok()).count();
        assert_eq!(taken, 60, "what was not asked for is not saved up beyond a minute");
    }
}
