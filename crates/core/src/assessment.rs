//! What an assessor says of one turn, and of the conversation so far. An
//! assessment is calibrated numbers only; what follows from them is decided by
//! [`crate::tracker`] and [`crate::policy`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::conversation::Role;
use crate::language::Language;
use crate::probability::Probability;
use crate::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal};

/// What a user turn shows, read with all turns before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserScores {
    /// Probability that a trained supervisor would want a human to step in now.
    pub risk: Probability,
    /// The nine distress signals.
    pub signals: Scores<Signal>,
    /// Onsets of crises: that this is the turn at which the label begins.
    pub crisis: Scores<CrisisLabel>,
}

/// What an assistant turn is, read with all turns before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyScores {
    /// The eight reply classes; they sum to 1.
    pub classes: Scores<ReplyClass>,
    /// The nineteen harm categories; independent of one another.
    pub harms: Scores<Harm>,
    /// The four severities; they sum to 1.
    pub severity: Scores<Severity>,
}

/// The scores of one turn, by who spoke it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnScores {
    /// A turn of the person.
    User(UserScores),
    /// A turn of the assistant.
    Assistant(ReplyScores),
    /// The turn was not scored; the reason stands in [`TurnAssessment::not_evaluated`].
    None,
}

/// Something that was not looked at, and why. Never to be read as "safe".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotEvaluated {
    /// The turn concerned, counted from 0; `None` for the whole conversation.
    pub turn: Option<usize>,
    /// The reason.
    pub reason: NotEvaluatedReason,
}

/// Why something was not evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotEvaluatedReason {
    /// System turns are instructions, not speech.
    SystemTurn,
    /// The turn holds no letter, digit or symbol that a model could read.
    EmptyTurn,
    /// The turn, or a word in it, is longer than the model reads; the rest was cut.
    Truncated,
    /// Most of the text, or of all user turns so far, is in a script or language that
    /// the model was not trained on.
    UnsupportedLanguage,
    /// The conversation has no user turn, so there is nobody to assess.
    NoUserTurn,
    /// The turn holds more than text, such as an image, which was not read.
    NonTextPart,
    /// Nobody could tell whose words the turn holds. If it is read as the person's,
    /// it was scored so.
    UnknownSpeaker,
    /// The model could not be run.
    ModelUnavailable,
    /// A law that the policy heeds forbids to score people.
    ScoringDisabled,
}

impl NotEvaluatedReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::SystemTurn,
        Self::EmptyTurn,
        Self::Truncated,
        Self::UnsupportedLanguage,
        Self::NoUserTurn,
        Self::NonTextPart,
        Self::UnknownSpeaker,
        Self::ModelUnavailable,
        Self::ScoringDisabled,
    ];
}

/// The conversation up to and including the newest turn, from turn scores by
/// monotone pooling: raising any turn's score never lowers these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationScores {
    /// Calibrated probability that a human should step in now.
    pub risk: Probability,
    /// The nine signals, pooled over the user turns so far.
    pub signals: Scores<Signal>,
    /// Language of the user turns so far; it selects the thresholds.
    pub language: Language,
}

/// One turn's assessment: its own scores and the conversation's after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnAssessment {
    /// The turn's place, from 0, counting all turns.
    pub index: usize,
    /// Who spoke it.
    pub role: Role,
    /// Its scores.
    pub scores: TurnScores,
    /// The conversation after this turn; `None` before the first user turn.
    pub conversation: Option<ConversationScores>,
    /// What of this turn was not looked at.
    pub not_evaluated: Vec<NotEvaluated>,
    /// What a fine-tuned model says that no taxonomy here has a place for, by name: the
    /// scores of a reward or cost model, which have no bounds, and probabilities of other
    /// taxonomies' labels. No policy reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, f32>,
}
