//! What a request does: takes up the conversation where it stands, puts the new turns
//! before the guard, writes the decision, answers. It knows nothing of HTTP.
//!
//! It is done in two steps. Deciding ([`Service::judge`], [`Service::judge_replies`])
//! costs processor time and changes nothing; writing ([`Service::write`]) waits for
//! the disk, together with all others who wait for it. Only what was written may be
//! answered.

mod owed;
mod person;
mod record;
mod reply;
mod sent;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use mindrail_core::assessor::StateError;
use mindrail_core::conversation::Turn;
use serde::Serialize;

pub(crate) use self::owed::Debt;
pub(crate) use self::person::Messages;
pub use self::person::{GuardAnswer, GuardRequest, Progress};
pub use self::reply::{Candidate, ReplyAnswer, ReplyRequest, replies_verdict};
pub(crate) use self::sent::{Degraded, History, Part, PersonSide, Seen, Sent};
use crate::audit::Origin;
use crate::judge::{Judge, UnderWay};
use crate::store::{Commit, Earlier, NewAnswer, Session, Store, StoreError, salted};
use crate::tenant::Tenant;

/// Turns that one request may hold.
pub const MOST_TURNS: usize = 1_000;
/// Candidates that one request may hold.
pub const MOST_CANDIDATES: usize = 16;
/// Characters of a caller's name for a conversation or a person, and of an
/// idempotency key.
pub const LONGEST_NAME: usize = 200;

/// Whose request it is, and when it came.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Whose conversations these are.
    pub tenant: &'a Tenant,
    /// A second request with this key gets the first one's answer.
    pub idempotency_key: Option<&'a str>,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// When it came.
    pub began: Instant,
    /// The request as it came, which a second one with the key must equal.
    pub request: &'a [u8],
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The request asks for nothing that can be done.
    #[error("{field}: found {found}, expected {expected}")]
    Invalid {
        /// The field.
        field: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Turns between what is known and what was sent are missing.
    #[error(
        "turn {known} is the next one, and turn {first} was sent; send the conversation from turn {known} on"
    )]
    TurnsMissing {
        /// Turns that are known.
        known: usize,
        /// The first turn that was sent.
        first: usize,
    },
    /// A turn that is known was sent again with other words or another speaker.
    #[error(
        "turn {turn} is not what it was when it was scanned; a conversation that was changed needs a name of its own"
    )]
    TurnsDiffer {
        /// Its place, from 0.
        turn: usize,
    },
    /// What was sent ends before the turns that are known.
    #[error(
        "{messages} messages from turn {first} on end before turn {known}, where the conversation stands; send it to its end"
    )]
    EndsEarly {
        /// Messages that were sent.
        messages: usize,
        /// The first turn that was sent.
        first: usize,
        /// Turns that are known.
        known: usize,
    },
    /// The conversation was scored by another model, or in another version.
    #[error("the conversation was scored by another model; send it whole, with first_turn 0")]
    OtherModel,
    /// Nothing is known of the conversation.
    #[error("no conversation of this name is known")]
    UnknownConversation,
    /// Another request took the conversation further at the same time.
    #[error(
        "another request took the conversation further at the same time; send the turns again with first_turn"
    )]
    WentOn,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    OtherRequest,
    /// The decision could not be written down, so there is none.
    #[error("the decision could not be written down, so there is none: {0}")]
    Store(StoreError),
    /// The store broke off while the decision was written.
    #[error("the store broke off; whether the decision was written down is not known")]
    InDoubt,
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::WentOn => Self::WentOn,
            StoreError::InDoubt => Self::InDoubt,
            other => Self::Store(other),
        }
    }
}

impl From<StateError> for ServiceError {
    fn from(_: StateError) -> Self {
        Self::OtherModel
    }
}

impl ServiceError {
    /// A name that programs may rely on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_request",
            Self::TurnsMissing { .. } => "turns_missing",
            Self::TurnsDiffer { .. } => "turns_differ",
            Self::EndsEarly { .. } => "ends_early",
            Self::OtherModel => "other_model",
            Self::UnknownConversation => "unknown_conversation",
            Self::WentOn => "conversation_went_on",
            Self::OtherRequest => "idempotency_key_reused",
            Self::Store(_) => "store_unavailable",
            Self::InDoubt => "outcome_unknown",
        }
    }

    pub(crate) fn invalid(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Invalid { field: field.into(), found: found.into(), expected: expected.into() }
    }
}

/// An answer that names the decisions that it rests on.
pub trait Numbered: Clone + Serialize + Send + 'static {
    /// Takes the numbers of its decisions in the trail.
    fn number(&mut self, numbers: &[u64]);
}

/// What was decided and is not written yet.
pub struct Decided<T> {
    answer: T,
    commits: Vec<Commit>,
}

impl<T> Decided<T> {
    /// The answer, which must not leave before it is written.
    pub fn answer(&self) -> &T {
        &self.answer
    }

    /// The same decisions with another answer.
    pub fn map<U>(self, other: impl FnOnce(T) -> U) -> Decided<U> {
        Decided { answer: other(self.answer), commits: self.commits }
    }

    /// These decisions and then those, which are written together or not at all.
    pub fn and<U>(mut self, then: Decided<U>) -> Decided<(T, U)> {
        self.commits.extend(then.commits);
        Decided { answer: (self.answer, then.answer), commits: self.commits }
    }

    /// Decisions one after the other, which are written together or not at all.
    pub fn all(decided: impl IntoIterator<Item = Self>) -> Decided<Vec<T>> {
        let mut all = Decided { answer: Vec::new(), commits: Vec::new() };
        for one in decided {
            all.answer.push(one.answer);
            all.commits.extend(one.commits);
        }
        all
    }

    /// The same as an exercise at the desk: it stands in the trail as one, and no
    /// webhook is told.
    pub(crate) fn into_exercise(mut self) -> Self {
        for commit in &mut self.commits {
            commit.decision.origin = Some(Origin::Console);
            commit.alarm.iter_mut().for_each(|alarm| alarm.targets.clear());
        }
        self
    }
}

/// An answer that rests on decisions in the trail.
#[derive(Debug, Clone)]
pub enum Answer<T> {
    /// Just now.
    New(T),
    /// To an earlier request with the same key, in JSON as it was given then.
    Earlier(String),
}

impl<T: Serialize> Answer<T> {
    /// The answer as JSON.
    pub fn into_json(self) -> String {
        match self {
            Self::New(answer) => json(&answer),
            Self::Earlier(answer) => answer,
        }
    }
}

/// The guard with its memory.
pub struct Service {
    judge: Arc<dyn Judge>,
    store: Store,
    owed: owed::Owed,
}

impl Service {
    /// The service of a model and a store.
    pub fn new(judge: Arc<dyn Judge>, store: Store) -> Self {
        Self { judge, store, owed: owed::Owed::default() }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The model.
    pub fn judge_of(&self) -> &Arc<dyn Judge> {
        &self.judge
    }

    /// The answer that the key's first request got.
    ///
    /// # Errors
    /// [`ServiceError::OtherRequest`] where that was another one.
    pub fn earlier(&self, call: Call<'_>) -> Result<Option<String>, ServiceError> {
        let Some(key) = call.idempotency_key else { return Ok(None) };
        check_name("Idempotency-Key", Some(key))?;
        match self.store.earlier(&call.tenant.name, key, call.request)? {
            None => Ok(None),
            Some(Earlier::Same(answer)) => Ok(Some(answer)),
            Some(Earlier::Other) => Err(ServiceError::OtherRequest),
        }
    }

    /// Writes what was decided, and gives the answer.
    ///
    /// # Errors
    /// [`ServiceError::WentOn`], [`ServiceError::Store`]: nothing was decided then; with
    /// [`ServiceError::InDoubt`] that is not known.
    pub fn write<T: Numbered>(&self, decided: Decided<T>, call: Call<'_>) -> Result<Answer<T>, ServiceError> {
        let Decided { mut answer, commits } = decided;
        let key = call.idempotency_key.map(|key| new_answer(key, call.request, answer.clone()));
        match self.store.commit(commits, key) {
            Ok(numbers) => {
                answer.number(&numbers);
                Ok(Answer::New(answer))
            }
            // The same request may have come twice at the same time.
            Err(StoreError::Answered | StoreError::WentOn) => {
                self.earlier(call)?.map(Answer::Earlier).ok_or(ServiceError::WentOn)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A conversation before its first turn, under a tenant's policy.
    pub fn begin(&self, tenant: &Tenant) -> Box<dyn UnderWay> {
        Arc::clone(&self.judge).begin(Arc::clone(&tenant.policy))
    }

    /// A kept conversation, if it is one of this model.
    fn resume(&self, session: &Session, tenant: &Tenant) -> Option<Box<dyn UnderWay>> {
        Arc::clone(&self.judge).resume(Arc::clone(&tenant.policy), &session.state)
    }
}

fn new_answer<T: Numbered>(key: &str, request: &[u8], mut answer: T) -> NewAnswer {
    let answer = Box::new(move |numbers: &[u64]| {
        answer.number(numbers);
        json(&answer)
    });
    NewAnswer { key: key.to_owned(), request: request.to_vec(), answer }
}

pub(crate) fn within(field: &str, found: usize, bounds: RangeInclusive<usize>) -> Result<(), ServiceError> {
    if bounds.contains(&found) {
        return Ok(());
    }
    let expected = format!("{} to {}", bounds.start(), bounds.end());
    Err(ServiceError::invalid(field, found.to_string(), expected))
}

/// That a caller's name for something is short and can be stored anywhere.
fn check_name(field: &str, name: Option<&str>) -> Result<(), ServiceError> {
    let Some(name) = name else { return Ok(()) };
    let length = name.chars().count();
    if !(1..=LONGEST_NAME).contains(&length) {
        let expected = format!("1 to {LONGEST_NAME}");
        return Err(ServiceError::invalid(field, format!("{length} characters"), expected));
    }
    if name.chars().any(char::is_control) {
        return Err(ServiceError::invalid(field, "a control character", "none"));
    }
    Ok(())
}

/// A digest by which a turn is known again.
fn turn_digest(salt: &str, turn: &Turn) -> String {
    let mut digest = salted(salt.as_bytes(), &spoken(std::slice::from_ref(turn)));
    digest.truncate(32);
    digest
}

/// Who said what, so that no two conversations give the same bytes.
fn spoken(turns: &[Turn]) -> Vec<u8> {
    json(&turns).into_bytes()
}

pub(crate) fn wire(value: &impl Serialize) -> String {
    json(value).trim_matches('"').to_owned()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("answers and states are plain data")
}
