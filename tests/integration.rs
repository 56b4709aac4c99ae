//! The binary as a user meets it: arguments in, text and exit codes out.

mod adapters;
mod bench;
mod check;
mod data;
mod model;
mod program;
mod score;
mod serve;
mod shared;
mod train;
