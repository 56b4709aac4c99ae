//! The embedded assessor as it serves: state, segments, equality of paths.

use mindrail_core::assessment::TurnScores;
use mindrail_core::assessor::Assessor;
use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::metrics::auroc;
use mindrail_model::assessor::EmbeddedAssessor;
use mindrail_model::bundle::{Bundle, InF32};
use proptest::prelude::*;

fn assessor() -> EmbeddedAssessor {
    EmbeddedAssessor::embedded().expect("the shipped bundle")
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let role = prop_oneof![Just(Role::User), Just(Role::Assistant), Just(Role::System)];
    let text = prop_oneof!["[a-zé' ]{0,60}", "\\PC{0,30}"];
    prop::collection::vec((role, text).prop_map(|(role, text)| Turn { role, text }), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn turn_by_turn_through_a_serialised_state_equals_all_at_once(turns in turns()) {
        let assessor = assessor();
        let conversation = Conversation { id: None, turns: turns.clone() };
        let at_once = assessor.assess(&conversation).expect("a fresh state");
        let mut stored = serde_json::to_string(&assessor.start()).expect("JSON");
        for (turn, expected) in turns.iter().zip(&at_once) {
            let mut state = serde_json::from_str(&stored).expect("JSON");
            let found = assessor.push(&mut state, turn).expect("its own state");
            prop_assert_eq!(&found, expected);
            stored = serde_json::to_string(&state).expect("JSON");
            prop_assert!(stored.len() < 32_000, "{} bytes of JSON", stored.len());
        }
    }
}

#[test]
fn the_state_does_not_grow_with_the_conversation() {
    let assessor = assessor();
    let mut state = assessor.start();
    let mut sizes = Vec::new();
    for i in 0..60 {
        let role = if i % 2 == 0 { Role::User } else { Role::Assistant };
        let text = format!("and then on day {i} we went to place number {}", i * 17);
        assessor.push(&mut state, &Turn { role, text }).expect("its own state");
        sizes.push(serde_json::to_string(&state).expect("JSON").len());
    }
    assert!(sizes[59] < sizes[9] + sizes[9] / 2, "{sizes:?}");
}

#[test]
fn a_state_of_another_model_is_refused() {
    let assessor = assessor();
    let state =
        serde_json::to_string(&assessor.start()).expect("JSON").replace("mindrail-embedded", "another");
    let mut state = serde_json::from_str(&state).expect("JSON");
    let turn = Turn { role: Role::User, text: "hello".to_owned() };
    let error = assessor.push(&mut state, &turn).expect_err("a foreign state");
    assert!(error.to_string().contains("another"), "{error}");
}

#[test]
fn a_sign_at_the_end_of_a_long_turn_counts_as_much_as_in_a_short_one() {
    let assessor = assessor();
    let sign = "i can't do this anymore, i don't want to be alive";
    let calm = "we went to the market and bought apples and bread and it was sunny. ".repeat(12);
    let risk = |text: String| {
        let turns = vec![Turn { role: Role::User, text }];
        let assessed = assessor.assess(&Conversation { id: None, turns }).expect("a fresh state");
        match &assessed[0].scores {
            TurnScores::User(scores) => scores.risk.get(),
            other => panic!("a user turn has user scores, found {other:?}"),
        }
    };
    let (short, long, without) = (risk(sign.to_owned()), risk(format!("{calm}{sign}")), risk(calm.clone()));
    assert!(long > without, "short {short}, at the end of a long turn {long}, without {without}");
}

/// The dev conversations of the corpus with their high-risk labels.
fn dev_conversations() -> Vec<(Conversation, bool)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/dev_f.jsonl");
    let text = std::fs::read_to_string(path).expect("the corpus is part of the repository");
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).expect("a corpus row");
        let turns = row["turns"].as_array().expect("turns").iter().map(|t| Turn {
            role: if t["role"] == "user" { Role::User } else { Role::Assistant },
            text: t["text"].as_str().expect("text").to_owned(),
        });
        (Conversation { id: None, turns: turns.collect() }, row["high_risk"] == 1)
    };
    text.lines().map(row).collect()
}

#[test]
fn eight_bit_arithmetic_costs_at_most_half_a_point_of_auc() {
    let bundle = Bundle::embedded().expect("the shipped bundle");
    let int8 = EmbeddedAssessor::new(&bundle).expect("the shipped bundle");
    let f32 = EmbeddedAssessor::with_tensors(&bundle, &InF32(&bundle)).expect("the shipped bundle");
    let risk = |assessor: &EmbeddedAssessor, conversation: &Conversation| {
        let turns = assessor.assess(conversation).expect("a fresh state");
        let scores = turns.iter().rev().find_map(|t| t.conversation.clone()).expect("a user turn");
        f64::from(scores.risk.get())
    };
    let conversations = dev_conversations();
    let labels: Vec<bool> = conversations.iter().map(|(_, high)| *high).collect();
    let of = |assessor| conversations.iter().map(|(c, _)| risk(assessor, c)).collect::<Vec<f64>>();
    let (rounded, exact) = (of(&int8), of(&f32));
    let auc = |scores: &[f64]| auroc(scores, &labels).expect("both classes");
    assert!(auc(&rounded) >= auc(&exact) - 0.005, "{} against {}", auc(&rounded), auc(&exact));
    let largest = rounded.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(largest < 0.05, "one conversation's risk differs by {largest}");
}
