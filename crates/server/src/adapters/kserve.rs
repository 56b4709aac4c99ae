//! KServe's predict protocol, version 1, which NeMo Guardrails asks with
//! `engine: kserve`: `POST /v1/models/DETECTOR:predict`.
//!
//! A prediction maps each label to its score. The label `not_evaluated` is always
//! there: 1 where something was not evaluated, 0 where everything was.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::detector::{Detector, Found};
use super::fms::unknown_detector;
use super::{Asked, check_texts};
use crate::http::endpoint::{Endpoint, Parameter, Place, Values};
use crate::http::{ErrorShape, Failure, Shared};
use crate::service::{Call, Decided, Numbered, Service, ServiceError};

const SHAPE: &str = "{\"instances\": [a text, ...]}";

/// What is to be scored.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct InstancesRequest {
    /// Texts, each of which stands alone.
    #[schemars(length(min = 1, max = 256))]
    instances: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct PredictionsAnswer {
    /// The score of each label, for each text.
    predictions: Vec<BTreeMap<String, f32>>,
}

impl Numbered for PredictionsAnswer {
    /// The peer's shape has no room for them.
    fn number(&mut self, _: &[u64]) {}
}

/// The names in the path: a model and its verb are one segment.
const NAMES: [&str; 6] = [
    "mindrail:predict",
    "mindrail-reply:predict",
    "distress:predict",
    "crisis:predict",
    "reply:predict",
    "harm:predict",
];

/// The request of this peer.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let model = Parameter {
        name: "model",
        place: Place::Path,
        description: "Which detector, and what it shall do.",
        values: Values::These(NAMES.to_vec()),
    };
    vec![
        Endpoint::post("/v1/models/{*model}", predict)
            .tagged("kserve")
            .named("predictInstances", "The scores of all labels, for each text, by one detector")
            .with(model)
            .takes::<InstancesRequest>(json!({"instances": ["hello there"]}))
            .answers::<PredictionsAnswer>()
            .fails_as(ErrorShape::Inference, &["unknown_detector", "not_found"]),
    ]
}

async fn predict(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: SHAPE, errors: ErrorShape::Inference };
    asked.answer(detector, in_instances).await
}

fn detector<R>(parts: &Parts, _: &R) -> Result<Detector, Failure> {
    let path = parts.uri.path().strip_prefix("/v1/models/").unwrap_or_default().replace("%3A", ":");
    let name = path.strip_suffix(":predict").unwrap_or_default();
    Detector::of_name(name).ok_or_else(unknown_detector)
}

fn in_instances(
    service: &Service,
    request: &InstancesRequest,
    detector: Detector,
    call: Call<'_>,
) -> Result<Decided<PredictionsAnswer>, ServiceError> {
    check_texts("instances", request.instances.len())?;
    let decided = detector.texts(service, &request.instances, call)?;
    let scores = |found: &Found| found.scores().into_iter().map(|(label, p)| (label, p.get())).collect();
    Ok(decided.map(|found| PredictionsAnswer { predictions: found.iter().map(scores).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_in_the_path_are_the_detectors() {
        assert_eq!(NAMES.map(str::to_owned), Detector::ALL.map(|one| format!("{}:predict", one.name())));
    }
}
