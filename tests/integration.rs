//! The binary as a user meets it: arguments in, text and exit codes out.

mod bench;
mod check;
mod data;
mod desk;
mod model;
mod program;
mod score;
mod serve;
mod shared;
mod train;
