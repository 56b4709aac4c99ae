//! The crate from outside: beside PyTorch, and from data to a bundle.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "integration/assessor.rs"]
mod assessor;
#[path = "integration/parity.rs"]
mod parity;
#[path = "integration/training.rs"]
mod training;
