//! KHP's conversations: nine signals and a risk label for each as a whole.

use mindrail_core::conversation::{Role, Turn};
use mindrail_core::taxonomy::Signal;
use mindrail_data::sets::{KhpRow, SignalFlags};
use mindrail_data::table::Fault;

use super::read::{MissingSignals, ReadOptions, Transcripts};
use super::{Draft, Input, Target, Task};

pub(super) fn drafts(row: &KhpRow, options: ReadOptions) -> Result<Vec<Draft>, Fault> {
    let turns = match options.transcripts {
        Transcripts::Turns => up_to_the_person(row.conversation().turns, "text")?,
        Transcripts::AsWritten => vec![Turn { role: Role::User, text: row.text.clone() }],
    };
    let signals = match (row.signals, options.missing_signals) {
        (Some(flags), _) => Some(signals(flags)),
        (None, MissingSignals::CopyLabel) => Some(Target::holding(|_: Signal| row.high_risk)),
        (None, MissingSignals::Skip) => None,
    };
    let draft = Draft::new("", [Input::conversation(turns)]);
    Ok(vec![draft.with(Task::Risk, Target::flag(row.high_risk)).with_any(Task::Signals, signals)])
}

pub(super) fn signals(flags: SignalFlags) -> Target {
    Target::holding(|signal| flags.has(signal))
}

/// The turns up to the last one of the person. What is said after it is not what the
/// guard has seen when it judges the person.
pub(super) fn up_to_the_person(mut turns: Vec<Turn>, field: &str) -> Result<Vec<Turn>, Fault> {
    let last = turns.iter().rposition(|turn| turn.role == Role::User);
    let fault = || Fault::new(field, format!("{} turns, none of the user", turns.len()), "a user turn");
    let last = last.ok_or_else(fault)?;
    turns.truncate(last + 1);
    Ok(turns)
}
