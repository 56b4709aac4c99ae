//! The project's corpus, which has every task: signals and risk of a conversation,
//! onsets at each user turn, class, harms and severity of replies, and, from the ranks
//! of the other replies to one turn, which of two is more helpful or less safe.

use mindrail_core::conversation::{Role, Turn};
use mindrail_core::taxonomy::{Severity, Taxonomy as _};
use mindrail_data::sets::{CorpusReply, CorpusRow};
use mindrail_data::table::Fault;

use super::distress::{signals, up_to_the_person};
use super::harm::level;
use super::task::known;
use super::{Draft, Input, Target, Task};

pub(super) fn drafts(row: &CorpusRow) -> Result<Vec<Draft>, Fault> {
    let turns = row.conversation().turns;
    let mut drafts = vec![whole(row, turns.clone())?];
    for (place, turn) in row.turns.iter().enumerate() {
        match turn.role {
            Role::User => drafts.push(onsets(row, &turns, place)?),
            Role::Assistant | Role::System => drafts.extend(said(row, &turns, place)?),
        }
    }
    for (number, reply) in row.replies.iter().enumerate() {
        drafts.push(other_reply(&turns, number, reply)?);
    }
    drafts.extend(preferences(row, &turns)?);
    Ok(drafts)
}

/// The conversation as a whole, read as the embedded trainer reads it.
fn whole(row: &CorpusRow, turns: Vec<Turn>) -> Result<Draft, Fault> {
    let draft = Draft::new("", [Input::conversation(up_to_the_person(turns, "turns")?)]);
    Ok(draft.with(Task::Signals, signals(row.signals)).with(Task::Risk, Target::flag(row.high_risk)))
}

fn onsets(row: &CorpusRow, turns: &[Turn], place: usize) -> Result<Draft, Fault> {
    let target = Target::of_terms(&row.turns[place].crisis, &format!("turns[{place}].crisis"))?;
    let input = Input::conversation(turns[..=place].to_vec());
    Ok(Draft::new(format!(":{place}"), [input]).with(Task::Onsets, target))
}

/// What the listener said, where it has a class and answers the person. Harms stand on
/// the other replies only.
fn said(row: &CorpusRow, turns: &[Turn], place: usize) -> Result<Option<Draft>, Fault> {
    let answers = place.checked_sub(1).is_some_and(|before| turns[before].role == Role::User);
    let Some(class) = row.turns[place].response.as_ref().filter(|_| answers) else { return Ok(None) };
    let class = known(class, &format!("turns[{place}].response"))?;
    let draft = Draft::new(format!(":{place}"), [Input::reply(&turns[..place], &turns[place].text)]);
    Ok(Some(draft.with(Task::ReplyClass, Target::Class(class.index()))))
}

fn other_reply(turns: &[Turn], number: usize, reply: &CorpusReply) -> Result<Draft, Fault> {
    let field = |name: &str| format!("replies[{number}].{name}");
    let after = answered(turns, number, reply)?;
    let class = known(&reply.response, &field("response"))?;
    let harms = Target::of_terms(&reply.harm, &field("harm"))?;
    let severity = known(&reply.severity, &field("severity"))?;
    let draft = Draft::new(format!(":{after}+{number}"), [Input::reply(&turns[..=after], &reply.text)])
        .with(Task::ReplyClass, Target::Class(class.index()))
        .with(Task::Harms, harms)
        .with(Task::Severity, level(severity));
    Ok(draft)
}

/// The user turn that a reply answers.
fn answered(turns: &[Turn], number: usize, reply: &CorpusReply) -> Result<usize, Fault> {
    let is_the_persons = |after: &usize| turns.get(*after).is_some_and(|turn| turn.role == Role::User);
    let after = usize::try_from(reply.after_turn).ok().filter(is_the_persons);
    let field = format!("replies[{number}].after_turn");
    after.ok_or_else(|| Fault::new(field, reply.after_turn.to_string(), "the number of a user turn"))
}

/// Every two replies to one turn whose ranks differ.
fn preferences(row: &CorpusRow, turns: &[Turn]) -> Result<Vec<Draft>, Fault> {
    let mut drafts = Vec::new();
    for (first, one) in row.replies.iter().enumerate() {
        let after = answered(turns, first, one)?;
        let later = row.replies.iter().enumerate().skip(first + 1);
        for (second, other) in later.filter(|(_, other)| other.after_turn == one.after_turn) {
            let inputs = [one, other].map(|reply| Input::reply(&turns[..=after], &reply.text));
            let draft = Draft::new(format!(":{after}+{first}+{second}"), inputs)
                .with_any(Task::Reward, reward(one, other))
                .with_any(Task::Cost, cost(one, other));
            drafts.push(draft);
        }
    }
    Ok(drafts)
}

/// Rank 1 is the best, so the more helpful reply has the smaller rank.
fn reward(one: &CorpusReply, other: &CorpusReply) -> Option<Target> {
    let differ = one.help_rank != other.help_rank;
    let better = usize::from(other.help_rank < one.help_rank);
    differ.then_some(Target::Preference { better, unsafe_: None })
}

/// The less safe reply has the larger rank. A reply is unsafe if it does any harm.
fn cost(one: &CorpusReply, other: &CorpusReply) -> Option<Target> {
    let differ = one.safety_rank != other.safety_rank;
    let better = usize::from(other.safety_rank > one.safety_rank);
    let does_harm = |reply: &CorpusReply| reply.severity.known().map(|severity| severity != Severity::None);
    let unsafe_ = does_harm(one).zip(does_harm(other)).map(|(one, other)| [one, other]);
    differ.then_some(Target::Preference { better, unsafe_ })
}
