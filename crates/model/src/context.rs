//! The context over turns for serving: one step of a gated recurrent unit, in
//! `PyTorch`'s arrangement of gates (reset, update, new).

use mindrail_core::conversation::Role;

use crate::encoder::TensorSource;
use crate::kernel::{affine, sigmoid, tanh};
use crate::train::context_input;

/// The recurrent unit's weights.
pub(crate) struct Context {
    weight_ih: Vec<f32>,
    weight_hh: Vec<f32>,
    bias_ih: Vec<f32>,
    bias_hh: Vec<f32>,
}

impl Context {
    pub(crate) fn new(source: &dyn TensorSource) -> Self {
        Self {
            weight_ih: source.floats("context.weight_ih"),
            weight_hh: source.floats("context.weight_hh"),
            bias_ih: source.floats("context.bias_ih"),
            bias_hh: source.floats("context.bias_hh"),
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.bias_ih.len() / 3
    }

    /// The context after a turn, or a segment of one.
    pub(crate) fn step(&self, vector: &[f32], role: Role, before: &[f32]) -> Vec<f32> {
        let w = self.width();
        let x = affine(&self.weight_ih, &self.bias_ih, &context_input(vector, role));
        let h = affine(&self.weight_hh, &self.bias_hh, before);
        (0..w)
            .map(|i| {
                let reset = sigmoid(x[i] + h[i]);
                let update = sigmoid(x[w + i] + h[w + i]);
                let new = tanh(x[2 * w + i] + reset * h[2 * w + i]);
                (1.0 - update) * new + update * before[i]
            })
            .collect()
    }
}
