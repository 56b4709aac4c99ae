//! What is answered. `created`, `object`, `usage`, finish reasons and the rest may
//! be missing, empty or of another type; nothing of that makes a response
//! unreadable.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Extra, Message};

/// A response of `/chat/completions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatResponse {
    /// The answers, usually one.
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// All other fields, as they came.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What the model says.
    #[serde(default)]
    pub message: Message,
    /// All other fields, as they came.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Why an answer ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It was cut at the limit of tokens.
    Length,
    /// A filter cut or withheld it.
    ContentFilter,
    /// The model calls a tool.
    ToolCalls,
    /// The server does not say.
    Unsaid,
    /// The server says something else.
    Other(String),
}

/// Tokens used, as far as the server says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Tokens of the answer, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Tokens of the answer that were reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
    /// Tokens of the request that the server had seen before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<u64>,
}

/// One token of an answer with its probability and its rivals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// The most probable tokens at this place, this one included or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_logprobs: Vec<TokenLogprob>,
}

impl ChatResponse {
    /// The tokens used; a part that is missing, or no number, is `None`.
    pub fn usage(&self) -> Usage {
        self.extra.get("usage").map(Usage::read).unwrap_or_default()
    }

    /// The model that answered, by the server's account.
    pub fn model(&self) -> Option<&str> {
        self.extra.get("model").and_then(Value::as_str)
    }
}

impl Usage {
    /// Reads the object `usage`, in the spellings of chat completions and of responses.
    pub fn read(usage: &Value) -> Self {
        let count = |path: &str| usage.pointer(path).and_then(Value::as_u64);
        Self {
            input: count("/prompt_tokens").or_else(|| count("/input_tokens")),
            output: count("/completion_tokens").or_else(|| count("/output_tokens")),
            reasoning: count("/completion_tokens_details/reasoning_tokens"),
            cached: count("/prompt_tokens_details/cached_tokens"),
        }
    }
}

impl Choice {
    /// Why the answer ends.
    pub fn finish(&self) -> Finish {
        Finish::read(self.extra.get("finish_reason"))
    }

    /// The refusal, where the model gives one in its own field.
    pub fn refusal(&self) -> Option<&str> {
        filled(self.message.extra.get("refusal"))
    }

    /// What the model thought, where the server keeps it apart from the answer.
    pub fn reasoning(&self) -> Option<&str> {
        let extra = &self.message.extra;
        filled(extra.get("reasoning_content")).or_else(|| filled(extra.get("reasoning")))
    }

    /// The probabilities of the answer's tokens; `None` where they are missing,
    /// also when they were asked for.
    pub fn logprobs(&self) -> Option<Vec<TokenLogprob>> {
        let content = self.extra.get("logprobs")?.get("content")?;
        Vec::deserialize(content).ok()
    }
}

impl Finish {
    /// Reads a `finish_reason`: missing, null and empty are [`Finish::Unsaid`].
    pub fn read(reason: Option<&Value>) -> Self {
        match filled(reason) {
            None => Self::Unsaid,
            Some("stop" | "eos_token" | "eos" | "end_turn" | "stop_sequence") => Self::Stop,
            Some("length" | "max_tokens" | "max_output_tokens") => Self::Length,
            Some("content_filter" | "content_filtered" | "safety" | "SAFETY") => Self::ContentFilter,
            Some("tool_calls" | "function_call") => Self::ToolCalls,
            Some(other) => Self::Other(other.to_owned()),
        }
    }
}

fn filled(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn choice(json: Value) -> Choice {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn finish_reasons_are_read_in_every_spelling() {
        for (reason, finish) in [
            (json!("stop"), Finish::Stop),
            (json!("eos_token"), Finish::Stop),
            (json!("length"), Finish::Length),
            (json!("content_filter"), Finish::ContentFilter),
            (json!(""), Finish::Unsaid),
            (json!(null), Finish::Unsaid),
            (json!(3), Finish::Unsaid),
            (json!("odd"), Finish::Other("odd".into())),
        ] {
            assert_eq!(choice(json!({"finish_reason": reason})).finish(), finish);
        }
        assert_eq!(choice(json!({})).finish(), Finish::Unsaid);
    }

    #[test]
    fn usage_may_be_missing_null_empty_or_partial() {
        let usage = |json: Value| serde_json::from_value::<ChatResponse>(json).unwrap().usage();
        for json in [json!({}), json!({"usage": null}), json!({"usage": {}}), json!({"usage": "none"})] {
            assert_eq!(usage(json), Usage::default());
        }
        let partial = usage(json!({"usage": {"prompt_tokens": 7, "completion_tokens": "x"}}));
        assert_eq!(partial, Usage { input: Some(7), ..Usage::default() });
    }

    #[test]
    fn reasoning_stands_apart_in_either_spelling() {
        for field in ["reasoning_content", "reasoning"] {
            let read = choice(json!({"message": {"content": "yes", field: "because"}}));
            assert_eq!(read.reasoning(), Some("because"));
            assert_eq!(read.message.content.text(), "yes");
        }
    }

    #[test]
    fn logprobs_are_optional_and_unreadable_ones_are_absent() {
        let read = choice(json!({"logprobs": {"content": [
            {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1}]}
        ]}}));
        let tokens = read.logprobs().unwrap();
        assert_eq!(tokens[0].top_logprobs[0].token, "b");
        for json in [json!({}), json!({"logprobs": null}), json!({"logprobs": {"content": 3}})] {
            assert_eq!(choice(json).logprobs(), None);
        }
    }

    #[test]
    fn a_response_is_written_back_as_it_came() {
        let came = json!({"id": 7, "service_tier": "on_demand", "usage": {"odd": []},
            "choices": [{"index": 0, "finish_reason": "", "message": {"role": "assistant", "content": "x", "refusal": null}}]});
        let read: ChatResponse = serde_json::from_value(came.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), came);
    }
}
