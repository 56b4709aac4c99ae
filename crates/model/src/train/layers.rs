//! Linear layers and layer normalisation with their gradients, over a matrix
//! with one row per token.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernel::{Matrix, add_scaled, layer_norm, matmul, sum};
use crate::parameters::Parameters;

/// Places of a linear layer `y = x W^T + b`.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    weight: Range<usize>,
    bias: Range<usize>,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// The layer whose tensors are `name.weight` and `name.bias`.
    pub(super) fn named(parameters: &Parameters, name: &str) -> Self {
        Self::new(parameters, &format!("{name}.weight"), &format!("{name}.bias"))
    }

    /// The layer of two tensors by their full names.
    pub(super) fn new(parameters: &Parameters, weight: &str, bias: &str) -> Self {
        let (weight, bias) = (parameters.place(weight), parameters.place(bias));
        let outputs = bias.len();
        Self { inputs: weight.len() / outputs, outputs, weight, bias }
    }

    /// One output row per input row.
    pub(super) fn forward(&self, values: &[f32], inputs: &[f32]) -> Vec<f32> {
        let rows = inputs.len() / self.inputs;
        let mut out = Vec::with_capacity(rows * self.outputs);
        for _ in 0..rows {
            out.extend_from_slice(&values[self.bias.clone()]);
        }
        matmul(
            &mut out,
            Matrix::new(inputs, rows, self.inputs),
            Matrix::new(&values[self.weight.clone()], self.outputs, self.inputs).transposed(),
        );
        out
    }

    /// Adds the weights' gradients to `gradients`.
    pub(super) fn backward_weights(&self, gradients: &mut [f32], inputs: &[f32], d_out: &[f32]) {
        let rows = inputs.len() / self.inputs;
        matmul(
            &mut gradients[self.weight.clone()],
            Matrix::new(d_out, rows, self.outputs).transposed(),
            Matrix::new(inputs, rows, self.inputs),
        );
        let bias = &mut gradients[self.bias.clone()];
        for row in d_out.chunks_exact(self.outputs) {
            add_scaled(bias, 1.0, row);
        }
    }

    /// Adds the inputs' gradient to `d_inputs`.
    pub(super) fn backward_inputs(&self, values: &[f32], d_out: &[f32], d_inputs: &mut [f32]) {
        let rows = d_out.len() / self.outputs;
        matmul(
            d_inputs,
            Matrix::new(d_out, rows, self.outputs),
            Matrix::new(&values[self.weight.clone()], self.outputs, self.inputs),
        );
    }
}

/// Places of a layer normalisation.
#[derive(Debug, Clone)]
pub(super) struct LayerNorm {
    scale: Range<usize>,
    shift: Range<usize>,
    eps: f32,
}

/// What the backward pass of a layer normalisation needs.
#[derive(Debug, Default)]
pub(super) struct Normalised {
    rows: Vec<f32>,
    inverse_deviation: Vec<f32>,
}

impl LayerNorm {
    /// The normalisation whose tensors are `name.weight` and `name.bias`.
    pub(super) fn named(parameters: &Parameters, name: &str, eps: f32) -> Self {
        Self {
            scale: parameters.place(&format!("{name}.weight")),
            shift: parameters.place(&format!("{name}.bias")),
            eps,
        }
    }

    /// Normalises every row in place.
    pub(super) fn forward(&self, values: &[f32], rows: &mut [f32]) -> Normalised {
        let width = self.scale.len();
        let (scale, shift) = (&values[self.scale.clone()], &values[self.shift.clone()]);
        let mut normalised = vec![0.0; rows.len()];
        let inverse_deviation = rows
            .par_chunks_exact_mut(width)
            .zip(normalised.par_chunks_exact_mut(width))
            .map(|(row, out)| layer_norm(row, scale, shift, self.eps, out))
            .collect();
        Normalised { rows: normalised, inverse_deviation }
    }

    /// Turns `gradient` from that of the outputs into that of the inputs and
    /// adds the gradients of scale and shift.
    pub(super) fn backward(
        &self,
        values: &[f32],
        cache: &Normalised,
        gradients: &mut [f32],
        gradient: &mut [f32],
    ) {
        let width = self.scale.len();
        let scale = &values[self.scale.clone()];
        let mut d_scale = vec![0.0; width];
        let mut d_shift = vec![0.0; width];
        for (g, x) in gradient.chunks_exact(width).zip(cache.rows.chunks_exact(width)) {
            for i in 0..width {
                d_scale[i] += g[i] * x[i];
                d_shift[i] += g[i];
            }
        }
        add_scaled(&mut gradients[self.scale.clone()], 1.0, &d_scale);
        add_scaled(&mut gradients[self.shift.clone()], 1.0, &d_shift);
        gradient
            .par_chunks_exact_mut(width)
            .zip(cache.rows.par_chunks_exact(width))
            .zip(cache.inverse_deviation.par_iter())
            .for_each(|((g, x), &inverse)| input_gradient(g, x, scale, inverse));
    }
}

/// d input = inverse * (g s - mean(g s) - x mean(g s x)), in place.
fn input_gradient(gradient: &mut [f32], normalised: &[f32], scale: &[f32], inverse: f32) {
    for (g, &s) in gradient.iter_mut().zip(scale) {
        *g *= s;
    }
    let width = gradient.len() as f32;
    let mean = sum(gradient) / width;
    let along = crate::kernel::dot(gradient, normalised) / width;
    for (g, &x) in gradient.iter_mut().zip(normalised) {
        *g = inverse * (*g - mean - x * along);
    }
}
