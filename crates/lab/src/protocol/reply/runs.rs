//! One figure over several runs of a system (seeds, repeated sampling), in full
//! precision and as published tables print it.

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

    #[test]
    fn one_run_has_no_deviation_and_what_is_no_share_has_no_figure() {
        assert_eq!(across_runs(&[0.5]), None);
        assert_eq!(across_runs(&[0.5, 1.5]), None);
        assert_eq!(across_runs(&[0.5, f64::NAN]), None);
    }
}
