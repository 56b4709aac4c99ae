//! Ranking figures under any draw of the clusters. The rows are sorted by score
//! once; a draw is one sweep over them, from the highest score down.

use super::draws::{CHUNK, Draws, LANES, Lanes, Totals};

/// A figure of how well scores put positives above negatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RankingFigure {
    /// [`auroc`](super::auroc).
    Auroc,
    /// [`average_precision`](super::average_precision).
    AveragePrecision,
    /// [`recall_at_fpr`](super::recall_at_fpr) with this rate.
    RecallAtFpr(f64),
    /// [`specificity_at_recall`](super::specificity_at_recall) with this recall.
    SpecificityAtRecall(f64),
}

/// Rows sorted by score once, of which each resample takes some several times
/// and others not at all.
#[derive(Debug, Clone)]
pub struct ClusteredRanking {
    rows: Vec<RankedRow>,
}

/// A row in order of falling score, positives first where scores are tied.
#[derive(Debug, Clone, Copy)]
struct RankedRow {
    cluster: u32,
    /// All bits for a positive row, none for a negative one.
    if_positive: u64,
    ends: Option<Ending>,
}

/// Rows at which figures must look at the counts so far: all figures change at
/// positives only, so that the negatives between two of them count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The last negative before a score that both classes have.
    BeforeTie,
    /// The last row of a score that both classes have.
    Tie,
    /// The last positive of a score that negatives do not have, or the last row.
    Positives,
}

/// How much of a draw stands at or above a row of a chunk, the chunks before it left
/// out. Counting the rows of a chunk and reading figures are two loops, because no
/// processor can foresee which rows have one to read.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    positives: Totals,
    rows: Totals,
}

impl ClusteredRanking {
    /// Sorts the rows; `clusters` holds the cluster of each.
    ///
    /// `None` when there is no row, when the lengths differ, when a score is NaN
    /// or a cluster not below 2^32.
    pub fn new(scores: &[f64], labels: &[bool], clusters: &[usize]) -> Option<Self> {
        let same_length = scores.len() == labels.len() && scores.len() == clusters.len();
        let unusable = scores.is_empty() || scores.iter().any(|score| score.is_nan());
        if unusable || !same_length || clusters.iter().any(|&cluster| u32::try_from(cluster).is_err()) {
            return None;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let mut rows: Vec<RankedRow> = Vec::with_capacity(order.len());
        // Not `total_cmp`: 0 and -0 are one score.
        for tie in order.chunk_by_mut(|&a, &b| scores[a] <= scores[b]) {
            tie.sort_by_key(|&row| !labels[row]);
            let ending = match (labels[tie[0]], labels[tie[tie.len() - 1]]) {
                (true, false) => Some(Ending::Tie),
                (true, true) => Some(Ending::Positives),
                (false, _) => None,
            };
            if let (Some(Ending::Tie), Some(last)) = (ending, rows.last_mut()) {
                last.ends = last.ends.or(Some(Ending::BeforeTie));
            }
            rows.extend(tie.iter().map(|&row| RankedRow {
                cluster: clusters[row] as u32,
                if_positive: if labels[row] { u64::MAX } else { 0 },
                ends: None,
            }));
            rows.last_mut()?.ends = ending;
        }
        let last = rows.last_mut()?;
        last.ends = last.ends.or(Some(Ending::Positives));
        Some(Self { rows })
    }

    /// The figures under each draw; `None` where [`auroc`](super::auroc) and its
    /// neighbours give none for the rows that are drawn.
    pub fn under(&self, draws: &Draws, figures: &[RankingFigure]) -> Vec<Lanes<Option<f64>>> {
        let mut areas = Areas { losses: [0.0; LANES], precisions: [0.0; LANES], all: Counts::default() };
        let is_area =
            |figure: &RankingFigure| matches!(figure, RankingFigure::Auroc | RankingFigure::AveragePrecision);
        let mut points: Vec<Point> = Vec::new();
        if !figures.iter().all(is_area) {
            let all = self.all(draws);
            points = figures.iter().filter_map(|figure| Point::of(*figure, &all)).collect();
        }
        areas.all = self.sweep(draws, |step| {
            points.iter_mut().for_each(|point| point.pass(step.called));
            areas.pass(&step);
        });
        let mut points = points.into_iter();
        let values = |figure: &RankingFigure| match figure {
            RankingFigure::Auroc => areas.auroc(),
            RankingFigure::AveragePrecision => areas.average_precision(),
            RankingFigure::RecallAtFpr(_) | RankingFigure::SpecificityAtRecall(_) => {
                points.next().map_or([None; LANES], |point| point.values())
            }
        };
        figures.iter().map(values).collect()
    }

    /// The counts of all rows.
    fn all(&self, draws: &Draws) -> Counts {
        let [mut above, mut with_chunk] = [Counts::default(), Counts::default()];
        for rows in self.rows.chunks(CHUNK) {
            let mut passed = Passed::default();
            rows.iter().for_each(|row| passed.add(row, draws));
            with_chunk.set(&above, &passed);
            std::mem::swap(&mut above, &mut with_chunk);
        }
        above
    }

    /// Hands over the counts at every ending, from the highest score down, and
    /// returns those of all rows.
    fn sweep(&self, draws: &Draws, mut at: impl FnMut(Step<'_>)) -> Counts {
        let mut above = Counts::default();
        // Of the last ending and of the next, in turn.
        let [mut last, mut called] = [Counts::default(), Counts::default()];
        let mut endings = vec![(Passed::default(), Ending::Tie); CHUNK];
        for rows in self.rows.chunks(CHUNK) {
            let mut passed = Passed::default();
            let mut place = 0;
            // Without a branch: the counts are written at every row, and kept at
            // an ending by moving on.
            for row in rows {
                passed.add(row, draws);
                endings[place] = (passed, row.ends.unwrap_or(Ending::Tie));
                place += usize::from(row.ends.is_some());
            }
            for (passed, ending) in &endings[..place] {
                called.set(&above, passed);
                at(Step { last: &last, called: &called, ending: *ending });
                std::mem::swap(&mut last, &mut called);
            }
            called.set(&above, &passed);
            above.clone_from(&called);
        }
        above
    }
}

/// An ending with the counts there and at the one before it.
struct Step<'a> {
    last: &'a Counts,
    called: &'a Counts,
    ending: Ending,
}

impl Passed {
    fn add(&mut self, row: &RankedRow, draws: &Draws) {
        let times = draws.times(row.cluster);
        self.positives.add(&times.masked(row.if_positive));
        self.rows.add(&times);
    }
}

/// Rows and positives, as floats that hold whole numbers; those are exact up to 2^53.
#[derive(Debug, Clone)]
struct Counts {
    rows: Lanes<f64>,
    positives: Lanes<f64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { rows: [0.0; LANES], positives: [0.0; LANES] }
    }
}

impl Counts {
    /// Becomes what is above a chunk and what has passed of it.
    fn set(&mut self, above: &Self, passed: &Passed) {
        let (rows, positives) = (passed.rows.lanes(), passed.positives.lanes());
        for lane in 0..LANES {
            self.rows[lane] = above.rows[lane] + f64::from(rows[lane]);
            self.positives[lane] = above.positives[lane] + f64::from(positives[lane]);
        }
    }

    fn negatives(&self) -> Lanes<f64> {
        std::array::from_fn(|lane| self.rows[lane] - self.positives[lane])
    }
}

/// Sums of the areas on the way down.
struct Areas {
    /// The counts of all rows.
    all: Counts,
    /// Pairs in the wrong order, a tie counting one half.
    losses: Lanes<f64>,
    /// Sum of the precisions at the positives.
    precisions: Lanes<f64>,
}

impl Areas {
    fn pass(&mut self, Step { last, called, ending }: &Step<'_>) {
        for lane in 0..LANES {
            let new = called.positives[lane] - last.positives[lane];
            self.losses[lane] += new * (called.rows[lane] - called.positives[lane]);
            // Before the first drawn row there is nothing.
            let rows = if called.rows[lane] > 1.0 { called.rows[lane] } else { 1.0 };
            self.precisions[lane] += new * (called.positives[lane] / rows);
        }
        if *ending == Ending::Tie {
            for lane in 0..LANES {
                let new = called.positives[lane] - last.positives[lane];
                let ties = called.rows[lane] - last.rows[lane] - new;
                self.losses[lane] -= new * ties / 2.0;
            }
        }
    }

    fn auroc(&self) -> Lanes<Option<f64>> {
        let negatives = self.all.negatives();
        let pairs = |lane: usize| self.all.positives[lane] * negatives[lane];
        let area = |lane| (pairs(lane) - self.losses[lane]) / pairs(lane);
        std::array::from_fn(|lane| (pairs(lane) > 0.0).then(|| area(lane)))
    }

    fn average_precision(&self) -> Lanes<Option<f64>> {
        let positives = self.all.positives;
        let mean = |lane: usize| self.precisions[lane] / positives[lane];
        std::array::from_fn(|lane| (positives[lane] > 0.0).then(|| mean(lane)))
    }
}

/// An operating point that is looked for: the most positives with at most
/// `limit` negatives, or the fewest negatives with at least `limit` positives.
struct Point {
    goal: Goal,
    limit: Lanes<f64>,
    best: Lanes<f64>,
    /// The denominator of the figure; 0 where it is not defined.
    of: Lanes<f64>,
}

#[derive(Clone, Copy)]
enum Goal {
    Positives,
    Negatives,
}

impl Point {
    /// `None` for areas.
    fn of(figure: RankingFigure, totals: &Counts) -> Option<Self> {
        let negatives = totals.negatives();
        let defined = |share: f64, of: Lanes<f64>| -> Lanes<f64> {
            let both = |lane: usize| totals.positives[lane] > 0.0 && negatives[lane] > 0.0;
            std::array::from_fn(|lane| if both(lane) && !share.is_nan() { of[lane] } else { 0.0 })
        };
        match figure {
            RankingFigure::Auroc | RankingFigure::AveragePrecision => None,
            RankingFigure::RecallAtFpr(share) => Some(Self {
                goal: Goal::Positives,
                limit: negatives.map(|all| most(share, all)),
                best: [0.0; LANES],
                of: defined(share, totals.positives),
            }),
            RankingFigure::SpecificityAtRecall(share) => Some(Self {
                goal: Goal::Negatives,
                limit: totals.positives.map(|all| fewest(share, all)),
                // Calling nothing has recall 0, which may be enough.
                best: if share <= 0.0 { [0.0; LANES] } else { negatives },
                of: defined(share, negatives),
            }),
        }
    }

    /// Takes the threshold into account at which so many are called.
    fn pass(&mut self, called: &Counts) {
        let negatives = called.negatives();
        // Both counts only grow on the way down, so that the last threshold within
        // the limit is the best, or the first.
        match self.goal {
            Goal::Positives => {
                for (lane, best) in self.best.iter_mut().enumerate() {
                    *best = if negatives[lane] <= self.limit[lane] { called.positives[lane] } else { *best };
                }
            }
            Goal::Negatives => {
                for (lane, best) in self.best.iter_mut().enumerate() {
                    let is_enough = called.positives[lane] >= self.limit[lane];
                    let wrong = if is_enough { negatives[lane] } else { f64::INFINITY };
                    *best = if wrong < *best { wrong } else { *best };
                }
            }
        }
    }

    fn values(&self) -> Lanes<Option<f64>> {
        let value = |lane: usize| match self.goal {
            Goal::Positives => self.best[lane] / self.of[lane],
            Goal::Negatives => (self.of[lane] - self.best[lane]) / self.of[lane],
        };
        std::array::from_fn(|lane| (self.of[lane] > 0.0).then(|| value(lane)))
    }
}

/// The greatest whole number whose share of `all` is at most `share`, so that a
/// sweep compares instead of dividing, with the same result.
fn most(share: f64, all: f64) -> f64 {
    let near = (share * all).floor();
    [near + 1.0, near, near - 1.0].into_iter().find(|count| count / all <= share).unwrap_or(-1.0)
}

/// The least whole number whose share of `all` is at least `share`.
fn fewest(share: f64, all: f64) -> f64 {
    let near = (share * all).ceil();
    [near - 1.0, near, near + 1.0].into_iter().find(|count| count / all >= share).unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{Resampling, auroc, average_precision, recall_at_fpr, specificity_at_recall};

    const FIGURES: [RankingFigure; 6] = [
        RankingFigure::RecallAtFpr(0.2),
        RankingFigure::Auroc,
        RankingFigure::SpecificityAtRecall(0.6),
        RankingFigure::AveragePrecision,
        RankingFigure::RecallAtFpr(0.0),
        RankingFigure::SpecificityAtRecall(0.0),
    ];

    /// Rows of (cluster, score, label).
    fn rows() -> impl Strategy<Value = Vec<(usize, u8, bool)>> {
        proptest::collection::vec((0_usize..6, 0_u8..8, any::<bool>()), 1..40)
    }

    fn ranking(rows: &[(usize, u8, bool)]) -> ClusteredRanking {
        let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.1)).collect();
        let labels: Vec<bool> = rows.iter().map(|row| row.2).collect();
        let clusters: Vec<usize> = rows.iter().map(|row| row.0).collect();
        ClusteredRanking::new(&scores, &labels, &clusters).unwrap()
    }

    proptest! {
        #[test]
        fn a_resampled_ranking_is_the_ranking_of_the_resampled_rows(rows in rows(), seed in any::<u64>()) {
            let resampling = Resampling::new(6, seed);
            let mut drawn = vec![Vec::new(); LANES];
            drawn.iter_mut().zip(0..).for_each(|(own, draw)| resampling.draw(draw, own));
            let mut draws = Draws::default();
            draws.fill(&drawn);
            let found = ranking(&rows).under(&draws, &FIGURES);
            for (lane, times) in drawn.iter().enumerate() {
                let repeated = rows.iter().flat_map(|row| std::iter::repeat_n(row, usize::from(times[row.0])));
                let (scores, labels): (Vec<f64>, Vec<bool>) =
                    repeated.map(|row| (f64::from(row.1), row.2)).unzip();
                prop_assert_eq!(found[0][lane], recall_at_fpr(&scores, &labels, 0.2));
                prop_assert_eq!(found[1][lane], auroc(&scores, &labels));
                prop_assert_eq!(found[2][lane], specificity_at_recall(&scores, &labels, 0.6));
                prop_assert_eq!(found[4][lane], recall_at_fpr(&scores, &labels, 0.0));
                prop_assert_eq!(found[5][lane], specificity_at_recall(&scores, &labels, 0.0));
                let (found, naive) = (found[3][lane], average_precision(&scores, &labels));
                prop_assert_eq!(found.is_some(), naive.is_some());
                prop_assert!((found.unwrap_or(0.0) - naive.unwrap_or(0.0)).abs() < 1e-12);
            }
        }

        #[test]
        fn limits_in_whole_numbers_are_those_of_the_division(all in 1_u32..3_000, of in 0_u32..100, share in 0.0..=1.0) {
            // Shares that the division meets exactly, and any other.
            for share in [share, f64::from(of) / 100.0, f64::from(of.min(all)) / f64::from(all)] {
                let all = f64::from(all);
                let (most, fewest) = (most(share, all), fewest(share, all));
                prop_assert!(most / all <= share && (most + 1.0) / all > share);
                prop_assert!(fewest / all >= share && (fewest - 1.0) / all < share);
            }
        }
    }

    #[test]
    fn rows_that_cannot_be_ranked_are_refused() {
        assert!(ClusteredRanking::new(&[f64::NAN], &[true], &[0]).is_none());
        assert!(ClusteredRanking::new(&[0.5], &[true], &[]).is_none());
        assert!(ClusteredRanking::new(&[], &[], &[]).is_none());
    }

    #[test]
    fn what_is_not_defined_is_none() {
        let undefined = [RankingFigure::RecallAtFpr(f64::NAN), RankingFigure::SpecificityAtRecall(f64::NAN)];
        let both = ranking(&[(0, 1, true), (1, 2, false)]);
        let draws = Draws::one(&[1, 1]);
        assert!(both.under(&draws, &undefined).iter().all(|values| values[0].is_none()));
        let one_class = ranking(&[(0, 1, true)]).under(&draws, &FIGURES);
        let defined: Vec<bool> = one_class.iter().map(|values| values[0].is_some()).collect();
        assert_eq!(defined, [false, false, false, true, false, false]);
    }
}
