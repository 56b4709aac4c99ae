//! Pairs of sets that may be similar, found without comparing all pairs: `MinHash`
//! (Broder 1997) with banding (Leskovec, Rajaraman and Ullman, "Mining of Massive
//! Datasets", section 3.4). Two sets of Jaccard similarity `s` agree in one
//! minimum with probability `s`, so in all `rows` of one of `bands` with
//! `1 - (1 - s^rows)^bands`. Signatures are not kept: each band is computed from
//! the sets when its turn comes, which costs the same and saves the memory.

use rayon::prelude::*;

use crate::fingerprint::{jaccard, mix};

use super::Threshold;

/// Chance to miss a pair that lies exactly at the threshold.
const MISS: f64 = 0.001;

/// Minima that may be computed for each set.
const MOST_MINIMA: usize = 192;

/// Sets that share a band's key with more others than this are compared with
/// this many only, or texts made from one template would take quadratic time.
const NEIGHBOURS: usize = 64;

/// How minima are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Banding {
    bands: usize,
    rows: usize,
}

impl Banding {
    /// The most selective banding that finds a pair at the threshold with a
    /// probability of at least 0.999.
    pub(super) fn new(threshold: Threshold) -> Self {
        let bands = |rows: usize| {
            let agree = threshold.get().powi(rows as i32);
            if agree >= 1.0 { 1 } else { (MISS.ln() / (1.0 - agree).ln()).ceil() as usize }
        };
        let affordable = (1..=MOST_MINIMA).take_while(|rows| rows * bands(*rows) <= MOST_MINIMA);
        // Below a threshold of about 0.04 not even single minima are affordable;
        // then recall at the threshold is what `recall` says.
        let rows = affordable.last().unwrap_or(1);
        Self { rows, bands: bands(rows).min(MOST_MINIMA / rows) }
    }

    /// The probability to find a pair of a similarity.
    pub(super) fn recall(self, similarity: f64) -> f64 {
        1.0 - (1.0 - similarity.powi(self.rows as i32)).powi(self.bands as i32)
    }

    /// A band's key of a set that is not empty.
    fn key(self, band: usize, set: &[u32]) -> u64 {
        let minimum = |row: usize| {
            let seed = mix((band * self.rows + row + 1) as u64);
            set.iter().map(|shingle| mix(seed ^ u64::from(*shingle))).min().unwrap_or(0)
        };
        (0..self.rows).fold(0, |key, row| mix(key ^ minimum(row)))
    }
}

/// Sets of shingles, one after another in one list.
#[derive(Debug, Default)]
pub(super) struct Sets {
    shingles: Vec<u32>,
    ends: Vec<usize>,
}

impl Sets {
    pub(super) fn push(&mut self, set: &[u32]) {
        self.shingles.extend_from_slice(set);
        self.ends.push(self.shingles.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, at: usize) -> &[u32] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.shingles[start..self.ends[at]]
    }
}

/// Two sets that are similar indeed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) jaccard: f64,
}

/// What was found, and where not everything was looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Sorted, each once, `first < second`.
    pub(super) pairs: Vec<Pair>,
    /// Groups of sets with one key that were too large to compare all pairs.
    pub(super) crowded: usize,
}

/// All pairs that some band brings together, that are wanted, and whose true
/// similarity reaches the threshold.
pub(super) fn similar(sets: &Sets, threshold: Threshold, wanted: impl Fn(u32, u32) -> bool + Sync) -> Found {
    let banding = Banding::new(threshold);
    let mut found = Found::default();
    for band in 0..banding.bands {
        let mut keys = (0..sets.len() as u32)
            .into_par_iter()
            .map(|at| (banding.key(band, sets.get(at as usize)), at))
            .collect::<Vec<_>>();
        keys.par_sort_unstable();
        let groups = keys.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1).collect::<Vec<_>>();
        found.crowded += groups.iter().filter(|group| group.len() > NEIGHBOURS + 1).count();
        found.pairs.par_extend(groups.into_par_iter().flat_map_iter(pairs_of).filter_map(
            |(first, second)| {
                let jaccard =
                    if wanted(first, second) { compare(sets, first, second, threshold) } else { None };
                jaccard.map(|jaccard| Pair { first, second, jaccard })
            },
        ));
        if found.pairs.len() > 1 << 22 {
            tidy(&mut found.pairs);
        }
    }
    tidy(&mut found.pairs);
    found
}

fn pairs_of(group: &[(u64, u32)]) -> impl Iterator<Item = (u32, u32)> + '_ {
    let after = |at: usize| group[at + 1..].iter().take(NEIGHBOURS);
    (0..group.len()).flat_map(move |at| after(at).map(move |(_, other)| (group[at].1, *other)))
}

/// The similarity, where it reaches the threshold. The sizes alone rule most
/// others out.
fn compare(sets: &Sets, first: u32, second: u32, threshold: Threshold) -> Option<f64> {
    let (a, b) = (sets.get(first as usize), sets.get(second as usize));
    let most = a.len().min(b.len()) as f64 / a.len().max(b.len()) as f64;
    let similarity = if most < threshold.get() { return None } else { jaccard(a, b) };
    (similarity >= threshold.get()).then_some(similarity)
}

fn tidy(pairs: &mut Vec<Pair>) {
    pairs.par_sort_unstable_by_key(|pair| (pair.first, pair.second));
    pairs.dedup_by_key(|pair| (pair.first, pair.second));
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn threshold(value: f64) -> Threshold {
        Threshold::new(value).unwrap()
    }

    #[test]
    fn the_banding_keeps_its_promise_at_every_threshold() {
        for percent in 5..=100 {
            let at = f64::from(percent) / 100.0;
            let banding = Banding::new(threshold(at));
            assert!(banding.recall(at) >= 1.0 - MISS - 1e-9, "{at}: {banding:?}");
            assert!(banding.bands * banding.rows <= MOST_MINIMA, "{at}: {banding:?}");
        }
        assert_eq!(Banding::new(threshold(0.8)), Banding { bands: 23, rows: 6 });
    }

    /// Two sets of `size` with exactly `shared` members in common.
    fn planted(number: u32, size: u32, shared: u32) -> [Vec<u32>; 2] {
        let member =
            |i: u32, side: u32| mix(u64::from(number) << 32 | u64::from(side) << 20 | u64::from(i)) as u32;
        [0, 1].map(|side| {
            let mut set = (0..size).map(|i| member(i, if i < shared { 2 } else { side })).collect::<Vec<_>>();
            set.sort_unstable();
            set.dedup();
            set
        })
    }

    #[test]
    fn planted_pairs_at_the_threshold_are_found_and_others_are_not() {
        let mut sets = Sets::default();
        // 40 of 45 + 45 - 40 is 0.8; 39 of 51 is 0.76.
        for number in 0..4000 {
            let shared = if number % 2 == 0 { 40 } else { 39 };
            planted(number, 45, shared).iter().for_each(|set| sets.push(set));
        }
        let found = similar(&sets, threshold(0.8), |_, _| true);
        assert!(found.pairs.iter().all(|pair| pair.first % 4 == 0 && pair.second == pair.first + 1));
        // The expected recall is 0.9989; ten misses of 2,000 are four standard deviations off.
        assert!(found.pairs.len() >= 1990, "{} of 2000", found.pairs.len());
        assert_eq!(found.crowded, 0);
    }

    #[test]
    fn all_pairs_agree_with_the_comparison_of_all_with_all() {
        let mut sets = Sets::default();
        for number in 0..60_u32 {
            // Overlapping runs of numbers: similarity falls slowly with distance.
            sets.push(&(number..number + 30).collect::<Vec<_>>());
        }
        let found = similar(&sets, threshold(0.7), |_, _| true);
        let expected = (0..60_u32).flat_map(|i| (i + 1..60).map(move |j| (i, j)));
        let expected = expected.filter(|(i, j)| jaccard(sets.get(*i as usize), sets.get(*j as usize)) >= 0.7);
        let pairs = found.pairs.iter().map(|pair| (pair.first, pair.second)).collect::<Vec<_>>();
        assert_eq!(pairs, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_crowd_is_told() {
        let mut sets = Sets::default();
        (0..200).for_each(|_| sets.push(&[1, 2, 3]));
        let found = similar(&sets, threshold(0.8), |_, _| true);
        assert_eq!(found.crowded, Banding::new(threshold(0.8)).bands);
        assert_eq!(found.pairs.len(), (0..200).map(|i| NEIGHBOURS.min(199 - i)).sum::<usize>());
    }
}
