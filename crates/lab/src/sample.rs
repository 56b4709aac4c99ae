//! A part of the data for a quick look: whole clusters, drawn with a seed. The head
//! of a file is no sample of it, and half a pair cannot be judged.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use mindrail_core::digest::sha256;

use crate::protocol::Item;

/// Which clusters were drawn. Displays as what a report says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    clusters: HashSet<String>,
    items: usize,
    all_items: usize,
    all_clusters: usize,
    seed: u64,
}

/// Why nothing is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("found a limit of {limit} items, expected at least {smallest}: items that belong together stay so")]
pub struct DrawError {
    /// The limit.
    pub limit: usize,
    /// Items of the smallest cluster.
    pub smallest: usize,
}

/// Draws whole clusters of at most `limit` items together. They are taken in an
/// order that depends on `seed` and their names alone; one that is larger than what
/// is left of the limit is passed over.
///
/// # Errors
/// [`DrawError`] when no cluster is small enough.
pub fn draw<I, G>(items: &[Item<I, G>], limit: usize, seed: u64) -> Result<Draw, DrawError> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        *sizes.entry(item.cluster.as_str()).or_default() += 1;
    }
    let mut shuffled: Vec<(&str, usize)> = sizes.into_iter().collect();
    shuffled.sort_by_cached_key(|(cluster, _)| sha256(format!("{seed}:{cluster}").as_bytes()));
    let mut left = limit;
    let mut clusters = HashSet::new();
    for &(cluster, size) in &shuffled {
        if size <= left {
            left -= size;
            clusters.insert(cluster.to_owned());
        }
    }
    if clusters.is_empty() {
        let smallest = shuffled.iter().map(|(_, size)| *size).min().unwrap_or(0);
        return Err(DrawError { limit, smallest });
    }
    let all_clusters = shuffled.len();
    Ok(Draw { clusters, items: limit - left, all_items: items.len(), all_clusters, seed })
}

impl Draw {
    /// Keeps the items that were drawn, in their order.
    pub fn keep<I, G>(&self, items: &mut Vec<Item<I, G>>) {
        items.retain(|item| self.holds(item));
    }

    /// Whether an item was drawn.
    pub fn holds<I, G>(&self, item: &Item<I, G>) -> bool {
        self.clusters.contains(&item.cluster)
    }
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clusters, items, all_items, all_clusters, seed } = self;
        let drawn = clusters.len();
        write!(
            f,
            "{items} of {all_items} items, in {drawn} of {all_clusters} clusters, drawn with seed {seed}"
        )
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn items(sizes: &[usize]) -> Vec<Item<(), ()>> {
        let item = |cluster: usize, number: usize| Item {
            id: format!("row-{cluster}:{number}"),
            cluster: format!("prompt-{cluster}"),
            slices: BTreeMap::new(),
            input: (),
            gold: (),
        };
        let all = sizes.iter().enumerate();
        all.flat_map(|(cluster, &size)| (0..size).map(move |number| item(cluster, number))).collect()
    }

    fn ids(sizes: &[usize], limit: usize, seed: u64) -> Vec<String> {
        let mut all = items(sizes);
        draw(&all, limit, seed).unwrap().keep(&mut all);
        all.into_iter().map(|item| item.id).collect()
    }

    #[test]
    fn pairs_stay_whole_and_the_seed_decides_which_are_drawn() {
        let drawn = ids(&[2; 50], 9, 17);
        assert_eq!(drawn.len(), 8);
        for pair in drawn.chunks(2) {
            assert_eq!(pair[0].replace(":0", ":1"), pair[1]);
        }
        assert_eq!(drawn, ids(&[2; 50], 9, 17));
        assert_ne!(drawn, ids(&[2; 50], 9, 18));
        assert_ne!(drawn[..2], ["row-0:0", "row-0:1"], "the head of the file is no sample");
    }

    #[test]
    fn a_limit_below_the_smallest_cluster_is_refused_with_what_is_needed() {
        for limit in [0, 1] {
            let error = draw(&items(&[3, 2]), limit, 17).unwrap_err();
            assert_eq!(error, DrawError { limit, smallest: 2 });
        }
    }

    #[test]
    fn a_report_says_what_was_drawn_of_what() {
        let found = draw(&items(&[2; 4]), 5, 17).unwrap().to_string();
        assert_eq!(found, "4 of 8 items, in 2 of 4 clusters, drawn with seed 17");
    }

    proptest! {
        #[test]
        fn only_whole_clusters_are_drawn_and_never_more_than_the_limit(
            sizes in prop::collection::vec(1usize..9, 1..20),
            limit in 9usize..60,
            seed: u64,
        ) {
            let drawn = ids(&sizes, limit, seed);
            prop_assert!(drawn.len() <= limit);
            // Where everything fits, everything is drawn.
            prop_assert!(sizes.iter().sum::<usize>() > limit || drawn.len() == sizes.iter().sum::<usize>());
            for (cluster, &size) in sizes.iter().enumerate() {
                let own = drawn.iter().filter(|id| id.starts_with(&format!("row-{cluster}:"))).count();
                prop_assert!(own == 0 || own == size);
            }
        }
    }
}
