//! What can be wrong with input: where it stands, what was found, what was
//! expected. An error names *kinds* ("a number", "a text of 9 characters") and
//! never repeats what stands in the input, not even the name of a role, a field or
//! a column, for it may be somebody's words in the wrong place. So errors may be
//! logged; whoever holds the file finds the rest by file, line and field.

use thiserror::Error;

/// A row, or a whole file, that could not be read.
///
/// Displays as `chats.jsonl:12: messages[3].role: found a text of 9 characters,
/// expected user, assistant or system`; the field is left out where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}: {}found {found}, expected {expected}", prefix(field))]
pub struct ReadError {
    /// The input's name, from [`super::ReadOptions::source_name`].
    pub file: String,
    /// The line, from 1, at which the row starts; 1 for a whole file.
    pub line: usize,
    /// The field's path in the row, as `messages[3].role`; empty where the row
    /// as a whole is meant.
    pub field: String,
    /// The kind of thing that was found.
    pub found: String,
    /// What would have been accepted.
    pub expected: String,
    /// The row's own id, where that much could be read. Not part of the message.
    pub id: Option<Box<str>>,
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

/// An error that does not know its file and line yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) id: Option<Box<str>>,
}

impl Fault {
    pub(super) fn new(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), found: found.into(), expected: expected.into(), id: None }
    }

    pub(super) fn of_row(self, id: Option<String>) -> Self {
        Self { id: id.map(String::into_boxed_str), ..self }
    }

    pub(super) fn at(self, file: &str, line: usize) -> ReadError {
        ReadError {
            file: file.to_owned(),
            line,
            field: self.field,
            found: self.found,
            expected: self.expected,
            id: self.id,
        }
    }
}

/// A text as an error may show it: only its length.
pub(super) fn shown_text(text: &str) -> String {
    format!("a text of {} characters", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_what_and_what_instead() {
        let error = Fault::new("messages[3].role", shown_text("moderator"), "user").at("chats.jsonl", 12);
        insta::assert_snapshot!(error, @"chats.jsonl:12: messages[3].role: found a text of 9 characters, expected user");
        let error = Fault::new("", "a number", "an object").at("chats.jsonl", 2);
        insta::assert_snapshot!(error, @"chats.jsonl:2: found a number, expected an object");
    }
}
