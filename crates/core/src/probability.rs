//! Probabilities that are finite and in \[0, 1\] by construction.

use serde::{Deserialize, Deserializer, Serialize};

/// A probability: finite, at least 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Default)]
#[serde(transparent)]
pub struct Probability(f32);

impl Probability {
    /// Certainly not.
    pub const ZERO: Self = Self(0.0);
    /// Certainly.
    pub const ONE: Self = Self(1.0);

    /// Takes `value` if it is finite and in \[0, 1\].
    pub fn new(value: f32) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The logistic function of `logit`. A NaN logit, which only a damaged
    /// model can give, becomes 1: what cannot be computed is never called safe.
    pub fn from_logit(logit: f32) -> Self {
        if logit.is_nan() {
            return Self::ONE;
        }
        Self(1.0 / (1.0 + (-logit).exp()))
    }

    /// The number.
    pub const fn get(self) -> f32 {
        self.0
    }

    /// ln(p / (1 - p)), with p held inside [1e-7, 1 - 1e-7] so that it is finite.
    pub fn logit(self) -> f32 {
        let p = self.0.clamp(1e-7, 1.0 - 1e-7);
        (p / (1.0 - p)).ln()
    }

    /// The larger of the two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.0 > self.0 { other } else { self }
    }
}

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f32::deserialize(deserializer)?;
        Self::new(value)
            .ok_or_else(|| serde::de::Error::custom(format!("{value} is not a probability between 0 and 1")))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_between_zero_and_one_is_refused() {
        for value in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
            assert_eq!(Probability::new(value), None);
        }
        let error = serde_json::from_str::<Probability>("1.5").unwrap_err();
        assert!(error.to_string().contains("1.5 is not a probability"));
    }

    #[test]
    fn the_ends_of_the_logit_scale_are_certain() {
        assert_eq!(Probability::from_logit(f32::INFINITY), Probability::ONE);
        assert_eq!(Probability::from_logit(f32::NEG_INFINITY), Probability::ZERO);
        assert_eq!(Probability::from_logit(f32::NAN), Probability::ONE);
        assert!(Probability::ONE.logit().is_finite() && Probability::ZERO.logit().is_finite());
    }

    proptest! {
        #[test]
        fn every_logit_gives_a_probability(bits in any::<u32>()) {
            let found = Probability::from_logit(f32::from_bits(bits)).get();
            prop_assert!((0.0..=1.0).contains(&found));
        }

        #[test]
        fn the_logit_undoes_the_logistic_function(logit in -8.0_f32..8.0) {
            prop_assert!((Probability::from_logit(logit).logit() - logit).abs() < 1e-2);
        }
    }
}
