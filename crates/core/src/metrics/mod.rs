//! The figures that reports, training and calibration share: pure functions
//! from scores and labels to numbers.
//!
//! Conventions, the same in every submodule: an input for which a figure is not
//! defined (empty, one class only, lengths that differ, a NaN score) gives
//! `None`, never NaN and never a made-up number. Ratios inside a [`Confusion`]
//! or a [`MicroF1`] follow scikit-learn's `zero_division=0` instead, because
//! there an empty denominator means that nothing was called or nothing was there.

mod confusion;
mod interval;
mod multiclass;
mod onset;
mod probabilistic;
mod ranking;

pub use confusion::{Confusion, MicroF1, confusion_at};
pub use interval::{bootstrap_interval, wilson_interval};
pub use multiclass::{ClassFigures, MulticlassReport, macro_f1, multiclass_report, weighted_f1};
pub use onset::{OnsetSets, count_onsets, onset_f1};
pub use probabilistic::{brier, expected_calibration_error};
pub use ranking::{auroc, average_precision, recall_at_fpr};

pub(crate) use ranking::descending_groups;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::Value;

    use super::*;

    fn golden() -> Value {
        serde_json::from_str(include_str!("../../tests/golden/metrics.json")).unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        let items = value.as_array().unwrap().iter();
        items.map(|v| v.as_f64().unwrap()).collect()
    }

    fn flags(value: &Value) -> Vec<bool> {
        let items = value.as_array().unwrap().iter();
        items.map(|v| v.as_i64().unwrap() == 1).collect()
    }

    fn indices(value: &Value) -> Vec<usize> {
        let items = value.as_array().unwrap().iter();
        items.map(|v| usize::try_from(v.as_u64().unwrap()).unwrap()).collect()
    }

    fn assert_close(found: f64, expected: &Value, name: &str) {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{name}: {found} against {expected}");
    }

    #[test]
    fn binary_figures_agree_with_scikit_learn() {
        for case in golden()["binary"].as_array().unwrap() {
            let (scores, labels) = (numbers(&case["scores"]), flags(&case["labels"]));
            let auroc = auroc(&scores, &labels).unwrap();
            assert_close(auroc, &case["auroc"], "auroc");
            let ap = average_precision(&scores, &labels).unwrap();
            assert_close(ap, &case["average_precision"], "average precision");
            assert_close(brier(&scores, &labels).unwrap(), &case["brier"], "brier");
            let at = recall_at_fpr(&scores, &labels, 0.1).unwrap();
            assert_close(at, &case["recall_at_fpr_0.1"], "recall at FPR");
            let confusion = confusion_at(&scores, &labels, 0.5);
            assert_close(confusion.precision(), &case["precision"], "precision");
            assert_close(confusion.recall(), &case["recall"], "recall");
            assert_close(confusion.f1(), &case["f1"], "f1");
        }
    }

    #[test]
    fn multiclass_figures_agree_with_scikit_learn() {
        for case in golden()["multiclass"].as_array().unwrap() {
            let (gold, predicted) = (indices(&case["gold"]), indices(&case["predicted"]));
            let classes = indices(&serde_json::json!([case["classes"]]))[0];
            let report = multiclass_report(&gold, &predicted, classes).unwrap();
            assert_close(report.macro_f1(), &case["macro_f1"], "macro f1");
            assert_close(report.weighted_f1(), &case["weighted_f1"], "weighted f1");
            assert_close(report.accuracy(), &case["accuracy"], "accuracy");
            let per_class = report.per_class();
            for (class, figures) in per_class.iter().enumerate() {
                assert_close(figures.precision, &case["precision"][class], "precision");
                assert_close(figures.recall, &case["recall"][class], "recall");
                assert_close(figures.f1, &case["f1"][class], "f1");
                assert_eq!(Some(figures.support as u64), case["support"][class].as_u64());
            }
        }
    }

    #[test]
    fn wilson_intervals_agree_with_scipy() {
        for case in golden()["wilson"].as_array().unwrap() {
            let counts = indices(&case["counts"]);
            let (low, high) = wilson_interval(counts[0], counts[1]).unwrap();
            assert_close(low, &case["low"], "low");
            assert_close(high, &case["high"], "high");
        }
    }

    #[test]
    fn micro_f1_agrees_with_scikit_learn() {
        let case = &golden()["multilabel"];
        let rows = |name: &str| case[name].as_array().unwrap().clone();
        let mut counts = MicroF1::default();
        for (gold, predicted) in rows("gold").iter().zip(&rows("predicted")) {
            counts.count(&flags(gold), &flags(predicted));
        }
        assert_close(counts.precision(), &case["precision"], "precision");
        assert_close(counts.recall(), &case["recall"], "recall");
        assert_close(counts.f1(), &case["f1"], "f1");
    }
}
