//! The crisis protocol before the guard and in words. The guard reads a dialogue
//! once; a language model is asked about each user turn by itself, with the
//! turns before it and none of its own earlier answers.

use mindrail_core::assessment::NotEvaluatedReason;
use mindrail_core::conversation::Role;
use mindrail_core::guard::Guard;
use mindrail_core::report::{Report, TurnReportScores};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};
use mindrail_finetune::assessor::AnyAssessor;
use mindrail_finetune::rows::Task;
use mindrail_llm::extract::{Shape, extract};
use serde_json::{Value, json};

use super::guarded::{guard_report, is_unevaluated};
use super::{Benched, ItemOf, conversation_lines, dialogue_lines};
use crate::prompt::{Prompt, definitions};
use crate::protocol::Outcome;
use crate::protocol::crisis::{Crisis, CrisisPrediction, TurnAnswer};

impl Benched for Crisis {
    const TASKS: &'static [Task] = &[Task::Onsets];

    fn by_guard(&self, guard: &Guard<'_, AnyAssessor>, item: &ItemOf<Self>) -> Option<CrisisPrediction> {
        let report = guard_report(guard, &item.input);
        if is_unevaluated(&report, None) {
            return None;
        }
        let (mut turns, mut probabilities) = (Vec::new(), Vec::new());
        for turn in report.turns.iter().filter(|turn| turn.role == Role::User) {
            match &turn.scores {
                // In a language that the guard does not know, scores rest on nothing.
                Some(_) if is_unevaluated(&report, Some(turn.index)) => {
                    turns.push(TurnAnswer::Unanswered(Outcome::NotEvaluated));
                }
                Some(TurnReportScores::User { crisis, onsets, .. }) => {
                    turns.push(TurnAnswer::of(onsets.iter().map(|label| label.wire())));
                    probabilities.push(crisis.clone());
                }
                // A turn that says nothing has no scores and no onset.
                _ if says_nothing(&report, turn.index) => turns.push(TurnAnswer::silent()),
                _ => turns.push(TurnAnswer::Unanswered(Outcome::NotEvaluated)),
            }
        }
        let probabilities = (probabilities.len() == turns.len()).then_some(probabilities);
        Some(CrisisPrediction { turns, probabilities })
    }

    fn prompt(&self) -> Prompt {
        let labels = definitions(CrisisLabel::ALL.iter().copied());
        Prompt::of("crisis", &[("definitions", labels.trim_end())])
    }

    fn parts(&self, item: &ItemOf<Self>) -> usize {
        item.gold.turns.len()
    }

    fn question(&self, prompt: &Prompt, item: &ItemOf<Self>, part: usize, examples: &str) -> String {
        let turns = &item.input.turns;
        let users = turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::User);
        let (at, turn) = users.skip(part).map(|(at, turn)| (at, turn.text.trim())).next().unwrap_or((0, ""));
        let before = dialogue_lines(&turns[..at]);
        let history = if before.is_empty() { "(none)" } else { &before };
        prompt.render(&[("examples", examples), ("history", history), ("turn", turn)])
    }

    fn example(&self, item: &ItemOf<Self>) -> String {
        let users = item.input.turns.iter().filter(|turn| turn.role == Role::User);
        let lines = users.zip(&item.gold.turns).map(|(turn, labels)| {
            let names: Vec<&str> = labels.iter().map(CrisisLabel::wire).collect();
            format!("User: {}\n{}\n", turn.text.trim(), json!({"labels": names}))
        });
        format!("Example, every user turn with its labels:\n{}\n", lines.collect::<String>())
    }

    fn shot_kind(&self, item: &ItemOf<Self>) -> usize {
        usize::from(item.gold.turns.iter().any(|labels| labels.iter().next().is_some()))
    }

    fn schema(&self) -> Option<Value> {
        let names: Vec<&str> = CrisisLabel::ALL.iter().map(|label| label.wire()).collect();
        Some(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["labels"],
            "properties": {"labels": {"type": "array", "items": {"type": "string", "enum": names}}},
        }))
    }

    fn read_answer(&self, text: &str) -> Option<Value> {
        let answer = extract(text, Shape::Object).ok()?;
        let labels = answer.get("labels")?.as_array()?;
        // A name that is no label is kept as such, so that the report counts it.
        let names: Option<Vec<&str>> = labels.iter().map(Value::as_str).collect();
        Some(json!(TurnAnswer::of(names?)))
    }

    /// Nothing where no turn has an answer.
    fn assemble(&self, _item: &ItemOf<Self>, parts: Vec<Result<Value, Outcome>>) -> Option<CrisisPrediction> {
        if !parts.is_empty() && parts.iter().all(Result::is_err) {
            return None;
        }
        Some(CrisisPrediction { turns: parts.iter().map(turn_answer).collect(), probabilities: None })
    }

    fn shown(&self, item: &ItemOf<Self>) -> String {
        conversation_lines(&item.input)
    }

    fn verdicts(&self, item: &ItemOf<Self>, prediction: &CrisisPrediction) -> [String; 2] {
        let gold = item.gold.turns.iter().map(|labels| labels.iter().map(CrisisLabel::wire).collect());
        let said = prediction.turns.iter().map(|turn| match turn {
            TurnAnswer::Labels { .. } => turn.names(),
            TurnAnswer::Unanswered(outcome) => vec![outcome.wire()],
        });
        [turn_words(gold), turn_words(said)]
    }
}

/// Whether a turn has no scores because it has no words; any other cause is no answer.
fn says_nothing(report: &Report, turn: usize) -> bool {
    let mut notes = report.not_evaluated.iter().filter(|note| note.turn == Some(turn));
    notes.all(|note| note.reason == NotEvaluatedReason::EmptyTurn)
}

/// The answer to one turn, from the names that its cell holds.
fn turn_answer(part: &Result<Value, Outcome>) -> TurnAnswer {
    let names = match part {
        Ok(Value::Array(names)) => names.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
        Ok(_) => None,
        Err(outcome) => return TurnAnswer::Unanswered(*outcome),
    };
    names.map_or(TurnAnswer::Unanswered(Outcome::Unparsable), TurnAnswer::of)
}

/// The labels of each user turn that has some: `turn 3: alert_ongoing`.
fn turn_words<'a>(turns: impl Iterator<Item = Vec<&'a str>>) -> String {
    let labelled = turns.enumerate().filter(|(_, names)| !names.is_empty());
    let words: Vec<String> =
        labelled.map(|(turn, names)| format!("user turn {}: {}", turn + 1, names.join(", "))).collect();
    if words.is_empty() { "none".to_owned() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_label_of_a_model_is_counted_and_its_words_are_not_kept() {
        let read = Crisis::default().read_answer("{\"labels\": [\"alert_past\", \"platypus\"]}");
        assert_eq!(read, Some(json!(["alert_past", "unknown_label"])));
        for none in ["{\"labels\": [3]}", "{\"labels\": \"alert_past\"}", "no label"] {
            assert_eq!(Crisis::default().read_answer(none), None, "{none}");
        }
    }
}
