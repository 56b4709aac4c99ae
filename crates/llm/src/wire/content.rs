//! The content of a message: null, a text, or parts; and whatever else a server
//! thinks of, kept but not read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a message says. Absent content is read as null and written as null, which
/// servers demand of a message that only calls tools.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// No content.
    #[default]
    Null,
    /// The common form.
    Text(String),
    /// A list of objects such as `{"type": "text", "text": "…"}`.
    Parts(Vec<Value>),
    /// Any other JSON value; it has no text.
    Other(Value),
}

impl Content {
    /// The text, that of all text parts put together; empty where there is none.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts.iter().filter_map(text_of_part).collect(),
            Self::Null | Self::Other(_) => String::new(),
        }
    }
}

fn text_of_part(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        Value::Object(fields) => fields.get("text").and_then(Value::as_str),
        _ => None,
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_form_of_content_is_read_and_written_back_as_it_came() {
        for (json, text) in [
            ("null", ""),
            (r#""hello""#, "hello"),
            (r#"[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}},"b"]"#, "ab"),
            (r#"{"odd":1}"#, ""),
            ("[]", ""),
        ] {
            let content: Content = serde_json::from_str(json).unwrap();
            assert_eq!(content.text(), text, "{json}");
            let written = serde_json::to_value(&content).unwrap();
            assert_eq!(written, serde_json::from_str::<Value>(json).unwrap());
        }
    }
}
