//! Requests and answers that somebody else writes and reads: they pass as they are,
//! with the endpoint's address and key and this crate's way of connecting. Nothing is
//! repeated, cached or counted.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};

use crate::endpoint::Endpoint;
use crate::outcome::{Outcome, TransportStage};
use crate::reading;
use crate::transport::{broken, http};

/// A server to which requests are passed on.
#[derive(Debug, Clone)]
pub struct Relay {
    http: reqwest::Client,
    endpoint: Endpoint,
}

/// What an answer shall be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON value.
    Whole,
    /// Events, one for each piece.
    Stream,
}

impl Relay {
    /// A relay to an endpoint. The name of its model is not used.
    ///
    /// # Errors
    /// Where the machine has no certificates to check the server's with.
    pub fn new(endpoint: Endpoint) -> reqwest::Result<Self> {
        Ok(Self { http: http(&endpoint)?, endpoint })
    }

    /// Asks for a completion, and gives the answer as soon as it begins.
    ///
    /// # Errors
    /// [`Outcome::Timeout`] and [`Outcome::Unreachable`].
    pub async fn chat(&self, headers: HeaderMap, body: Vec<u8>, form: Form) -> Result<Relayed, Outcome> {
        let accept = if form == Form::Stream { "text/event-stream" } else { "application/json" };
        let post = self.http.post(self.endpoint.url()).headers(headers);
        self.send(post.header(CONTENT_TYPE, "application/json").header(ACCEPT, accept).body(body)).await
    }

    /// Asks which models there are, or about one of them.
    ///
    /// # Errors
    /// As [`Relay::chat`].
    pub async fn models(&self, headers: HeaderMap, model: Option<&str>) -> Result<Relayed, Outcome> {
        let unreachable = Outcome::Unreachable { stage: TransportStage::Asking };
        let mut url = Url::parse(self.endpoint.url()).map_err(|_| unreachable.clone())?;
        {
            let mut path = url.path_segments_mut().map_err(|()| unreachable)?;
            // The endpoint's own path ends in `chat/completions`.
            path.pop().pop().push("models").extend(model);
        }
        self.send(self.http.get(url).headers(headers).header(ACCEPT, "application/json")).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Relayed, Outcome> {
        let request = match self.endpoint.key().and_then(crate::ApiKey::header) {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        let response = request.send().await.map_err(|error| broken(&error, TransportStage::Asking))?;
        Ok(Relayed(response))
    }

    /// A text without the key: some servers repeat it when they refuse it.
    pub fn redact(&self, text: String) -> String {
        self.endpoint.key().map_or(text.clone(), |key| key.redact(text))
    }
}

/// What an answer that is no success comes to.
pub fn refused(status: StatusCode, body: &[u8]) -> Outcome {
    reading::read(status.as_u16(), &String::from_utf8_lossy(body)).outcome
}

/// An answer on its way. Dropped, it breaks the connection off.
#[derive(Debug)]
pub struct Relayed(Response);

impl Relayed {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`Outcome::Timeout`] where nothing comes for so long, [`Outcome::Unreachable`]
    /// where the answer breaks off.
    pub async fn next(&mut self, idle: Duration) -> Result<Option<Vec<u8>>, Outcome> {
        let piece = tokio::time::timeout(idle, self.0.chunk()).await.map_err(|_| Outcome::Timeout)?;
        let piece = piece.map_err(|error| broken(&error, TransportStage::Answering))?;
        Ok(piece.map(Vec::from))
    }

    /// The whole answer, of at most so many bytes.
    ///
    /// # Errors
    /// As [`Relayed::next`], and [`TransportStage::Oversized`].
    pub async fn whole(mut self, idle: Duration, most: usize) -> Result<Vec<u8>, Outcome> {
        let mut body = Vec::new();
        while let Some(piece) = self.next(idle).await? {
            if body.len() + piece.len() > most {
                return Err(Outcome::Unreachable { stage: TransportStage::Oversized });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}
