//! Any assessor behind one object, so that nothing else in this crate depends on
//! which model scores. [`Judge`] begins conversations and takes up kept ones;
//! [`UnderWay`] is a conversation with all that is remembered of it.

use std::sync::Arc;

use mindrail_core::assessment::NotEvaluatedReason;
use mindrail_core::assessor::{Assessor, ModelIdentity, StateError};
use mindrail_core::calibration::Calibration;
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::guard::{Guard, GuardState, GuardedTurn};
use mindrail_core::policy::PolicyInForce;
use mindrail_core::policy::offer::Circumstances;
use mindrail_core::report::{Report, so_far, unscored};
use mindrail_core::tracker::Tracker;

/// A model that conversations are put before. Every [`Assessor`] is one.
pub trait Judge: Send + Sync {
    /// A conversation before its first turn.
    fn begin(self: Arc<Self>, policy: Arc<PolicyInForce>) -> Box<dyn UnderWay>;

    /// A conversation as [`UnderWay::keep`] left it; `None` where that was another
    /// model's, or another version's.
    fn resume(self: Arc<Self>, policy: Arc<PolicyInForce>, kept: &str) -> Option<Box<dyn UnderWay>>;

    /// Which model it is.
    fn model(&self) -> &ModelIdentity;

    /// Its thresholds.
    fn calibration(&self) -> &Calibration;
}

/// A conversation under way.
pub trait UnderWay: Send {
    /// Takes a turn. `unread` is a reason why the turn holds more than its text.
    ///
    /// # Errors
    /// [`StateError`], which a conversation that was begun or resumed never gives.
    fn push(&mut self, turn: &Turn, unread: Option<NotEvaluatedReason>) -> Result<GuardedTurn, StateError>;

    /// Judges a reply as the next turn, and does not take it.
    ///
    /// # Errors
    /// As [`UnderWay::push`].
    fn judge_reply(&self, text: &str) -> Result<GuardedTurn, StateError>;

    /// The answer on the conversation as it stands, with its newest turns.
    fn report(&self, id: Option<String>, newest: Vec<GuardedTurn>, circumstances: &Circumstances) -> Report;

    /// The answer where a law forbids to score people, with the newest turns and the
    /// place of the first of them.
    fn unscored(&self, id: Option<String>, newest: (usize, &[Turn]), circumstances: &Circumstances)
    -> Report;

    /// Phases, onsets and peaks so far.
    fn tracker(&self) -> &Tracker;

    /// All that must be kept to go on later, as JSON of a few KB.
    fn keep(&self) -> String;
}

struct Course<A: Assessor> {
    assessor: Arc<A>,
    policy: Arc<PolicyInForce>,
    state: GuardState<A::State>,
}

impl<A> Judge for A
where
    A: Assessor + Send + Sync + 'static,
    A::State: Send,
{
    fn begin(self: Arc<Self>, policy: Arc<PolicyInForce>) -> Box<dyn UnderWay> {
        let state = Guard { assessor: &*self, policy: &policy }.start();
        Box::new(Course { assessor: self, policy, state })
    }

    fn resume(self: Arc<Self>, policy: Arc<PolicyInForce>, kept: &str) -> Option<Box<dyn UnderWay>> {
        let state: GuardState<A::State> = serde_json::from_str(kept).ok()?;
        // The assessor itself knows its states: it takes a turn, or says why not.
        let silence = Turn { role: Role::System, text: String::new() };
        Guard { assessor: &*self, policy: &policy }.push(&mut state.clone(), &silence, None).ok()?;
        Some(Box::new(Course { assessor: self, policy, state }))
    }

    fn model(&self) -> &ModelIdentity {
        Assessor::model(self)
    }

    fn calibration(&self) -> &Calibration {
        Assessor::calibration(self)
    }
}

impl<A: Assessor> Course<A> {
    fn guard(&self) -> Guard<'_, A> {
        Guard { assessor: &self.assessor, policy: &self.policy }
    }
}

impl<A> UnderWay for Course<A>
where
    A: Assessor + Send + Sync,
    A::State: Send,
{
    fn push(&mut self, turn: &Turn, unread: Option<NotEvaluatedReason>) -> Result<GuardedTurn, StateError> {
        let guard = Guard { assessor: &*self.assessor, policy: &self.policy };
        guard.push(&mut self.state, turn, unread)
    }

    fn judge_reply(&self, text: &str) -> Result<GuardedTurn, StateError> {
        let turn = Turn { role: Role::Assistant, text: text.to_owned() };
        self.guard().push(&mut self.state.clone(), &turn, None)
    }

    fn report(&self, id: Option<String>, newest: Vec<GuardedTurn>, circumstances: &Circumstances) -> Report {
        so_far(&self.guard(), &self.state, id, newest, circumstances)
    }

    fn unscored(
        &self,
        id: Option<String>,
        newest: (usize, &[Turn]),
        circumstances: &Circumstances,
    ) -> Report {
        unscored(&self.guard(), id, newest, circumstances)
    }

    fn tracker(&self) -> &Tracker {
        self.state.tracker()
    }

    fn keep(&self) -> String {
        serde_json::to_string(&self.state).expect("a state is plain data")
    }
}
