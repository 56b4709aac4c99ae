//! Element-wise functions in single precision, written so that the compiler
//! vectorises them, and compiled once per instruction set.
//!
//! `exp` is the usual range reduction with a degree-6 polynomial (relative
//! error below 3e-7); `erf` is the quotient of two polynomials that Eigen and XLA
//! use (absolute error below 5e-7), twice as fast as one that needs `exp`.

use super::instruction_set::{multiply_add, multiversion};

/// e to the power `x`, with `x` held inside \[-87, 88\] so that the result is
/// normal and finite.
#[inline(always)]
pub(crate) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Adding 1.5 x 2^23 leaves the nearest integer in the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let r = multiply_add::<FUSED>(whole, -LN2_LOW, multiply_add::<FUSED>(whole, -LN2_HIGH, x));
    let p = multiply_add::<FUSED>(1.987_569_1e-4, r, 1.398_2e-3);
    let p = multiply_add::<FUSED>(p, r, 8.333_452e-3);
    let p = multiply_add::<FUSED>(p, r, 4.166_579_6e-2);
    let p = multiply_add::<FUSED>(p, r, 1.666_666_5e-1);
    let p = multiply_add::<FUSED>(p, r, 0.5);
    let p = multiply_add::<FUSED>(p, r * r, r) + 1.0;
    p * f32::from_bits(((power + 127) << 23) as u32)
}

/// The error function: `x P(x^2) / Q(x^2)`, beyond 4 as at 4.
#[inline(always)]
pub(crate) fn erf<const FUSED: bool>(x: f32) -> f32 {
    const P: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_4e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const Q: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_3e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let horner = |coefficients: &[f32]| {
        coefficients[1..].iter().fold(coefficients[0], |sum, c| multiply_add::<FUSED>(sum, square, *c))
    };
    x * horner(&P) / horner(&Q)
}

/// The logistic function.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp::<false>(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

multiversion! {
    /// GELU with the exact error function, `x * Phi(x)`, in place.
    pub fn gelu(values: &mut [f32]) {
        for value in values {
            let x = *value;
            *value = 0.5 * x * (1.0 + erf::<FUSED>(x * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

multiversion! {
    /// Multiplies `gradient` by the derivative of GELU at `inputs`.
    pub fn gelu_backward(inputs: &[f32], gradient: &mut [f32]) {
        const INV_SQRT_2PI: f32 = 0.398_942_3;
        for (g, &x) in gradient.iter_mut().zip(inputs) {
            let cdf = 0.5 * (1.0 + erf::<FUSED>(x * std::f32::consts::FRAC_1_SQRT_2));
            *g *= cdf + x * INV_SQRT_2PI * exp::<FUSED>(-0.5 * x * x);
        }
    }
}

multiversion! {
    /// Softmax of one row, in place. An empty row stays empty.
    pub fn softmax(row: &mut [f32]) {
        let mut lanes = [f32::NEG_INFINITY; 16];
        for chunk in row.chunks_exact(16) {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = if x > *lane { x } else { *lane };
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(row.chunks_exact(16).remainder()) {
            *lane = if x > *lane { x } else { *lane };
        }
        let highest = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sums = [0.0f32; 16];
        let mut chunks = row.chunks_exact_mut(16);
        for chunk in &mut chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *x = exp::<FUSED>(*x - highest);
                *sum += *x;
            }
        }
        for (sum, x) in sums.iter_mut().zip(chunks.into_remainder()) {
            *x = exp::<FUSED>(*x - highest);
            *sum += *x;
        }
        let inverse = 1.0 / sums.iter().sum::<f32>();
        for x in row.iter_mut() {
            *x *= inverse;
        }
    }
}

multiversion! {
    /// `target += scale * source`.
    pub fn add_scaled(target: &mut [f32], scale: f32, source: &[f32]) {
        for (t, &s) in target.iter_mut().zip(source) {
            *t += scale * s;
        }
    }
}

/// Sums in sixteen lanes, which the compiler keeps in one wide register.
#[inline(always)]
pub(super) fn lane_sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (i, value) in values.enumerate() {
        lanes[i % 16] += value;
    }
    lanes.iter().sum()
}

multiversion! {
    /// Layer normalisation of one row in place: `(x - mean) / sqrt(var + eps)`,
    /// then scaled and shifted. Returns the inverse standard deviation; the
    /// normalised row before scaling goes to `normalised`.
    pub(crate) fn layer_norm(
        row: &mut [f32], scale: &[f32], shift: &[f32], eps: f32, normalised: &mut [f32],
    ) -> f32 {
        let inverse_width = 1.0 / row.len() as f32;
        let mean = sum(row) * inverse_width;
        let mut lanes = [0.0f32; 16];
        for chunk in row.chunks_exact(16) {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += (x - mean) * (x - mean);
            }
        }
        let rest = row.chunks_exact(16).remainder();
        let variance = (lanes.iter().sum::<f32>()
            + lane_sum(rest.iter().map(|x| (x - mean) * (x - mean)))) * inverse_width;
        let inverse = 1.0 / (variance + eps).sqrt();
        for i in 0..row.len() {
            normalised[i] = (row[i] - mean) * inverse;
            row[i] = normalised[i] * scale[i] + shift[i];
        }
        inverse
    }
}

/// The sum of a slice in sixteen lanes.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

multiversion! {
    /// The inner product of two slices of one length.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0.0f32; 16];
        let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
        let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
        for (x, y) in a_chunks.zip(b_chunks) {
            for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
                *lane += x * y;
            }
        }
        lanes.iter().sum::<f32>() + rest
    }
}

/// `weight x + bias` for one vector; `weight` has one row per output.
pub(crate) fn affine(weight: &[f32], bias: &[f32], input: &[f32]) -> Vec<f32> {
    weight.chunks_exact(input.len()).zip(bias).map(|(row, b)| b + dot(row, input)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            for found in [exp::<false>(x), exp::<true>(x)] {
                let relative = (found / x.exp() - 1.0).abs();
                assert!(relative < 1e-6, "exp({x}) is off by {relative}");
            }
        }
    }

    #[test]
    fn erf_agrees_with_tabulated_values() {
        for (x, expected) in
            [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (-1.0, -0.842_700_8)]
        {
            for found in [erf::<false>(x), erf::<true>(x)] {
                assert!((found - expected).abs() < 1e-6, "erf({x}) = {found}");
            }
        }
    }

    #[test]
    fn the_derivative_of_gelu_agrees_with_finite_differences() {
        for i in -40..40 {
            let x = i as f32 / 8.0;
            let mut gradient = [1.0];
            gelu_backward(&[x], &mut gradient);
            let (mut above, mut below) = ([x + 1e-2], [x - 1e-2]);
            gelu(&mut above);
            gelu(&mut below);
            let numeric = (above[0] - below[0]) / 2e-2;
            assert!((gradient[0] - numeric).abs() < 1e-3, "at {x}: {} against {numeric}", gradient[0]);
        }
    }

    #[test]
    fn a_softmax_sums_to_one_and_keeps_order() {
        let mut row = [3.0, -2.0, 0.5, 20.0];
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[3] > row[0] && row[0] > row[2] && row[2] > row[1]);
    }
}
