//! The one evaluator behind all protocols. Figures that follow from sums over
//! items (counts of right and wrong calls, summed errors, histograms) are read
//! off a table of sums; figures of a ranking are read off its rows, sorted once.
//! Both are made from the items once; a draw of the bootstrap only weighs them
//! by how often each cluster is drawn, many draws at a time.

use mindrail_core::metrics::{
    CellAmount, CellSums, ClusteredRanking, Confusion, Draws, LANES, Lanes, MicroF1, RankingFigure,
};

use rayon::prelude::*;

use super::definition::Definition;
use super::{Evaluator, FigureName};

/// Sums over items in a form that figures can be read from.
pub(super) trait Summary: 'static {
    /// The summary of these sums.
    fn of(sums: &[f64]) -> Self;
}

impl Summary for Vec<f64> {
    fn of(sums: &[f64]) -> Self {
        sums.to_vec()
    }
}

impl Summary for Vec<MicroF1> {
    /// Of each label, from its sums tp, fp and fn.
    fn of(sums: &[f64]) -> Self {
        sums.chunks_exact(3).map(MicroF1::of).collect()
    }
}

impl<const N: usize> Summary for [f64; N] {
    fn of(sums: &[f64]) -> Self {
        std::array::from_fn(|place| sums[place])
    }
}

/// Sums that are counts, as counts.
pub(super) fn counts<const N: usize>(sums: &[f64]) -> [usize; N] {
    std::array::from_fn(|place| sums[place] as usize)
}

impl Summary for Confusion {
    /// From the sums tp, fp, fn and tn.
    fn of(sums: &[f64]) -> Self {
        let [tp, fp, fn_, tn] = counts(sums);
        Self { tp, fp, fn_, tn }
    }
}

impl Summary for MicroF1 {
    /// From the sums tp, fp and fn.
    fn of(sums: &[f64]) -> Self {
        let [tp, fp, fn_] = counts(sums);
        Self { tp, fp, fn_ }
    }
}

/// The place of a decision among tp, fp, fn and tn.
pub(super) fn place_of_decision(is_positive: bool, is_called: bool) -> usize {
    match (is_positive, is_called) {
        (true, true) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (false, false) => 3,
    }
}

/// The cells of a table that an item adds to, with what it adds.
pub(super) type Entries = Vec<(usize, f64)>;

/// One in a cell.
pub(super) fn one(cell: usize) -> (usize, f64) {
    (cell, 1.0)
}

/// Counts as entries, those of 0 left out.
pub(super) fn entries(counts: impl IntoIterator<Item = usize>) -> Entries {
    let counted = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
    counted.map(|(cell, count)| (cell, count as f64)).collect()
}

/// A table of sums, and the figures that are read off it.
pub(super) struct Measure {
    cells: usize,
    /// What items add; the item's place stands for its cluster.
    amounts: Vec<CellAmount>,
    figures: Vec<FigureName>,
    read: Read,
}

/// Reads all figures of a table.
type Read = Box<dyn Fn(&[f64], &mut dyn FnMut(Option<f64>)) + Send + Sync>;

impl Measure {
    /// A table of so many cells, what items add to it, each with its place, and
    /// the figures that are read off the summary of the sums.
    pub(super) fn new<S: Summary>(
        cells: usize,
        items: impl IntoIterator<Item = (usize, Entries)>,
        definitions: Vec<Definition<S>>,
    ) -> Self {
        let amounts = items.into_iter().flat_map(|(cluster, entries)| {
            entries.into_iter().map(move |(cell, amount)| CellAmount { cluster, cell, amount })
        });
        let amounts = amounts.collect();
        let (figures, readings): (Vec<_>, Vec<_>) =
            definitions.into_iter().map(|definition| (definition.figure, definition.reading)).unzip();
        let read = move |sums: &[f64], take: &mut dyn FnMut(Option<f64>)| {
            let summary = S::of(sums);
            readings.iter().for_each(|reading| take(reading(&summary)));
        };
        Self { cells, amounts, figures, read: Box::new(read) }
    }

    fn table(self, numbers: &[usize]) -> Table {
        let of_cluster = |one: CellAmount| CellAmount { cluster: numbers[one.cluster], ..one };
        let sums = CellSums::new(self.cells, self.amounts.into_iter().map(of_cluster));
        Table { sums, figures: self.figures.len(), read: self.read }
    }
}

/// The scores of some items with their labels, and the figures of their ranking.
#[derive(Default)]
pub(super) struct Ranking {
    places: Vec<usize>,
    scores: Vec<f64>,
    labels: Vec<bool>,
    figures: Vec<(FigureName, RankingFigure)>,
}

impl Ranking {
    /// The ranking of `rows`: the item's place, its score, and whether it is positive.
    pub(super) fn new(
        rows: impl IntoIterator<Item = (usize, f64, bool)>,
        figures: Vec<(FigureName, RankingFigure)>,
    ) -> Self {
        let mut ranking = Self { figures, ..Self::default() };
        for (place, score, is_positive) in rows {
            ranking.places.push(place);
            ranking.scores.push(score);
            ranking.labels.push(is_positive);
        }
        ranking
    }

    fn sorted(self, numbers: &[usize]) -> (Option<ClusteredRanking>, Vec<RankingFigure>) {
        let clusters: Vec<usize> = self.places.iter().map(|&place| numbers[place]).collect();
        let figures = self.figures.into_iter().map(|(_, figure)| figure).collect();
        (ClusteredRanking::new(&self.scores, &self.labels, &clusters), figures)
    }
}

/// Sums and rankings of each cluster, and the figures that follow from them.
pub(super) struct Evaluation {
    clusters: usize,
    figures: Vec<FigureName>,
    /// Where each figure stands among those of all tables, then all rankings.
    order: Vec<usize>,
    tables: Vec<Table>,
    rankings: Vec<(Option<ClusteredRanking>, Vec<RankingFigure>)>,
}

struct Table {
    sums: Option<CellSums>,
    figures: usize,
    read: Read,
}

impl Evaluation {
    /// Sums and sorts items, of which item `i` is of cluster `numbers[i]`.
    pub(super) fn new(numbers: &[usize], measures: Vec<Measure>, rankings: Vec<Ranking>) -> Self {
        let clusters = numbers.iter().max().map_or(0, |last| last + 1);
        let mut figures: Vec<_> = measures.iter().flat_map(|measure| measure.figures.clone()).collect();
        let tables = measures.into_par_iter().map(|measure| measure.table(numbers)).collect();
        figures.extend(rankings.iter().flat_map(|ranking| ranking.figures.iter().map(|own| own.0.clone())));
        let rankings = rankings.into_par_iter().map(|ranking| ranking.sorted(numbers)).collect();
        Self { clusters, order: (0..figures.len()).collect(), figures, tables, rankings }
    }

    /// The same figures with those named in `head` first, then the others that
    /// are of no slice.
    pub(super) fn headed(mut self, head: &[&str]) -> Self {
        let rank = |name: &str| head.iter().position(|own| *own == name).unwrap_or(head.len());
        let figures = &self.figures;
        self.order.sort_by_key(|&place| {
            let name = &figures[place].name;
            (rank(name), name.contains('@'))
        });
        self.figures = self.order.iter().map(|&place| self.figures[place].clone()).collect();
        self
    }
}

impl Table {
    /// The values of its figures in each draw.
    fn values(&self, draws: &Draws) -> Vec<Lanes<Option<f64>>> {
        let mut values = vec![[None; LANES]; self.figures];
        let sums = self.sums.as_ref().map_or_else(Vec::new, |sums| sums.under(draws));
        let mut own = vec![0.0; sums.len()];
        for lane in 0..LANES {
            own.iter_mut().zip(&sums).for_each(|(own, sums)| *own = sums[lane]);
            let mut places = values.iter_mut();
            (self.read)(&own, &mut |value| {
                if let Some(place) = places.next() {
                    place[lane] = value;
                }
            });
        }
        values
    }
}

impl Evaluator for Evaluation {
    fn figures(&self) -> &[FigureName] {
        &self.figures
    }

    fn clusters(&self) -> usize {
        self.clusters
    }

    fn drawn(&self, draws: &Draws) -> Vec<Lanes<Option<f64>>> {
        if self.clusters == 0 {
            return vec![[None; LANES]; self.figures.len()];
        }
        let mut values: Vec<Lanes<Option<f64>>> =
            self.tables.iter().flat_map(|table| table.values(draws)).collect();
        for (ranking, figures) in &self.rankings {
            match ranking {
                Some(ranking) => values.extend(ranking.under(draws, figures)),
                None => values.extend(figures.iter().map(|_| [None; LANES])),
            }
        }
        self.order.iter().map(|&place| values[place]).collect()
    }
}

#[cfg(test)]
mod tests {
    use mindrail_core::metrics::auroc;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::definition::{ratio, share};
    use crate::report::Unit;

    /// An item of a cluster, with a value that is a score too and a label.
    type Row = (usize, f64, bool);

    fn evaluation(items: &[Row]) -> Evaluation {
        let numbers: Vec<usize> = items.iter().map(|item| item.0).collect();
        let mean = Definition::share("mean", "Mean", |sums: &[f64; 2]| ratio(sums[0], sums[1]));
        let rows = Definition::share("rows", "Rows", |sums: &[f64; 1]| Some(sums[0])).in_unit(Unit::Count);
        let labelled = Definition::share("labelled", "Labelled", |sums: &[f64; 1]| Some(sums[0]));
        let placed = || items.iter().enumerate();
        let own = placed().filter(|(_, item)| item.2);
        let measures = vec![
            Measure::new(2, placed().map(|(place, item)| (place, vec![(0, item.1), one(1)])), vec![mean]),
            Measure::new(1, placed().map(|(place, _)| (place, vec![one(0)])), vec![rows]),
            Measure::new(1, own.map(|(place, _)| (place, vec![one(0)])), vec![labelled]),
        ];
        let rows = items.iter().enumerate().map(|(place, item)| (place, item.1, item.2));
        let ranking = Ranking::new(rows, vec![(share("auroc", "AUROC"), RankingFigure::Auroc)]);
        Evaluation::new(&numbers, measures, vec![ranking]).headed(&["auroc"])
    }

    proptest! {
        #[test]
        fn a_draw_gives_what_the_repeated_items_give(
            values in proptest::collection::vec((-9_i8..9, any::<bool>()), 4),
            times in proptest::collection::vec(0_u8..4, 3),
        ) {
            // Items 0 and 3 are of cluster 0.
            let items: Vec<Row> =
                values.iter().enumerate().map(|(i, v)| (i % 3, f64::from(v.0), v.1)).collect();
            let repeated: Vec<&Row> =
                items.iter().flat_map(|item| std::iter::repeat_n(item, times[item.0] as usize)).collect();
            let (scores, labels): (Vec<f64>, Vec<bool>) = repeated.iter().map(|row| (row.1, row.2)).unzip();
            let found = evaluation(&items).values(&times);
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            prop_assert_eq!(found[0], auroc(&scores, &labels));
            prop_assert_eq!(found[1], (!repeated.is_empty()).then_some(mean));
            prop_assert_eq!(found[2], Some(repeated.len() as f64));
            prop_assert_eq!(found[3], Some(labels.iter().filter(|label| **label).count() as f64));
        }
    }

    #[test]
    fn without_items_there_are_no_clusters_and_no_values() {
        let empty = evaluation(&[]);
        assert_eq!((empty.clusters(), empty.values(&[])), (0, vec![None; 4]));
    }

    #[test]
    fn figures_of_slices_come_last() {
        let named = |name: &str| Definition::share(name, name, |sums: &[f64; 1]| Some(sums[0]));
        let definitions = ["a@x=1", "b", "c"].map(named).into();
        let measure = Measure::new(1, [(0, vec![one(0)])], definitions);
        let found = Evaluation::new(&[0], vec![measure], Vec::new()).headed(&["c"]);
        let names: Vec<&str> = found.figures().iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a@x=1"]);
    }
}
