//! What is asked: messages and how they are to be answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Content, Extra};

/// Whose message it is. Roles unknown here are kept as they are spelt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in the newer spelling of some models.
    Developer,
    /// The one who asks.
    User,
    /// The model.
    #[default]
    Assistant,
    /// The result of a tool.
    Tool,
    /// Anything else.
    #[serde(untagged)]
    Other(String),
}

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Whose it is; the assistant's where a server leaves it out.
    #[serde(default)]
    pub role: Role,
    /// What it says.
    #[serde(default)]
    pub content: Content,
    /// All other fields: names, tool calls, refusals, reasoning.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Message {
    /// A message without further fields.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self { role, content: content.into(), extra: Extra::new() }
    }
}

/// A request to `/chat/completions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The model. [`crate::Client`] writes that of its endpoint here.
    #[serde(default)]
    pub model: String,
    /// The conversation, oldest message first.
    pub messages: Vec<Message>,
    /// From 0, usually to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// A seed, where the server honours one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// The most tokens of the answer, as older servers call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The same, reasoning included, as newer servers call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u32>,
    /// How the answer is to be structured; see [`crate::structured`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
    /// Whether the probabilities of tokens are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<bool>,
    /// For how many alternatives at each place, from 0 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u32>,
    /// Whether the answer is to come in pieces. The client sets this itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// All other fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How long the answer may be, in the spelling that the server wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputLimit {
    /// `max_tokens`: nearly all servers.
    MaxTokens(u32),
    /// `max_completion_tokens`: models that reason at OpenAI and Azure.
    MaxCompletionTokens(u32),
}

impl ChatRequest {
    /// A request that says nothing but the messages.
    pub fn new(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }

    /// The same request with a limit on the answer.
    #[must_use]
    pub fn limited(self, limit: OutputLimit) -> Self {
        match limit {
            OutputLimit::MaxTokens(tokens) => Self { max_tokens: Some(tokens), ..self },
            OutputLimit::MaxCompletionTokens(tokens) => Self { max_completion_tokens: Some(tokens), ..self },
        }
    }

    /// The most tokens that the answer may have, where the request says so.
    pub fn output_limit(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.max_tokens)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_unknown_here_are_kept_both_ways() {
        let asked = json!({
            "model": "m", "temperature": 0.25, "structured_outputs": {"choice": ["a", "b"]},
            "messages": [
                {"role": "developer", "content": "x", "name": "n"},
                {"role": "narrator", "content": null, "tool_calls": [{"id": "1"}]},
            ],
        });
        let request: ChatRequest = serde_json::from_value(asked.clone()).unwrap();
        assert_eq!(request.messages[1].role, Role::Other("narrator".into()));
        assert_eq!(serde_json::to_value(&request).unwrap(), asked);
    }

    #[test]
    fn the_limit_is_spelt_as_the_server_wants_it() {
        let request = ChatRequest::new(vec![]);
        let old = serde_json::to_value(request.clone().limited(OutputLimit::MaxTokens(9))).unwrap();
        let new = serde_json::to_value(request.limited(OutputLimit::MaxCompletionTokens(9))).unwrap();
        assert_eq!(old, json!({"model": "", "messages": [], "max_tokens": 9}));
        assert_eq!(new, json!({"model": "", "messages": [], "max_completion_tokens": 9}));
    }
}
