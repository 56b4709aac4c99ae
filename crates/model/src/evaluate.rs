//! Measures an assessor on labelled conversations, turn by turn as it would be
//! served: tokenizer, weights of the bundle, calibration, tracker and all.

use std::collections::BTreeSet;

use mindrail_core::assessment::{ConversationScores, TurnScores};
use mindrail_core::assessor::{Assessor, StateError};
use mindrail_core::calibration::Calibration;
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::metrics::OnsetSets;
use mindrail_core::policy::{Policy, is_high_risk};
use mindrail_core::taxonomy::Taxonomy;

use crate::figures::Outcome;
use crate::train::View;
use crate::train::examples::{Example, LabelledReply};

/// Scores examples in one view. An example without user turns gives nothing.
///
/// # Errors
/// [`StateError`], which a fresh state never gives.
pub fn evaluate<'e, A: Assessor>(
    assessor: &A,
    examples: impl IntoIterator<Item = &'e Example>,
    view: View,
) -> Result<Vec<Outcome>, StateError> {
    let policy = Policy::default();
    let mut outcomes = Vec::new();
    for example in examples {
        outcomes.extend(outcome(assessor, &policy, example, view)?);
    }
    Ok(outcomes)
}

fn outcome<A: Assessor>(
    assessor: &A,
    policy: &Policy,
    example: &Example,
    view: View,
) -> Result<Option<Outcome>, StateError> {
    let calibration = assessor.calibration();
    let mut tracker = policy.new_tracker();
    let mut state = assessor.start();
    let mut last = None;
    let (mut gold, mut predicted) = (BTreeSet::new(), BTreeSet::new());
    let mut replies = Vec::new();
    let mut user_turn = 0;
    for (index, turn) in example.turns.iter().enumerate() {
        if turn.role != Role::User && view == View::Person {
            continue;
        }
        let assessment = assessor.push(&mut state, &Turn { role: turn.role, text: turn.text.clone() })?;
        last = assessment.conversation.or(last);
        if turn.role != Role::User {
            continue;
        }
        gold.extend(turn.crisis.iter().flatten().map(|label| (user_turn, label.index())));
        if let TurnScores::User(scores) = &assessment.scores {
            let onsets = tracker.observe(index, scores, calibration);
            predicted.extend(onsets.iter().map(|onset| (user_turn, onset.label.index())));
        }
        user_turn += 1;
        for reply in example.replies.iter().filter(|r| r.after == index) {
            replies.extend(judged(assessor, &state, reply)?);
        }
    }
    let labelled = example.turns.iter().any(|t| t.crisis.is_some());
    let onsets = labelled.then_some(OnsetSets { gold, predicted });
    Ok(last.map(|scores| from_scores(example, &scores, calibration, (onsets, replies))))
}

/// Gold and predicted class of a reply after the present state, where it has a label.
fn judged<A: Assessor>(
    assessor: &A,
    state: &A::State,
    reply: &LabelledReply,
) -> Result<Option<(usize, usize)>, StateError> {
    let Some(gold) = reply.class else { return Ok(None) };
    let mut state = state.clone();
    let turn = Turn { role: Role::Assistant, text: reply.text.clone() };
    let assessment = assessor.push(&mut state, &turn)?;
    Ok(match assessment.scores {
        TurnScores::Assistant(scores) => Some((gold.index(), scores.classes.top().0.index())),
        TurnScores::User(_) | TurnScores::None => None,
    })
}

fn from_scores(
    example: &Example,
    scores: &ConversationScores,
    calibration: &Calibration,
    (onsets, replies): (Option<OnsetSets<usize>>, Vec<(usize, usize)>),
) -> Outcome {
    Outcome {
        language: example.language,
        high_risk: example.high_risk == Some(true),
        risk: f64::from(scores.risk.get()),
        called: is_high_risk(scores, calibration),
        gold_signals: example.signals.as_ref().map(|s| s.iter().map(|&v| v > 0.5).collect()),
        signals: scores.signals.iter().map(|(_, p)| f64::from(p.get())).collect(),
        onsets,
        replies,
    }
}
