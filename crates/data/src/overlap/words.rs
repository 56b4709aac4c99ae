//! Which fields of a row are its text.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::table::{DataError, Fault, Record, kind};

/// How far the rows of one text agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wording {
    /// In every byte.
    Identical,
    /// In their words, not in case, punctuation, width or marks of speakers.
    Normalised,
}

/// Columns of the known data sets that hold a text, in the order in which it is read.
const TEXTS: [&str; 12] = [
    "text",
    "question_text",
    "context",
    "prompt",
    "question",
    "response",
    "answer",
    "response_0",
    "response_1",
    "safe_response",
    "unsafe_response",
    "seeker_post",
];

/// Columns that hold a list of turns, and what a turn calls its text.
const TURNS: [&str; 4] = ["turns", "messages", "dialog", "conversation"];
const TURN_TEXTS: [&str; 2] = ["text", "content"];

/// A row's text: the named columns, or those of the known data sets, joined by lines.
///
/// # Errors
/// If the row has none of them, or one that is neither a text nor a list of turns.
pub fn text(record: &Record, columns: &[String]) -> Result<String, DataError> {
    let found = if columns.is_empty() { known(&record.fields) } else { named(&record.fields, columns) };
    found.map(|parts| parts.join("\n")).map_err(|fault| fault.at(&record.place))
}

fn named<'a>(fields: &'a Map<String, Value>, columns: &[String]) -> Result<Vec<&'a str>, Fault> {
    let mut parts = Vec::new();
    for name in columns {
        let value = fields.get(name).ok_or_else(|| Fault::new(name, "nothing", "a text in this column"))?;
        part(name, value, &mut parts)?;
    }
    Ok(parts)
}

fn known(fields: &Map<String, Value>) -> Result<Vec<&str>, Fault> {
    let mut parts = Vec::new();
    let names = TEXTS.iter().chain(&TURNS);
    let present = names.filter_map(|name| Some((*name, fields.get(*name)?)));
    let mut any = false;
    for (name, value) in present {
        any = true;
        part(name, value, &mut parts)?;
    }
    if any {
        return Ok(parts);
    }
    Err(Fault::new("", "no column that is known to hold a text", format!("one of {}", TEXTS.join(", "))))
}

fn part<'a>(name: &str, value: &'a Value, parts: &mut Vec<&'a str>) -> Result<(), Fault> {
    match value {
        Value::Null => {}
        Value::String(text) => parts.push(text),
        Value::Array(turns) => {
            for turn in turns {
                let spoken = TURN_TEXTS.iter().find_map(|key| turn.get(*key)?.as_str());
                let fault =
                    || Fault::new(name, "a turn without text", "turns with a \"text\" or \"content\"");
                parts.push(spoken.or_else(|| turn.as_str()).ok_or_else(fault)?);
            }
        }
        other => return Err(Fault::new(name, kind(other), "a text or a list of turns")),
    }
    Ok(())
}
