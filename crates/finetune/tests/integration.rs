//! The crate from outside: beside PyTorch, and from data to a bundle.

#[path = "integration/parity.rs"]
mod parity;
#[path = "integration/training.rs"]
mod training;
