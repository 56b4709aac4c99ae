//! Linear layers for serving, `y = x W^T + b`, over weights packed once into
//! panels (see [`super::tile`]). Two number types: f32, and 8-bit with one scale
//! per output and one per input row, found when the row arrives.

use super::instruction_set::multiversion;
use super::tile::{Onto, PANEL, PanelF32, PanelI8, Rows, Target, product_f32, product_i8};

/// Inputs of an f32 panel that are gone through at once: their weights (24 KB)
/// and a tile's inputs then stay in a first-level cache of 48 KB for all rows.
const INPUTS_AT_ONCE: usize = 192;

/// A packed f32 layer.
#[derive(Debug, Clone)]
pub struct LinearF32 {
    packed: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

/// A packed 8-bit layer.
#[derive(Debug, Clone)]
pub struct LinearI8 {
    packed: Vec<i8>,
    scales: Vec<f32>,
    /// 128 times the sum of each output's weights: inputs are stored plus 128.
    offsets: Vec<i32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl LinearF32 {
    /// Packs a row-major outputs x inputs matrix.
    pub fn new(weights: &[f32], bias: &[f32]) -> Self {
        let outputs = bias.len();
        let inputs = weights.len() / outputs;
        let padded = outputs.next_multiple_of(PANEL);
        let mut packed = vec![0.0; padded * inputs];
        for (output, row) in weights.chunks_exact(inputs).enumerate() {
            let panel = &mut packed[output / PANEL * PANEL * inputs..][..PANEL * inputs];
            for (input, &w) in row.iter().enumerate() {
                panel[input * PANEL + output % PANEL] = w;
            }
        }
        Self { packed, bias: padded_to(bias, padded, 0.0), inputs, outputs }
    }

    /// Numbers per output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// One output row per input row.
    pub fn forward(&self, inputs: &[f32], out: &mut [f32], onto: Onto) {
        let rows = Rows::dense(inputs, self.inputs);
        let panels = self.packed.chunks_exact(PANEL * self.inputs).zip(self.bias.as_chunks::<PANEL>().0);
        for (index, (panel, bias)) in panels.enumerate() {
            for (block, weights) in panel.chunks(PANEL * INPUTS_AT_ONCE).enumerate() {
                let rows = rows.columns(block * INPUTS_AT_ONCE, weights.len() / PANEL);
                let (bias, onto) = if block == 0 { (bias, onto) } else { (&[0.0; PANEL], Onto::Added) };
                let target = Target::panel(out, self.outputs, index, onto);
                product_f32(rows, PanelF32 { weights, bias }, target);
            }
        }
    }
}

impl LinearI8 {
    /// Packs 8-bit weights (outputs x inputs, within ±127) with one scale per
    /// output.
    ///
    /// # Panics
    /// When the number of inputs is not a multiple of 4; it comes from the
    /// architecture.
    pub fn new(weights: &[i8], scales: &[f32], bias: &[f32]) -> Self {
        let outputs = bias.len();
        let inputs = weights.len() / outputs;
        assert_eq!(inputs % 4, 0, "the 8-bit kernel reads inputs four at a time");
        let padded = outputs.next_multiple_of(PANEL);
        let mut packed = vec![0; padded * inputs];
        let mut offsets = vec![0; padded];
        for (output, row) in weights.chunks_exact(inputs).enumerate() {
            offsets[output] = 128 * row.iter().map(|&w| i32::from(w)).sum::<i32>();
            let panel = &mut packed[output / PANEL * PANEL * inputs..][..PANEL * inputs];
            for (input, &w) in row.iter().enumerate() {
                panel[(input / 4 * PANEL + output % PANEL) * 4 + input % 4] = w;
            }
        }
        Self {
            packed,
            scales: padded_to(scales, padded, 0.0),
            offsets,
            bias: padded_to(bias, padded, 0.0),
            inputs,
            outputs,
        }
    }

    /// Numbers per output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// One output row per input row; `bytes` receives the inputs in 8 bits.
    pub fn forward(&self, inputs: &[f32], bytes: &mut QuantizedRows, out: &mut [f32], onto: Onto) {
        bytes.fill(inputs, self.inputs);
        let rows = Rows::dense(&bytes.bytes, self.inputs);
        let scales = self.scales.as_chunks::<PANEL>().0;
        let offsets = self.offsets.as_chunks::<PANEL>().0;
        let bias = self.bias.as_chunks::<PANEL>().0;
        for (index, weights) in self.packed.chunks_exact(PANEL * self.inputs).enumerate() {
            let panel =
                PanelI8 { weights, scales: &scales[index], offsets: &offsets[index], bias: &bias[index] };
            product_i8(rows, &bytes.scales, panel, Target::panel(out, self.outputs, index, onto));
        }
    }
}

fn padded_to(values: &[f32], length: usize, fill: f32) -> Vec<f32> {
    let mut padded = values.to_vec();
    padded.resize(length, fill);
    padded
}

/// Rows as unsigned bytes: `x = (byte - 128) * scale`, one scale per row.
#[derive(Debug, Default)]
pub struct QuantizedRows {
    bytes: Vec<u8>,
    scales: Vec<f32>,
}

impl QuantizedRows {
    /// Replaces the content by these rows of `width` numbers.
    pub fn fill(&mut self, rows: &[f32], width: usize) {
        self.bytes.resize(rows.len(), 0);
        self.scales.clear();
        for (row, bytes) in rows.chunks_exact(width).zip(self.bytes.chunks_exact_mut(width)) {
            self.scales.push(quantize_row(row, bytes));
        }
    }
}

multiversion! {
    /// Rounds a row to bytes around 128 and returns its scale.
    fn quantize_row(row: &[f32], bytes: &mut [u8]) -> f32 {
        let mut lanes = [0.0f32; 16];
        for chunk in row.chunks_exact(16) {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                let magnitude = x.abs();
                *lane = if magnitude > *lane { magnitude } else { *lane };
            }
        }
        for x in row.chunks_exact(16).remainder() {
            lanes[0] = lanes[0].max(x.abs());
        }
        let largest = lanes.iter().copied().fold(1e-12, f32::max);
        let inverse = 127.0 / largest;
        for (byte, x) in bytes.iter_mut().zip(row) {
            // Adding 1.5 x 2^23 rounds to the nearest whole number and leaves
            // it in the low byte; 128 more makes it unsigned.
            *byte = (x * inverse + (12_582_912.0 + 128.0)).to_bits() as u8;
        }
        largest / 127.0
    }
}

/// Rounds each row of `weights` to 8 bits, with one scale per row.
pub fn quantize_weights(weights: &[f32], rows: usize) -> (Vec<i8>, Vec<f32>) {
    let width = weights.len() / rows.max(1);
    let mut bytes = Vec::with_capacity(weights.len());
    let mut scales = Vec::with_capacity(rows);
    for row in weights.chunks_exact(width) {
        let scale = row.iter().fold(1e-12f32, |m, w| m.max(w.abs())) / 127.0;
        bytes.extend(row.iter().map(|w| (w / scale).round().clamp(-127.0, 127.0) as i8));
        scales.push(scale);
    }
    (bytes, scales)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Random;

    fn numbers(count: usize, random: &mut Random) -> Vec<f32> {
        (0..count).map(|_| 2.0 * random.uniform() - 1.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_fast_f32_kernel_agrees_with_the_definition(seed: u64, rows in 1usize..15, inputs in 1usize..600, outputs in 1usize..150) {
            let random = &mut Random::new(seed);
            let (weights, bias) = (numbers(inputs * outputs, random), numbers(outputs, random));
            let x = numbers(rows * inputs, random);
            let mut out = vec![0.0; rows * outputs];
            LinearF32::new(&weights, &bias).forward(&x, &mut out, Onto::Replaced);
            for i in 0..rows {
                for j in 0..outputs {
                    let expected: f32 = bias[j] + (0..inputs).map(|k| x[i * inputs + k] * weights[j * inputs + k]).sum::<f32>();
                    prop_assert!((out[i * outputs + j] - expected).abs() < 1e-4);
                }
            }
        }

        #[test]
        fn the_fast_8_bit_kernel_agrees_with_the_definition(seed: u64, rows in 1usize..70, quads in 1usize..40, outputs in 1usize..150) {
            let random = &mut Random::new(seed);
            // Every second time a multiple of 64, which AMX takes.
            let inputs = if quads % 2 == 0 { 32 * quads } else { 4 * quads };
            let bytes: Vec<i8> = (0..inputs * outputs).map(|_| (random.below(255) as i32 - 127) as i8).collect();
            let (scales, bias) = (numbers(outputs, random), numbers(outputs, random));
            let mut x = QuantizedRows::default();
            let given = numbers(rows * inputs, random);
            let mut out = vec![0.0; rows * outputs];
            LinearI8::new(&bytes, &scales, &bias).forward(&given, &mut x, &mut out, Onto::Replaced);
            for i in 0..rows {
                for j in 0..outputs {
                    let sum: i32 = (0..inputs).map(|k| (i32::from(x.bytes[i * inputs + k]) - 128) * i32::from(bytes[j * inputs + k])).sum();
                    let expected = sum as f32 * (x.scales[i] * scales[j]) + bias[j];
                    prop_assert!((out[i * outputs + j] - expected).abs() <= 1e-5 * expected.abs().max(1.0));
                }
            }
        }

        #[test]
        fn what_is_added_is_what_would_have_replaced(seed: u64, rows in 1usize..15, quads in 1usize..140, outputs in 1usize..70) {
            let random = &mut Random::new(seed);
            let inputs = 4 * quads;
            let (weights, bias) = (numbers(inputs * outputs, random), numbers(outputs, random));
            let (x, before) = (numbers(rows * inputs, random), numbers(rows * outputs, random));
            let mut bytes = QuantizedRows::default();
            let (rounded, scales) = quantize_weights(&weights, outputs);
            let float = LinearF32::new(&weights, &bias);
            let int8 = LinearI8::new(&rounded, &scales, &bias);
            let mut results = [vec![0.0; rows * outputs], before.clone(), vec![0.0; rows * outputs], before.clone()];
            let [float_alone, float_added, int8_alone, int8_added] = &mut results;
            float.forward(&x, float_alone, Onto::Replaced);
            float.forward(&x, float_added, Onto::Added);
            int8.forward(&x, &mut bytes, int8_alone, Onto::Replaced);
            int8.forward(&x, &mut bytes, int8_added, Onto::Added);
            for (alone, added) in [(&results[0], &results[1]), (&results[2], &results[3])] {
                for ((a, b), before) in alone.iter().zip(added).zip(&before) {
                    prop_assert!((a + before - b).abs() < 1e-4, "{a} + {before} against {b}");
                }
            }
        }

        #[test]
        fn rounding_to_bytes_errs_by_half_a_step_at_most(seed: u64, width in 1usize..70) {
            let row = numbers(width, &mut Random::new(seed));
            let mut quantized = QuantizedRows::default();
            quantized.fill(&row, width);
            for (x, &byte) in row.iter().zip(&quantized.bytes) {
                let back = (f32::from(byte) - 128.0) * quantized.scales[0];
                prop_assert!((x - back).abs() <= 0.501 * quantized.scales[0]);
            }
        }
    }
}
