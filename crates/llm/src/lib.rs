//! A client of OpenAI-compatible servers. It knows the wire and nothing of what
//! is said over it: no other crate of Mindrail is among its dependencies.
//!
//! Servers that call themselves compatible differ in every detail that can
//! differ, so reading is lenient ([`wire`]) and what comes of a call is a closed
//! set of typed outcomes ([`outcome`]): an answer is never invented, and a filter
//! that refused is not an error that vanishes.
//!
//! Reading order: [`wire`], [`endpoint`], [`outcome`], [`client`], [`run`]; then
//! the machines that the client holds, each pure and tested alone: [`retry`],
//! [`limiter`], [`breaker`], [`budget`], [`structured`], and the [`cache`] on disk.
//! [`extract`] finds JSON in an answer; [`sse`] and [`stream`] read answers that
//! come in pieces; [`relay`] passes on requests and answers as they are. No message of an error of this crate holds what was asked or
//! answered, nor a key.

pub mod breaker;
pub mod budget;
pub mod cache;
pub mod cancel;
pub mod canonical;
pub mod client;
pub mod endpoint;
pub mod extract;
pub mod limiter;
pub mod outcome;
mod reading;
pub mod relay;
pub mod retry;
pub mod run;
pub mod sse;
pub mod stream;
pub mod structured;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;
pub mod wire;

pub use budget::{Budget, Money, Price};
pub use cache::{Cache, CacheMode};
pub use cancel::Cancel;
pub use client::{Client, ClientError, ClientOptions};
pub use endpoint::{ApiKey, Endpoint, EndpointError};
pub use outcome::{Answer, Outcome, OutcomeKind, Reply};
pub use retry::RetryPolicy;
pub use run::{Finished, Job, RunSummary, run_all};
pub use wire::{ChatRequest, ChatResponse, Message, Role};
