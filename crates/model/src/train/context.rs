//! The causal layer over turn vectors: a gated recurrent unit (Cho et al. 2014,
//! in `PyTorch`'s arrangement of gates: reset, update, new), with its gradient.

use crate::kernel::{add_scaled, affine, sigmoid, tanh};
use crate::parameters::Parameters;
use std::ops::Range;

/// Places of the recurrent unit's tensors.
pub(super) struct Context {
    weight_ih: Range<usize>,
    weight_hh: Range<usize>,
    bias_ih: Range<usize>,
    bias_hh: Range<usize>,
    inputs: usize,
    width: usize,
}

/// What the backward pass needs of one step.
pub(super) struct StepCache {
    input: Vec<f32>,
    before: Vec<f32>,
    reset: Vec<f32>,
    update: Vec<f32>,
    new: Vec<f32>,
    hidden_new: Vec<f32>,
}

impl Context {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let bias_ih = parameters.place("context.bias_ih");
        let weight_ih = parameters.place("context.weight_ih");
        let width = bias_ih.len() / 3;
        Self {
            inputs: weight_ih.len() / bias_ih.len(),
            weight_ih,
            weight_hh: parameters.place("context.weight_hh"),
            bias_hh: parameters.place("context.bias_hh"),
            bias_ih,
            width,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The state after a step, and what its backward pass needs.
    pub(super) fn step(&self, values: &[f32], input: Vec<f32>, before: &[f32]) -> (Vec<f32>, StepCache) {
        let from_input = affine(&values[self.weight_ih.clone()], &values[self.bias_ih.clone()], &input);
        let from_state = affine(&values[self.weight_hh.clone()], &values[self.bias_hh.clone()], before);
        let w = self.width;
        let reset: Vec<f32> = (0..w).map(|i| sigmoid(from_input[i] + from_state[i])).collect();
        let update: Vec<f32> = (w..2 * w).map(|i| sigmoid(from_input[i] + from_state[i])).collect();
        let hidden_new = from_state[2 * w..].to_vec();
        let new: Vec<f32> = (0..w).map(|i| tanh(from_input[2 * w + i] + reset[i] * hidden_new[i])).collect();
        let after = (0..w).map(|i| (1.0 - update[i]) * new[i] + update[i] * before[i]).collect();
        (after, StepCache { input, before: before.to_vec(), reset, update, new, hidden_new })
    }

    /// Given the gradient of the state after a step, adds the parameters'
    /// gradients and returns those of the input and of the state before.
    pub(super) fn step_backward(
        &self,
        values: &[f32],
        cache: &StepCache,
        d_after: &[f32],
        gradients: &mut [f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let w = self.width;
        let mut d_input_gates = vec![0.0; 3 * w];
        let mut d_state_gates = vec![0.0; 3 * w];
        let mut d_before = vec![0.0; w];
        for i in 0..w {
            let (r, z, n) = (cache.reset[i], cache.update[i], cache.new[i]);
            let d_new = d_after[i] * (1.0 - z) * (1.0 - n * n);
            let d_update = d_after[i] * (cache.before[i] - n) * z * (1.0 - z);
            let d_reset = d_new * cache.hidden_new[i] * r * (1.0 - r);
            d_before[i] = d_after[i] * z;
            (d_input_gates[i], d_state_gates[i]) = (d_reset, d_reset);
            (d_input_gates[w + i], d_state_gates[w + i]) = (d_update, d_update);
            (d_input_gates[2 * w + i], d_state_gates[2 * w + i]) = (d_new, d_new * r);
        }
        let mut d_input = vec![0.0; self.inputs];
        affine_backward(
            values,
            gradients,
            (&self.weight_ih, &self.bias_ih),
            &cache.input,
            &d_input_gates,
            &mut d_input,
        );
        affine_backward(
            values,
            gradients,
            (&self.weight_hh, &self.bias_hh),
            &cache.before,
            &d_state_gates,
            &mut d_before,
        );
        (d_input, d_before)
    }
}

fn affine_backward(
    values: &[f32],
    gradients: &mut [f32],
    (weight, bias): (&Range<usize>, &Range<usize>),
    input: &[f32],
    d_out: &[f32],
    d_input: &mut [f32],
) {
    let width = input.len();
    for (i, &d) in d_out.iter().enumerate() {
        let row = weight.start + i * width..weight.start + (i + 1) * width;
        add_scaled(&mut gradients[row.clone()], d, input);
        add_scaled(d_input, d, &values[row]);
    }
    add_scaled(&mut gradients[bias.clone()], 1.0, d_out);
}
