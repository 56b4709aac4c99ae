//! What peers call a detector or a model: one of Mindrail's heads, or the policy's
//! verdict, as a list of labels with scores. FMS, TEI, vLLM and KServe differ in how
//! they write that list down, and not in what stands in it.

use mindrail_core::assessment::NotEvaluatedReason;
use mindrail_core::calibration::Calibration;
use mindrail_core::probability::Probability;
use mindrail_core::report::{TurnReport, TurnReportScores};
use mindrail_core::taxonomy::{CrisisLabel, ReplyClass, Scores, Signal, Taxonomy};
use mindrail_core::verdict::{Explanation, ReplyAction, RuleName, UserAction};
use serde::Serialize;

use super::{message, person, replies, said};
use crate::service::{Call, Candidate, Decided, GuardAnswer, Service, ServiceError, wire};

/// The label of what was not evaluated, with score 1. Never to be read as "safe".
pub(super) const NOT_EVALUATED: &str = "not_evaluated";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detector {
    /// The policy's verdict on the person: `allow`, `support` or `escalate`.
    Person,
    /// The policy's verdict on a reply: `allow`, `revise` or `block`.
    Reply,
    /// Risk and the nine distress signals.
    Distress,
    /// The sixteen onset labels.
    Crisis,
    /// The eight reply classes.
    ReplyClass,
    /// The nineteen harms of a reply.
    Harm,
}

impl Detector {
    pub(super) const ALL: [Self; 6] =
        [Self::Person, Self::Reply, Self::Distress, Self::Crisis, Self::ReplyClass, Self::Harm];

    /// Its name in peers' requests.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Person => "mindrail",
            Self::Reply => "mindrail-reply",
            Self::Distress => "distress",
            Self::Crisis => "crisis",
            Self::ReplyClass => "reply",
            Self::Harm => "harm",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|detector| detector.name() == name)
    }

    /// All names, for whoever asked for another.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whose words it reads.
    pub(super) const fn reads(self) -> Reads {
        match self {
            Self::Person | Self::Distress | Self::Crisis => Reads::Person,
            Self::Reply | Self::ReplyClass | Self::Harm => Reads::Reply,
        }
    }

    /// What it finds in texts that stand alone, one list of labels for each.
    pub(super) fn texts(
        self,
        service: &Service,
        texts: &[String],
        call: Call<'_>,
    ) -> Result<Decided<Vec<Found>>, ServiceError> {
        let calibration = service.judge_of().calibration();
        match self.reads() {
            Reads::Person => {
                let decided = texts.iter().map(|text| said(service, text, call));
                let decided = Decided::all(decided.collect::<Result<Vec<_>, _>>()?);
                Ok(decided.map(|answers| {
                    answers.iter().map(|answer| self.in_person(answer, calibration)).collect()
                }))
            }
            Reads::Reply => {
                let decided = replies(service, Vec::new(), texts, call)?;
                Ok(decided.map(|candidates| self.in_replies(&candidates, calibration)))
            }
        }
    }

    /// What it finds in what a person says and the reply to it, on its side.
    pub(super) fn pair(
        self,
        service: &Service,
        (said_by_person, reply): (&str, &str),
        call: Call<'_>,
    ) -> Result<Decided<Found>, ServiceError> {
        let calibration = service.judge_of().calibration();
        if self.reads() == Reads::Person {
            let messages = vec![message("user", said_by_person), message("assistant", reply)];
            return Ok(person(service, messages, call)?.map(|answer| self.in_person(&answer, calibration)));
        }
        let decided = replies(service, vec![message("user", said_by_person)], &[reply.to_owned()], call)?;
        Ok(decided.map(|candidates| self.in_reply(&candidates[0], calibration)))
    }

    fn in_replies(self, candidates: &[Candidate], calibration: &Calibration) -> Vec<Found> {
        candidates.iter().map(|candidate| self.in_reply(candidate, calibration)).collect()
    }

    /// What it finds on the person's side.
    pub(super) fn in_person(self, answer: &GuardAnswer, calibration: &Calibration) -> Found {
        let report = &answer.report;
        let labels = match self {
            Self::Distress => distress(answer, calibration),
            Self::Crisis => crisis(&report.turns, calibration),
            Self::Person | Self::Reply | Self::ReplyClass | Self::Harm => {
                [UserAction::Allow, UserAction::Support, UserAction::Escalate]
                    .map(|action| verdict(&action, action == report.verdict.action, person_weight(action)))
                    .into()
            }
        };
        let unread = report.not_evaluated.iter().map(|entry| entry.reason);
        let unread = unread.filter(|reason| *reason != NotEvaluatedReason::SystemTurn);
        Found {
            decision: answer.decision,
            labels,
            not_evaluated: unread.map(|reason| wire(&reason)).collect(),
            reasons: reasons(&report.verdict.reasons),
        }
    }

    /// What it finds in a reply.
    pub(super) fn in_reply(self, candidate: &Candidate, calibration: &Calibration) -> Found {
        let Some(TurnReportScores::Assistant { reply, harm, verdict: judged }) = &candidate.turn.scores
        else {
            return Found::unread(candidate.decision, "the reply was not scored");
        };
        let labels = match self {
            Self::ReplyClass => labels(&reply.probabilities, &calibration.replies, |class| {
                if class == ReplyClass::SafeResponse { Weight::Safe } else { Weight::Grave }
            }),
            Self::Harm => labels(&harm.probabilities, &calibration.harms, |_| Weight::Grave),
            Self::Reply | Self::Person | Self::Distress | Self::Crisis => {
                [ReplyAction::Allow, ReplyAction::Revise, ReplyAction::Block]
                    .map(|action| verdict(&action, action == judged.action, reply_weight(action)))
                    .into()
            }
        };
        let is_unread = |reason: &&Explanation<ReplyAction>| reason.rule == RuleName::NotEvaluated;
        let unread = judged.reasons.iter().filter(is_unread).map(|reason| reason.statement.clone());
        Found {
            decision: candidate.decision,
            labels,
            not_evaluated: unread.collect(),
            reasons: reasons(&judged.reasons),
        }
    }
}

/// Whose words a detector reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Person,
    Reply,
}

/// What a label says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Safe,
    /// More than nothing, and no danger by itself.
    Mild,
    Grave,
}

/// A label with its score.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) name: String,
    /// A verdict's is 1 or 0: a decision is no probability.
    pub(super) score: Probability,
    /// Where it begins to count; a verdict's is 1.
    pub(super) threshold: Probability,
    pub(super) weight: Weight,
}

/// Why a verdict is what it is, in numbers.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct Evidence {
    /// The rule that speaks.
    name: String,
    /// The label that it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// That label's probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
}

/// What a detector found in one text or conversation.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The decision's number in the trail.
    pub(super) decision: u64,
    /// All labels, whether or not they reach their thresholds.
    pub(super) labels: Vec<Label>,
    /// Why something was not evaluated.
    pub(super) not_evaluated: Vec<String>,
    pub(super) reasons: Vec<Evidence>,
}

impl Found {
    /// Nothing, since there was nothing that could be read.
    pub(super) fn unread(decision: u64, reason: impl Into<String>) -> Self {
        Self { decision, labels: Vec::new(), not_evaluated: vec![reason.into()], reasons: Vec::new() }
    }

    /// All labels and their scores, and at the end how far the text was not evaluated:
    /// 0 or 1.
    pub(super) fn scores(&self) -> Vec<(String, Probability)> {
        let unread = if self.not_evaluated.is_empty() { Probability::ZERO } else { Probability::ONE };
        let labels = self.labels.iter().map(|label| (label.name.clone(), label.score));
        labels.chain([(NOT_EVALUATED.to_owned(), unread)]).collect()
    }

    /// The one label to go by: the most probable of the grave that reach their
    /// thresholds; else that something was not evaluated; else the most probable.
    pub(super) fn name(&self) -> &str {
        let grave = |label: &&Label| label.weight == Weight::Grave && label.score >= label.threshold;
        if let Some(label) = most_probable(self.labels.iter().filter(grave)) {
            return &label.name;
        }
        if !self.not_evaluated.is_empty() {
            return NOT_EVALUATED;
        }
        most_probable(self.labels.iter()).map_or(NOT_EVALUATED, |label| &label.name)
    }
}

/// The first of equals.
fn most_probable<'a>(labels: impl Iterator<Item = &'a Label>) -> Option<&'a Label> {
    labels.reduce(|best, label| if label.score > best.score { label } else { best })
}

fn verdict(action: &impl Serialize, is_taken: bool, weight: Weight) -> Label {
    let score = if is_taken { Probability::ONE } else { Probability::ZERO };
    Label { name: wire(action), score, threshold: Probability::ONE, weight }
}

const fn person_weight(action: UserAction) -> Weight {
    match action {
        UserAction::Allow => Weight::Safe,
        UserAction::Support => Weight::Mild,
        UserAction::Escalate => Weight::Grave,
    }
}

const fn reply_weight(action: ReplyAction) -> Weight {
    match action {
        ReplyAction::Allow => Weight::Safe,
        ReplyAction::Revise => Weight::Mild,
        ReplyAction::Block => Weight::Grave,
    }
}

fn labels<T: Taxonomy>(
    scores: &Scores<T>,
    thresholds: &Scores<T>,
    weight: impl Fn(T) -> Weight,
) -> Vec<Label> {
    let label = |(label, score): (T, Probability)| Label {
        name: label.wire().to_owned(),
        score,
        threshold: thresholds[label],
        weight: weight(label),
    };
    scores.iter().map(label).collect()
}

fn distress(answer: &GuardAnswer, calibration: &Calibration) -> Vec<Label> {
    let report = &answer.report;
    let (Some(risk), Some(language), Some(signals)) = (report.risk, report.language, &report.signals) else {
        return Vec::new();
    };
    let threshold = calibration.thresholds.get(&language).map(|levels| levels.high_risk.value);
    let risk = Label {
        name: "risk".to_owned(),
        score: risk,
        // A damaged bundle without a threshold calls everything.
        threshold: threshold.unwrap_or(Probability::ZERO),
        weight: Weight::Grave,
    };
    let signals = labels::<Signal>(signals, &calibration.signals, |_| Weight::Grave);
    [risk].into_iter().chain(signals).collect()
}

/// The highest probability of each label on any turn.
fn crisis(turns: &[TurnReport], calibration: &Calibration) -> Vec<Label> {
    let of_turns = turns.iter().filter_map(|turn| match &turn.scores {
        Some(TurnReportScores::User { crisis, .. }) => Some(crisis.clone()),
        Some(TurnReportScores::Assistant { .. }) | None => None,
    });
    let highest: Option<Scores<CrisisLabel>> = of_turns.reduce(|highest, crisis| highest.max(&crisis));
    highest.map_or_else(Vec::new, |scores| labels(&scores, &calibration.crisis, |_| Weight::Grave))
}

fn reasons<A: Serialize>(reasons: &[Explanation<A>]) -> Vec<Evidence> {
    let evidence = |reason: &Explanation<A>| Evidence {
        name: wire(&reason.rule),
        value: reason.label.as_ref().map(wire),
        score: reason.probability.map(Probability::get),
    };
    reasons.iter().map(evidence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, score: f32, weight: Weight) -> Label {
        let p = |value| Probability::new(value).expect("a probability");
        Label { name: name.to_owned(), score: p(score), threshold: p(0.5), weight }
    }

    fn found(labels: Vec<Label>, unread: &[&str]) -> Found {
        let not_evaluated = unread.iter().map(|&reason| reason.to_owned()).collect();
        Found { decision: 1, labels, not_evaluated, reasons: Vec::new() }
    }

    #[test]
    fn what_was_found_comes_before_what_was_not_read_and_that_before_what_is_safe() {
        let safe = label("safe", 0.9, Weight::Safe);
        let mild = label("mild", 0.95, Weight::Mild);
        let below = label("below", 0.4, Weight::Grave);
        let grave = label("grave", 0.6, Weight::Grave);
        let name = |labels: &[&Label], unread: &[&str]| {
            found(labels.iter().map(|&label| label.clone()).collect(), unread).name().to_owned()
        };
        assert_eq!(name(&[&safe, &mild, &grave], &["truncated"]), "grave");
        assert_eq!(name(&[&safe, &mild, &below], &["truncated"]), NOT_EVALUATED);
        assert_eq!(name(&[&safe, &below], &[]), "safe");
        assert_eq!(name(&[], &[]), NOT_EVALUATED);
    }

    #[test]
    fn every_detector_is_found_by_its_name_and_nothing_by_another() {
        for detector in Detector::ALL {
            assert_eq!(Detector::of_name(detector.name()), Some(detector));
        }
        assert_eq!(Detector::of_name("Mindrail"), None);
    }
}
