//! The calibration of the KHP guardrail from its 444 published rows (labels and
//! probabilities only; `khp/calibration.json`), through what `mindrail calibrate`
//! calls. Expected figures: `expected` in the same file, and digests of the sweep
//! that a Python program of a dozen lines computed from its definition.

use std::fmt::Write as _;

use mindrail_core::digest::sha256;
use mindrail_core::taxonomy::Taxonomy as _;
use mindrail_lab::calibrate::{
    CalibrateOptions, CalibrationReport, Duplicates, ScoreCalibration, ScoreKind, ThresholdRow, calibrate,
    read_rows,
};
use serde_json::Value;

const FILE: &str = include_str!("khp/calibration.json");

fn expected(path: &str) -> Value {
    let json: Value = serde_json::from_str(FILE).unwrap();
    json["expected"].pointer(path).unwrap().clone()
}

fn report() -> CalibrationReport {
    let rows = read_rows("calibration.json", FILE.as_bytes()).unwrap();
    let options = CalibrateOptions { stated: vec![0.5, 0.6, 0.7075], ..CalibrateOptions::default() };
    calibrate(&rows, &options).unwrap()
}

fn assert_row(found: &ThresholdRow, path: &str) {
    let row = expected(path);
    let number = |name: &str| row[name].as_f64().unwrap();
    assert!((found.threshold - number("threshold")).abs() < 5.1e-7, "{path}: {}", found.threshold);
    let ratios = [found.precision, found.recall, found.f1, found.youden_j];
    for (ratio, name) in ratios.into_iter().zip(["precision", "recall", "f1", "youden_j"]) {
        assert!((ratio - number(name)).abs() < 1e-9, "{path} {name}: {ratio}");
    }
    let counts = [found.counts.tp, found.counts.fp, found.counts.fn_, found.counts.tn];
    for (count, name) in counts.into_iter().zip(["tp", "fp", "fn", "tn"]) {
        assert_eq!(Some(count as u64), row[name].as_u64(), "{path} {name}");
    }
}

/// The sweep as lines of text, as the Python program writes it.
fn digest(score: &ScoreCalibration) -> String {
    let lines = score.sweep.iter().fold(String::new(), |mut lines, row| {
        let ThresholdRow { threshold, precision, recall, f1, youden_j, counts } = row;
        writeln!(
            lines,
            "{threshold:.6} {precision:.4} {recall:.4} {f1:.4} {youden_j:.4} {} {} {} {}",
            counts.tp, counts.fp, counts.fn_, counts.tn
        )
        .unwrap();
        lines
    });
    sha256(lines.as_bytes())
}

#[test]
fn all_402_sweep_rows_of_both_scores_are_those_of_the_definition() {
    let [largest, head] = report().scores;
    assert_eq!((largest.sweep.len(), head.sweep.len()), (402, 402));
    assert_eq!(digest(&largest), "324352e2406a7edf2b4be0fcfe1c60b279220dc0ff995d4deff0455ab1c9daba");
    assert_eq!(digest(&head), "ca44507feb3297c2733f1ffc8fcb75703bfe6060043bff0582c5ce4280038c90");
}

#[test]
fn the_recommended_thresholds_are_the_published_ones() {
    let [largest, head] = report().scores;
    assert_row(&largest.at_half, "/max_score/baseline_0.5");
    assert_row(&largest.youden, "/max_score/youden_best");
    assert_row(&largest.recommended, "/max_score/recall_ge_0.95");
    let names = ["/max_score/recall_ge_0.95", "/max_score/recall_ge_0.90", "/max_score/recall_ge_0.80"];
    for (row, name) in largest.at_recall.iter().zip(names) {
        assert_row(&row.unwrap(), name);
    }
    assert_row(&largest.elsewhere[1], "/max_score/at_0.6");
    assert_row(&largest.elsewhere[2], "/max_score/at_0.7075");
    assert_row(&head.youden, "/lr_score/same_rule_youden_best");
    assert_row(&head.recommended, "/lr_score/same_rule_recall_ge_0.95");
}

#[test]
fn the_head_has_the_published_weights_and_counts() {
    let CalibrationReport { head, scores, .. } = report();
    let published = expected("/lr/published_weights_4dp");
    let exact = expected("/lr/exact_optimum_newton");
    for (place, one) in head.weights.iter().enumerate() {
        let exact = exact["weights"][place].as_f64().unwrap();
        assert!((one.weight - exact).abs() < 1e-6, "{}", one.signal.wire());
        // The published weights stopped short of the optimum (tolerance of lbfgs).
        let published = published[one.signal.wire()].as_f64().unwrap();
        assert!((one.weight - published).abs() < 7e-4, "{}", one.signal.wire());
    }
    assert!((head.bias - exact["bias"].as_f64().unwrap()).abs() < 1e-6);
    assert!(head.farthest_from_stated.unwrap() < 2.5e-4);
    assert_eq!(scores[1].score, ScoreKind::StatedHead);
    for (row, name) in scores[1].elsewhere[1..].iter().zip(["at_0.5", "at_0.6", "at_0.7075"]) {
        assert_row(row, &format!("/lr_score/{name}"));
    }
    // One certain signal alone, to the three decimals of the reference.
    let alone: Vec<String> = head.weights.iter().map(|one| format!("{:.3}", one.alone)).collect();
    assert_eq!(
        [&alone[1], &alone[3], &alone[4], &alone[5], &alone[7]],
        ["0.219", "0.466", "0.214", "0.278", "0.412"]
    );
}

#[test]
fn ranking_and_calibration_are_the_published_ones() {
    for (score, name) in report().scores.iter().zip(["max_score", "lr_score"]) {
        let figures = [("roc_auc", score.auroc), ("brier", score.brier), ("ece_10bin", score.ece)];
        for (figure, found) in figures {
            let expected = expected(&format!("/{figure}/{name}")).as_f64().unwrap();
            assert!((found.unwrap() - expected).abs() < 1e-6, "{figure} of {name}: {found:?}");
        }
    }
    assert_eq!(report().duplicates, Duplicates { high_risk: 0, low_risk: 16 });
}

#[test]
fn the_report_says_why_the_published_threshold_is_wrong_and_what_is_right() {
    insta::assert_snapshot!(report().explanation.join("\n"), @r"
    The rule chooses 0.707502 on the largest signal: it misses 5 of 215 (recall 0.977), with 15 false alarms in 229.
    This threshold is wrong for the logistic head's score, which lies on another scale: there it misses 50 of 215 (recall 0.767), with 1 false alarm in 229.
    The right threshold for the head, by the same rule on the head's own score, is 0.404157: it misses 9 of 215 (recall 0.958), with 13 false alarms in 229.
    Thresholds stated elsewhere, on the head's score: 0.5 misses 22 of 215 (recall 0.898), with 3 false alarms in 229; 0.6 misses 37 of 215 (recall 0.828), with 3 false alarms in 229; 0.7075 misses 50 of 215 (recall 0.767), with 1 false alarm in 229.
    2 of 9 signals reach the head's threshold 0.404 when certain and alone; a person with another sign alone is missed.
    Calibration error of the head 0.133 against 0.040 of the largest signal (noise floors 0.035 and 0.016): the largest signal is nearer to a probability.
    Head and thresholds are fitted and measured on the same 444 rows, so that all figures are better than on new ones. 0 high-risk and 16 low-risk rows are exact copies of others.
    ");
}

#[test]
fn the_fitted_head_alone_leads_to_the_same_counts() {
    let mut rows = read_rows("calibration.json", FILE.as_bytes()).unwrap();
    rows.head = None;
    let options = CalibrateOptions { stated: vec![0.5, 0.6, 0.7075], ..CalibrateOptions::default() };
    let report = calibrate(&rows, &options).unwrap();
    assert_eq!(report.scores[1].score, ScoreKind::FittedHead);
    for (row, name) in report.scores[1].elsewhere[1..].iter().zip(["at_0.5", "at_0.6", "at_0.7075"]) {
        assert_row(row, &format!("/lr_score/{name}"));
    }
}
