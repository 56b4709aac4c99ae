//! A conversation: who said what, in order. Every input format is read into
//! this shape by [`crate::reader`]; speaker style never goes further than that.

use serde::{Deserialize, Serialize};

/// Who speaks a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person who may be in distress.
    User,
    /// The one who answers: a model, a helpline worker, a friend.
    Assistant,
    /// Instructions to the assistant. Kept in place, never scored.
    System,
}

impl Role {
    /// The role's name on the wire, as in `OpenAI` messages.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said, without any speaker prefix. May be empty.
    #[serde(rename = "content")]
    pub text: String,
}

/// A whole conversation, oldest turn first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The caller's name for it; opaque to Mindrail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The turns. Consecutive turns of one role are kept apart.
    #[serde(rename = "messages")]
    pub turns: Vec<Turn>,
}
