//! HTTP: one request, one response, and what broke in between.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, redirect};

use crate::endpoint::Endpoint;
use crate::outcome::{Outcome, TransportStage};
use crate::reading::{self, Reading};
use crate::retry::retry_after;
use crate::wire::ChatRequest;

/// No answer is larger, in bytes; a server that sends more is cut off.
pub(crate) const LARGEST_BODY: usize = 32 << 20;

pub(crate) struct Transport {
    http: reqwest::Client,
    endpoint: Arc<Endpoint>,
}

/// What came of one request.
pub(crate) struct Exchange {
    pub(crate) reading: Reading,
    pub(crate) retry_after: Option<Duration>,
}

impl From<Outcome> for Exchange {
    fn from(outcome: Outcome) -> Self {
        Self { reading: Reading::failed(outcome), retry_after: None }
    }
}

impl Transport {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> reqwest::Result<Self> {
        Ok(Self { http: http(&endpoint)?, endpoint })
    }

    /// Asks for a whole answer.
    pub(crate) async fn ask(&self, request: &ChatRequest) -> Exchange {
        let response = match self.post(request).await {
            Ok(response) => response,
            Err(outcome) => return outcome.into(),
        };
        self.read(response).await
    }

    /// Sends a request; the answer may still be on its way.
    pub(crate) async fn post(&self, request: &ChatRequest) -> Result<Response, Outcome> {
        // A request is texts, numbers and JSON, whose writing cannot fail.
        let body = serde_json::to_vec(request).unwrap_or_default();
        let accept = if request.stream == Some(true) { "text/event-stream" } else { "application/json" };
        let post = self
            .http
            .post(self.endpoint.url())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, accept)
            .body(body);
        let post = match self.endpoint.key().and_then(crate::ApiKey::header) {
            Some((name, value)) => post.header(name, value),
            None => post,
        };
        post.send().await.map_err(|error| broken(&error, TransportStage::Asking))
    }

    /// Reads a whole answer.
    pub(crate) async fn read(&self, mut response: Response) -> Exchange {
        let status = response.status().as_u16();
        let retry_after = asked_wait(response.headers());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if body.len() + piece.len() > LARGEST_BODY => {
                    return Outcome::Unreachable { stage: TransportStage::Oversized }.into();
                }
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => return broken(&error, TransportStage::Answering).into(),
            }
        }
        let body = self.redacted(String::from_utf8_lossy(&body).into_owned());
        Exchange { reading: reading::read(status, &body), retry_after }
    }

    fn redacted(&self, body: String) -> String {
        match self.endpoint.key() {
            Some(key) => key.redact(body),
            None => body,
        }
    }
}

/// A client for one endpoint.
pub(crate) fn http(endpoint: &Endpoint) -> reqwest::Result<reqwest::Client> {
    // Another part of the program may have chosen a provider; it is kept.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(endpoint.timeouts.connect)
        .timeout(endpoint.timeouts.total)
        // A redirect could carry the conversation to another host.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("mindrail/", env!("CARGO_PKG_VERSION")));
    // Without encryption no certificates are needed, so a machine that has
    // none can still ask a server beside it.
    let builder = if endpoint.is_encrypted() { builder } else { builder.tls_certs_only([]) };
    builder.build()
}

pub(crate) fn broken(error: &reqwest::Error, stage: TransportStage) -> Outcome {
    match error {
        error if error.is_connect() => Outcome::Unreachable { stage: TransportStage::Connecting },
        error if error.is_timeout() => Outcome::Timeout,
        _ => Outcome::Unreachable { stage },
    }
}

/// `Retry-After`, or `retry-after-ms` as Azure sends it too.
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let exact = text("retry-after-ms").and_then(|value| value.trim().parse().ok()).map(Duration::from_millis);
    exact.or_else(|| text(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, SystemTime::now())))
}
