//! From a model's outputs to one score: the largest of them, or a logistic regression
//! over all.

use serde::{Deserialize, Serialize};

use super::{FitError, Logistic, fit_logistic, fit_monotone_logistic};
use crate::probability::Probability;

/// Which aggregation is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregationKind {
    /// The largest output; nothing is fitted.
    Largest,
    /// A logistic regression. A weight may come out negative, so that a higher signal
    /// may lower the score.
    Logistic,
    /// A logistic regression whose weights are not negative.
    Monotone,
}

/// One score from several outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Aggregation {
    /// The largest output.
    Largest,
    /// The probability of a logistic regression over the outputs.
    Logistic(Logistic),
    /// The same, with weights that are not negative.
    Monotone(Logistic),
}

impl Aggregation {
    /// Fits an aggregation on rows of outputs, all of one length; `c` is the inverse
    /// strength of the penalty, greater than 0.
    ///
    /// # Errors
    /// [`FitError`] as of [`fit_logistic`]; of [`AggregationKind::Largest`] when the
    /// lengths differ or a class is absent.
    pub fn fit(
        kind: AggregationKind,
        outputs: &[Vec<Probability>],
        labels: &[bool],
        c: f64,
    ) -> Result<Self, FitError> {
        let features: Vec<Vec<f64>> = outputs.iter().map(|row| features(row)).collect();
        Ok(match kind {
            AggregationKind::Largest => {
                super::fit::class_counts(outputs.len(), labels)?;
                Self::Largest
            }
            AggregationKind::Logistic => Self::Logistic(fit_logistic(&features, labels, c)?),
            AggregationKind::Monotone => Self::Monotone(fit_monotone_logistic(&features, labels, c)?),
        })
    }

    /// The score of a row of outputs, in \[0, 1\]; of no outputs, which only a damaged
    /// model gives, 1.
    pub fn score(&self, outputs: &[Probability]) -> Probability {
        match self {
            Self::Largest => outputs.iter().copied().reduce(Probability::max).unwrap_or(Probability::ONE),
            Self::Logistic(head) | Self::Monotone(head) => {
                // A probability computed in f64 is one in f32 too.
                let score = head.probability(&features(outputs)) as f32;
                Probability::new(score).unwrap_or(Probability::ONE)
            }
        }
    }

    /// The logistic head, if there is one.
    pub fn head(&self) -> Option<&Logistic> {
        match self {
            Self::Largest => None,
            Self::Logistic(head) | Self::Monotone(head) => Some(head),
        }
    }
}

fn features(outputs: &[Probability]) -> Vec<f64> {
    outputs.iter().map(|p| f64::from(p.get())).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn probabilities(values: &[f32]) -> Vec<Probability> {
        values.iter().map(|&value| Probability::new(value).unwrap()).collect()
    }

    #[test]
    fn the_published_head_of_khp_is_read_and_scores_as_published() {
        let text = r#"{"weights":[0.8189,0.4907,0.8961,1.6241,0.4618,0.8037,0.8691,1.4053,0.3945],"bias":-1.759564}"#;
        let head = Aggregation::Logistic(serde_json::from_str(text).unwrap());
        // The first published row and its score; the weights are published to 4 decimals.
        let row = [0.9375, 0.886_719, 0.992_188, 1.0, 0.162_109, 0.486_328, 0.960_938, 0.026_367, 0.002_884];
        let found = head.score(&probabilities(&row)).get();
        assert!((found - 0.964_278).abs() < 1e-5, "{found}");
    }

    #[test]
    fn no_outputs_are_never_safe() {
        let head = Logistic { weights: vec![], intercept: f64::NAN };
        assert_eq!(Aggregation::Largest.score(&[]), Probability::ONE);
        assert_eq!(Aggregation::Monotone(head).score(&[]), Probability::ONE);
    }

    proptest! {
        #[test]
        fn a_monotone_head_never_falls_when_an_output_rises(
            rows in proptest::collection::vec((proptest::collection::vec(0.0..=1.0_f32, 3), any::<bool>()), 4..30),
            place in 0_usize..3, to in 0.0..=1.0_f32,
        ) {
            let (values, labels): (Vec<Vec<f32>>, Vec<bool>) = rows.into_iter().unzip();
            let outputs: Vec<Vec<Probability>> = values.iter().map(|row| probabilities(row)).collect();
            let Ok(found) = Aggregation::fit(AggregationKind::Monotone, &outputs, &labels, 5.0) else {
                return Ok(());
            };
            for row in &values {
                let mut raised = row.clone();
                raised[place] = raised[place].max(to);
                prop_assert!(found.score(&probabilities(&raised)) >= found.score(&probabilities(row)));
            }
        }
    }
}
