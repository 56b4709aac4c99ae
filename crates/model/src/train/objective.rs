//! The losses, each with its gradient with respect to the logits. Missing
//! labels contribute nothing.

use crate::kernel::{sigmoid, softmax};

/// Binary cross-entropy of one logit against a probability: `weight * (softplus(z) -
/// target z)`, with the positive part multiplied by `positive_weight` as `PyTorch` does.
/// Returns the loss and its derivative.
pub(super) fn binary(logit: f32, target: f32, weight: f32, positive_weight: f32) -> (f32, f32) {
    let p = sigmoid(logit);
    let softplus_negative = (-logit.abs()).exp().ln_1p() + (-logit).max(0.0);
    let negative = logit + softplus_negative;
    let loss = positive_weight * target * softplus_negative + (1.0 - target) * negative;
    let derivative = (1.0 - target) * p - positive_weight * target * (1.0 - p);
    (weight * loss, weight * derivative)
}

/// Cross-entropy of one row of logits against a distribution, which is 1 at the class
/// where there is no doubt. Adds `weight` times the gradient to `gradient` and returns
/// `weight` times the loss.
pub(super) fn categorical(logits: &[f32], target: &[f32], weight: f32, gradient: &mut [f32]) -> f32 {
    let mut p = logits.to_vec();
    softmax(&mut p);
    for ((g, p), t) in gradient.iter_mut().zip(&p).zip(target) {
        *g += weight * (p - t);
    }
    -weight * p.iter().zip(target).map(|(p, t)| t * p.max(1e-12).ln()).sum::<f32>()
}

/// Pools the logits of several turns: `log(mean(exp(r z))) / r`, between their
/// mean and their maximum, and rising in each of them. Returns the pooled logit
/// and its derivative with respect to each.
pub(super) fn pool(logits: &[f32], sharpness: f32) -> (f32, Vec<f32>) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut shares: Vec<f32> = logits.iter().map(|z| (sharpness * (z - highest)).exp()).collect();
    let total: f32 = shares.iter().sum();
    for share in &mut shares {
        *share /= total;
    }
    let pooled = highest + (total / logits.len() as f32).ln() / sharpness;
    (pooled, shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_derivative(function: impl Fn(f32) -> f32, at: f32, derivative: f32) {
        let numeric = (function(at + 1e-2) - function(at - 1e-2)) / 2e-2;
        assert!((numeric - derivative).abs() < 2e-3, "{derivative} against {numeric}");
    }

    #[test]
    fn the_binary_loss_agrees_with_finite_differences() {
        for z in [-6.0, -0.3, 0.0, 2.5] {
            for target in [0.0, 0.3, 1.0] {
                let (_, derivative) = binary(z, target, 0.7, 3.0);
                assert_derivative(|z| binary(z, target, 0.7, 3.0).0, z, derivative);
            }
        }
    }

    #[test]
    fn pooling_agrees_with_finite_differences_and_lies_between_mean_and_maximum() {
        let logits = [-1.0, 0.5, 2.0];
        let (pooled, shares) = pool(&logits, 1.5);
        assert!(pooled > 0.5 && pooled < 2.0);
        for i in 0..3 {
            let moved = |z: f32| {
                let mut other = logits;
                other[i] = z;
                pool(&other, 1.5).0
            };
            assert_derivative(moved, logits[i], shares[i]);
        }
    }

    #[test]
    fn the_categorical_loss_agrees_with_finite_differences() {
        let logits = [0.3, -1.0, 2.0];
        for target in [[0.0, 1.0, 0.0], [0.5, 0.2, 0.3]] {
            let mut gradient = [0.0; 3];
            categorical(&logits, &target, 2.0, &mut gradient);
            for i in 0..3 {
                let moved = |z: f32| {
                    let mut other = logits;
                    other[i] = z;
                    categorical(&other, &target, 2.0, &mut [0.0; 3])
                };
                assert_derivative(moved, logits[i], gradient[i]);
            }
        }
    }
}
