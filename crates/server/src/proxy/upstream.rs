//! The assistant behind the proxy: where it is, how it is asked, and how long it may
//! take.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use mindrail_llm::endpoint::{ApiKey, Endpoint, EndpointError, KeyHeader, Timeouts};
use mindrail_llm::outcome::Outcome;
use mindrail_llm::relay::{Form, Relay, Relayed, refused};
use mindrail_llm::sse::SseParser;
use serde::Deserialize;
use serde_json::Value;

use super::window::WindowSizes;
use crate::http::Failure;

/// Bytes of an answer, and of all events of a stream.
const LARGEST_ANSWER: usize = 32 << 20;
/// Bytes of one event of a stream.
const LARGEST_EVENT: usize = 1 << 20;
/// Bytes of the body of an answer that is an error.
const LARGEST_ERROR: usize = 64 << 10;

/// Headers of a request that go on to the assistant.
const SENT_ON: [&str; 8] = [
    "openai-organization",
    "openai-project",
    "openai-beta",
    "x-request-id",
    "traceparent",
    "tracestate",
    "http-referer",
    "x-title",
];

/// Headers of an answer that go back to the caller, and beginnings of such.
const SENT_BACK: [&str; 3] = ["x-request-id", "retry-after", "retry-after-ms"];
const SENT_BACK_BEGINNINGS: [&str; 2] = ["openai-", "x-ratelimit-"];

/// The assistant behind a tenant's proxy, as it is configured:
/// `[tenants.NAME.upstream]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Where it is, as `https://host/v1`.
    pub url: String,
    /// The environment variable that holds its key; none where it needs none.
    #[serde(default)]
    pub key_env: Option<String>,
    /// How it expects the key.
    #[serde(default)]
    pub key_header: KeyStyle,
    /// Seconds for a connection.
    #[serde(default = "ten_seconds")]
    pub connect_timeout_s: u64,
    /// Seconds until its answer begins.
    #[serde(default = "one_minute")]
    pub first_byte_timeout_s: u64,
    /// Seconds between two pieces of its answer.
    #[serde(default = "one_minute")]
    pub idle_timeout_s: u64,
    /// Seconds for its whole answer.
    #[serde(default = "ten_minutes")]
    pub total_timeout_s: u64,
    /// What becomes of replies that should be written anew.
    #[serde(default)]
    pub on_revise: OnRevise,
    /// Whether it is told of a verdict of `support`, with the note of the policy.
    #[serde(default)]
    pub support_note: SupportNote,
    /// How much of a reply that comes in pieces is judged at a time.
    #[serde(default)]
    pub window: WindowSizes,
}

const fn ten_seconds() -> u64 {
    10
}

const fn one_minute() -> u64 {
    60
}

const fn ten_minutes() -> u64 {
    600
}

/// How a server expects its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyStyle {
    /// `Authorization: Bearer …`: nearly all servers.
    #[default]
    Bearer,
    /// `api-key: …`: Azure.
    ApiKey,
}

/// What becomes of a reply that should be written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRevise {
    /// The policy's words stand in its place, as in the place of one that is blocked.
    #[default]
    Replace,
    /// It is shown, and the trail says `revise`.
    Show,
}

/// Whether the assistant gets the policy's note on a verdict of `support`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SupportNote {
    /// It gets it.
    #[default]
    On,
    /// It does not.
    Off,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The address or the key.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The sizes of windows.
    #[error("window: found least = {least} and most = {most}, expected 1 <= least <= most")]
    Window {
        /// What was found.
        least: usize,
        /// What was found.
        most: usize,
    },
    /// A time of nothing.
    #[error("{setting}: found 0, expected seconds from 1 on")]
    NoTime {
        /// Which.
        setting: &'static str,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up, for want of certificates for instance")]
    Client,
}

/// The assistant behind a tenant's proxy.
#[derive(Debug)]
pub struct Upstream {
    relay: Relay,
    first_byte: Duration,
    idle: Duration,
    pub(super) on_revise: OnRevise,
    pub(super) support_note: SupportNote,
    pub(super) window: WindowSizes,
}

impl UpstreamSettings {
    /// Settings of an address; everything else is as it is where nothing is said.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_env: None,
            key_header: KeyStyle::default(),
            connect_timeout_s: ten_seconds(),
            first_byte_timeout_s: one_minute(),
            idle_timeout_s: one_minute(),
            total_timeout_s: ten_minutes(),
            on_revise: OnRevise::default(),
            support_note: SupportNote::default(),
            window: WindowSizes::default(),
        }
    }

    /// The assistant, with its key from the environment.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn build(&self) -> Result<Upstream, UpstreamError> {
        let WindowSizes { least, most } = self.window;
        if least == 0 || most < least {
            return Err(UpstreamError::Window { least, most });
        }
        let timeouts = Timeouts {
            connect: seconds("connect_timeout_s", self.connect_timeout_s)?,
            total: seconds("total_timeout_s", self.total_timeout_s)?,
        };
        // The name of a model is each request's own.
        let endpoint = Endpoint::new(&self.url, "")?.with_timeouts(timeouts);
        let header = match self.key_header {
            KeyStyle::Bearer => KeyHeader::Bearer,
            KeyStyle::ApiKey => KeyHeader::ApiKey,
        };
        let endpoint = match &self.key_env {
            Some(variable) => endpoint.with_key(ApiKey::from_env(variable, header)?),
            None => endpoint,
        };
        Ok(Upstream {
            relay: Relay::new(endpoint).map_err(|_| UpstreamError::Client)?,
            first_byte: seconds("first_byte_timeout_s", self.first_byte_timeout_s)?,
            idle: seconds("idle_timeout_s", self.idle_timeout_s)?,
            on_revise: self.on_revise,
            support_note: self.support_note,
            window: self.window,
        })
    }
}

fn seconds(setting: &'static str, found: u64) -> Result<Duration, UpstreamError> {
    if found == 0 { Err(UpstreamError::NoTime { setting }) } else { Ok(Duration::from_secs(found)) }
}

/// An answer of the assistant that has begun.
pub(super) enum Began {
    /// One JSON value, on its way.
    Whole(Relayed),
    /// Events.
    Stream(Events),
}

/// Why the assistant gives no answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NoAnswer {
    /// It does not work, or its filter withholds the answer: asking once more, or
    /// asking another, may help.
    Failed,
    /// It refuses the request as it stands, in these words.
    Refused { status: StatusCode, body: Vec<u8> },
    /// It does not accept the key.
    Unauthorised,
}

impl NoAnswer {
    /// The same where no person waits for words.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Failed => Failure::new(
                StatusCode::BAD_GATEWAY,
                "upstream_failed",
                "the assistant behind the proxy does not answer",
            ),
            Self::Refused { status, .. } => {
                Failure::new(status, "upstream_refused", "the assistant behind the proxy refuses the request")
            }
            Self::Unauthorised => Failure::new(
                StatusCode::BAD_GATEWAY,
                "upstream_unauthorized",
                "the assistant behind the proxy does not accept the proxy's key",
            ),
        }
    }
}

impl Upstream {
    /// Asks for a completion.
    pub(super) async fn chat(
        &self,
        headers: &HeaderMap,
        body: Vec<u8>,
        form: Form,
    ) -> Result<Began, NoAnswer> {
        let asked = self.relay.chat(sent_on(headers), body, form);
        let relayed = self.begun(asked).await?;
        if is_of_type(relayed.headers(), "text/event-stream") {
            return Ok(Began::Stream(Events::new(relayed, self.idle)));
        }
        Ok(Began::Whole(relayed))
    }

    /// Asks which models there are; the answer as it is.
    pub(super) async fn models(
        &self,
        headers: &HeaderMap,
        model: Option<&str>,
    ) -> Result<(HeaderMap, Vec<u8>), NoAnswer> {
        let asked = self.relay.models(sent_on(headers), model);
        let relayed = self.begun(asked).await?;
        let headers = sent_back(relayed.headers());
        let body = relayed.whole(self.idle, LARGEST_ANSWER).await.map_err(|_| NoAnswer::Failed)?;
        Ok((headers, body))
    }

    /// An answer that begins in time and is a success.
    async fn begun(
        &self,
        asked: impl Future<Output = Result<Relayed, Outcome>>,
    ) -> Result<Relayed, NoAnswer> {
        let relayed = tokio::time::timeout(self.first_byte, asked).await.map_err(|_| NoAnswer::Failed)?;
        let relayed = relayed.map_err(|_| NoAnswer::Failed)?;
        let is_packed = relayed.headers().get("content-encoding").is_some_and(|value| value != "identity");
        match relayed.status() {
            status if status == StatusCode::OK && !is_packed => Ok(relayed),
            status if status.is_success() || status.is_redirection() => Err(NoAnswer::Failed),
            status => {
                let body = relayed.whole(self.idle, LARGEST_ERROR).await.unwrap_or_default();
                Err(self.refusal(status, &body))
            }
        }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> NoAnswer {
        match refused(status, body) {
            Outcome::Unauthorised { .. } => NoAnswer::Unauthorised,
            Outcome::BadRequest { .. } => {
                let body = self.relay.redact(String::from_utf8_lossy(body).into_owned());
                NoAnswer::Refused { status, body: body.into_bytes() }
            }
            _ => NoAnswer::Failed,
        }
    }

    /// A whole answer as JSON.
    pub(super) async fn read(&self, relayed: Relayed) -> Result<Value, NoAnswer> {
        let body = relayed.whole(self.idle, LARGEST_ANSWER).await.map_err(|_| NoAnswer::Failed)?;
        read_object(&String::from_utf8_lossy(&body)).ok_or(NoAnswer::Failed)
    }
}

/// A JSON object without an error in it. What was written in halves of characters is
/// mended, since servers that cut texts by tokens do that.
fn read_object(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).or_else(|_| serde_json::from_str(&mended(text))).ok()?;
    let fails = value.get("error").is_some_and(|error| !error.is_null());
    (value.is_object() && !fails).then_some(value)
}

/// A JSON text with U+FFFD in the place of each `\uXXXX` that is half a character.
fn mended(text: &str) -> String {
    let half = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok().filter(|code| (0xD800..0xE000).contains(code))
    };
    let (mut mended, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(next) = text[at..].chars().next() {
        let taken = match (half(at), half(at + 6)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => &text[at..at + 12],
            (Some(_), _) => {
                mended.push_str("\\ufffd");
                at += 6;
                continue;
            }
            // An escape goes over as a whole, so that `\\u` is no beginning of one.
            _ if next == '\\' => text.get(at..at + 2).unwrap_or("\\"),
            _ => &text[at..at + next.len_utf8()],
        };
        mended.push_str(taken);
        at += taken.len();
    }
    mended
}

/// The events of an answer that comes in pieces.
pub(super) struct Events {
    relayed: Relayed,
    parser: SseParser,
    bytes: usize,
    idle: Duration,
}

/// What a piece of a stream brought.
#[derive(Debug, PartialEq)]
pub(super) enum Came {
    /// Chunks, in their order.
    Chunks(Vec<Value>),
    /// Chunks, and the end that the protocol says.
    Done(Vec<Value>),
    /// Chunks, and the end of the bytes.
    End(Vec<Value>),
    /// Nothing but a sign that the assistant is still there.
    Sign,
    /// Chunks, and then something that is no part of an answer, or too much, or nothing
    /// for too long.
    Broken(Vec<Value>),
}

impl Events {
    fn new(relayed: Relayed, idle: Duration) -> Self {
        Self { relayed, parser: SseParser::default(), bytes: 0, idle }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.relayed.headers()
    }

    /// Waits for the next piece.
    pub(super) async fn next(&mut self) -> Came {
        let Ok(piece) = self.relayed.next(self.idle).await else { return Came::Broken(Vec::new()) };
        let Some(piece) = piece else {
            let last = std::mem::take(&mut self.parser).finish();
            let (chunks, end) = read_events(last.map(|event| event.data));
            return match end {
                End::Open => Came::End(chunks),
                End::Done => Came::Done(chunks),
                End::Broken => Came::Broken(chunks),
            };
        };
        self.bytes += piece.len();
        let events = self.parser.push(&piece);
        if self.bytes > LARGEST_ANSWER || self.parser.pending() > LARGEST_EVENT {
            return Came::Broken(Vec::new());
        }
        if events.is_empty() {
            return if self.parser.pending() == 0 { Came::Sign } else { Came::Chunks(Vec::new()) };
        }
        let (chunks, end) = read_events(events.into_iter().map(|event| event.data));
        match end {
            End::Open => Came::Chunks(chunks),
            End::Done => Came::Done(chunks),
            End::Broken => Came::Broken(chunks),
        }
    }
}

enum End {
    Open,
    Done,
    Broken,
}

/// The chunks that events hold, up to the end that they say.
fn read_events(events: impl IntoIterator<Item = String>) -> (Vec<Value>, End) {
    let mut chunks = Vec::new();
    for data in events {
        if data.trim() == "[DONE]" {
            return (chunks, End::Done);
        }
        let Some(chunk) = read_object(&data) else { return (chunks, End::Broken) };
        chunks.push(chunk);
    }
    (chunks, End::Open)
}

fn is_of_type(headers: &HeaderMap, expected: &str) -> bool {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with(expected))
}

/// The headers of a request that go on to the assistant, with the span that is under way in
/// the place of the caller's.
fn sent_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = kept(headers, |name| SENT_ON.contains(&name));
    crate::traces::inject(&mut headers);
    headers
}

/// The headers of an answer that go back to the caller.
pub(super) fn sent_back(headers: &HeaderMap) -> HeaderMap {
    kept(headers, |name| {
        SENT_BACK.contains(&name) || SENT_BACK_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
    })
}

fn kept(headers: &HeaderMap, keep: impl Fn(&str) -> bool) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _): &(&HeaderName, _)| keep(name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_mended_and_whole_ones_are_left() {
        for (found, expected) in [
            (r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\ud83d\ude00"}"#),
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (r#"{"a":"\ude00x"}"#, r#"{"a":"\ufffdx"}"#),
            (r#"{"a":"\\ud83d é"}"#, r#"{"a":"\\ud83d é"}"#),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, r#"{"a":"\ufffd\ud83d\ude00"}"#),
            ("\\", "\\"),
        ] {
            assert_eq!(mended(found), expected);
        }
        assert!(read_object(r#"{"a":"\ud83d"}"#).is_some());
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for text in ["", "[]", "7", "{", r#"{"error": {"message": "x"}}"#, "<html>"] {
            assert!(read_object(text).is_none(), "{text}");
        }
        assert!(read_object(r#"{"error": null, "choices": []}"#).is_some());
    }

    #[test]
    fn settings_are_complete_with_an_address_and_unknown_ones_are_refused() {
        let read = |text: &str| serde_json::from_str::<UpstreamSettings>(text);
        let settings = read(r#"{"url": "http://127.0.0.1:1/v1"}"#).expect("settings");
        assert_eq!(settings, UpstreamSettings::at("http://127.0.0.1:1/v1"));
        assert!(settings.build().is_ok());
        assert!(read(r#"{"url": "http://h", "on_revize": "show"}"#).is_err());
        let with = |change: fn(&mut UpstreamSettings)| {
            let mut settings = UpstreamSettings::at("http://127.0.0.1:1/v1");
            change(&mut settings);
            settings.build().expect_err("unusable").to_string()
        };
        assert!(with(|settings| settings.window.least = 0).contains("window"));
        assert!(with(|settings| settings.idle_timeout_s = 0).contains("idle_timeout_s"));
        assert!(
            with(|settings| settings.key_env = Some("MINDRAIL_NO_SUCH".into())).contains("MINDRAIL_NO_SUCH")
        );
    }
}
