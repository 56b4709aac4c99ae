#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use mindrail_core::metrics::{
    auroc, average_precision, brier, calibration_error, confusion_at, ppv_at_prevalence, recall_at_fpr,
    specificity_at_recall,
};
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{Scores, Signal, Taxonomy as _};
use proptest::prelude::*;

use super::*;
use crate::protocol::{Answer, Outcome, judge};
use crate::resampling::Estimate;

/// A case: truth, risk in percent, whether it is French, family.
type Case = (bool, u8, bool, u8);

fn data(cases: &[Case]) -> (Vec<LabelledConversation>, Vec<Answer<DistressPrediction>>) {
    let row = |(number, case): (usize, &Case)| {
        let mut row = labelled(&format!("c{number}"), case.0);
        row.family = Some(format!("family {}", case.3));
        row.slices = [("language".to_owned(), if case.2 { "fr" } else { "en" }.to_owned())].into();
        row.signals = Some([case.0, case.2, false, false, false, false, false, false, false]);
        row
    };
    let answer = |(number, case): (usize, &Case)| {
        let p = Probability::new(f32::from(case.1) / 100.0).unwrap();
        let prediction = DistressPrediction {
            risk: f64::from(case.1) / 100.0,
            high_risk: None,
            signals: Some(Scores::uniform(p)),
        };
        Answer { id: format!("c{number}"), outcome: Outcome::Ok, prediction: Some(prediction) }
    };
    (cases.iter().enumerate().map(row).collect(), cases.iter().enumerate().map(answer).collect())
}

/// Values by name under a draw.
fn values(protocol: &Distress, cases: &[Case], draw: Option<&[u8]>) -> BTreeMap<String, Option<f64>> {
    let (rows, answers) = data(cases);
    let items = items(rows);
    let (judged, _) = judge(protocol, &items, &answers, Unanswered::Negative);
    let evaluator = protocol.evaluator(&judged);
    let ones = vec![1; evaluator.clusters()];
    let found = evaluator.values(draw.unwrap_or(&ones));
    evaluator.figures().iter().map(|figure| figure.name.clone()).zip(found).collect()
}

fn close(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
        (found, expected) => found.is_none() && expected.is_none(),
    }
}

fn cases() -> impl Strategy<Value = Vec<Case>> {
    proptest::collection::vec((any::<bool>(), 0_u8..=20, any::<bool>(), 0_u8..4), 1..30).prop_map(|cases| {
        cases.into_iter().map(|(truth, p, fr, family)| (truth, 5 * p, fr, family)).collect()
    })
}

proptest! {
    #[test]
    fn every_figure_is_the_one_that_core_gives(cases in cases()) {
        let protocol = Distress { min_slice: 1, ..Distress::default() };
        let found = values(&protocol, &cases, None);
        let risks: Vec<f64> = cases.iter().map(|case| f64::from(case.1) / 100.0).collect();
        let truths: Vec<bool> = cases.iter().map(|case| case.0).collect();
        let counts = confusion_at(&risks, &truths, 0.5);
        let is = |name: &str, expected: Option<f64>| close(found[name], expected);
        let (calls, positives) = (counts.tp + counts.fp > 0, counts.tp + counts.fn_ > 0);
        prop_assert!(is("precision", calls.then(|| counts.precision())));
        prop_assert!(is("recall", positives.then(|| counts.recall())));
        prop_assert!(is("f1", (calls || positives).then(|| counts.f1())));
        prop_assert!(is("auroc", auroc(&risks, &truths)));
        prop_assert!(is("auprc", average_precision(&risks, &truths)));
        prop_assert!(is("brier", brier(&risks, &truths)));
        prop_assert!(is("ece", calibration_error(&risks, &truths, Binning::EqualWidth(10))));
        for (name, fpr) in [("1", 0.01), ("5", 0.05), ("10", 0.1)] {
            let name = format!("recall_at_fpr_{name}pct");
            prop_assert!(is(&name, recall_at_fpr(&risks, &truths, fpr)));
        }
        for (name, recall) in [("90", 0.9), ("95", 0.95)] {
            let name = format!("specificity_at_recall_{name}pct");
            prop_assert!(is(&name, specificity_at_recall(&risks, &truths, recall)));
        }
        if positives && counts.fp + counts.tn > 0 {
            // 0.15 % is a share of 0.0015.
            let expected = ppv_at_prevalence(counts.recall(), counts.false_positive_rate(), 0.0015);
            prop_assert!(is("ppv_at_0.15pct", expected));
        }
        let french = |keep: bool| -> (Vec<f64>, Vec<bool>) {
            let own = cases.iter().zip(&risks).filter(|(case, _)| case.2 == keep);
            own.map(|(case, &risk)| (risk, case.0)).unzip()
        };
        let (own_risks, own_truths) = french(true);
        if !own_risks.is_empty() {
            prop_assert!(is("auroc@language=fr", auroc(&own_risks, &own_truths)));
        }
        let signal: Vec<bool> = cases.iter().map(|case| case.2).collect();
        prop_assert!(is("auroc@signal=finality_language", auroc(&risks, &signal)));
    }

    #[test]
    fn a_draw_gives_what_the_repeated_families_give(
        cases in cases(), times in proptest::collection::vec(0_u8..3, 4)
    ) {
        let protocol = Distress { min_slice: 1, ..Distress::default() };
        let mut numbers: Vec<u8> = Vec::new();
        for case in &cases {
            if !numbers.contains(&case.3) {
                numbers.push(case.3);
            }
        }
        let draw: Vec<u8> = numbers.iter().map(|family| times[usize::from(*family)]).collect();
        let repeated: Vec<Case> = cases
            .iter()
            .flat_map(|case| std::iter::repeat_n(*case, times[usize::from(case.3)] as usize))
            .collect();
        prop_assume!(!repeated.is_empty());
        let (found, expected) = (values(&protocol, &cases, Some(&draw)), values(&protocol, &repeated, None));
        for (name, value) in expected {
            prop_assert!(close(found[&name], value), "{name}: {:?} against {value:?}", found[&name]);
        }
    }
}

fn findings(protocol: &Distress, cases: &[Case]) -> Findings {
    let (rows, answers) = data(cases);
    let items = items(rows);
    let (judged, _) = judge(protocol, &items, &answers, Unanswered::Negative);
    let evaluator = protocol.evaluator(&judged);
    let values = evaluator.values(&vec![1; evaluator.clusters()]);
    let estimate = |(figure, value): (&super::super::FigureName, Option<f64>)| {
        (figure.name.clone(), Estimate { value, interval: None })
    };
    protocol.findings(&judged, &evaluator.figures().iter().zip(values).map(estimate).collect())
}

#[test]
fn the_head_of_the_report_is_the_decision_and_the_ranking() {
    let (rows, answers) = data(&[(true, 90, false, 0), (false, 10, true, 1)]);
    let items = items(rows);
    let protocol = Distress::default();
    let (judged, _) = judge(&protocol, &items, &answers, Unanswered::Negative);
    let evaluator = protocol.evaluator(&judged);
    let names: Vec<_> = evaluator.figures().iter().take(6).map(|figure| figure.name.as_str()).collect();
    assert_eq!(names, ["f1", "precision", "recall", "auroc", "auprc", "recall_at_fpr_5pct"]);
    assert!(
        evaluator.figures().iter().all(|figure| !figure.name.contains("@language")),
        "too few for a slice"
    );
}

#[test]
fn sections_stand_in_order_and_every_row_is_as_long_as_its_columns() {
    let cases: Vec<Case> = (0..40).map(|i| (i % 3 == 0, (i * 7 % 100) as u8, i % 2 == 0, i as u8)).collect();
    let found = findings(&Distress::default(), &cases);
    let ids: Vec<_> = found.sections.iter().map(|section| section.id.as_str()).collect();
    assert_eq!(ids, ["decision", "ranking", "calibration", "prevalence", "signals", "slices"]);
    for table in found.sections.iter().flat_map(|section| &section.tables) {
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", table.caption);
    }
    assert_eq!(found.options["threshold"], "0.5");
}

#[test]
fn one_class_alone_has_no_curves_and_says_so() {
    let found = findings(&Distress::default(), &[(true, 100, false, 0), (true, 40, false, 1)]);
    assert!(found.sections.iter().all(|section| section.id != "ranking"));
    insta::assert_snapshot!(found.notes.join("\n"), @r"
    2 of 2 conversations are high risk; precision and F1 hold for this share alone.
    Only one class is there, so that ranking figures are not defined.
    1 risks are exactly 1: their order is lost, and with it the top of the ranking.
    ");
}

#[test]
fn no_items_give_no_values_and_no_panic() {
    let found = values(&Distress::default(), &[], None);
    assert!(found.values().all(Option::is_none), "{found:?}");
    assert!(findings(&Distress::default(), &[]).published.len() >= 3);
}

#[test]
fn signals_are_called_at_their_threshold_in_the_precision_of_the_wire() {
    let protocol = Distress { signal_threshold: 0.7, ..Distress::default() };
    let found = values(&protocol, &[(true, 70, false, 0), (false, 69, false, 1)], None);
    assert_eq!(found[&format!("f1@signal={}", Signal::BurdenLanguage.wire())], Some(1.0));
}

#[test]
fn a_prediction_outside_the_unit_interval_is_refused_with_what_was_found() {
    for number in ["1.5", "-0.25"] {
        let text = format!(r#"{{"risk":{number}}}"#);
        let error = serde_json::from_str::<DistressPrediction>(&text).unwrap_err().to_string();
        assert!(error.contains(&format!("risk: found {number}, expected a probability")), "{error}");
    }
    assert!(serde_json::from_str::<DistressPrediction>(r#"{"risk":0.5,"rsk":1}"#).is_err());
}

#[test]
fn the_stated_decision_stands_above_the_threshold_unless_the_option_says_otherwise() {
    let protocol = Distress::default();
    let mut said = DistressPrediction { risk: 0.5, high_risk: None, signals: None };
    assert!(protocol.calls(&said));
    said.high_risk = Some(false);
    assert!(!protocol.calls(&said));
    assert!(Distress { decision: Decision::Threshold, ..protocol }.calls(&said));
}

#[test]
fn an_unanswered_item_is_what_the_policy_says() {
    let item = items(vec![labelled("a", true)]).remove(0);
    let protocol = Distress::default();
    let risk = |policy| protocol.stand_in(&item, policy).map(|said| protocol.calls(&said));
    assert_eq!(risk(Unanswered::Positive), Some(true));
    assert_eq!(risk(Unanswered::Negative), Some(false));
    assert_eq!(risk(Unanswered::LeftOut), None);
}

#[test]
fn a_decision_may_be_a_truth_value_or_a_digit() {
    let decision = |text: &str| serde_json::from_str::<DistressPrediction>(text).map(|said| said.high_risk);
    assert_eq!(decision(r#"{"risk":0.5,"high_risk":1}"#).unwrap(), Some(true));
    assert_eq!(decision(r#"{"risk":0.5,"high_risk":false}"#).unwrap(), Some(false));
    assert_eq!(decision(r#"{"risk":0.5,"high_risk":null}"#).unwrap(), None);
    assert_eq!(decision(r#"{"risk":0.5}"#).unwrap(), None);
    assert!(decision(r#"{"risk":0.5,"high_risk":2}"#).is_err());
}
