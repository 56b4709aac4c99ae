//! What can be wrong with input: where it stands, what was found, what was
//! expected. An error names *kinds* ("a number", "role `moderator`") and never
//! repeats what somebody wrote, so that errors may be logged.

use thiserror::Error;

/// The most characters of a role, field or column name that an error shows.
const SHOWN_CHARACTERS: usize = 40;
/// The most field or column names that an error lists.
const SHOWN_NAMES: usize = 12;

/// A row, or a whole file, that could not be read.
///
/// Displays as `chats.jsonl:12: messages[3].role: found "moderator", expected
/// user, assistant or system`; the field is left out where there is none.
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
}

impl Fault {
    pub(super) fn new(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), found: found.into(), expected: expected.into() }
    }

    pub(super) fn at(self, file: &str, line: usize) -> ReadError {
        ReadError {
            file: file.to_owned(),
            line,
            field: self.field,
            found: self.found,
            expected: self.expected,
        }
    }
}

/// A name as an error may show it. What does not look like a name (it holds
/// spaces, say) may be somebody's words in the wrong place, so only its length
/// is told.
pub(super) fn shown_name(name: &str, quote: char) -> String {
    let length = name.chars().count();
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if name.is_empty() {
        "an empty name".to_owned()
    } else if !name.chars().all(is_name) {
        format!("a text of {length} characters")
    } else if length > SHOWN_CHARACTERS {
        let start: String = name.chars().take(SHOWN_CHARACTERS).collect();
        format!("{quote}{start}…{quote}")
    } else {
        format!("{quote}{name}{quote}")
    }
}

/// A list of field or column names as an error may show it.
pub(super) fn shown_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let mut shown: Vec<_> = names.by_ref().take(SHOWN_NAMES).map(|name| shown_name(name, '`')).collect();
    match (shown.is_empty(), names.count()) {
        (true, _) => return "none".to_owned(),
        (false, 0) => {}
        (false, more) => shown.push(format!("{more} more")),
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_what_and_what_instead() {
        let error = Fault::new("messages[3].role", "\"moderator\"", "user").at("chats.jsonl", 12);
        insta::assert_snapshot!(error, @r#"chats.jsonl:12: messages[3].role: found "moderator", expected user"#);
        let error = Fault::new("", "a number", "an object").at("chats.jsonl", 2);
        insta::assert_snapshot!(error, @"chats.jsonl:2: found a number, expected an object");
    }

    #[test]
    fn words_in_the_place_of_a_name_are_not_repeated() {
        assert_eq!(shown_name("i feel low", '"'), "a text of 10 characters");
        assert_eq!(shown_name("moderator", '"'), "\"moderator\"");
        assert_eq!(shown_name(&"x".repeat(50), '`').chars().count(), 43);
        assert_eq!(shown_name("", '`'), "an empty name");
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let names = vec!["a"; 14];
        assert!(shown_names(names).ends_with("`a`, 2 more"));
        assert_eq!(shown_names([]), "none");
    }
}
