//! What fine-tuning needs beside the serving kernels: activations with their
//! derivatives, normalisations with theirs, the update of `AdamW`, and masks that
//! depend on a seed and a place alone, so that they are the same on any number of
//! threads, on any device and after a restart.

use super::elementwise::{dot, exp, sum};
use super::instruction_set::multiversion;

/// Coefficients of the hyperbolic approximation of GELU (Hendrycks and Gimpel 2016).
const TANH_SCALE: f32 = 0.797_884_6;
const TANH_CUBE: f32 = 0.044_715;

multiversion! {
    /// `SiLU`, `x / (1 + exp(-x))`, in place.
    pub fn silu(values: &mut [f32]) {
        for value in values {
            *value /= 1.0 + exp::<FUSED>(-*value);
        }
    }
}

multiversion! {
    /// Multiplies `gradient` by the derivative of `SiLU` at `inputs`.
    pub fn silu_backward(inputs: &[f32], gradient: &mut [f32]) {
        for (g, &x) in gradient.iter_mut().zip(inputs) {
            let share = 1.0 / (1.0 + exp::<FUSED>(-x));
            *g *= share * (1.0 + x * (1.0 - share));
        }
    }
}

multiversion! {
    /// GELU in its hyperbolic approximation, in place.
    pub fn gelu_tanh(values: &mut [f32]) {
        for value in values {
            let x = *value;
            let inner = TANH_SCALE * (x + TANH_CUBE * x * x * x);
            // (1 + tanh(t)) / 2 is the logistic function of 2t.
            *value = x / (1.0 + exp::<FUSED>(-2.0 * inner));
        }
    }
}

multiversion! {
    /// Multiplies `gradient` by the derivative of [`gelu_tanh`] at `inputs`.
    pub fn gelu_tanh_backward(inputs: &[f32], gradient: &mut [f32]) {
        for (g, &x) in gradient.iter_mut().zip(inputs) {
            let inner = TANH_SCALE * (x + TANH_CUBE * x * x * x);
            let share = 1.0 / (1.0 + exp::<FUSED>(-2.0 * inner));
            let slope = TANH_SCALE * (1.0 + 3.0 * TANH_CUBE * x * x);
            *g *= share + x * 2.0 * share * (1.0 - share) * slope;
        }
    }
}

/// Mean and inverse standard deviation of a row.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let width = row.len() as f32;
    let mean = sum(row) / width;
    let mut lanes = [0.0f32; 16];
    let chunks = row.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|x| (x - mean) * (x - mean)).sum();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += (x - mean) * (x - mean);
        }
    }
    let variance = (lanes.iter().sum::<f32>() + rest) / width;
    (mean, 1.0 / (variance + eps).sqrt())
}

multiversion! {
    /// `out = (row - mean) / sqrt(variance + eps) * scale + shift`; an empty shift is 0.
    pub fn layer_norm_row(row: &[f32], scale: &[f32], shift: &[f32], eps: f32, out: &mut [f32]) {
        let (mean, inverse) = moments(row, eps);
        for ((o, &x), &s) in out.iter_mut().zip(row).zip(scale) {
            *o = (x - mean) * inverse * s;
        }
        for (o, &b) in out.iter_mut().zip(shift) {
            *o += b;
        }
    }
}

multiversion! {
    /// Turns `gradient` from that of [`layer_norm_row`]'s output into that of its input,
    /// and adds the gradients of scale and shift.
    pub fn layer_norm_row_backward(
        row: &[f32], scale: &[f32], eps: f32, gradient: &mut [f32], sums: (&mut [f32], &mut [f32]),
    ) {
        let (d_scale, d_shift) = sums;
        let width = row.len() as f32;
        let (mean, inverse) = moments(row, eps);
        let (mut total, mut along) = ([0.0f32; 16], [0.0f32; 16]);
        for (i, g) in gradient.iter_mut().enumerate() {
            let normalised = (row[i] - mean) * inverse;
            d_scale[i] += *g * normalised;
            d_shift[i] += *g;
            *g *= scale[i];
            total[i % 16] += *g;
            along[i % 16] += *g * normalised;
        }
        let total = total.iter().sum::<f32>() / width;
        let along = along.iter().sum::<f32>() / width;
        for (g, &x) in gradient.iter_mut().zip(row) {
            *g = inverse * (*g - total - (x - mean) * inverse * along);
        }
    }
}

multiversion! {
    /// `out = row / sqrt(mean(row^2) + eps) * scale`.
    pub fn rms_norm_row(row: &[f32], scale: &[f32], eps: f32, out: &mut [f32]) {
        let inverse = 1.0 / (dot(row, row) / row.len() as f32 + eps).sqrt();
        for ((o, &x), &s) in out.iter_mut().zip(row).zip(scale) {
            *o = x * inverse * s;
        }
    }
}

multiversion! {
    /// Turns `gradient` from that of [`rms_norm_row`]'s output into that of its input,
    /// and adds the gradient of the scale.
    pub fn rms_norm_row_backward(
        row: &[f32], scale: &[f32], eps: f32, gradient: &mut [f32], d_scale: &mut [f32],
    ) {
        let width = row.len() as f32;
        let inverse = 1.0 / (dot(row, row) / width + eps).sqrt();
        for (i, g) in gradient.iter_mut().enumerate() {
            d_scale[i] += *g * row[i] * inverse;
            *g *= scale[i];
        }
        let along = dot(gradient, row) * inverse * inverse / width;
        for (g, &x) in gradient.iter_mut().zip(row) {
            *g = inverse * (*g - x * along);
        }
    }
}

multiversion! {
    /// `d = weights * (d - sum(d * weights)) * scale`: the gradient of the scores of one
    /// softmax row, of which `d` was the gradient of the weights.
    pub fn softmax_row_backward(weights: &[f32], scale: f32, d: &mut [f32]) {
        let along = dot(weights, d);
        for (d, &w) in d.iter_mut().zip(weights) {
            *d = w * (*d - along) * scale;
        }
    }
}

/// Rates of one `AdamW` step, bias corrections included.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// What gradients are multiplied with first, for clipping.
    pub shrink: f32,
    /// Decay rates of the two moments.
    pub betas: (f32, f32),
    /// Learning rate over `1 - beta1^t`.
    pub rate: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    pub root: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// `1 - learning rate x weight decay`.
    pub keep: f32,
}

multiversion! {
    /// One step of `AdamW` (Loshchilov and Hutter 2019) over a part of a tensor.
    pub fn adam_update(
        step: AdamStep, value: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32],
    ) {
        let (beta1, beta2) = step.betas;
        for (((value, &g), first), second) in
            value.iter_mut().zip(gradient).zip(first.iter_mut()).zip(second.iter_mut())
        {
            let g = g * step.shrink;
            *first = beta1 * *first + (1.0 - beta1) * g;
            *second = beta2 * *second + (1.0 - beta2) * g * g;
            *value = *value * step.keep - step.rate * *first / (second.sqrt() * step.root + step.epsilon);
        }
    }
}

/// A number of 32 bits from a seed and a place: two rounds of the finaliser of
/// `MurmurHash3`, which passes the usual tests of uniformity for such use.
#[inline(always)]
fn mixed(seed: u32, place: u32) -> u32 {
    let mut h = place.wrapping_mul(0x9e37_79b1) ^ seed;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h = (h ^ (h >> 16)).wrapping_add(seed.rotate_left(15)).wrapping_mul(0x27d4_eb2f);
    h ^ (h >> 15)
}

multiversion! {
    /// Drops each of `values` with probability `share` and scales the others so that the
    /// mean stays. Which are dropped depends on the seed and on the place, counted from
    /// `from`, alone.
    pub fn drop_out(values: &mut [f32], seed: u32, from: u32, share: f32) {
        let limit = (f64::from(share) * 4_294_967_296.0) as u32;
        let keep = 1.0 / (1.0 - share);
        for (i, value) in values.iter_mut().enumerate() {
            let drawn = mixed(seed, from.wrapping_add(i as u32));
            *value = if drawn < limit { 0.0 } else { *value * keep };
        }
    }
}

multiversion! {
    /// `target = a * b`.
    pub fn multiply(target: &mut [f32], by: &[f32]) {
        for (t, &b) in target.iter_mut().zip(by) {
            *t *= b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivative(f: impl Fn(&mut [f32]), x: f32) -> f32 {
        let (mut above, mut below) = ([x + 5e-3], [x - 5e-3]);
        f(&mut above);
        f(&mut below);
        (above[0] - below[0]) / 1e-2
    }

    #[test]
    fn derivatives_of_the_activations_agree_with_finite_differences() {
        type Pair = (fn(&mut [f32]), fn(&[f32], &mut [f32]));
        let pairs: [Pair; 2] = [(silu, silu_backward), (gelu_tanh, gelu_tanh_backward)];
        for (forward, backward) in pairs {
            for i in -40..40 {
                let x = i as f32 / 8.0;
                let mut gradient = [1.0];
                backward(&[x], &mut gradient);
                assert!((gradient[0] - derivative(forward, x)).abs() < 1e-3, "at {x}");
            }
        }
    }

    #[test]
    fn gradients_of_the_norms_agree_with_finite_differences() {
        let row: Vec<f32> = (0..19).map(|i| ((i * 7 % 11) as f32 - 5.0) / 3.0).collect();
        let scale: Vec<f32> = (0..19).map(|i| 0.5 + i as f32 / 20.0).collect();
        let weights: Vec<f32> = (0..19).map(|i| ((i * 5 % 7) as f32 - 3.0) / 4.0).collect();
        let layer = |row: &[f32]| {
            let mut out = vec![0.0; 19];
            layer_norm_row(row, &scale, &[], 1e-5, &mut out);
            dot(&out, &weights)
        };
        let rms = |row: &[f32]| {
            let mut out = vec![0.0; 19];
            rms_norm_row(row, &scale, 1e-5, &mut out);
            dot(&out, &weights)
        };
        let (mut d_layer, mut d_rms) = (weights.clone(), weights.clone());
        let mut unused = vec![0.0; 19];
        layer_norm_row_backward(&row, &scale, 1e-5, &mut d_layer, (&mut [0.0; 19], &mut unused));
        rms_norm_row_backward(&row, &scale, 1e-5, &mut d_rms, &mut [0.0; 19]);
        for i in 0..19 {
            let moved =
                |by: f32| row.iter().enumerate().map(|(j, x)| if i == j { x + by } else { *x }).collect();
            let (above, below): (Vec<f32>, Vec<f32>) = (moved(1e-2), moved(-1e-2));
            let numeric = |f: &dyn Fn(&[f32]) -> f32| (f(&above) - f(&below)) / 2e-2;
            assert!((d_layer[i] - numeric(&layer)).abs() < 2e-3, "layer norm, {i}");
            assert!((d_rms[i] - numeric(&rms)).abs() < 2e-3, "rms norm, {i}");
        }
    }

    #[test]
    fn the_share_that_is_dropped_is_the_share_asked_for_at_every_seed() {
        for seed in [0, 1, 2, 77, u32::MAX] {
            let mut values = vec![1.0f32; 100_000];
            drop_out(&mut values, seed, 5, 0.1);
            let dropped = values.iter().filter(|v| **v == 0.0).count();
            // Five standard deviations of a binomial count.
            assert!((dropped as f64 - 10_000.0).abs() < 5.0 * 95.0, "{dropped} at seed {seed}");
            let again = {
                let mut values = vec![1.0f32; 1000];
                drop_out(&mut values, seed, 1005, 0.1);
                values
            };
            assert_eq!(values[1000..2000], again, "the place counts, not the call");
        }
    }

    #[test]
    fn masks_of_neighbouring_seeds_have_nothing_in_common() {
        let mask = |seed| {
            let mut values = vec![1.0f32; 50_000];
            drop_out(&mut values, seed, 0, 0.5);
            values
        };
        let (a, b) = (mask(10), mask(11));
        let same = a.iter().zip(&b).filter(|(x, y)| (**x > 0.0) == (**y > 0.0)).count();
        assert!((same as f64 - 25_000.0).abs() < 5.0 * 112.0, "{same} of 50000 agree");
    }
}
