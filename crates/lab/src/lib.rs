//! The laboratory: the four published protocols, the systems that can be put
//! through them, resumable runs, and reports. Files in, files out; no database.
//!
//! Reading order: [`protocol`], [`source`], [`sample`], [`system`], [`run`], [`resampling`],
//! [`report`], [`mod@bench`]. [`calibrate`] stands by itself.

pub mod bench;
pub mod calibrate;
pub mod prompt;
pub mod protocol;
pub mod published;
pub mod report;
pub mod resampling;
pub mod run;
pub mod sample;
pub mod source;
pub mod system;
mod unanswered;
