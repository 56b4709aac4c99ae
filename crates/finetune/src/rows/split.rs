//! Keeps some examples apart, to choose a checkpoint by. Which ones depends on the
//! seed and on the order of the examples alone.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::Example;
use super::mersenne::Mersenne;

/// What stays together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// Families: what is kept apart has no relative among what is trained on.
    Family,
    /// Nothing: every example falls by itself.
    Row,
    /// Nothing, by KHP's published method: Python's `Random(seed).shuffle` over the
    /// rows in file order, of which the first `int(share * N)` are kept apart. Both
    /// parts stay in shuffled order. It ignores families, as the publication does.
    PublishedShuffle,
}

/// Why examples cannot be split so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// The share is no share.
    #[error("found a dev share of {found}, expected a number from 0 to below 1")]
    Share {
        /// What was given.
        found: f64,
    },
    /// A part would have no example.
    #[error(
        "nothing falls to {part}: found {examples} examples in {families} families for a dev share of \
         {share}, expected more of them, or another share"
    )]
    Empty {
        /// The part: train or dev.
        part: &'static str,
        /// All examples.
        examples: usize,
        /// Their families.
        families: usize,
        /// The wanted share.
        share: f64,
    },
}

/// Splits examples into those to train on and those that are kept apart (dev), about
/// `dev_share` of all. Both keep their order, save for [`SplitBy::PublishedShuffle`].
///
/// # Errors
/// If the share is no share, or if a part comes out empty; a share of 0 asks for an
/// empty dev.
pub fn split(
    examples: Vec<Example>,
    dev_share: f64,
    seed: u64,
    by: SplitBy,
) -> Result<(Vec<Example>, Vec<Example>), SplitError> {
    if !(0.0..1.0).contains(&dev_share) {
        return Err(SplitError::Share { found: dev_share });
    }
    let (count, families) = (examples.len(), families(&examples).len());
    // As Python's `int`, downwards.
    let wanted = (dev_share * count as f64) as usize;
    let (train, dev) = match by {
        SplitBy::PublishedShuffle => shuffled(examples, wanted, seed),
        SplitBy::Row => {
            let apart = rows_apart(count, wanted, seed);
            deal(examples, |place, _| apart.contains(&place))
        }
        SplitBy::Family => {
            let apart = families_apart(&examples, wanted, seed);
            deal(examples, |_, example| apart.contains(&example.family))
        }
    };
    let empty = |part| Err(SplitError::Empty { part, examples: count, families, share: dev_share });
    match (train.is_empty(), dev.is_empty() && dev_share > 0.0) {
        (true, _) => empty("train"),
        (_, true) => empty("dev"),
        (false, false) => Ok((train, dev)),
    }
}

fn deal(examples: Vec<Example>, is_apart: impl Fn(usize, &Example) -> bool) -> (Vec<Example>, Vec<Example>) {
    let (mut train, mut dev) = (Vec::new(), Vec::new());
    for (place, example) in examples.into_iter().enumerate() {
        let part = if is_apart(place, &example) { &mut dev } else { &mut train };
        part.push(example);
    }
    (train, dev)
}

fn shuffled(mut examples: Vec<Example>, wanted: usize, seed: u64) -> (Vec<Example>, Vec<Example>) {
    Mersenne::new(seed).shuffle(&mut examples);
    let train = examples.split_off(wanted);
    (train, examples)
}

fn rows_apart(count: usize, wanted: usize, seed: u64) -> BTreeSet<usize> {
    let mut places = (0..count).collect::<Vec<_>>();
    Mersenne::new(seed).shuffle(&mut places);
    places.into_iter().take(wanted).collect()
}

/// Families with their sizes, in the order of their first examples.
fn families(examples: &[Example]) -> Vec<(&str, usize)> {
    let mut places = HashMap::new();
    let mut sizes: Vec<(&str, usize)> = Vec::new();
    for example in examples {
        let place = *places.entry(example.family.as_str()).or_insert(sizes.len());
        if place == sizes.len() {
            sizes.push((&example.family, 0));
        }
        sizes[place].1 += 1;
    }
    sizes
}

/// Families in the seed's order, each of which brings the count of rows nearer to the
/// wanted one. One family at least is left to train on.
fn families_apart(examples: &[Example], wanted: usize, seed: u64) -> BTreeSet<String> {
    let mut families = families(examples);
    Mersenne::new(seed).shuffle(&mut families);
    let (mut apart, mut rows) = (BTreeSet::new(), 0);
    for &(family, size) in &families {
        let is_nearer = (rows + size).abs_diff(wanted) < wanted.abs_diff(rows);
        if is_nearer && apart.len() + 1 < families.len() {
            apart.insert(family.to_owned());
            rows += size;
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use mindrail_core::language::Language;
    use proptest::prelude::*;

    use super::*;

    fn example(id: usize, family: usize) -> Example {
        Example {
            id: id.to_string(),
            family: family.to_string(),
            language: Language::En,
            inputs: Vec::new(),
            targets: BTreeMap::new(),
        }
    }

    fn ids(examples: &[Example]) -> Vec<&str> {
        examples.iter().map(|example| example.id.as_str()).collect()
    }

    #[test]
    fn the_published_shuffle_keeps_the_first_of_the_shuffled_rows_apart() {
        let examples = (0..10).map(|id| example(id, 0)).collect();
        let (train, dev) = split(examples, 0.15, 42, SplitBy::PublishedShuffle).unwrap();
        // Random(42) shuffles range(10) to 7 3 2 8 5 6 9 4 0 1, and int(1.5) is 1.
        assert_eq!(ids(&dev), ["7"]);
        assert_eq!(ids(&train), ["3", "2", "8", "5", "6", "9", "4", "0", "1"]);
    }

    #[test]
    fn khps_rows_are_split_into_the_published_counts() {
        let examples = (0..2964).map(|id| example(id, id)).collect();
        let (train, dev) = split(examples, 0.15, 42, SplitBy::PublishedShuffle).unwrap();
        assert_eq!((train.len(), dev.len()), (2520, 444));
        assert_eq!(ids(&dev)[..3], ["609", "1114", "1337"]);
    }

    #[test]
    fn a_part_without_examples_is_an_error_that_names_it() {
        let one_family = || (0..9).map(|id| example(id, 0)).collect::<Vec<_>>();
        let error = split(one_family(), 0.5, 1, SplitBy::Family).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing falls to dev: found 9 examples in 1 families for a dev share of 0.5, expected more of \
             them, or another share"
        );
        assert!(matches!(split(one_family(), 1.0, 1, SplitBy::Row), Err(SplitError::Share { .. })));
        assert!(split(one_family(), f64::NAN, 1, SplitBy::Row).is_err());
        assert!(split(Vec::new(), 0.1, 1, SplitBy::Row).is_err());
        assert_eq!(split(one_family(), 0.0, 1, SplitBy::Family).unwrap().0.len(), 9);
    }

    proptest! {
        #[test]
        fn no_example_is_lost_and_no_family_is_torn(
            families in prop::collection::vec(0..12_usize, 2..80), seed in any::<u64>(), share in 0.05..0.95_f64,
        ) {
            let examples = families.iter().enumerate().map(|(id, &family)| example(id, family)).collect::<Vec<_>>();
            for by in [SplitBy::Family, SplitBy::Row, SplitBy::PublishedShuffle] {
                let Ok((train, dev)) = split(examples.clone(), share, seed, by) else { continue };
                prop_assert_eq!(split(examples.clone(), share, seed, by).unwrap(), (train.clone(), dev.clone()));
                let mut all = train.iter().chain(&dev).map(|e| e.id.parse().unwrap()).collect::<Vec<usize>>();
                all.sort_unstable();
                prop_assert_eq!(all, (0..families.len()).collect::<Vec<_>>());
                if by == SplitBy::Family {
                    prop_assert!(dev.iter().all(|d| train.iter().all(|t| t.family != d.family)));
                } else {
                    prop_assert_eq!(dev.len(), (share * families.len() as f64) as usize);
                }
            }
        }

        #[test]
        fn small_families_come_near_to_the_wanted_share(seed in any::<u64>(), share in 0.1..0.9_f64) {
            let examples = (0..300).map(|id| example(id, id / 3)).collect();
            let (_, dev) = split(examples, share, seed, SplitBy::Family).unwrap();
            prop_assert!(dev.len().abs_diff((share * 300.0) as usize) <= 2);
        }
    }
}
