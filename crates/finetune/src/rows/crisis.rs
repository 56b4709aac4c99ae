//! CRADLE-Dialogue: at every user turn, the crises that begin to show there, with the
//! dialogue so far. Listener turns are context; a label on one of them is no target, as
//! in the published protocol.

use mindrail_core::conversation::Role;
use mindrail_data::sets::CradleDialogue;
use mindrail_data::table::DataError;

use super::{Draft, Input, Target, Task};

pub(super) fn drafts(dialogue: &CradleDialogue) -> Result<Vec<Draft>, DataError> {
    let turns = dialogue.conversation().turns;
    let mut drafts = Vec::new();
    for (place, turn) in dialogue.turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::User) {
        let onsets = Target::of_terms(&turn.labels, "labels").map_err(|fault| fault.at(&turn.place))?;
        let input = Input::conversation(turns[..=place].to_vec());
        drafts.push(Draft::new(format!(":{place}"), [input]).with(Task::Onsets, onsets));
    }
    Ok(drafts)
}
