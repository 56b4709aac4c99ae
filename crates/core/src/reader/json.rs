//! Conversations as JSON objects, in every shape that the public collections
//! use. [`Value`]s are read by hand rather than through derived types: an error
//! must name the path, the kind found and what was expected, and must never
//! repeat a text.

use serde_json::{Map, Value};

use super::cast::known_role;
use super::error::{Fault, ReadError, shown_text};
use super::transcript::answer;
use super::{Reading, Unread};
use crate::assessment::NotEvaluatedReason;
use crate::conversation::{Conversation, Role, Turn};

/// The keys under which a conversation's name may stand.
pub(super) const ID_KEYS: [&str; 3] = ["id", "conversation_id", "Conversation_id"];
/// The keys under which an object may hold a whole transcript.
const TRANSCRIPT_KEYS: [&str; 4] = ["text", "Text", "conversation", "transcript"];
/// What an object must hold to be a conversation.
const SHAPES: &str = "`messages`, `turns`, `dialog`, `conversations`, `context`, `prompt` or `text`";

/// How a list of turns names its parts.
struct Layout {
    /// The list's key.
    list: &'static str,
    /// The key of a turn's speaker.
    role: &'static str,
    /// The key of a turn's text.
    text: &'static str,
    speakers: Speakers,
}

/// Which speaker names a list uses.
#[derive(Clone, Copy)]
enum Speakers {
    /// `OpenAI`'s roles, and other frameworks' names for them.
    Wire,
    /// Any name that marks a speaker in a transcript.
    Named,
}

const MESSAGES: Layout = Layout { list: "messages", role: "role", text: "content", speakers: Speakers::Wire };
const LAYOUTS: [Layout; 4] = [
    MESSAGES,
    Layout { list: "turns", role: "role", text: "text", speakers: Speakers::Wire },
    Layout { list: "conversations", role: "from", text: "value", speakers: Speakers::Named },
    Layout { list: "dialog", role: "speaker", text: "content", speakers: Speakers::Named },
];

/// A conversation as one line of `OpenAI` messages: `{"id":…,"messages":[…]}`.
/// [`super::read`] gives the same conversation back.
pub fn to_openai_json(conversation: &Conversation) -> String {
    let message = |turn: &Turn| serde_json::json!({"role": turn.role.wire(), "content": turn.text});
    let mut object = Map::new();
    if let Some(id) = &conversation.id {
        object.insert("id".to_owned(), Value::from(id.as_str()));
    }
    let messages = conversation.turns.iter().map(message).collect();
    object.insert("messages".to_owned(), Value::Array(messages));
    Value::Object(object).to_string()
}

/// The turns of a list of `OpenAI` messages, with what could not be read of them.
/// Roles of other frameworks are known as well; what tools return is kept in place
/// and not scored.
///
/// # Errors
/// [`ReadError`] for the first message that is none, with its field.
pub fn read_messages(messages: Vec<Value>) -> Result<(Vec<Turn>, Vec<Unread>), ReadError> {
    let mut reading = Reading::default();
    push_turns(messages, &MESSAGES, &mut reading).map_err(|fault| fault.at("request", 1))?;
    Ok((reading.conversation.turns, reading.unread))
}

/// Whether a value is a message, so that a list of such is one conversation.
pub(super) fn is_message(value: &Value) -> bool {
    value.get("role").is_some() && value.get("messages").is_none() && value.get("turns").is_none()
}

/// The fault of a text that is not JSON. Of the parser's message only the
/// place is kept, since the rest is not ours to vouch for.
pub(super) fn syntax_fault(error: &serde_json::Error) -> Fault {
    let found = if error.is_eof() {
        "JSON that breaks off".to_owned()
    } else {
        format!("a JSON error at column {}", error.column())
    };
    Fault::new("", found, "one complete JSON value, nested at most 127 deep")
}

/// The conversation that a JSON value holds.
pub(super) fn conversation(value: Value) -> Result<Reading, Fault> {
    match value {
        Value::Object(object) => object_conversation(object),
        Value::Array(messages) => {
            let mut reading = Reading::default();
            push_turns(messages, &MESSAGES, &mut reading)?;
            Ok(reading)
        }
        other => Err(Fault::new("", kind(&other), "an object or a list of messages")),
    }
}

fn object_conversation(mut object: Map<String, Value>) -> Result<Reading, Fault> {
    let id = id(&mut object)?;
    let mut reading = unnamed(object).map_err(|fault| fault.of_row(id.clone()))?;
    reading.conversation.id = id;
    Ok(reading)
}

/// The conversation of an object whose id is taken out.
fn unnamed(mut object: Map<String, Value>) -> Result<Reading, Fault> {
    for layout in &LAYOUTS {
        if let Some(list) = object.remove(layout.list) {
            let mut reading = Reading::default();
            push_turns(array(list, layout.list)?, layout, &mut reading)?;
            return Ok(reading);
        }
    }
    if object.contains_key("context") {
        context_turns(object)
    } else if object.contains_key("prompt") {
        pair_turns(object)
    } else {
        transcript_turns(object)
    }
}

fn id(object: &mut Map<String, Value>) -> Result<Option<String>, Fault> {
    let Some((key, value)) = ID_KEYS.iter().find_map(|&key| object.remove(key).map(|value| (key, value)))
    else {
        return Ok(None);
    };
    match value {
        Value::Null => Ok(None),
        Value::String(id) => Ok(Some(id)),
        Value::Number(id) => Ok(Some(id.to_string())),
        other => Err(Fault::new(key, kind(&other), "a string or a number")),
    }
}

/// `{context, response?}`: a transcript, then an answer to it.
fn context_turns(mut object: Map<String, Value>) -> Result<Reading, Fault> {
    let mut reading = Reading::of_transcript(&string(object.remove("context"), "context")?);
    if let Some(response) = object.remove("response") {
        reading.append(answer(&string(Some(response), "response")?));
    }
    Ok(reading)
}

/// `{prompt, response?}`: one user turn and one assistant turn, as they are.
fn pair_turns(mut object: Map<String, Value>) -> Result<Reading, Fault> {
    let prompt = string(object.remove("prompt"), "prompt")?;
    let mut reading = Reading::default();
    let turns = &mut reading.conversation.turns;
    turns.push(Turn { role: Role::User, text: prompt });
    if let Some(response) = object.remove("response") {
        turns.push(Turn { role: Role::Assistant, text: string(Some(response), "response")? });
        return Ok(reading);
    }
    let is_reply = |key: &&String| key.starts_with("response_") || key.ends_with("_response");
    let replies = object.keys().filter(is_reply).count();
    if replies == 0 {
        return Ok(reading);
    }
    Err(Fault::new(
        "response",
        format!("nothing, but {replies} replies under other names"),
        "one `response` to the `prompt`; give each reply a row of its own",
    ))
}

fn transcript_turns(mut object: Map<String, Value>) -> Result<Reading, Fault> {
    for key in TRANSCRIPT_KEYS {
        if let Some(text) = object.remove(key) {
            return Ok(Reading::of_transcript(&string(Some(text), key)?));
        }
    }
    Err(Fault::new("", format!("an object with other keys ({})", object.len()), SHAPES))
}

fn push_turns(list: Vec<Value>, layout: &Layout, reading: &mut Reading) -> Result<(), Fault> {
    for (index, value) in list.into_iter().enumerate() {
        let path = format!("{}[{index}]", layout.list);
        let Value::Object(mut message) = value else {
            return Err(Fault::new(path, kind(&value), "an object"));
        };
        let role = role(message.remove(layout.role), &path, layout)?;
        let (text, content) = text(&mut message, &path, layout)?;
        if content == Content::Partial {
            reading.unread.push(Unread { turn: index, reason: NotEvaluatedReason::NonTextPart });
        }
        reading.conversation.turns.push(Turn { role, text });
    }
    Ok(())
}

fn role(value: Option<Value>, path: &str, layout: &Layout) -> Result<Role, Fault> {
    let expected = match layout.speakers {
        Speakers::Wire => "user, assistant or system",
        Speakers::Named => "a speaker as human, seeker or usr, or gpt, supporter or sys",
    };
    let fault = |found: String| Fault::new(format!("{path}.{}", layout.role), found, expected);
    let Some(value) = value else {
        return Err(fault("nothing".to_owned()));
    };
    let Value::String(name) = value else {
        return Err(fault(kind(&value).to_owned()));
    };
    let role = match layout.speakers {
        Speakers::Wire => wire_role(&name),
        Speakers::Named => known_role(&name),
    };
    role.ok_or_else(|| fault(shown_text(&name)))
}

/// The role of an `OpenAI` message, or of one as `LangChain` (human, ai) and
/// Gemini (model) name it. What tools and functions return is not
/// speech: it is kept in place, as instructions are, and never scored.
pub(super) fn wire_role(name: &str) -> Option<Role> {
    match name.to_ascii_lowercase().as_str() {
        "user" | "human" => Some(Role::User),
        "assistant" | "ai" | "model" => Some(Role::Assistant),
        "system" | "developer" | "tool" | "function" => Some(Role::System),
        _ => None,
    }
}

/// Whether a message was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Whole,
    /// It held parts that are not text: images, sound, files.
    Partial,
}

/// A message's text: a string, nothing, or a list of parts. An assistant's
/// refusal stands in a field of its own and is what it said.
fn text(message: &mut Map<String, Value>, path: &str, layout: &Layout) -> Result<(String, Content), Fault> {
    let refusal = message.remove("refusal");
    let calls = message.contains_key("tool_calls") || message.contains_key("function_call");
    let field = format!("{path}.{}", layout.text);
    match (message.remove(layout.text), refusal) {
        (Some(Value::String(text)), _) => Ok((text, Content::Whole)),
        (Some(Value::Array(parts)), _) => parts_text(parts, &field),
        (None | Some(Value::Null), Some(Value::String(refusal))) => Ok((refusal, Content::Whole)),
        (Some(Value::Null), _) => Ok((String::new(), Content::Whole)),
        (None, _) if calls => Ok((String::new(), Content::Whole)),
        (None, _) => Err(Fault::new(field, "nothing", TEXTS)),
        (Some(other), _) => Err(Fault::new(field, kind(&other), TEXTS)),
    }
}

const TEXTS: &str = "a string, null or a list of parts";

/// The text parts of a message, one per line.
fn parts_text(parts: Vec<Value>, field: &str) -> Result<(String, Content), Fault> {
    let mut texts = Vec::new();
    let mut content = Content::Whole;
    for (index, part) in parts.into_iter().enumerate() {
        match part {
            Value::String(text) => texts.push(text),
            Value::Object(mut part) => match part.remove("text").or(part.remove("refusal")) {
                Some(Value::String(text)) => texts.push(text),
                _ => content = Content::Partial,
            },
            other => {
                let field = format!("{field}[{index}]");
                return Err(Fault::new(field, kind(&other), "an object"));
            }
        }
    }
    Ok((texts.join("\n"), content))
}

fn array(value: Value, field: &str) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(Fault::new(field, kind(&other), "a list")),
    }
}

fn string(value: Option<Value>, field: &str) -> Result<String, Fault> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Fault::new(field, kind(&other), "a string")),
        None => Err(Fault::new(field, "nothing", "a string")),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
