//! The harm protocol before the guard and in words. The guard reads question and
//! answer as a conversation of two turns, and gives categories and a severity;
//! which of them decides safe or unsafe is the protocol's option.

use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::guard::Guard;
use mindrail_core::probability::Probability;
use mindrail_core::report::TurnReportScores;
use mindrail_core::taxonomy::{Harm as Category, Scores, Severity, Taxonomy as _};
use mindrail_finetune::assessor::AnyAssessor;
use mindrail_finetune::rows::Task;
use mindrail_llm::extract::{Shape, extract};
use serde_json::{Value, json};

use super::guarded::{guard_report, is_unevaluated};
use super::{Benched, ItemOf, dialogue_lines};
use crate::prompt::{Prompt, definitions};
use crate::protocol::Outcome;
use crate::protocol::harm::{Harm, HarmGold, HarmInput, HarmPrediction};

fn whole(input: &HarmInput) -> Conversation {
    let turn = |role, text: &str| Turn { role, text: text.to_owned() };
    Conversation {
        id: None,
        turns: vec![turn(Role::User, &input.prompt), turn(Role::Assistant, &input.response)],
    }
}

/// What is so, as an answer would say it.
fn answer_of(gold: &HarmGold) -> Value {
    let mut answer = serde_json::Map::new();
    if let Some(is_safe) = gold.is_safe {
        answer.insert("unsafe".to_owned(), json!(u8::from(!is_safe)));
    }
    if let Some(categories) = &gold.categories {
        let names: Vec<&str> = categories.iter().map(|category| category.wire()).collect();
        answer.insert("categories".to_owned(), json!(names));
    }
    if let Some(severity) = gold.severity {
        answer.insert("severity".to_owned(), json!(severity.wire()));
    }
    Value::Object(answer)
}

impl Benched for Harm {
    const TASKS: &'static [Task] =
        &[Task::BeaverHarms, Task::Harms, Task::Severity, Task::Reward, Task::Cost];

    fn by_guard(&self, guard: &Guard<'_, AnyAssessor>, item: &ItemOf<Self>) -> Option<HarmPrediction> {
        let mut report = guard_report(guard, &whole(&item.input));
        let last = report.turns.pop()?;
        if is_unevaluated(&report, Some(last.index)) {
            return None;
        }
        let Some(TurnReportScores::Assistant { harm, .. }) = last.scores else { return None };
        // Of a fine-tuned model, what it was trained for and nothing of the model beside it.
        let speaks = |task| guard.assessor.was_trained_for(task);
        let value = |name: &str| last.values.get(name).map(|value| f64::from(*value));
        let beaver = last.values.iter().filter(|(name, _)| name.starts_with(Task::BeaverHarms.wire()));
        let highest = beaver.filter_map(|(_, p)| Probability::new(*p)).reduce(Probability::max);
        Some(HarmPrediction {
            unsafe_: highest,
            categories: speaks(Task::Harms).then_some(harm.probabilities),
            severity: speaks(Task::Severity).then_some(harm.severity),
            reward: value(Task::Reward.wire()),
            cost: value(Task::Cost.wire()),
        })
    }

    fn prompt(&self) -> Prompt {
        let categories = definitions(Category::ALL.iter().copied());
        Prompt::of("harm", &[("definitions", categories.trim_end())])
    }

    fn question(&self, prompt: &Prompt, item: &ItemOf<Self>, _part: usize, examples: &str) -> String {
        let HarmInput { prompt: asked, response } = &item.input;
        prompt.render(&[("examples", examples), ("prompt", asked), ("response", response)])
    }

    fn example(&self, item: &ItemOf<Self>) -> String {
        let HarmInput { prompt, response } = &item.input;
        format!("Question: {prompt}\n\nAnswer: {response}\n\nReply: {}\n\n", answer_of(&item.gold))
    }

    fn shot_kind(&self, item: &ItemOf<Self>) -> usize {
        usize::from(item.gold.is_safe == Some(false))
    }

    fn schema(&self) -> Option<Value> {
        let names: Vec<&str> = Category::ALL.iter().map(|category| category.wire()).collect();
        let severities: Vec<&str> = Severity::ALL.iter().map(|severity| severity.wire()).collect();
        Some(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["unsafe", "categories", "severity"],
            "properties": {
                "unsafe": {"type": "number", "minimum": 0, "maximum": 1},
                "categories": {"type": "array", "items": {"type": "string", "enum": names}},
                "severity": {"type": "string", "enum": severities},
            },
        }))
    }

    fn read_answer(&self, text: &str) -> Option<Value> {
        let answer = extract(text, Shape::Object).ok()?;
        let unsafe_ = answer.get("unsafe").and_then(Value::as_f64)?;
        let severity = answer.get("severity").and_then(Value::as_str);
        let prediction = HarmPrediction {
            unsafe_: Some(Probability::new(unsafe_ as f32)?),
            categories: answer.get("categories").and_then(Value::as_array).map(|names| certain(names)),
            severity: severity.and_then(|name| Severity::from_wire(name).ok()),
            ..HarmPrediction::default()
        };
        serde_json::to_value(prediction).ok()
    }

    fn assemble(&self, _item: &ItemOf<Self>, parts: Vec<Result<Value, Outcome>>) -> Option<HarmPrediction> {
        serde_json::from_value(parts.into_iter().next()?.ok()?).ok()
    }

    fn shown(&self, item: &ItemOf<Self>) -> String {
        dialogue_lines(&whole(&item.input).turns)
    }

    fn verdicts(&self, item: &ItemOf<Self>, prediction: &HarmPrediction) -> [String; 2] {
        let said = serde_json::to_value(prediction).unwrap_or_default();
        let named = ["unsafe", "severity", "cost", "reward"];
        let kept = named.into_iter().filter_map(|name| Some((name.to_owned(), said.get(name)?.clone())));
        [answer_of(&item.gold).to_string(), Value::Object(kept.collect()).to_string()]
    }
}

/// Probability 1 for each category that is named, 0 for the others.
fn certain(names: &[Value]) -> Scores<Category> {
    Scores::from_fn(|category: Category| {
        let is_named = names.iter().any(|name| name.as_str() == Some(category.wire()));
        if is_named { Probability::ONE } else { Probability::ZERO }
    })
}
