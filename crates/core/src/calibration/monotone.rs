//! Logistic regression whose weights are not negative, so that a higher signal never
//! lowers the score: the exact minimum of [`super::fit_logistic`]'s objective under
//! that constraint, by projected Newton steps (Bertsekas 1982, "Projected Newton
//! methods for optimization problems with simple constraints").

use super::fit::{MAX_STEPS, Problem, TOLERANCE, solve_positive_definite};
use super::{FitError, Logistic};

/// A weight at most this far above 0, whose gradient draws it down, is taken to the
/// bound by itself instead of by a Newton step that all weights share: else a tiny
/// weight could hold the others to tiny steps. It changes the path, not the optimum.
const NEAR: f64 = 1e-3;

/// L2-penalised logistic regression with weights >= 0 and a free, unpenalised
/// intercept: the minimum of C x (sum of log losses) + 1/2 w.w under w >= 0. Where
/// [`super::fit_logistic`] finds no negative weight, it is the same fit. `features` is
/// rows x features; `c` is the inverse strength of the penalty, greater than 0.
///
/// # Errors
/// [`FitError`] when lengths differ, a class is absent, a row has another number of
/// features than the first, a number is not finite, or `c` is not positive.
pub fn fit_monotone_logistic(features: &[Vec<f64>], labels: &[bool], c: f64) -> Result<Logistic, FitError> {
    let problem = Problem::penalised(features, labels, c)?;
    let mut theta = vec![0.0; problem.width() + 1];
    for _ in 0..MAX_STEPS {
        let value = problem.objective(&theta);
        let step = Step::at(&problem, &theta);
        if step.decrement <= TOLERANCE * (1.0 + value) {
            let intercept = theta.pop().unwrap_or_default();
            return Ok(Logistic { weights: theta, intercept });
        }
        theta = step.descend(&problem, &theta, value);
    }
    Err(FitError::NotConverged { steps: MAX_STEPS })
}

/// Where to go from a point, and what a full step would gain at first order.
struct Step {
    direction: Vec<f64>,
    decrement: f64,
}

impl Step {
    /// The Newton step of the weights that are free and of the intercept, and for each
    /// weight that is held a step of its own towards the bound.
    fn at(problem: &Problem<'_>, theta: &[f64]) -> Self {
        let (gradient, hessian) = problem.derivatives(theta);
        let near = near(theta, &gradient, &hessian);
        let weights = problem.width();
        let is_held = |i: usize| i < weights && theta[i] <= near && gradient[i] > 0.0;
        let free: Vec<usize> = (0..=weights).filter(|&i| !is_held(i)).collect();
        let reduced = free.iter().map(|&i| free.iter().map(|&j| hessian[i.max(j)][i.min(j)]).collect());
        let slopes: Vec<f64> = free.iter().map(|&i| gradient[i]).collect();
        let newton = solve_positive_definite(reduced.collect(), &slopes);
        let mut direction: Vec<f64> = (0..=weights).map(|i| gradient[i] / hessian[i][i].max(1e-12)).collect();
        let mut decrement: f64 =
            (0..weights).filter(|&i| is_held(i)).map(|i| gradient[i] * direction[i].min(theta[i])).sum();
        for (&i, &step) in free.iter().zip(&newton) {
            direction[i] = step;
            decrement += gradient[i] * step;
        }
        Self { direction, decrement }
    }

    /// The longest of 1, 1/2, 1/4, ... steps that lowers the objective, each brought
    /// back to weights >= 0.
    fn descend(&self, problem: &Problem<'_>, theta: &[f64], value: f64) -> Vec<f64> {
        let mut length = 1.0;
        loop {
            let moved = moved(theta, &self.direction, length);
            if problem.objective(&moved) < value || length < 1e-10 {
                return moved;
            }
            length /= 2.0;
        }
    }
}

/// Bertsekas' width of "near the bound": it goes to 0 with the distance from the
/// optimum, so that in the end only weights at the bound are held.
fn near(theta: &[f64], gradient: &[f64], hessian: &[Vec<f64>]) -> f64 {
    let weights = theta.len() - 1;
    let distance = |i: usize| theta[i] - (theta[i] - gradient[i] / hessian[i][i].max(1e-12)).max(0.0);
    NEAR.min((0..weights).map(|i| distance(i).powi(2)).sum::<f64>().sqrt())
}

/// `theta` less `length` x `direction`, weights brought back to 0 where they fell below.
fn moved(theta: &[f64], direction: &[f64], length: f64) -> Vec<f64> {
    let weights = theta.len() - 1;
    let place = |i: usize| theta[i] - length * direction[i];
    (0..=weights).map(|i| if i < weights { place(i).max(0.0) } else { place(i) }).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::calibration::fit_logistic;

    fn rows() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<bool>)> {
        let row = (proptest::collection::vec(-2.0..2.0_f64, 4), any::<bool>());
        proptest::collection::vec(row, 4..40)
            .prop_map(|rows| rows.into_iter().unzip())
            .prop_filter("both classes", |(_, labels): &(Vec<_>, Vec<bool>)| {
                labels.contains(&true) && labels.contains(&false)
            })
    }

    #[test]
    fn a_signal_that_speaks_against_risk_gets_no_weight() {
        let features: Vec<Vec<f64>> = (0..20).map(|i| vec![f64::from(i % 5), -f64::from(i % 5)]).collect();
        let labels: Vec<bool> = (0..20).map(|i| i % 5 >= 2).collect();
        let free = fit_logistic(&features, &labels, 1.0).unwrap();
        assert!(free.weights[1] < 0.0, "{free:?}");
        let found = fit_monotone_logistic(&features, &labels, 1.0).unwrap();
        assert!(found.weights[0] > 0.0 && found.weights[1].abs() <= 0.0, "{found:?}");
    }

    #[test]
    fn where_all_signals_speak_against_risk_only_the_share_of_positives_is_left() {
        let features: Vec<Vec<f64>> = [1.0, 2.0, 3.0, 4.0].iter().map(|&x| vec![x]).collect();
        let found = fit_monotone_logistic(&features, &[true, false, false, false], 1.0).unwrap();
        assert!(found.weights[0].abs() <= 0.0);
        assert!((found.intercept - (1.0_f64 / 3.0).ln()).abs() < 1e-6, "{found:?}");
    }

    proptest! {
        #[test]
        fn the_conditions_of_karush_kuhn_and_tucker_hold((features, labels) in rows(), c in 0.05..20.0_f64) {
            let found = fit_monotone_logistic(&features, &labels, c).unwrap();
            let problem = Problem::penalised(&features, &labels, c).unwrap();
            let theta: Vec<f64> = found.weights.iter().copied().chain([found.intercept]).collect();
            let (gradient, _) = problem.derivatives(&theta);
            let slack = 1e-5 * (1.0 + c) * features.len() as f64;
            prop_assert!(gradient[4].abs() < slack, "{gradient:?}");
            for (weight, slope) in found.weights.iter().zip(&gradient) {
                prop_assert!(*weight >= 0.0);
                prop_assert!(*slope > -slack, "{found:?} {gradient:?}");
                prop_assert!(weight * slope.abs() < slack, "{found:?} {gradient:?}");
            }
        }

        #[test]
        fn a_fit_without_negative_weights_is_the_free_fit((features, labels) in rows(), c in 0.05..20.0_f64) {
            let free = fit_logistic(&features, &labels, c).unwrap();
            // Turned round where the free weight is negative, so that it no longer is.
            let turned: Vec<Vec<f64>> = features.iter().map(|row| {
                row.iter().zip(&free.weights).map(|(x, w)| if *w < 0.0 { -x } else { *x }).collect()
            }).collect();
            let found = fit_monotone_logistic(&turned, &labels, c).unwrap();
            for (own, free) in found.weights.iter().zip(&free.weights) {
                prop_assert!((own - free.abs()).abs() < 1e-5, "{found:?} {free:?}");
            }
            prop_assert!((found.intercept - free.intercept).abs() < 1e-5);
        }
    }
}
