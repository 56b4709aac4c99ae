//! The calibration of the KHP guardrail, recomputed from its 444 published rows
//! (`oracles/khp/calibration.json`; `reference/distress.md`, 4.3 and 4.4). The
//! file is not part of the repository: where it is absent, the tests say so and
//! pass.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use mindrail_core::calibration::{
    Logistic, SweepRow, best_precision_at_recall, best_youden, fit_logistic, sweep_thresholds,
};
use mindrail_core::metrics::{Confusion, auroc, brier, confusion_at, expected_calibration_error};
use serde_json::Value;

/// The published rows and what is expected of them.
struct Oracle {
    labels: Vec<bool>,
    /// The largest of the nine signal probabilities.
    max: Vec<f64>,
    /// The published score of the aggregation head.
    head: Vec<f64>,
    signals: Vec<Vec<f64>>,
    json: Value,
}

impl Oracle {
    fn expected(&self, path: &str) -> &Value {
        self.json["expected"].pointer(path).unwrap()
    }
}

fn oracle() -> Option<Oracle> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("MINDRAIL_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("oracles/khp/calibration.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        skip(&path.display().to_string());
        return None;
    };
    let json: Value = serde_json::from_str(&text).unwrap();
    let rows: Vec<Vec<f64>> = serde_json::from_value(json["rows"].clone()).unwrap();
    Some(Oracle {
        labels: rows.iter().map(|row| row[0] > 0.5).collect(),
        max: rows.iter().map(|row| row[1]).collect(),
        head: rows.iter().map(|row| row[2]).collect(),
        signals: rows.iter().map(|row| row[3..].to_vec()).collect(),
        json,
    })
}

#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn skip(path: &str) {
    eprintln!("SKIPPED: {path} is not here");
}

fn fitted(oracle: &Oracle) -> Logistic {
    fit_logistic(&oracle.signals, &oracle.labels, 0.1).unwrap()
}

/// The sweep of the unrounded maximum: the lowest published score is the
/// printed 8e-06, behind which stands a bf16 number.
fn sweep_of_max(oracle: &Oracle) -> Vec<SweepRow> {
    let lowest = oracle.json["exact_min_score_bf16"].as_f64().unwrap();
    let exact = |&score: &f64| if score <= 8e-6 { lowest } else { score };
    let scores: Vec<f64> = oracle.max.iter().map(exact).collect();
    sweep_thresholds(&scores, &oracle.labels).unwrap()
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found}, not {expected}");
}

fn assert_counts(found: Confusion, expected: &Value) {
    let counts: Confusion = serde_json::from_value(serde_json::json!({
        "tp": expected["tp"], "fp": expected["fp"], "fn": expected["fn"], "tn": expected["tn"],
    }))
    .unwrap();
    assert_eq!(found, counts);
}

fn assert_row(found: &SweepRow, expected: &Value) {
    let number = |name: &str| expected[name].as_f64().unwrap();
    assert_counts(found.counts, expected);
    assert_close(found.threshold, number("threshold"), 5.1e-7);
    assert_close(found.precision, number("precision"), 1e-9);
    assert_close(found.recall, number("recall"), 1e-9);
    assert_close(found.f1, number("f1"), 1e-9);
    assert_close(found.youden_j, number("youden_j"), 1e-9);
}

#[test]
fn the_sweep_of_the_largest_signal_gives_the_published_rows() {
    let Some(oracle) = oracle() else { return };
    let sweep = sweep_of_max(&oracle);
    assert_eq!(sweep.len(), 402);
    let half = sweep.iter().find(|row| row.threshold >= 0.5).unwrap();
    assert_row(half, oracle.expected("/max_score/baseline_0.5"));
    let youden = best_youden(&sweep).unwrap();
    assert_row(youden, oracle.expected("/max_score/youden_best"));
    for (recall, name) in [(0.95, "0.95"), (0.9, "0.90"), (0.8, "0.80")] {
        let row = best_precision_at_recall(&sweep, recall).unwrap();
        assert_row(row, oracle.expected(&format!("/max_score/recall_ge_{name}")));
    }
}

#[test]
fn the_same_rules_on_the_head_score_choose_other_thresholds() {
    let Some(oracle) = oracle() else { return };
    let sweep = sweep_thresholds(&oracle.head, &oracle.labels).unwrap();
    let youden = best_youden(&sweep).unwrap();
    assert_row(youden, oracle.expected("/lr_score/same_rule_youden_best"));
    let recall = best_precision_at_recall(&sweep, 0.95).unwrap();
    assert_row(recall, oracle.expected("/lr_score/same_rule_recall_ge_0.95"));
}

#[test]
fn logistic_regression_finds_the_published_weights() {
    let Some(oracle) = oracle() else { return };
    let head = fitted(&oracle);
    let exact = oracle.expected("/lr/exact_optimum_newton");
    let published = oracle.expected("/lr/published_weights_4dp");
    let names = oracle.json["signal_order"].as_array().unwrap();
    for (signal, name) in names.iter().enumerate() {
        let weight = head.weights[signal];
        assert_close(weight, exact["weights"][signal].as_f64().unwrap(), 1e-6);
        assert_close(weight, published[name.as_str().unwrap()].as_f64().unwrap(), 7e-4);
    }
    assert_close(head.intercept, exact["bias"].as_f64().unwrap(), 1e-6);
    for (signals, &published) in oracle.signals.iter().zip(&oracle.head) {
        assert_close(head.probability(signals), published, 2.5e-4);
    }
}

#[test]
fn fitted_and_published_head_scores_give_the_same_counts() {
    let Some(oracle) = oracle() else { return };
    let head = fitted(&oracle);
    let own: Vec<f64> = oracle.signals.iter().map(|s| head.probability(s)).collect();
    for (threshold, name) in [(0.5, "at_0.5"), (0.6, "at_0.6"), (0.7075, "at_0.7075")] {
        let expected = oracle.expected(&format!("/lr_score/{name}"));
        assert_counts(confusion_at(&own, &oracle.labels, threshold), expected);
        assert_counts(confusion_at(&oracle.head, &oracle.labels, threshold), expected);
    }
}

#[test]
fn ranking_and_calibration_figures_agree_with_the_reference() {
    let Some(oracle) = oracle() else { return };
    let figures = [
        ("roc_auc", auroc as fn(&[f64], &[bool]) -> Option<f64>),
        ("brier", brier),
        ("ece_10bin", expected_calibration_error),
    ];
    for (name, figure) in figures {
        for (scores, score) in [(&oracle.max, "max_score"), (&oracle.head, "lr_score")] {
            let expected = oracle.expected(&format!("/{name}/{score}")).as_f64().unwrap();
            assert_close(figure(scores, &oracle.labels).unwrap(), expected, 1e-6);
        }
    }
}
