//! Intervals of an evaluator's figures, and paired tests between two systems,
//! by drawing clusters again, in parallel. A draw depends on the seed and its
//! number alone, so the result is the same on every machine and with any number
//! of threads. The draws and the formulas are the core's.

use mindrail_core::metrics::{
    Resampling, bca_interval, holm, paired_bootstrap_p_value, percentile_interval, randomisation_p_value,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::protocol::{Evaluator, FigureName, Intervals};
use crate::report::{Interval, PairedRow};

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
    let drawn = drawn(settings.draws, |draw, multiplicities| {
        resampling.draw(draw, multiplicities);
        evaluator.values(multiplicities)
    });
    let left_out = match settings.method {
        IntervalMethod::Bca if settings.draws > 0 => drawn_groups(evaluator, &resampling),
        IntervalMethod::Bca | IntervalMethod::Percentile => Vec::new(),
    };
    let figures = evaluator.figures().par_iter().enumerate();
    figures
        .map(|(place, figure)| {
            let value = values[place];
            let draws = column(&drawn, place);
            let ends = match (settings.method, value) {
                (IntervalMethod::Percentile, Some(_)) => percentile_interval(&draws),
                (IntervalMethod::Bca, Some(value)) => bca_interval(value, &draws, &column(&left_out, place)),
                (_, None) => None,
            };
            (figure.name.clone(), Estimate { value, interval: ends.map(interval) })
        })
        .collect()
}

/// The paired tests between two systems on the same items.
///
/// `joint` evaluates both at once: its first half of clusters holds the first
/// system's answers, its second half the second's to the same clusters in the
/// same order. A draw takes the same clusters for both; a swap exchanges their
/// answers cluster by cluster. Figures that judge nothing are not tested. The
/// p-values of one test are corrected together.
pub fn paired_tests(joint: &dyn Evaluator, settings: Settings) -> Vec<PairedRow> {
    let clusters = joint.clusters() / 2;
    let resampling = Resampling::new(clusters, settings.seed);
    let both = |first: &[u32], second: &[u32]| {
        (joint.values(&[first, second].concat()), joint.values(&[second, first].concat()))
    };
    let nothing = vec![0; clusters];
    let (a, b) = both(&resampling.original(), &nothing);
    let drawn = drawn(settings.draws, |draw, multiplicities| {
        resampling.draw(draw, multiplicities);
        let (a, b) = both(multiplicities, &nothing);
        differences(&a, &b)
    });
    let swapped = drawn_pairs(settings.draws, &resampling, &both);
    let mut rows: Vec<PairedRow> = joint
        .figures()
        .iter()
        .enumerate()
        .map(|(place, figure)| {
            let observed = differences(&a, &b)[place];
            let mut row = row(figure, a[place], b[place]);
            row.difference = observed;
            let (draws, swaps) = (column(&drawn, place), column(&swapped, place));
            row.interval = observed.and_then(|_| percentile_interval(&draws)).map(interval);
            let test = observed.and_then(|observed| randomisation_p_value(observed, &swaps));
            (row.p, row.test) = match test {
                Some(p) => (Some(p), "approximate randomisation".to_owned()),
                None => match observed.and_then(|_| paired_bootstrap_p_value(&draws)) {
                    Some(p) => (Some(p), "paired bootstrap".to_owned()),
                    None => (None, String::new()),
                },
            };
            row
        })
        .collect();
    adjust(&mut rows);
    rows
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

fn differences(a: &[Option<f64>], b: &[Option<f64>]) -> Vec<Option<f64>> {
    a.iter().zip(b).map(|(a, b)| Some(b.as_ref()? - a.as_ref()?)).collect()
}

/// One row of values for each draw, made in parallel.
fn drawn(
    draws: u64,
    values: impl Fn(u64, &mut Vec<u32>) -> Vec<Option<f64>> + Sync,
) -> Vec<Vec<Option<f64>>> {
    let numbers = (0..draws).into_par_iter();
    numbers.map_init(Vec::new, |multiplicities, draw| values(draw, multiplicities)).collect()
}

fn drawn_groups(evaluator: &dyn Evaluator, resampling: &Resampling) -> Vec<Vec<Option<f64>>> {
    drawn(resampling.jackknife_groups() as u64, |group, multiplicities| {
        resampling.leave_out(group as usize, multiplicities);
        evaluator.values(multiplicities)
    })
}

/// Differences between the systems when they have exchanged clusters by chance.
fn drawn_pairs(
    draws: u64,
    resampling: &Resampling,
    both: &(impl Fn(&[u32], &[u32]) -> (Vec<Option<f64>>, Vec<Option<f64>>) + Sync),
) -> Vec<Vec<Option<f64>>> {
    drawn(draws, |draw, kept| {
        let mut swapped = Vec::new();
        resampling.swap(draw, kept, &mut swapped);
        let (a, b) = both(kept, &swapped);
        differences(&a, &b)
    })
}

fn column(rows: &[Vec<Option<f64>>], place: usize) -> Vec<Option<f64>> {
    rows.iter().map(|row| row[place]).collect()
}

fn interval((low, high): (f64, f64)) -> Interval {
    Interval { low, high }
}
