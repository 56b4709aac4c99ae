//! Isotonic regression (Ayer, Brunk, Ewing, Reid and Silverman 1955; for calibration,
//! Zadrozny and Elkan 2002): the rising curve nearest to the labels in squared error,
//! by pooling adjacent violators. As scikit-learn's `IsotonicRegression` with
//! `out_of_bounds="clip"`: rows of one score count as one with their mean label, the
//! curve is piecewise linear between the scores that were seen, and beyond them it
//! keeps its end values.
//!
//! It fits any rising curve, and so needs more rows than Platt scaling: below about a
//! thousand it follows chance. It gives 0 and 1 where the lowest rows are all negative
//! and the highest all positive, and may give several scores one value.

use serde::{Deserialize, Serialize};

use super::FitError;
use super::fit::class_counts;
use crate::metrics::descending_groups;
use crate::probability::Probability;

/// A corner of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knot {
    /// A score.
    pub score: Probability,
    /// The calibrated probability there.
    pub value: Probability,
}

/// A rising, piecewise linear curve from score to probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Knot>", into = "Vec<Knot>")]
pub struct Isotonic {
    /// At least one; scores rise from one to the next, values do not fall.
    knots: Vec<Knot>,
}

/// Why corners make no rising curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KnotsError {
    /// There are none.
    #[error("found no knots, expected at least one")]
    Empty,
    /// Two neighbours are out of order.
    #[error(
        "knot {place} is not above the one before it: expected rising scores and values that do not fall"
    )]
    Order {
        /// The second of the two, from 0.
        place: usize,
    },
}

impl TryFrom<Vec<Knot>> for Isotonic {
    type Error = KnotsError;

    fn try_from(knots: Vec<Knot>) -> Result<Self, KnotsError> {
        if knots.is_empty() {
            return Err(KnotsError::Empty);
        }
        let rises = |pair: &[Knot]| pair[0].score < pair[1].score && pair[0].value <= pair[1].value;
        match knots.windows(2).position(|pair| !rises(pair)) {
            Some(before) => Err(KnotsError::Order { place: before + 1 }),
            None => Ok(Self { knots }),
        }
    }
}

impl From<Isotonic> for Vec<Knot> {
    fn from(isotonic: Isotonic) -> Self {
        isotonic.knots
    }
}

/// Neighbouring scores that share one value.
struct Block {
    /// Their scores, ascending.
    scores: Vec<f64>,
    positives: usize,
    rows: usize,
}

impl Block {
    fn value(&self) -> f64 {
        self.positives as f64 / self.rows as f64
    }
}

impl Isotonic {
    /// Fits the curve on one score and label for each row.
    ///
    /// # Errors
    /// [`FitError`] when the lengths differ or a class is absent.
    pub fn fit(scores: &[Probability], labels: &[bool]) -> Result<Self, FitError> {
        class_counts(scores.len(), labels)?;
        let scores: Vec<f64> = scores.iter().map(|score| f64::from(score.get())).collect();
        let points: Vec<Knot> = blocks(&scores, labels)
            .iter()
            .flat_map(|block| block.scores.iter().map(|&score| (score, block.value())))
            // Scores were f32, and a share is between 0 and 1.
            .filter_map(|(score, value)| {
                Some(Knot { score: Probability::new(score as f32)?, value: Probability::new(value as f32)? })
            })
            .collect();
        Ok(Self { knots: corners(&points) })
    }

    /// The corners, scores ascending.
    pub fn knots(&self) -> &[Knot] {
        &self.knots
    }

    /// The calibrated probability of a score: linear between the corners on both sides
    /// of it, the first or last value beyond them.
    pub fn apply(&self, score: Probability) -> Probability {
        let above = self.knots.partition_point(|knot| knot.score < score);
        let Some(right) = self.knots.get(above) else {
            return self.knots.last().map_or(Probability::ONE, |last| last.value);
        };
        match above.checked_sub(1).and_then(|below| self.knots.get(below)) {
            None => right.value,
            Some(left) => between(*left, *right, score),
        }
    }
}

/// The value at a score that lies above `left` and not above `right`.
fn between(left: Knot, right: Knot, score: Probability) -> Probability {
    let [from, to, at] = [left.score, right.score, score].map(|p| f64::from(p.get()));
    let [low, high] = [left.value, right.value].map(|p| f64::from(p.get()));
    let value = low + (high - low) * (at - from) / (to - from);
    // Held between its neighbours, it is a probability whatever the rounding.
    Probability::new(value.clamp(low, high) as f32).unwrap_or(right.value)
}

/// Pools neighbours whose values fall, lowest scores first.
fn blocks(scores: &[f64], labels: &[bool]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // A probability is never NaN, and the lengths are equal.
    for group in descending_groups(scores, labels).unwrap_or_default().iter().rev() {
        let (positives, rows) = (group.positives, group.positives + group.negatives);
        let mut block = Block { scores: vec![group.score], positives, rows };
        while let Some(before) = blocks.pop_if(|before| before.value() >= block.value()) {
            block.positives += before.positives;
            block.rows += before.rows;
            block.scores.splice(0..0, before.scores);
        }
        blocks.push(block);
    }
    blocks
}

/// Without the points that lie inside a level stretch.
fn corners(points: &[Knot]) -> Vec<Knot> {
    let is_corner = |at: usize| {
        let differs = |other: usize| points.get(other).is_none_or(|knot| knot.value != points[at].value);
        at.checked_sub(1).is_none_or(differs) || differs(at + 1)
    };
    (0..points.len()).filter(|&at| is_corner(at)).map(|at| points[at]).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn probability(value: f32) -> Probability {
        Probability::new(value).unwrap()
    }

    #[test]
    fn violators_are_pooled_and_the_curve_is_linear_between_and_level_beyond() {
        let scores = [0.2, 0.4, 0.6, 0.8].map(probability);
        let found = Isotonic::fit(&scores, &[false, true, false, true]).unwrap();
        for (score, value) in [(0.0, 0.0), (0.2, 0.0), (0.3, 0.25), (0.5, 0.5), (0.7, 0.75), (1.0, 1.0)] {
            let own = found.apply(probability(score)).get();
            assert!((own - value).abs() < 1e-6, "{score}: {own}");
        }
    }

    #[test]
    fn a_curve_that_falls_is_not_read() {
        let text = r#"[{"score":0.1,"value":0.5},{"score":0.2,"value":0.4}]"#;
        let error = serde_json::from_str::<Isotonic>(text).unwrap_err().to_string();
        assert!(error.contains("knot 1 is not above the one before it"), "{error}");
        assert!(serde_json::from_str::<Isotonic>("[]").is_err());
    }

    proptest! {
        /// Against the max-min formula of Robertson, Wright and Dykstra (1988, 1.4.4):
        /// the value at i is the largest over s <= i of the least mean over s..=t, t >= i.
        #[test]
        fn the_values_are_those_of_the_max_min_formula(
            rows in proptest::collection::vec((0_u8..12, any::<bool>()), 2..30)
        ) {
            let (places, labels): (Vec<u8>, Vec<bool>) = rows.iter().copied().unzip();
            prop_assume!(labels.contains(&true) && labels.contains(&false));
            let scores: Vec<Probability> = places.iter().map(|&s| probability(f32::from(s) / 16.0)).collect();
            let found = Isotonic::fit(&scores, &labels).unwrap();
            let mean = |from: u8, to: u8| {
                let inside = || rows.iter().filter(|(s, _)| (from..=to).contains(s));
                inside().filter(|(_, label)| *label).count() as f64 / inside().count() as f64
            };
            for &at in &places {
                let least = |s: u8| {
                    places.iter().filter(|&&t| t >= at).map(|&t| mean(s, t)).fold(f64::INFINITY, f64::min)
                };
                let expected = places.iter().filter(|&&s| s <= at).map(|&s| least(s)).fold(0.0, f64::max);
                let own = f64::from(found.apply(probability(f32::from(at) / 16.0)).get());
                prop_assert!((own - expected).abs() < 1e-6, "{at}: {own} {expected}");
            }
        }

        #[test]
        fn a_higher_score_never_gets_a_lower_probability(
            rows in proptest::collection::vec((0.0..=1.0_f32, any::<bool>()), 2..30),
            a in 0.0..=1.0_f32, b in 0.0..=1.0_f32,
        ) {
            let (scores, labels): (Vec<f32>, Vec<bool>) = rows.into_iter().unzip();
            let scores: Vec<Probability> = scores.into_iter().map(probability).collect();
            let Ok(found) = Isotonic::fit(&scores, &labels) else { return Ok(()) };
            prop_assert!(found.apply(probability(a.min(b))) <= found.apply(probability(a.max(b))));
            let text = serde_json::to_string(&found).unwrap();
            prop_assert_eq!(serde_json::from_str::<Isotonic>(&text).unwrap(), found);
        }
    }
}
