//! A band in which the score does not decide and a human looks, with a guarantee that
//! holds whatever the distribution of the scores: Learn then Test (Angelopoulos,
//! Bates, Candès, Jordan and Lei 2021, arXiv 2110.01052) with exact binomial p-values
//! and fixed-sequence testing.
//!
//! # What is controlled
//!
//! Below `low` a row is called low, at or above `high` it is called high, and between
//! them nothing is said. With probability 1 - delta or more over the draw of the
//! calibration rows, both hold at once of new rows of the same distribution, with
//! [`BandRate::OfClass`]:
//!
//! - miss rate: P(score < low | positive) <= `miss`;
//! - false-alarm rate: P(score >= high | negative) <= `false_alarm`;
//!
//! and with [`BandRate::OfCalls`]:
//!
//! - P(positive | score < low) <= `miss`, the false-omission rate;
//! - P(negative | score >= high) <= `false_alarm`, the false-discovery rate.
//!
//! Rates of a class do not depend on how many rows are positive; rates of calls do, and
//! hold only where the share of positives is that of the calibration rows. In use it is
//! mostly far lower than in a balanced set: then fewer of those called low are
//! positive, and more of those called high are negative, than was promised.
//!
//! # How
//!
//! "The rate at this threshold is above the limit" is tested at each threshold in a
//! fixed order, each time at level delta / 2 (Bonferroni, one half for each end), until
//! a test does not reject; every threshold before that is good, all at once. For
//! `OfClass` the order is: `low` up from 0, `high` down from above 1, over all f32
//! numbers; p-values change only at scores that were seen, so that only these are
//! looked at. For `OfCalls` near the ends hardly any row is called and nothing can be
//! shown, so the order begins at `miss` and goes up, and at 1 - `false_alarm` and goes
//! down: a perfectly calibrated score has a rate below the limit there. A score that
//! is far from calibrated may get no band this way.
//!
//! The guarantee is for rows that are independent, and for a score that did not learn
//! from them. Rows of one family, and scores of heads that were fitted on other folds,
//! are near to that and not the same.

use std::iter;

use serde::{Deserialize, Serialize};

use super::fit::class_counts;
use super::{Estimate, FitError};
use crate::metrics::{binomial_lower_tail, clopper_pearson_interval};
use crate::probability::Probability;

/// Of what the limits are shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BandRate {
    /// Misses among all positives, false alarms among all negatives.
    #[default]
    OfClass,
    /// Positives among those called low, negatives among those called high.
    OfCalls,
}

/// What a band is asked to keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandTarget {
    /// The limit below the band, in (0, 1).
    pub miss: f64,
    /// The limit above the band, in (0, 1); the two add up to 1 at most.
    pub false_alarm: f64,
    /// The probability, in (0, 1), that a limit is broken.
    pub delta: f64,
    /// Of what the limits are shares.
    pub rate: BandRate,
}

/// Why there is no band.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BandError {
    /// A limit, or delta, is out of range.
    #[error("found {name} = {found}; expected a number above 0 and below 1")]
    Range {
        /// Which.
        name: &'static str,
        /// The number.
        found: f64,
    },
    /// The limits add up to more than 1, so that a coin keeps them.
    #[error("found limits that add up to {sum}; expected 1 at most")]
    Limits {
        /// Their sum.
        sum: f64,
    },
    /// The rows cannot be used.
    #[error(transparent)]
    Rows(#[from] FitError),
}

impl BandTarget {
    /// Whether all numbers are in range.
    ///
    /// # Errors
    /// [`BandError::Range`] or [`BandError::Limits`].
    pub fn check(&self) -> Result<(), BandError> {
        for (name, found) in [("miss", self.miss), ("false", self.false_alarm), ("delta", self.delta)] {
            if !(found > 0.0 && found < 1.0) {
                return Err(BandError::Range { name, found });
            }
        }
        let sum = self.miss + self.false_alarm;
        if sum > 1.0 { Err(BandError::Limits { sum }) } else { Ok(()) }
    }
}

/// One end of a band, with what it did on the calibration rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandEnd {
    /// Below it a row is called low; or at or above it, high.
    pub value: Probability,
    /// Rows that are called.
    pub called: usize,
    /// Of these, the wrong ones: positives called low, or negatives called high.
    pub errors: usize,
    /// All rows of the class that can be wrong: positives at the low end, negatives at
    /// the high one.
    pub class: usize,
    /// The rate that is controlled, with its 95 % interval (Clopper and Pearson).
    pub rate: Estimate,
}

/// The band. Where an end is absent, nothing could be shown for any threshold, and
/// nobody is called low, or high.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbstainBand {
    /// What it was asked to keep.
    pub target: BandTarget,
    /// Scores below are called low.
    pub low: Option<BandEnd>,
    /// Scores at or above are called high. Not below `low`.
    pub high: Option<BandEnd>,
    /// Rows between the ends.
    pub abstained: usize,
    /// All rows.
    pub rows: usize,
}

impl AbstainBand {
    /// Finds the narrowest band that keeps the target, with a low end of at most `cap`:
    /// the lowest threshold in use, so that nobody whom a threshold calls is called
    /// low. Where both limits hold without abstaining, the ends meet, as low as they
    /// may.
    ///
    /// # Errors
    /// [`BandError`] when a number of the target is out of range, the lengths differ,
    /// or a class is absent.
    pub fn fit(
        target: BandTarget,
        scores: &[Probability],
        labels: &[bool],
        cap: Probability,
    ) -> Result<Self, BandError> {
        target.check()?;
        let rows = Rows::new(target, scores, labels)?;
        let low = rows.low(cap);
        let mut high = rows.high();
        let mut low_end = low.map(|(_, end)| end);
        if let (Some((start, low)), Some(end)) = (low, high)
            && end < low
        {
            // Every threshold from `start` to `low` keeps the one limit, and every one
            // from `end` up the other.
            let met = if end > start { end } else { start };
            (low_end, high) = (Some(met), Some(met));
        }
        let low = low_end.map(|value| rows.low_end(value)).filter(|end| end.called > 0);
        let high = high.map(|value| rows.high_end(value)).filter(|end| end.called > 0);
        let decided = |end: Option<BandEnd>| end.map_or(0, |end| end.called);
        let abstained = scores.len() - decided(low) - decided(high);
        Ok(Self { target, low, high, abstained, rows: scores.len() })
    }
}

/// The calibration rows, lowest score first.
struct Rows {
    scores: Vec<Probability>,
    /// Positives among the first 0, 1, 2, ... rows.
    positives_before: Vec<usize>,
    positives: usize,
    negatives: usize,
    target: BandTarget,
}

impl Rows {
    fn new(target: BandTarget, scores: &[Probability], labels: &[bool]) -> Result<Self, BandError> {
        let (positives, negatives) = class_counts(scores.len(), labels)?;
        let mut rows: Vec<(Probability, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
        rows.sort_by(|a, b| a.0.get().total_cmp(&b.0.get()));
        let mut positives_before = vec![0];
        let mut seen = 0;
        positives_before.extend(rows.iter().map(|&(_, label)| {
            seen += usize::from(label);
            seen
        }));
        let scores = rows.into_iter().map(|(score, _)| score).collect();
        Ok(Self { scores, positives_before, positives, negatives, target })
    }

    /// Rows below a threshold, and the positives among them.
    fn below(&self, threshold: Probability) -> (usize, usize) {
        let called = self.scores.partition_point(|&score| score < threshold);
        (called, self.positives_before[called])
    }

    /// Rows at or above a threshold, and the negatives among them.
    fn above(&self, threshold: Probability) -> (usize, usize) {
        let (below, positives) = self.below(threshold);
        (self.scores.len() - below, self.negatives - (below - positives))
    }

    /// Whether the test rejects "the rate is above the limit".
    fn is_kept(&self, (called, errors): (usize, usize), class: usize, limit: f64) -> bool {
        let trials = match self.target.rate {
            BandRate::OfClass => class,
            BandRate::OfCalls => called,
        };
        binomial_lower_tail(errors, trials, limit) <= self.target.delta / 2.0
    }

    /// Where the low end's order begins, and the highest threshold up to `cap` before
    /// the first test that does not reject.
    fn low(&self, cap: Probability) -> Option<(Probability, Probability)> {
        let start = match self.target.rate {
            BandRate::OfClass => Probability::ZERO,
            BandRate::OfCalls => Probability::new(self.target.miss as f32)?,
        };
        let above_start = self.scores.iter().copied().filter(|&score| score > start);
        let kept = |&place: &Probability| {
            place <= cap && self.is_kept(self.below(place), self.positives, self.target.miss)
        };
        Some((start, iter::once(start).chain(above_start).take_while(kept).last()?))
    }

    /// The lowest threshold before the first test that does not reject, going down.
    fn high(&self) -> Option<Probability> {
        let limit = self.target.false_alarm;
        let start = match self.target.rate {
            // Above 1 nobody is called, and no error is seen.
            BandRate::OfClass if !self.is_kept((0, 0), self.negatives, limit) => return None,
            BandRate::OfClass => None,
            BandRate::OfCalls => Some(Probability::new((1.0 - limit) as f32)?),
        };
        let below_start = self.scores.iter().rev().copied().filter(|&s| start.is_none_or(|start| s < start));
        let kept = |&place: &Probability| self.is_kept(self.above(place), self.negatives, limit);
        start.into_iter().chain(below_start).take_while(kept).last()
    }

    fn low_end(&self, value: Probability) -> BandEnd {
        self.end(value, self.below(value), self.positives)
    }

    fn high_end(&self, value: Probability) -> BandEnd {
        self.end(value, self.above(value), self.negatives)
    }

    fn end(&self, value: Probability, (called, errors): (usize, usize), class: usize) -> BandEnd {
        let trials = match self.target.rate {
            BandRate::OfClass => class,
            BandRate::OfCalls => called,
        };
        let (low, high) = clopper_pearson_interval(errors, trials).unwrap_or((0.0, 1.0));
        let rate = Estimate { value: errors as f64 / trials.max(1) as f64, low, high };
        BandEnd { value, called, errors, class, rate }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::SplitMix64;

    fn target(rate: BandRate) -> BandTarget {
        BandTarget { miss: 0.05, false_alarm: 0.1, delta: 0.1, rate }
    }

    /// Share of positives in the simulated population.
    const PREVALENCE: f64 = 0.4;

    /// Rows of a known population: a strength s with P(s <= t | positive) = t^3 and
    /// P(s <= t | negative) = 1 - (1 - t)^3, and as score the probability of a positive
    /// given s.
    fn draw(random: &mut SplitMix64, rows: usize) -> (Vec<Probability>, Vec<bool>) {
        let mut row = || {
            let label = random.unit() < PREVALENCE;
            let cubic = random.unit().cbrt();
            let strength = if label { cubic } else { 1.0 - cubic };
            let positive = PREVALENCE * strength.powi(2);
            let score = positive / (positive + (1.0 - PREVALENCE) * (1.0 - strength).powi(2));
            (Probability::new(score as f32).unwrap(), label)
        };
        (0..rows).map(|_| row()).unzip()
    }

    /// The strength behind a score.
    fn strength(end: BandEnd) -> f64 {
        let score = f64::from(end.value.get());
        let ratio = (score * (1.0 - PREVALENCE) / (PREVALENCE * (1.0 - score))).sqrt();
        if ratio.is_finite() { ratio / (1.0 + ratio) } else { 1.0 }
    }

    /// The true rates of a band in that population.
    fn truth(band: &AbstainBand) -> (f64, f64) {
        let (low, high) = (band.low.map_or(0.0, strength), band.high.map_or(1.0, strength));
        let (miss, spared) = (low.powi(3), 1.0 - (1.0 - low).powi(3));
        let (alarm, found) = ((1.0 - high).powi(3), 1.0 - high.powi(3));
        match band.target.rate {
            BandRate::OfClass => (miss, alarm),
            BandRate::OfCalls => {
                let share = |wrong: f64, right: f64| if wrong > 0.0 { wrong / (wrong + right) } else { 0.0 };
                (
                    share(PREVALENCE * miss, (1.0 - PREVALENCE) * spared),
                    share((1.0 - PREVALENCE) * alarm, PREVALENCE * found),
                )
            }
        }
    }

    /// Of so many draws of the calibration rows, how many break a limit, and the mean
    /// share of rows that are decided.
    fn simulate(rate: BandRate, draws: u64) -> (usize, f64) {
        let (mut broken, mut decided) = (0, 0.0);
        for seed in 0..draws {
            let (scores, labels) = draw(&mut SplitMix64::stream(11, seed), 1_000);
            let band = AbstainBand::fit(target(rate), &scores, &labels, Probability::ONE).unwrap();
            let (miss, alarm) = truth(&band);
            broken += usize::from(miss > band.target.miss || alarm > band.target.false_alarm);
            decided += 1.0 - band.abstained as f64 / band.rows as f64;
        }
        (broken, decided / draws as f64)
    }

    #[test]
    fn both_limits_hold_as_often_as_promised_and_the_promise_is_not_empty() {
        for rate in [BandRate::OfClass, BandRate::OfCalls] {
            let (broken, decided) = simulate(rate, 1_000);
            // 100 of 1,000 may be broken; the standard error of that is 9.5.
            assert!(broken <= 119, "{rate:?}: {broken} of 1000 draws broke a limit");
            // An empty band breaks nothing: a sharp one does so now and then ...
            assert!(broken >= 20, "{rate:?}: {broken} of 1000 draws broke a limit");
            // ... and decides for most rows. With known rates the two could decide 0.87
            // and 0.83 of them.
            assert!(decided > 0.6, "{rate:?}: {decided} of the rows were decided");
        }
    }

    #[test]
    fn too_few_rows_decide_nothing() {
        let scores: Vec<Probability> =
            [0.1, 0.2, 0.8, 0.9].iter().map(|&p| Probability::new(p).unwrap()).collect();
        let labels = [false, false, true, true];
        for rate in [BandRate::OfClass, BandRate::OfCalls] {
            let found = AbstainBand::fit(target(rate), &scores, &labels, Probability::ONE).unwrap();
            assert_eq!((found.low, found.high, found.abstained), (None, None, 4));
        }
    }

    #[test]
    fn classes_that_do_not_overlap_need_no_abstention() {
        let scores: Vec<Probability> =
            (0..200).map(|i| Probability::new(if i < 100 { 0.01 } else { 0.99 }).unwrap()).collect();
        let labels: Vec<bool> = (0..200).map(|i| i >= 100).collect();
        for rate in [BandRate::OfClass, BandRate::OfCalls] {
            let found = AbstainBand::fit(target(rate), &scores, &labels, Probability::ONE).unwrap();
            assert_eq!(found.abstained, 0, "{found:?}");
            assert_eq!((found.low.unwrap().called, found.high.unwrap().called), (100, 100));
        }
    }

    #[test]
    fn limits_that_are_out_of_range_are_named() {
        let with = |miss, false_alarm, delta| {
            BandTarget { miss, false_alarm, delta, rate: BandRate::OfClass }.check().unwrap_err().to_string()
        };
        assert!(with(0.0, 0.1, 0.1).contains("miss = 0"));
        assert!(with(0.1, f64::NAN, 0.1).contains("false = NaN"));
        assert!(with(0.1, 0.1, 1.0).contains("delta = 1"));
        assert!(with(0.6, 0.6, 0.1).contains("1.2"));
    }

    proptest! {
        /// Every threshold of the order up to the end found, looked at one by one.
        #[test]
        fn every_threshold_up_to_the_ends_is_rejected_and_the_next_is_not(
            rows in proptest::collection::vec((0_u8..20, any::<bool>()), 30..120),
            of_calls in any::<bool>(),
        ) {
            let (scores, labels): (Vec<Probability>, Vec<bool>) = rows.iter().map(|&(s, label)| {
                // Labels mostly follow the score.
                let label = if s < 6 { false } else { s > 13 || label };
                (Probability::new(f32::from(s) / 20.0).unwrap(), label)
            }).unzip();
            let rate = if of_calls { BandRate::OfCalls } else { BandRate::OfClass };
            let target = BandTarget { miss: 0.1, false_alarm: 0.2, delta: 0.4, rate };
            let Ok(band) = AbstainBand::fit(target, &scores, &labels, Probability::ONE) else { return Ok(()) };
            let p_value = |t: f32| {
                let called: Vec<bool> = scores.iter().zip(&labels).filter(|(s, _)| s.get() < t).map(|(_, l)| *l).collect();
                let errors = called.iter().filter(|l| **l).count();
                let class = labels.iter().filter(|l| **l).count();
                binomial_lower_tail(errors, if of_calls { called.len() } else { class }, 0.1)
            };
            // The order is known, and so is every place where a p-value may change.
            let first = if of_calls { 0.1 } else { 0.0 };
            let passed = (0..=2000_u16).map(|i| f32::from(i) / 2000.0).filter(|t| *t >= first).take_while(|t| p_value(*t) <= 0.2).last();
            match (band.low, passed) {
                (Some(low), Some(last)) => prop_assert!(low.value.get() <= last + 1e-3),
                (Some(low), None) => prop_assert!(false, "{low:?}"),
                (None, _) => {}
            }
            if let (Some(low), Some(high)) = (band.low, band.high) {
                prop_assert!(low.value <= high.value);
            }
            let total = band.abstained + band.low.map_or(0, |e| e.called) + band.high.map_or(0, |e| e.called);
            prop_assert_eq!(total, band.rows);
        }

        #[test]
        fn the_low_end_never_exceeds_its_cap(seed in any::<u64>(), cap in 0.0..=1.0_f32) {
            let (scores, labels) = draw(&mut SplitMix64::new(seed), 300);
            let cap = Probability::new(cap).unwrap();
            let band = AbstainBand::fit(target(BandRate::OfClass), &scores, &labels, cap).unwrap();
            prop_assert!(band.low.is_none_or(|low| low.value <= cap));
        }
    }
}
