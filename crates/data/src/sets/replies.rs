//! DialogueSafety: a context that ends with the person, one reply, and the reply's
//! class. Source: `shared/reference/reply.md`, section 2.

use mindrail_core::conversation::Conversation;
use mindrail_core::reader;
use mindrail_core::taxonomy::{ReplyClass, Taxonomy};
use serde_json::{Map, Value, json};

use super::fields::FieldReader;
use crate::table::{Column, ColumnKind, Fault};

/// A context and a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct DialogueSafetyRow {
    /// The turns before the reply, tagged `[seeker]` and `[supporter]`.
    pub context: String,
    /// The reply, tagged `[supporter]`.
    pub response: String,
    /// The reply's class; 0 to 7 in files.
    pub label: ReplyClass,
}

impl DialogueSafetyRow {
    /// The context's turns and the reply, which is the last of them.
    ///
    /// # Errors
    /// If the core's reader finds no conversation in it.
    pub fn conversation(&self) -> Result<Conversation, Fault> {
        let object = json!({"context": self.context, "response": self.response}).to_string();
        read_one(&object)
    }

    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        let label = fields.integer("label")?;
        let class = usize::try_from(label).ok().and_then(|at| ReplyClass::ALL.get(at).copied());
        Ok(Self {
            context: fields.text("context")?,
            response: fields.text("response")?,
            label: class.ok_or_else(|| Fault::new("label", format!("{label}"), "0 to 7"))?,
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let row = [
            ("context", json!(self.context)),
            ("response", json!(self.response)),
            ("label", json!(self.label.index())),
        ];
        row.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }
}

/// The only conversation of a JSON object.
fn read_one(object: &str) -> Result<Conversation, Fault> {
    let fault = |error: reader::ReadError| Fault::new(error.field, error.found, error.expected);
    let options = reader::ReadOptions { format: reader::Format::Json, ..reader::ReadOptions::default() };
    let mut rows = reader::read(object.as_bytes(), &options).map_err(fault)?;
    match rows.next() {
        Some(row) => row.map(|row| row.conversation).map_err(fault),
        None => Err(Fault::new("", "nothing", "a conversation")),
    }
}

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::new("context", ColumnKind::Text),
        Column::new("response", ColumnKind::Text),
        Column::new("label", ColumnKind::Integer),
    ]
}
