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
mod training;

pub use instruction_set::InstructionSet;
pub use linear::{LinearF32, LinearI8, QuantizedRows, quantize_weights};

pub(crate) use attention::{AttentionShape, PackedHead, attend, attend_backward, attend_head};
pub use elementwise::{add_scaled, dot, gelu, gelu_backward, softmax};
pub(crate) use elementwise::{affine, layer_norm, sigmoid, sum, tanh};
pub use matmul::{Matrix, matmul, matmul_alone};
pub use tile::Onto;
pub(crate) use tile::{Rows, TILE_ROWS};
pub use training::{
    AdamStep, adam_update, drop_out, gelu_tanh, gelu_tanh_backward, layer_norm_row, layer_norm_row_backward,
    multiply, rms_norm_row, rms_norm_row_backward, silu, silu_backward, softmax_row_backward,
};
