//! The figures against scikit-learn, scipy and numpy; the values come from
//! `scripts/golden_metrics.py`.

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
        let report = ConfusionMatrix::from_rows(&gold, &predicted, classes).unwrap();
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

#[test]
fn ranking_figures_agree_with_scikit_learn() {
    for case in golden()["binary"].as_array().unwrap() {
        let (scores, labels) = (numbers(&case["scores"]), flags(&case["labels"]));
        for fpr in ["0.01", "0.05", "0.1"] {
            let found = recall_at_fpr(&scores, &labels, fpr.parse().unwrap()).unwrap();
            assert_close(found, &case["recall_at_fpr"][fpr], "recall at FPR");
        }
        for recall in ["0.9", "0.95"] {
            let found = specificity_at_recall(&scores, &labels, recall.parse().unwrap()).unwrap();
            assert_close(found, &case["specificity_at_recall"][recall], "specificity at recall");
        }
        let weighted = weighted_auroc(&scores, &labels, &numbers(&case["weights"])).unwrap();
        assert_close(weighted, &case["weighted_auroc"], "weighted AUROC");
        let confusion = confusion_at(&scores, &labels, 0.5);
        assert_close(confusion.specificity(), &case["specificity"], "specificity");
        assert_close(confusion.accuracy(), &case["accuracy"], "accuracy");
        assert_close(confusion.mcc().unwrap(), &case["mcc"], "MCC");
    }
}

#[test]
fn curves_agree_with_scikit_learn() {
    for case in golden()["binary"].as_array().unwrap() {
        let (scores, labels) = (numbers(&case["scores"]), flags(&case["labels"]));
        let roc = roc_curve(&scores, &labels, usize::MAX).unwrap();
        assert_all_close(roc.iter().map(|point| point.false_positive_rate), &case["roc_fpr"]);
        assert_all_close(roc.iter().map(|point| point.recall), &case["roc_tpr"]);
        let pr = pr_curve(&scores, &labels, usize::MAX).unwrap();
        assert_all_close(pr.iter().map(|point| point.recall), &case["pr_recall"]);
        assert_all_close(pr.iter().map(|point| point.precision.unwrap()), &case["pr_precision"]);
    }
}

fn assert_all_close(found: impl Iterator<Item = f64>, expected: &Value) {
    let (found, expected): (Vec<f64>, _) = (found.collect(), numbers(expected));
    let same = found.len() == expected.len();
    assert!(
        same && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12),
        "{found:?} {expected:?}"
    );
}

#[test]
fn calibration_bins_agree_with_scikit_learn() {
    for case in golden()["binary"].as_array().unwrap() {
        let (scores, labels) = (numbers(&case["reliability_scores"]), flags(&case["labels"]));
        let bins = reliability_bins(&scores, &labels, Binning::EqualWidth(5)).unwrap();
        assert_all_close(bins.iter().map(|bin| bin.mean_probability), &case["reliability_mean"]);
        assert_all_close(bins.iter().map(ReliabilityBin::share), &case["reliability_share"]);
    }
}

#[test]
fn agreement_of_several_classes_agrees_with_scikit_learn() {
    for case in golden()["multiclass"].as_array().unwrap() {
        let (gold, predicted) = (indices(&case["gold"]), indices(&case["predicted"]));
        let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
        let matrix = ConfusionMatrix::from_rows(&gold, &predicted, classes).unwrap();
        let kappa = |weights| matrix.kappa(weights).unwrap();
        assert_close(kappa(KappaWeights::Unweighted), &case["kappa"], "kappa");
        assert_close(kappa(KappaWeights::Linear), &case["kappa_linear"], "linear kappa");
        assert_close(kappa(KappaWeights::Quadratic), &case["kappa_quadratic"], "quadratic kappa");
        assert_close(matrix.mcc().unwrap(), &case["mcc"], "MCC");
        let averages = [("macro", matrix.macro_average()), ("weighted", matrix.weighted_average())];
        for (name, found) in averages {
            assert_close(found.precision, &case[name]["precision"], name);
            assert_close(found.recall, &case[name]["recall"], name);
            assert_close(found.f1, &case[name]["f1"], name);
        }
        for g in 0..classes {
            let expected = indices(&case["confusion"][g]);
            assert!((0..classes).all(|p| matrix.count(g, p) == expected[p]));
        }
    }
}

#[test]
fn multilabel_figures_agree_with_scikit_learn() {
    let case = &golden()["multilabel"];
    let rows = |name: &str| case[name].as_array().unwrap().clone();
    let mut counts = MultilabelCounts::new(9);
    for (gold, predicted) in rows("gold").iter().zip(&rows("predicted")) {
        counts.count(&flags(gold), &flags(predicted));
    }
    let averages = counts.macro_average(MacroOver::AllLabels).unwrap();
    assert_close(averages.precision, &case["macro_precision"], "macro precision");
    assert_close(averages.recall, &case["macro_recall"], "macro recall");
    assert_close(averages.f1, &case["macro_f1"], "macro F1");
    assert_close(counts.exact_match().unwrap(), &case["exact_match"], "exact match");
    let jaccard = counts.mean_jaccard(EmptyRows::Disagree).unwrap();
    assert_close(jaccard, &case["jaccard_samples"], "Jaccard");
    assert_all_close(counts.per_label().iter().map(|label| label.f1), &case["label_f1"]);
    let pairs = rows("gold").iter().map(|row| (flags(row)[0], flags(row)[1])).collect::<JointCounts>();
    assert_close(pairs.phi().unwrap(), &case["phi_0_1"], "phi");
}

#[test]
fn exact_intervals_agree_with_scipy() {
    for case in golden()["clopper_pearson"].as_array().unwrap() {
        let counts = indices(&case["counts"]);
        let (low, high) = clopper_pearson_interval(counts[0], counts[1]).unwrap();
        let expected = (case["low"].as_f64().unwrap(), case["high"].as_f64().unwrap());
        let close = (low - expected.0).abs() < 1e-10 && (high - expected.1).abs() < 1e-10;
        assert!(close, "{counts:?}: {low} {high} against {expected:?}");
    }
}

#[test]
fn mcnemar_agrees_with_scipy() {
    for case in golden()["mcnemar"].as_array().unwrap() {
        let counts = indices(&case["counts"]);
        let found = mcnemar(counts[0], counts[1]).p_value;
        let expected = case["p_value"].as_f64().unwrap();
        assert!((found / expected - 1.0).abs() < 1e-9, "{counts:?}: {found} against {expected}");
    }
}

#[test]
fn the_corrected_interval_of_given_draws_agrees_with_numpy() {
    let case = &golden()["bca"];
    let list = |name: &str| numbers(&case[name]).into_iter().map(Some).collect::<Vec<_>>();
    let estimate = case["estimate"].as_f64().unwrap();
    let (low, high) = bca_interval(estimate, &list("draws"), &list("jackknife")).unwrap();
    assert!((low - case["low"].as_f64().unwrap()).abs() < 1e-9);
    assert!((high - case["high"].as_f64().unwrap()).abs() < 1e-9);
}

/// scipy draws with another generator, so the two differ by the noise of 20,000
/// draws, about a fiftieth of a standard error.
#[test]
fn bootstrap_intervals_are_those_of_scipy_up_to_the_noise_of_the_draws() {
    let case = &golden()["scipy_bootstrap"];
    let values = numbers(&case["values"]);
    let amount = |(cluster, &value): (usize, &f64)| {
        [value, value * value].into_iter().enumerate().map(move |(cell, amount)| CellAmount {
            cluster,
            cell,
            amount,
        })
    };
    let sums = CellSums::new(2, values.iter().enumerate().flat_map(amount)).unwrap();
    let resampling = Resampling::new(values.len(), 1);
    let variance = |drawn: &[u8]| {
        let (cells, n) = (sums.under(&Draws::one(drawn)), drawn.iter().copied().map(f64::from).sum::<f64>());
        Some(cells[1][0] / n - (cells[0][0] / n).powi(2))
    };
    let mut drawn = Vec::new();
    let draws: Vec<_> = (0..20_000)
        .map(|draw| {
            resampling.draw(draw, &mut drawn);
            variance(&drawn)
        })
        .collect();
    let left: Vec<_> = (0..resampling.jackknife_groups())
        .map(|group| {
            resampling.leave_out(group, &mut drawn);
            variance(&drawn)
        })
        .collect();
    let estimate = variance(&resampling.original()).unwrap();
    let near = |found: (f64, f64), name: &str| {
        let expected = numbers(&case[name]);
        let noise = 0.05 * (expected[1] - expected[0]);
        let close = (found.0 - expected[0]).abs() < noise && (found.1 - expected[1]).abs() < noise;
        assert!(close, "{name}: {found:?} against {expected:?}");
    };
    near(percentile_interval(&draws).unwrap(), "percentile");
    near(bca_interval(estimate, &draws, &left).unwrap(), "bca");
}

#[test]
fn adjusted_p_values_agree_with_holms_definition_in_python() {
    let case = &golden()["holm"];
    assert_all_close(holm(&numbers(&case["raw"])).unwrap().into_iter(), &case["adjusted"]);
}
