//! Temperature scaling (Guo, Pleiss, Sun and Weinberger 2017): one number that makes
//! probabilities sharper or milder and leaves 0.5 where it is.

use serde::{Deserialize, Serialize};

use super::FitError;
use super::fit::{class_counts, sigmoid};
use crate::probability::Probability;

/// Divides logits by a temperature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temperature {
    /// Greater than 0. Above 1, probabilities move towards 0.5.
    pub temperature: f32,
}

impl Temperature {
    /// Finds the temperature with the least negative log-likelihood of `labels`, given
    /// one logit for each: the root of the likelihood's slope, by bisection, since the
    /// loss is convex in 1 / temperature.
    ///
    /// # Errors
    /// [`FitError`] when lengths differ, a class is absent, a logit is not finite, the
    /// logits rank the rows wrongly, or their signs are all right, so that there is no
    /// best temperature (Platt scaling, whose targets are smoothed, has a fit then).
    pub fn fit(logits: &[f32], labels: &[bool]) -> Result<Self, FitError> {
        class_counts(logits.len(), labels)?;
        if let Some(row) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(FitError::NotFinite { row });
        }
        let slope = |sharpness: f64| loss_slope(logits, labels, sharpness);
        if slope(0.0) >= 0.0 {
            return Err(FitError::SlopeNotPositive { slope: -slope(0.0) });
        }
        let is_wrong = |(&logit, &label): (&f32, &bool)| if label { logit < 0.0 } else { logit > 0.0 };
        if !logits.iter().zip(labels).any(is_wrong) {
            return Err(FitError::NoTemperature);
        }
        // It ends: the sharper, the more a row on the wrong side costs.
        let mut high = 1.0;
        while slope(high) < 0.0 {
            high *= 2.0;
        }
        Ok(Self { temperature: (1.0 / root(slope, high)) as f32 })
    }

    /// The calibrated probability of a logit.
    pub fn apply(self, logit: f32) -> Probability {
        Probability::from_logit(logit / self.temperature)
    }
}

/// The derivative of the negative log-likelihood by the sharpness 1 / T.
fn loss_slope(logits: &[f32], labels: &[bool], sharpness: f64) -> f64 {
    let of_row = |(&logit, &label): (&f32, &bool)| {
        let z = f64::from(logit);
        z * (sigmoid(sharpness * z) - f64::from(u8::from(label)))
    };
    logits.iter().zip(labels).map(of_row).sum()
}

/// Where a rising function crosses 0 between 0 and `high`.
fn root(rising: impl Fn(f64) -> f64, high: f64) -> f64 {
    let (mut low, mut high) = (0.0, high);
    while high - low > 1e-12 * high {
        let middle = f64::midpoint(low, high);
        if rising(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_that_follow_half_the_logit_have_temperature_two() {
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for place in -12..=12_i16 {
            let logit = f32::from(place) / 3.0;
            let share = sigmoid(f64::from(logit) / 2.0);
            for row in 0..200_u8 {
                logits.push(logit);
                labels.push(f64::from(row) + 0.5 < 200.0 * share);
            }
        }
        let found = Temperature::fit(&logits, &labels).unwrap();
        assert!((found.temperature - 2.0).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn rows_without_a_best_temperature_are_refused() {
        let right = Temperature::fit(&[-1.0, 2.0], &[false, true]);
        assert_eq!(right, Err(FitError::NoTemperature));
        let wrong = Temperature::fit(&[-1.0, 2.0], &[true, false]);
        assert!(matches!(wrong, Err(FitError::SlopeNotPositive { slope }) if slope < 0.0));
        let damaged = Temperature::fit(&[f32::NAN, 2.0], &[true, false]);
        assert_eq!(damaged, Err(FitError::NotFinite { row: 0 }));
    }

    proptest! {
        #[test]
        fn no_neighbour_has_a_better_likelihood(
            rows in proptest::collection::vec((-4.0..4.0_f32, any::<bool>()), 6..40)
        ) {
            let (logits, labels): (Vec<f32>, Vec<bool>) = rows.into_iter().unzip();
            let Ok(found) = Temperature::fit(&logits, &labels) else { return Ok(()) };
            let loss = |sharpness: f64| -> f64 {
                let of_row = |(&z, &label): (&f32, &bool)| {
                    let p = sigmoid(sharpness * f64::from(z));
                    -(if label { p } else { 1.0 - p }).ln()
                };
                logits.iter().zip(&labels).map(of_row).sum()
            };
            let best = 1.0 / f64::from(found.temperature);
            prop_assert!(loss(best) <= loss(best * 1.01) + 1e-9);
            prop_assert!(loss(best) <= loss(best * 0.99) + 1e-9);
        }
    }
}
