//! `POST /v1/chat/completions`: an assistant of any maker, with the guard before and
//! after it.
//!
//! Before the assistant is asked, the person's side is judged and the decision is on
//! disk. On `escalate` the person gets the policy's words with resources, and the desk is
//! told; on `support` the assistant gets a note; else nothing changes. What the assistant
//! answers is judged before anybody reads it: every choice, and of each what it says, what
//! it thinks aloud, what it hands to tools (`scan`). A stream is judged while it comes,
//! and of it leaves only what was judged (`flow`, [`window`]).
//!
//! Each window of a stream rests on an entry of its own in the trail, which names choice,
//! field and length (`part`); the last entry of a text is on all of it (`whole`). One
//! entry for several windows would be cheaper, and would let words out before a decision
//! on them is on disk.
//!
//! Reading order: [`request`], `scan`, [`window`], `flow`, which are pure;
//! [`upstream`], `talk`, `live`, which are not; `respond`.

mod flow;
mod live;
pub mod request;
mod respond;
mod scan;
mod talk;
pub mod upstream;
pub mod window;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use opentelemetry::Context;
use serde_json::{Map, Value, json};

pub use self::upstream::{KeyStyle, OnRevise, SupportNote, Upstream, UpstreamError, UpstreamSettings};
pub use self::window::WindowSizes;

use self::request::Asked;
use self::talk::{Asker, Talk};
use crate::http::endpoint::{Endpoint, Parameter, Place, Values};
use crate::http::{Caller, ErrorShape, Failure, Shared, read};
use crate::store::keys::Scope;

/// What is answered here.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let model =
        Parameter { name: "model", place: Place::Path, description: "Its name.", values: Values::Any };
    let codes = ["no_upstream", "upstream_failed", "upstream_unauthorized"];
    vec![
        Endpoint::post("/v1/chat/completions", chat)
            .tagged("proxy")
            .named("chat", "An assistant's answer, with the guard before and after it; see docs/PROXY.md")
            .takes::<Map<String, Value>>(json!({
                "model": "any", "messages": [{"role": "user", "content": "hello there"}],
            }))
            .answers::<Map<String, Value>>()
            .fails_as(ErrorShape::Own, &codes),
        Endpoint::get("/v1/models", models)
            .tagged("proxy")
            .named("models", "The models of the assistant behind the proxy")
            .answers::<Map<String, Value>>()
            .fails_as(ErrorShape::Own, &codes),
        Endpoint::get("/v1/models/{*model}", model_of)
            .tagged("proxy")
            .named("model", "One of them")
            .with(model)
            .answers::<Map<String, Value>>()
            .fails_as(ErrorShape::Own, &codes),
    ]
}

/// `POST /v1/chat/completions`.
async fn chat(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Failure> {
    let began = Instant::now();
    let done = answer(&shared, request, began).await;
    shared.counts.count(&done, began.elapsed());
    done
}

async fn answer(shared: &Arc<Shared>, request: Request, began: Instant) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let (caller, upstream) = caller(shared, &parts.headers).await?;
    let body = read(&parts.headers, body).await?;
    let asked = Asked::read(&parts.headers, &body)?;
    let asker = Asker { shared: Arc::clone(shared), caller, began, context: Context::current() };
    Talk::begin(asker, upstream, asked).await?.answer(&parts.headers).await
}

/// `GET /v1/models`.
async fn models(state: State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Failure> {
    ask_models(state, headers, None).await
}

/// `GET /v1/models/NAME`.
async fn model_of(
    state: State<Arc<Shared>>,
    Path(model): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    ask_models(state, headers, Some(model)).await
}

async fn ask_models(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    model: Option<String>,
) -> Result<Response, Failure> {
    let (_, upstream) = caller(&shared, &headers).await?;
    match upstream.models(&headers, model.as_deref()).await {
        Ok((headers, body)) => Ok((headers, [("content-type", "application/json")], body).into_response()),
        Err(no_answer) => Err(no_answer.into_failure()),
    }
}

/// Who asks, and what is behind their proxy.
async fn caller(shared: &Arc<Shared>, headers: &HeaderMap) -> Result<(Caller, Arc<Upstream>), Failure> {
    let caller = shared.authorise(headers, Scope::Proxy).await?;
    let upstream = caller.tenant.upstream.clone().ok_or_else(|| {
        Failure::new(StatusCode::NOT_FOUND, "no_upstream", "no assistant is configured behind this proxy")
    })?;
    Ok((caller, upstream))
}

/// What the fuzz targets in `fuzz/` call. It is no interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use super::flow::fuzz_stream;
    pub use super::request::fuzz_request;
}

#[cfg(test)]
mod tests;
