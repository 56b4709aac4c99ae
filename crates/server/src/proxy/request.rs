//! A request for an answer: which conversation it goes on with, and what of it cannot be
//! guarded and is refused. Everything that is not named here goes on to the assistant
//! as it came.
//!
//! Scanned are the messages, every turn of the person's and of the assistant's. What
//! tools returned and what the operator instructs are not speech and are not scored.
//! Refused are fields in which a person could speak past the scanner (`prompt`,
//! `input`), answers that no scanner here reads (sound, pictures), and words beside the
//! words of an answer (`top_logprobs`).

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::flow::MOST_CHOICES;
use super::scan::ToolNames;
use crate::http::Failure;
use crate::service::Sent;

/// The caller's name for a conversation.
const CONVERSATION: &str = "x-mindrail-conversation";
/// The caller's name for a person.
const PERSON: &str = "x-mindrail-person";

/// What a request must be.
const SHAPE: &str = "an object with `messages`, as OpenAI's chat completions have it";

/// A request that can be guarded.
#[derive(Debug)]
pub struct Asked {
    body: Map<String, Value>,
    pub(super) sent: Sent,
    pub(super) streams: bool,
    /// Whether the caller wants to be told the tokens at the end of a stream.
    pub(super) wants_usage: bool,
    pub(super) choices: u64,
    pub(super) tools: ToolNames,
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Failure`] where it is none, or cannot be guarded.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Failure> {
        let read = |name: &str| -> Result<Option<String>, Failure> {
            let Some(value) = headers.get(name) else { return Ok(None) };
            let value =
                value.to_str().map_err(|_| Failure::invalid(format!("{name}: expected visible ASCII")))?;
            Ok(Some(value.to_owned()).filter(|value| !value.is_empty()))
        };
        let asked = Self::of_body(body)?;
        let (conversation, person) = (read(CONVERSATION)?, read(PERSON)?);
        let sent = Sent {
            conversation: conversation.or(asked.sent.conversation),
            person: person.or(asked.sent.person),
            messages: asked.sent.messages,
        };
        Ok(Self { sent, ..asked })
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// As [`Asked::read`].
    fn of_body(body: &[u8]) -> Result<Self, Failure> {
        let body: Value =
            serde_json::from_slice(body).map_err(|error| Failure::of_json(&error, "", SHAPE))?;
        let Value::Object(body) = body else {
            return Err(refused("the body", kind(&body), SHAPE));
        };
        let messages = match body.get("messages") {
            Some(Value::Array(messages)) => messages.clone(),
            other => return Err(refused("messages", other.map_or("nothing", kind), "a list of messages")),
        };
        for key in ["prompt", "input"] {
            if body.get(key).is_some_and(|value| !value.is_null()) {
                return Err(refused(key, "a value", "none: only `messages` are scanned"));
            }
        }
        check_modalities(&body)?;
        let text = |value: Option<&Value>| {
            value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let of_metadata = |key: &str| text(body.get("metadata").and_then(|metadata| metadata.get(key)));
        let person = text(body.get("safety_identifier")).or_else(|| text(body.get("user")));
        let sent = Sent { conversation: of_metadata("conversation_id"), person, messages };
        let usage = body.get("stream_options").and_then(|options| options.get("include_usage"));
        Ok(Self {
            sent,
            streams: flag(&body, "stream")?,
            wants_usage: usage == Some(&Value::Bool(true)),
            choices: choices(&body)?,
            tools: tool_names(&body),
            body,
        })
    }

    /// The model that is asked for.
    pub(super) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the answer is for people and not for a program that reads its form.
    pub(super) fn wants_prose(&self) -> bool {
        let kind = self.body.get("response_format").and_then(|format| format.get("type"));
        kind.is_none_or(|kind| kind == "text")
    }

    /// The body as it goes on, with a note for the assistant where there is one. The note
    /// joins the instructions at the beginning: many servers take no others.
    pub(super) fn body_with(&self, note: Option<&str>) -> Vec<u8> {
        let mut body = self.body.clone();
        if let (Some(note), Some(Value::Array(messages))) = (note, body.get_mut("messages")) {
            add_note(messages, note);
        }
        Value::Object(body).to_string().into_bytes()
    }
}

/// Reads any bytes as a request, and writes it on; `fuzz/` calls this.
#[doc(hidden)]
pub fn fuzz_request(bytes: &[u8]) {
    if let Ok(asked) = Asked::of_body(bytes) {
        let _ = asked.body_with(Some("note"));
    }
}

fn add_note(messages: &mut Vec<Value>, note: &str) {
    let instructions = messages
        .first_mut()
        .filter(|first| matches!(first.get("role").and_then(Value::as_str), Some("system" | "developer")));
    match instructions.and_then(|first| first.get_mut("content")) {
        Some(Value::String(text)) => {
            text.push_str("\n\n");
            text.push_str(note);
        }
        Some(Value::Array(parts)) => parts.push(json!({"type": "text", "text": note})),
        _ => messages.insert(0, json!({"role": "system", "content": note})),
    }
}

fn check_modalities(body: &Map<String, Value>) -> Result<(), Failure> {
    match body.get("modalities") {
        None | Some(Value::Null) => {}
        Some(Value::Array(kinds)) if kinds.iter().all(|kind| kind == "text") => {}
        Some(_) => {
            return Err(refused("modalities", "more than text", "`[\"text\"]`: nothing else is scanned"));
        }
    }
    if body.get("audio").is_some_and(|audio| !audio.is_null()) {
        return Err(refused("audio", "a value", "none: sound is not scanned"));
    }
    match body.get("top_logprobs") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Number(number)) if number.as_u64() == Some(0) => Ok(()),
        Some(_) => Err(refused("top_logprobs", "a value", "0: words that were not chosen are not scanned")),
    }
}

fn flag(body: &Map<String, Value>, key: &str) -> Result<bool, Failure> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(refused(key, kind(other), "true or false")),
    }
}

fn choices(body: &Map<String, Value>) -> Result<u64, Failure> {
    match body.get("n") {
        None | Some(Value::Null) => Ok(1),
        Some(found) => {
            let number = found.as_u64().filter(|number| (1..=MOST_CHOICES as u64).contains(number));
            number.ok_or_else(|| refused("n", "another value", &format!("a number from 1 to {MOST_CHOICES}")))
        }
    }
}

/// The names of the tools that the request offers.
fn tool_names(body: &Map<String, Value>) -> ToolNames {
    let list = |key: &str| body.get(key).and_then(Value::as_array).into_iter().flatten();
    let named = list("tools").filter_map(|tool| tool.get("function").or_else(|| tool.get("custom")));
    let names = named.chain(list("functions")).filter_map(|tool| tool.get("name")).filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn refused(field: &str, found: &str, expected: &str) -> Failure {
    Failure::invalid(format!("{field}: found {found}, expected {expected}"))
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &Value) -> Result<Asked, Failure> {
        Asked::read(&HeaderMap::new(), body.to_string().as_bytes())
    }

    fn messages() -> Value {
        json!([{"role": "user", "content": "zebra"}])
    }

    #[test]
    fn conversation_and_person_are_named_in_headers_or_in_the_body() {
        let body = json!({
            "messages": messages(), "metadata": {"conversation_id": "c-1"}, "user": "u", "safety_identifier": "p",
        });
        let asked = read(&body).expect("a request");
        assert_eq!(
            (asked.sent.conversation.as_deref(), asked.sent.person.as_deref()),
            (Some("c-1"), Some("p"))
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONVERSATION, "c-2".parse().expect("a value"));
        let asked = Asked::read(&headers, body.to_string().as_bytes()).expect("a request");
        assert_eq!(
            (asked.sent.conversation.as_deref(), asked.sent.person.as_deref()),
            (Some("c-2"), Some("p"))
        );
    }

    #[test]
    fn what_cannot_be_guarded_is_refused_by_its_name_and_not_by_its_words() {
        for (key, value) in [
            ("messages", json!("zebra")),
            ("prompt", json!("zebra")),
            ("input", json!(["zebra"])),
            ("modalities", json!(["text", "audio"])),
            ("audio", json!({"voice": "zebra"})),
            ("top_logprobs", json!(2)),
            ("n", json!(17)),
            ("n", json!(0)),
            ("stream", json!("zebra")),
        ] {
            let mut body = json!({"messages": messages()});
            body[key] = value;
            let failure = read(&body).expect_err(key);
            assert!(
                failure.message.starts_with(key) && !failure.message.contains("zebra"),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn a_note_joins_the_instructions_and_nothing_else_changes() {
        let with = |messages: Value| -> Value {
            let asked =
                read(&json!({"messages": messages, "seed": 7, "new_field": {"a": [1]}})).expect("a request");
            let body: Value = serde_json::from_slice(&asked.body_with(Some("note"))).expect("JSON");
            assert_eq!((&body["seed"], &body["new_field"]), (&json!(7), &json!({"a": [1]})));
            body["messages"].clone()
        };
        let user = json!({"role": "user", "content": "x"});
        assert_eq!(with(json!([user])), json!([{"role": "system", "content": "note"}, user]));
        assert_eq!(
            with(json!([{"role": "system", "content": "be kind"}, user])),
            json!([{"role": "system", "content": "be kind\n\nnote"}, user])
        );
        assert_eq!(
            with(json!([{"role": "developer", "content": [{"type": "text", "text": "a"}]}, user]))[0]["content"]
                [1],
            json!({"type": "text", "text": "note"})
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Asked::read(&HeaderMap::new(), &bytes);
        }
    }
}
