#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use mindrail_core::conversation::{Role, Turn};
use mindrail_core::metrics::crisis::{count_crisis, score_crisis};

use super::*;
use crate::protocol::{Answer, Outcome, judge};
use crate::resampling::Estimate;

/// A dialogue of user turns with these labels, a listener's turn after each.
fn row(id: &str, labels: &[&[&str]]) -> LabelledDialogue {
    let speak = |role| Turn { role, text: String::new() };
    let turns = labels.iter().flat_map(|_| [speak(Role::User), speak(Role::Assistant)]).collect();
    let names = |set: &&[&str]| set.iter().map(|&name| name.to_owned()).collect();
    LabelledDialogue {
        id: id.to_owned(),
        family: None,
        conversation: Conversation { id: None, turns },
        labels: labels.iter().flat_map(|set| [names(set), Vec::new()]).collect(),
        slices: [("language".to_owned(), "en".to_owned())].into(),
    }
}

fn answer(id: &str, labels: &[&[&str]]) -> Answer<CrisisPrediction> {
    let turns = labels.iter().map(|names| TurnAnswer::of(names.iter().copied())).collect();
    let prediction = Some(CrisisPrediction { turns, probabilities: None });
    Answer { id: id.to_owned(), outcome: Outcome::Ok, prediction }
}

/// Values of the data themselves, by name, and the findings with them.
fn measured(
    protocol: &Crisis,
    rows: Vec<LabelledDialogue>,
    answers: &[Answer<CrisisPrediction>],
) -> (BTreeMap<String, Option<f64>>, Findings) {
    let items = items(rows);
    let (judged, _) = judge(protocol, &items, answers, Unanswered::Negative);
    let evaluator = protocol.evaluator(&judged);
    let values = evaluator.values(&vec![1; evaluator.clusters()]);
    let named = evaluator.figures().iter().map(|figure| figure.name.clone()).zip(values);
    let values: BTreeMap<_, _> = named.collect();
    let estimate = |value: &Option<f64>| Estimate { value: *value, interval: None };
    let intervals = values.iter().map(|(name, value)| (name.clone(), estimate(value))).collect();
    let findings = protocol.findings(&judged, &intervals);
    (values, findings)
}

fn assert_figure(values: &BTreeMap<String, Option<f64>>, name: &str, expected: Option<f64>) {
    let found = *values.get(name).unwrap_or_else(|| panic!("there is no figure {name}"));
    let close = match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
        (found, expected) => found.is_none() && expected.is_none(),
    };
    assert!(close, "{name}: {found:?} against {expected:?}");
}

/// Two dialogues by hand: in the first the Alert is a turn late and the Confirm
/// exact, in the second, which is quiet, there is a false alarm.
fn two() -> (Vec<LabelledDialogue>, Vec<Answer<CrisisPrediction>>) {
    let rows =
        vec![row("a", &[&["alert_ongoing"], &[], &[], &["confirm_SH_ongoing"]]), row("b", &[&[], &[]])];
    let answers = vec![
        answer("a", &[&[], &["alert_ongoing"], &[], &["confirm_SH_ongoing"]]),
        answer("b", &[&[], &["confirm_RA_past"]]),
    ];
    (rows, answers)
}

#[test]
fn figures_by_hand() {
    let (rows, answers) = two();
    let protocol = Crisis { min_slice: 1, ..Crisis::default() };
    let (values, _) = measured(&protocol, rows, &answers);
    let figure = |name: &str, expected: f64| assert_figure(&values, name, Some(expected));
    // tp 1 (Confirm), fp 2, fn 1.
    figure("turn_f1", 2.0 / 5.0);
    figure("turn_precision", 1.0 / 3.0);
    figure("turn_recall", 1.0 / 2.0);
    figure("exact_match", 3.0 / 6.0);
    figure("turn_macro_f1", 1.0 / 16.0);
    figure("dialogue_f1", 4.0 / 5.0);
    figure("confirm_f1", 2.0 / 3.0);
    figure("confirm_dialogue_f1", 2.0 / 3.0);
    figure("alert_f1", 0.0);
    figure("alert_dialogue_f1", 1.0);
    figure("type_f1", 2.0 / 5.0);
    figure("time_f1", 2.0 / 5.0);
    figure("turn_any_f1", 2.0 / 5.0);
    figure("turn_f1_within_1", 4.0 / 5.0);
    figure("turn_f1_within_3", 4.0 / 5.0);
    figure("alert_late", 1.0);
    figure("alert_median_delay", 1.0);
    figure("confirm_on_time", 1.0);
    figure("warned_by_confirm", 1.0);
    figure("median_lead", 2.0);
    figure("false_alarms_per_dialogue", 1.0);
    figure("false_alarms_per_100_turns", 200.0 / 6.0);
    figure("quiet_alarmed", 1.0);
    figure("f1@label=confirm_SH_ongoing", 1.0);
    figure("turn_f1@reveal=2 mid (user turn 4-6)", 1.0 / 2.0);
    figure("turn_f1@language=en", 2.0 / 5.0);
    assert_figure(&values, "f1@label=confirm_DV_past", None);
    // The wrong yes costs one half, the share of dialogues with a label; the
    // right one came after two user turns.
    figure("erde_2", f64::midpoint(0.5, 0.5));
    figure("erde_5", f64::midpoint(1.0 / (1.0 + 3.0_f64.exp()), 0.5));
    // The median dialogue has three user turns: p = ln 3 / 2, and the penalty of
    // two turns is tanh(ln 3 / 4) = (sqrt 3 - 1) / (sqrt 3 + 1).
    let root = 3.0_f64.sqrt();
    figure("f_latency", 2.0 / 3.0 * (1.0 - (root - 1.0) / (root + 1.0)));
    figure("median_latency", 2.0);
}

#[test]
fn the_report_says_what_was_chosen_and_what_was_left_out() {
    let (mut rows, mut answers) = two();
    rows[1].labels[1].push("alert_past".to_owned());
    rows[1].labels[2].push("confirm_XX_past".to_owned());
    answers[1].prediction.as_mut().unwrap().turns[0] = TurnAnswer::of(["no_crisis"]);
    answers[0].prediction.as_mut().unwrap().turns.push(TurnAnswer::silent());
    let (values, findings) = measured(&Crisis::default(), rows, &answers);
    assert_figure(&values, "turn_f1", Some(2.0 / 5.0));
    insta::assert_snapshot!(findings.notes.join("\n"), @r"
    2 of 6 user turns carry a label: a system that never says anything matches 66.67 % of the turns exactly and has F1 0. Labels mark onsets, so that a turn without one is not thereby safe.
    2 gold labels cannot be scored: 1 alert_past off a user turn, 1 unknown names.
    1 predicted names are no label; they were left out and cost nothing.
    1 predictions have more turns than the dialogue has user turns; the surplus counts as nothing.
    ");
    assert_eq!(findings.options["latency_p"], "ln 3 / (median user turns of all dialogues - 1): 0.549306");
    let ids: Vec<_> = findings.sections.iter().map(|section| section.id.as_str()).collect();
    assert_eq!(ids, ["levels", "labels", "tolerance", "delays", "warnings", "early", "slices", "violations"]);
    assert!(!values.contains_key("turn_f1@language=en"), "two dialogues are too few for a slice");
}

#[test]
fn every_table_row_is_as_long_as_its_columns() {
    let (rows, mut answers) = two();
    for answer in &mut answers {
        let prediction = answer.prediction.as_mut().unwrap();
        let scores = mindrail_core::taxonomy::Scores::uniform(mindrail_core::probability::Probability::ZERO);
        prediction.probabilities = Some(vec![scores; prediction.turns.len()]);
    }
    let (_, findings) = measured(&Crisis::default(), rows, &answers);
    assert!(findings.sections.iter().any(|section| section.id == "ranking"));
    for table in findings.sections.iter().flat_map(|section| &section.tables) {
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", table.caption);
    }
}

#[test]
fn the_always_empty_system_has_the_published_floor() {
    // 4,527 user turns, 703 of them labelled, 711 labels (crisis.md, section 3).
    let mut labels: Vec<Vec<&str>> = vec![Vec::new(); 4_527];
    labels.iter_mut().take(703).for_each(|set| set.push("alert_ongoing"));
    labels.iter_mut().take(8).for_each(|set| set.push("confirm_RA_past"));
    let sets: Vec<&[&str]> = labels.iter().map(Vec::as_slice).collect();
    let rows = sets.chunks(9).enumerate().map(|(i, chunk)| row(&format!("d{i}"), chunk)).collect();
    let (values, _) = measured(&Crisis::default(), rows, &[]);
    assert_figure(&values, "turn_f1", Some(0.0));
    let exact = values["exact_match"].unwrap();
    assert_eq!(format!("{:.2}", 100.0 * exact), "84.47");
}

#[test]
fn a_draw_gives_what_the_repeated_dialogues_give() {
    let (rows, answers) = two();
    let protocol = Crisis { min_slice: 1, ..Crisis::default() };
    let items = items(rows);
    let (judged, _) = judge(&protocol, &items, &answers, Unanswered::Negative);
    let evaluator = protocol.evaluator(&judged);
    let found = evaluator.values(&[2, 5]);
    let dialogues: Vec<_> = [0, 0, 1, 1, 1, 1, 1].iter().map(|&i: &usize| dialogue(&judged[i])).collect();
    let counts = score_crisis(&dialogues, &CrisisReading::TURN);
    let place = |name: &str| evaluator.figures().iter().position(|figure| figure.name == name).unwrap();
    assert_eq!(found[place("turn_f1")], Some(counts.micro().f1()));
    assert_eq!(found[place("exact_match")], counts.exact_match());
    let wide = CrisisReading { setting: CrisisSetting::Turn { tolerance: 1 }, ..CrisisReading::TURN };
    let near: usize = dialogues.iter().map(|one| count_crisis(one, &wide).micro().tp).sum();
    assert_eq!(near, 4);
    assert_eq!(evaluator.values(&[0, 0])[place("turn_f1")], None);
}

#[test]
fn both_sides_of_the_dialogue_count_only_where_they_are_asked_for() {
    let (rows, answers) = two();
    let confirm = Crisis { dialogue_labels: LabelView::ConfirmOnly, ..Crisis::default() };
    let (values, _) = measured(&confirm, rows.clone(), &answers);
    assert_figure(&values, "dialogue_f1", Some(2.0 / 3.0));
    let left_out = Crisis { empty: EmptyDialogues::LeftOut, ..Crisis::default() };
    let (values, _) = measured(&left_out, rows, &answers);
    assert_figure(&values, "turn_f1", Some(1.0 / 2.0));
}

#[test]
fn an_unanswered_dialogue_is_silent_and_wrong_where_there_was_something_to_say() {
    let protocol = Crisis::default();
    let items = items(two().0);
    let (judged, outcomes) = judge(&protocol, &items, &[], Unanswered::Positive);
    assert_eq!(outcomes["missing"], 2);
    assert_eq!(protocol.is_right(&judged), [false, true]);
    assert!(judge(&protocol, &items, &[], Unanswered::LeftOut).0.is_empty());
}

#[test]
fn a_turn_without_an_answer_is_no_turn_without_an_onset() {
    let (rows, mut answers) = two();
    let refused = TurnAnswer::Unanswered(Outcome::Refused);
    answers[0].prediction.as_mut().unwrap().turns[3] = refused;
    let items = items(rows);
    let protocol = Crisis::default();
    let counts = |policy| {
        let (judged, outcomes) = judge(&protocol, &items, &answers, policy);
        let dialogues: Vec<_> = judged.iter().map(dialogue).collect();
        let turns: usize = dialogues.iter().map(|one| one.turns.len()).sum();
        let found = score_crisis(&dialogues, &CrisisReading::TURN).micro();
        (outcomes["refused"], turns, found.tp, found.fp, found.fn_)
    };
    // With an answer, the Confirm on the fourth turn would be the one that is found.
    for policy in [Unanswered::Negative, Unanswered::Positive] {
        assert_eq!(counts(policy), (1, 6, 0, 2, 2), "{policy:?}");
    }
    assert_eq!(counts(Unanswered::LeftOut), (1, 5, 0, 2, 1));
    assert_eq!(
        protocol.unanswered_parts(&items[0], answers[0].prediction.as_ref().unwrap()),
        [Outcome::Refused]
    );
}

#[test]
fn a_turn_that_a_prediction_does_not_reach_is_unanswered() {
    let (rows, mut answers) = two();
    answers[1].prediction.as_mut().unwrap().turns.truncate(1);
    let items = items(rows);
    let (judged, outcomes) = judge(&Crisis::default(), &items, &answers, Unanswered::LeftOut);
    assert_eq!((outcomes["ok"], outcomes["missing"]), (1, 1));
    assert_eq!(dialogue(&judged[1]).turns.len(), 1);
}
