//! Figures that are read off whole-number counts: confusion tables, label counts,
//! pairs in the right order. Each cluster's counts are taken once; a draw of the
//! bootstrap adds them up into one table for each group of items (all of them,
//! and each slice), from which all of the group's figures are read together.
//! Rankings, which no sum can hold, are sorted once and walked anew by each draw.
//!
//! [`super::tally`] does the same for figures with a formula each; here one table
//! gives dozens of figures, and making it once per draw is what makes it fast.

use mindrail_core::metrics::{CellCount, CellCounts, ClusteredRanking, auroc_of_groups};

use super::{Evaluator, FigureName, Item};
use crate::report::{Better, Unit};

/// What a group's cells add up to, in a form that figures can be read from.
pub(super) trait Summary: Sized {
    /// Number of cells of one group.
    const CELLS: usize;

    /// The summary of one group's cells.
    fn of(cells: &[usize]) -> Self;
}

/// Reads a figure off a summary; none where it is not defined.
pub(super) type Reading<S> = Box<dyn Fn(&S) -> Option<f64> + Send + Sync>;

/// A figure and how it is read off a summary.
pub(super) struct Definition<S> {
    pub(super) figure: FigureName,
    reading: Reading<S>,
}

impl<S> Definition<S> {
    /// A share of which more is better.
    pub(super) fn share(
        name: impl Into<String>,
        title: impl Into<String>,
        reading: impl Fn(&S) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        let figure = FigureName {
            name: name.into(),
            title: title.into(),
            unit: Unit::Share,
            better: Better::Higher,
            support: None,
        };
        Self { figure, reading: Box::new(reading) }
    }

    /// A share of which less is better.
    pub(super) fn lower(mut self) -> Self {
        self.figure.better = Better::Lower;
        self
    }

    /// A number that can be negative.
    pub(super) fn number(mut self) -> Self {
        self.figure.unit = Unit::Number;
        self
    }

    /// The number of cases that the figure rests on.
    pub(super) fn on(mut self, support: usize) -> Self {
        self.figure.support = Some(support as u64);
        self
    }

    /// The same figure of a slice.
    pub(super) fn of_slice(mut self, slice: &Slice) -> Self {
        self.figure.name = format!("{}@{}={}", self.figure.name, slice.key, slice.value);
        self.figure.title = format!("{}, {} {}", self.figure.title, slice.key, slice.value);
        self.on(slice.items)
    }
}

/// Items that share a value of one of their slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) items: usize,
}

impl Slice {
    /// The slices of `items`, by key and value.
    pub(super) fn all<'a, I: 'a, G: 'a>(items: impl Iterator<Item = &'a Item<I, G>>) -> Vec<Self> {
        let mut counts = std::collections::BTreeMap::new();
        for item in items {
            for (key, value) in &item.slices {
                *counts.entry((key.clone(), value.clone())).or_insert(0) += 1;
            }
        }
        counts.into_iter().map(|((key, value), items)| Self { key, value, items }).collect()
    }

    /// Whether the item is in the slice.
    pub(super) fn holds<I, G>(&self, item: &Item<I, G>) -> bool {
        item.slices.get(&self.key).is_some_and(|value| *value == self.value)
    }
}

/// One count in one cell of one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    /// Cluster of the counted item.
    pub(super) cluster: usize,
    /// Group that it is counted in.
    pub(super) group: usize,
    /// Cell of the group's table.
    pub(super) cell: usize,
}

/// The figures of some groups of items, and the area under one ROC curve.
pub(super) struct Cells<S> {
    figures: Vec<FigureName>,
    /// The readings of each group, in group order.
    readings: Vec<Vec<Reading<S>>>,
    clusters: usize,
    counts: Option<CellCounts>,
    ranking: Option<ClusteredRanking>,
}

impl<S: Summary> Cells<S> {
    /// Figures of `groups`, which `hits` count into, over so many clusters.
    pub(super) fn new(clusters: usize, hits: &[Hit], groups: Vec<Vec<Definition<S>>>) -> Self {
        let mut figures = Vec::new();
        let mut readings = Vec::new();
        for group in groups {
            let (names, own): (Vec<_>, Vec<_>) =
                group.into_iter().map(|definition| (definition.figure, definition.reading)).unzip();
            figures.extend(names);
            readings.push(own);
        }
        let entries = hits.iter().map(|hit| CellCount {
            cluster: hit.cluster,
            cell: hit.group * S::CELLS + hit.cell,
            count: 1,
        });
        let counts = CellCounts::new(clusters, readings.len() * S::CELLS, entries);
        Self { figures, readings, clusters, counts, ranking: None }
    }

    /// The same with the area under the ROC curve of a ranking as its last figure;
    /// without it where there is no ranking.
    pub(super) fn with_auroc(mut self, auroc: FigureName, ranking: Option<ClusteredRanking>) -> Self {
        if ranking.is_some() {
            self.figures.push(auroc);
            self.ranking = ranking;
        }
        self
    }
}

impl<S: Summary> Evaluator for Cells<S> {
    fn figures(&self) -> &[FigureName] {
        &self.figures
    }

    fn clusters(&self) -> usize {
        self.clusters
    }

    fn values(&self, multiplicities: &[u32]) -> Vec<Option<f64>> {
        let mut totals = vec![0; self.readings.len() * S::CELLS];
        if let Some(counts) = &self.counts {
            counts.under(multiplicities, &mut totals);
        }
        let mut values = Vec::with_capacity(self.figures.len());
        for (cells, readings) in totals.chunks(S::CELLS).zip(&self.readings) {
            let summary = S::of(cells);
            values.extend(readings.iter().map(|reading| reading(&summary)));
        }
        if let Some(ranking) = &self.ranking {
            let mut groups = Vec::new();
            ranking.under(multiplicities, &mut groups);
            values.push(auroc_of_groups(&groups));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use mindrail_core::metrics::auroc;
    use proptest::prelude::*;

    use super::*;

    struct Two(usize, usize);

    impl Summary for Two {
        const CELLS: usize = 2;

        fn of(cells: &[usize]) -> Self {
            Self(cells[0], cells[1])
        }
    }

    fn first() -> Definition<Two> {
        Definition::share("first", "First", |two: &Two| {
            (two.0 + two.1 > 0).then(|| two.0 as f64 / (two.0 + two.1) as f64)
        })
    }

    proptest! {
        #[test]
        fn a_draw_gives_the_figures_of_the_repeated_items(
            items in proptest::collection::vec((0_usize..4, 0_usize..2, 0_usize..2, 0_u8..5), 1..30),
            times in proptest::collection::vec(0_u32..4, 4),
        ) {
            let hits: Vec<Hit> =
                items.iter().map(|&(cluster, group, cell, _)| Hit { cluster, group, cell }).collect();
            let scores: Vec<f64> = items.iter().map(|item| f64::from(item.3)).collect();
            let labels: Vec<bool> = items.iter().map(|item| item.2 == 0).collect();
            let numbers: Vec<usize> = items.iter().map(|item| item.0).collect();
            let cells = Cells::new(4, &hits, vec![vec![first()], vec![first()]])
                .with_auroc(first().figure, ClusteredRanking::new(&scores, &labels, &numbers));
            let repeated: Vec<_> =
                items.iter().flat_map(|item| std::iter::repeat_n(item, times[item.0] as usize)).collect();
            let share = |group: usize| {
                let own: Vec<_> = repeated.iter().filter(|item| item.1 == group).collect();
                let hit = own.iter().filter(|item| item.2 == 0).count();
                (!own.is_empty()).then(|| hit as f64 / own.len() as f64)
            };
            let scores: Vec<f64> = repeated.iter().map(|item| f64::from(item.3)).collect();
            let labels: Vec<bool> = repeated.iter().map(|item| item.2 == 0).collect();
            let expected = vec![share(0), share(1), auroc(&scores, &labels)];
            prop_assert_eq!(cells.values(&times), expected);
        }
    }
}
