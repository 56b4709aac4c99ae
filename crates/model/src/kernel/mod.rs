//! The numeric kernels, and the only `unsafe` code of the project.
//!
//! Every kernel has a plain form in safe Rust that is its definition; forms
//! for particular processors are tested against it. `unsafe` stands here for
//! four reasons only: calling code compiled for instructions that
//! [`InstructionSet::detect`] has found, loads and stores of AVX-512 and AMX registers
//! inside checked slices, asking Linux for the AMX registers, and handing checked slices
//! to the `gemm` crate.
#![allow(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "a function is compiled for an instruction set only where it is inlined"
)]

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod elementwise;
mod instruction_set;
mod linear;
mod matmul;
mod tile;

pub use instruction_set::InstructionSet;
pub use linear::{LinearF32, LinearI8, QuantizedRows, quantize_weights};

pub(crate) use attention::{AttentionShape, PackedHead, attend, attend_backward, attend_head};
pub(crate) use elementwise::{
    add_scaled, affine, dot, gelu, gelu_backward, layer_norm, sigmoid, softmax, sum, tanh,
};
pub(crate) use matmul::{Matrix, matmul};
pub use tile::Onto;
pub(crate) use tile::{Rows, TILE_ROWS};
