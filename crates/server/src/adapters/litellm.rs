//! LiteLLM's generic guardrail API (`guardrail: generic_guardrail_api`).
//!
//! LiteLLM sends `texts` without speakers and, for a request, the messages that they
//! are from as `structured_messages`: those are the conversation that is judged. Where
//! they are missing, each text is taken as the person's. Texts of a response are judged
//! one by one; LiteLLM does not send what came before them, so they are replies to
//! nobody, but where messages are sent they are taken as what came before.
//!
//! | verdict | action |
//! |---|---|
//! | `allow` | `NONE` |
//! | `support` | `GUARDRAIL_INTERVENED`: the assistant answers, and reads the policy's note on how as one more message |
//! | `escalate` | `BLOCKED`; the reason is what the person should read: the policy's words |
//! | `revise` | `GUARDRAIL_INTERVENED` with the policy's words in that text's place |
//! | `block` | `BLOCKED`, with the policy's words |
//!
//! What was not evaluated is at least `support` or `revise` by every policy, so `NONE`
//! is only said where everything was looked at. No answer carries a risk label in a
//! field that LiteLLM shows: `blocked_reason` is shown to the person.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use mindrail_core::language::Language;
use mindrail_core::policy::Policy;
use mindrail_core::verdict::{ReplyAction, UserAction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Asked, check_texts, message, person, replies, words_instead, words_on_escalation};
use crate::http::endpoint::Endpoint;
use crate::http::{ErrorShape, Shared};
use crate::service::{Call, Candidate, Decided, GuardAnswer, Numbered, Service, ServiceError};

const SHAPE: &str = "{\"input_type\": request or response, \"texts\": [a text, ...]}, and beside it structured_messages and images";

/// What LiteLLM asks about.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [
    {"required": ["texts"], "properties": {"texts": {"type": "array", "minItems": 1}}},
    {
        "required": ["structured_messages"],
        "properties": {
            "input_type": {"const": "request"},
            "structured_messages": {"type": "array", "minItems": 1},
        },
    },
    {
        "required": ["images"],
        "properties": {"input_type": {"const": "request"}, "images": {"type": "array", "minItems": 1}},
    },
]))]
pub(super) struct GuardrailRequest {
    input_type: InputType,
    /// The texts of all messages, or of all choices.
    #[serde(default)]
    texts: Option<Vec<String>>,
    /// The messages themselves.
    #[serde(default)]
    #[schemars(schema_with = "crate::http::openapi::some_messages")]
    structured_messages: Option<Vec<Value>>,
    /// Images, which are not evaluated.
    #[serde(default)]
    images: Option<Vec<String>>,
}

/// Whose words the texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum InputType {
    /// What goes to the assistant.
    Request,
    /// What the assistant answers.
    Response,
}

/// What LiteLLM shall do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct GuardrailAnswer {
    action: Action,
    /// What the person should read instead; absent unless `BLOCKED`.
    blocked_reason: Option<String>,
    /// The texts to go on with; absent unless `GUARDRAIL_INTERVENED`.
    texts: Option<Vec<String>>,
    /// The messages to go on with: those that came and the policy's note to the
    /// assistant behind them.
    #[schemars(schema_with = "crate::http::openapi::some_messages")]
    structured_messages: Option<Vec<Value>>,
    /// The decisions' numbers in the audit trail; LiteLLM does not read them.
    decisions: Vec<u64>,
}

impl Numbered for GuardrailAnswer {
    fn number(&mut self, numbers: &[u64]) {
        self.decisions = numbers.to_vec();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(rename = "GuardrailAction")]
enum Action {
    None,
    GuardrailIntervened,
    Blocked,
}

/// The request of this peer.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/beta/litellm_basic_guardrail_api", guardrail)
            .tagged("litellm")
            .named("applyGuardrail", "LiteLLM's generic guardrail")
            .takes::<GuardrailRequest>(json!({
                "input_type": "request",
                "texts": ["hello there"],
                "structured_messages": [{"role": "user", "content": "hello there"}],
                "request_data": {"user_api_key_alias": "an app"},
                "additional_provider_specific_params": {},
                "litellm_call_id": "c-1"
            }))
            .answers::<GuardrailAnswer>(),
    ]
}

async fn guardrail(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: SHAPE, errors: ErrorShape::Own };
    asked.answer(|_, _| Ok(()), apply).await
}

fn apply(
    service: &Service,
    request: &GuardrailRequest,
    (): (),
    call: Call<'_>,
) -> Result<Decided<GuardrailAnswer>, ServiceError> {
    match request.input_type {
        InputType::Request => {
            let decided = person(service, messages(request)?, call)?;
            Ok(decided.map(|answer| to_the_assistant(&answer, request, &call.tenant.policy)))
        }
        InputType::Response => {
            let texts = request.texts.clone().unwrap_or_default();
            check_texts("texts", texts.len())?;
            let before = request.structured_messages.clone().unwrap_or_default();
            let decided = replies(service, before, &texts, call)?;
            let has_images = request.images.as_ref().is_some_and(|images| !images.is_empty());
            Ok(decided.map(|candidates| from_the_assistant(&candidates, texts, has_images, call)))
        }
    }
}

/// The conversation that a request holds.
fn messages(request: &GuardrailRequest) -> Result<Vec<Value>, ServiceError> {
    if let Some(messages) = request.structured_messages.as_ref().filter(|messages| !messages.is_empty()) {
        return Ok(messages.clone());
    }
    let texts = request.texts.as_deref().unwrap_or_default();
    let images = request.images.as_deref().unwrap_or_default();
    check_texts("texts", texts.len() + usize::from(!images.is_empty()))?;
    let images = images.iter().map(|_| json!({"type": "image_url"}));
    let images: Vec<Value> = images.collect();
    let with_images = (!images.is_empty()).then(|| json!({"role": "user", "content": images}));
    Ok(texts.iter().map(|text| message("user", text)).chain(with_images).collect())
}

fn to_the_assistant(answer: &GuardAnswer, request: &GuardrailRequest, policy: &Policy) -> GuardrailAnswer {
    match answer.report.verdict.action {
        UserAction::Allow => GuardrailAnswer::none(),
        UserAction::Support => GuardrailAnswer {
            structured_messages: with_note(answer, request, policy),
            ..GuardrailAnswer::intervened(request.texts.clone().unwrap_or_default())
        },
        UserAction::Escalate => GuardrailAnswer::blocked(words_on_escalation(answer, policy)),
    }
}

/// The messages with the policy's note to the assistant, if there are both: LiteLLM puts
/// a message that it did not send behind those that it sent.
fn with_note(answer: &GuardAnswer, request: &GuardrailRequest, policy: &Policy) -> Option<Vec<Value>> {
    let messages = request.structured_messages.as_ref().filter(|messages| !messages.is_empty())?;
    let language = answer.report.language.unwrap_or(Language::Mix);
    let note = policy.prompt.support(language, answer.report.resources.as_ref()?)?;
    Some(messages.iter().cloned().chain([message("system", &note)]).collect())
}

fn from_the_assistant(
    candidates: &[Candidate],
    mut texts: Vec<String>,
    has_images: bool,
    call: Call<'_>,
) -> GuardrailAnswer {
    let gravest = candidates.iter().map(|candidate| candidate.action).max();
    let words = words_instead(&call.tenant.policy, &texts, call);
    match gravest.unwrap_or(ReplyAction::Block) {
        ReplyAction::Block => GuardrailAnswer::blocked(words),
        ReplyAction::Allow if has_images => GuardrailAnswer::intervened(texts),
        ReplyAction::Allow => GuardrailAnswer::none(),
        ReplyAction::Revise => {
            for (text, candidate) in texts.iter_mut().zip(candidates) {
                if candidate.action > ReplyAction::Allow {
                    text.clone_from(&words);
                }
            }
            GuardrailAnswer::intervened(texts)
        }
    }
}

impl GuardrailAnswer {
    const fn none() -> Self {
        Self::of(Action::None)
    }

    fn intervened(texts: Vec<String>) -> Self {
        Self { texts: Some(texts), ..Self::of(Action::GuardrailIntervened) }
    }

    fn blocked(words: String) -> Self {
        Self { blocked_reason: Some(words), ..Self::of(Action::Blocked) }
    }

    const fn of(action: Action) -> Self {
        Self { action, blocked_reason: None, texts: None, structured_messages: None, decisions: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: Value) -> GuardrailRequest {
        serde_json::from_value(value).expect("a request")
    }

    #[test]
    fn messages_stand_before_texts_and_texts_alone_are_the_persons() {
        let both = request(json!({
            "input_type": "request", "texts": ["a", "b"], "tools": null, "litellm_version": "1",
            "structured_messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}],
        }));
        assert_eq!(messages(&both).expect("messages")[0]["role"], "system");
        let alone = request(json!({"input_type": "request", "texts": ["a"], "structured_messages": null}));
        assert_eq!(messages(&alone).expect("messages"), [json!({"role": "user", "content": "a"})]);
    }

    #[test]
    fn an_image_without_messages_is_a_part_that_cannot_be_read() {
        let image = request(json!({"input_type": "request", "texts": ["a"], "images": ["x"]}));
        let messages = messages(&image).expect("messages");
        assert_eq!(messages[1]["content"][0]["type"], "image_url");
    }

    #[test]
    fn actions_have_the_peers_names() {
        let names = [Action::None, Action::GuardrailIntervened, Action::Blocked];
        let names = names.map(|action| serde_json::to_value(action).expect("a name"));
        assert_eq!(names, ["NONE", "GUARDRAIL_INTERVENED", "BLOCKED"]);
    }
}
