//! Answers on the wire: the guard's own, as a whole or as a stream, in the shape that
//! every client of `OpenAI`'s chat completions reads. Beside the shape stands `mindrail`
//! with what was done and the decision's number, and never a label, a score or a risk:
//! it may come before the person.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::flow::{Farewell, Follows, chunk};
use crate::http::now_ms;
use crate::service::{History, PersonSide};
use crate::store::random_name;

/// Headers of an answer that name the decision on the person's side, and say whether what
/// was sent is not what was known.
const DECISION: &str = "x-mindrail-decision";
const HISTORY: &str = "x-mindrail-history";

/// What was done in the place of the assistant's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// A human was told.
    Escalate,
    /// A reply was replaced.
    Replace,
    /// There was no answer.
    Unavailable,
}

impl Done {
    const fn wire(self) -> &'static str {
        match self {
            Self::Escalate => "escalate",
            Self::Replace => "replace",
            Self::Unavailable => "unavailable",
        }
    }

    /// What stands beside an answer.
    pub(super) fn beside(self, decision: Option<u64>) -> Value {
        json!({"action": self.wire(), "decision": decision})
    }
}

/// What the guard's own answers have in common.
pub(super) fn own_envelope(model: &str) -> Map<String, Value> {
    let envelope =
        json!({"id": format!("chatcmpl-{}", random_name()), "created": now_ms() / 1_000, "model": model});
    match envelope {
        Value::Object(envelope) => envelope,
        _ => Map::new(),
    }
}

/// A message of the guard's, as a choice of an answer.
pub(super) fn choice(index: u64, text: &str) -> Value {
    json!({
        "index": index, "finish_reason": "stop", "logprobs": null,
        "message": {"role": "assistant", "content": text, "refusal": null},
    })
}

/// An answer that is the guard's own. No token was used.
pub(super) fn completion(mut envelope: Map<String, Value>, choices: u64, text: &str, beside: Value) -> Value {
    envelope.insert("object".to_owned(), json!("chat.completion"));
    envelope.insert("choices".to_owned(), (0..choices).map(|index| choice(index, text)).collect());
    envelope.insert("usage".to_owned(), no_usage());
    envelope.insert("mindrail".to_owned(), beside);
    Value::Object(envelope)
}

fn no_usage() -> Value {
    json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
}

/// The same in pieces.
pub(super) fn pieces(
    envelope: &Map<String, Value>,
    choices: u64,
    text: &str,
    beside: &Value,
    wants_usage: bool,
) -> Vec<Value> {
    let mut chunks = Vec::new();
    for index in 0..choices {
        let delta = json!({"role": "assistant", "content": text, "refusal": null});
        let mut first = chunk(envelope, index, &delta, None);
        first["mindrail"] = beside.clone();
        chunks.extend([first, chunk(envelope, index, &json!({}), Some("stop"))]);
    }
    if wants_usage {
        let mut last = chunk(envelope, 0, &json!({}), None);
        last["choices"] = json!([]);
        last["usage"] = no_usage();
        chunks.push(last);
    }
    chunks
}

/// The end of a choice in the guard's words, after what was shown of it.
pub(super) fn farewell(
    envelope: &Map<String, Value>,
    farewell: &Farewell,
    words: &str,
    beside: Value,
) -> [Value; 2] {
    let between = match farewell.follows {
        Follows::Nothing => "",
        Follows::Sentence => "\n\n",
        Follows::Cut => " …\n\n",
    };
    let before = farewell.before.trim_end();
    // White space at the end was shown where nothing else was held back.
    let text = format!("{before}{between}{words}");
    let delta = json!({"role": "assistant", "content": text});
    let mut first = chunk(envelope, farewell.choice, &delta, None);
    first["mindrail"] = beside;
    [first, chunk(envelope, farewell.choice, &json!({}), Some("stop"))]
}

/// Puts words before what a choice says to a person; one that calls tools says nothing.
pub(super) fn put_before(choice: &mut Value, words: &str) {
    if let Some(Value::String(content)) = choice.pointer_mut("/message/content") {
        content.insert_str(0, words);
    }
}

/// Words that a stream begins with, in each choice.
pub(super) fn preface(envelope: &Map<String, Value>, choices: u64, words: &str) -> String {
    let delta = json!({"role": "assistant", "content": words});
    (0..choices).map(|index| event(&chunk(envelope, index, &delta, None))).collect()
}

/// A whole answer as the chunks of a stream.
pub(super) fn as_pieces(answer: &Value) -> Vec<Value> {
    let Some(object) = answer.as_object() else { return Vec::new() };
    let mut envelope = object.clone();
    let (usage, choices) = (envelope.remove("usage"), envelope.remove("choices"));
    let mut chunks = Vec::new();
    for choice in choices.iter().filter_map(Value::as_array).flatten() {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        let mut delta = choice.get("message").cloned().unwrap_or_else(|| json!({}));
        for (place, call) in
            delta.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
        {
            call["index"] = json!(place);
        }
        let finish = choice.get("finish_reason").and_then(Value::as_str).unwrap_or("stop");
        chunks.extend([
            chunk(&envelope, index, &delta, None),
            chunk(&envelope, index, &json!({}), Some(finish)),
        ]);
    }
    if let Some(usage) = usage.filter(|usage| !usage.is_null()) {
        let mut last = chunk(&envelope, 0, &json!({}), None);
        last["choices"] = json!([]);
        last["usage"] = usage;
        chunks.push(last);
    }
    chunks
}

/// A chunk as an event.
pub(super) fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

/// The end of a stream.
pub(super) const DONE: &str = "data: [DONE]\n\n";
/// A sign that something will come.
pub(super) const SIGN: &str = ": still here\n\n";

/// The chunks of a stream that is whole.
pub(super) fn events(chunks: &[Value]) -> String {
    chunks.iter().map(event).chain([DONE.to_owned()]).collect()
}

/// An answer in JSON.
pub(super) fn json_answer(headers: HeaderMap, answer: &Value, person: &PersonSide) -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    with_headers(headers, [kind], answer.to_string().into(), person)
}

/// An answer in events.
pub(super) fn event_answer(headers: HeaderMap, body: Body, person: &PersonSide) -> Response {
    let own = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    with_headers(headers, own, body, person)
}

fn with_headers(
    headers: HeaderMap,
    own: impl IntoIterator<Item = (header::HeaderName, HeaderValue)>,
    body: Body,
    person: &PersonSide,
) -> Response {
    let mut response = body.into_response();
    let all = response.headers_mut();
    all.extend(headers);
    all.extend(own);
    if let Some(decision) = person.decision {
        all.insert(DECISION, HeaderValue::from(decision));
    }
    if person.history == History::Joined {
        all.insert(HISTORY, HeaderValue::from_static("joined"));
    }
    response
}
