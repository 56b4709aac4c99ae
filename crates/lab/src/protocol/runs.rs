//! Figures over several runs of a system (seeds, repeated sampling), in full
//! precision and as published tables print them.

use super::FigureName;
use super::figures::{plain, section, table, text};
use crate::report::{Cell, Section, Unit};

/// The id of the section.
pub(crate) const OVER_RUNS: &str = "runs";

/// The figures of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFigures {
    /// The run's name.
    pub name: String,
    /// Items without an answer, or without one to a part of them.
    pub unanswered: u64,
    /// Its figures; no value where one is not defined.
    pub figures: Vec<(FigureName, Option<f64>)>,
}

/// Mean and deviation of every figure that is of no slice, over runs of one system.
pub fn over_runs(runs: &[RunFigures]) -> Section {
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let unanswered: Vec<String> = runs
        .iter()
        .filter(|run| run.unanswered > 0)
        .map(|run| {
            format!(
                " Of run {} {} items have no answer, or none to a part of them.",
                run.name, run.unanswered
            )
        })
        .collect();
    let words = format!(
        "Runs: {}.{} As printed, as published tables do it: each run in percent with three decimals, then mean and \
         sample standard deviation with one, halves up.",
        names.join(", "),
        unanswered.concat()
    );
    let mut figures: Vec<&FigureName> = Vec::new();
    for (figure, _) in runs.iter().flat_map(|run| &run.figures) {
        if !figure.name.contains('@') && !figures.iter().any(|known| known.name == figure.name) {
            figures.push(figure);
        }
    }
    let rows = figures.into_iter().map(|figure| row(figure, runs)).collect();
    let columns = ["Figure", "As printed", "Mean", "Sample deviation", "Lowest", "Highest"];
    let mut section = section(OVER_RUNS, &format!("Over {} runs", runs.len()), &words);
    section.tables.push(table("Mean and deviation", &columns, rows));
    section
}

/// A figure over the runs; without values where a run does not have it.
fn row(figure: &FigureName, runs: &[RunFigures]) -> Vec<Cell> {
    let of_run = |run: &RunFigures| {
        let own = run.figures.iter().find(|(own, _)| own.name == figure.name);
        own.and_then(|(_, value)| *value)
    };
    let values: Option<Vec<f64>> = runs.iter().map(of_run).collect();
    let values = values.as_deref();
    let printed = values.filter(|_| figure.unit == Unit::Share).and_then(across_runs);
    let printed =
        printed.map(|across| format!("{:.1} ({:.1})", across.printed_mean, across.printed_deviation));
    let cell = |of_values: fn(&[f64]) -> f64| plain(values.map(of_values), figure.unit);
    vec![
        text(&figure.title),
        text(printed.unwrap_or_default()),
        cell(mean),
        cell(sample_deviation),
        cell(|values| values.iter().copied().fold(f64::INFINITY, f64::min)),
        cell(|values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
    ]
}

/// Mean and deviation of a figure over runs, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AcrossRuns {
    /// Number of runs, at least 2.
    pub runs: usize,
    /// Mean of the unrounded figures.
    pub mean: f64,
    /// Sample standard deviation of the unrounded figures (n - 1 below the line).
    pub deviation: f64,
    /// Mean to one decimal by the procedure that reproduces Table 2 of
    /// `DialogueSafety` in all 24 cells: each run's figure rounded to 5 decimals,
    /// as scikit-learn's report prints it, times 100, their mean, rounded to one
    /// decimal with halves up.
    pub printed_mean: f64,
    /// Sample standard deviation of the same rounded figures, to one decimal.
    pub printed_deviation: f64,
}

/// Units of the rounded figures in one.
const UNITS: f64 = 100_000.0;

/// Rounded units in one tenth of a percent.
const UNITS_PER_TENTH: i64 = 100;

/// Mean and sample standard deviation of a figure over runs; `values` are shares
/// in \[0, 1\], one for each run.
///
/// `None` for fewer than 2 runs, where there is no deviation, or when a value is
/// no share.
pub fn across_runs(values: &[f64]) -> Option<AcrossRuns> {
    if values.len() < 2 || values.iter().any(|value| !(0.0..=1.0).contains(value)) {
        return None;
    }
    let percents: Vec<f64> = values.iter().map(|value| 100.0 * value).collect();
    let rounded: Vec<i64> = values.iter().map(|value| rounded_units(*value)).collect();
    let rounded_percents: Vec<f64> = rounded.iter().map(|units| *units as f64 * 100.0 / UNITS).collect();
    Some(AcrossRuns {
        runs: values.len(),
        mean: mean(&percents),
        deviation: sample_deviation(&percents),
        printed_mean: tenths_half_up(rounded.iter().sum(), rounded.len() as i64) as f64 / 10.0,
        printed_deviation: (sample_deviation(&rounded_percents) * 10.0).round() / 10.0,
    })
}

/// The figure in units of 1e-5, rounded to the nearest, as `%.5f` does.
fn rounded_units(value: f64) -> i64 {
    (value * UNITS).round_ties_even() as i64
}

/// The mean of figures in units, in tenths of a percent, halves up; in whole
/// numbers, because 70.25 has no exact half in binary once it is a mean.
fn tenths_half_up(sum: i64, count: i64) -> i64 {
    let divisor = count * UNITS_PER_TENTH;
    (2 * sum + divisor).div_euclid(2 * divisor)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn sample_deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::protocol::definition::share;

    #[test]
    fn halves_go_up_where_binary_numbers_would_let_them_fall() {
        // BERT's accuracies: their mean is 70.25, printed as 70.3.
        let found = across_runs(&[0.7125, 0.7125, 0.68875, 0.7075, 0.69125]).unwrap();
        assert_eq!((found.printed_mean, found.printed_deviation), (70.3, 1.2));
        assert!((found.mean - 70.25).abs() < 1e-9);
    }

    #[test]
    fn the_deviation_divides_by_one_less_than_the_runs() {
        let found = across_runs(&[0.1, 0.3]).unwrap();
        assert!((found.deviation - 200.0_f64.sqrt()).abs() < 1e-9);
    }

    fn run(name: &str, values: [Option<f64>; 3]) -> RunFigures {
        let turns = FigureName { unit: Unit::Turns, ..share("median_lead", "Median lead") };
        let figures = [share("f1", "F1"), turns, share("f1@language=fr", "F1, language fr")];
        let unanswered = u64::from(name == "43");
        RunFigures { name: name.to_owned(), unanswered, figures: figures.into_iter().zip(values).collect() }
    }

    #[test]
    fn a_section_over_runs_has_every_figure_that_is_of_no_slice() {
        let runs = [run("42", [Some(0.6), Some(2.0), Some(0.1)]), run("43", [Some(0.8), Some(4.0), None])];
        let section = over_runs(&runs);
        let rows = &section.tables[0].rows;
        assert_eq!((section.title.as_str(), rows.len()), ("Over 2 runs", 2));
        assert!(
            section.text.starts_with("Runs: 42, 43. Of run 43 1 items have no answer"),
            "{}",
            section.text
        );
        assert_eq!(rows[0][..2], [text("F1"), text("70.0 (14.1)")]);
        // What is no share is not printed in percent.
        assert_eq!(rows[1][1..3], [text(""), plain(Some(3.0), Unit::Turns)]);
        assert_eq!(rows[1][4..], [plain(Some(2.0), Unit::Turns), plain(Some(4.0), Unit::Turns)]);
    }

    #[test]
    fn a_figure_that_a_run_does_not_have_is_not_averaged_over_the_others() {
        let runs = [run("42", [None, Some(2.0), None]), run("43", [Some(0.8), Some(4.0), None])];
        let rows = over_runs(&runs).tables.remove(0).rows;
        assert_eq!(rows[0][1], text(""));
        assert!(rows[0][2..].iter().all(|cell| *cell == plain(None, Unit::Share)));
    }

    #[test]
    fn one_run_has_no_deviation_and_what_is_no_share_has_no_figure() {
        assert_eq!(across_runs(&[0.5]), None);
        assert_eq!(across_runs(&[0.5, 1.5]), None);
        assert_eq!(across_runs(&[0.5, f64::NAN]), None);
    }
}
