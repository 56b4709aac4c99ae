//! What the test server does with a request.

use std::io;
use std::time::Duration;

use futures_util::stream;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::Response;
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

use super::broken;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What is done with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Answers with this text, usage and all.
    Answer(String),
    /// Answers as a server does that was cut at the limit of tokens.
    Truncated(String),
    /// Answers with an empty `usage`, an empty `finish_reason` and little else.
    Sparse(String),
    /// Declines in the field `refusal`.
    Refusal(String),
    /// Cuts the answer by a filter, with status 200.
    FilteredAnswer,
    /// Refuses the request by a filter, in the shape of OpenAI.
    FilterOpenAi,
    /// The same in the shape of Azure, for the category `self_harm`.
    FilterAzure,
    /// Sends this JSON.
    Json {
        /// The status.
        status: u16,
        /// The body.
        body: Value,
    },
    /// Sends this text as HTML, whatever it is.
    Html {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// "Too many requests", with a body that is no JSON.
    TooMany {
        /// The header `Retry-After`, as it is to stand there.
        retry_after: Option<String>,
    },
    /// Sends these events, each as `data: …`, then `[DONE]`.
    Events(Vec<Value>),
    /// Sends these bytes of an event stream, piece by piece, and ends it.
    RawEvents(Vec<Vec<u8>>),
    /// Sends these bytes of an event stream and breaks the connection.
    BrokenEvents(Vec<Vec<u8>>),
    /// Begins an answer and breaks the connection in the middle of it.
    BrokenAnswer,
    /// Breaks the connection without an answer.
    Drop,
    /// Waits, then does something else.
    Delay(Duration, Box<Behaviour>),
}

/// A complete response with this text.
pub fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "test-model-2026",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": text, "refusal": null },
        }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
    })
}

impl Behaviour {
    pub(super) fn respond(self) -> io::Result<Response<Body>> {
        match self {
            Self::Answer(text) => json_response(200, &completion(&text)),
            Self::Truncated(text) => json_response(200, &finished(&text, "length")),
            Self::FilteredAnswer => json_response(200, &filtered_answer()),
            Self::Sparse(text) => {
                let choice = json!({ "message": { "content": text }, "finish_reason": "" });
                json_response(200, &json!({ "choices": [choice], "usage": {} }))
            }
            Self::Refusal(text) => json_response(200, &refusal(&text)),
            Self::FilterOpenAi => json_response(400, &openai_filter()),
            Self::FilterAzure => json_response(400, &azure_filter()),
            Self::Json { status, body } => json_response(status, &body),
            Self::Html { status, body } => whole(status, "text/html", body.into_bytes()),
            Self::TooMany { retry_after } => too_many(retry_after.as_deref()),
            Self::Events(events) => pieces(200, "text/event-stream", events_with_end(&events), End::Whole),
            Self::RawEvents(raw) => pieces(200, "text/event-stream", raw, End::Whole),
            Self::BrokenEvents(raw) => pieces(200, "text/event-stream", raw, End::Broken),
            Self::BrokenAnswer => {
                let half = br#"{"choices":[{"message":{"content":"never"#.to_vec();
                pieces(200, "application/json", vec![half], End::Broken)
            }
            Self::Drop => Err(broken()),
            // The server waits before it comes to this.
            Self::Delay(_, next) => next.respond(),
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    Whole,
    Broken,
}

fn finished(text: &str, reason: &str) -> Value {
    let mut response = completion(text);
    response["choices"][0]["finish_reason"] = json!(reason);
    response
}

fn refusal(text: &str) -> Value {
    let mut response = completion("");
    response["choices"][0]["message"] = json!({ "role": "assistant", "content": null, "refusal": text });
    response
}

fn filtered_answer() -> Value {
    let mut response = finished("", "content_filter");
    response["choices"][0]["content_filter_results"] =
        json!({ "self_harm": { "filtered": true, "severity": "medium" }, "hate": { "filtered": false } });
    response
}

fn openai_filter() -> Value {
    json!({ "error": {
        "message": "The request was rejected by the safety system.",
        "type": "invalid_request_error", "param": null, "code": "content_filter",
    }})
}

fn azure_filter() -> Value {
    let passed = json!({ "filtered": false, "severity": "safe" });
    json!({ "error": {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": null, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": passed, "sexual": passed, "violence": passed,
                "self_harm": { "filtered": true, "severity": "medium" },
            },
        },
    }})
}

fn events_with_end(events: &[Value]) -> Vec<Vec<u8>> {
    let lines = events.iter().map(|event| format!("data: {event}\n\n").into_bytes());
    lines.chain([b"data: [DONE]\n\n".to_vec()]).collect()
}

fn json_response(status: u16, body: &Value) -> io::Result<Response<Body>> {
    whole(status, "application/json", body.to_string().into_bytes())
}

fn too_many(retry_after: Option<&str>) -> io::Result<Response<Body>> {
    let mut response = whole(429, "text/plain", b"slow down".to_vec())?;
    if let Some(wait) = retry_after {
        response.headers_mut().insert("retry-after", wait.parse().map_err(io::Error::other)?);
    }
    Ok(response)
}

fn whole(status: u16, kind: &str, body: Vec<u8>) -> io::Result<Response<Body>> {
    pieces(status, kind, vec![body], End::Whole)
}

/// A response sent piece by piece.
fn pieces(status: u16, kind: &str, pieces: Vec<Vec<u8>>, end: End) -> io::Result<Response<Body>> {
    let ending = match end {
        End::Whole => None,
        End::Broken => Some(Err(broken())),
    };
    let frames: Vec<io::Result<Vec<u8>>> = pieces.into_iter().map(Ok).chain(ending).collect();
    // A pause after each piece lets it leave before the next, or the break.
    let frames = stream::unfold(frames.into_iter(), |mut rest| async {
        let next = rest.next()?;
        tokio::time::sleep(Duration::from_millis(2)).await;
        Some((next.map(|piece| Frame::data(Bytes::from(piece))), rest))
    });
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(UnsyncBoxBody::new(StreamBody::new(frames)))
        .map_err(io::Error::other)
}
