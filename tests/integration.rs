//! The binary as a user meets it: arguments in, text and exit codes out.

mod adapters;
mod bench;
mod calibrate;
mod check;
mod data;
mod desk;
mod faults;
mod finetune;
mod model;
mod operate;
mod policy;
mod program;
mod proxy;
mod score;
mod serve;
mod server;
mod shared;
mod train;
