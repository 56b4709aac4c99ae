//! The client against a server that plays every behaviour that real ones show.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use mindrail_llm::breaker::BreakerOptions;
use mindrail_llm::budget::{Estimate, Limits, Tokens};
use mindrail_llm::endpoint::{KeyHeader, Timeouts};
use mindrail_llm::limiter::LimiterOptions;
use mindrail_llm::outcome::{FilterStage, Source, TransportStage};
use mindrail_llm::structured::{NamedSchema, StructuredMode};
use mindrail_llm::testing::{Behaviour, TestServer, completion, delayed};
use mindrail_llm::wire::{Finish, OutputLimit};
use mindrail_llm::{
    ApiKey, Budget, Cache, CacheMode, Cancel, ChatRequest, Client, ClientOptions, Endpoint, Message, Money,
    Outcome, OutcomeKind, Price, RetryPolicy, Role, run_all,
};
use serde_json::json;

mod calls;
mod runs;
mod streams;

/// Cargo sets this variable for tests, so that it can stand for a key.
const KEY_VARIABLE: &str = "CARGO_PKG_NAME";
const KEY: &str = "mindrail-llm";

fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Options that wait as little as they can.
fn hasty() -> ClientOptions {
    let retry = RetryPolicy { base: millis(2), cap: millis(10), ..RetryPolicy::default() };
    ClientOptions { retry, ..ClientOptions::default() }
}

fn without_retries() -> ClientOptions {
    let mut options = hasty();
    options.retry.max_retries = 0;
    options
}

fn endpoint(server: &TestServer) -> Endpoint {
    let key = ApiKey::from_env(KEY_VARIABLE, KeyHeader::Bearer).unwrap();
    Endpoint::new(&server.url(), "test-model").unwrap().with_key(key)
}

fn client(server: &TestServer, options: ClientOptions) -> Client {
    Client::new(endpoint(server), options).unwrap()
}

fn cached(server: &TestServer, path: &Path, mode: CacheMode) -> Client {
    client(server, hasty()).with_cache(Cache::open(path).unwrap().0, mode)
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest::new(vec![Message::new(Role::User, text)])
}

fn answer(text: &str) -> Behaviour {
    Behaviour::Answer(text.to_owned())
}

fn error(status: u16, code: &str) -> Behaviour {
    Behaviour::Json { status, body: json!({ "error": { "message": "m", "code": code } }) }
}

fn text(outcome: &Outcome) -> Option<&str> {
    outcome.answer().map(|answer| answer.text.as_str())
}
