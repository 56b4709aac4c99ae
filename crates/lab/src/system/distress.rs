//! The distress protocol before the guard and in words.

use mindrail_core::guard::Guard;
use mindrail_core::taxonomy::{Scores, Signal, Taxonomy as _};
use mindrail_finetune::assessor::AnyAssessor;
use mindrail_finetune::rows::Task;
use mindrail_llm::extract::{Shape, extract};
use serde_json::{Value, json};

use super::guarded::{guard_report, is_unevaluated};
use super::{Benched, ItemOf, conversation_lines};
use crate::prompt::{Prompt, definitions};
use crate::protocol::Outcome;
use crate::protocol::distress::{Distress, DistressPrediction};

impl Benched for Distress {
    const TASKS: &'static [Task] = &[Task::Signals, Task::Risk];

    fn by_guard(&self, guard: &Guard<'_, AnyAssessor>, item: &ItemOf<Self>) -> Option<DistressPrediction> {
        let report = guard_report(guard, &item.input);
        if is_unevaluated(&report, None) {
            return None;
        }
        Some(DistressPrediction {
            risk: f64::from(report.risk?.get()),
            high_risk: report.high_risk,
            signals: report.signals,
        })
    }

    fn prompt(&self) -> Prompt {
        let signals = definitions(Signal::ALL.iter().copied());
        Prompt::of(Self::PROMPT, &[("definitions", signals.trim_end())])
    }

    fn question(&self, prompt: &Prompt, item: &ItemOf<Self>, _part: usize, examples: &str) -> String {
        let conversation = conversation_lines(&item.input);
        prompt.render(&[("examples", examples), ("conversation", &conversation)])
    }

    fn example(&self, item: &ItemOf<Self>) -> String {
        let risk = u8::from(item.gold.high_risk);
        let answer = match &item.gold.signals {
            None => json!({"risk": risk}),
            Some(signals) => {
                let shown = Signal::ALL.iter().zip(signals);
                let shown = shown.map(|(signal, &on)| (signal.wire().to_owned(), json!(u8::from(on))));
                json!({"risk": risk, "signals": Value::Object(shown.collect())})
            }
        };
        format!("Conversation:\n\n{}\n\nAnswer: {answer}\n\n", conversation_lines(&item.input))
    }

    fn shot_kind(&self, item: &ItemOf<Self>) -> usize {
        usize::from(item.gold.high_risk)
    }

    fn schema(&self) -> Option<Value> {
        let probability = json!({"type": "number", "minimum": 0, "maximum": 1});
        let signals: serde_json::Map<String, Value> =
            Signal::ALL.iter().map(|signal| (signal.wire().to_owned(), probability.clone())).collect();
        let required: Vec<&str> = Signal::ALL.iter().map(|signal| signal.wire()).collect();
        Some(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["risk", "signals"],
            "properties": {
                "risk": probability,
                "signals": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": required,
                    "properties": signals,
                },
            },
        }))
    }

    fn read_answer(&self, text: &str) -> Option<Value> {
        let answer = extract(text, Shape::Object).ok()?;
        let risk = answer.get("risk")?.as_f64().filter(|risk| (0.0..=1.0).contains(risk))?;
        // A signal that is missing or no probability makes the nine unusable, not the risk.
        let signals = answer.get("signals").cloned().unwrap_or(Value::Null);
        let read = serde_json::from_value::<Scores<Signal>>(signals).ok();
        serde_json::to_value(DistressPrediction { risk, high_risk: None, signals: read }).ok()
    }

    fn assemble(
        &self,
        _item: &ItemOf<Self>,
        parts: Vec<Result<Value, Outcome>>,
    ) -> Option<DistressPrediction> {
        serde_json::from_value(parts.into_iter().next()?.ok()?).ok()
    }

    fn shown(&self, item: &ItemOf<Self>) -> String {
        conversation_lines(&item.input)
    }

    fn verdicts(&self, item: &ItemOf<Self>, prediction: &DistressPrediction) -> [String; 2] {
        let name = |high_risk| if high_risk { "high risk" } else { "no high risk" };
        let called = name(self.calls(prediction));
        [name(item.gold.high_risk).to_owned(), format!("{called}, {:.2}", prediction.risk)]
    }
}

impl Distress {
    const PROMPT: &'static str = "distress";
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_answer_keeps_its_risk_when_its_signals_are_unusable() {
        let protocol = Distress::default();
        let answer = protocol.read_answer("Sure:\n```json\n{\"risk\": 0.7, \"signals\": {}}\n```").unwrap();
        assert_eq!(answer["risk"], json!(0.7));
        assert!(answer.get("signals").is_none_or(Value::is_null));
        for bad in ["I cannot say", "{\"risk\": 7}", "{\"signals\": {}}", "0.7"] {
            assert!(protocol.read_answer(bad).is_none(), "{bad}");
        }
    }
}
