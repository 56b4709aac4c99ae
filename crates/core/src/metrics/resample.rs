//! The cluster bootstrap on counts. What a figure needs is kept for each cluster
//! (dialogue, prompt, family) once; a draw is then only how often each cluster
//! was drawn, and no row is touched again. Draw number i depends on the seed and
//! on i alone, so that callers may make draws in any order and on any number of
//! threads and get the same intervals.
//!
//! One set of multiplicities serves all figures and both systems of a
//! comparison:
//!
//! ```
//! use mindrail_core::metrics::{CellAmount, CellSums, Draws, Resampling, percentile_interval};
//!
//! // Three dialogues with 2 of 3, 1 of 1 and 0 of 2 turns right: cell 0 is right, 1 is wrong.
//! let entry = |cluster, cell, amount| CellAmount { cluster, cell, amount };
//! let entries = [entry(0, 0, 2.0), entry(0, 1, 1.0), entry(1, 0, 1.0), entry(2, 1, 2.0)];
//! let turns = CellSums::new(2, entries).unwrap();
//! let resampling = Resampling::new(3, 42);
//! let mut drawn = Vec::new();
//! let accuracies: Vec<Option<f64>> = (0..1_000)
//!     .map(|draw| {
//!         resampling.draw(draw, &mut drawn);
//!         // One draw; for many, as many side by side as there are lanes.
//!         let cells = turns.under(&Draws::one(&drawn));
//!         Some(cells[0][0] / (cells[0][0] + cells[1][0]))
//!     })
//!     .collect();
//! assert_eq!(percentile_interval(&accuracies), Some((0.0, 1.0)));
//! ```

use super::random::SplitMix64;

/// Told apart from the bootstrap draws of the same seed.
const SWAPS: u64 = 0x5357_4150;

/// The most groups of the jackknife behind an acceleration; see
/// [`Resampling::leave_out`].
const JACKKNIFE_GROUPS: usize = 2_000;

/// A plan to resample `clusters` clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    clusters: usize,
    seed: u64,
}

impl Resampling {
    /// A plan for this many clusters; equal arguments give equal draws, on every
    /// machine.
    pub fn new(clusters: usize, seed: u64) -> Self {
        Self { clusters, seed }
    }

    /// How often each cluster is in bootstrap draw number `draw`, in which as
    /// many clusters as there are have been drawn with replacement (Field and
    /// Welsh 2007). Overwrites `multiplicities`, whose storage can be reused.
    ///
    /// A byte holds a multiplicity: that one cluster comes more than 255 times has
    /// a chance below 10^-500 in any draw; it would count as 255.
    pub fn draw(&self, draw: u64, multiplicities: &mut Vec<u8>) {
        multiplicities.clear();
        multiplicities.resize(self.clusters, 0);
        let mut random = SplitMix64::stream(self.seed, draw);
        // Two indices from one number; 32 bits favour none of n clusters by more
        // than n / 2^32.
        let clusters = self.clusters as u64;
        let mut take = |cluster: usize| multiplicities[cluster] = multiplicities[cluster].saturating_add(1);
        for _ in 0..self.clusters / 2 {
            let bits = random.next();
            take((((bits >> 32) * clusters) >> 32) as usize);
            take((((bits & 0xFFFF_FFFF) * clusters) >> 32) as usize);
        }
        if !self.clusters.is_multiple_of(2) {
            take(random.below(self.clusters));
        }
    }

    /// The number of groups that the jackknife leaves out in turn: the clusters,
    /// 2,000 at most.
    pub fn jackknife_groups(&self) -> usize {
        self.clusters.min(JACKKNIFE_GROUPS)
    }

    /// Multiplicities with group number `group` of the jackknife left out: one
    /// cluster, or where there are more than 2,000, every cluster whose number
    /// has that remainder. The acceleration of `BCa` is a ratio of sums over
    /// independent influences, which groups leave as it is up to a random error
    /// of about 0.65 / groups.
    pub fn leave_out(&self, group: usize, multiplicities: &mut Vec<u8>) {
        multiplicities.clear();
        multiplicities.resize(self.clusters, 1);
        let groups = self.jackknife_groups().max(1);
        multiplicities.iter_mut().skip(group).step_by(groups).for_each(|multiplicity| *multiplicity = 0);
    }

    /// The multiplicities of the clusters as they are: 1 each.
    pub fn original(&self) -> Vec<u8> {
        vec![1; self.clusters]
    }

    /// Draw number `draw` of an approximate randomisation: `kept` is 1 for each
    /// cluster whose answers stay with their system and 0 for each whose answers
    /// the two systems exchange, `swapped` the reverse; both with probability
    /// one half. Under the swap the first system has its own counts under `kept`
    /// plus the other's under `swapped`.
    pub fn swap(&self, draw: u64, kept: &mut Vec<u8>, swapped: &mut Vec<u8>) {
        let mut random = SplitMix64::stream(self.seed ^ SWAPS, draw);
        kept.clear();
        while kept.len() < self.clusters {
            let bits = random.next();
            let missing = (self.clusters - kept.len()).min(64);
            kept.extend((0..missing).map(|bit| (bits >> bit) as u8 & 1));
        }
        swapped.clear();
        swapped.extend(kept.iter().map(|kept| 1 - kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multiplicities(resampling: Resampling, draw: u64) -> Vec<u8> {
        let mut drawn = Vec::new();
        resampling.draw(draw, &mut drawn);
        drawn
    }

    fn sum(multiplicities: &[u8]) -> u32 {
        multiplicities.iter().map(|&times| u32::from(times)).sum()
    }

    #[test]
    fn draws_do_not_depend_on_their_order() {
        let resampling = Resampling::new(7, 42);
        let forth: Vec<_> = (0..50).map(|draw| multiplicities(resampling, draw)).collect();
        let back: Vec<_> = (0..50).rev().map(|draw| multiplicities(resampling, draw)).collect();
        assert!(forth.iter().eq(back.iter().rev()));
        assert!(forth.iter().all(|drawn| sum(drawn) == 7));
        assert_ne!(forth[0], multiplicities(Resampling::new(7, 43), 0));
        // These very draws on every machine.
        assert_eq!(forth[0], [2, 0, 2, 1, 0, 2, 0]);
    }

    #[test]
    fn every_cluster_is_drawn_equally_often() {
        let resampling = Resampling::new(101, 3);
        let (mut sums, mut squares) = (vec![0_u32; 101], 0_u64);
        for draw in 0..4_000 {
            let drawn = multiplicities(resampling, draw);
            sums.iter_mut().zip(&drawn).for_each(|(sum, times)| *sum += u32::from(*times));
            squares += drawn.iter().map(|&times| u64::from(times).pow(2)).sum::<u64>();
        }
        // 4,000 expected each, standard deviation 63.
        assert!(sums.iter().all(|sum| (3_700..4_300).contains(sum)), "{sums:?}");
        // The mean square of a binomial of 101 trials with share 1/101 is 2 - 1/101.
        let mean_square = squares as f64 / (4_000.0 * 101.0);
        assert!((mean_square - (2.0 - 1.0 / 101.0)).abs() < 0.02, "{mean_square}");
    }

    #[test]
    fn swaps_are_fair_and_complementary() {
        let resampling = Resampling::new(130, 9);
        let (mut kept, mut swapped, mut total) = (Vec::new(), Vec::new(), 0);
        for draw in 0..500 {
            resampling.swap(draw, &mut kept, &mut swapped);
            assert!(kept.len() == 130 && kept.iter().zip(&swapped).all(|(a, b)| a + b == 1));
            total += sum(&kept);
        }
        // 32,500 expected of 65,000, standard deviation 127.
        assert!((31_900..33_100).contains(&total), "{total}");
    }

    #[test]
    fn the_jackknife_leaves_out_each_cluster_once() {
        for clusters in [1, 5, 2_000, 4_321] {
            let resampling = Resampling::new(clusters, 0);
            let (mut left_out, mut drawn) = (0, Vec::new());
            for group in 0..resampling.jackknife_groups() {
                resampling.leave_out(group, &mut drawn);
                left_out += clusters - sum(&drawn) as usize;
            }
            assert_eq!(left_out, clusters);
        }
    }

    #[test]
    fn no_clusters_are_no_draws() {
        let empty = Resampling::new(0, 1);
        assert!(multiplicities(empty, 0).is_empty());
        let (mut kept, mut swapped) = (vec![1], vec![1]);
        empty.swap(0, &mut kept, &mut swapped);
        assert!(kept.is_empty() && swapped.is_empty() && empty.original().is_empty());
    }
}
