//! What of an assistant's answer a person may come to read.
//!
//! Fields that hold text and are known are scanned: `content`, as a text or in parts,
//! `refusal`, what is thought aloud (`reasoning`, `reasoning_content`,
//! `reasoning_details`, `thinking`), what tools are handed (`tool_calls`,
//! `function_call`), and the words of sources (`annotations`). A field that is not known
//! passes as it is where nothing in it is text, and is taken out where something is: what
//! nobody judged, nobody reads. So pictures and sound go too. Text is every string that
//! is not a short sign such as an identifier.
//!
//! `logprobs` pass where they say the same words as the text beside them, without the
//! words that were not chosen.

use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::audit::ReplyField;

/// Characters of a string that may be an identifier.
const LONGEST_SIGN: usize = 64;
/// Characters of a name in the envelope of an answer, such as that of a model.
const LONGEST_NAME: usize = 128;
/// Characters of an address of a source.
const LONGEST_ADDRESS: usize = 2_048;

/// A text of an answer: which, and of several tool calls which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) field: ReplyField,
    /// The number of a tool call; 0 for what there is once.
    pub(super) number: u64,
}

impl Place {
    pub(super) const fn once(field: ReplyField) -> Self {
        Self { field, number: 0 }
    }

    /// Whether a text here is an answer that a person or a program can go by.
    pub(super) fn speaks(self, text: &str) -> bool {
        match self.field {
            ReplyField::Content | ReplyField::Refusal => !text.trim().is_empty(),
            ReplyField::ToolCall => true,
            ReplyField::Reasoning | ReplyField::Annotation => false,
        }
    }
}

/// What one message, or a piece of one, says.
pub(super) type Texts = Vec<(Place, String)>;

/// The tool names that the request named, which are no words of the assistant's.
pub(super) type ToolNames = BTreeSet<String>;

/// Takes out of an answer's or a chunk's envelope what is text and not known.
pub(super) fn screen_envelope(envelope: &mut Map<String, Value>) {
    envelope.retain(|key, value| match key.as_str() {
        "choices" => true,
        "id" | "object" | "model" | "system_fingerprint" | "service_tier" | "provider" => {
            value.as_str().is_none_or(|name| name.chars().count() <= LONGEST_NAME)
                && !value.is_object()
                && !value.is_array()
        }
        key => is_sign(key) && !holds_text(value),
    });
}

/// Takes out of a choice what is text and not known, and gives what is known. `said`
/// names the member that holds what is said: `message`, or `delta` of a piece.
pub(super) fn screen_choice(choice: &mut Map<String, Value>, said: &str, tools: &ToolNames) -> Texts {
    choice.retain(|key, value| match key.as_str() {
        "logprobs" => true,
        key if key == said => value.is_object(),
        key => is_sign(key) && !holds_text(value),
    });
    let texts = match choice.get_mut(said).and_then(Value::as_object_mut) {
        Some(message) => screen_message(message, tools),
        None => Vec::new(),
    };
    if let Some(logprobs) = choice.get_mut("logprobs") {
        screen_logprobs(logprobs, &texts);
    }
    texts
}

fn screen_message(message: &mut Map<String, Value>, tools: &ToolNames) -> Texts {
    let mut texts = Texts::new();
    let mut push = |field, number, text: String| {
        // A call is one though it hands nothing to the tool.
        if !text.is_empty() || field == ReplyField::ToolCall {
            texts.push((Place { field, number }, text));
        }
    };
    message.retain(|key, value| {
        match key.as_str() {
            "content" => push(ReplyField::Content, 0, content(value)),
            "refusal" if value.is_string() => push(ReplyField::Refusal, 0, own(value)),
            "reasoning" | "reasoning_content" | "thinking" if value.is_string() => {
                push(ReplyField::Reasoning, 0, own(value));
            }
            "reasoning_details" => push(ReplyField::Reasoning, 1, details(value)),
            "tool_calls" if value.is_array() => {
                for (number, text) in tool_calls(value, tools) {
                    push(ReplyField::ToolCall, number, text);
                }
            }
            "function_call" if value.is_object() => {
                push(ReplyField::ToolCall, u64::MAX, function(value, tools));
            }
            "annotations" => push(ReplyField::Annotation, 0, words(value)),
            key => return is_sign(key) && !holds_text(value),
        }
        true
    });
    texts
}

fn own(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The text of a content: itself, or that of its parts. Parts that hold anything else
/// are taken out, and a content of another kind too.
fn content(value: &mut Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let mut texts = String::new();
            parts.retain(|part| match part_text(part) {
                Some(text) => {
                    texts.push_str(text);
                    true
                }
                None => false,
            });
            texts
        }
        other => {
            *other = Value::Null;
            String::new()
        }
    }
}

/// The text of a part that is text and nothing else.
fn part_text(part: &Value) -> Option<&str> {
    let part = part.as_object()?;
    let kind = part.get("type").and_then(Value::as_str)?;
    let key = match kind {
        "text" | "output_text" => "text",
        "refusal" => "refusal",
        _ => return None,
    };
    let rest = part.iter().filter(|(name, _)| name.as_str() != key);
    let plain = rest.into_iter().all(|(name, value)| is_sign(name) && !holds_text(value));
    part.get(key).and_then(Value::as_str).filter(|_| plain)
}

/// What is thought aloud in details; what is encrypted in them nobody reads.
fn details(value: &mut Value) -> String {
    let Value::Array(details) = value else {
        return words(value);
    };
    let mut texts = Vec::new();
    for detail in details {
        if let Some(detail) = detail.as_object_mut() {
            detail.retain(|key, value| match (key.as_str(), &*value) {
                ("text" | "summary", Value::String(text)) => {
                    texts.push(text.clone());
                    true
                }
                ("data" | "signature", Value::String(sealed)) => is_sealed(sealed),
                (key, value) => is_sign(key) && !holds_text(value),
            });
        } else {
            *detail = Value::Null;
        }
    }
    texts.concat()
}

/// What each tool is handed, by the number of the call.
fn tool_calls(value: &mut Value, tools: &ToolNames) -> Vec<(u64, String)> {
    let Value::Array(calls) = value else { return Vec::new() };
    let mut texts = Vec::new();
    calls.retain(Value::is_object);
    for (place, call) in (0_u64..).zip(calls) {
        let number = call.get("index").and_then(Value::as_u64).unwrap_or(place);
        let Some(call) = call.as_object_mut() else { continue };
        call.retain(|key, value| match key.as_str() {
            "function" | "custom" if value.is_object() => {
                texts.push((number, function(value, tools)));
                true
            }
            key => is_sign(key) && !holds_text(value),
        });
    }
    texts
}

/// What a function is handed, after its name where the request did not name it.
fn function(value: &mut Value, tools: &ToolNames) -> String {
    let Some(function) = value.as_object_mut() else { return String::new() };
    let mut handed = String::new();
    if let Some(name) = function.get("name").and_then(Value::as_str).filter(|name| !tools.contains(*name)) {
        handed.push_str(name);
        handed.push('\n');
    }
    function.retain(|key, value| match (key.as_str(), &*value) {
        ("name", value) => value.is_string(),
        ("arguments" | "input", Value::String(text)) => {
            handed.push_str(text);
            true
        }
        (key, value) => is_sign(key) && !holds_text(value),
    });
    handed
}

/// The words in what a tool is handed: all keys and strings of its JSON, or the text as
/// it is.
pub(super) fn handed_words(handed: &str) -> String {
    let (name, arguments) = match handed.split_once('\n') {
        Some((name, arguments)) if is_sign(name) => (name, arguments),
        _ => ("", handed),
    };
    let mut found = Vec::from_iter((!name.is_empty()).then(|| name.to_owned()));
    match serde_json::from_str::<Collected>(arguments) {
        Ok(Collected(words)) => found.extend(words),
        Err(_) => found.push(arguments.to_owned()),
    }
    found.join("\n")
}

/// All keys and strings of a JSON value in their order, also those of a key that comes
/// twice: which of the two a tool reads is the tool's affair.
struct Collected(Vec<String>);

impl<'de> Deserialize<'de> for Collected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words).map(Self)
    }
}

struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_unit<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Vec<String>, A::Error> {
        let mut found = Vec::new();
        while let Some(Collected(words)) = values.next_element()? {
            found.extend(words);
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Vec<String>, A::Error> {
        let mut found = Vec::new();
        while let Some((key, Collected(words))) = fields.next_entry::<String, _>()? {
            found.push(key);
            found.extend(words);
        }
        Ok(found)
    }
}

/// The words in a value that may hold addresses and identifiers beside them.
fn words(value: &Value) -> String {
    let mut found = Vec::new();
    collect_words(value, &mut found);
    found.join("\n")
}

fn collect_words(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !is_sign(text) && !is_address(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect_words(value, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                found.extend((!is_sign(key)).then(|| key.clone()));
                collect_words(value, found);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether anything in a value is text.
fn holds_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !is_sign(text),
        Value::Array(values) => values.iter().any(holds_text),
        Value::Object(fields) => fields.iter().any(|(key, value)| !is_sign(key) || holds_text(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a string is a short sign without white space, such as an identifier or a
/// name, and no address of anything.
fn is_sign(text: &str) -> bool {
    let signs = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/@+=#".contains(&byte);
    text.len() <= LONGEST_SIGN
        && text.bytes().all(signs)
        && !text.contains("//")
        && !text.starts_with("data:")
}

fn is_address(text: &str) -> bool {
    let web = text.starts_with("https://") || text.starts_with("http://");
    web && text.len() <= LONGEST_ADDRESS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a string is bytes in Base64, which nobody reads.
fn is_sealed(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
}

/// Leaves the probabilities of the words that were said, if they are of those words.
fn screen_logprobs(logprobs: &mut Value, texts: &Texts) {
    let says = |field: ReplyField| -> String {
        texts.iter().filter(|(place, _)| place.field == field).map(|(_, text)| text.as_str()).collect()
    };
    let Some(by_field) = logprobs.as_object_mut() else {
        *logprobs = Value::Null;
        return;
    };
    let fits = by_field.iter().all(|(key, tokens)| match key.as_str() {
        "content" => tokens.is_null() || joined(tokens) == Some(says(ReplyField::Content)),
        "refusal" => tokens.is_null() || joined(tokens) == Some(says(ReplyField::Refusal)),
        key => is_sign(key) && !holds_text(tokens),
    });
    if !fits {
        *logprobs = Value::Null;
        return;
    }
    for token in by_field.values_mut().filter_map(Value::as_array_mut).flatten() {
        if let Some(token) = token.as_object_mut() {
            token.retain(|key, _| matches!(key.as_str(), "token" | "logprob"));
            token.insert("bytes".to_owned(), Value::Null);
            token.insert("top_logprobs".to_owned(), Value::Array(Vec::new()));
        }
    }
}

/// The tokens of a list of probabilities, put together.
fn joined(tokens: &Value) -> Option<String> {
    tokens.as_array()?.iter().map(|token| token.get("token").and_then(Value::as_str)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn screened(message: &Value) -> (Value, Vec<(ReplyField, u64, String)>) {
        let mut choice = json!({"index": 0, "finish_reason": "stop", "message": message});
        let tools = ToolNames::from(["get_weather".to_owned()]);
        let texts = screen_choice(choice.as_object_mut().expect("an object"), "message", &tools);
        let texts = texts.into_iter().map(|(place, text)| (place.field, place.number, text)).collect();
        (choice["message"].take(), texts)
    }

    #[test]
    fn of_a_key_that_comes_twice_both_texts_are_judged() {
        let words = handed_words(r#"{"t": "first", "t": "second", "n": [1, null, true, {"u": "third"}]}"#);
        assert_eq!(words, "t\nfirst\nt\nsecond\nn\nu\nthird");
    }

    #[test]
    fn every_text_that_is_known_is_found() {
        use ReplyField::{Annotation, Content, Reasoning, Refusal, ToolCall};
        let message = json!({
            "role": "assistant",
            "content": [{"type": "text", "text": "one "}, {"type": "output_text", "text": "two"}],
            "refusal": "three",
            "reasoning_content": "four",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "five", "signature": "c2VhbGVk"},
                {"type": "reasoning.encrypted", "data": "c2VhbGVkIHRvbyBsb25nIGZvciBhIHNpZ24gYW5kIG1vcmUgdGhhbiBzaXh0eS1mb3Vy"},
            ],
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"a\":\"six\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "unasked", "arguments": "{}"}},
            ],
            "function_call": {"name": "get_weather", "arguments": "seven"},
            "annotations": [{"type": "url_citation", "url_citation": {"title": "eight words", "url": "https://example.org/a"}}],
        });
        let (after, mut texts) = screened(&message);
        texts.sort();
        assert_eq!(
            texts,
            [
                (Content, 0, "one two".to_owned()),
                (Refusal, 0, "three".to_owned()),
                (Reasoning, 0, "four".to_owned()),
                (Reasoning, 1, "five".to_owned()),
                (ToolCall, 0, "{\"a\":\"six\"}".to_owned()),
                (ToolCall, 1, "unasked\n{}".to_owned()),
                (ToolCall, u64::MAX, "seven".to_owned()),
                (Annotation, 0, "eight words".to_owned()),
            ]
        );
        assert_eq!(after, message, "what is known stays as it is");
        assert_eq!(handed_words("{\"a\":\"six\",\"b\":[1,{\"c d\":\"e\"}]}"), "a\nsix\nb\nc d\ne");
        assert_eq!(handed_words("unasked\n{}"), "unasked");
        assert_eq!(handed_words("no json"), "no json");
    }

    #[test]
    fn what_is_not_known_passes_without_text_and_is_taken_out_with_it() {
        let message = json!({
            "role": "assistant", "content": "x", "new_flag": true, "new_id": "a-1", "new_numbers": [1, {"n": 2.5}],
            "whisper": "these words nobody judged", "nested": {"deep": [{"words here": 1}]},
            "images": [{"type": "image_url", "image_url": {"url": "https://example.org/picture.png"}}],
            "audio": {"id": "a", "data": "UklGRgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "transcript": "words"},
        });
        let (after, texts) = screened(&message);
        let expected = json!({
            "role": "assistant", "content": "x", "new_flag": true, "new_id": "a-1", "new_numbers": [1, {"n": 2.5}],
        });
        assert_eq!((after, texts.len()), (expected, 1));
        let (after, texts) = screened(&json!({"content": [
            {"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://example.org/p"}},
            {"type": "text", "text": "y", "aside": "words beside it"},
        ]}));
        assert_eq!(after, json!({"content": [{"type": "text", "text": "x"}]}));
        assert_eq!(texts, [(ReplyField::Content, 0, "x".to_owned())]);
    }

    #[test]
    fn probabilities_pass_only_with_the_words_that_are_judged() {
        let with = |logprobs: Value| {
            let mut choice = json!({"index": 0, "delta": {"content": "so it is"}, "logprobs": logprobs});
            screen_choice(choice.as_object_mut().expect("an object"), "delta", &ToolNames::new());
            choice["logprobs"].take()
        };
        let token = |text: &str| json!({"token": text, "logprob": -0.5, "bytes": [1], "top_logprobs": [{"token": "other"}]});
        let after = with(json!({"content": [token("so it"), token(" is")], "refusal": null}));
        assert_eq!(
            after["content"][1],
            json!({"token": " is", "logprob": -0.5, "bytes": null, "top_logprobs": []})
        );
        assert_eq!(with(json!({"content": [token("so it"), token(" was")]})), Value::Null);
        assert_eq!(with(json!({"content": null, "aside": "some more words"})), Value::Null);
        assert_eq!(with(json!("some more words")), Value::Null);
    }

    #[test]
    fn the_envelope_keeps_what_it_is_made_of_and_no_words() {
        let mut envelope = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": "a model", "created": 7, "choices": [],
            "usage": {"prompt_tokens": 1, "details": {"cached": 0}}, "prompt_filter_results": [{"severity": "safe"}],
            "search_results": [{"title": "words of a page"}],
        });
        screen_envelope(envelope.as_object_mut().expect("an object"));
        assert!(envelope.get("search_results").is_none());
        assert_eq!(envelope.as_object().expect("an object").len(), 7);
    }

    /// Any JSON, with words in any place.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            Just(json!("secret words")),
            Just(json!("a-1")),
        ];
        let key = prop::sample::select(vec![
            "content",
            "refusal",
            "reasoning",
            "tool_calls",
            "function",
            "arguments",
            "type",
            "text",
            "name",
            "annotations",
            "reasoning_details",
            "data",
            "other",
            "input",
            "summary",
            "function_call",
            "index",
        ]);
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_words_pass_that_are_not_among_the_texts(message in any_json()) {
            let (after, texts) = screened(&message);
            let left = after.to_string().matches("secret words").count();
            let found: usize = texts.iter().map(|(_, _, text)| text.matches("secret words").count()).sum();
            prop_assert_eq!(left, found);
        }
    }
}
