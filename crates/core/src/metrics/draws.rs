//! Several draws of the bootstrap evaluated side by side. What a figure needs
//! stands in memory once; going over it is what a draw costs, so one pass serves
//! [`LANES`] draws, with a few instructions on all of them for each entry.

/// Draws that are evaluated side by side: their bytes for one cluster are half a
/// cache line.
pub const LANES: usize = 32;

/// A value for each of the draws.
pub type Lanes<V> = [V; LANES];

/// Words that the bytes of all lanes take.
const WORDS: usize = LANES / 8;

/// Every other byte of a word.
const EVEN_BYTES: u64 = 0x00FF_00FF_00FF_00FF;

/// Clusters that [`Totals`] can take: 255 times so many is still below 2^16.
pub(super) const CHUNK: usize = 256;

/// How often one cluster is in each of the draws, a byte each: those of the first
/// half of the lanes are the even bytes, of the second half the odd ones. Aligned, so
/// that it never spans two cache lines.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
pub(super) struct Times([u64; WORDS]);

impl Times {
    fn of(times: Lanes<u8>) -> Self {
        let word = |word: usize| {
            let byte = |byte: usize| times[4 * word + byte / 2 + byte % 2 * (LANES / 2)];
            u64::from_le_bytes(std::array::from_fn(byte))
        };
        Self(std::array::from_fn(word))
    }

    /// These under a mask of all bits or none.
    pub(super) fn masked(&self, mask: u64) -> Self {
        Self(self.0.map(|word| word & mask))
    }
}

/// Sums of at most [`CHUNK`] clusters' times: 16 bits for each lane, four lanes in a
/// word, so that two additions serve the eight lanes of a word of [`Times`] on any
/// processor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    first_half: [u64; WORDS],
    second_half: [u64; WORDS],
}

impl Totals {
    pub(super) fn add(&mut self, times: &Times) {
        for word in 0..WORDS {
            self.first_half[word] += times.0[word] & EVEN_BYTES;
            self.second_half[word] += (times.0[word] >> 8) & EVEN_BYTES;
        }
    }

    /// The sum of each lane.
    #[inline]
    pub(super) fn lanes(&self) -> Lanes<u16> {
        let mut lanes = [0; LANES];
        let words = self.first_half.iter().chain(&self.second_half);
        for (lanes, word) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *lanes = std::array::from_fn(|place| (word >> (16 * place)) as u16);
        }
        lanes
    }
}

/// How often each cluster is in each of [`LANES`] draws.
#[derive(Debug, Clone, Default)]
pub struct Draws {
    times: Vec<Times>,
}

impl Draws {
    /// One draw, in the first lane; the others draw nothing.
    pub fn one(multiplicities: &[u8]) -> Self {
        let mut draws = Self::default();
        draws.fill(&[multiplicities]);
        draws
    }

    /// Overwrites the draws with these multiplicities of the clusters; draws
    /// beyond them draw nothing, as do clusters beyond the end of a draw.
    pub fn fill<M: AsRef<[u8]>>(&mut self, draws: &[M]) {
        let own: [&[u8]; LANES] = std::array::from_fn(|lane| draws.get(lane).map_or(&[][..], AsRef::as_ref));
        let clusters = own.iter().map(|draw| draw.len()).max().unwrap_or(0);
        let times = |cluster| Times::of(own.map(|draw| draw.get(cluster).copied().unwrap_or(0)));
        self.times.clear();
        self.times.extend((0..clusters).map(times));
    }

    /// How often a cluster is drawn.
    pub(super) fn times(&self, cluster: u32) -> Times {
        self.times.get(cluster as usize).copied().unwrap_or_default()
    }
}

/// What a cluster adds to a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellAmount {
    /// The cluster, from 0.
    pub cluster: usize,
    /// The cell: true positives, say, or gold class x classes + predicted class.
    pub cell: usize,
    /// What is added: 1 for a row that is counted, a squared error, a cost.
    pub amount: f64,
}

/// Sums over clusters in a table of cells, under any draw of the clusters.
/// Counts come out exactly.
#[derive(Debug, Clone)]
pub struct CellSums {
    cells: usize,
    runs: Vec<Run>,
    /// The clusters of all runs.
    clusters: Vec<u32>,
}

/// Entries of one cell with the same amount: their multiplicities are summed
/// first, in whole numbers, and multiplied once.
#[derive(Debug, Clone, Copy)]
struct Run {
    cell: usize,
    amount: f64,
    /// Where its clusters end.
    end: usize,
}

impl CellSums {
    /// Collects the entries; those of one cluster and cell add up.
    ///
    /// `None` when a cell is not below `cells`, or a cluster not below 2^32.
    pub fn new(cells: usize, entries: impl IntoIterator<Item = CellAmount>) -> Option<Self> {
        let mut by_cell: Vec<Vec<(f64, u32)>> = vec![Vec::new(); cells];
        for entry in entries {
            by_cell.get_mut(entry.cell)?.push((entry.amount, u32::try_from(entry.cluster).ok()?));
        }
        let mut sums = Self { cells, runs: Vec::new(), clusters: Vec::new() };
        for (cell, mut own) in by_cell.into_iter().enumerate() {
            own.sort_by(|a, b| a.0.total_cmp(&b.0));
            for same in own.chunk_by(|a, b| a.0.to_bits() == b.0.to_bits()) {
                sums.clusters.extend(same.iter().map(|entry| entry.1));
                sums.runs.push(Run { cell, amount: same[0].0, end: sums.clusters.len() });
            }
        }
        Some(sums)
    }

    /// The sums of each cell under each draw.
    pub fn under(&self, draws: &Draws) -> Vec<Lanes<f64>> {
        let mut sums = vec![[0.0; LANES]; self.cells];
        let mut start = 0;
        for run in &self.runs {
            for clusters in self.clusters[start..run.end].chunks(CHUNK) {
                let mut totals = Totals::default();
                clusters.iter().for_each(|&cluster| totals.add(&draws.times(cluster)));
                let sum = sums[run.cell].iter_mut().zip(totals.lanes());
                sum.for_each(|(sum, total)| *sum += run.amount * f64::from(total));
            }
            start = run.end;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Resampling;

    /// Rows of (cluster, amount, cell).
    fn rows() -> impl Strategy<Value = Vec<(usize, u8, usize)>> {
        proptest::collection::vec((0_usize..6, 0_u8..8, 0_usize..4), 1..40)
    }

    proptest! {
        #[test]
        fn a_resampled_table_is_the_table_of_the_resampled_rows(rows in rows(), seed in any::<u64>()) {
            let resampling = Resampling::new(6, seed);
            let mut drawn = vec![Vec::new(); LANES];
            drawn.iter_mut().zip(0..).for_each(|(own, draw)| resampling.draw(draw, own));
            let mut draws = Draws::one(&[9; 20]);
            draws.fill(&drawn);
            let entry = |cluster, cell, amount| CellAmount { cluster, cell, amount };
            let counts = CellSums::new(4, rows.iter().map(|row| entry(row.0, row.2, 1.0))).unwrap();
            let sums = CellSums::new(4, rows.iter().map(|row| entry(row.0, row.2, f64::from(row.1) / 3.0))).unwrap();
            let (counts, sums) = (counts.under(&draws), sums.under(&draws));
            for (lane, times) in drawn.iter().enumerate() {
                let (mut naive, mut naive_sums) = ([0.0; 4], [0.0; 4]);
                for row in &rows {
                    naive[row.2] += f64::from(times[row.0]);
                    naive_sums[row.2] += f64::from(times[row.0]) * f64::from(row.1) / 3.0;
                }
                prop_assert!((0..4).all(|cell| counts[cell][lane].to_bits() == naive[cell].to_bits()));
                prop_assert!((0..4).all(|cell| (sums[cell][lane] - naive_sums[cell]).abs() < 1e-9));
            }
        }
    }

    #[test]
    fn entries_out_of_range_are_refused() {
        let entry = |cluster, cell| [CellAmount { cluster, cell, amount: 1.0 }];
        assert!(CellSums::new(2, entry(0, 2)).is_none());
        assert!(CellSums::new(2, entry(1 << 40, 0)).is_none());
        // Too few multiplicities: the cluster was not drawn.
        let found = CellSums::new(1, entry(1, 0)).unwrap().under(&Draws::one(&[1]));
        assert_eq!(found, [[0.0; LANES]]);
    }
}
