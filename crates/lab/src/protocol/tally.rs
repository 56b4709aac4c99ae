//! Figures that follow from sums over items: counts of right and wrong calls,
//! summed errors, histograms. The sums of each cluster are taken once; a draw of
//! the bootstrap then only adds them up, however many items a cluster has.

use std::ops::Range;

use super::{Evaluator, FigureName};
use crate::report::{Better, Unit};

/// A figure's value from the sums of its measure; none where it is not defined.
pub(super) type Formula = Box<dyn Fn(&[f64]) -> Option<f64> + Send + Sync>;

/// What an item adds to the sums of a measure.
type Sums<'a, T> = Box<dyn Fn(&T) -> Vec<f64> + 'a>;

/// A figure and how it follows from sums.
pub(super) struct Line {
    pub(super) figure: FigureName,
    pub(super) formula: Formula,
}

impl Line {
    /// A share of which more is better.
    pub(super) fn share(
        name: impl Into<String>,
        title: impl Into<String>,
        formula: impl Fn(&[f64]) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        let figure = FigureName {
            name: name.into(),
            title: title.into(),
            unit: Unit::Share,
            better: Better::Higher,
            support: None,
        };
        Self { figure, formula: Box::new(formula) }
    }

    pub(super) fn with_unit(mut self, unit: Unit) -> Self {
        self.figure.unit = unit;
        self
    }

    pub(super) fn with_better(mut self, better: Better) -> Self {
        self.figure.better = better;
        self
    }

    pub(super) fn with_support(mut self, support: u64) -> Self {
        self.figure.support = Some(support);
        self
    }
}

/// Sums of one kind, and the figures that follow from them.
pub(super) struct Measure<'a, T> {
    /// What an item adds; equally long for every item.
    sums: Sums<'a, T>,
    /// The figures.
    lines: Vec<Line>,
}

impl<'a, T: 'a> Measure<'a, T> {
    pub(super) fn new(sums: impl Fn(&T) -> Vec<f64> + 'a, lines: Vec<Line>) -> Self {
        Self { sums: Box::new(sums), lines }
    }
}

/// The sums of every cluster, and the formulas over them.
pub(super) struct Tally {
    figures: Vec<FigureName>,
    formulas: Vec<(Range<usize>, Formula)>,
    /// For each cluster, the places and values of its sums that are not 0.
    clusters: Vec<Vec<(u32, f64)>>,
    width: usize,
}

impl Tally {
    /// Takes the sums of `items`, of which item `i` is of cluster `numbers[i]`.
    pub(super) fn new<T>(items: &[T], numbers: &[usize], measures: Vec<Measure<'_, T>>) -> Self {
        let count = numbers.iter().max().map_or(0, |last| last + 1);
        let mut dense = vec![Vec::new(); count];
        let (mut figures, mut formulas) = (Vec::new(), Vec::new());
        let mut width = 0;
        for measure in measures {
            let from = width;
            for (item, &cluster) in items.iter().zip(numbers) {
                let sums = (measure.sums)(item);
                width = width.max(from + sums.len());
                add(&mut dense[cluster], from, &sums);
            }
            for line in measure.lines {
                figures.push(line.figure);
                formulas.push((from..width, line.formula));
            }
        }
        Self { figures, formulas, clusters: dense.iter().map(|sums| sparse(sums)).collect(), width }
    }

    /// The same figures with those named in `head` first, then the others that
    /// are of no slice.
    pub(super) fn headed(mut self, head: &[&str]) -> Self {
        let mut lines: Vec<_> = self.figures.drain(..).zip(self.formulas.drain(..)).collect();
        let place = |name: &str| head.iter().position(|own| *own == name).unwrap_or(head.len());
        lines.sort_by_key(|(figure, _)| (place(&figure.name), figure.name.contains('@')));
        (self.figures, self.formulas) = lines.into_iter().unzip();
        self
    }

    /// The sums under a draw.
    fn totals(&self, multiplicities: &[u32]) -> Vec<f64> {
        let mut totals = vec![0.0; self.width];
        for (sums, &times) in self.clusters.iter().zip(multiplicities) {
            if times > 0 {
                let times = f64::from(times);
                sums.iter().for_each(|&(place, value)| totals[place as usize] += times * value);
            }
        }
        totals
    }
}

impl Evaluator for Tally {
    fn figures(&self) -> &[FigureName] {
        &self.figures
    }

    fn clusters(&self) -> usize {
        self.clusters.len()
    }

    fn values(&self, multiplicities: &[u32]) -> Vec<Option<f64>> {
        let totals = self.totals(multiplicities);
        let value = |(place, formula): &(Range<usize>, Formula)| {
            // Without items there are no sums, and so nothing to read.
            if place.is_empty() { None } else { formula(&totals[place.clone()]) }
        };
        self.formulas.iter().map(value).collect()
    }
}

fn add(totals: &mut Vec<f64>, from: usize, sums: &[f64]) {
    if totals.len() < from + sums.len() {
        totals.resize(from + sums.len(), 0.0);
    }
    totals[from..].iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
}

fn sparse(sums: &[f64]) -> Vec<(u32, f64)> {
    let places = sums.iter().enumerate().filter(|(_, value)| value.abs() > 0.0);
    places.map(|(place, &value)| (place as u32, value)).collect()
}

/// `part / whole`; none where `whole` is 0.
pub(super) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole.abs() > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(items: &[(usize, f64)]) -> Tally {
        let numbers: Vec<usize> = items.iter().map(|item| item.0).collect();
        let mean = Line::share("mean", "Mean", |sums| ratio(sums[0], sums[1]));
        let rows = Line::share("rows", "Rows", |sums| Some(sums[0])).with_unit(Unit::Count);
        let measures = vec![
            Measure::new(|item: &(usize, f64)| vec![item.1, 1.0], vec![mean]),
            Measure::new(|_: &(usize, f64)| vec![1.0], vec![rows]),
        ];
        Tally::new(items, &numbers, measures)
    }

    proptest! {
        #[test]
        fn a_draw_gives_what_the_repeated_items_give(
            values in proptest::collection::vec(-9_i8..9, 4),
            times in proptest::collection::vec(0_u32..4, 3),
        ) {
            // Items 0 and 3 are of cluster 0.
            let items: Vec<(usize, f64)> =
                values.iter().enumerate().map(|(i, &v)| (i % 3, f64::from(v))).collect();
            let repeated: Vec<f64> = items
                .iter()
                .flat_map(|item| std::iter::repeat_n(item.1, times[item.0] as usize))
                .collect();
            let found = tally(&items).values(&times);
            let mean = repeated.iter().sum::<f64>() / repeated.len() as f64;
            prop_assert_eq!(found[0], (!repeated.is_empty()).then_some(mean));
            prop_assert_eq!(found[1], Some(repeated.len() as f64));
        }
    }

    #[test]
    fn without_items_there_are_no_clusters_and_no_values() {
        let empty = Tally::new::<(usize, f64)>(
            &[],
            &[],
            vec![Measure::new(|_| vec![1.0], vec![Line::share("a", "A", |sums| sums.first().copied())])],
        );
        assert_eq!((empty.clusters(), empty.values(&[])), (0, vec![None]));
    }
}
