//! The embedded model: tokenizer, encoder, context, heads and wide part, their
//! trainer, and the bundle that carries them.
//!
//! Promises: tensors only; no HTTP, no database. Serving uses the small
//! inference path (`encoder`, `assessor`); training uses `train`; the two are
//! held together by tests on their logits.
#![deny(unsafe_code)]

pub mod architecture;
pub mod assessor;
pub mod bench;
pub mod bundle;
mod context;
mod ellipsis;
pub mod encoder;
pub mod evaluate;
pub mod figures;
pub mod kernel;
pub mod parameters;
pub mod random;
pub mod tokenizer;
pub mod train;
pub mod wide;
