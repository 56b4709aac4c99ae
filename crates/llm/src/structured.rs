//! Structured answers. Servers offer a JSON schema, or JSON objects without one,
//! or neither; which of them an endpoint takes is learnt from its first refusal
//! and remembered: a ladder that is only ever stepped down. The step used stands
//! in every reply, since it can change what a model answers. In the lower steps
//! the prompt must say what JSON is wanted; some servers refuse `json_object`
//! where the word JSON is missing from it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::wire::ChatRequest;

/// How an answer is held to a structure, the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredMode {
    /// By a schema.
    JsonSchema,
    /// To some JSON object.
    JsonObject,
    /// Not at all.
    #[default]
    Unstructured,
}

/// A schema with the name that servers want.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedSchema {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// JSON Schema. Strict servers want `additionalProperties: false` and every
    /// property required, at every depth.
    pub schema: Value,
}

impl NamedSchema {
    fn response_format(&self) -> Value {
        json!({
            "type": "json_schema",
            "json_schema": { "name": self.name, "strict": true, "schema": self.schema },
        })
    }
}

impl ChatRequest {
    /// The same request for an answer held to a schema.
    #[must_use]
    pub fn with_schema(self, schema: &NamedSchema) -> Self {
        Self { response_format: Some(schema.response_format()), ..self }
    }

    /// The structure that the request asks for.
    pub fn structured_mode(&self) -> StructuredMode {
        match self.response_format.as_ref().and_then(|format| format["type"].as_str()) {
            Some("json_schema") => StructuredMode::JsonSchema,
            Some("json_object") => StructuredMode::JsonObject,
            _ => StructuredMode::Unstructured,
        }
    }

    /// The same request, asking for no more structure than `mode`.
    #[must_use]
    pub(crate) fn at_most(self, mode: StructuredMode) -> Self {
        let response_format = match self.structured_mode().max(mode) {
            kept if kept == self.structured_mode() => self.response_format,
            StructuredMode::JsonObject => Some(json!({ "type": "json_object" })),
            StructuredMode::JsonSchema | StructuredMode::Unstructured => None,
        };
        Self { response_format, ..self }
    }
}

impl StructuredMode {
    /// The next step down; `None` at the end.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::JsonSchema => Some(Self::JsonObject),
            Self::JsonObject => Some(Self::Unstructured),
            Self::Unstructured => None,
        }
    }
}

/// A request that costs next to nothing and shows what an endpoint takes.
pub(crate) fn probe() -> ChatRequest {
    use crate::wire::{Message, OutputLimit, Role};
    let schema = json!({
        "type": "object",
        "properties": { "ok": { "type": "boolean" } },
        "required": ["ok"],
        "additionalProperties": false,
    });
    let message = Message::new(Role::User, "Answer with the JSON object {\"ok\": true} and nothing else.");
    ChatRequest::new(vec![message])
        .limited(OutputLimit::MaxTokens(64))
        .with_schema(&NamedSchema { name: "probe".to_owned(), schema })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_lowered_and_never_raised() {
        use StructuredMode as M;
        let with = |format: Option<Value>| ChatRequest { response_format: format, ..ChatRequest::default() };
        let schema = probe().response_format;
        for (asked, most, sent) in [
            (schema.clone(), M::JsonSchema, schema.clone()),
            (schema.clone(), M::JsonObject, Some(json!({"type": "json_object"}))),
            (schema, M::Unstructured, None),
            (
                Some(json!({"type": "json_object", "x": 1})),
                M::JsonSchema,
                Some(json!({"type": "json_object", "x": 1})),
            ),
            (None, M::JsonSchema, None),
            (Some(json!({"type": "text"})), M::JsonSchema, Some(json!({"type": "text"}))),
        ] {
            assert_eq!(with(asked).at_most(most).response_format, sent);
        }
    }
}
