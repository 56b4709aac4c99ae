//! The fits against scikit-learn's and scipy's; the values come from
//! `scripts/golden_calibration.py`.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::Value;

use super::*;

fn golden(name: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(include_str!("../../tests/golden/calibration.json")).unwrap();
    golden[name].as_array().unwrap().clone()
}

fn scores(value: &Value) -> Vec<Probability> {
    serde_json::from_value(value.clone()).unwrap()
}

fn labels(case: &Value) -> Vec<bool> {
    case["labels"].as_array().unwrap().iter().map(|label| label.as_i64() == Some(1)).collect()
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found}, not {expected}");
}

fn assert_head(found: &Logistic, expected: &Value, tolerance: f64) {
    let expected: Logistic = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(found.weights.len(), expected.weights.len());
    found
        .weights
        .iter()
        .zip(&expected.weights)
        .for_each(|(own, theirs)| assert_close(*own, *theirs, tolerance));
    assert_close(found.intercept, expected.intercept, tolerance);
}

#[test]
fn isotonic_regression_agrees_with_scikit_learn_on_ties_corners_and_between() {
    for case in golden("isotonic") {
        let found = Isotonic::fit(&scores(&case["scores"]), &labels(&case)).unwrap();
        let corners: [Vec<f64>; 2] = serde_json::from_value(case["knots"].clone()).unwrap();
        assert_eq!(found.knots().len(), corners[0].len());
        for (knot, (score, value)) in found.knots().iter().zip(corners[0].iter().zip(&corners[1])) {
            assert_close(f64::from(knot.score.get()), *score, 1e-7);
            assert_close(f64::from(knot.value.get()), *value, 1e-6);
        }
        let values: Vec<f64> = serde_json::from_value(case["values"].clone()).unwrap();
        for (score, value) in scores(&case["at"]).into_iter().zip(values) {
            assert_close(f64::from(found.apply(score).get()), value, 1e-6);
        }
    }
}

#[test]
fn both_logistic_regressions_agree_with_scikit_learn_and_scipy() {
    for case in golden("logistic") {
        let features: Vec<Vec<f64>> = serde_json::from_value(case["features"].clone()).unwrap();
        let c = case["c"].as_f64().unwrap();
        let free = fit_logistic(&features, &labels(&case), c).unwrap();
        assert_head(&free, &case["free"], 1e-4);
        let monotone = fit_monotone_logistic(&features, &labels(&case), c).unwrap();
        assert_head(&monotone, &case["monotone"], 1e-4);
        assert!(free.weights.iter().any(|weight| *weight < 0.0), "{free:?}");
    }
}

#[test]
fn temperatures_agree_with_scipy() {
    for case in golden("temperature") {
        let logits: Vec<f32> = scores(&case["scores"]).iter().map(|score| score.logit()).collect();
        let found = Temperature::fit(&logits, &labels(&case)).unwrap();
        assert_close(f64::from(found.temperature), case["temperature"].as_f64().unwrap(), 1e-4);
    }
}

#[test]
fn bands_agree_with_fixed_sequence_testing_written_out_in_python() {
    for case in golden("band") {
        let [miss, false_alarm, delta]: [f64; 3] = serde_json::from_value(case["target"].clone()).unwrap();
        let rate = serde_json::from_value(case["rate"].clone()).unwrap();
        let target = BandTarget { miss, false_alarm, delta, rate };
        let found =
            AbstainBand::fit(target, &scores(&case["scores"]), &labels(&case), Probability::ONE).unwrap();
        if case["overlap"] == true {
            assert_eq!(found.abstained, 0);
            continue;
        }
        let called = |end: Option<BandEnd>| end.map(|end| end.called as u64);
        let expected = |name: &str| case[name].as_u64().filter(|called| *called > 0);
        assert_eq!(called(found.low), expected("low_called"), "{rate:?}");
        assert_eq!(called(found.high), expected("high_called"), "{rate:?}");
    }
}
