//! Examples for few-shot prompts: drawn with a seed, balanced over the kinds of
//! item, and never from what is tested. An example that shares its id, its
//! cluster or its words with a tested item would measure memory.

use std::collections::HashSet;

use super::{Benched, ItemOf};
use crate::protocol::Item;

/// Examples that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ShotsError {
    /// Too few items are left.
    #[error(
        "found {found} usable examples, expected {expected}: {excluded} of the file's items share an id, a family or their text with the tested data"
    )]
    TooFew {
        /// Items that may be shown.
        found: usize,
        /// Items that were asked for.
        expected: usize,
        /// Items that may not.
        excluded: usize,
    },
}

/// Chooses `count` examples out of `pool`: one of each kind in turn, in kind
/// order, and gives their text. `tested` is what must not be shown.
///
/// # Errors
/// [`ShotsError`] when too few may be shown.
pub fn choose_shots<P: Benched>(
    protocol: &P,
    pool: &[ItemOf<P>],
    tested: &[ItemOf<P>],
    count: usize,
    seed: u64,
) -> Result<String, ShotsError> {
    let names: HashSet<&str> = tested.iter().flat_map(own_names).collect();
    let lines: HashSet<String> =
        tested.iter().flat_map(|item| telling_lines(&protocol.shown(item))).collect();
    let may_be_shown = |item: &&ItemOf<P>| {
        !own_names(item).any(|name| names.contains(name))
            && !telling_lines(&protocol.shown(item)).iter().any(|line| lines.contains(line))
    };
    let mut usable: Vec<&ItemOf<P>> = pool.iter().filter(may_be_shown).collect();
    if usable.len() < count {
        let excluded = pool.len() - usable.len();
        return Err(ShotsError::TooFew { found: usable.len(), expected: count, excluded });
    }
    usable.sort_by_key(|item| mindrail_core::digest::sha256(format!("{seed}:{}", item.id).as_bytes()));
    let chosen = in_turn(protocol, &usable, count);
    Ok(chosen.into_iter().map(|item| protocol.example(item)).collect())
}

/// The first of each kind, then the second of each, until there are enough; in
/// kind order.
fn in_turn<'a, P: Benched>(protocol: &P, shuffled: &[&'a ItemOf<P>], count: usize) -> Vec<&'a ItemOf<P>> {
    let mut ranked: Vec<(usize, usize, &ItemOf<P>)> = Vec::new();
    for item in shuffled {
        let kind = protocol.shot_kind(item);
        let round = ranked.iter().filter(|(_, other, _)| *other == kind).count();
        ranked.push((round, kind, item));
    }
    ranked.sort_by_key(|(round, kind, _)| (*round, *kind));
    ranked.truncate(count);
    ranked.sort_by_key(|(_, kind, _)| *kind);
    ranked.into_iter().map(|(_, _, item)| item).collect()
}

/// The names of an item that are the data's own. A name that only counts rows
/// stands for other rows in another file.
fn own_names<I, G>(item: &Item<I, G>) -> impl Iterator<Item = &str> {
    let names = [item.id.as_str(), item.cluster.as_str()];
    names.into_iter().filter(|name| !name.contains("row-") && !name.contains("dialogue-"))
}

/// Letters and digits from which on a shared line shows a shared dialogue.
const TELLING: usize = 20;

/// The lines of a text that are long enough to tell it, without what copies
/// differ in: case, spacing, punctuation.
fn telling_lines(text: &str) -> Vec<String> {
    let normal = |line: &str| -> String {
        line.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    text.lines().map(normal).filter(|line| line.chars().count() >= TELLING).collect()
}
