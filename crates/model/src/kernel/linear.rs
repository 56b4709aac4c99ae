//! Linear layers for serving, `y = x W^T + b`, over weights packed once so that
//! the inner loop reads them in order. Two number types: f32, and 8-bit with
//! one scale per output and one per input row, found when the row arrives.
//!
//! Packing: outputs are cut into panels of [`PANEL`]; inside a panel the
//! weights of one input (f32) or of four neighbouring inputs (8-bit) stand
//! together for all outputs of the panel. Every form computes `TILE` rows
//! against one panel at a time; the plain form is the definition, and the
//! AVX-512 forms are tested against it.

use super::instruction_set::{InstructionSet, multiversion};

/// Outputs per panel: four 512-bit registers of f32 or i32.
pub(crate) const PANEL: usize = 64;

/// Input rows per tile: with four registers per row, 24 accumulators.
#[cfg(target_arch = "x86_64")]
const TILE: usize = 6;

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
    pub fn forward(&self, inputs: &[f32], out: &mut [f32]) {
        let panels = self.packed.chunks_exact(PANEL * self.inputs).zip(self.bias.chunks_exact(PANEL));
        for (index, (panel, bias)) in panels.enumerate() {
            let sink = Sink { out, stride: self.outputs, from: index * PANEL };
            panel_f32(inputs, self.inputs, panel, bias, sink);
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

    /// One output row per input row.
    pub fn forward(&self, inputs: &QuantizedRows, out: &mut [f32]) {
        for index in 0..self.scales.len() / PANEL {
            let range = index * PANEL..(index + 1) * PANEL;
            let panel = PanelI8 {
                weights: &self.packed[index * PANEL * self.inputs..][..PANEL * self.inputs],
                scales: &self.scales[range.clone()],
                offsets: &self.offsets[range.clone()],
                bias: &self.bias[range],
            };
            panel_i8(inputs, self.inputs, &panel, Sink { out, stride: self.outputs, from: index * PANEL });
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

/// Where a panel's results go: columns `from..` of rows of `stride` numbers.
struct Sink<'a> {
    out: &'a mut [f32],
    stride: usize,
    from: usize,
}

impl Sink<'_> {
    fn row(&mut self, row: usize) -> &mut [f32] {
        let width = PANEL.min(self.stride - self.from);
        &mut self.out[row * self.stride + self.from..][..width]
    }
}

/// One panel of an 8-bit layer.
struct PanelI8<'a> {
    weights: &'a [i8],
    scales: &'a [f32],
    offsets: &'a [i32],
    bias: &'a [f32],
}

fn panel_f32(inputs: &[f32], width: usize, panel: &[f32], bias: &[f32], mut sink: Sink<'_>) {
    #[cfg(target_arch = "x86_64")]
    if InstructionSet::detect() >= InstructionSet::Avx512 {
        for (tile, rows) in inputs.chunks(TILE * width).enumerate() {
            let mut results = [[0.0; PANEL]; TILE];
            // SAFETY: the processor has AVX-512 F; sizes are checked inside.
            unsafe { avx512::tile_f32(rows, width, panel, bias, &mut results) };
            for (i, result) in results.iter().take(rows.len() / width).enumerate() {
                let row = sink.row(tile * TILE + i);
                row.copy_from_slice(&result[..row.len()]);
            }
        }
        return;
    }
    for (i, row) in inputs.chunks_exact(width).enumerate() {
        let mut result = [0.0; PANEL];
        result.copy_from_slice(bias);
        row_f32(row, panel, &mut result);
        let out = sink.row(i);
        out.copy_from_slice(&result[..out.len()]);
    }
}

multiversion! {
    /// `result[j] += sum_k row[k] * panel[k][j]`: the definition of the f32 kernel.
    fn row_f32(row: &[f32], panel: &[f32], result: &mut [f32; 64]) {
        for (&x, weights) in row.iter().zip(panel.chunks_exact(PANEL)) {
            for (r, &w) in result.iter_mut().zip(weights) {
                *r += x * w;
            }
        }
    }
}

fn panel_i8(inputs: &QuantizedRows, width: usize, panel: &PanelI8<'_>, mut sink: Sink<'_>) {
    #[cfg(target_arch = "x86_64")]
    if InstructionSet::detect() >= InstructionSet::Avx512Vnni {
        for (tile, rows) in inputs.bytes.chunks(TILE * width).enumerate() {
            let mut sums = [[0; PANEL]; TILE];
            // SAFETY: the processor has AVX-512 VNNI; sizes are checked inside.
            unsafe { avx512::tile_i8(rows, width, panel.weights, &mut sums) };
            for (i, sums) in sums.iter().take(rows.len() / width).enumerate() {
                let row = tile * TILE + i;
                dequantize(sums, inputs.scales[row], panel.scales, panel.offsets, panel.bias, sink.row(row));
            }
        }
        return;
    }
    for (i, row) in inputs.bytes.chunks_exact(width).enumerate() {
        let mut sums = [0; PANEL];
        row_i8(row, panel.weights, &mut sums);
        dequantize(&sums, inputs.scales[i], panel.scales, panel.offsets, panel.bias, sink.row(i));
    }
}

multiversion! {
    /// `sums[j] = sum_k byte[k] * weight[k][j]`: the definition of the 8-bit kernel.
    fn row_i8(row: &[u8], panel: &[i8], sums: &mut [i32; 64]) {
        for (bytes, weights) in row.chunks_exact(4).zip(panel.chunks_exact(4 * PANEL)) {
            let bytes = [i32::from(bytes[0]), i32::from(bytes[1]), i32::from(bytes[2]), i32::from(bytes[3])];
            for (sum, w) in sums.iter_mut().zip(weights.chunks_exact(4)) {
                *sum += bytes[0] * i32::from(w[0]) + bytes[1] * i32::from(w[1]) + bytes[2] * i32::from(w[2]) + bytes[3] * i32::from(w[3]);
            }
        }
    }
}

multiversion! {
    /// From integer sums to numbers: `(sum - offset) * row scale * scale + bias`.
    fn dequantize(sums: &[i32; 64], row_scale: f32, scales: &[f32], offsets: &[i32], bias: &[f32], out: &mut [f32]) {
        for j in 0..out.len() {
            out[j] = (sums[j] - offsets[j]) as f32 * (row_scale * scales[j]) + bias[j];
        }
    }
}

/// The AVX-512 forms.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        __m512, __m512i, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512, _mm512_storeu_ps, _mm512_storeu_si512,
    };

    use super::{PANEL, TILE};

    const REGISTERS: usize = PANEL / 16;

    /// Up to [`TILE`] rows against one f32 panel.
    #[target_feature(enable = "avx512f")]
    pub(super) fn tile_f32(
        rows: &[f32],
        width: usize,
        panel: &[f32],
        bias: &[f32],
        out: &mut [[f32; PANEL]; TILE],
    ) {
        match rows.len() / width {
            6 => fixed_f32::<6>(rows, width, panel, bias, out),
            5 => fixed_f32::<5>(rows, width, panel, bias, out),
            4 => fixed_f32::<4>(rows, width, panel, bias, out),
            3 => fixed_f32::<3>(rows, width, panel, bias, out),
            2 => fixed_f32::<2>(rows, width, panel, bias, out),
            _ => fixed_f32::<1>(rows, width, panel, bias, out),
        }
    }

    #[target_feature(enable = "avx512f")]
    fn fixed_f32<const ROWS: usize>(
        rows: &[f32],
        width: usize,
        panel: &[f32],
        bias: &[f32],
        out: &mut [[f32; PANEL]; TILE],
    ) {
        assert!(rows.len() >= ROWS * width && panel.len() >= width * PANEL && bias.len() >= PANEL);
        // SAFETY: every load and store lies inside its slice by the assert:
        // k < width, row < ROWS, register < REGISTERS = PANEL / 16.
        unsafe {
            let mut sums: [[__m512; REGISTERS]; ROWS] =
                [core::array::from_fn(|r| _mm512_loadu_ps(bias.as_ptr().add(16 * r))); ROWS];
            for k in 0..width {
                let weights: [__m512; REGISTERS] =
                    core::array::from_fn(|r| _mm512_loadu_ps(panel.as_ptr().add(k * PANEL + 16 * r)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*rows.get_unchecked(row * width + k));
                    for (sum, w) in sums.iter_mut().zip(&weights) {
                        *sum = _mm512_fmadd_ps(x, *w, *sum);
                    }
                }
            }
            for (sums, out) in sums.iter().zip(out) {
                for (r, sum) in sums.iter().enumerate() {
                    _mm512_storeu_ps(out.as_mut_ptr().add(16 * r), *sum);
                }
            }
        }
    }

    /// Up to [`TILE`] rows of bytes against one 8-bit panel.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn tile_i8(rows: &[u8], width: usize, panel: &[i8], out: &mut [[i32; PANEL]; TILE]) {
        match rows.len() / width {
            6 => fixed_i8::<6>(rows, width, panel, out),
            5 => fixed_i8::<5>(rows, width, panel, out),
            4 => fixed_i8::<4>(rows, width, panel, out),
            3 => fixed_i8::<3>(rows, width, panel, out),
            2 => fixed_i8::<2>(rows, width, panel, out),
            _ => fixed_i8::<1>(rows, width, panel, out),
        }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn fixed_i8<const ROWS: usize>(rows: &[u8], width: usize, panel: &[i8], out: &mut [[i32; PANEL]; TILE]) {
        assert!(rows.len() >= ROWS * width && panel.len() >= width * PANEL && width.is_multiple_of(4));
        // SAFETY: as in `fixed_f32`; one step reads four bytes of a row and
        // four times PANEL weights, and width is a multiple of four.
        unsafe {
            let mut sums: [[__m512i; REGISTERS]; ROWS] = [[_mm512_setzero_si512(); REGISTERS]; ROWS];
            for k in 0..width / 4 {
                let weights: [__m512i; REGISTERS] = core::array::from_fn(|r| {
                    _mm512_loadu_si512(panel.as_ptr().add(4 * PANEL * k + 64 * r).cast())
                });
                for (row, sums) in sums.iter_mut().enumerate() {
                    let four = rows.as_ptr().add(row * width + 4 * k).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(four);
                    for (sum, w) in sums.iter_mut().zip(&weights) {
                        *sum = _mm512_dpbusd_epi32(*sum, x, *w);
                    }
                }
            }
            for (sums, out) in sums.iter().zip(out) {
                for (r, sum) in sums.iter().enumerate() {
                    _mm512_storeu_si512(out.as_mut_ptr().add(16 * r).cast(), *sum);
                }
            }
        }
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
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_fast_f32_kernel_agrees_with_the_definition(seed: u64, rows in 1usize..15, inputs in 1usize..40, outputs in 1usize..150) {
            let random = &mut Random::new(seed);
            let (weights, bias) = (numbers(inputs * outputs, random), numbers(outputs, random));
            let x = numbers(rows * inputs, random);
            let mut out = vec![0.0; rows * outputs];
            LinearF32::new(&weights, &bias).forward(&x, &mut out);
            for i in 0..rows {
                for j in 0..outputs {
                    let expected: f32 = bias[j] + (0..inputs).map(|k| x[i * inputs + k] * weights[j * inputs + k]).sum::<f32>();
                    prop_assert!((out[i * outputs + j] - expected).abs() < 1e-4);
                }
            }
        }

        #[test]
        fn the_fast_8_bit_kernel_agrees_with_the_definition_to_the_bit(seed: u64, rows in 1usize..15, quads in 1usize..20, outputs in 1usize..150) {
            let random = &mut Random::new(seed);
            let inputs = 4 * quads;
            let bytes: Vec<i8> = (0..inputs * outputs).map(|_| (random.below(255) as i32 - 127) as i8).collect();
            let (scales, bias) = (numbers(outputs, random), numbers(outputs, random));
            let mut x = QuantizedRows::default();
            x.fill(&numbers(rows * inputs, random), inputs);
            let mut out = vec![0.0; rows * outputs];
            LinearI8::new(&bytes, &scales, &bias).forward(&x, &mut out);
            for i in 0..rows {
                for j in 0..outputs {
                    let sum: i32 = (0..inputs).map(|k| (i32::from(x.bytes[i * inputs + k]) - 128) * i32::from(bytes[j * inputs + k])).sum();
                    let expected = sum as f32 * (x.scales[i] * scales[j]) + bias[j];
                    prop_assert!((out[i * outputs + j] - expected).abs() <= 1e-5 * expected.abs().max(1.0));
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
