//! CRADLE-Bench: one post per row, with the crises that it tells of. The files
//! spell the labels in several ways. Source: `shared/reference/crisis.md`, section 3.

use mindrail_core::conversation::{Conversation, Role, Turn};
use serde_json::{Map, Value, json};

use super::fields::FieldReader;
use super::vocabulary::{PostLabel, Term};
use crate::table::{Column, ColumnKind, Fault};

/// A post.
#[derive(Debug, Clone, PartialEq)]
pub struct CradlePost {
    /// The post's name.
    pub question_id: String,
    /// What was posted.
    pub question_text: String,
    /// The labels; `no_crisis` is one of them.
    pub labels: Vec<Term<PostLabel>>,
}

impl CradlePost {
    /// The post as a conversation of one user turn.
    pub fn conversation(&self) -> Conversation {
        let turn = Turn { role: Role::User, text: self.question_text.clone() };
        Conversation { id: Some(self.question_id.clone()), turns: vec![turn] }
    }

    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        let id = fields.optional_id("question_id")?;
        Ok(Self {
            question_id: id.ok_or_else(|| Fault::new("question_id", "nothing", "a name or a number"))?,
            question_text: fields.text("question_text")?,
            labels: labels(&fields.text("final_labels")?),
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let labels: Vec<&str> = self.labels.iter().map(Term::wire).collect();
        let row = [
            ("question_id", json!(self.question_id)),
            ("question_text", json!(self.question_text)),
            ("final_labels", json!(labels.join(","))),
        ];
        row.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }
}

fn labels(text: &str) -> Vec<Term<PostLabel>> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match Term::of(&canonical(name)) {
            Term::Known(label) => Term::Known(label),
            Term::Unknown(_) => Term::Unknown(name.to_owned()),
        })
        .collect()
}

/// The spelling of the test split: `Suicideideation(active)_ongoing` and the like
/// become `suicideideation_active_ongoing`.
fn canonical(name: &str) -> String {
    let plain = name.to_ascii_lowercase().replace([' ', '('], "_").replace(')', "").replace("__", "_");
    plain.replace("childabuseendangerment", "childabuse_endangerment")
}

pub(super) fn columns() -> Vec<Column> {
    ["question_id", "question_text", "final_labels"].map(|name| Column::new(name, ColumnKind::Text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_label_is_the_same_label() {
        let read = labels("suicideideation(active)_past, No crisis,childabuseendangerment_ongoing,other");
        let shown: Vec<&str> = read.iter().map(Term::shown).collect();
        let expected =
            ["suicideideation_active_past", "no_crisis", "childabuse_endangerment_ongoing", "(other)"];
        assert_eq!(shown, expected);
        assert_eq!(read[3].wire(), "other");
    }
}
