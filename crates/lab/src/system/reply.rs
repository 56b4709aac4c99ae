//! The reply protocol before the guard and in words. The prompt has the structure
//! of the published one: definitions, examples in class order, the instruction,
//! then context, response and an open label.

use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::guard::Guard;
use mindrail_core::report::TurnReportScores;
use mindrail_core::taxonomy::{ReplyClass, Taxonomy as _};
use mindrail_finetune::assessor::AnyAssessor;
use mindrail_finetune::rows::Task;
use serde_json::{Value, json};

use super::guarded::{guard_report, is_unevaluated};
use super::{Benched, ItemOf, dialogue_lines};
use crate::prompt::{Prompt, names};
use crate::protocol::Outcome;
use crate::protocol::reply::{Reply, ReplyCall, ReplyInput, ReplyPrediction};

/// Context and reply as one conversation.
fn whole(input: &ReplyInput) -> Conversation {
    let mut turns = input.context.clone();
    turns.push(Turn { role: Role::Assistant, text: input.response.clone() });
    Conversation { id: None, turns }
}

/// Safe first, then the others in node order, as the published prompt has them.
fn in_prompt_order() -> impl Iterator<Item = ReplyClass> {
    let others = ReplyClass::ALL.iter().copied().filter(|class| !class.is_safe());
    std::iter::once(ReplyClass::SafeResponse).chain(others)
}

fn triple(input: &ReplyInput, label: &str) -> String {
    let context = dialogue_lines(&input.context);
    format!("Context: {context}\nResponse: {}\nLabel: {label}\n\n", input.response.trim())
}

impl Benched for Reply {
    const TASKS: &'static [Task] = &[Task::ReplyClass];

    fn by_guard(&self, guard: &Guard<'_, AnyAssessor>, item: &ItemOf<Self>) -> Option<ReplyPrediction> {
        let mut report = guard_report(guard, &whole(&item.input));
        let last = report.turns.pop()?;
        if is_unevaluated(&report, Some(last.index)) {
            return None;
        }
        let Some(TurnReportScores::Assistant { reply, .. }) = last.scores else { return None };
        Some(ReplyPrediction {
            class: ReplyCall::Class(reply.class),
            probabilities: Some(reply.probabilities),
        })
    }

    fn prompt(&self) -> Prompt {
        let entry = |(at, class): (usize, ReplyClass)| {
            format!("{}. {}: {}", at + 1, class.wire(), class.entry().definition)
        };
        let numbered: Vec<String> = in_prompt_order().enumerate().map(entry).collect();
        let names = names(in_prompt_order());
        Prompt::of("reply", &[("definitions", &numbered.join("\n")), ("names", &names)])
    }

    fn question(&self, prompt: &Prompt, item: &ItemOf<Self>, _part: usize, examples: &str) -> String {
        let context = dialogue_lines(&item.input.context);
        let response = item.input.response.trim();
        prompt.render(&[("examples", examples), ("context", &context), ("response", response)])
    }

    fn example(&self, item: &ItemOf<Self>) -> String {
        triple(&item.input, item.gold.wire())
    }

    fn shot_kind(&self, item: &ItemOf<Self>) -> usize {
        item.gold.index()
    }

    /// A bare label, as in the published runs.
    fn schema(&self) -> Option<Value> {
        None
    }

    fn read_answer(&self, text: &str) -> Option<Value> {
        let class = self.answer_rule.read(text)?;
        Some(json!({"class": class.wire()}))
    }

    fn answer_rule(&self) -> Option<&'static str> {
        Some(self.answer_rule.wire())
    }

    fn assemble(&self, _item: &ItemOf<Self>, parts: Vec<Result<Value, Outcome>>) -> Option<ReplyPrediction> {
        serde_json::from_value(parts.into_iter().next()?.ok()?).ok()
    }

    fn shown(&self, item: &ItemOf<Self>) -> String {
        dialogue_lines(&whole(&item.input).turns)
    }

    fn verdicts(&self, item: &ItemOf<Self>, prediction: &ReplyPrediction) -> [String; 2] {
        let said = match prediction.class {
            ReplyCall::Class(class) => class.wire(),
            ReplyCall::Unsafe => "Unsafe",
        };
        [item.gold.wire().to_owned(), said.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::reply::{AnswerRule, ReplySet};

    #[test]
    fn an_answer_is_read_by_the_rule_that_was_chosen() {
        let tolerant = Reply::on(ReplySet::Other);
        let published = Reply { answer_rule: AnswerRule::Published, ..tolerant };
        for (text, read) in [("Nonsense. It", [true, true]), ("Label: nonsense", [true, false])] {
            let found = [tolerant, published].map(|protocol| protocol.read_answer(text).is_some());
            assert_eq!(found, read, "{text}");
        }
    }
}
