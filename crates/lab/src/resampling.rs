//! Intervals of an evaluator's figures, and paired tests between two systems,
//! by drawing clusters again, in parallel. A draw depends on the seed and its
//! number alone, so the result is the same on every machine and with any number
//! of threads. The draws and the formulas are the core's.

use mindrail_core::metrics::{
    Draws, LANES, Resampling, bca_interval, holm, mcnemar, paired_bootstrap_p_value, percentile_interval,
    randomisation_p_value,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::protocol::{Evaluator, FigureName, Intervals};
use crate::report::{Better, Interval, PairedRow, Unit};

/// How intervals are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Number of draws; 0 gives no intervals.
    pub draws: u64,
    /// The seed of all draws.
    pub seed: u64,
    /// How an interval follows from the draws.
    pub method: IntervalMethod,
}

impl Default for Settings {
    fn default() -> Self {
        Self { draws: 2_000, seed: 17, method: IntervalMethod::Percentile }
    }
}

/// How an interval follows from the draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntervalMethod {
    /// The percentiles of the draws.
    Percentile,
    /// Bias-corrected and accelerated; costs a jackknife more.
    Bca,
}

/// Share of the draws inside an interval.
pub const CONFIDENCE: f64 = 0.95;

/// A value with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value on the data; none where it is not defined.
    pub value: Option<f64>,
    /// Its interval; none without draws, or where most draws have no value.
    pub interval: Option<Interval>,
}

/// The value and interval of each of the evaluator's figures.
pub fn estimates(evaluator: &dyn Evaluator, settings: Settings) -> Intervals {
    let resampling = Resampling::new(evaluator.clusters(), settings.seed);
    let values = evaluator.values(&resampling.original());
    let drawn = drawn(evaluator, settings.draws, |draw, lane| resampling.draw(draw, lane));
    let groups = match settings.method {
        IntervalMethod::Bca if settings.draws > 0 => resampling.jackknife_groups() as u64,
        IntervalMethod::Bca | IntervalMethod::Percentile => 0,
    };
    let left_out = self::drawn(evaluator, groups, |group, lane| resampling.leave_out(group as usize, lane));
    let figures = evaluator.figures().par_iter().enumerate();
    figures
        .map(|(place, figure)| {
            let value = values[place];
            let ends = match (settings.method, value) {
                (IntervalMethod::Percentile, Some(_)) => percentile_interval(&drawn[place]),
                (IntervalMethod::Bca, Some(value)) => bca_interval(value, &drawn[place], &left_out[place]),
                (_, None) => None,
            };
            (figure.name.clone(), Estimate { value, interval: ends.map(interval) })
        })
        .collect()
}

/// Two systems on the same items. Clusters have the same numbers in both.
pub struct Systems<'a> {
    /// The first system.
    pub a: &'a dyn Evaluator,
    /// The second.
    pub b: &'a dyn Evaluator,
    /// Both at once: its first half of clusters holds the first system's answers,
    /// its second half the second's to the same clusters in the same order.
    pub joint: &'a dyn Evaluator,
}

/// The paired tests of every figure that both systems have and that judges.
///
/// A draw of the bootstrap takes the same clusters for both. The p-value is of an
/// approximate randomisation, which exchanges their answers cluster by cluster;
/// where a figure means another thing for answers of both systems together (one
/// gives a probability, the other none), it is of the paired bootstrap. All
/// p-values are corrected together.
pub fn paired_tests(systems: &Systems<'_>, settings: Settings) -> Vec<PairedRow> {
    let Systems { a, b, joint } = systems;
    let resampling = Resampling::new(a.clusters(), settings.seed);
    let original = resampling.original();
    let (values_a, values_b) = (a.values(&original), b.values(&original));
    let drawn_a = drawn(*a, settings.draws, |draw, lane| resampling.draw(draw, lane));
    let drawn_b = drawn(*b, settings.draws, |draw, lane| resampling.draw(draw, lane));
    let nothing = vec![0; original.len()];
    let together = [
        joint.values(&[&original[..], &nothing].concat()),
        joint.values(&[&nothing[..], &original].concat()),
    ];
    let swapped_a = drawn(*joint, settings.draws, |draw, lane| {
        let mut swapped = Vec::new();
        resampling.swap(draw, lane, &mut swapped);
        lane.extend(swapped);
    });
    let swapped_b = drawn(*joint, settings.draws, |draw, lane| {
        let mut kept = Vec::new();
        resampling.swap(draw, &mut kept, lane);
        lane.extend(kept);
    });
    let place_of = |evaluator: &dyn Evaluator, name: &str| {
        evaluator.figures().iter().position(|figure| figure.name == name)
    };
    let judging = a.figures().iter().enumerate().filter(|(_, figure)| figure.better != Better::Neither);
    let mut rows: Vec<PairedRow> = judging
        .filter_map(|(at, figure)| {
            let other = place_of(*b, &figure.name)?;
            let (value_a, value_b) = (values_a[at], values_b[other]);
            let mut row = row(figure, value_a, value_b);
            row.difference = difference(value_a, value_b);
            let observed = row.difference?;
            let draws = differences(&drawn_a[at], &drawn_b[other]);
            row.interval = percentile_interval(&draws).map(interval);
            let alike = |place: &usize| together[0][*place] == value_a && together[1][*place] == value_b;
            let exchanged = place_of(*joint, &figure.name).filter(alike);
            let swapped = |place: usize| differences(&swapped_a[place], &swapped_b[place]);
            let p = exchanged.and_then(|place| randomisation_p_value(observed, &swapped(place)));
            (row.p, row.test) = match p {
                Some(p) => (Some(p), "approximate randomisation".to_owned()),
                None => (paired_bootstrap_p_value(&draws), "paired bootstrap".to_owned()),
            };
            Some(row)
        })
        .collect();
    adjust(&mut rows);
    rows
}

/// `McNemar`'s test on which items are judged rightly as a whole.
pub fn right_and_wrong(a: &[bool], b: &[bool]) -> Option<PairedRow> {
    let only = |own: &[bool], other: &[bool]| own.iter().zip(other).filter(|(x, y)| **x && !**y).count();
    let share = |right: &[bool]| right.iter().filter(|right| **right).count() as f64 / right.len() as f64;
    let figure = FigureName {
        name: "items_right".to_owned(),
        title: "Items judged rightly as a whole".to_owned(),
        unit: Unit::Share,
        better: Better::Higher,
        support: Some(a.len() as u64),
    };
    if a.is_empty() || a.len() != b.len() {
        return None;
    }
    let mut row = row(&figure, Some(share(a)), Some(share(b)));
    row.difference = difference(row.a, row.b);
    row.p = Some(mcnemar(only(a, b), only(b, a)).p_value);
    "McNemar, items taken as independent".clone_into(&mut row.test);
    Some(row)
}

/// Holm's correction over all rows that have a p-value.
pub fn adjust(rows: &mut [PairedRow]) {
    let p_values: Vec<f64> = rows.iter().filter_map(|row| row.p).collect();
    let adjusted = holm(&p_values).unwrap_or_default();
    let tested = rows.iter_mut().filter(|row| row.p.is_some());
    tested.zip(adjusted).for_each(|(row, p)| row.adjusted_p = Some(p));
}

fn row(figure: &FigureName, a: Option<f64>, b: Option<f64>) -> PairedRow {
    let (name, slice) = match figure.name.split_once('@') {
        Some((name, slice)) => (name.to_owned(), Some(slice.to_owned())),
        None => (figure.name.clone(), None),
    };
    PairedRow {
        figure: name,
        slice,
        title: figure.title.clone(),
        unit: figure.unit,
        better: figure.better,
        a,
        b,
        difference: None,
        interval: None,
        p: None,
        adjusted_p: None,
        test: String::new(),
    }
}

fn difference(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(b? - a?)
}

fn differences(a: &[Option<f64>], b: &[Option<f64>]) -> Vec<Option<f64>> {
    a.iter().zip(b).map(|(a, b)| difference(*a, *b)).collect()
}

/// The values of each figure in draws 0, 1, …, made in parallel. `draw` writes
/// how often each cluster is in the draw of a number.
fn drawn(
    evaluator: &dyn Evaluator,
    draws: u64,
    draw: impl Fn(u64, &mut Vec<u8>) + Sync,
) -> Vec<Vec<Option<f64>>> {
    let start = || (vec![Vec::new(); LANES], Draws::default());
    let blocks: Vec<_> = (0..draws.div_ceil(LANES as u64))
        .into_par_iter()
        .map_init(start, |(lanes, together), block| {
            (block * LANES as u64..).zip(&mut *lanes).for_each(|(number, lane)| draw(number, lane));
            together.fill(lanes);
            evaluator.drawn(together)
        })
        .collect();
    let column = |place| blocks.iter().flat_map(|block| block[place]).take(draws as usize).collect();
    (0..evaluator.figures().len()).map(column).collect()
}

fn interval((low, high): (f64, f64)) -> Interval {
    Interval { low, high }
}
