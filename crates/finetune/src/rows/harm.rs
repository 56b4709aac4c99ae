//! The PKU family: harms and severity of single replies, and which of two replies to
//! one prompt is more helpful, and which is less safe.

use mindrail_core::conversation::Turn;
use mindrail_core::taxonomy::{Severity, Taxonomy as _};
use mindrail_data::sets::{BeaverTailsRow, QuestionAnswer, Reply, ReplyPair, Side};
use mindrail_data::table::Fault;

use super::{Draft, Input, Target, Task};

/// A pair as a comparison, then, where its version has them, each reply with its harms.
pub(super) fn pair(row: &ReplyPair) -> Result<Vec<Draft>, Fault> {
    let inputs = [Side::First, Side::Second].map(|side| input(&row.conversation(side).turns));
    let mut drafts = Vec::new();
    for (side, input) in [Side::First, Side::Second].into_iter().zip(&inputs) {
        let reply = &row.replies[side.index()];
        let field = format!("response_{}_harm_category", side.index());
        drafts.push(single(Draft::new(format!(":{}", side.index()), [input.clone()]), reply, &field)?);
    }
    let reward = Target::Preference { better: row.better.index(), unsafe_: None };
    let comparison = Draft::new("", inputs).with(Task::Reward, reward);
    drafts.insert(0, comparison.with_any(Task::Cost, row.safer.map(|safer| cost(row, safer))));
    Ok(drafts)
}

/// The cost ranks the less safe reply higher.
fn cost(row: &ReplyPair, safer: Side) -> Target {
    let [first, second] = row.replies.each_ref().map(|reply| reply.is_safe);
    let unsafe_ = first.zip(second).map(|(first, second)| [!first, !second]);
    Target::Preference { better: 1 - safer.index(), unsafe_ }
}

pub(super) fn answer(row: &QuestionAnswer) -> Result<Vec<Draft>, Fault> {
    let draft = Draft::new("", [input(&row.conversation().turns)]);
    Ok(vec![single(draft, &row.reply, "harm_category")?])
}

pub(super) fn beaver_tails(row: &BeaverTailsRow) -> Result<Vec<Draft>, Fault> {
    let harms = row.harms.as_ref().map(|harms| Target::of_terms(harms, "category")).transpose()?;
    let draft = Draft::new("", [input(&row.conversation().turns)]);
    Ok(vec![draft.with_any(Task::BeaverHarms, harms)])
}

fn single(draft: Draft, reply: &Reply, field: &str) -> Result<Draft, Fault> {
    let harms = reply.harms.as_ref().map(|harms| Target::of_terms(harms, field)).transpose()?;
    let severity = reply.severity.map(level);
    Ok(draft.with_any(Task::Harms, harms).with_any(Task::Severity, severity))
}

/// A severity as a level.
pub(super) fn level(severity: Severity) -> Target {
    Target::Level(severity.index())
}

/// A prompt and the reply that is judged.
fn input(turns: &[Turn]) -> Input {
    match turns.split_last() {
        Some((reply, turns)) => Input::reply(turns, &reply.text),
        None => Input::conversation(Vec::new()),
    }
}
