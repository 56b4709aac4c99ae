//! The guard itself as the system: a bundle, the tracker and a policy, exactly
//! as they serve. What is measured is what runs.

use mindrail_core::assessment::NotEvaluatedReason;
use mindrail_core::conversation::Conversation;
use mindrail_core::guard::Guard;
use mindrail_core::policy::date::Date;
use mindrail_core::policy::offer::Circumstances;
use mindrail_core::report::{Report, report};
use mindrail_finetune::assessor::AnyAssessor;
use rayon::prelude::*;

use super::{Benched, ItemOf};
use crate::protocol::Outcome;
use crate::run::{Cell, CellLog, RunError};

/// What the guard says of a conversation.
pub(super) fn guard_report(guard: &Guard<'_, AnyAssessor>, conversation: &Conversation) -> Report {
    // No figure reads what would be offered, so the day does not matter.
    let nobody = Circumstances::unknown(Date::of_unix_ms(0));
    report(guard, conversation, &[], &nobody).expect("a fresh state is the assessor's own")
}

/// Whether the guard says that it could not evaluate a turn, or, with none, the
/// person's side as a whole. Scores that it gives all the same rest on nothing.
pub(super) fn is_unevaluated(report: &Report, turn: Option<usize>) -> bool {
    report.not_evaluated.iter().any(|entry| {
        entry.turn == turn
            && matches!(
                entry.reason,
                NotEvaluatedReason::EmptyTurn
                    | NotEvaluatedReason::UnsupportedLanguage
                    | NotEvaluatedReason::NoUserTurn
                    | NotEvaluatedReason::ModelUnavailable
                    | NotEvaluatedReason::ScoringDisabled
            )
    })
}

/// Items that are judged between two writes of their cells: enough for all
/// cores, few enough that a kill loses seconds.
const CHUNK: usize = 32;

/// Puts every item that has no cell yet to the guard, on all cores. `progress`
/// hears how many are done.
///
/// # Errors
/// [`RunError`] when a cell cannot be written.
pub fn answer_by_guard<P: Benched>(
    protocol: &P,
    guard: &Guard<'_, AnyAssessor>,
    items: &[ItemOf<P>],
    cells: &mut CellLog,
    mut progress: impl FnMut(usize),
) -> Result<(), RunError> {
    let open: Vec<&ItemOf<P>> = items.iter().filter(|item| !cells.is_settled(&item.id)).collect();
    let mut done = items.len() - open.len();
    progress(done);
    for chunk in open.chunks(CHUNK) {
        let judged: Vec<Cell> = chunk.par_iter().map(|item| cell(protocol, guard, item)).collect();
        judged.iter().try_for_each(|cell| cells.append(cell))?;
        done += chunk.len();
        progress(done);
    }
    Ok(())
}

fn cell<P: Benched>(protocol: &P, guard: &Guard<'_, AnyAssessor>, item: &ItemOf<P>) -> Cell {
    match protocol.by_guard(guard, item) {
        Some(prediction) => {
            let answer = serde_json::to_value(prediction).expect("a prediction is plain data");
            Cell::answered(&item.id, answer)
        }
        None => Cell {
            key: item.id.clone(),
            outcome: Outcome::NotEvaluated,
            answer: None,
            usage: None,
            note: None,
        },
    }
}
