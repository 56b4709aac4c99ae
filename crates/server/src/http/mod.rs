//! The service on the wire.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/guard` | a conversation in, verdict with scores, progress and decision number out |
//! | `POST /v1/guard/reply` | candidate replies in, the same out, judged, the best first |
//! | `POST /v1/chat/completions` | an assistant's answer, guarded on both sides ([`crate::proxy`]) |
//! | `GET /v1/models` | which models there are behind it |
//! | `GET /v1/reports/annual` | the annual report of referrals, without identifiers |
//! | `GET /desk` and below | pages for people: see [`crate::desk`] |
//! | `GET /healthz` | 200 while the process runs |
//! | `GET /readyz` | 200 while it can decide, else 503 |
//! | `GET /metrics` | counts and times for Prometheus; no tenant, no conversation |
//! | `GET /openapi.json` | all of this, for programs |
//!
//! Beside these there are the requests of other guardrails' clients ([`crate::adapters`]).
//! `endpoint` is what an entry of the table of all requests holds (`endpoints`).
//!
//! Every error has one shape, `{"error": {"code": …, "message": …}}`, with codes that
//! programs may rely on; no message repeats what was sent. What is asked beyond what
//! can be done soon is refused with 429 and `Retry-After`, not queued.

mod access;
mod counts;
pub(crate) mod endpoint;
mod failure;
mod guard;
pub(crate) mod openapi;
pub(crate) mod origin;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use opentelemetry::Context;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::access::Access;
pub(crate) use self::access::Caller;
use self::counts::{Counts, Standing};
use self::endpoint::{Endpoint, Parameter, Place, Values};
pub(crate) use self::failure::{ErrorShape, Failure};
use crate::adapters;
use crate::desk::Desk;
use crate::service::{Answer, Call, Decided, Numbered, Service, ServiceError};
use crate::store::outbox::Backlog;
use crate::store::{Store, StoreError};
use crate::tenant::Tenants;
use crate::traces::in_span;

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
    readiness: Recent<()>,
    backlog: Recent<Backlog>,
    /// One permit for each request that may wait or be worked on.
    admitted: Arc<Semaphore>,
    /// One permit for each core.
    cores: Arc<Semaphore>,
    pub(crate) counts: Counts,
    pub(crate) desk: Desk,
    /// Proxies before this server that are believed about where a request comes from.
    pub(crate) behind_proxies: usize,
    /// Hears what an operator should know.
    pub(crate) tell: fn(&str),
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
    /// Proxies before this server that are believed about where a request comes from.
    pub behind_proxies: u8,
    /// Hears what an operator should know. Nothing of a conversation is among it.
    pub tell: fn(&str),
}

/// The routes of a service.
pub fn routes(serving: Serving<'_>) -> Router {
    let cores = serving.cores;
    let shared = Shared {
        access: Access::new(serving.key, serving.service.store()),
        service: serving.service,
        tenants: serving.tenants,
        readiness: Recent::default(),
        backlog: Recent::default(),
        admitted: Arc::new(Semaphore::new(cores * (WAITING_PER_CORE + 1))),
        cores: Arc::new(Semaphore::new(cores)),
        counts: Counts::default(),
        desk: Desk::default(),
        behind_proxies: serving.behind_proxies.into(),
        tell: serving.tell,
    };
    let shared = Arc::new(shared);
    let shapes: Vec<(&str, ErrorShape)> =
        endpoints().iter().map(|endpoint| (endpoint.path, endpoint.errors)).collect();
    let shape_of = move |path: &str| {
        let stands_under = |place: &str| match place.split_once('{') {
            Some((before, _)) => path.starts_with(before),
            None => path == place,
        };
        let found = shapes.iter().find(|(place, _)| stands_under(place));
        found.map_or(ErrorShape::Own, |(_, shape)| *shape)
    };
    let shape_of_other = shape_of.clone();
    let add = |router: Router<Arc<Shared>>, endpoint: Endpoint| router.route(endpoint.path, endpoint.handler);
    endpoints()
        .into_iter()
        .fold(Router::new().merge(crate::desk::routes(&shared)), add)
        .fallback(move |uri: Uri| {
            let failure = Failure::new(StatusCode::NOT_FOUND, "not_found", "no such path");
            std::future::ready(failure.in_shape(shape_of(uri.path())))
        })
        .method_not_allowed_fallback(move |uri: Uri| {
            let message = "another method is expected here";
            let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
            std::future::ready(failure.in_shape(shape_of_other(uri.path())))
        })
        .with_state(shared)
}

/// Every request that is answered.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut all = own();
    all.extend(adapters::moderations::endpoints());
    all.extend(adapters::fms::endpoints());
    all.extend(adapters::litellm::endpoints());
    all.extend(adapters::agentgateway::endpoints());
    all.extend(adapters::tei::endpoints());
    all.extend(adapters::vllm::endpoints());
    all.extend(adapters::kserve::endpoints());
    all.extend(crate::proxy::endpoints());
    all.extend(crate::desk::endpoints());
    all
}

fn own() -> Vec<Endpoint> {
    let idempotency_key = Parameter {
        name: "Idempotency-Key",
        place: Place::Header,
        description: "A second request with this key gets the first one's answer, and nothing is decided.",
        values: Values::Any,
    };
    vec![
        Endpoint::post("/v1/guard", guard::guard)
            .tagged("guard")
            .named("guard", "A verdict on the person's side of a conversation")
            .with(idempotency_key.clone())
            .takes_schema(
                openapi::guard_request,
                json!({"messages": [{"role": "user", "content": "hello there"}]}),
            )
            .answers_schema(openapi::guard_answer)
            .fails_as(
                ErrorShape::Own,
                &["turns_missing", "turns_differ", "ends_early", "other_model", "idempotency_key_reused"],
            ),
        Endpoint::post("/v1/guard/reply", guard::guard_reply)
            .tagged("guard")
            .named("guardReply", "Verdicts on replies that have not been shown, the best first")
            .with(idempotency_key)
            .takes_schema(
                openapi::reply_request,
                json!({
                    "messages": [{"role": "user", "content": "i cant sleep anymore"}],
                    "candidates": ["I am sorry. What keeps you awake?"],
                }),
            )
            .answers_schema(openapi::reply_answer)
            .fails_as(ErrorShape::Own, &["unknown_conversation", "other_model", "idempotency_key_reused"]),
        Endpoint::get("/healthz", || async { "ok\n" })
            .tagged("operation")
            .named("healthz", "200 while the process runs")
            .without_key(),
        Endpoint::get("/readyz", ready)
            .tagged("operation")
            .named("readyz", "200 while it can decide")
            .without_key()
            .fails_as(ErrorShape::Own, &["store_unavailable"]),
        Endpoint::get("/metrics", metrics)
            .tagged("operation")
            .named("metrics", "Counts and times for Prometheus")
            .without_key(),
        Endpoint::get("/openapi.json", openapi::openapi)
            .tagged("operation")
            .named("openapi", "This document")
            .without_key()
            .answers::<serde_json::Map<String, serde_json::Value>>(),
    ]
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
    /// Below which span it is done.
    pub(crate) context: Context,
}

impl Asking {
    /// Does something with it as a call that is made now.
    fn call<T>(self, work: impl FnOnce(Call<'_>) -> T) -> T {
        let Self { caller, key, request, began, context: _ } = self;
        let (idempotency_key, at_ms) = (key.as_deref(), now_ms());
        work(Call { tenant: &caller.tenant, idempotency_key, at_ms, began, request: &request })
    }
}

/// Why a request that was asked came to nothing.
#[derive(Debug)]
pub(crate) enum Undecided {
    /// More is asked than can be decided soon.
    Overloaded,
    /// The work broke off.
    Broken,
    /// The service says why.
    Service(ServiceError),
}

impl From<Undecided> for Failure {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Overloaded => Self::overloaded(),
            Undecided::Broken => Self::broken(),
            Undecided::Service(error) => error.into(),
        }
    }
}

impl Shared {
    /// Decides away from the threads that serve connections, and writes the decision.
    pub(crate) async fn decide<T: Numbered>(
        self: &Arc<Self>,
        asking: Asking,
        work: impl FnOnce(&Service, Call<'_>) -> Result<Decided<T>, ServiceError> + Send + 'static,
    ) -> Result<Answer<T>, Failure> {
        Ok(self.try_decide(asking, work).await?)
    }

    /// The same, for those who go on where there is no decision.
    pub(crate) async fn try_decide<T: Numbered>(
        self: &Arc<Self>,
        asking: Asking,
        work: impl FnOnce(&Service, Call<'_>) -> Result<Decided<T>, ServiceError> + Send + 'static,
    ) -> Result<Answer<T>, Undecided> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Undecided::Overloaded)?;
        self.decide_admitted(admitted, asking, work).await
    }

    /// The same as a part of something that has begun: it waits for its turn and is
    /// never refused.
    pub(crate) async fn decide_next<T: Numbered>(
        self: &Arc<Self>,
        asking: Asking,
        work: impl FnOnce(&Service, Call<'_>) -> Result<Decided<T>, ServiceError> + Send + 'static,
    ) -> Result<Answer<T>, Undecided> {
        let admitted = Arc::clone(&self.admitted).acquire_owned().await.map_err(|_| Undecided::Overloaded)?;
        self.decide_admitted(admitted, asking, work).await
    }

    /// The permits go with the work, which goes on where the caller has gone away; the
    /// one for a core ends with the deciding, so that who waits for the disk keeps
    /// nobody from deciding.
    async fn decide_admitted<T: Numbered>(
        self: &Arc<Self>,
        admitted: OwnedSemaphorePermit,
        asking: Asking,
        work: impl FnOnce(&Service, Call<'_>) -> Result<Decided<T>, ServiceError> + Send + 'static,
    ) -> Result<Answer<T>, Undecided> {
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| Undecided::Overloaded)?;
        let service = Arc::clone(&self.service);
        let context = asking.context.clone();
        let job = tokio::task::spawn_blocking(move || {
            let _under_way = context.attach();
            asking.call(|call| {
                if let Some(earlier) = service.earlier(call)? {
                    return Ok(Answer::Earlier(earlier));
                }
                let decided = in_span("decide", || work(&service, call))?;
                drop(core);
                let answer = in_span("write", || service.write(decided, call));
                drop(admitted);
                answer
            })
        });
        job.await.map_err(|_| Undecided::Broken)?.map_err(Undecided::Service)
    }

    /// Works something out away from the threads that serve connections, and writes
    /// nothing.
    pub(crate) async fn work_out<T: Send + 'static>(
        self: &Arc<Self>,
        asking: Asking,
        work: impl FnOnce(&Service, Call<'_>) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, Undecided> {
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| Undecided::Overloaded)?;
        let service = Arc::clone(&self.service);
        let job = tokio::task::spawn_blocking(move || {
            let done = asking.call(|call| work(&service, call));
            drop(core);
            done
        });
        job.await.map_err(|_| Undecided::Broken)?.map_err(Undecided::Service)
    }

    /// How the process itself stands.
    fn standing(&self) -> Standing {
        Standing { debt: self.service.debt(), is_outdated: self.tenants.are_outdated() }
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

/// An object of a shape, which errors put into words. A list of its fields, which serde
/// would take as well, is none.
pub(crate) fn read_json<R: DeserializeOwned>(body: &[u8], shape: &str) -> Result<R, Failure> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        // Names in a path are the caller's own; those of the shape repeat nothing.
        let field = error.path().to_string();
        let is_known = !field.is_empty()
            && shape.split(|c: char| !c.is_alphanumeric() && c != '_').any(|name| name == field);
        Failure::of_json(error.inner(), if is_known { &field } else { "" }, shape)
    })?;
    json.end().map_err(|error| Failure::of_json(&error, "", shape))?;
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(read),
        _ => Err(Failure::invalid(format!("found no object, expected {shape}"))),
    }
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let readable = value.to_str().map_err(|_| Failure::invalid("Idempotency-Key: expected visible ASCII"))?;
    Ok(Some(readable.to_owned()))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let ping = || shared.ask_store(|store| store.ping(now_ms()));
    match shared.readiness.get(ping).await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the store does not answer")
                .into_response()
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let count = || shared.ask_store(|store| store.backlog(now_ms()));
    let backlog = shared.backlog.get(count).await.ok();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.counts.text(&shared.standing(), backlog))
        .into_response()
}

/// What the store said last. It is asked once in a second at most, so that whoever asks
/// without a key keeps nobody from deciding.
struct Recent<T>(tokio::sync::Mutex<Option<(Instant, Result<T, Failure>)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<T: Clone> Recent<T> {
    async fn get<F: Future<Output = Result<T, Failure>>>(
        &self,
        ask: impl FnOnce() -> F,
    ) -> Result<T, Failure> {
        const BELIEVED: Duration = Duration::from_secs(1);
        let mut last = self.0.lock().await;
        if let Some((_, said)) = last.as_ref().filter(|(at, _)| at.elapsed() < BELIEVED) {
            return said.clone();
        }
        let said = ask().await;
        *last = Some((Instant::now(), said.clone()));
        said
    }
}

pub(crate) fn json_response(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Milliseconds since 1970 by the system's clock; 0 where it stands before that.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
