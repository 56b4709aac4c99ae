//! What can be wrong with a file of data. As in the core's reader, an error names
//! kinds ("a number", "a text of 9 characters") and never repeats what stands in
//! the file, for it may be somebody's words in the wrong place.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

/// Where a row stands. Displays as `chats.jsonl:12`, or `chats.parquet row 12`
/// where the file has no lines.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file's name as the caller gave it.
    pub file: Arc<str>,
    /// The row, from 1, bad rows counted; the header of a table is none.
    pub row: usize,
    /// The line, from 1, on which the row begins; `None` where a file has no lines.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => write!(f, "{} row {}", self.file, self.row),
        }
    }
}

/// A row or a file that could not be read or written.
#[derive(Debug, Error)]
pub enum DataError {
    /// One row is bad; the rows after it still come.
    #[error("{place}: {}found {found}, expected {expected}", prefix(field))]
    Row {
        /// Where the row stands.
        place: Place,
        /// The field's path, as `turns[3].role`; empty where the whole row is meant.
        field: String,
        /// The kind of thing that was found.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// The file as a whole is not what was expected; no row comes any more.
    #[error("{file}: found {found}, expected {expected}")]
    File {
        /// The file's name.
        file: String,
        /// The kind of thing that was found.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// The system refused; no row comes any more.
    #[error("{file}: {cause}")]
    Io {
        /// The file's name.
        file: String,
        /// What the system said. It stands in the message and so is no `source`,
        /// which whoever prints the chain of sources would say again.
        cause: std::io::Error,
    },
}

impl DataError {
    /// An error of a whole file.
    pub fn file(file: impl fmt::Display, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::File { file: file.to_string(), found: found.into(), expected: expected.into() }
    }

    /// An error of the system on a file.
    pub fn io(file: impl fmt::Display, cause: std::io::Error) -> Self {
        Self::Io { file: file.to_string(), cause }
    }

    /// Whether the rows after this error still come.
    pub const fn is_of_one_row(&self) -> bool {
        matches!(self, Self::Row { .. })
    }
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

/// A fault of a row that does not know its place yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field's path; empty where the whole row is meant.
    pub field: String,
    /// The kind of thing that was found.
    pub found: String,
    /// What would have been accepted.
    pub expected: String,
}

impl Fault {
    /// A fault of a field.
    pub fn new(field: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field: field.into(), found: found.into(), expected: expected.into() }
    }

    /// The fault as an error at its place.
    pub fn at(self, place: &Place) -> DataError {
        DataError::Row { place: place.clone(), field: self.field, found: self.found, expected: self.expected }
    }
}

/// The kind of a JSON value, as an error may say it: of a text only the length.
pub fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(text) => format!("a text of {} characters", text.chars().count()),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(object) => format!("an object of {} keys", object.len()),
    }
}

/// The fault of a text that is not JSON; of the parser's message only the place
/// is kept.
pub(super) fn syntax_fault(error: &serde_json::Error) -> Fault {
    let found = if error.is_eof() {
        "JSON that breaks off".to_owned()
    } else {
        format!("a JSON error at column {}", error.column())
    };
    Fault::new("", found, "one complete JSON object, nested at most 127 deep")
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    #[test]
    fn what_the_system_said_is_told_once() {
        let error = DataError::io("a.jsonl", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), "a.jsonl: entity not found");
        assert!(error.source().is_none(), "a chain of sources would repeat it");
    }
}
