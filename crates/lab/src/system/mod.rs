//! What can be put through a protocol: a file of predictions, a bundle behind
//! the guard, or a language model behind an OpenAI-compatible endpoint. Each
//! gives [`Answer`]s; the protocol does not know whose they are.
//!
//! A protocol says here, in one file each, how an item is put to the guard and
//! how it is put into words for a language model.

mod crisis;
mod distress;
mod guarded;
mod harm;
mod predictions;
mod remote;
mod reply;
mod shots;

use mindrail_core::conversation::{Conversation, Role};
use mindrail_core::guard::Guard;
use mindrail_finetune::assessor::AnyAssessor;
use mindrail_finetune::rows::Task;
use serde_json::Value;

use crate::prompt::Prompt;
use crate::protocol::{Answer, Item, Outcome, Protocol};
use crate::run::{Cell, CellLog};

pub use guarded::answer_by_guard;
pub use predictions::{PredictionsError, RunAnswers, read_predictions};
pub use remote::{Asking, Log, RemoteError, answer_by_model, estimate};
pub use shots::{ShotsError, choose_shots};

/// An item of a protocol.
pub type ItemOf<P> = Item<<P as Protocol>::Input, <P as Protocol>::Gold>;

/// A protocol whose items can be put to the guard and to a language model.
pub trait Benched: Protocol {
    /// What it asks for: a model must have been trained for one of them at least.
    const TASKS: &'static [Task];

    /// What the guard says of an item; none where it could not evaluate it.
    fn by_guard(&self, guard: &Guard<'_, AnyAssessor>, item: &ItemOf<Self>) -> Option<Self::Prediction>;

    /// The prompt, with definitions filled in.
    fn prompt(&self) -> Prompt;

    /// How many questions an item takes: 1, or one for each user turn.
    fn parts(&self, _item: &ItemOf<Self>) -> usize {
        1
    }

    /// The question about one part of an item. `examples` is text that
    /// [`Self::example`] made, or empty.
    fn question(&self, prompt: &Prompt, item: &ItemOf<Self>, part: usize, examples: &str) -> String;

    /// An item with its gold answer, as an example to learn from.
    fn example(&self, item: &ItemOf<Self>) -> String;

    /// The kind of item, from 0, that examples are balanced over.
    fn shot_kind(&self, item: &ItemOf<Self>) -> usize;

    /// The JSON schema of an answer; none where a bare label is asked for.
    fn schema(&self) -> Option<Value>;

    /// The answer to one part, brought to the shape that [`Self::assemble`]
    /// takes; none where it says none of what was asked.
    fn read_answer(&self, text: &str) -> Option<Value>;

    /// The rule by which [`Self::read_answer`] reads, where there is a choice; a run
    /// keeps what was read, so that its plan names the rule.
    fn answer_rule(&self) -> Option<&'static str> {
        None
    }

    /// The prediction from the answers to an item's parts; of a part without an answer
    /// the outcome is known.
    fn assemble(&self, item: &ItemOf<Self>, parts: Vec<Result<Value, Outcome>>) -> Option<Self::Prediction>;

    /// The text of an item, for a reader who asked to see it.
    fn shown(&self, item: &ItemOf<Self>) -> String;

    /// What is so and what was said, in a few words.
    fn verdicts(&self, item: &ItemOf<Self>, prediction: &Self::Prediction) -> [String; 2];
}

/// The key of a question's cell. A bundle answers an item whole, under its id
/// alone; a language model answers part by part.
pub fn cell_key(id: &str, part: usize) -> String {
    format!("{id}#{part}")
}

/// The answers that a run's cells hold. An item with an unfinished part is left
/// out; one with an unanswered part has that part's outcome and, where the
/// protocol can, a prediction from the others.
pub fn answers_of_cells<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    cells: &CellLog,
) -> Vec<Answer<P::Prediction>> {
    items.iter().filter_map(|item| answer_of_cells(protocol, item, cells)).collect()
}

fn answer_of_cells<P: Benched>(
    protocol: &P,
    item: &ItemOf<P>,
    cells: &CellLog,
) -> Option<Answer<P::Prediction>> {
    if let Some(cell) = cells.get(&item.id) {
        let whole = cell.answer.clone();
        let prediction: Option<P::Prediction> = whole.and_then(|answer| serde_json::from_value(answer).ok());
        let outcome = outcome_of(cell.outcome, prediction.is_some());
        return Some(Answer { id: item.id.clone(), outcome, prediction });
    }
    let count = protocol.parts(item);
    let parts: Option<Vec<_>> = (0..count).map(|part| cells.get(&cell_key(&item.id, part))).collect();
    let parts = parts?;
    let values: Vec<_> = parts.into_iter().map(value_of).collect();
    let outcome = values.iter().find_map(|value| value.as_ref().err().copied());
    let prediction = protocol.assemble(item, values);
    let outcome = outcome_of(outcome.unwrap_or(Outcome::Ok), prediction.is_some());
    Some(Answer { id: item.id.clone(), outcome, prediction })
}

/// What a cell says, or why it says nothing.
fn value_of(cell: &Cell) -> Result<Value, Outcome> {
    match (cell.outcome, &cell.answer) {
        (Outcome::Ok, Some(answer)) => Ok(answer.clone()),
        (outcome, _) => Err(outcome_of(outcome, false)),
    }
}

/// An answer that cannot be read is none, whoever gave it.
fn outcome_of(outcome: Outcome, is_read: bool) -> Outcome {
    if outcome == Outcome::Ok && !is_read { Outcome::Unparsable } else { outcome }
}

/// Turns as lines with speaker names, as prompts show them.
fn dialogue_lines<'a>(turns: impl IntoIterator<Item = &'a mindrail_core::conversation::Turn>) -> String {
    let line = |turn: &mindrail_core::conversation::Turn| {
        let name = match turn.role {
            Role::User => "User",
            Role::Assistant => "Assistant",
            Role::System => "System",
        };
        format!("{name}: {}", turn.text.trim())
    };
    turns.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A whole conversation as lines.
fn conversation_lines(conversation: &Conversation) -> String {
    dialogue_lines(&conversation.turns)
}
