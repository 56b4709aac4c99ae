//! Answers that come in pieces. Each chunk is handed on as it came; at the end
//! the pieces are put together and read like a whole answer. A stream that ends
//! without saying why the answer ends was cut, and is no answer.

use std::collections::VecDeque;

use reqwest::Response;
use serde_json::{Value, json};

use crate::budget::Tokens;
use crate::cancel::Cancel;
use crate::client::{Client, Leave};
use crate::outcome::{Outcome, TransportStage};
use crate::reading::{self, Reading};
use crate::sse::SseParser;
use crate::transport::{Exchange, LARGEST_BODY, broken};
use crate::wire::{ChatRequest, Finish, Usage};

/// An answer on its way. Dropped, it breaks the connection off.
pub struct ChatStream<'a> {
    leave: Leave<'a>,
    response: Response,
    parser: SseParser,
    waiting: VecDeque<String>,
    assembly: Assembly,
    end: Option<End>,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq)]
enum End {
    /// With `[DONE]`, or without it as some servers do.
    Whole,
    Broken(Outcome),
}

/// A stream, read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Streamed {
    /// What came of it.
    pub outcome: Outcome,
    /// Tokens used, where the server says so in its last chunk.
    pub usage: Usage,
}

impl Client {
    /// Asks for an answer in pieces: once, without repetitions and cache, since
    /// pieces that were handed on cannot be taken back.
    ///
    /// # Errors
    /// What stands in for an answer where none begins.
    pub async fn stream(&self, request: &ChatRequest) -> Result<ChatStream<'_>, Outcome> {
        let model = self.endpoint().model().to_owned();
        let request = ChatRequest { model, stream: Some(true), ..request.clone() };
        let tokens = Tokens::estimate(&request, self.assumed_output());
        let leave = self.leave(tokens, &Cancel::new()).await.map_err(|denied| denied.reading.outcome)?;
        let failed = match self.transport().post(&request).await {
            Ok(response) if response.status().is_success() && is_event_stream(&response) => {
                return Ok(ChatStream::begin(leave, response));
            }
            Ok(response) => self.transport().read(response).await,
            Err(outcome) => outcome.into(),
        };
        leave.learn(&failed);
        Err(failed.reading.outcome)
    }
}

fn is_event_stream(response: &Response) -> bool {
    let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

impl<'a> ChatStream<'a> {
    fn begin(leave: Leave<'a>, response: Response) -> Self {
        Self {
            leave,
            response,
            parser: SseParser::default(),
            waiting: VecDeque::new(),
            assembly: Assembly::default(),
            end: None,
        }
    }

    /// The next chunk as it came; `None` at the end, whatever the end was.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(data) = self.waiting.pop_front() {
                if let Some(chunk) = self.take(&data) {
                    return Some(chunk);
                }
            }
            if self.end.is_some() {
                return None;
            }
            self.receive().await;
        }
    }

    /// What the stream came to. It is read to its end first.
    pub async fn finish(mut self) -> Streamed {
        while self.next().await.is_some() {}
        let reading = self.assembly.end(self.end.take().unwrap_or(End::Whole));
        let exchange = Exchange { reading, retry_after: None };
        self.leave.learn(&exchange);
        Streamed { outcome: exchange.reading.outcome, usage: exchange.reading.usage }
    }

    async fn receive(&mut self) {
        match self.response.chunk().await {
            Ok(Some(piece)) => {
                self.waiting.extend(self.parser.push(&piece).into_iter().map(|event| event.data));
                if self.parser.pending() > LARGEST_BODY {
                    self.end = Some(End::Broken(Outcome::Unreachable { stage: TransportStage::Oversized }));
                }
            }
            Ok(None) => {
                let last = std::mem::take(&mut self.parser).finish();
                self.waiting.extend(last.map(|event| event.data));
                self.end = Some(End::Whole);
            }
            Err(error) => self.end = Some(End::Broken(broken(&error, TransportStage::Answering))),
        }
    }

    /// A chunk out of an event's data; `[DONE]` and what is no JSON end the stream.
    fn take(&mut self, data: &str) -> Option<Value> {
        if data.trim() == "[DONE]" {
            self.stop(End::Whole);
            return None;
        }
        let chunk = serde_json::from_str::<Value>(data).ok();
        let Some(chunk) = chunk.filter(Value::is_object) else {
            self.stop(End::Broken(Outcome::NotJson { status: 200, bytes: data.len() }));
            return None;
        };
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            self.stop(End::Broken(reading::read(200, data).outcome));
            return None;
        }
        self.assembly.add(&chunk);
        Some(chunk)
    }

    fn stop(&mut self, end: End) {
        self.waiting.clear();
        self.end = Some(end);
    }
}

/// The pieces of the first choice, put together.
#[derive(Default)]
struct Assembly {
    content: String,
    refusal: String,
    reasoning: String,
    finish: Value,
    model: Value,
    usage: Value,
}

impl Assembly {
    fn add(&mut self, chunk: &Value) {
        for (kept, name) in [(&mut self.model, "model"), (&mut self.usage, "usage")] {
            if let Some(value) = chunk.get(name).filter(|value| !value.is_null()) {
                kept.clone_from(value);
            }
        }
        let Some(choice) = chunk.pointer("/choices/0") else { return };
        if Finish::read(choice.get("finish_reason")) != Finish::Unsaid {
            self.finish = choice["finish_reason"].clone();
        }
        let delta =
            |name: &str| choice.pointer(&format!("/delta/{name}")).and_then(Value::as_str).unwrap_or("");
        self.content.push_str(delta("content"));
        self.refusal.push_str(delta("refusal"));
        self.reasoning.push_str(delta("reasoning_content"));
        self.reasoning.push_str(delta("reasoning"));
    }

    fn end(&self, end: End) -> Reading {
        let raw = json!({
            "choices": [{
                "message": {
                    "role": "assistant", "content": self.content, "refusal": self.refusal,
                    "reasoning": self.reasoning,
                },
                "finish_reason": self.finish,
            }],
            "model": self.model,
            "usage": self.usage,
        });
        let cut = Outcome::Unreachable { stage: TransportStage::Answering };
        match end {
            End::Broken(outcome) => Reading::failed(outcome),
            End::Whole if self.finish.is_null() => Reading::failed(cut),
            End::Whole => reading::completion(&raw).unwrap_or_else(|| Reading::failed(cut)),
        }
    }
}
