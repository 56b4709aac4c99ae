//! agentgateway's guardrail webhook (and kgateway's, from which it comes): `request`
//! before the model is asked, `response` before its answer is shown.
//!
//! | verdict | action |
//! |---|---|
//! | `allow`, `support` | pass; the reason names the verdict, and what was not evaluated |
//! | `escalate` | reject with status 403; the body is what the person should read |
//! | `revise`, `block` | mask: the policy's words stand in that choice's place |
//!
//! `support` passes since the assistant shall answer, and a masked request would lose
//! what a message holds beside its text. A pass whose reason is `not_evaluated` says
//! that not everything was looked at; a reply that was not evaluated never passes.
//! Masks carry a body of the peer's shape and rejects one for the person: neither is
//! ever empty, and the reason, which the gateway logs, holds no word of either.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use mindrail_core::assessment::NotEvaluatedReason;
use mindrail_core::verdict::{ReplyAction, UserAction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::detector::NOT_EVALUATED;
use super::{Asked, check_texts, person, replies, words_instead, words_on_escalation};
use crate::http::endpoint::Endpoint;
use crate::http::{ErrorShape, Shared};
use crate::service::{Call, Candidate, Decided, GuardAnswer, Numbered, Service, ServiceError, wire};

const REQUEST_SHAPE: &str = "{\"body\": {\"messages\": [{\"role\": ..., \"content\": a text}, ...]}}";
const RESPONSE_SHAPE: &str =
    "{\"body\": {\"choices\": [{\"message\": {\"role\": ..., \"content\": a text}}, ...]}}";

/// The status with which a gateway answers in the model's place.
const REJECTED: u16 = 403;

/// What goes to the model.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WebhookRequest {
    body: Prompt,
}

/// A conversation.
#[derive(Debug, Deserialize, JsonSchema)]
struct Prompt {
    /// What was said, oldest first.
    #[schemars(schema_with = "crate::http::openapi::messages")]
    messages: Vec<Value>,
}

/// What comes from the model.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WebhookResponse {
    body: Choices,
}

/// Answers, of which the client gets all.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Choices {
    #[schemars(length(min = 1, max = 256))]
    choices: Vec<Choice>,
}

/// One answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Choice {
    message: Message,
}

/// What the model says.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Message {
    role: String,
    content: String,
}

/// What the gateway shall do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct WebhookAnswer {
    action: Action,
}

/// Told apart by their fields.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "WebhookAction")]
enum Action {
    /// The gateway answers with this.
    Reject {
        /// What the person should read.
        body: String,
        status_code: u16,
        reason: String,
    },
    /// The gateway goes on with this.
    Mask { body: Choices, reason: String },
    /// The gateway goes on.
    Pass { reason: String },
}

impl Numbered for WebhookAnswer {
    fn number(&mut self, numbers: &[u64]) {
        let reason = match &mut self.action {
            Action::Reject { reason, .. } | Action::Mask { reason, .. } | Action::Pass { reason } => reason,
        };
        let number = numbers.first().copied().unwrap_or_default();
        *reason = format!("mindrail: {reason}, decision {number}");
    }
}

/// The requests of this peer.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/adapters/agentgateway/request", before)
            .tagged("agentgateway")
            .named("guardPrompt", "agentgateway's webhook before the model is asked")
            .takes::<WebhookRequest>(
                json!({"body": {"messages": [{"role": "user", "content": "hello there"}]}}),
            )
            .answers::<WebhookAnswer>(),
        Endpoint::post("/adapters/agentgateway/response", after)
            .tagged("agentgateway")
            .named("guardResponse", "agentgateway's webhook before an answer is shown")
            .takes::<WebhookResponse>(json!({"body": {"choices": [
                {"message": {"role": "assistant", "content": "I am glad that you wrote. What happened?"}}
            ]}}))
            .answers::<WebhookAnswer>(),
    ]
}

async fn before(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: REQUEST_SHAPE, errors: ErrorShape::Own };
    asked.answer(|_, _| Ok(()), guard_request).await
}

async fn after(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: RESPONSE_SHAPE, errors: ErrorShape::Own };
    asked.answer(|_, _| Ok(()), guard_response).await
}

fn guard_request(
    service: &Service,
    request: &WebhookRequest,
    (): (),
    call: Call<'_>,
) -> Result<Decided<WebhookAnswer>, ServiceError> {
    let decided = person(service, request.body.messages.clone(), call)?;
    Ok(decided.map(|answer| {
        let verdict = answer.report.verdict.action;
        let action = match verdict {
            UserAction::Allow | UserAction::Support => Action::Pass { reason: reason(&answer) },
            UserAction::Escalate => Action::Reject {
                body: words_on_escalation(&answer, &call.tenant.policy),
                status_code: REJECTED,
                reason: reason(&answer),
            },
        };
        WebhookAnswer { action }
    }))
}

/// The verdict, and whether it was given without having looked at everything.
fn reason(answer: &GuardAnswer) -> String {
    let mut unread = answer.report.not_evaluated.iter().map(|entry| entry.reason);
    let verdict = wire(&answer.report.verdict.action);
    if unread.any(|reason| reason != NotEvaluatedReason::SystemTurn) {
        return format!("{verdict}, {NOT_EVALUATED}");
    }
    verdict
}

fn guard_response(
    service: &Service,
    request: &WebhookResponse,
    (): (),
    call: Call<'_>,
) -> Result<Decided<WebhookAnswer>, ServiceError> {
    let choices = request.body.choices.clone();
    check_texts("body.choices", choices.len())?;
    let texts: Vec<String> = choices.iter().map(|choice| choice.message.content.clone()).collect();
    let decided = replies(service, Vec::new(), &texts, call)?;
    Ok(decided.map(|candidates| {
        let words = words_instead(&call.tenant.policy, &texts, call);
        WebhookAnswer { action: masked(choices, &candidates, &words) }
    }))
}

/// The choices with words in the place of those that must not be shown.
fn masked(mut choices: Vec<Choice>, candidates: &[Candidate], words: &str) -> Action {
    let gravest = candidates.iter().map(|candidate| candidate.action).max().unwrap_or(ReplyAction::Block);
    let reason = wire(&gravest);
    if gravest == ReplyAction::Allow {
        return Action::Pass { reason };
    }
    for (choice, candidate) in choices.iter_mut().zip(candidates) {
        if candidate.action > ReplyAction::Allow {
            words.clone_into(&mut choice.message.content);
        }
    }
    Action::Mask { body: Choices { choices }, reason }
}
