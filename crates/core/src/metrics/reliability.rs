//! Reliability: whether of the rows with probability p a share p is positive.
//! The bins of the diagram, the calibration error read off them, and the error
//! that chance alone would make, without which a small error means nothing.

use serde::{Deserialize, Serialize};

use super::interval::{quantile, wilson_interval};
use super::probabilistic::are_probabilities;
use super::random::SplitMix64;

/// How probabilities are put into bins. The number of bins is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Binning {
    /// Bins of equal width over \[0, 1\], each closed below, the last one closed
    /// above too (Guo et al. 2017).
    EqualWidth(usize),
    /// Bins of about equally many rows (Nguyen and O'Connor 2015). Equal
    /// probabilities are never parted: a bin grows to the end of its last tie,
    /// so there may be fewer bins than asked for.
    EqualMass(usize),
}

/// One bin of a reliability diagram that holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityBin {
    /// Lower end: of the bin for equal width, the lowest probability for equal mass.
    pub low: f64,
    /// Upper end: of the bin for equal width, the highest probability for equal mass.
    pub high: f64,
    /// Number of rows, at least 1.
    pub rows: usize,
    /// Number of positive rows.
    pub positives: usize,
    /// Mean probability of the rows.
    pub mean_probability: f64,
    /// Wilson's 95 % interval of the share of positives.
    pub interval: (f64, f64),
}

impl ReliabilityBin {
    /// positives / rows.
    pub fn share(&self) -> f64 {
        self.positives as f64 / self.rows as f64
    }
}

/// The bins that hold rows, lowest probability first.
///
/// `None` when there is no row, when the lengths differ, when a value is not a
/// probability, or when no bin is asked for.
pub fn reliability_bins(
    probabilities: &[f64],
    labels: &[bool],
    binning: Binning,
) -> Option<Vec<ReliabilityBin>> {
    if !are_probabilities(probabilities, labels) {
        return None;
    }
    let members = bin_members(probabilities, binning)?;
    Some(members.iter().filter_map(|rows| bin_of(rows, probabilities, labels, binning)).collect())
}

/// Expected calibration error: the mean over rows of |share of positives - mean
/// probability| of the row's bin (Naeini, Cooper and Hauskrecht 2015, for the
/// probability of the positive class), in \[0, 1\]. Compare it with
/// [`calibration_noise_floor`]: it is never 0 on finite data.
///
/// `None` as for [`reliability_bins`].
pub fn calibration_error(probabilities: &[f64], labels: &[bool], binning: Binning) -> Option<f64> {
    if !are_probabilities(probabilities, labels) {
        return None;
    }
    let members = bin_members(probabilities, binning)?;
    Some(error_of(&members, probabilities, |row| labels[row]))
}

/// The calibration error that a perfectly calibrated model with the same
/// probabilities and the same number of rows would show: the median over
/// `repeats` of the error when each label is drawn with its row's probability
/// (consistency resampling, Bröcker and Smith 2007). Equal arguments give equal
/// results.
///
/// `None` as for [`reliability_bins`], or when `repeats` is 0.
pub fn calibration_noise_floor(
    probabilities: &[f64],
    binning: Binning,
    repeats: u32,
    seed: u64,
) -> Option<f64> {
    if repeats == 0 || !are_probabilities(probabilities, &vec![false; probabilities.len()]) {
        return None;
    }
    let members = bin_members(probabilities, binning)?;
    let mut labels = vec![false; probabilities.len()];
    let mut errors: Vec<f64> = (0..u64::from(repeats))
        .map(|repeat| {
            let mut random = SplitMix64::stream(seed, repeat);
            labels.iter_mut().zip(probabilities).for_each(|(label, p)| *label = random.unit() < *p);
            error_of(&members, probabilities, |row| labels[row])
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    Some(quantile(&errors, 0.5))
}

/// Sum over bins of |sum of (label - probability)|, by the number of rows.
fn error_of(members: &[Vec<usize>], probabilities: &[f64], label: impl Fn(usize) -> bool) -> f64 {
    let gap = |&row: &usize| f64::from(u8::from(label(row))) - probabilities[row];
    let total: f64 = members.iter().map(|rows| rows.iter().map(gap).sum::<f64>().abs()).sum();
    total / probabilities.len() as f64
}

/// The rows of each bin; some may be empty. `None` when no bin is asked for.
fn bin_members(probabilities: &[f64], binning: Binning) -> Option<Vec<Vec<usize>>> {
    match binning {
        Binning::EqualWidth(0) | Binning::EqualMass(0) => None,
        Binning::EqualWidth(bins) => {
            let mut members = vec![Vec::new(); bins];
            for (row, p) in probabilities.iter().enumerate() {
                members[((p * bins as f64) as usize).min(bins - 1)].push(row);
            }
            Some(members)
        }
        Binning::EqualMass(bins) => Some(equal_mass(probabilities, bins)),
    }
}

/// Bin b ends with the first tie that brings the rows so far to (b + 1) / `bins`
/// of all rows.
fn equal_mass(probabilities: &[f64], bins: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut members = vec![Vec::new()];
    let (mut placed, mut ended) = (0, 0);
    for tie in order.chunk_by(|&a, &b| probabilities[a] >= probabilities[b]) {
        if placed * bins >= (ended + 1) * probabilities.len() {
            ended = placed * bins / probabilities.len();
            members.push(Vec::new());
        }
        placed += tie.len();
        if let Some(bin) = members.last_mut() {
            bin.extend_from_slice(tie);
        }
    }
    members
}

/// The figures of one bin; `None` for an empty one.
fn bin_of(
    rows: &[usize],
    probabilities: &[f64],
    labels: &[bool],
    binning: Binning,
) -> Option<ReliabilityBin> {
    let own = || rows.iter().map(|&row| probabilities[row]);
    let positives = rows.iter().filter(|&&row| labels[row]).count();
    let lowest = own().reduce(f64::min)?;
    let (low, high) = match binning {
        Binning::EqualMass(_) => (lowest, own().reduce(f64::max)?),
        Binning::EqualWidth(bins) => {
            let place = ((lowest * bins as f64) as usize).min(bins - 1) as f64;
            (place / bins as f64, (place + 1.0) / bins as f64)
        }
    };
    Some(ReliabilityBin {
        low,
        high,
        rows: rows.len(),
        positives,
        mean_probability: own().sum::<f64>() / rows.len() as f64,
        interval: wilson_interval(positives, rows.len())?,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::expected_calibration_error;

    fn rows() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        proptest::collection::vec((0_u8..=20, any::<bool>()), 1..60)
            .prop_map(|rows| rows.into_iter().map(|(p, label)| (f64::from(p) / 20.0, label)).unzip())
    }

    fn binnings() -> impl Strategy<Value = Binning> {
        (1_usize..15, any::<bool>()).prop_map(|(bins, width)| {
            if width { Binning::EqualWidth(bins) } else { Binning::EqualMass(bins) }
        })
    }

    proptest! {
        #[test]
        fn bins_hold_every_row_once_and_give_the_error((p, labels) in rows(), binning in binnings()) {
            let bins = reliability_bins(&p, &labels, binning).unwrap();
            prop_assert_eq!(bins.iter().map(|bin| bin.rows).sum::<usize>(), p.len());
            let positives = labels.iter().filter(|label| **label).count();
            prop_assert_eq!(bins.iter().map(|bin| bin.positives).sum::<usize>(), positives);
            let gaps = bins.iter().map(|bin| bin.rows as f64 * (bin.share() - bin.mean_probability).abs());
            let error = gaps.sum::<f64>() / p.len() as f64;
            prop_assert!((calibration_error(&p, &labels, binning).unwrap() - error).abs() < 1e-12);
            for bin in &bins {
                let inside = bin.low - 1e-12 <= bin.mean_probability && bin.mean_probability <= bin.high + 1e-12;
                prop_assert!(inside && bin.interval.0 <= bin.share() && bin.share() <= bin.interval.1);
            }
        }

        #[test]
        fn bins_of_equal_mass_part_no_tie((p, labels) in rows(), bins in 1_usize..15) {
            let found = reliability_bins(&p, &labels, Binning::EqualMass(bins)).unwrap();
            prop_assert!(found.len() <= bins);
            prop_assert!(found.windows(2).all(|pair| pair[0].high < pair[1].low));
        }

        #[test]
        fn ten_bins_of_equal_width_are_the_default((p, labels) in rows()) {
            let found = calibration_error(&p, &labels, Binning::EqualWidth(10)).unwrap();
            prop_assert!((found - expected_calibration_error(&p, &labels).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn distinct_probabilities_make_bins_of_equal_size() {
        let p: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let bins = reliability_bins(&p, &[false; 100], Binning::EqualMass(10)).unwrap();
        assert_eq!(bins.iter().map(|bin| bin.rows).collect::<Vec<_>>(), [10; 10]);
    }

    #[test]
    fn a_calibrated_model_is_at_its_noise_floor_and_a_boastful_one_far_above() {
        let p: Vec<f64> = (0..2_000).map(|i| 0.25 + f64::from(i % 50) / 100.0).collect();
        let mut random = SplitMix64::stream(5, 0);
        let fair: Vec<bool> = p.iter().map(|p| random.unit() < *p).collect();
        let binning = Binning::EqualMass(10);
        let floor = calibration_noise_floor(&p, binning, 200, 1).unwrap();
        assert_eq!(calibration_noise_floor(&p, binning, 200, 1), Some(floor));
        let error = calibration_error(&p, &fair, binning).unwrap();
        assert!(0.5 * floor < error && error < 2.0 * floor, "{error} at a floor of {floor}");
        let boastful: Vec<f64> = p.iter().map(|p| if *p < 0.5 { 0.02 } else { 0.98 }).collect();
        assert!(calibration_error(&boastful, &fair, binning).unwrap() > 5.0 * floor);
    }

    #[test]
    fn certain_probabilities_have_no_noise() {
        assert_eq!(calibration_noise_floor(&[0.0, 1.0], Binning::EqualWidth(10), 20, 0), Some(0.0));
    }

    #[test]
    fn without_rows_bins_or_repeats_there_is_no_figure() {
        assert_eq!(reliability_bins(&[], &[], Binning::EqualWidth(10)), None);
        assert_eq!(reliability_bins(&[0.5], &[true], Binning::EqualWidth(0)), None);
        assert_eq!(calibration_error(&[1.5], &[true], Binning::EqualMass(2)), None);
        assert_eq!(calibration_noise_floor(&[0.5], Binning::EqualMass(2), 0, 0), None);
        assert_eq!(calibration_noise_floor(&[], Binning::EqualMass(2), 9, 0), None);
    }
}
