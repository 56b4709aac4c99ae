//! The service on the wire.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/guard` | [`GuardRequest`] in, verdict with scores, progress and decision number out |
//! | `POST /v1/guard/reply` | [`ReplyRequest`] in, candidates out, the best first |
//! | `GET /healthz` | 200 while the process runs |
//! | `GET /readyz` | 200 while it can decide, else 503 |
//! | `GET /metrics` | counts and times for Prometheus; no tenant, no conversation |
//!
//! Every error has one shape, `{"error": {"code": …, "message": …}}`, with codes that
//! programs may rely on; no message repeats what was sent. What is asked beyond what
//! can be done soon is refused with 429 and `Retry-After`, not queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use mindrail_core::digest::sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::service::{Call, GuardRequest, ReplyRequest, Service, ServiceError};

/// Bytes of a request's body.
pub const LARGEST_BODY: usize = 4 << 20;

/// How long a caller may take to send a body.
const SLOWEST_BODY: Duration = Duration::from_secs(20);

/// Requests for each core that wait for it, beside the one that it works on.
const WAITING_PER_CORE: usize = 32;

/// The tenant, until there are several.
const TENANT: &str = "default";

/// Upper ends of the buckets of the time to a decision, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// What all requests share.
struct Shared {
    service: Arc<Service>,
    /// SHA-256 of the key that callers must show; none where none is asked for.
    key: Option<String>,
    /// One permit for each request that may wait or be worked on.
    admitted: Arc<Semaphore>,
    /// One permit for each core.
    cores: Arc<Semaphore>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    decided: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    microseconds: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
}

/// The routes of a service. `key` is what callers show as `Authorization: Bearer …`;
/// with none, everybody who can reach the port is answered.
pub fn routes(service: Arc<Service>, key: Option<&str>, cores: usize) -> Router {
    let shared = Shared {
        service,
        key: key.map(|key| sha256(key.trim().as_bytes())),
        admitted: Arc::new(Semaphore::new(cores * (WAITING_PER_CORE + 1))),
        cores: Arc::new(Semaphore::new(cores)),
        counts: Counts::default(),
    };
    Router::new()
        .route("/v1/guard", post(guard))
        .route("/v1/guard/reply", post(guard_reply))
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
        .with_state(Arc::new(shared))
}

async fn guard(state: State<Arc<Shared>>, request: Request) -> Result<Response, Failure> {
    answer(state, request, |service: &Service, request: &GuardRequest, call: Call<'_>| {
        service.judge(request, call)
    })
    .await
}

async fn guard_reply(state: State<Arc<Shared>>, request: Request) -> Result<Response, Failure> {
    answer(state, request, |service: &Service, request: &ReplyRequest, call: Call<'_>| {
        service.judge_replies(request, call)
    })
    .await
}

/// A kind of request.
trait Asked: DeserializeOwned + Send + 'static {
    /// Its shape, in words.
    const SHAPE: &'static str;
}

impl Asked for GuardRequest {
    const SHAPE: &'static str = "{\"messages\": [{\"role\": user, assistant or system, \"content\": a text}, ...]}, \
                                 and beside them at most conversation_id (a text) and first_turn (a number from 0)";
}

impl Asked for ReplyRequest {
    const SHAPE: &'static str =
        "{\"candidates\": [a text, ...]}, and beside them conversation_id (a text) or messages";
}

/// What is done about a request of one kind.
type Work<R> = fn(&Service, &R, Call<'_>) -> Result<String, ServiceError>;

/// Answers a request, and counts it whatever becomes of it.
async fn answer<R: Asked>(
    State(shared): State<Arc<Shared>>,
    request: Request,
    work: Work<R>,
) -> Result<Response, Failure> {
    let began = Instant::now();
    let done = decided(&shared, request, work, began).await;
    shared.counts.count(&done, began.elapsed());
    done.map(json_response)
}

/// Reads a request and does it away from the threads that serve connections.
async fn decided<R: Asked>(
    shared: &Arc<Shared>,
    request: Request,
    work: Work<R>,
    began: Instant,
) -> Result<String, Failure> {
    let (parts, body) = request.into_parts();
    shared.authorise(&parts.headers)?;
    let key = idempotency_key(&parts.headers)?;
    let body = read(body).await?;
    let request: R = serde_json::from_slice(&body).map_err(|error| Failure::of_json(&error, R::SHAPE))?;
    // The permits go with the work, which goes on where the caller has gone away.
    let admitted = Arc::clone(&shared.admitted).try_acquire_owned().map_err(|_| Failure::overloaded())?;
    let core = Arc::clone(&shared.cores).acquire_owned().await.map_err(|_| Failure::overloaded())?;
    let inside = Arc::clone(shared);
    let job = tokio::task::spawn_blocking(move || {
        let _permits = (admitted, core);
        let idempotency_key = key.as_deref();
        let call = Call { tenant: TENANT, idempotency_key, at_ms: now_ms(), began, request: &body };
        work(&inside.service, &request, call)
    });
    Ok(job.await.map_err(|_| Failure::broken())??)
}

/// A body of a bearable size that comes in bearable time.
async fn read(body: Body) -> Result<Vec<u8>, Failure> {
    let late = |_| Failure::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body took too long");
    let whole = tokio::time::timeout(SLOWEST_BODY, to_bytes(body, LARGEST_BODY)).await.map_err(late)?;
    whole.map(Vec::from).map_err(|error| {
        let is_too_large = std::error::Error::source(&error)
            .is_some_and(|cause| cause.to_string().contains("length limit exceeded"));
        Failure::of_body(if is_too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST })
    })
}

impl Shared {
    /// That the caller shows the key. Digests are compared, so that the time that it
    /// takes tells nothing of the key.
    fn authorise(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(expected) = &self.key else { return Ok(()) };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, key)| sha256(key.trim().as_bytes()));
        if shown.as_ref() == Some(expected) {
            return Ok(());
        }
        Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", "expected `Authorization: Bearer KEY`"))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let readable = value.to_str().map_err(|_| {
        Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_request",
            "Idempotency-Key: expected visible ASCII",
        )
    })?;
    Ok(Some(readable.to_owned()))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let asked = Arc::clone(&shared);
    match tokio::task::spawn_blocking(move || asked.service.store().ping()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        _ => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the store does not answer")
            .into_response(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.counts.text()).into_response()
}

impl Counts {
    fn count(&self, done: &Result<String, Failure>, time: Duration) {
        let counter = match done {
            Ok(_) => &self.decided,
            Err(failure) if failure.status.is_server_error() => &self.failed,
            Err(_) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if done.is_ok() {
            self.microseconds.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
            let within = BUCKETS.iter().zip(&self.buckets).filter(|(end, _)| time.as_secs_f64() <= **end);
            within.for_each(|(_, count)| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
    }

    /// The exposition format of Prometheus.
    fn text(&self) -> String {
        use std::fmt::Write as _;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut text = String::from("# TYPE mindrail_requests_total counter\n");
        for (result, counter) in
            [("decided", &self.decided), ("refused", &self.refused), ("failed", &self.failed)]
        {
            let _ = writeln!(text, "mindrail_requests_total{{result=\"{result}\"}} {}", read(counter));
        }
        text.push_str("# TYPE mindrail_decision_seconds histogram\n");
        for (end, count) in BUCKETS.iter().zip(&self.buckets) {
            let _ = writeln!(text, "mindrail_decision_seconds_bucket{{le=\"{end}\"}} {}", read(count));
        }
        let decided = read(&self.decided);
        let seconds = read(&self.microseconds) as f64 / 1e6;
        let _ = writeln!(text, "mindrail_decision_seconds_bucket{{le=\"+Inf\"}} {decided}");
        let _ = writeln!(text, "mindrail_decision_seconds_sum {seconds}");
        let _ = writeln!(text, "mindrail_decision_seconds_count {decided}");
        text
    }
}

/// Why there is no answer, on the wire.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Shape<'a> {
    error: Words<'a>,
}

#[derive(Serialize)]
struct Words<'a> {
    code: &'a str,
    message: &'a str,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn of_body(status: StatusCode) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(status, "too_large", format!("the body is larger than {LARGEST_BODY} bytes"));
        }
        Self::new(StatusCode::BAD_REQUEST, "unreadable_body", "the body broke off")
    }

    /// Where and what kind of thing is wrong; serde's own words would repeat values.
    fn of_json(error: &serde_json::Error, shape: &str) -> Self {
        let place = format!("line {}, column {}", error.line(), error.column());
        if error.is_data() {
            let message = format!("{place}: found JSON of another shape, expected {shape}");
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message);
        }
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", format!("{place}: found no JSON"))
    }

    fn overloaded() -> Self {
        let message = "more is asked than can be decided soon; try again";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message)
    }

    fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request broke off inside; whether it was decided is not known",
        )
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let status = match error {
            ServiceError::Invalid { .. } | ServiceError::OtherRequest => StatusCode::UNPROCESSABLE_ENTITY,
            ServiceError::TurnsMissing { .. }
            | ServiceError::TurnsDiffer { .. }
            | ServiceError::OtherModel
            | ServiceError::WentOn => StatusCode::CONFLICT,
            ServiceError::UnknownConversation => StatusCode::NOT_FOUND,
            ServiceError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let shape = Shape { error: Words { code: self.code, message: &self.message } };
        let body = serde_json::to_string(&shape).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

fn json_response(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Milliseconds since 1970 by the system's clock; 0 where it stands before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
