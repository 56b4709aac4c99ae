//! From what was seen to what should happen. A policy is a TOML file that a
//! clinician can read ([`DEFAULT_TOML`] is the commented default); its rules are
//! asked one after the other, and the gravest answer is the verdict.
//!
//! Two promises hold for every policy file, not only for the default:
//!
//! - **Monotone**: raising any probability of danger never lowers the severity
//!   of a verdict. Rules therefore rest on crossings, peaks and pooled scores, which
//!   cannot take one another away, and not on onsets, which can.
//! - **Nothing unseen is safe**: what could not be evaluated asks for at least
//!   `support` or `revise`, and no policy file can say otherwise.
//!
//! Beside the rules a policy says what a person reads and is offered ([`words`],
//! [`resources`], [`helplines`], [`offer`]), what they get when something fails
//! ([`fail`]), and which laws are heeded ([`jurisdictions`]).
//!
//! The verdict on a person is the state after the newest user turn: crossings
//! stay for the rest of the conversation, while risk and signals are those of
//! the conversation as it now stands.

pub mod cases;
pub mod date;
pub mod fail;
pub mod helplines;
mod in_force;
pub mod jurisdictions;
pub mod offer;
pub mod place;
pub mod provenance;
pub mod resources;
pub mod rules;
pub mod words;

use serde::{Deserialize, Serialize};

use crate::assessment::{ConversationScores, NotEvaluated, ReplyScores};
use crate::calibration::Calibration;
use crate::digest;
use crate::language::Language;
use crate::probability::Probability;
use crate::taxonomy::{CrisisLabel, Signal};
use crate::tracker::{Tracker, TrackerConfig};
use crate::verdict::{Label, Reached, ReplyAction, UserAction, Verdict};

use date::Date;
use fail::FailModes;
use helplines::{HelplineRules, Registry};
pub use in_force::PolicyInForce;
use jurisdictions::{Jurisdiction, Obligations};
use resources::Resources;
use rules::{PersonRules, ReplyRules, RiskLevels};
use words::{PersonWords, Prompt};

/// The commented default policy file.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// What the rules about the person may look at: the conversation as it stands
/// after the newest user turn. Small enough to be kept between two requests.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The pooled scores; `None` as long as no user turn was scored.
    pub conversation: Option<&'a ConversationScores>,
    /// The tracker after the newest user turn.
    pub tracker: &'a Tracker,
    /// The bundle's thresholds.
    pub calibration: &'a Calibration,
    /// What was not looked at so far. Entries about replies belong to
    /// [`ReplyEvidence`] instead.
    pub not_evaluated: &'a [NotEvaluated],
}

impl Evidence<'_> {
    /// The pooled signal if it reaches `threshold`, with the turn that shows it
    /// best.
    fn signal_at(&self, signal: Signal, threshold: Probability) -> Option<Reached> {
        let probability = self.conversation?.signals[signal];
        (probability >= threshold).then(|| Reached {
            turn: self.tracker.ledger().signal(signal).map(|peak| peak.turn),
            label: Some(Label::Signal(signal)),
            probability,
            threshold,
        })
    }

    /// The highest probability of a crisis label on any turn, if it reaches
    /// `threshold`.
    fn crisis_at(&self, label: CrisisLabel, threshold: Probability) -> Option<Reached> {
        let peak = self.tracker.ledger().crisis(label)?;
        (peak.probability >= threshold).then_some(Reached {
            turn: Some(peak.turn),
            label: Some(Label::Crisis(label)),
            probability: peak.probability,
            threshold,
        })
    }

    /// The first crossing of a crisis label.
    fn crossed(&self, label: CrisisLabel) -> Option<Reached> {
        self.tracker.crossing(label).map(|crossing| Reached {
            turn: Some(crossing.turn),
            label: Some(Label::Crisis(label)),
            probability: crossing.probability,
            threshold: crossing.threshold,
        })
    }
}

/// What is known when a reply is judged: its scores, and the person's state
/// after the newest user turn before it.
#[derive(Debug, Clone, Copy)]
pub struct ReplyContext<'a> {
    /// The reply's place in the conversation, from 0, counting all turns.
    pub turn: usize,
    /// The reply's scores; `None` if it could not be scored.
    pub scores: Option<&'a ReplyScores>,
    /// What of this reply was not looked at.
    pub not_evaluated: &'a [NotEvaluated],
}

/// What the rules about a reply may look at.
#[derive(Debug, Clone, Copy)]
pub struct ReplyEvidence<'a> {
    /// The reply.
    pub reply: ReplyContext<'a>,
    /// The bundle's thresholds.
    pub calibration: &'a Calibration,
    /// Every threshold is multiplied by this, from 0 to 1: 1 for a reply to a
    /// person who is not known to be in danger.
    pub strictness: Probability,
}

impl ReplyEvidence<'_> {
    /// `probability` with its threshold, made stricter where the person is in
    /// danger, if it reaches it.
    fn reached(
        &self,
        label: Option<Label>,
        probability: Probability,
        threshold: Probability,
    ) -> Option<Reached> {
        let threshold = stricter(threshold, self.strictness);
        (probability >= threshold).then_some(Reached {
            turn: Some(self.reply.turn),
            label,
            probability,
            threshold,
        })
    }
}

/// `threshold` times a fraction; both are at most 1, so the product is.
fn stricter(threshold: Probability, fraction: Probability) -> Probability {
    Probability::new(threshold.get() * fraction.get()).unwrap_or(Probability::ZERO)
}

/// The sum of probabilities, held at 1 against rounding.
fn total(probabilities: impl Iterator<Item = Probability>) -> Probability {
    let sum: f32 = probabilities.map(Probability::get).sum();
    Probability::new(sum.min(1.0)).unwrap_or(Probability::ONE)
}

/// How much stricter replies to a person in danger are judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InDanger {
    /// Every reply threshold is multiplied by this fraction.
    pub factor: Probability,
}

/// The version of the policy format that this code reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum PolicyVersion {
    /// The first.
    One,
}

impl TryFrom<u32> for PolicyVersion {
    type Error = String;

    fn try_from(found: u32) -> Result<Self, String> {
        match found {
            1 => Ok(Self::One),
            _ => Err(format!("found policy version {found}, expected 1")),
        }
    }
}

impl From<PolicyVersion> for u32 {
    fn from(version: PolicyVersion) -> Self {
        match version {
            PolicyVersion::One => 1,
        }
    }
}

/// The rules that turn evidence into a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The version of the file format.
    pub version: PolicyVersion,
    /// What a person gets when something fails.
    pub fail: FailModes,
    /// The tracker's settings for new conversations.
    pub tracker: TrackerConfig,
    /// The rules about the person.
    pub person: PersonRules,
    /// The rules about replies.
    pub reply: ReplyRules,
    /// What an assistant may offer with `support`.
    pub resources: Resources,
    /// How the registry of helplines is used.
    pub helplines: HelplineRules,
    /// What a person reads from the guard itself.
    pub words: PersonWords,
    /// What the assistant is told.
    #[serde(default)]
    pub prompt: Prompt,
    /// Which laws are heeded; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<Jurisdiction>,
    /// The registry: the shipped one, with what the operator's own says otherwise. It
    /// stands in files of its own, not in the policy's.
    #[serde(skip)]
    pub registry: Registry,
}

impl Default for Policy {
    /// The policy of [`DEFAULT_TOML`].
    fn default() -> Self {
        Self::from_toml("default.toml", DEFAULT_TOML).expect("the shipped file is tested")
    }
}

impl Policy {
    /// Reads a policy file; `source_name` names it in errors.
    ///
    /// # Errors
    /// [`PolicyError`] for anything that is not a complete policy: broken TOML,
    /// a missing or unknown key, a value of the wrong kind or out of range.
    pub fn from_toml(source_name: &str, text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| PolicyError::new(source_name, text, &error))
    }

    /// This policy with an operator's own registry: its entries take the place of those
    /// with the same id.
    #[must_use]
    pub fn with_registry(mut self, own: Registry) -> Self {
        self.registry = self.registry.overridden_by(own);
        self
    }

    /// SHA-256 of all that a verdict, or what a person gets, depends on beside the
    /// model: the policy's content, the registry of helplines and the packs of the law.
    /// Comments and spacing in the files, and keys left at their default, do not change
    /// it.
    pub fn sha256(&self) -> String {
        // Every field is a plain value with a fixed order, so this cannot fail.
        let content = serde_json::to_vec(&(self, &self.registry, jurisdictions::shipped()));
        digest::sha256(&content.unwrap_or_default())
    }

    /// What the law asks on a day for a person of this age; nothing where the policy
    /// names no jurisdiction.
    pub fn obligations(&self, age: Option<u8>, today: Date) -> Obligations {
        let named = self.jurisdiction.as_ref();
        named.map_or_else(Obligations::default, |named| named.obligations(age, today))
    }

    /// The tracker of a conversation that begins under this policy.
    pub const fn new_tracker(&self) -> Tracker {
        Tracker::new(self.tracker)
    }

    /// What should happen with regard to the person.
    pub fn judge_person(&self, evidence: &Evidence<'_>) -> Verdict<UserAction> {
        let rules = self.person.in_order();
        let findings = rules.iter().filter_map(|rule| rule.evaluate(evidence));
        let findings = findings.collect();
        Verdict::from_findings(UserAction::Allow, findings, evidence.not_evaluated)
    }

    /// What should happen to a reply. `person` is the evidence after the newest
    /// user turn before the reply.
    pub fn judge_reply(&self, reply: ReplyContext<'_>, person: &Evidence<'_>) -> Verdict<ReplyAction> {
        let evidence =
            ReplyEvidence { reply, calibration: person.calibration, strictness: self.strictness(person) };
        let rules = self.reply.in_order();
        let findings = rules.iter().filter_map(|rule| rule.evaluate(&evidence));
        let findings = findings.collect();
        Verdict::from_findings(ReplyAction::Allow, findings, reply.not_evaluated)
    }

    /// The fraction of their thresholds at which replies are judged: stricter once
    /// an ongoing crisis is certain, or while risk is high.
    fn strictness(&self, person: &Evidence<'_>) -> Probability {
        let high_risk = person.conversation.is_some_and(|conversation| {
            let levels = self.person.risk.levels(conversation.language, person.calibration);
            conversation.risk >= levels.high_risk
        });
        if high_risk || self.person.confirmed_crisis.is_certain(person) {
            self.reply.in_danger.factor
        } else {
            Probability::ONE
        }
    }
}

/// Whether the conversation is high risk by the bundle's own threshold for its
/// language. This is the `high_risk` field of `mindrail score`; a policy's own
/// thresholds do not change it, so that it can be compared between sites.
pub fn is_high_risk(conversation: &ConversationScores, calibration: &Calibration) -> bool {
    conversation.risk >= bundle_levels(conversation.language, calibration).high_risk
}

/// The bundle's risk thresholds for a language. A bundle has all three; if one
/// is damaged and lacks a language, the lowest thresholds that it has stand in,
/// and with none at all every conversation is called.
fn bundle_levels(language: Language, calibration: &Calibration) -> RiskLevels {
    if let Some(own) = calibration.thresholds.get(&language) {
        return RiskLevels { high_risk: own.high_risk.value, support: own.support.value };
    }
    let lowest = |values: Vec<Probability>| {
        let first = values.iter().copied().reduce(|a, b| if b < a { b } else { a });
        first.unwrap_or(Probability::ZERO)
    };
    let all = calibration.thresholds.values();
    RiskLevels {
        high_risk: lowest(all.clone().map(|t| t.high_risk.value).collect()),
        support: lowest(all.map(|t| t.support.value).collect()),
    }
}

/// A policy file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}:{line}: {key}: {problem}")]
pub struct PolicyError {
    /// The file, as the caller named it.
    pub source_name: String,
    /// The line, from 1.
    pub line: usize,
    /// The key or table concerned, with dots, such as `person.risk.rule`.
    pub key: String,
    /// What was found there and what was expected.
    pub problem: String,
}

impl PolicyError {
    fn new(source_name: &str, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].split(|&b| b == b'\n').count();
        Self {
            source_name: source_name.to_owned(),
            line,
            key: key_at(text, line),
            problem: error.message().trim_end().replace('\n', ", "),
        }
    }
}

/// The dotted name of what stands on a line of a TOML file: the table last
/// opened, and the key if the line has one.
fn key_at(text: &str, line: usize) -> String {
    let mut table = "";
    let mut key = "";
    for content in text.lines().take(line).map(str::trim) {
        key = "";
        if content.starts_with('[') {
            let header = content.split('#').next().unwrap_or_default();
            table = header.trim().trim_matches(['[', ']']);
        } else if !content.starts_with('#') {
            key = content.split_once('=').map_or("", |(name, _)| name.trim());
        }
    }
    match (table.is_empty(), key.is_empty()) {
        (true, true) => "the file".to_owned(),
        (true, false) => key.to_owned(),
        (false, true) => table.to_owned(),
        (false, false) => format!("{table}.{key}"),
    }
}

#[cfg(test)]
mod tests;
