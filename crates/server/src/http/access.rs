//! Who may ask. A caller shows a key as `Authorization: Bearer KEY`: the one of the
//! environment, which opens everything for the default tenant, or one of the store
//! (`mindrail keys`), which opens its scopes for its tenant. Where there is no key at
//! all, whoever reaches the port is the default tenant; the server then listens on
//! this machine only.
//!
//! What the store says of a key is believed for [`BELIEVED`], so a key that is revoked
//! opens nothing after that time.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use mindrail_core::digest::sha256;
use tokio::sync::MutexGuard as AsyncGuard;

use super::origin::is_from_elsewhere;
use super::{Failure, Shared, now_ms};
use crate::rate::Rate;
use crate::store::Store;
use crate::store::keys::{ApiKey, Scope};
use crate::tenant::{DEFAULT, Tenant};

/// How long what the store says of a key is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// How long it is believed while the store does not answer, so that the policy's fail
/// modes can say what people get.
const BELIEVED_WITHOUT_STORE: Duration = Duration::from_mins(10);

/// How soon after the store was asked for its keys it is asked again for one that is not
/// among them.
const A_MOMENT: Duration = Duration::from_millis(200);

/// A caller that may ask.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Whose conversations it asks about.
    pub(crate) tenant: Arc<Tenant>,
}

/// The store's keys as they were at a time.
#[derive(Debug)]
struct Keys {
    by_digest: HashMap<String, ApiKey>,
    at: Instant,
}

/// From when on requests of keys are timed.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What is known of keys.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// SHA-256 of the environment's key.
    environment: Option<String>,
    known: Mutex<Option<Arc<Keys>>>,
    /// Held by the request that asks the store; when that was done last.
    asking: tokio::sync::Mutex<Option<Instant>>,
    /// When the requests of a key are forgotten, by the key's name, in microseconds from
    /// the beginning.
    due: Mutex<HashMap<String, u64>>,
}

impl Access {
    /// With the environment's key, and what the store knows at the beginning, which counts
    /// where it does not answer later.
    pub(super) fn new(environment: Option<&str>, store: &Store) -> Self {
        let at = Instant::now().checked_sub(BELIEVED).unwrap_or_else(Instant::now);
        let known = store.keys_by_digest().ok().map(|by_digest| Arc::new(Keys { by_digest, at }));
        let environment = environment.map(|key| sha256(key.trim().as_bytes()));
        Self { environment, known: Mutex::new(known), ..Self::default() }
    }

    fn known(&self) -> Option<Arc<Keys>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes one request of a key's rate, or says in how many seconds there is one.
    /// Up to a minute's requests may come at once.
    fn take(&self, key: &ApiKey, now: Duration) -> Result<(), u64> {
        const MINUTE_US: u64 = 60_000_000;
        let per_minute = key.per_minute.clamp(1, MINUTE_US);
        let rate = Rate { burst: per_minute, each: MINUTE_US / per_minute };
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.entry(key.id.clone()).or_default();
        *due = rate.take(*due, now.as_micros() as u64).map_err(|wait| wait.div_ceil(1_000_000))?;
        Ok(())
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
            return if self.is_open().await? {
                self.open_caller(headers)
            } else {
                Err(Failure::unauthorised("expected `Authorization: Bearer KEY`"))
            };
        };
        // Digests are compared, so that the time that it takes tells nothing of a key.
        let digest = sha256(shown.as_bytes());
        if self.access.environment.as_ref() == Some(&digest) {
            return self.caller(DEFAULT);
        }
        let mut keys = self.keys().await?;
        if !keys.by_digest.contains_key(&digest) {
            keys = self.keys_anew().await?;
        }
        let Some(key) = keys.by_digest.get(&digest).filter(|key| key.is_valid_at(now_ms())) else {
            if self.is_open().await? {
                return self.open_caller(headers);
            }
            return Err(Failure::unauthorised("the key is unknown, revoked or past its time"));
        };
        if !key.scopes.contains(&scope) {
            let message = format!("the key does not open this: its scopes lack {scope}");
            return Err(Failure::new(StatusCode::FORBIDDEN, "scope_missing", message));
        }
        self.access.take(key, BEGAN.elapsed()).map_err(Failure::rate_limited)?;
        self.caller(&key.tenant)
    }

    /// Whoever reaches the port of a server without keys, but for pages of other origins
    /// in a browser on its machine.
    fn open_caller(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        if self.tenants.get(DEFAULT).is_none() {
            let message = "expected `Authorization: Bearer KEY`: no tenant is named `default`";
            return Err(Failure::unauthorised(message));
        }
        if is_from_elsewhere(headers) {
            let message = "a server without keys answers no page of another origin, and to no other name \
                than this machine's; make a key with `mindrail keys make`";
            return Err(Failure::new(StatusCode::FORBIDDEN, "other_origin", message));
        }
        self.caller(DEFAULT)
    }

    /// Whether whoever reaches the port is answered: there is no key at all.
    pub(crate) async fn is_open(self: &Arc<Self>) -> Result<bool, Failure> {
        Ok(self.access.environment.is_none() && self.keys().await?.by_digest.is_empty())
    }

    pub(crate) fn caller(&self, tenant: &str) -> Result<Caller, Failure> {
        let tenant = self.tenants.get(tenant).ok_or_else(|| {
            Failure::new(StatusCode::FORBIDDEN, "tenant_unknown", "the key's tenant is not configured here")
        })?;
        Ok(Caller { tenant })
    }

    /// The keys as they are believed to be: while one request asks the store, the others
    /// go on with what was known a moment ago.
    async fn keys(self: &Arc<Self>) -> Result<Arc<Keys>, Failure> {
        let known = self.access.known();
        if let Some(keys) = known.as_ref().filter(|keys| keys.at.elapsed() < BELIEVED) {
            return Ok(Arc::clone(keys));
        }
        let asking = match (&known, self.access.asking.try_lock()) {
            (_, Ok(asking)) => asking,
            (Some(keys), Err(_)) if keys.at.elapsed() < 2 * BELIEVED => return Ok(Arc::clone(keys)),
            _ => self.access.asking.lock().await,
        };
        if let Some(keys) = self.access.known().filter(|keys| keys.at.elapsed() < BELIEVED) {
            return Ok(keys);
        }
        let believed = known.filter(|keys| keys.at.elapsed() < BELIEVED_WITHOUT_STORE);
        self.ask_keys(asking).await.or_else(|failure| believed.ok_or(failure))
    }

    /// The keys as the store has them now, so that a new key opens at once. It is asked a
    /// few times in a second at most: whoever guesses waits. Where there are no keys nobody
    /// guesses, and clients show some key all the same.
    async fn keys_anew(self: &Arc<Self>) -> Result<Arc<Keys>, Failure> {
        let arrived = Instant::now();
        let asking = self.access.asking.lock().await;
        let known = self.access.known();
        let age = asking.map(|at| at.elapsed());
        if let Some(keys) = &known
            && (keys.at >= arrived || (keys.by_digest.is_empty() && age < Some(A_MOMENT)))
        {
            return Ok(Arc::clone(keys));
        }
        tokio::time::sleep(age.map_or(Duration::ZERO, |age| A_MOMENT.saturating_sub(age))).await;
        let none = known.filter(|keys| keys.by_digest.is_empty());
        self.ask_keys(asking).await.or_else(|failure| none.ok_or(failure))
    }

    async fn ask_keys(
        self: &Arc<Self>,
        mut asking: AsyncGuard<'_, Option<Instant>>,
    ) -> Result<Arc<Keys>, Failure> {
        let at = Instant::now();
        *asking = Some(at);
        let by_digest = self.ask_store(Store::keys_by_digest).await?;
        let keys = Arc::new(Keys { by_digest, at });
        *self.access.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&keys));
        Ok(keys)
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
        let (access, now) = (Access::default(), Duration::ZERO);
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
