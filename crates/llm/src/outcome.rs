//! What came of a call: a closed set. Answers are never invented: whatever is no
//! answer of the model has a variant of its own, is counted, and stays distinct
//! from every other.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Tokens;
use crate::structured::StructuredMode;
use crate::wire::{Finish, ServerError, TokenLogprob, Usage};

/// What came of a call, after all tries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The model answered.
    Answered(Answer),
    /// The model answered, and was cut at the limit of tokens.
    Truncated(Answer),
    /// The model answered with no text: reasoning or tool calls at most.
    Empty(Answer),
    /// The model declined, in the field made for that.
    Refused {
        /// Its words.
        refusal: String,
    },
    /// A content filter withheld the request from the model or the answer from us.
    ContentFiltered {
        /// Which of the two.
        stage: FilterStage,
        /// What the filter objected to, as the server names it; often unsaid.
        categories: Vec<String>,
    },
    /// The server does not accept the key (401, 403).
    Unauthorised {
        /// What it said.
        error: ServerError,
    },
    /// The server does not accept the request (any other status that is no success).
    BadRequest {
        /// What it said.
        error: ServerError,
    },
    /// The account has no money left at the server.
    QuotaExhausted {
        /// What it said.
        error: ServerError,
    },
    /// The server asked us to wait (429) more often, or longer, than allowed.
    RateLimitedOut {
        /// What it said.
        error: ServerError,
    },
    /// The server failed (408, 409, 425, 5xx).
    ServerFailed {
        /// What it said.
        error: ServerError,
    },
    /// A success that is not JSON, or not the JSON of a chat completion.
    NotJson {
        /// The HTTP status.
        status: u16,
        /// The body's length in bytes.
        bytes: usize,
    },
    /// No answer within the time allowed.
    Timeout,
    /// No connection, or one that broke before the end of the answer.
    Unreachable {
        /// At what point.
        stage: TransportStage,
    },
    /// Not asked: the server has failed too often just now.
    CircuitOpen,
    /// Not asked: the budget does not cover it.
    OverBudget,
    /// Not asked, or not asked again: the caller cancelled.
    Cancelled,
}

/// The model's words and what the server says of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The answer, without reasoning that the server keeps apart.
    pub text: String,
    /// The reasoning, where the server keeps it apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why the answer ends.
    pub finish: Finish,
    /// The model by the server's account, which may be more exact than ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The probabilities of the tokens; `None` where the server gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprob>>,
}

/// What a content filter withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterStage {
    /// The request; the model never saw it.
    Request,
    /// The answer, or the rest of it.
    Answer,
}

/// Where a transport failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportStage {
    /// No connection.
    Connecting,
    /// The request could not be sent, or no answer began.
    Asking,
    /// The answer broke off.
    Answering,
    /// The answer is larger than any answer.
    Oversized,
}

/// The kind of an outcome, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented at the outcome of its name")]
pub enum OutcomeKind {
    Answered,
    Truncated,
    Empty,
    Refused,
    ContentFiltered,
    Unauthorised,
    BadRequest,
    QuotaExhausted,
    RateLimitedOut,
    ServerFailed,
    NotJson,
    Timeout,
    Unreachable,
    CircuitOpen,
    OverBudget,
    Cancelled,
}

/// What asking again would bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// The model, or its filter, has spoken: a result to be counted.
    Settled,
    /// Trouble that may pass: worth asking again, now or on the next run.
    Transient,
    /// Trouble that stays until a person changes something.
    Permanent,
}

impl OutcomeKind {
    /// What asking again would bring.
    pub fn finality(self) -> Finality {
        match self {
            Self::Answered | Self::Truncated | Self::Empty | Self::Refused | Self::ContentFiltered => {
                Finality::Settled
            }
            Self::Unauthorised | Self::BadRequest | Self::QuotaExhausted => Finality::Permanent,
            Self::RateLimitedOut
            | Self::ServerFailed
            | Self::NotJson
            | Self::Timeout
            | Self::Unreachable
            | Self::CircuitOpen
            | Self::OverBudget
            | Self::Cancelled => Finality::Transient,
        }
    }

    /// Whether the client itself tries again within one call.
    pub fn is_retried(self) -> bool {
        match self {
            Self::RateLimitedOut
            | Self::ServerFailed
            | Self::NotJson
            | Self::Timeout
            | Self::Unreachable
            | Self::CircuitOpen => true,
            Self::Answered
            | Self::Truncated
            | Self::Empty
            | Self::Refused
            | Self::ContentFiltered
            | Self::Unauthorised
            | Self::BadRequest
            | Self::QuotaExhausted
            | Self::OverBudget
            | Self::Cancelled => false,
        }
    }

    /// The name in records: `content_filtered`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::Refused => "refused",
            Self::ContentFiltered => "content_filtered",
            Self::Unauthorised => "unauthorised",
            Self::BadRequest => "bad_request",
            Self::QuotaExhausted => "quota_exhausted",
            Self::RateLimitedOut => "rate_limited_out",
            Self::ServerFailed => "server_failed",
            Self::NotJson => "not_json",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::CircuitOpen => "circuit_open",
            Self::OverBudget => "over_budget",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Outcome {
    /// Its kind.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Answered(_) => OutcomeKind::Answered,
            Self::Truncated(_) => OutcomeKind::Truncated,
            Self::Empty(_) => OutcomeKind::Empty,
            Self::Refused { .. } => OutcomeKind::Refused,
            Self::ContentFiltered { .. } => OutcomeKind::ContentFiltered,
            Self::Unauthorised { .. } => OutcomeKind::Unauthorised,
            Self::BadRequest { .. } => OutcomeKind::BadRequest,
            Self::QuotaExhausted { .. } => OutcomeKind::QuotaExhausted,
            Self::RateLimitedOut { .. } => OutcomeKind::RateLimitedOut,
            Self::ServerFailed { .. } => OutcomeKind::ServerFailed,
            Self::NotJson { .. } => OutcomeKind::NotJson,
            Self::Timeout => OutcomeKind::Timeout,
            Self::Unreachable { .. } => OutcomeKind::Unreachable,
            Self::CircuitOpen => OutcomeKind::CircuitOpen,
            Self::OverBudget => OutcomeKind::OverBudget,
            Self::Cancelled => OutcomeKind::Cancelled,
        }
    }

    /// The complete answer, where there is one.
    pub fn answer(&self) -> Option<&Answer> {
        if let Self::Answered(answer) = self { Some(answer) } else { None }
    }

    /// What the server said where it did not answer.
    pub fn server_error(&self) -> Option<&ServerError> {
        match self {
            Self::Unauthorised { error }
            | Self::BadRequest { error }
            | Self::QuotaExhausted { error }
            | Self::RateLimitedOut { error }
            | Self::ServerFailed { error } => Some(error),
            _ => None,
        }
    }
}

/// Names the kind and codes of the server, never a word of the conversation.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind().name();
        match (self.server_error(), self) {
            (Some(error), _) => write!(f, "{name} ({error})"),
            (None, Self::NotJson { status, bytes }) => write!(f, "{name} (status {status}, {bytes} bytes)"),
            (None, Self::Unreachable { stage }) => write!(f, "{name} ({stage:?})"),
            (None, _) => f.write_str(name),
        }
    }
}

/// One call, finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What came of it.
    pub outcome: Outcome,
    /// Where it came from.
    pub source: Source,
    /// Requests sent for it; 0 from the cache.
    pub tries: u32,
    /// What the tries before the last came to.
    pub failed_tries: Vec<OutcomeKind>,
    /// Tokens used by the last try, by the server's account.
    pub usage: Usage,
    /// What the budget booked for all tries: by the server's account, and estimated
    /// where it gave none. Nothing for an answer from the cache.
    pub booked: Tokens,
    /// Which structure of answers was asked for.
    pub structured: StructuredMode,
    /// From the call to the reply, waiting included.
    pub elapsed: Duration,
    /// The response as it came, where it was JSON with choices.
    pub raw: Option<Value>,
    /// Why the cache could not be read or written; the reply is right all the same.
    pub cache_error: Option<io::ErrorKind>,
}

/// Where a reply came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The server.
    Server,
    /// The cache: nothing was asked.
    Cache,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_outcome_survives_being_written_and_read() {
        let error = ServerError { status: 429, code: Some("rate".into()), ..ServerError::default() };
        for outcome in [
            Outcome::RateLimitedOut { error },
            Outcome::ContentFiltered { stage: FilterStage::Request, categories: vec!["x".into()] },
            Outcome::Timeout,
        ] {
            let written = serde_json::to_string(&outcome).unwrap();
            assert!(written.contains(outcome.kind().name()), "{written}");
            assert_eq!(serde_json::from_str::<Outcome>(&written).unwrap(), outcome);
        }
    }

    #[test]
    fn an_outcome_displays_no_words() {
        let answer = Answer {
            text: "private".into(),
            reasoning: None,
            finish: Finish::Stop,
            model: None,
            logprobs: None,
        };
        let refused = Outcome::Refused { refusal: "private".into() };
        for outcome in [Outcome::Answered(answer.clone()), Outcome::Truncated(answer), refused] {
            assert!(!outcome.to_string().contains("private"));
        }
    }
}
