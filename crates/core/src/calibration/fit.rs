//! Maximum-likelihood fits by Newton's method: Platt scaling and L2-penalised
//! logistic regression. Both are one convex problem, solved by one function.

use serde::{Deserialize, Serialize};

use super::Platt;
use crate::probability::Probability;

/// Newton steps before a fit is given up. Convex problems of this kind need
/// about ten.
pub(super) const MAX_STEPS: usize = 100;
/// A fit has converged when a full step would lower the objective by less than
/// this share of it.
pub(super) const TOLERANCE: f64 = 1e-14;
/// Added to the diagonal of the Hessian so that it stays invertible where all
/// probabilities are saturated (Lin, Lin and Weng 2007). It changes the path,
/// not the optimum.
const RIDGE: f64 = 1e-12;

/// Why a fit, or the choice of a threshold, is not possible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The rows and their labels differ in number.
    #[error("found {labels} labels for {rows} rows; expected one label for each row")]
    LengthMismatch {
        /// Number of rows.
        rows: usize,
        /// Number of labels.
        labels: usize,
    },
    /// All rows carry one label, or there are none.
    #[error("found {positives} positives among {rows} rows; expected both classes")]
    OneClass {
        /// Rows whose label is true.
        positives: usize,
        /// All rows.
        rows: usize,
    },
    /// A row has another number of features than the first.
    #[error("row {row} has {found} features; expected {expected} as in row 0")]
    FeatureCount {
        /// The row, from 0.
        row: usize,
        /// Its number of features.
        found: usize,
        /// The first row's number of features.
        expected: usize,
    },
    /// A row holds a NaN or an infinity.
    #[error("row {row} holds a number that is not finite")]
    NotFinite {
        /// The row, from 0.
        row: usize,
    },
    /// The inverse strength of the penalty is not a positive number.
    #[error("found C = {found}; expected a finite number greater than 0")]
    Penalty {
        /// The number.
        found: f64,
    },
    /// Every row has the same logit, so that there is no slope.
    #[error("all logits are {logit}; expected at least two different ones")]
    ConstantLogits {
        /// The logit.
        logit: f32,
    },
    /// Higher logits do not mean more positives.
    #[error("the fitted slope is {slope}; expected more than 0: the scores rank the rows wrongly")]
    SlopeNotPositive {
        /// The slope of the best fit.
        slope: f64,
    },
    /// The logits' signs tell the classes apart, so that any sharper probabilities
    /// are likelier still.
    #[error(
        "no temperature is the best one: every logit has the sign of its label; expected a row that has not"
    )]
    NoTemperature,
    /// Newton's method did not reach the optimum.
    #[error("no optimum after {steps} Newton steps")]
    NotConverged {
        /// Steps made.
        steps: usize,
    },
    /// No threshold reaches the target.
    #[error("no threshold among {rows} rows reaches the target `{target}`")]
    TargetNotReached {
        /// The target, in words.
        target: String,
        /// Number of rows.
        rows: usize,
    },
}

impl Platt {
    /// Fits slope and intercept by maximum likelihood on the model's `logits`,
    /// with the smoothed targets of Platt (1999): (P + 1) / (P + 2) for the P
    /// positives and 1 / (N + 2) for the N negatives, which keep the fit finite
    /// when the classes are separable.
    ///
    /// # Errors
    /// [`FitError`] when lengths differ, a class is absent, a logit is not
    /// finite, all logits are equal, or the fitted slope is not positive: a
    /// negative slope would turn the model's order round, which no calibration
    /// may do.
    pub fn fit(logits: &[f32], labels: &[bool]) -> Result<Self, FitError> {
        let (positives, negatives) = class_counts(logits.len(), labels)?;
        let high = (positives as f64 + 1.0) / (positives as f64 + 2.0);
        let low = 1.0 / (negatives as f64 + 2.0);
        Self::solve(logits, labels.iter().map(|&label| if label { high } else { low }).collect())
    }

    /// The same on another model's probabilities in place of labels, which gives its
    /// probabilities as nearly as a slope and an intercept can. Certainty is smoothed: none
    /// counts as nearer to 0 or 1 than one over two more than the rows.
    ///
    /// # Errors
    /// As [`Self::fit`]; a class is absent where all probabilities are 0 or all are 1.
    pub fn fit_to(logits: &[f32], probabilities: &[Probability]) -> Result<Self, FitError> {
        check_targets(logits.len(), probabilities)?;
        let least = 1.0 / (logits.len() as f64 + 2.0);
        let smoothed = probabilities.iter().map(|p| f64::from(p.get()).clamp(least, 1.0 - least));
        Self::solve(logits, smoothed.collect())
    }

    fn solve(logits: &[f32], targets: Vec<f64>) -> Result<Self, FitError> {
        let features: Vec<Vec<f64>> = logits.iter().map(|&l| vec![f64::from(l)]).collect();
        check_features(&features)?;
        if logits.iter().all(|logit| (logit - logits[0]).abs() <= 0.0) {
            return Err(FitError::ConstantLogits { logit: logits[0] });
        }
        let problem = Problem { features: &features, targets, loss_weight: 1.0, penalty: 0.0 };
        let fitted = problem.solve()?;
        let slope = fitted.weights[0];
        // Taken as f32, the slope must still be positive.
        if slope as f32 > 0.0 {
            Ok(Self { slope: slope as f32, intercept: fitted.intercept as f32 })
        } else {
            Err(FitError::SlopeNotPositive { slope })
        }
    }
}

/// A logistic regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logistic {
    /// One weight for each feature.
    pub weights: Vec<f64>,
    /// The logit of a row of zeros. KHP's `aggregation_head.json` calls it `bias`,
    /// and is read too.
    #[serde(alias = "bias")]
    pub intercept: f64,
}

impl Logistic {
    /// The logit of a row: weights . features + intercept. Features beyond the
    /// weights are left out.
    pub fn logit(&self, features: &[f64]) -> f64 {
        let products = self.weights.iter().zip(features).map(|(w, x)| w * x);
        products.sum::<f64>() + self.intercept
    }

    /// The probability of a row, in \[0, 1\].
    pub fn probability(&self, features: &[f64]) -> f64 {
        sigmoid(self.logit(features))
    }
}

/// L2-penalised logistic regression with an unpenalised intercept: the minimum
/// of C x (sum of log losses) + 1/2 w.w, which is scikit-learn's objective.
/// `features` is rows x features; `c` is the inverse strength of the penalty.
///
/// # Errors
/// [`FitError`] when lengths differ, a class is absent, a row has another number
/// of features than the first, a number is not finite, or `c` is not positive.
pub fn fit_logistic(features: &[Vec<f64>], labels: &[bool], c: f64) -> Result<Logistic, FitError> {
    Problem::penalised(features, labels, c)?.solve()
}

/// The same on probabilities in place of labels.
///
/// # Errors
/// As [`fit_logistic`]; a class is absent where all probabilities are 0 or all are 1.
pub fn fit_logistic_to(
    features: &[Vec<f64>],
    probabilities: &[Probability],
    c: f64,
) -> Result<Logistic, FitError> {
    check_targets(features.len(), probabilities)?;
    let targets = probabilities.iter().map(|p| f64::from(p.get())).collect();
    Problem::penalised_to(features, targets, c)?.solve()
}

/// One probability for each row, of which some are above 0 and some below 1.
fn check_targets(rows: usize, probabilities: &[Probability]) -> Result<(), FitError> {
    if rows != probabilities.len() {
        return Err(FitError::LengthMismatch { rows, labels: probabilities.len() });
    }
    let is_certain = |wanted: Probability| probabilities.iter().all(|&p| p == wanted);
    match (is_certain(Probability::ZERO), is_certain(Probability::ONE)) {
        (true, _) => Err(FitError::OneClass { positives: 0, rows }),
        (_, true) => Err(FitError::OneClass { positives: rows, rows }),
        (false, false) => Ok(()),
    }
}

/// Positives and negatives, both at least 1.
pub(super) fn class_counts(rows: usize, labels: &[bool]) -> Result<(usize, usize), FitError> {
    if rows != labels.len() {
        return Err(FitError::LengthMismatch { rows, labels: labels.len() });
    }
    let positives = labels.iter().filter(|&&label| label).count();
    if positives == 0 || positives == rows {
        return Err(FitError::OneClass { positives, rows });
    }
    Ok((positives, rows - positives))
}

/// All rows as long as the first, and all numbers finite.
fn check_features(features: &[Vec<f64>]) -> Result<(), FitError> {
    let expected = features.first().map_or(0, Vec::len);
    for (row, values) in features.iter().enumerate() {
        if values.len() != expected {
            let found = values.len();
            return Err(FitError::FeatureCount { row, found, expected });
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(FitError::NotFinite { row });
        }
    }
    Ok(())
}

pub(super) fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// ln(1 + e^z) without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// `loss_weight` x cross-entropy against soft targets + `penalty` / 2 x w.w.
pub(super) struct Problem<'a> {
    features: &'a [Vec<f64>],
    targets: Vec<f64>,
    loss_weight: f64,
    penalty: f64,
}

impl<'a> Problem<'a> {
    /// The objective of [`fit_logistic`], once its arguments are found good.
    pub(super) fn penalised(features: &'a [Vec<f64>], labels: &[bool], c: f64) -> Result<Self, FitError> {
        class_counts(features.len(), labels)?;
        Self::penalised_to(features, labels.iter().map(|&l| f64::from(u8::from(l))).collect(), c)
    }

    /// The same with probabilities as targets, which have been looked at.
    fn penalised_to(features: &'a [Vec<f64>], targets: Vec<f64>, c: f64) -> Result<Self, FitError> {
        check_features(features)?;
        if !(c.is_finite() && c > 0.0) {
            return Err(FitError::Penalty { found: c });
        }
        Ok(Self { features, targets, loss_weight: c, penalty: 1.0 })
    }

    /// Number of features.
    pub(super) fn width(&self) -> usize {
        self.features[0].len()
    }
}

impl Problem<'_> {
    /// Newton's method with step halving from zero. Parameters are the weights,
    /// then the intercept.
    fn solve(&self) -> Result<Logistic, FitError> {
        let mut theta = vec![0.0; self.features[0].len() + 1];
        let mut value = self.objective(&theta);
        for _ in 0..MAX_STEPS {
            let (gradient, hessian) = self.derivatives(&theta);
            let step = solve_positive_definite(hessian, &gradient);
            let decrement: f64 = gradient.iter().zip(&step).map(|(g, s)| g * s).sum();
            if decrement <= TOLERANCE * (1.0 + value) {
                let intercept = theta.pop().unwrap_or_default();
                return Ok(Logistic { weights: theta, intercept });
            }
            (theta, value) = self.descend(&theta, &step, value);
        }
        Err(FitError::NotConverged { steps: MAX_STEPS })
    }

    /// The longest of 1, 1/2, 1/4, ... steps that lowers the objective.
    fn descend(&self, theta: &[f64], step: &[f64], value: f64) -> (Vec<f64>, f64) {
        let mut length = 1.0;
        loop {
            let moved: Vec<f64> = theta.iter().zip(step).map(|(t, s)| t - length * s).collect();
            let lower = self.objective(&moved);
            if lower < value || length < 1e-10 {
                return (moved, lower);
            }
            length /= 2.0;
        }
    }

    fn row_logit(theta: &[f64], row: &[f64]) -> f64 {
        let (intercept, weights) = (theta[row.len()], &theta[..row.len()]);
        weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + intercept
    }

    pub(super) fn objective(&self, theta: &[f64]) -> f64 {
        let weights = &theta[..theta.len() - 1];
        let penalty = 0.5 * self.penalty * weights.iter().map(|w| w * w).sum::<f64>();
        let rows = self.features.iter().zip(&self.targets);
        let loss: f64 = rows
            .map(|(row, target)| {
                let z = Self::row_logit(theta, row);
                softplus(z) - target * z
            })
            .sum();
        penalty + self.loss_weight * loss
    }

    /// Gradient and Hessian of the objective.
    pub(super) fn derivatives(&self, theta: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let size = theta.len();
        let mut gradient = vec![0.0; size];
        let mut hessian = vec![vec![0.0; size]; size];
        for (row, target) in self.features.iter().zip(&self.targets) {
            let p = sigmoid(Self::row_logit(theta, row));
            let x = |i: usize| row.get(i).copied().unwrap_or(1.0);
            for i in 0..size {
                gradient[i] += self.loss_weight * (p - target) * x(i);
                for (j, entry) in hessian[i].iter_mut().enumerate().take(i + 1) {
                    *entry += self.loss_weight * p * (1.0 - p) * x(i) * x(j);
                }
            }
        }
        for i in 0..size - 1 {
            gradient[i] += self.penalty * theta[i];
            hessian[i][i] += self.penalty;
        }
        (gradient, hessian)
    }
}

/// Solves `a` x = `b` by Cholesky decomposition, reading the lower triangle of
/// a positive semidefinite `a`.
pub(super) fn solve_positive_definite(mut a: Vec<Vec<f64>>, b: &[f64]) -> Vec<f64> {
    let size = b.len();
    for i in 0..size {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            let rest = a[i][j] - dot;
            a[i][j] = if i == j { (rest + RIDGE).max(RIDGE).sqrt() } else { rest / a[j][j] };
        }
    }
    let mut x = b.to_vec();
    for i in 0..size {
        let dot: f64 = (0..i).map(|k| a[i][k] * x[k]).sum();
        x[i] = (x[i] - dot) / a[i][i];
    }
    for i in (0..size).rev() {
        let dot: f64 = (i + 1..size).map(|k| a[k][i] * x[k]).sum();
        x[i] = (x[i] - dot) / a[i][i];
    }
    x
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fit_to_probabilities_finds_the_scale_that_made_them() {
        let logits: Vec<f32> = (-80..=80_i16).map(|place| f32::from(place) / 40.0).collect();
        let made: Vec<Probability> = logits.iter().map(|l| Probability::from_logit(2.0 * l - 1.0)).collect();
        let platt = Platt::fit_to(&logits, &made).unwrap();
        assert!((platt.slope - 2.0).abs() < 0.1 && (platt.intercept + 1.0).abs() < 0.1, "{platt:?}");
        let features: Vec<Vec<f64>> = logits.iter().map(|&l| vec![f64::from(l)]).collect();
        let logistic = fit_logistic_to(&features, &made, 1e6).unwrap();
        assert!((logistic.weights[0] - 2.0).abs() < 1e-3 && (logistic.intercept + 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_fit_to_certain_probabilities_is_the_fit_to_labels() {
        let features = vec![vec![0.5], vec![-1.0], vec![2.0], vec![0.1]];
        let labels = [true, false, true, false];
        let certain = labels.map(|label| if label { Probability::ONE } else { Probability::ZERO });
        let found = fit_logistic_to(&features, &certain, 1.0).unwrap();
        assert_eq!(found, fit_logistic(&features, &labels, 1.0).unwrap());
        let none = fit_logistic_to(&features, &[Probability::ZERO; 4], 1.0);
        assert_eq!(none, Err(FitError::OneClass { positives: 0, rows: 4 }));
    }

    #[test]
    fn platt_finds_the_scale_that_made_the_labels() {
        // Logits on a grid; of each hundred rows as many are positive as
        // sigmoid(2 z - 1) says.
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for place in -8..=8_i16 {
            let logit = f32::from(place) / 4.0;
            let share = sigmoid(2.0 * f64::from(logit) - 1.0);
            for row in 0..100_u8 {
                logits.push(logit);
                labels.push(f64::from(row) + 0.5 < 100.0 * share);
            }
        }
        let fitted = Platt::fit(&logits, &labels).unwrap();
        assert!((fitted.slope - 2.0).abs() < 0.05, "{fitted:?}");
        assert!((fitted.intercept + 1.0).abs() < 0.05, "{fitted:?}");
    }

    #[test]
    fn separable_classes_still_have_a_finite_fit() {
        let fitted = Platt::fit(&[-3.0, -2.0, 2.0, 3.0], &[false, false, true, true]).unwrap();
        assert!(fitted.slope.is_finite() && fitted.slope > 0.0);
    }

    #[test]
    fn scores_that_rank_wrongly_are_refused() {
        let found = Platt::fit(&[3.0, 2.0, -2.0, -3.0], &[false, false, true, true]);
        assert!(matches!(found, Err(FitError::SlopeNotPositive { slope }) if slope < 0.0));
    }

    #[test]
    fn rows_that_cannot_be_fitted_are_named() {
        let found = Platt::fit(&[1.0, f32::NAN], &[true, false]);
        assert_eq!(found, Err(FitError::NotFinite { row: 1 }));
        let found = Platt::fit(&[1.0, 1.0], &[true, false]);
        assert_eq!(found, Err(FitError::ConstantLogits { logit: 1.0 }));
        let found = Platt::fit(&[1.0], &[]);
        assert_eq!(found, Err(FitError::LengthMismatch { rows: 1, labels: 0 }));
        let found = Platt::fit(&[], &[]);
        assert_eq!(found, Err(FitError::OneClass { positives: 0, rows: 0 }));
        let ragged = [vec![1.0], vec![1.0, 2.0]];
        let found = fit_logistic(&ragged, &[true, false], 1.0);
        let expected = FitError::FeatureCount { row: 1, found: 2, expected: 1 };
        assert_eq!(found, Err(expected));
        let found = fit_logistic(&[vec![1.0], vec![2.0]], &[true, false], 0.0);
        assert_eq!(found, Err(FitError::Penalty { found: 0.0 }));
    }

    proptest! {
        #[test]
        fn no_neighbour_of_the_optimum_is_better(
            rows in proptest::collection::vec((-3.0..3.0_f64, -3.0..3.0_f64, any::<bool>()), 4..30),
            c in 0.05..5.0_f64,
        ) {
            let labels: Vec<bool> = rows.iter().map(|row| row.2).collect();
            prop_assume!(labels.contains(&true) && labels.contains(&false));
            let features: Vec<Vec<f64>> = rows.iter().map(|row| vec![row.0, row.1]).collect();
            let fitted = fit_logistic(&features, &labels, c).unwrap();
            let problem = Problem::penalised(&features, &labels, c).unwrap();
            let theta = [fitted.weights[0], fitted.weights[1], fitted.intercept];
            let best = problem.objective(&theta);
            for place in 0..3 {
                for shift in [-1e-3, 1e-3] {
                    let mut moved = theta;
                    moved[place] += shift;
                    prop_assert!(problem.objective(&moved) >= best);
                }
            }
        }
    }
}
