//! `POST /predict` as Hugging Face's text-embeddings-inference answers it for a
//! classifier, and the `GET /info` that its clients ask first.
//!
//! `/predict` scores one text by the distress signals, and a pair by the reply classes:
//! the first text is what the person says, the second the reply. Another detector has
//! a path of its own, `/adapters/tei/DETECTOR/predict`. Labels come with the most
//! probable first. Each list has the label `not_evaluated`, with score 1 where
//! something was not evaluated and 0 where everything was.
//!
//! TEI gives the softmax of a model's logits; our probabilities are calibrated and,
//! but for the reply classes, independent of one another. With `raw_scores` each score
//! is the logit of the probability, so a sigmoid gives it back.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::detector::{Detector, Found};
use super::fms::unknown_detector;
use super::{Asked, MOST_TEXTS, check_texts};
use crate::http::endpoint::{Endpoint, Parameter, Place, Values};
use crate::http::{ErrorShape, Failure, LARGEST_BODY, Shared, json_response};
use crate::service::{Call, Decided, Numbered, Service, ServiceError};

const SHAPE: &str = "{\"inputs\": a text, [a text, its reply], or a list of such lists}";

/// What is to be scored.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PredictRequest {
    inputs: Inputs,
    /// Whether scores shall be logits.
    #[serde(default)]
    raw_scores: bool,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Inputs {
    /// One text.
    Text(String),
    /// One text, or what a person says and the reply to it.
    Sequence(#[schemars(length(min = 1, max = 2))] Vec<String>),
    /// Several of these.
    Batch(#[schemars(schema_with = "batch")] Vec<Vec<String>>),
}

fn batch(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let text = generator.subschema_for::<String>();
    let sequence = schemars::json_schema!({"type": "array", "items": text, "minItems": 1, "maxItems": 2});
    schemars::json_schema!({"type": "array", "items": sequence, "minItems": 1, "maxItems": 256})
}

/// A label with its score.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Prediction {
    score: f32,
    label: String,
}

/// The labels of one input, or of each.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum PredictAnswer {
    /// Of one.
    Single(Vec<Prediction>),
    /// Of each.
    Batch(Vec<Vec<Prediction>>),
}

impl Numbered for PredictAnswer {
    /// The peer's shape has no room for them.
    fn number(&mut self, _: &[u64]) {}
}

/// What is served.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Info {
    model_id: String,
    model_sha: String,
    model_dtype: &'static str,
    model_type: ModelType,
    max_client_batch_size: usize,
    payload_limit: usize,
    auto_truncate: bool,
    version: &'static str,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ModelType {
    Classifier {
        /// The labels that `/predict` gives for one text, by their place.
        id2label: std::collections::BTreeMap<usize, String>,
    },
}

/// The requests of this peer.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let detector = Parameter {
        name: "detector",
        place: Place::Path,
        description: "Which detector.",
        values: Values::These(Detector::ALL.map(Detector::name).to_vec()),
    };
    let example = json!({"inputs": "i dont see a way out anymore", "raw_scores": false});
    vec![
        Endpoint::post("/predict", predict)
            .tagged("text-embeddings-inference")
            .named("predict", "Labels of a text: signals of a person's, classes of a reply")
            .takes::<PredictRequest>(example.clone())
            .answers::<PredictAnswer>()
            .fails_as(ErrorShape::Inference, &[]),
        Endpoint::post("/adapters/tei/{detector}/predict", predict)
            .tagged("text-embeddings-inference")
            .named("predictAs", "Labels of a text by one detector")
            .with(detector)
            .takes::<PredictRequest>(example)
            .answers::<PredictAnswer>()
            .fails_as(ErrorShape::Inference, &["unknown_detector", "not_found"]),
        Endpoint::get("/info", info)
            .tagged("text-embeddings-inference")
            .named("info", "Which model is served")
            .without_key()
            .answers::<Info>(),
    ]
}

async fn predict(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: SHAPE, errors: ErrorShape::Inference };
    asked.answer(detector, score).await
}

async fn info(State(shared): State<Arc<Shared>>) -> Response {
    use mindrail_core::taxonomy::{Signal, Taxonomy as _};
    let model = shared.service.judge_of().model();
    let labels = ["risk"].into_iter().chain(Signal::ALL.iter().map(|signal| signal.wire()));
    let labels = labels.chain([super::detector::NOT_EVALUATED]).map(str::to_owned);
    let info = Info {
        model_id: model.name.clone(),
        model_sha: model.sha256.clone(),
        model_dtype: "float32",
        model_type: ModelType::Classifier { id2label: labels.enumerate().collect() },
        max_client_batch_size: MOST_TEXTS,
        payload_limit: LARGEST_BODY,
        auto_truncate: true,
        version: env!("CARGO_PKG_VERSION"),
    };
    json_response(serde_json::to_string(&info).unwrap_or_default())
}

/// The detector of the path; `None` where each input has the one that fits it.
fn detector<R>(parts: &Parts, _: &R) -> Result<Option<Detector>, Failure> {
    let Some(rest) = parts.uri.path().strip_prefix("/adapters/tei/") else { return Ok(None) };
    let name = rest.split('/').next().unwrap_or_default();
    Detector::of_name(name).map(Some).ok_or_else(unknown_detector)
}

fn score(
    service: &Service,
    request: &PredictRequest,
    detector: Option<Detector>,
    call: Call<'_>,
) -> Result<Decided<PredictAnswer>, ServiceError> {
    let (sequences, is_batch) = match request.inputs.clone() {
        Inputs::Text(text) => (vec![vec![text]], false),
        Inputs::Sequence(sequence) => (vec![sequence], false),
        Inputs::Batch(batch) => (batch, true),
    };
    check_texts("inputs", sequences.len())?;
    let found = sequences.iter().map(|sequence| find(service, sequence, detector, call));
    let found = Decided::all(found.collect::<Result<Vec<_>, _>>()?);
    Ok(found.map(|found| {
        let mut all = found.iter().map(|found| predictions(found, request.raw_scores));
        if is_batch {
            PredictAnswer::Batch(all.collect())
        } else {
            PredictAnswer::Single(all.next().unwrap_or_default())
        }
    }))
}

fn find(
    service: &Service,
    sequence: &[String],
    detector: Option<Detector>,
    call: Call<'_>,
) -> Result<Decided<Found>, ServiceError> {
    match sequence {
        [text] => {
            let detector = detector.unwrap_or(Detector::Distress);
            let decided = detector.texts(service, std::slice::from_ref(text), call)?;
            Ok(decided.map(|mut found| found.remove(0)))
        }
        [person, reply] => detector.unwrap_or(Detector::ReplyClass).pair(service, (person, reply), call),
        _ => Err(ServiceError::invalid("inputs", format!("{} texts", sequence.len()), "one, or a pair")),
    }
}

/// Labels with their scores, the most probable first.
fn predictions(found: &Found, raw_scores: bool) -> Vec<Prediction> {
    let mut scores = found.scores();
    scores.sort_by(|(_, a), (_, b)| b.get().total_cmp(&a.get()));
    let written = |(label, score): (String, mindrail_core::probability::Probability)| Prediction {
        score: if raw_scores { score.logit() } else { score.get() },
        label,
    };
    scores.into_iter().map(written).collect()
}
