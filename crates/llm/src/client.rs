//! The client: one endpoint with all that its calls share, namely the limit on
//! requests at once, the circuit breaker, the budget, the cache and what was
//! learnt of the endpoint's abilities.

mod leave;

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerOptions};
use crate::budget::{Budget, Spent, Tokens};
use crate::cache::{Cache, CacheError, CacheMode};
use crate::cancel::Cancel;
use crate::canonical::request_key;
use crate::endpoint::Endpoint;
use crate::limiter::{Limiter, LimiterOptions};
use crate::outcome::{Finality, Outcome, OutcomeKind, Reply, Source};
use crate::reading::{self, Reading};
use crate::retry::{Jitter, RetryPolicy};
use crate::structured::{self, StructuredMode};
use crate::transport::{Exchange, Transport};
use crate::wire::{ChatRequest, Usage};

pub(crate) use leave::Leave;

/// How calls are made.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Repetitions and waits.
    pub retry: RetryPolicy,
    /// Requests at once.
    pub limiter: LimiterOptions,
    /// When a failing server is left alone.
    pub breaker: BreakerOptions,
    /// What may be spent. Without limits, it still counts.
    pub budget: Budget,
    /// Tokens that an answer without a limit is reckoned at.
    pub assumed_output: u32,
    /// The most structure to ask for; the endpoint may bring it down.
    pub structured: StructuredMode,
    /// The seed of the jitter.
    pub seed: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            limiter: LimiterOptions::default(),
            breaker: BreakerOptions::default(),
            budget: Budget::default(),
            assumed_output: 512,
            structured: StructuredMode::JsonSchema,
            seed: 0,
        }
    }
}

/// A client that cannot be made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The HTTP client cannot be set up, for want of certificates for instance.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}

/// A client of one endpoint. It is shared by reference; all methods take `&self`.
pub struct Client {
    endpoint: Arc<Endpoint>,
    transport: Transport,
    retry: RetryPolicy,
    assumed_output: u32,
    origin: Instant,
    state: Mutex<State>,
    changed: Notify,
    cache: Mutex<Option<Cache>>,
    cache_mode: CacheMode,
}

/// What calls share. It is locked for moments only, never while waiting.
pub(crate) struct State {
    limiter: Limiter,
    breaker: Breaker,
    budget: Budget,
    jitter: Jitter,
    structured: StructuredMode,
    /// Keys being asked just now.
    asking: HashSet<String>,
}

/// One call under way.
struct Call {
    begun: Instant,
    tries: u32,
    booked: Tokens,
    failed_tries: Vec<OutcomeKind>,
    structured: StructuredMode,
}

/// What one attempt of a call came to.
#[expect(clippy::large_enum_variant, reason = "one lives at a time, for moments")]
enum Attempt {
    /// The endpoint refused the structure; it is asked for less.
    Lowered,
    Over(Exchange),
}

impl Client {
    /// A client without a cache.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(endpoint: Endpoint, options: ClientOptions) -> Result<Self, ClientError> {
        let endpoint = Arc::new(endpoint);
        let state = State {
            limiter: Limiter::new(options.limiter),
            breaker: Breaker::new(options.breaker),
            budget: options.budget,
            jitter: Jitter::seeded(options.seed),
            structured: options.structured,
            asking: HashSet::new(),
        };
        Ok(Self {
            transport: Transport::new(Arc::clone(&endpoint))?,
            endpoint,
            retry: options.retry,
            assumed_output: options.assumed_output,
            origin: Instant::now(),
            state: Mutex::new(state),
            changed: Notify::new(),
            cache: Mutex::new(None),
            cache_mode: CacheMode::Off,
        })
    }

    /// The same client with a cache.
    #[must_use]
    pub fn with_cache(self, cache: Cache, mode: CacheMode) -> Self {
        Self { cache: Mutex::new(Some(cache)), cache_mode: mode, ..self }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What was spent so far.
    pub fn spent(&self) -> Spent {
        self.state().budget.spent()
    }

    /// How many requests may be under way just now.
    pub fn limit(&self) -> u32 {
        self.state().limiter.limit()
    }

    /// The most structure that the endpoint is known, or still hoped, to take.
    pub fn structured(&self) -> StructuredMode {
        self.state().structured
    }

    /// Finds out by a short request which structure the endpoint takes. The reply
    /// says so where the endpoint answered; it is not kept in the cache.
    pub async fn probe_structured(&self) -> Reply {
        let request = structured::probe();
        self.call(&request, &Cancel::new(), Call::begin()).await
    }

    /// Asks, through the cache, with repetitions. `epoch` tells repeated askings
    /// of one request apart.
    pub async fn complete(&self, request: &ChatRequest, epoch: u32) -> Reply {
        self.complete_until(request, epoch, &Cancel::new()).await
    }

    /// The same, until `cancel` is given: then a request under way is still
    /// finished, but none is begun.
    pub async fn complete_until(&self, request: &ChatRequest, epoch: u32, cancel: &Cancel) -> Reply {
        let call = Call::begin();
        if self.cache_mode == CacheMode::Off {
            return self.call(request, cancel, call).await;
        }
        let key = request_key(&self.endpoint, request, epoch);
        let Some(_turn) = self.turn(&key, cancel).await else { return call.end(Outcome::Cancelled.into()) };
        match self.cached(&key, &call) {
            Ok(Some(reply)) => reply,
            Ok(None) => self.keep(&key, self.call(request, cancel, call).await),
            Err(error) => Reply { cache_error: Some(error), ..self.call(request, cancel, call).await },
        }
    }

    /// The model's own, and the request as it is sent.
    fn addressed(&self, request: &ChatRequest) -> ChatRequest {
        ChatRequest { model: self.endpoint.model().to_owned(), stream: None, ..request.clone() }
    }

    async fn call(&self, request: &ChatRequest, cancel: &Cancel, mut call: Call) -> Reply {
        let request = self.addressed(request);
        loop {
            let exchange = match self.attempt(&request, cancel, &mut call).await {
                Attempt::Lowered => continue,
                Attempt::Over(exchange) => exchange,
            };
            let kind = exchange.reading.outcome.kind();
            match self.next_wait(&exchange, &call) {
                Some(wait) => {
                    call.failed_tries.push(kind);
                    if self.rest(wait, kind, cancel).await == Rest::Cancelled {
                        return call.end(Outcome::Cancelled.into());
                    }
                }
                None => return call.end(exchange.reading),
            }
        }
    }

    async fn attempt(&self, request: &ChatRequest, cancel: &Cancel, call: &mut Call) -> Attempt {
        let request = request.clone().at_most(self.structured());
        call.structured = request.structured_mode();
        let tokens = Tokens::estimate(&request, self.assumed_output);
        let leave = match self.leave(tokens, cancel).await {
            Ok(leave) => leave,
            Err(denied) => return Attempt::Over(denied),
        };
        call.tries += 1;
        let exchange = self.transport.ask(&request).await;
        call.booked = call.booked + leave.learn(&exchange);
        if self.lower(&request, &exchange.reading.outcome) {
            return Attempt::Lowered;
        }
        Attempt::Over(exchange)
    }

    /// Whether the endpoint refused the request for its structure, and there is a
    /// step left to go down.
    fn lower(&self, sent: &ChatRequest, outcome: &Outcome) -> bool {
        let Outcome::BadRequest { error } = outcome else { return false };
        match sent.structured_mode().next() {
            Some(next) if matches!(error.status, 400 | 422) && error.names_response_format() => {
                let mut state = self.state();
                state.structured = state.structured.max(next);
                true
            }
            _ => false,
        }
    }

    fn next_wait(&self, exchange: &Exchange, call: &Call) -> Option<Duration> {
        if !exchange.reading.outcome.kind().is_retried() {
            return None;
        }
        let failed = call.failed_tries.len() as u32;
        self.retry.wait(failed, exchange.retry_after, &mut self.state().jitter)
    }

    /// Waits before the next try; where the circuit is open, only until it closes.
    async fn rest(&self, wait: Duration, kind: OutcomeKind, cancel: &Cancel) -> Rest {
        tokio::select! {
            () = cancel.cancelled() => Rest::Cancelled,
            () = tokio::time::sleep(wait) => Rest::Over,
            () = self.closed(), if kind == OutcomeKind::CircuitOpen => Rest::Over,
        }
    }

    async fn closed(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state().breaker.is_closed() {
                return;
            }
            changed.await;
        }
    }

    fn cached(&self, key: &str, call: &Call) -> Result<Option<Reply>, io::ErrorKind> {
        if self.cache_mode != CacheMode::Use {
            return Ok(None);
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cache) = cache.as_mut() else { return Ok(None) };
        let Some(entry) = cache.get(key).map_err(|error| kind_of(&error))? else { return Ok(None) };
        Ok(reading::completion(&entry.response).map(|reading| Reply {
            source: Source::Cache,
            structured: entry.structured,
            raw: Some(entry.response),
            ..call.reply(reading)
        }))
    }

    /// Keeps an answer, and nothing else.
    fn keep(&self, key: &str, reply: Reply) -> Reply {
        let (Outcome::Answered(_), Some(raw)) = (&reply.outcome, &reply.raw) else { return reply };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = cache.as_mut().map_or(Ok(()), |cache| cache.put(key, reply.structured, raw));
        let cache_error = kept.err().map(|error| kind_of(&error));
        Reply { cache_error, ..reply }
    }

    /// Waits while the same request is under way, so that it is not paid for
    /// twice. `None` where the caller cancelled meanwhile.
    async fn turn(&self, key: &str, cancel: &Cancel) -> Option<Turn<'_>> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state().asking.insert(key.to_owned()) {
                return Some(Turn { client: self, key: key.to_owned() });
            }
            tokio::select! {
                () = changed => {}
                () = cancel.cancelled() => return None,
            }
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn assumed_output(&self) -> u32 {
        self.assumed_output
    }
}

#[derive(PartialEq)]
enum Rest {
    Over,
    Cancelled,
}

/// The right to ask for a key; others wait until it is dropped.
struct Turn<'a> {
    client: &'a Client,
    key: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.client.state().asking.remove(&self.key);
        self.client.changed.notify_waiters();
    }
}

impl Call {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            tries: 0,
            booked: Tokens::default(),
            failed_tries: Vec::new(),
            structured: StructuredMode::Unstructured,
        }
    }

    fn reply(&self, reading: Reading) -> Reply {
        Reply {
            outcome: reading.outcome,
            source: Source::Server,
            tries: self.tries,
            failed_tries: self.failed_tries.clone(),
            usage: reading.usage,
            booked: self.booked,
            structured: self.structured,
            elapsed: self.begun.elapsed(),
            raw: reading.raw,
            cache_error: None,
        }
    }

    fn end(self, reading: Reading) -> Reply {
        self.reply(reading)
    }
}

impl From<Outcome> for Reading {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, usage: Usage::default(), raw: None }
    }
}

fn kind_of(error: &CacheError) -> io::ErrorKind {
    match error {
        CacheError::Io { source, .. } => source.kind(),
        CacheError::Locked { .. } => io::ErrorKind::WouldBlock,
    }
}

impl Reply {
    /// Whether asking again could bring another outcome.
    pub fn finality(&self) -> Finality {
        self.outcome.kind().finality()
    }
}
