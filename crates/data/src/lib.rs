//! Data sets: every published one in and out, checked, counted, split. Files in,
//! typed rows out.
//!
//! Reading order: [`table`] (rows of any file format), [`sets`] (what the rows of
//! a data set mean).

pub mod check;
mod columns;
pub mod digest;
pub mod export;
pub mod family;
mod fingerprint;
pub mod hub;
pub mod licence;
pub mod overlap;
pub mod sets;
pub mod split;
pub mod stats;
pub mod table;
