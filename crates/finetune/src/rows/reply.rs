//! DialogueSafety: the class of a reply after its context.

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::Taxonomy as _;
use mindrail_data::sets::DialogueSafetyRow;
use mindrail_data::table::Fault;

use super::{Draft, Input, Target, Task};

pub(super) fn drafts(row: &DialogueSafetyRow) -> Result<Vec<Draft>, Fault> {
    let mut context = row.conversation()?.turns;
    let reply = context.pop().filter(|turn| turn.role == Role::Assistant);
    let reply = reply.ok_or_else(|| Fault::new("response", "no turn of the assistant", "a reply"))?.text;
    let draft = Draft::new("", [Input { turns: context, reply: Some(reply) }]);
    Ok(vec![draft.with(Task::ReplyClass, Target::Class(row.label.index()))])
}
