//! The detector API of the FMS Guardrails Orchestrator, which TrustyAI's detectors
//! speak as well and NeMo Guardrails asks with `engine: fms`.
//!
//! The header `detector-id` names one of Mindrail's detectors; without it the policy's
//! verdict on the person is given. `detection_type` is the label, `detection` the
//! detector. A label is reported from `detector_params.threshold` on, and without that
//! from the model's own threshold on. A verdict is no probability: its score is 1, no
//! threshold hides it, and `allow` is no detection. What was not evaluated is a
//! detection of the type `not_evaluated` with score 1, whatever the threshold: an empty
//! list says that everything was looked at.
//!
//! In a conversation a detector of replies reads the last message; where that is not the
//! assistant's, nothing was evaluated.
//!
//! Offsets are in characters (Unicode code points), as the peer counts them; a text is
//! judged as a whole, so a detection spans all of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use mindrail_core::probability::Probability;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::detector::{Detector, Evidence, Found, NOT_EVALUATED, Reads, Weight};
use super::{Asked, check_texts, person, replies};
use crate::http::endpoint::{Endpoint, Parameter, Place, Values};
use crate::http::{ErrorShape, Failure, Shared, json_response};
use crate::service::{Call, Decided, MOST_TURNS, Numbered, Service, ServiceError, within};

const CONTENTS_SHAPE: &str = "{\"contents\": [a text, ...]}, and beside it detector_params with a threshold";
const CHAT_SHAPE: &str = "{\"messages\": [{\"role\": user, assistant or system, \"content\": a text}, ...]}";
const GENERATION_SHAPE: &str = "{\"prompt\": a text, \"generated_text\": a text}";

/// Texts, each of which stands alone.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ContentsRequest {
    /// The texts.
    #[schemars(length(min = 1, max = 256))]
    contents: Vec<String>,
    #[serde(default, deserialize_with = "params")]
    detector_params: Option<DetectorParams>,
}

/// A whole conversation.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ChatRequest {
    /// What was said, oldest first.
    #[schemars(schema_with = "crate::http::openapi::messages")]
    messages: Vec<Value>,
    #[serde(default, deserialize_with = "params")]
    detector_params: Option<DetectorParams>,
}

/// What a person says, and the reply to it.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct GenerationRequest {
    /// What the person says.
    prompt: String,
    /// The reply.
    generated_text: String,
    #[serde(default, deserialize_with = "params")]
    detector_params: Option<DetectorParams>,
}

/// How a detector shall be.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) struct DetectorParams {
    /// Labels below this are not reported. Verdicts always are.
    #[serde(default)]
    #[schemars(with = "Option<f32>", range(min = 0.0, max = 1.0))]
    threshold: Option<Probability>,
}

/// An object, and not the list of its fields that serde would take as well.
fn params<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DetectorParams>, D::Error> {
    let object = Option::<Map<String, Value>>::deserialize(deserializer)?;
    let read = object.map(|object| serde_json::from_value(Value::Object(object)));
    read.transpose().map_err(serde::de::Error::custom)
}

/// Something that was found in a text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct ContentDetection {
    /// Its first character.
    start: usize,
    /// The character after its last.
    end: usize,
    /// The characters between.
    text: String,
    #[serde(flatten)]
    detection: Detection,
}

/// Something that was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the peer's")]
pub(super) struct Detection {
    /// The detector.
    detection: &'static str,
    /// The label.
    detection_type: String,
    /// Its probability; 1 for a verdict, and for what was not evaluated.
    #[schemars(range(min = 0.0, max = 1.0))]
    score: f32,
    /// What a verdict rests on, or why something was not evaluated.
    evidence: Vec<Evidence>,
    metadata: Metadata,
}

/// What else there is to know of a detection.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Metadata {
    /// The decision's number in the audit trail.
    decision: u64,
    /// Why something was not evaluated; empty for other detections.
    reasons: Vec<String>,
}

/// What was found in each text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct ContentsAnswer(Vec<Vec<ContentDetection>>);

/// What was found in a conversation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct DetectionsAnswer(Vec<Detection>);

impl Numbered for ContentsAnswer {
    fn number(&mut self, numbers: &[u64]) {
        for (detections, &number) in self.0.iter_mut().zip(numbers) {
            detections.iter_mut().for_each(|found| found.detection.metadata.decision = number);
        }
    }
}

impl Numbered for DetectionsAnswer {
    fn number(&mut self, numbers: &[u64]) {
        let number = numbers.first().copied().unwrap_or_default();
        self.0.iter_mut().for_each(|detection| detection.metadata.decision = number);
    }
}

/// The requests of this peer.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let detector_id = Parameter {
        name: "detector-id",
        place: Place::Header,
        description: "Which detector; without it the policy's verdict on the person.",
        values: Values::These(Detector::ALL.map(Detector::name).to_vec()),
    };
    let post = |endpoint: Endpoint| {
        endpoint
            .tagged("detectors")
            .with(detector_id.clone())
            .fails_as(ErrorShape::Detector, &["unknown_detector"])
    };
    vec![
        post(Endpoint::post("/api/v1/text/contents", contents))
            .named("detectContents", "What a detector finds in texts, each on its own")
            .takes::<ContentsRequest>(json!({
                "contents": ["i dont see a way out anymore"], "detector_params": {"threshold": 0.5}
            }))
            .answers::<ContentsAnswer>(),
        post(Endpoint::post("/api/v1/text/chat", chat))
            .named("detectChat", "What a detector finds in a whole conversation")
            .takes::<ChatRequest>(json!({"messages": [
                {"role": "user", "content": "hey"},
                {"role": "assistant", "content": "Hi, how was your day?"},
            ]}))
            .answers::<DetectionsAnswer>(),
        post(Endpoint::post("/api/v1/text/generation", generation))
            .named("detectGeneration", "What a detector finds in a reply to what a person says")
            .takes::<GenerationRequest>(json!({
                "prompt": "i cant sleep anymore", "generated_text": "I am sorry. What keeps you awake?"
            }))
            .answers::<DetectionsAnswer>(),
        Endpoint::get("/health", || async { json_response("\"ok\"".to_owned()) })
            .tagged("detectors")
            .named("detectorHealth", "200 while the process runs")
            .without_key()
            .answers::<String>(),
    ]
}

async fn contents(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: CONTENTS_SHAPE, errors: ErrorShape::Detector };
    asked.answer(detector, in_contents).await
}

async fn chat(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: CHAT_SHAPE, errors: ErrorShape::Detector };
    asked.answer(detector, in_chat).await
}

async fn generation(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: GENERATION_SHAPE, errors: ErrorShape::Detector };
    asked.answer(detector, in_generation).await
}

fn detector<R>(parts: &Parts, _: &R) -> Result<Detector, Failure> {
    let Some(name) = parts.headers.get("detector-id") else { return Ok(Detector::Person) };
    let found = name.to_str().ok().and_then(Detector::of_name);
    found.ok_or_else(unknown_detector)
}

/// That there is no such detector, and which there are.
pub(super) fn unknown_detector() -> Failure {
    let message = format!("no such detector: expected one of {}", Detector::names());
    Failure::new(StatusCode::NOT_FOUND, "unknown_detector", message)
}

fn in_contents(
    service: &Service,
    request: &ContentsRequest,
    detector: Detector,
    call: Call<'_>,
) -> Result<Decided<ContentsAnswer>, ServiceError> {
    check_texts("contents", request.contents.len())?;
    let decided = detector.texts(service, &request.contents, call)?;
    let threshold = request.detector_params.and_then(|params| params.threshold);
    Ok(decided.map(|found| {
        let spanning = |(text, found): (&String, &Found)| {
            let end = text.chars().count();
            let detections = detections(detector, found, threshold).into_iter();
            detections
                .map(|detection| ContentDetection { start: 0, end, text: text.clone(), detection })
                .collect()
        };
        ContentsAnswer(request.contents.iter().zip(&found).map(spanning).collect())
    }))
}

fn in_chat(
    service: &Service,
    request: &ChatRequest,
    detector: Detector,
    call: Call<'_>,
) -> Result<Decided<DetectionsAnswer>, ServiceError> {
    let calibration = service.judge_of().calibration();
    within("messages", request.messages.len(), 1..=MOST_TURNS)?;
    let found = match detector.reads() {
        Reads::Person => person(service, request.messages.clone(), call)?
            .map(|answer| detector.in_person(&answer, calibration)),
        Reads::Reply => match last_reply(&request.messages) {
            Some((reply, before)) => replies(service, before.to_vec(), &[reply.to_owned()], call)?
                .map(|candidates| detector.in_reply(&candidates[0], calibration)),
            None => person(service, request.messages.clone(), call)?
                .map(|answer| Found::unread(answer.decision, NO_REPLY)),
        },
    };
    Ok(answer(detector, found, request.detector_params))
}

fn in_generation(
    service: &Service,
    request: &GenerationRequest,
    detector: Detector,
    call: Call<'_>,
) -> Result<Decided<DetectionsAnswer>, ServiceError> {
    let found = detector.pair(service, (&request.prompt, &request.generated_text), call)?;
    Ok(answer(detector, found, request.detector_params))
}

fn answer(
    detector: Detector,
    found: Decided<Found>,
    params: Option<DetectorParams>,
) -> Decided<DetectionsAnswer> {
    let threshold = params.and_then(|params| params.threshold);
    found.map(|found| DetectionsAnswer(detections(detector, &found, threshold)))
}

/// Why a detector of replies finds nothing in a conversation that another ends.
const NO_REPLY: &str = "the last message is no text of the assistant's";

/// The last message's text, where the assistant said it, and the messages before it.
fn last_reply(messages: &[Value]) -> Option<(&str, &[Value])> {
    let (last, before) = messages.split_last()?;
    let is_reply = last.get("role").and_then(Value::as_str) == Some("assistant");
    let text = last.get("content").and_then(Value::as_str)?;
    is_reply.then_some((text, before))
}

/// What is told of what was found: verdicts other than `allow`, labels that reach the
/// threshold, and what was not evaluated.
fn detections(detector: Detector, found: &Found, threshold: Option<Probability>) -> Vec<Detection> {
    let is_verdict = matches!(detector, Detector::Person | Detector::Reply);
    let reached = found.labels.iter().filter(|label| {
        let least = if is_verdict { label.threshold } else { threshold.unwrap_or(label.threshold) };
        label.weight != Weight::Safe && label.score >= least
    });
    let reached = reached.map(|label| Detection {
        detection: detector.name(),
        detection_type: label.name.clone(),
        score: label.score.get(),
        evidence: if is_verdict { found.reasons.clone() } else { Vec::new() },
        metadata: Metadata { decision: found.decision, reasons: Vec::new() },
    });
    let unread = (!found.not_evaluated.is_empty()).then(|| Detection {
        detection: detector.name(),
        detection_type: NOT_EVALUATED.to_owned(),
        score: 1.0,
        evidence: Vec::new(),
        metadata: Metadata { decision: found.decision, reasons: found.not_evaluated.clone() },
    });
    reached.chain(unread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::detector::Label;

    fn p(value: f32) -> Probability {
        Probability::new(value).expect("a probability")
    }

    fn found(score: f32, threshold: f32, unread: Vec<String>) -> Found {
        let label = Label {
            name: "hopelessness".to_owned(),
            score: p(score),
            threshold: p(threshold),
            weight: Weight::Grave,
        };
        Found { decision: 3, labels: vec![label], not_evaluated: unread, reasons: Vec::new() }
    }

    fn types(found: &Found, threshold: Option<f32>) -> Vec<String> {
        let detections = detections(Detector::Distress, found, threshold.map(p));
        detections.into_iter().map(|detection| detection.detection_type).collect()
    }

    #[test]
    fn a_callers_threshold_stands_before_the_models_own() {
        assert_eq!(types(&found(0.4, 0.5, vec![]), None), Vec::<String>::new());
        assert_eq!(types(&found(0.4, 0.5, vec![]), Some(0.4)), ["hopelessness"]);
        assert_eq!(types(&found(0.6, 0.5, vec![]), Some(0.7)), Vec::<String>::new());
    }

    #[test]
    fn no_threshold_hides_what_was_not_evaluated_or_a_verdict() {
        assert_eq!(types(&found(0.1, 0.5, vec!["truncated".to_owned()]), Some(1.0)), [NOT_EVALUATED]);
        let verdict = found(1.0, 1.0, vec![]);
        assert_eq!(detections(Detector::Person, &verdict, Some(p(1.0))).len(), 1);
    }

    #[test]
    fn the_last_message_is_a_reply_only_if_the_assistant_said_it_in_text() {
        let said = |role: &str, content: Value| vec![json!({"role": role, "content": content})];
        assert!(last_reply(&said("assistant", json!("hello"))).is_some());
        assert!(last_reply(&said("user", json!("hello"))).is_none());
        assert!(last_reply(&said("assistant", json!([]))).is_none());
        assert!(last_reply(&[]).is_none());
    }
}
