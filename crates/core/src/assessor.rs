//! The one interface of everything that scores conversations. A turn is scored
//! once, when it arrives; what must be remembered of it is kept in a small
//! state, so the cost of a new turn does not grow with the conversation.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::assessment::TurnAssessment;
use crate::calibration::Calibration;
use crate::conversation::{Conversation, Turn};

/// Scores a conversation turn by turn.
///
/// Pushing turns one by one or restoring a serialised state in between gives
/// the same scores as pushing them all at once.
pub trait Assessor {
    /// What is remembered of the turns so far.
    type State: Clone + Serialize + DeserializeOwned;

    /// The state before the first turn.
    fn start(&self) -> Self::State;

    /// Scores a turn and takes it into the state.
    ///
    /// # Errors
    /// [`StateError`] when the state is another model's.
    fn push(&self, state: &mut Self::State, turn: &Turn) -> Result<TurnAssessment, StateError>;

    /// Thresholds and calibration of the scores.
    fn calibration(&self) -> &Calibration;

    /// The model's name, version and hash.
    fn model(&self) -> &ModelIdentity;

    /// All turns of a conversation, pushed one after another.
    ///
    /// # Errors
    /// [`StateError`], which a fresh state never gives.
    fn assess(&self, conversation: &Conversation) -> Result<Vec<TurnAssessment>, StateError> {
        let mut state = self.start();
        conversation.turns.iter().map(|turn| self.push(&mut state, turn)).collect()
    }
}

/// Which model scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelIdentity {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its bundle.
    pub sha256: String,
}

/// A state that belongs to another model or another version of the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state is of {found}, expected {expected}; score the conversation again from its first turn")]
pub struct StateError {
    /// The state's model and version.
    pub found: String,
    /// This assessor's.
    pub expected: String,
}
