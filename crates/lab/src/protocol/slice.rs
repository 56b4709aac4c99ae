//! Items that share a value of one of their slices: a language, a length.

use std::collections::BTreeMap;

/// A value of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) key: String,
    pub(super) value: String,
    /// The places of its items, in order.
    pub(super) places: Vec<usize>,
}

impl Slice {
    /// The slices of some items, by key and value.
    pub(super) fn all<'a>(items: impl Iterator<Item = &'a BTreeMap<String, String>>) -> Vec<Self> {
        let mut places: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, slices) in items.enumerate() {
            slices.iter().for_each(|pair| places.entry(pair).or_default().push(place));
        }
        let slice = |((key, value), places): ((&String, &String), Vec<usize>)| Self {
            key: key.clone(),
            value: value.clone(),
            places,
        };
        places.into_iter().map(slice).collect()
    }

    /// Number of items.
    pub(super) fn items(&self) -> usize {
        self.places.len()
    }

    /// How it is called in names of figures: `language=fr`.
    pub(super) fn name(&self) -> String {
        format!("{}={}", self.key, self.value)
    }
}
