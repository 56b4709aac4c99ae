//! The part of Mindrail that everything else shares: what a conversation is,
//! what can be said of it, and what follows from that.
//!
//! Promises: no IO, no async, no clock, no unseeded randomness; no function
//! fails or panics because of the *text* of a conversation. Serving and
//! evaluation call the same functions, so a figure in a report is a statement
//! about the running guard.
//!
//! Reading order: [`conversation`], [`reader`], [`taxonomy`], [`assessment`],
//! [`assessor`],
//! [`calibration`], [`tracker`], [`policy`], [`verdict`], [`guard`], [`report`],
//! [`metrics`].

pub mod assessment;
pub mod assessor;
pub mod calibration;
pub mod conversation;
pub mod digest;
pub mod guard;
pub mod language;
pub mod metrics;
pub mod policy;
pub mod probability;
pub mod reader;
pub mod report;
pub mod taxonomy;
pub mod tracker;
pub mod verdict;
