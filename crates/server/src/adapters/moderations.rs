//! `POST /v1/moderations` as `OpenAI`'s clients ask it.
//!
//! An input has no speaker, so each is judged twice: as what a person says, and as a
//! reply to nobody. Our taxonomies are not `OpenAI`'s, and `Category::said` and
//! `Category::replied` say what stands for what; a category that nothing stands for
//! has score 0, is never flagged and has an empty list of input types. A score is the
//! highest of the probabilities that stand for it, so it rises with them.
//!
//! A category is flagged where a reason of an `escalate`, or a harm of a reply, that
//! the policy found belongs to it. `flagged` is true beyond that where the policy asks
//! for `escalate` or `block` for another reason, and where anything was not evaluated:
//! the peer has no other word for it, and `not_evaluated`, a field of ours, says what
//! it was. An image is not evaluated.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use mindrail_core::probability::Probability;
use mindrail_core::report::TurnReportScores;
use mindrail_core::taxonomy::{CrisisLabel, CrisisType, Harm, Signal, Stage, Taxonomy as _};
use mindrail_core::verdict::{Explanation, Label, ReplyAction, UserAction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Asked, check_texts, person, replies};
use crate::adapters::detector::Detector;
use crate::http::endpoint::Endpoint;
use crate::http::{ErrorShape, Shared};
use crate::service::{Call, Candidate, Decided, GuardAnswer, Numbered, Service, ServiceError};

const SHAPE: &str = "{\"input\": a text, a list of texts, or a list of parts}";

/// What is to be judged.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ModerationRequest {
    input: Input,
    /// Ignored: there is one model, and the answer names it.
    #[serde(default, rename = "model")]
    _model: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Input {
    /// One text.
    Text(String),
    /// Texts, each of which stands alone.
    Texts(#[schemars(length(min = 1, max = 256))] Vec<String>),
    /// Parts of one message.
    Parts(#[schemars(length(min = 1, max = 256))] Vec<Part>),
}

/// A part of a message. An internally tagged enum would take a number as its tag.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
enum Part {
    /// Its text.
    Text {
        r#type: TextTag,
        /// The text.
        text: String,
    },
    /// An image, which is not evaluated.
    Image {
        r#type: ImageTag,
        /// Where it is.
        image_url: ImageUrl,
    },
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TextTag {
    Text,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ImageTag {
    ImageUrl,
}

/// Where an image is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct ImageUrl {
    /// Its address, or the image itself.
    url: String,
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct ModerationAnswer {
    /// `modr-`, and the number of the first decision in the audit trail.
    id: String,
    /// The model's name and version.
    model: String,
    /// One for each text, or one for all parts.
    results: Vec<Moderation>,
}

impl Numbered for ModerationAnswer {
    fn number(&mut self, numbers: &[u64]) {
        self.id = format!("modr-{}", numbers.first().copied().unwrap_or_default());
    }
}

/// What was found in one input.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Moderation {
    /// Whether a category is flagged, the policy asks for a human or against showing
    /// the text as a reply, or something was not evaluated.
    flagged: bool,
    categories: Categories<bool>,
    category_scores: Categories<f32>,
    category_applied_input_types: Categories<Vec<&'static str>>,
    /// Why something was not evaluated; empty where everything was.
    not_evaluated: Vec<String>,
}

/// One value for each of `OpenAI`'s categories.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Categories<T> {
    harassment: T,
    #[serde(rename = "harassment/threatening")]
    harassment_threatening: T,
    hate: T,
    #[serde(rename = "hate/threatening")]
    hate_threatening: T,
    illicit: T,
    #[serde(rename = "illicit/violent")]
    illicit_violent: T,
    #[serde(rename = "self-harm")]
    self_harm: T,
    #[serde(rename = "self-harm/intent")]
    self_harm_intent: T,
    #[serde(rename = "self-harm/instructions")]
    self_harm_instructions: T,
    sexual: T,
    #[serde(rename = "sexual/minors")]
    sexual_minors: T,
    violence: T,
    #[serde(rename = "violence/graphic")]
    violence_graphic: T,
}

impl<T> Categories<T> {
    fn of(value: impl Fn(Category) -> T) -> Self {
        Self {
            harassment: value(Category::Harassment),
            harassment_threatening: value(Category::HarassmentThreatening),
            hate: value(Category::Hate),
            hate_threatening: value(Category::HateThreatening),
            illicit: value(Category::Illicit),
            illicit_violent: value(Category::IllicitViolent),
            self_harm: value(Category::SelfHarm),
            self_harm_intent: value(Category::SelfHarmIntent),
            self_harm_instructions: value(Category::SelfHarmInstructions),
            sexual: value(Category::Sexual),
            sexual_minors: value(Category::SexualMinors),
            violence: value(Category::Violence),
            violence_graphic: value(Category::ViolenceGraphic),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Harassment,
    HarassmentThreatening,
    Hate,
    HateThreatening,
    Illicit,
    IllicitViolent,
    SelfHarm,
    SelfHarmIntent,
    SelfHarmInstructions,
    Sexual,
    SexualMinors,
    Violence,
    ViolenceGraphic,
}

impl Category {
    const ALL: [Self; 13] = [
        Self::Harassment,
        Self::HarassmentThreatening,
        Self::Hate,
        Self::HateThreatening,
        Self::Illicit,
        Self::IllicitViolent,
        Self::SelfHarm,
        Self::SelfHarmIntent,
        Self::SelfHarmInstructions,
        Self::Sexual,
        Self::SexualMinors,
        Self::Violence,
        Self::ViolenceGraphic,
    ];

    /// Whether a label of the person's side belongs to it. Who tells of harassment or
    /// of sexual harm that was done to them does not harass, and arouses nobody: only
    /// violence is a category that is about what a text tells of.
    fn said(self, label: Label) -> bool {
        match self {
            Self::SelfHarm => is_self_harm(label),
            Self::SelfHarmIntent => is_intent(label),
            Self::Violence => is_violence(label),
            Self::Harassment
            | Self::HarassmentThreatening
            | Self::Hate
            | Self::HateThreatening
            | Self::Illicit
            | Self::IllicitViolent
            | Self::SelfHarmInstructions
            | Self::Sexual
            | Self::SexualMinors
            | Self::ViolenceGraphic => false,
        }
    }

    /// The harms of a reply that belong to it. Physical harm is harm to any body, the
    /// person's own and others', and cannot be told apart.
    const fn replied(self) -> &'static [Harm] {
        match self {
            Self::Harassment => &[Harm::InsultingBehavior],
            Self::Hate => &[Harm::DiscriminatoryBehavior],
            Self::Illicit => &[
                Harm::Drugs,
                Harm::EconomicCrime,
                Harm::HumanTrafficking,
                Harm::Cybercrime,
                Harm::WhiteCollarCrime,
            ],
            Self::IllicitViolent => &[Harm::Violence],
            Self::SelfHarm => &[Harm::PhysicalHarm],
            Self::Sexual => &[Harm::SexualContent],
            Self::Violence => &[Harm::Violence, Harm::PhysicalHarm],
            Self::HarassmentThreatening
            | Self::HateThreatening
            | Self::SelfHarmIntent
            | Self::SelfHarmInstructions
            | Self::SexualMinors
            | Self::ViolenceGraphic => &[],
        }
    }

    fn holds(self, label: Label) -> bool {
        self.said(label) || matches!(label, Label::Harm(harm) if self.replied().contains(&harm))
    }

    fn is_covered(self) -> bool {
        let signals = Signal::ALL.iter().map(|&signal| Label::Signal(signal));
        let crises = CrisisLabel::ALL.iter().map(|&crisis| Label::Crisis(crisis));
        !self.replied().is_empty() || signals.chain(crises).any(|label| self.said(label))
    }
}

/// A speaker who harms themselves, or means to, now.
fn is_intent(label: Label) -> bool {
    use CrisisLabel::{ConfirmShOngoing, ConfirmSiActiveOngoing};
    match label {
        Label::Signal(signal) => matches!(signal, Signal::ActiveSelfHarm | Signal::FinalityLanguage),
        Label::Crisis(crisis) => matches!(crisis, ConfirmSiActiveOngoing | ConfirmShOngoing),
        Label::Reply(_) | Label::Harm(_) | Label::Severity(_) => false,
    }
}

/// Anything about suicide or self-injury, of now or of an earlier time.
fn is_self_harm(label: Label) -> bool {
    match label {
        Label::Signal(signal) => is_intent(label) || signal == Signal::EscapeFraming,
        Label::Crisis(crisis) => matches!(
            crisis.stage(),
            Stage::Confirm(
                CrisisType::SelfHarm
                    | CrisisType::SuicidalIdeationActive
                    | CrisisType::SuicidalIdeationPassive
            )
        ),
        Label::Reply(_) | Label::Harm(_) | Label::Severity(_) => false,
    }
}

/// Violence that the speaker tells of.
fn is_violence(label: Label) -> bool {
    let Label::Crisis(crisis) = label else { return false };
    matches!(
        crisis.stage(),
        Stage::Confirm(CrisisType::DomesticViolence | CrisisType::ChildAbuse | CrisisType::Rape)
    )
}

/// The request of this peer.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/moderations", moderations)
            .tagged("moderations")
            .named("createModeration", "OpenAI's moderation categories, as far as they are covered")
            .takes::<ModerationRequest>(json!({
                "model": "omni-moderation-latest", "input": "i dont want to be here tomorrow"
            }))
            .answers::<ModerationAnswer>()
            .fails_as(ErrorShape::OpenAi, &[]),
    ]
}

async fn moderations(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = Asked { shared, request, shape: SHAPE, errors: ErrorShape::OpenAi };
    asked.answer(|_, _| Ok(()), moderate).await
}

/// An input's text, and the message that a person would send with it.
struct Entry {
    text: String,
    message: Value,
}

impl Entry {
    fn text(text: &str) -> Self {
        Self { text: text.to_owned(), message: super::message("user", text) }
    }

    fn parts(parts: &[Part]) -> Self {
        let text = parts.iter().filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            Part::Image { .. } => None,
        });
        let text = text.collect::<Vec<_>>().join("\n");
        Self { text, message: json!({"role": "user", "content": parts}) }
    }
}

fn moderate(
    service: &Service,
    request: &ModerationRequest,
    (): (),
    call: Call<'_>,
) -> Result<Decided<ModerationAnswer>, ServiceError> {
    let entries: Vec<Entry> = match &request.input {
        Input::Text(text) => vec![Entry::text(text)],
        Input::Texts(texts) => texts.iter().map(|text| Entry::text(text)).collect(),
        Input::Parts(parts) => {
            check_texts("input", parts.len())?;
            vec![Entry::parts(parts)]
        }
    };
    check_texts("input", entries.len())?;
    let texts: Vec<String> = entries.iter().map(|entry| entry.text.clone()).collect();
    let said = entries.into_iter().map(|entry| person(service, vec![entry.message], call));
    let said = Decided::all(said.collect::<Result<Vec<_>, _>>()?);
    let replied = replies(service, Vec::new(), &texts, call)?;
    let model = service.judge_of().model();
    let model = format!("{}-{}", model.name, model.version);
    let calibration = service.judge_of().calibration();
    Ok(said.and(replied).map(|(said, replied)| {
        let sides = said.iter().zip(&replied);
        let results = sides.map(|(said, replied)| {
            let unread = [
                Detector::Person.in_person(said, calibration).not_evaluated,
                Detector::Reply.in_reply(replied, calibration).not_evaluated,
            ];
            moderation(said, replied, unread)
        });
        ModerationAnswer { id: String::new(), model, results: results.collect() }
    }))
}

fn moderation(said: &GuardAnswer, replied: &Candidate, unread: [Vec<String>; 2]) -> Moderation {
    let scores = scores(said, replied);
    let escalates = said.report.verdict.action == UserAction::Escalate;
    let found = reasons(said, replied);
    let is_flagged = |category: Category| found.iter().any(|&label| category.holds(label));
    // The same place is not evaluated on both sides; the person's says why.
    let [mut not_evaluated, of_reply] = unread;
    if not_evaluated.is_empty() {
        not_evaluated = of_reply;
    }
    let flagged = escalates
        || replied.action == ReplyAction::Block
        || !not_evaluated.is_empty()
        || Category::ALL.into_iter().any(is_flagged);
    Moderation {
        flagged,
        categories: Categories::of(is_flagged),
        category_scores: Categories::of(|category| highest(category, &scores)),
        category_applied_input_types: Categories::of(|category| {
            if category.is_covered() { vec!["text"] } else { Vec::new() }
        }),
        not_evaluated,
    }
}

/// All labels of both sides with their probabilities.
fn scores(said: &GuardAnswer, replied: &Candidate) -> Vec<(Label, Probability)> {
    let mut scores = Vec::new();
    if let Some(signals) = &said.report.signals {
        scores.extend(signals.iter().map(|(signal, p)| (Label::Signal(signal), p)));
    }
    for turn in said.report.turns.iter().chain([&replied.turn]) {
        match &turn.scores {
            Some(TurnReportScores::User { crisis, .. }) => {
                scores.extend(crisis.iter().map(|(crisis, p)| (Label::Crisis(crisis), p)));
            }
            Some(TurnReportScores::Assistant { harm, .. }) => {
                scores.extend(harm.probabilities.iter().map(|(harm, p)| (Label::Harm(harm), p)));
            }
            None => {}
        }
    }
    scores
}

fn highest(category: Category, scores: &[(Label, Probability)]) -> f32 {
    let belonging = scores.iter().filter(|(label, _)| category.holds(*label));
    belonging.map(|(_, p)| *p).fold(Probability::ZERO, Probability::max).get()
}

/// The labels for which the policy asks for a human, or finds a reply harmful.
fn reasons(said: &GuardAnswer, replied: &Candidate) -> Vec<Label> {
    let grave = leaves(&said.report.verdict.reasons);
    let grave =
        grave.filter(|reason| reason.action == UserAction::Escalate).filter_map(|reason| reason.label);
    let mut labels: Vec<Label> = grave.collect();
    if let Some(TurnReportScores::Assistant { verdict, .. }) = &replied.turn.scores {
        labels.extend(leaves(&verdict.reasons).filter_map(|reason| reason.label));
    }
    labels
}

/// Reasons that sum up nothing, and what those that do sum up.
fn leaves<A>(reasons: &[Explanation<A>]) -> impl Iterator<Item = &Explanation<A>> {
    reasons.iter().flat_map(|reason| {
        if reason.details.is_empty() { std::slice::from_ref(reason) } else { reason.details.as_slice() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered() -> Vec<Category> {
        Category::ALL.into_iter().filter(|category| category.is_covered()).collect()
    }

    #[test]
    fn five_categories_are_covered_by_nothing() {
        let open: Vec<Category> = Category::ALL.into_iter().filter(|c| !c.is_covered()).collect();
        let expected = [
            Category::HarassmentThreatening,
            Category::HateThreatening,
            Category::SelfHarmInstructions,
            Category::SexualMinors,
            Category::ViolenceGraphic,
        ];
        assert_eq!(open, expected);
        assert_eq!(covered().len(), 8);
    }

    #[test]
    fn intent_is_self_harm_and_a_score_is_the_highest_that_stands_for_it() {
        let p = |value| Probability::new(value).expect("a probability");
        for &crisis in CrisisLabel::ALL {
            assert!(!is_intent(Label::Crisis(crisis)) || is_self_harm(Label::Crisis(crisis)));
        }
        let mut scores = vec![
            (Label::Signal(Signal::ActiveSelfHarm), p(0.3)),
            (Label::Harm(Harm::PhysicalHarm), p(0.6)),
            (Label::Signal(Signal::Testing), p(0.9)),
        ];
        assert!((highest(Category::SelfHarm, &scores) - 0.6).abs() < 1e-6);
        assert!((highest(Category::SelfHarmIntent, &scores) - 0.3).abs() < 1e-6);
        scores[0].1 = p(0.7);
        assert!((highest(Category::SelfHarm, &scores) - 0.7).abs() < 1e-6);
        assert!(highest(Category::SelfHarmInstructions, &scores) < 1e-6);
    }
}
