//! What others have published, recomputed from labels, predictions and scores in
//! `oracles/`. No file there holds text of a conversation.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "oracles/crisis.rs"]
mod crisis;
#[path = "oracles/dialoguesafety.rs"]
mod dialoguesafety;
#[path = "oracles/harm.rs"]
mod harm;
#[path = "oracles/khp.rs"]
mod khp;
