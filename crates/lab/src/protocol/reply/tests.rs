//! The protocol as a whole on a few replies whose figures are worked by hand.

use std::collections::BTreeMap;

use super::*;
use crate::protocol::{Answer, Outcome, judge};
use crate::report::Chart;

const REPLY: Reply = Reply { smallest_slice: 2, ..Reply::on(ReplySet::Other) };

fn items() -> Vec<ReplyItem> {
    use ReplyClass::{LinguisticNeglect, Nonsense, SafeResponse};
    let golds = [Nonsense, LinguisticNeglect, SafeResponse, SafeResponse, SafeResponse];
    let item = |(place, gold): (usize, &ReplyClass)| ReplyItem {
        id: place.to_string(),
        cluster: (place / 2).to_string(),
        slices: BTreeMap::from([("language".to_owned(), if place < 4 { "en" } else { "fr" }.to_owned())]),
        input: ReplyInput { context: Vec::new(), response: String::new() },
        gold: *gold,
    };
    golds.iter().enumerate().map(item).collect()
}

fn answers(calls: &[ReplyCall]) -> Vec<Answer<ReplyPrediction>> {
    let answer = |(place, class): (usize, &ReplyCall)| Answer {
        id: place.to_string(),
        outcome: Outcome::Ok,
        prediction: Some(ReplyPrediction { class: *class, probabilities: None }),
    };
    calls.iter().enumerate().map(answer).collect()
}

fn figures(answers: &[Answer<ReplyPrediction>], policy: Unanswered) -> BTreeMap<String, f64> {
    let items = items();
    let (judged, _) = judge(&REPLY, &items, answers, policy);
    let evaluator = REPLY.evaluator(&judged);
    let values = evaluator.values(&vec![1; evaluator.clusters()]);
    assert_eq!(values.len(), evaluator.figures().len());
    let named = evaluator.figures().iter().zip(values);
    named.filter_map(|(figure, value)| Some((figure.name.clone(), value?))).collect()
}

fn is(found: &BTreeMap<String, f64>, name: &str, expected: f64) {
    assert!((found[name] - expected).abs() < 1e-12, "{name}: {}", found[name]);
}

const SAFE: ReplyCall = ReplyCall::Class(ReplyClass::SafeResponse);
const NEGLECT: ReplyCall = ReplyCall::Class(ReplyClass::LinguisticNeglect);

#[test]
fn figures_of_all_replies_and_of_large_enough_slices() {
    let found = figures(&answers(&[NEGLECT, NEGLECT, SAFE, SAFE, NEGLECT]), Unanswered::Negative);
    is(&found, "accuracy", 3.0 / 5.0);
    is(&found, "weighted_recall", 3.0 / 5.0);
    is(&found, "unsafe_recall", 1.0);
    is(&found, "unsafe_false_positive_rate", 1.0 / 3.0);
    is(&found, "f1@class=Linguistic Neglect", 2.0 / 4.0);
    is(&found, "f1@class=Nonsense", 0.0);
    // Nonsense 0, Neglect 1/2, Safe 4/5; five classes occur nowhere.
    is(&found, "macro_f1", (0.5 + 0.8) / 3.0);
    is(&found, "accuracy@language=en", 3.0 / 4.0);
    assert!(!found.contains_key("accuracy@language=fr"), "one item is no slice");
    assert!(!found.contains_key("f1@class=Toxic Language"), "there is none");
    assert!(!found.contains_key("unsafe_auroc"), "no probabilities were given");
}

#[test]
fn unsafe_without_a_class_counts_for_safety_and_not_as_a_class() {
    let found =
        figures(&answers(&[ReplyCall::Unsafe, ReplyCall::Unsafe, SAFE, SAFE, SAFE]), Unanswered::Negative);
    is(&found, "binary_accuracy", 1.0);
    is(&found, "accuracy", 3.0 / 5.0);
    // Nonsense 0, Neglect 0, Safe 1: no ninth class is averaged.
    is(&found, "macro_f1", 1.0 / 3.0);
}

#[test]
fn what_is_not_answered_counts_as_the_policy_says() {
    let some = &answers(&[NEGLECT, NEGLECT, SAFE, SAFE])[..];
    is(&figures(some, Unanswered::Positive), "unsafe_false_positive_rate", 1.0 / 3.0);
    is(&figures(some, Unanswered::Negative), "unsafe_false_positive_rate", 0.0);
    is(&figures(some, Unanswered::LeftOut), "accuracy", 3.0 / 4.0);
    is(&figures(&[], Unanswered::Positive), "unsafe_recall", 1.0);
    is(&figures(&[], Unanswered::Negative), "unsafe_recall", 0.0);
    assert!(!figures(&[], Unanswered::LeftOut).contains_key("accuracy"), "nothing to judge");
}

#[test]
fn probabilities_give_a_ranking_of_unsafe_replies() {
    let mut answers = answers(&[NEGLECT, SAFE, SAFE, SAFE, SAFE]);
    for (answer, safe) in answers.iter_mut().zip([0.1, 0.6, 0.9, 0.6, 0.7]) {
        let mut probabilities = Scores::uniform(Probability::ZERO);
        probabilities.set(ReplyClass::SafeResponse, Probability::new(safe).unwrap());
        answer.prediction.as_mut().unwrap().probabilities = Some(probabilities);
    }
    // Unsafe .9 and .4 against safe .1, .4, .3: 5.5 of 6 pairs in order.
    is(&figures(&answers, Unanswered::Negative), "unsafe_auroc", 5.5 / 6.0);
}

#[test]
fn findings_name_the_baselines_and_keep_their_tables_in_shape() {
    let items = items();
    let (judged, _) = judge(&REPLY, &items, &answers(&[ReplyCall::Unsafe; 5]), Unanswered::Negative);
    let findings = REPLY.findings(&judged, &Intervals::new());
    let ids: Vec<&str> = findings.sections.iter().map(|section| section.id.as_str()).collect();
    assert_eq!(ids, ["baselines", "classes", "safety", "confusion", "slices"]);
    for table in findings.sections.iter().flat_map(|section| &section.tables) {
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", table.caption);
    }
    let baselines = &findings.sections[0].tables[0].rows;
    assert_eq!(baselines[1][0], crate::report::Cell::Text("Always Safe Response (the majority)".to_owned()));
    let Chart::Confusion { labels, counts, .. } = &findings.sections[3].charts[0] else {
        panic!("no confusion")
    };
    assert_eq!((labels.len(), counts.len(), labels[8].as_str()), (9, 9, "Unsafe"));
    assert!(findings.published.iter().all(|row| row.caveat.contains("not comparable")));
}
