//! Mindrail in the words of other guardrails, so that stacks which speak to one of
//! them take Mindrail in by configuration alone. One file for each peer:
//!
//! | file | peer | requests |
//! |---|---|---|
//! | [`moderations`] | `OpenAI` | `POST /v1/moderations` |
//! | [`fms`] | FMS Guardrails and TrustyAI detectors | `POST /api/v1/text/contents`, `chat`, `generation`, `GET /health` |
//! | [`litellm`] | LiteLLM's generic guardrail | `POST /beta/litellm_basic_guardrail_api` |
//! | [`agentgateway`] | agentgateway's webhook | `POST /adapters/agentgateway/request`, `response` |
//! | [`tei`] | text-embeddings-inference | `POST /predict`, `GET /info` |
//! | [`vllm`] | vLLM | `POST /classify` |
//! | [`kserve`] | KServe | `POST /v1/models/NAME:predict` |
//!
//! Three things hold for all of them. Each decision is in the audit trail before it is
//! answered, and those on one request are written together. What was not evaluated is
//! told in a way that the peer's client cannot take for "safe". Fields that a peer may
//! add tomorrow are ignored, where `/v1/guard` refuses them.
//!
//! An idempotency key is not read here: some peers' answers repeat what was sent, and
//! kept answers must not. docs/ADAPTERS.md is the operator's side of this.

pub mod agentgateway;
mod detector;
pub mod fms;
pub mod kserve;
pub mod litellm;
pub mod moderations;
pub mod tei;
pub mod vllm;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::Response;
use mindrail_core::language::{Language, LanguageCounts};
use mindrail_core::policy::Policy;
use mindrail_core::policy::date::Date;
use mindrail_core::policy::offer::Person;
use mindrail_core::policy::words::Occasion;
use opentelemetry::Context;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::{Asking, ErrorShape, Failure, Shared, json_response, read, read_json};
use crate::service::{
    Call, Candidate, Decided, GuardAnswer, GuardRequest, Numbered, ReplyRequest, Service, ServiceError,
    within,
};
use crate::store::keys::Scope;

/// Texts that one request may hold.
pub const MOST_TEXTS: usize = 256;

/// A peer's request on its way to an answer.
struct Asked {
    shared: Arc<Shared>,
    request: Request,
    /// What is expected, for whoever sends something else.
    shape: &'static str,
    errors: ErrorShape,
}

/// Decides on a request that is addressed to a `C`.
type Work<R, C, T> = fn(&Service, &R, C, Call<'_>) -> Result<Decided<T>, ServiceError>;

impl Asked {
    /// Answers in the peer's words, and counts the request whatever becomes of it.
    /// `choose` finds what the request is addressed to.
    async fn answer<R, C, T>(
        self,
        choose: impl FnOnce(&Parts, &R) -> Result<C, Failure>,
        work: Work<R, C, T>,
    ) -> Response
    where
        R: DeserializeOwned + Send + 'static,
        C: Send + 'static,
        T: Numbered,
    {
        let Self { shared, request, shape, errors } = self;
        let began = Instant::now();
        let done = async {
            let (parts, body) = request.into_parts();
            let caller = shared.authorise(&parts.headers, Scope::Guard).await?;
            let body = read(&parts.headers, body).await?;
            let request: R = read_json(&body, shape)?;
            let chosen = choose(&parts, &request)?;
            let asking =
                Asking { caller, key: None, request: Vec::new(), began, context: Context::current() };
            shared.decide(asking, move |service, call| work(service, &request, chosen, call)).await
        };
        let done = done.await;
        shared.counts.count(&done, began.elapsed());
        match done {
            Ok(answer) => json_response(answer.into_json()),
            Err(failure) => failure.in_shape(errors),
        }
    }
}

/// What the person's side of a conversation is, as messages.
fn person(
    service: &Service,
    messages: Vec<Value>,
    call: Call<'_>,
) -> Result<Decided<GuardAnswer>, ServiceError> {
    service.judge(&GuardRequest { messages, ..GuardRequest::default() }, call)
}

/// What a text is, said by a person of whom nothing else is known.
fn said(service: &Service, text: &str, call: Call<'_>) -> Result<Decided<GuardAnswer>, ServiceError> {
    person(service, vec![message("user", text)], call)
}

/// What texts are as replies, in their order. Each would be the next turn of the
/// conversation `before` it; where that is empty, they are replies to nobody.
fn replies(
    service: &Service,
    before: Vec<Value>,
    texts: &[String],
    call: Call<'_>,
) -> Result<Decided<Vec<Candidate>>, ServiceError> {
    let request = ReplyRequest { messages: before, ..ReplyRequest::default() };
    let course = service.context(&request, call)?;
    let decided = service.judge_candidates(&*course, None, texts, call)?;
    Ok(decided.map(|answer| {
        let mut candidates = answer.candidates;
        candidates.sort_by_key(|candidate| candidate.place);
        candidates
    }))
}

fn message(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

fn check_texts(field: &str, texts: usize) -> Result<(), ServiceError> {
    within(field, texts, 1..=MOST_TEXTS)
}

/// What stands in a reply's place where it must not be shown: the policy's own words,
/// in the language of the texts.
fn words_instead(policy: &Policy, texts: &[String], call: Call<'_>) -> String {
    let mut counts = LanguageCounts::default();
    texts.iter().for_each(|text| counts.read(text));
    let known = counts.english + counts.french > 0 && !counts.is_foreign();
    let language = if known { counts.language() } else { Language::Mix };
    let today = Date::of_unix_ms(call.at_ms);
    let person = Person { place: None, language, age: None, topics: BTreeSet::new() };
    policy.words.render(Occasion::ReplacedReply, language, Some(&policy.offer(&person, today)))
}

/// What a person reads in place of an answer where a human should step in.
fn words_on_escalation(answer: &GuardAnswer, policy: &Policy) -> String {
    let language = answer.report.language.unwrap_or(Language::Mix);
    policy.words.render(Occasion::Escalate, language, answer.report.resources.as_ref())
}
