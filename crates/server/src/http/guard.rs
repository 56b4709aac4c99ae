//! `POST /v1/guard` and `POST /v1/guard/reply`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::Response;
use opentelemetry::Context;
use serde::de::DeserializeOwned;

use super::{Asking, Failure, Shared, idempotency_key, json_response, read, read_json};
use crate::service::{Call, Decided, Numbered, Service, ServiceError};
use crate::store::keys::Scope;

const GUARD_SHAPE: &str = "{\"messages\": [{\"role\": user, assistant or system, \"content\": a text}, ...]}, \
    and beside them at most conversation_id and person_id (texts), country (as CA or CA-QC, in capitals), age (a number, 0 to 255) and first_turn (a number from 0)";
const REPLY_SHAPE: &str =
    "{\"candidates\": [a text, ...]}, and beside them conversation_id (a text) or messages";

pub(super) async fn guard(state: State<Arc<Shared>>, request: Request) -> Result<Response, Failure> {
    answer(state, request, GUARD_SHAPE, Service::judge).await
}

pub(super) async fn guard_reply(state: State<Arc<Shared>>, request: Request) -> Result<Response, Failure> {
    answer(state, request, REPLY_SHAPE, Service::judge_replies).await
}

/// Answers a request, and counts it whatever becomes of it.
async fn answer<R, T>(
    State(shared): State<Arc<Shared>>,
    request: Request,
    shape: &'static str,
    work: fn(&Service, &R, Call<'_>) -> Result<Decided<T>, ServiceError>,
) -> Result<Response, Failure>
where
    R: DeserializeOwned + Send + 'static,
    T: Numbered,
{
    let began = Instant::now();
    let done = async {
        let (parts, body) = request.into_parts();
        let caller = shared.authorise(&parts.headers, Scope::Guard).await?;
        let key = idempotency_key(&parts.headers)?;
        let body = read(&parts.headers, body).await?;
        let request: R = read_json(&body, shape)?;
        let asking = Asking { caller, key, request: body, began, context: Context::current() };
        shared.decide(asking, move |service, call| work(service, &request, call)).await
    };
    let done = done.await;
    shared.counts.count(&done, began.elapsed());
    done.map(|answer| json_response(answer.into_json()))
}
