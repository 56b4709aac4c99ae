//! How many parts of items have no answer, such as user turns of dialogues that were
//! asked about one by one. A dialogue with one such turn counts among the items
//! without an answer; this says how much of it is missing.

use std::collections::BTreeMap;

use crate::protocol::{Answer, Outcome};
use crate::report::{Cell, Table};
use crate::system::{Benched, ItemOf};

/// The parts without an answer, by outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnansweredParts {
    name: &'static str,
    all: usize,
    by_outcome: BTreeMap<Outcome, usize>,
}

impl UnansweredParts {
    /// Counts them; none where the protocol's items have no parts.
    pub(crate) fn of<P: Benched>(
        protocol: &P,
        items: &[ItemOf<P>],
        answers: &[Answer<P::Prediction>],
    ) -> Option<Self> {
        let by_id: BTreeMap<&str, &Answer<P::Prediction>> =
            answers.iter().map(|answer| (answer.id.as_str(), answer)).collect();
        let mut counts = Self { name: P::PART?, all: 0, by_outcome: BTreeMap::new() };
        for item in items {
            counts.all += protocol.parts(item);
            for outcome in unanswered(protocol, item, by_id.get(item.id.as_str()).copied()) {
                *counts.by_outcome.entry(outcome).or_default() += 1;
            }
        }
        Some(counts)
    }

    /// The counts as a table.
    pub(crate) fn table(&self) -> Table {
        let row = |(outcome, count): (&Outcome, &usize)| {
            vec![Cell::Text(outcome.wire().to_owned()), Cell::Count(*count as u64)]
        };
        Table {
            caption: format!("{}s without an answer, of {}", self.name, self.all),
            columns: vec!["Outcome".to_owned(), "Number".to_owned()],
            rows: self.by_outcome.iter().map(row).collect(),
        }
    }

    /// The counts as a sentence.
    pub(crate) fn note(&self) -> String {
        let count: usize = self.by_outcome.values().sum();
        let named = self.by_outcome.iter().map(|(outcome, count)| format!("{count} {}", outcome.wire()));
        let named = named.collect::<Vec<_>>().join(", ");
        format!(
            "{count} of {} {}s have no answer ({named}): that nothing was said there says nothing.",
            self.all, self.name
        )
    }
}

/// Why parts of an item have no answer: all of them where the item has none.
fn unanswered<P: Benched>(
    protocol: &P,
    item: &ItemOf<P>,
    answer: Option<&Answer<P::Prediction>>,
) -> Vec<Outcome> {
    let outcome = answer.map_or(Outcome::Missing, |answer| answer.outcome);
    match answer.and_then(|answer| answer.prediction.as_ref()) {
        Some(said) => protocol.unanswered_parts(item, said),
        None => vec![outcome; protocol.parts(item)],
    }
}
