//! `POST /classify` as vLLM answers it for a classifier; NeMo Guardrails asks it with
//! `engine: vllm`.
//!
//! `model` names the detector; left out, it is `mindrail`, the policy's verdict on the
//! person. `probs` are the scores in the detector's order with, at the end, that of
//! `not_evaluated`: 1 where something was not evaluated. `label` is the one to go by:
//! the most probable grave label that reaches its threshold, else `not_evaluated` where
//! that holds, else the most probable. For a verdict `probs` are 1 and 0.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use mindrail_core::probability::Probability;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::detector::{Detector, Found};
use super::fms::unknown_detector;
use super::{Asked, check_texts};
use crate::http::endpoint::Endpoint;
use crate::http::{ErrorShape, Failure, Shared};
use crate::service::{Call, Decided, Numbered, Service, ServiceError};

const SHAPE: &str = "{\"model\": a detector, \"input\": a text or a list of texts}";

/// What is to be classified.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ClassifyRequest {
    /// The detector.
    #[serde(default)]
    model: Option<String>,
    input: Texts,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Texts {
    /// One.
    One(String),
    /// Several.
    Several(#[schemars(length(min = 1, max = 256))] Vec<String>),
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct ClassifyAnswer {
    /// `classify-`, and the number of the first decision in the audit trail.
    id: String,
    object: &'static str,
    /// Seconds since 1970.
    created: u64,
    /// The detector.
    model: &'static str,
    /// One for each text.
    data: Vec<Classified>,
    usage: Usage,
}

impl Numbered for ClassifyAnswer {
    fn number(&mut self, numbers: &[u64]) {
        self.id = format!("classify-{}", numbers.first().copied().unwrap_or_default());
    }
}

/// What was found in one text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Classified {
    /// The text's place, from 0.
    index: usize,
    /// The label to go by.
    label: String,
    /// The scores of all labels, and last of `not_evaluated`.
    probs: Vec<f32>,
    /// How many these are.
    num_classes: usize,
}

/// Tokens, which are not counted here.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the peer's")]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
    completion_tokens: u64,
}

/// The request of this peer.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/classify", classify)
            .tagged("vllm")
            .named("classify", "The label of each text by one detector")
            .takes::<ClassifyRequest>(json!({"model": "mindrail", "input": ["hello there"]}))
            .answers::<ClassifyAnswer>()
            .fails_as(ErrorShape::OpenAi, &["unknown_detector"]),
    ]
}

async fn classify(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: SHAPE, errors: ErrorShape::OpenAi };
    asked.answer(detector, in_texts).await
}

fn detector(_: &Parts, request: &ClassifyRequest) -> Result<Detector, Failure> {
    let Some(name) = &request.model else { return Ok(Detector::Person) };
    Detector::of_name(name).ok_or_else(unknown_detector)
}

fn in_texts(
    service: &Service,
    request: &ClassifyRequest,
    detector: Detector,
    call: Call<'_>,
) -> Result<Decided<ClassifyAnswer>, ServiceError> {
    let texts = match &request.input {
        Texts::One(text) => std::slice::from_ref(text),
        Texts::Several(texts) => texts,
    };
    check_texts("input", texts.len())?;
    let decided = detector.texts(service, texts, call)?;
    Ok(decided.map(|found| ClassifyAnswer {
        id: String::new(),
        object: "list",
        created: call.at_ms / 1_000,
        model: detector.name(),
        data: found.iter().enumerate().map(classified).collect(),
        usage: Usage { prompt_tokens: 0, total_tokens: 0, completion_tokens: 0 },
    }))
}

fn classified((index, found): (usize, &Found)) -> Classified {
    let probs: Vec<f32> = found.scores().into_iter().map(|(_, p): (_, Probability)| p.get()).collect();
    Classified { index, label: found.name().to_owned(), num_classes: probs.len(), probs }
}
