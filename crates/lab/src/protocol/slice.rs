//! Items that share a value of one of their slices: a language, a length.

use std::collections::BTreeMap;

/// A value of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) key: String,
    pub(super) value: String,
    /// Number of items.
    pub(super) items: usize,
}

impl Slice {
    /// The slices of some items, by key and value.
    pub(super) fn all<'a>(items: impl Iterator<Item = &'a BTreeMap<String, String>>) -> Vec<Self> {
        let mut counts = BTreeMap::new();
        for pair in items.flatten() {
            *counts.entry(pair).or_insert(0) += 1;
        }
        let slice = |((key, value), items): ((&String, &String), usize)| Self {
            key: key.clone(),
            value: value.clone(),
            items,
        };
        counts.into_iter().map(slice).collect()
    }

    /// Whether an item with these slices is in this one.
    pub(super) fn holds(&self, slices: &BTreeMap<String, String>) -> bool {
        slices.get(&self.key).is_some_and(|value| *value == self.value)
    }

    /// How it is called in names of figures: `language=fr`.
    pub(super) fn name(&self) -> String {
        format!("{}={}", self.key, self.value)
    }
}
