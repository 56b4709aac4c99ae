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
//! use mindrail_core::metrics::{CellCount, CellCounts, Resampling, percentile_interval};
//!
//! // Three dialogues with 2 of 3, 1 of 1 and 0 of 2 turns right: cell 0 is right, 1 is wrong.
//! let entry = |cluster, cell, count| CellCount { cluster, cell, count };
//! let entries = [entry(0, 0, 2), entry(0, 1, 1), entry(1, 0, 1), entry(2, 1, 2)];
//! let turns = CellCounts::new(3, 2, entries).unwrap();
//! let resampling = Resampling::new(3, 42);
//! let (mut drawn, mut cells) = (Vec::new(), [0; 2]);
//! let accuracies: Vec<Option<f64>> = (0..1_000)
//!     .map(|draw| {
//!         resampling.draw(draw, &mut drawn);
//!         turns.under(&drawn, &mut cells);
//!         Some(cells[0] as f64 / (cells[0] + cells[1]) as f64)
//!     })
//!     .collect();
//! assert_eq!(percentile_interval(&accuracies), Some((0.0, 1.0)));
//! ```

use super::random::SplitMix64;
use super::ranking::TieGroup;

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
    pub fn draw(&self, draw: u64, multiplicities: &mut Vec<u32>) {
        multiplicities.clear();
        multiplicities.resize(self.clusters, 0);
        let mut random = SplitMix64::stream(self.seed, draw);
        // Two indices from one number; 32 bits favour none of n clusters by more
        // than n / 2^32.
        let clusters = self.clusters as u64;
        for _ in 0..self.clusters / 2 {
            let bits = random.next();
            multiplicities[(((bits >> 32) * clusters) >> 32) as usize] += 1;
            multiplicities[(((bits & 0xFFFF_FFFF) * clusters) >> 32) as usize] += 1;
        }
        if !self.clusters.is_multiple_of(2) {
            multiplicities[random.below(self.clusters)] += 1;
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
    pub fn leave_out(&self, group: usize, multiplicities: &mut Vec<u32>) {
        multiplicities.clear();
        multiplicities.resize(self.clusters, 1);
        let groups = self.jackknife_groups().max(1);
        multiplicities.iter_mut().skip(group).step_by(groups).for_each(|multiplicity| *multiplicity = 0);
    }

    /// The multiplicities of the clusters as they are: 1 each.
    pub fn original(&self) -> Vec<u32> {
        vec![1; self.clusters]
    }

    /// Draw number `draw` of an approximate randomisation: `kept` is 1 for each
    /// cluster whose answers stay with their system and 0 for each whose answers
    /// the two systems exchange, `swapped` the reverse; both with probability
    /// one half. Under the swap the first system has its own counts under `kept`
    /// plus the other's under `swapped`.
    pub fn swap(&self, draw: u64, kept: &mut Vec<u32>, swapped: &mut Vec<u32>) {
        let mut random = SplitMix64::stream(self.seed ^ SWAPS, draw);
        kept.clear();
        while kept.len() < self.clusters {
            let bits = random.next();
            let missing = (self.clusters - kept.len()).min(64);
            kept.extend((0..missing).map(|bit| (bits >> bit) as u32 & 1));
        }
        swapped.clear();
        swapped.extend(kept.iter().map(|kept| 1 - kept));
    }
}

/// Values of clusters, cell by cell: for each cell, the clusters that have
/// something in it.
#[derive(Debug, Clone)]
struct ByCell<V> {
    /// Where the entries of each cell end.
    ends: Vec<usize>,
    entries: Vec<(u32, V)>,
}

impl<V: Copy> ByCell<V> {
    /// `None` when an entry's cluster or cell is out of range.
    fn new(
        clusters: usize,
        cells: usize,
        entries: impl IntoIterator<Item = (usize, usize, V)>,
    ) -> Option<Self> {
        let mut rows: Vec<(usize, usize, V)> = entries.into_iter().collect();
        let in_range = |row: &(usize, usize, V)| row.0 < clusters && row.1 < cells;
        if !rows.iter().all(in_range) || u32::try_from(clusters).is_err() {
            return None;
        }
        rows.sort_by_key(|row| (row.1, row.0));
        let ends = (0..cells).map(|cell| rows.partition_point(|row| row.1 <= cell)).collect();
        Some(Self { ends, entries: rows.into_iter().map(|row| (row.0 as u32, row.2)).collect() })
    }

    /// The entries of each cell.
    fn cells(&self) -> impl Iterator<Item = &[(u32, V)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.entries[start..end])
    }
}

/// `count` rows of a cluster that fall into a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellCount {
    /// The cluster, from 0.
    pub cluster: usize,
    /// The cell: true positives, say, or gold class x classes + predicted class.
    pub cell: usize,
    /// Number of rows.
    pub count: u32,
}

/// Counts of each cluster in a table of cells, from which the table of any
/// resample is summed in time linear in the entries, at most one for each row.
#[derive(Debug, Clone)]
pub struct CellCounts(ByCell<u32>);

impl CellCounts {
    /// Collects the entries; those of one cluster and cell add up.
    ///
    /// `None` when a cluster is not below `clusters` or a cell not below `cells`.
    pub fn new(clusters: usize, cells: usize, entries: impl IntoIterator<Item = CellCount>) -> Option<Self> {
        let parts = |entry: CellCount| (entry.cluster, entry.cell, entry.count);
        let mut by_cell = ByCell::new(clusters, cells, entries.into_iter().map(parts))?;
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(by_cell.entries.len());
        let mut start = 0;
        for end in &mut by_cell.ends {
            for same in by_cell.entries[start..*end].chunk_by(|a, b| a.0 == b.0) {
                merged.push((same[0].0, same.iter().map(|entry| entry.1).sum()));
            }
            start = std::mem::replace(end, merged.len());
        }
        by_cell.entries = merged;
        Some(Self(by_cell))
    }

    /// The table when each cluster counts as often as its multiplicity says;
    /// clusters beyond `multiplicities` count 0 times. Overwrites `cells`.
    pub fn under(&self, multiplicities: &[u32], cells: &mut [usize]) {
        cells.fill(0);
        self.add_under(multiplicities, cells);
    }

    /// As [`Self::under`], but adds to what `cells` holds.
    pub fn add_under(&self, multiplicities: &[u32], cells: &mut [usize]) {
        for (cell, entries) in cells.iter_mut().zip(self.0.cells()) {
            let count = |&(cluster, count): &(u32, u32)| {
                u64::from(multiplicities.get(cluster as usize).copied().unwrap_or(0)) * u64::from(count)
            };
            *cell += entries.iter().map(count).sum::<u64>() as usize;
        }
    }
}

/// An amount that a cluster adds to a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellAmount {
    /// The cluster, from 0.
    pub cluster: usize,
    /// The cell.
    pub cell: usize,
    /// What is added.
    pub amount: f64,
}

/// As [`CellCounts`], for sums that are not counts: squared errors, gaps of
/// calibration bins, costs.
#[derive(Debug, Clone)]
pub struct CellSums(ByCell<f64>);

impl CellSums {
    /// Collects the entries.
    ///
    /// `None` when a cluster is not below `clusters` or a cell not below `cells`.
    pub fn new(clusters: usize, cells: usize, entries: impl IntoIterator<Item = CellAmount>) -> Option<Self> {
        let parts = |entry: CellAmount| (entry.cluster, entry.cell, entry.amount);
        ByCell::new(clusters, cells, entries.into_iter().map(parts)).map(Self)
    }

    /// The sums under these multiplicities, as [`CellCounts::under`].
    pub fn under(&self, multiplicities: &[u32], cells: &mut [f64]) {
        for (cell, entries) in cells.iter_mut().zip(self.0.cells()) {
            let weight = |cluster: u32| multiplicities.get(cluster as usize).copied().unwrap_or(0);
            *cell = entries.iter().map(|&(cluster, amount)| f64::from(weight(cluster)) * amount).sum();
        }
    }
}

/// Rows sorted by score once, of which each resample takes some several times
/// and others not at all.
#[derive(Debug, Clone)]
pub struct ClusteredRanking {
    rows: Vec<RankedRow>,
    /// Number of distinct scores.
    groups: usize,
}

/// A row in order of falling score.
#[derive(Debug, Clone, Copy)]
struct RankedRow {
    cluster: u32,
    /// All bits for a positive row, none for a negative one.
    if_positive: u32,
    /// Whether the next row has a lower score.
    ends_group: bool,
}

impl ClusteredRanking {
    /// Sorts the rows; `clusters` holds the cluster of each.
    ///
    /// `None` when there is no row, when the lengths differ, when a score is NaN
    /// or a cluster not below 2^32.
    pub fn new(scores: &[f64], labels: &[bool], clusters: &[usize]) -> Option<Self> {
        let same_length = scores.len() == labels.len() && scores.len() == clusters.len();
        let unusable = scores.is_empty() || scores.iter().any(|score| score.is_nan());
        if unusable || !same_length || clusters.iter().any(|&cluster| u32::try_from(cluster).is_err()) {
            return None;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let ranked = |(place, &row): (usize, &usize)| RankedRow {
            cluster: clusters[row] as u32,
            if_positive: if labels[row] { u32::MAX } else { 0 },
            ends_group: order.get(place + 1).is_none_or(|&next| scores[row] > scores[next]),
        };
        let rows: Vec<RankedRow> = order.iter().enumerate().map(ranked).collect();
        let groups = rows.iter().filter(|row| row.ends_group).count();
        Some(Self { rows, groups })
    }

    /// The tie groups, highest score first, when each cluster counts as often as
    /// its multiplicity says; clusters beyond `multiplicities` count 0 times.
    /// Overwrites `groups`. Read figures off them with
    /// [`auroc_of_groups`](super::auroc_of_groups) and its neighbours.
    pub fn under(&self, multiplicities: &[u32], groups: &mut Vec<TieGroup>) {
        groups.resize(self.groups, TieGroup::default());
        let (mut place, mut group) = (0, TieGroup::default());
        // Without a branch on labels or ties, which no processor can foresee: the
        // group so far is written after each row, and moved on from at its end.
        for row in &self.rows {
            let times = multiplicities.get(row.cluster as usize).copied().unwrap_or(0);
            group.positives += times & row.if_positive;
            group.negatives += times & !row.if_positive;
            groups[place] = group;
            place += usize::from(row.ends_group);
            let goes_on = u32::from(row.ends_group).wrapping_sub(1);
            group.positives &= goes_on;
            group.negatives &= goes_on;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{auroc, auroc_of_groups, average_precision, average_precision_of_groups};
    use crate::metrics::{recall_at_fpr, recall_at_fpr_of_groups};

    fn multiplicities(resampling: Resampling, draw: u64) -> Vec<u32> {
        let mut drawn = Vec::new();
        resampling.draw(draw, &mut drawn);
        drawn
    }

    #[test]
    fn draws_do_not_depend_on_their_order() {
        let resampling = Resampling::new(7, 42);
        let forth: Vec<_> = (0..50).map(|draw| multiplicities(resampling, draw)).collect();
        let back: Vec<_> = (0..50).rev().map(|draw| multiplicities(resampling, draw)).collect();
        assert!(forth.iter().eq(back.iter().rev()));
        assert!(forth.iter().all(|drawn| drawn.iter().sum::<u32>() == 7));
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
            sums.iter_mut().zip(&drawn).for_each(|(sum, times)| *sum += times);
            squares += drawn.iter().map(|&times| u64::from(times * times)).sum::<u64>();
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
            total += kept.iter().sum::<u32>();
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
                left_out += clusters - drawn.iter().sum::<u32>() as usize;
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

    /// Rows of (cluster, score, label, cell).
    fn rows() -> impl Strategy<Value = Vec<(usize, u8, bool, usize)>> {
        proptest::collection::vec((0_usize..6, 0_u8..8, any::<bool>(), 0_usize..4), 1..40)
    }

    proptest! {
        #[test]
        fn a_resampled_table_is_the_table_of_the_resampled_rows(rows in rows(), draw in any::<u64>()) {
            let drawn = multiplicities(Resampling::new(6, 1), draw);
            let entries = rows.iter().map(|row| CellCount { cluster: row.0, cell: row.3, count: 1 });
            let counts = CellCounts::new(6, 4, entries).unwrap();
            let amounts = rows.iter().map(|row| CellAmount { cluster: row.0, cell: row.3, amount: f64::from(row.1) });
            let sums = CellSums::new(6, 4, amounts).unwrap();
            let (mut found, mut summed) = ([9; 4], [9.0; 4]);
            counts.under(&drawn, &mut found);
            sums.under(&drawn, &mut summed);
            let (mut naive, mut naive_sums) = ([0; 4], [0.0; 4]);
            for row in &rows {
                naive[row.3] += drawn[row.0] as usize;
                naive_sums[row.3] += f64::from(drawn[row.0]) * f64::from(row.1);
            }
            prop_assert_eq!(found, naive);
            prop_assert!(summed.iter().zip(naive_sums).all(|(a, b)| (a - b).abs() < 1e-9));
            counts.add_under(&drawn, &mut found);
            prop_assert_eq!(found, naive.map(|count| 2 * count));
        }

        #[test]
        fn a_resampled_ranking_is_the_ranking_of_the_resampled_rows(rows in rows(), draw in any::<u64>()) {
            let drawn = multiplicities(Resampling::new(6, 2), draw);
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.1)).collect();
            let labels: Vec<bool> = rows.iter().map(|row| row.2).collect();
            let clusters: Vec<usize> = rows.iter().map(|row| row.0).collect();
            let mut groups = Vec::new();
            ClusteredRanking::new(&scores, &labels, &clusters).unwrap().under(&drawn, &mut groups);
            let repeated = rows.iter().flat_map(|row| std::iter::repeat_n(row, drawn[row.0] as usize));
            let (scores, labels): (Vec<f64>, Vec<bool>) = repeated.map(|row| (f64::from(row.1), row.2)).unzip();
            prop_assert_eq!(auroc_of_groups(&groups), auroc(&scores, &labels));
            prop_assert_eq!(recall_at_fpr_of_groups(&groups, 0.2), recall_at_fpr(&scores, &labels, 0.2));
            let (found, naive) = (average_precision_of_groups(&groups), average_precision(&scores, &labels));
            prop_assert_eq!(found.is_some(), naive.is_some());
            prop_assert!((found.unwrap_or(0.0) - naive.unwrap_or(0.0)).abs() < 1e-12);
        }
    }

    #[test]
    fn entries_out_of_range_are_refused() {
        let entry = |cluster, cell| [CellCount { cluster, cell, count: 1 }];
        assert!(CellCounts::new(2, 2, entry(2, 0)).is_none());
        assert!(CellCounts::new(2, 2, entry(0, 2)).is_none());
        assert!(CellSums::new(2, 2, [CellAmount { cluster: 5, cell: 0, amount: 1.0 }]).is_none());
        assert!(ClusteredRanking::new(&[f64::NAN], &[true], &[0]).is_none());
        assert!(ClusteredRanking::new(&[0.5], &[true], &[]).is_none());
        assert!(ClusteredRanking::new(&[], &[], &[]).is_none());
        // Too few multiplicities: the cluster was not drawn.
        let mut cells = [7];
        CellCounts::new(2, 1, entry(1, 0)).unwrap().under(&[1], &mut cells);
        assert_eq!(cells, [0]);
    }
}
