//! The service on the wire.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/guard` | a conversation in, verdict with scores, progress and decision number out |
//! | `POST /v1/guard/reply` | candidate replies in, the same out, judged, the best first |
//! | `GET /v1/reports/annual` | the annual report of referrals, without identifiers |
//! | `GET /desk` and below | pages for people: see [`crate::desk`] |
//! | `GET /healthz` | 200 while the process runs |
//! | `GET /readyz` | 200 while it can decide, else 503 |
//! | `GET /metrics` | counts and times for Prometheus; no tenant, no conversation |
//!
//! Every error has one shape, `{"error": {"code": …, "message": …}}`, with codes that
//! programs may rely on; no message repeats what was sent. What is asked beyond what
//! can be done soon is refused with 429 and `Retry-After`, not queued.

mod access;
mod counts;
mod failure;
mod guard;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use self::access::Access;
pub(crate) use self::access::Caller;
use self::counts::Counts;
pub(crate) use self::failure::Failure;
use crate::desk::Desk;
use crate::service::{Answer, Call, Decided, Numbered, Service, ServiceError};
use crate::store::{Store, StoreError};
use crate::tenant::Tenants;

/// Bytes of a request's body.
pub const LARGEST_BODY: usize = 4 << 20;

/// How long a caller may take to send a body.
const SLOWEST_BODY: Duration = Duration::from_secs(20);

/// Requests for each core that wait for it or for the disk, beside the one that it
/// works on.
const WAITING_PER_CORE: usize = 64;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) service: Arc<Service>,
    pub(crate) tenants: Arc<Tenants>,
    access: Access,
    /// One permit for each request that may wait or be worked on.
    admitted: Arc<Semaphore>,
    /// One permit for each core.
    cores: Arc<Semaphore>,
    pub(crate) counts: Counts,
    pub(crate) desk: Desk,
}

/// What a server is made of.
pub struct Serving<'a> {
    /// What decides.
    pub service: Arc<Service>,
    /// For whom.
    pub tenants: Arc<Tenants>,
    /// The environment's key, which opens everything for the default tenant.
    pub key: Option<&'a str>,
    /// How many decisions are made at the same time.
    pub cores: usize,
}

/// The routes of a service.
pub fn routes(serving: Serving<'_>) -> Router {
    let cores = serving.cores;
    let shared = Shared {
        service: serving.service,
        tenants: serving.tenants,
        access: Access::new(serving.key),
        admitted: Arc::new(Semaphore::new(cores * (WAITING_PER_CORE + 1))),
        cores: Arc::new(Semaphore::new(cores)),
        counts: Counts::default(),
        desk: Desk::default(),
    };
    let shared = Arc::new(shared);
    Router::new()
        .merge(crate::desk::routes(&shared))
        .route("/v1/guard", post(guard::guard))
        .route("/v1/guard/reply", post(guard::guard_reply))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "not_found", "no such path") })
        .method_not_allowed_fallback(|| async {
            Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "another method is expected here",
            )
        })
        .with_state(shared)
}

/// A request as far as it has been read.
pub(crate) struct Asking {
    /// Who asks.
    pub(crate) caller: Caller,
    /// A second request with this key gets the first one's answer.
    pub(crate) key: Option<String>,
    /// The body as it came.
    pub(crate) request: Vec<u8>,
    /// When it came.
    pub(crate) began: Instant,
}

impl Shared {
    /// Decides away from the threads that serve connections, and writes the decision.
    ///
    /// The permits go with the work, which goes on where the caller has gone away; the
    /// one for a core ends with the deciding, so that who waits for the disk keeps
    /// nobody from deciding.
    pub(crate) async fn decide<T: Numbered>(
        self: &Arc<Self>,
        asking: Asking,
        work: impl FnOnce(&Service, Call<'_>) -> Result<Decided<T>, ServiceError> + Send + 'static,
    ) -> Result<Answer<T>, Failure> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Failure::overloaded())?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| Failure::overloaded())?;
        let service = Arc::clone(&self.service);
        let job = tokio::task::spawn_blocking(move || {
            let Asking { caller, key, request, began } = asking;
            let (idempotency_key, at_ms) = (key.as_deref(), now_ms());
            let call = Call { tenant: &caller.tenant, idempotency_key, at_ms, began, request: &request };
            if let Some(earlier) = service.earlier(call)? {
                return Ok(Answer::Earlier(earlier));
            }
            let decided = work(&service, call)?;
            drop(core);
            let answer = service.write(decided, call);
            drop(admitted);
            answer
        });
        Ok(job.await.map_err(|_| Failure::broken())??)
    }

    /// Asks the store away from the threads that serve connections.
    pub(crate) async fn ask_store<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let service = Arc::clone(&self.service);
        let job = tokio::task::spawn_blocking(move || work(service.store()));
        Ok(job.await.map_err(|_| Failure::broken())?.map_err(ServiceError::from)?)
    }
}

/// A body of a bearable size that comes in bearable time, as it is: a small body that
/// unpacks to a large one is refused.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Failure> {
    let packed = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    if packed {
        let message = "found a packed body (Content-Encoding), expected none";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "packed_body", message));
    }
    let late = |_| Failure::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body took too long");
    let whole = tokio::time::timeout(SLOWEST_BODY, to_bytes(body, LARGEST_BODY)).await.map_err(late)?;
    whole.map(Vec::from).map_err(|error| {
        let is_too_large = std::error::Error::source(&error)
            .is_some_and(|cause| cause.to_string().contains("length limit exceeded"));
        Failure::of_body(if is_too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST })
    })
}

/// A body of a shape, which errors put into words.
pub(crate) fn read_json<R: DeserializeOwned>(body: &[u8], shape: &str) -> Result<R, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::of_json(&error, shape))
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let readable = value.to_str().map_err(|_| Failure::invalid("Idempotency-Key: expected visible ASCII"))?;
    Ok(Some(readable.to_owned()))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.ask_store(Store::ping).await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the store does not answer")
                .into_response()
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.counts.text()).into_response()
}

pub(crate) fn json_response(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Milliseconds since 1970 by the system's clock; 0 where it stands before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
