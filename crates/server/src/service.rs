//! What a request does: takes up the conversation where it stands, puts the new turns
//! before the guard, writes the decision, answers. It knows nothing of HTTP.
//!
//! A caller sends a whole conversation each time, or gives it a name and then only
//! what is new. With `first_turn` the caller says where the messages belong: turns
//! that come again are known by their digests, and turns that are missing or differ are
//! refused with what is known. Without it messages go on where the conversation stands,
//! which is its beginning where nothing is known of it (any more); the answer says
//! which turns were scanned and how many there are.

use std::ops::RangeInclusive;
use std::time::Instant;

use mindrail_core::assessor::{Assessor as _, StateError};
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::guard::{Guard, GuardState, GuardedTurn};
use mindrail_core::policy::Policy;
use mindrail_core::policy::date::Date;
use mindrail_core::policy::offer::Circumstances;
use mindrail_core::probability::Probability;
use mindrail_core::report::{Report, TurnReport, so_far, turn_report};
use mindrail_core::tracker::{Onset, Phase};
use mindrail_core::verdict::ReplyAction;
use mindrail_model::assessor::{EmbeddedAssessor, EmbeddedState};
use serde::{Deserialize, Serialize};

use crate::audit::{Decision, Span, Status, Subject};
use crate::store::{Commit, Earlier, NewAnswer, NewSession, Session, Store, StoreError, salted};

/// Turns that one request may hold.
pub const MOST_TURNS: usize = 1_000;
/// Candidates that one request may hold.
pub const MOST_CANDIDATES: usize = 16;
/// Characters of a caller's name for a conversation, and of an idempotency key.
pub const LONGEST_NAME: usize = 200;

/// A request for a verdict on the person's side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardRequest {
    /// The caller's name for the conversation, opaque here. With it, how far the
    /// conversation has got is kept; without it, nothing is.
    pub conversation_id: Option<String>,
    /// The place of the first message in the conversation, from 0. Left out, the
    /// messages go on where the conversation stands.
    pub first_turn: Option<usize>,
    /// What was said, oldest first.
    pub messages: Vec<Turn>,
}

/// A request for verdicts on replies that have not been shown.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyRequest {
    /// The conversation that they would go on.
    pub conversation_id: Option<String>,
    /// The conversation itself, where it has no name.
    #[serde(default)]
    pub messages: Vec<Turn>,
    /// The replies.
    pub candidates: Vec<String>,
}

/// Whose request it is, and when it came.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Whose conversations these are.
    pub tenant: &'a str,
    /// A second request with this key gets the first one's answer.
    pub idempotency_key: Option<&'a str>,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// When it came.
    pub began: Instant,
    /// The request as it came, which a second one with the key must equal.
    pub request: &'a [u8],
}

/// The answer to a [`GuardRequest`].
#[derive(Debug, Serialize)]
struct GuardAnswer {
    /// The decision's number in the audit trail.
    decision: u64,
    /// How far the conversation has got.
    conversation: Progress,
    /// Which turns were scanned now.
    scanned: Span,
    /// The contract of `mindrail score`; of the turns, those scanned now.
    #[serde(flatten)]
    report: Report,
}

/// How far a conversation has got.
#[derive(Debug, Clone, Serialize)]
struct Progress {
    /// Turns so far.
    turns: usize,
    /// The tracker's phase.
    phase: Phase,
    /// What has begun so far.
    onsets: Vec<Onset>,
}

/// The answer to a [`ReplyRequest`].
#[derive(Debug, Serialize)]
struct ReplyAnswer {
    /// The place of the candidate to show; none where none may be shown as it is.
    best: Option<usize>,
    /// The candidates, the best first.
    candidates: Vec<Candidate>,
}

/// A judged reply.
#[derive(Debug, Serialize)]
struct Candidate {
    /// Its place in the request, from 0.
    place: usize,
    /// The decision's number in the audit trail.
    decision: u64,
    /// Scores and verdict, as of the turn that it would be.
    turn: TurnReport,
    #[serde(skip)]
    action: ReplyAction,
    #[serde(skip)]
    unsafe_probability: f32,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The request asks for nothing that can be done.
    #[error("{field}: found {found}, expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
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
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::WentOn => Self::WentOn,
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
            Self::OtherModel => "other_model",
            Self::UnknownConversation => "unknown_conversation",
            Self::WentOn => "conversation_went_on",
            Self::OtherRequest => "idempotency_key_reused",
            Self::Store(_) => "store_unavailable",
        }
    }
}

/// The guard with its memory.
pub struct Service {
    assessor: EmbeddedAssessor,
    policy: Policy,
    store: Store,
}

type State = GuardState<EmbeddedState>;

/// A conversation taken up where it stands.
struct TakenUp {
    state: State,
    /// How it is kept; none where it has no name.
    session: Option<Session>,
    /// Turns that the store knows.
    known: usize,
}

impl TakenUp {
    /// What is kept of the conversation after these turns.
    fn after(self, new: &[Turn]) -> Option<NewSession> {
        let Self { state, session, known } = self;
        let mut session = session?;
        session.turns.extend(new.iter().map(|turn| turn_digest(&session.salt, turn)));
        session.state = json(&state);
        Some(NewSession { known_turns: known, session })
    }
}

impl Service {
    /// The service of a model, a policy and a store.
    pub fn new(assessor: EmbeddedAssessor, policy: Policy, store: Store) -> Self {
        Self { assessor, policy, store }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn guard(&self) -> Guard<'_, EmbeddedAssessor> {
        Guard { assessor: &self.assessor, policy: &self.policy }
    }

    /// A verdict on the person's side, as JSON.
    ///
    /// # Errors
    /// [`ServiceError`]; nothing was decided then.
    pub fn judge(&self, request: &GuardRequest, call: Call<'_>) -> Result<String, ServiceError> {
        within("messages", request.messages.len(), 1..=MOST_TURNS)?;
        check_names(request.conversation_id.as_deref(), call)?;
        if let Some(earlier) = self.earlier(call)? {
            return Ok(earlier);
        }
        let (mut taken_up, first) = self.take_up_for(request, call)?;
        let already = taken_up.session.as_ref().map_or(0, |session| session.turns.len()) - first;
        let new = &request.messages[already..];
        let guard = self.guard();
        let mut turns = Vec::with_capacity(new.len());
        for turn in new {
            turns.push(guard.push(&mut taken_up.state, turn, None)?);
        }
        let scanned = Span { first: (first + already) as u64, turns: new.len() as u64 };
        let circumstances = Circumstances::unknown(Date::of_unix_ms(call.at_ms));
        let id = request.conversation_id.clone();
        let report = so_far(&guard, &taken_up.state, id, turns, &circumstances);
        let decision = self.decision(call, Subject::Person, scanned).with(&report);
        let tracker = taken_up.state.tracker();
        let conversation = Progress {
            turns: first + request.messages.len(),
            phase: tracker.phase(),
            onsets: tracker.onsets().to_vec(),
        };
        let commit = Commit {
            decision,
            scanned: &spoken(new),
            conversation: request.conversation_id.as_deref(),
            session: taken_up.after(new),
        };
        let answer =
            |numbers: &[u64]| json(&GuardAnswer { decision: numbers[0], conversation, scanned, report });
        self.answer(call, &[commit], answer)
    }

    /// Verdicts on replies, as JSON. They are not taken into the conversation: which
    /// one was shown, the caller says with the next turn.
    ///
    /// # Errors
    /// [`ServiceError`]; nothing was decided then.
    pub fn judge_replies(&self, request: &ReplyRequest, call: Call<'_>) -> Result<String, ServiceError> {
        within("candidates", request.candidates.len(), 1..=MOST_CANDIDATES)?;
        within("messages", request.messages.len(), 0..=MOST_TURNS)?;
        check_names(request.conversation_id.as_deref(), call)?;
        if let Some(earlier) = self.earlier(call)? {
            return Ok(earlier);
        }
        let state = self.context(request, call)?;
        let mut candidates = Vec::new();
        let mut commits = Vec::new();
        for (place, text) in request.candidates.iter().enumerate() {
            let (candidate, decision) = self.candidate((place, text), &state, call)?;
            candidates.push(candidate);
            let conversation = request.conversation_id.as_deref();
            commits.push(Commit { decision, scanned: text.as_bytes(), conversation, session: None });
        }
        self.answer(call, &commits, |numbers| ranked(candidates, numbers))
    }

    /// The answer that the key's first request got.
    fn earlier(&self, call: Call<'_>) -> Result<Option<String>, ServiceError> {
        let Some(key) = call.idempotency_key else { return Ok(None) };
        match self.store.earlier(call.tenant, key, call.request)? {
            None => Ok(None),
            Some(Earlier::Same(answer)) => Ok(Some(answer)),
            Some(Earlier::Other) => Err(ServiceError::OtherRequest),
        }
    }

    /// The conversation, and the place of the request's first message in it.
    fn take_up_for(&self, request: &GuardRequest, call: Call<'_>) -> Result<(TakenUp, usize), ServiceError> {
        let Some(name) = &request.conversation_id else {
            if let Some(first @ 1..) = request.first_turn {
                let expected = "0, or a conversation_id beside it".to_owned();
                return Err(ServiceError::Invalid {
                    field: "first_turn",
                    found: first.to_string(),
                    expected,
                });
            }
            return Ok((TakenUp { state: self.guard().start(), session: None, known: 0 }, 0));
        };
        let kept = self.store.session(call.tenant, name)?;
        let Some(mut session) = kept else {
            let first = request.first_turn.unwrap_or(0);
            if first > 0 {
                return Err(ServiceError::TurnsMissing { known: 0, first });
            }
            let session = Session { state: String::new(), salt: self.store.salt()?, turns: Vec::new() };
            return Ok((TakenUp { state: self.guard().start(), session: Some(session), known: 0 }, 0));
        };
        let known = session.turns.len();
        let first = request.first_turn.unwrap_or(known);
        again(&session, first, &request.messages)?;
        let state = match self.state(&session) {
            Some(state) => state,
            // All of it was sent again, so that it can be scored anew.
            None if request.first_turn == Some(0) => {
                session.turns.clear();
                self.guard().start()
            }
            None => return Err(ServiceError::OtherModel),
        };
        Ok((TakenUp { state, session: Some(session), known }, first))
    }

    /// The state of a session, if it is one of this model.
    fn state(&self, session: &Session) -> Option<State> {
        let state: State = serde_json::from_str(&session.state).ok()?;
        // The assessor itself knows its states: it takes a turn, or says why not.
        let silence = Turn { role: Role::System, text: String::new() };
        self.guard().push(&mut state.clone(), &silence, None).ok()?;
        Some(state)
    }

    /// The conversation that replies would go on.
    fn context(&self, request: &ReplyRequest, call: Call<'_>) -> Result<State, ServiceError> {
        if let Some(name) = &request.conversation_id {
            if !request.messages.is_empty() {
                let (found, expected) = ("messages".to_owned(), "none beside conversation_id".to_owned());
                return Err(ServiceError::Invalid { field: "messages", found, expected });
            }
            let session = self.store.session(call.tenant, name)?;
            let session = session.ok_or(ServiceError::UnknownConversation)?;
            return self.state(&session).ok_or(ServiceError::OtherModel);
        }
        let guard = self.guard();
        let mut state = guard.start();
        for turn in &request.messages {
            guard.push(&mut state, turn, None)?;
        }
        Ok(state)
    }

    /// A judged reply, and the decision on it.
    fn candidate(
        &self,
        (place, text): (usize, &String),
        state: &State,
        call: Call<'_>,
    ) -> Result<(Candidate, Decision), ServiceError> {
        let turn = Turn { role: Role::Assistant, text: text.clone() };
        let guarded = self.guard().push(&mut state.clone(), &turn, None)?;
        let verdict = guarded.reply.clone().ok_or(ServiceError::OtherModel)?;
        let scanned = Span { first: guarded.assessment.index as u64, turns: 1 };
        let mut decision = self.decision(call, Subject::Reply, scanned);
        decision.action = wire(&verdict.action);
        decision.rules = verdict.reasons.iter().map(|reason| wire(&reason.rule)).collect();
        if !verdict.not_evaluated.is_empty() {
            decision.status = Status::NotEvaluated;
        }
        let unsafe_probability = unsafe_probability(&guarded);
        let turn = turn_report(guarded);
        Ok((Candidate { place, decision: 0, turn, action: verdict.action, unsafe_probability }, decision))
    }

    /// A decision of which the outcome is open.
    fn decision(&self, call: Call<'_>, subject: Subject, scanned: Span) -> Decision {
        Decision {
            at_ms: call.at_ms,
            tenant: call.tenant.to_owned(),
            subject,
            conversation: None,
            scanned,
            digest: String::new(),
            model: self.assessor.model().sha256.clone(),
            policy: self.policy.sha256(),
            risk: None,
            action: String::new(),
            rules: Vec::new(),
            status: Status::Ok,
            latency_us: call.began.elapsed().as_micros() as u64,
        }
    }

    /// Writes the decisions, then answers.
    fn answer(
        &self,
        call: Call<'_>,
        commits: &[Commit<'_>],
        answer: impl FnOnce(&[u64]) -> String,
    ) -> Result<String, ServiceError> {
        let key = call.idempotency_key.map(|key| NewAnswer { key, request: call.request });
        match self.store.commit(commits, key, answer) {
            // The same request may have come twice at the same time.
            Err(StoreError::Answered | StoreError::WentOn) => self.earlier(call)?.ok_or(ServiceError::WentOn),
            written => Ok(written?),
        }
    }
}

impl Decision {
    /// The same with the outcome that a report states.
    fn with(mut self, report: &Report) -> Self {
        self.risk = report.risk.map(Probability::get);
        self.action = wire(&report.verdict.action);
        self.rules = report.verdict.reasons.iter().map(|reason| wire(&reason.rule)).collect();
        if !report.not_evaluated.is_empty() {
            self.status = Status::NotEvaluated;
        }
        self
    }
}

/// How probable it is that a reply is of an unsafe class; 1 where it was not scored.
fn unsafe_probability(guarded: &GuardedTurn) -> f32 {
    use mindrail_core::assessment::TurnScores;
    use mindrail_core::taxonomy::ReplyClass;
    match &guarded.assessment.scores {
        TurnScores::Assistant(scores) => 1.0 - scores.classes[ReplyClass::SafeResponse].get(),
        TurnScores::User(_) | TurnScores::None => 1.0,
    }
}

/// That messages from turn `first` on say again what is known, and go at least as far.
fn again(session: &Session, first: usize, messages: &[Turn]) -> Result<(), ServiceError> {
    let known = session.turns.len();
    if first > known {
        return Err(ServiceError::TurnsMissing { known, first });
    }
    for (place, (digest, turn)) in session.turns[first..].iter().zip(messages).enumerate() {
        if *digest != turn_digest(&session.salt, turn) {
            return Err(ServiceError::TurnsDiffer { turn: first + place });
        }
    }
    if known - first > messages.len() {
        let found = format!("{} messages from turn {first} on", messages.len());
        let expected = format!("at least the {known} turns that are known");
        return Err(ServiceError::Invalid { field: "messages", found, expected });
    }
    Ok(())
}

/// The answer on replies, the best first; of one action, the least probably unsafe.
fn ranked(mut candidates: Vec<Candidate>, numbers: &[u64]) -> String {
    candidates.iter_mut().zip(numbers).for_each(|(candidate, number)| candidate.decision = *number);
    candidates
        .sort_by(|a, b| a.action.cmp(&b.action).then(a.unsafe_probability.total_cmp(&b.unsafe_probability)));
    let best = candidates.first().filter(|first| first.action == ReplyAction::Allow);
    json(&ReplyAnswer { best: best.map(|best| best.place), candidates })
}

fn within(field: &'static str, found: usize, bounds: RangeInclusive<usize>) -> Result<(), ServiceError> {
    if bounds.contains(&found) {
        return Ok(());
    }
    let expected = format!("{} to {}", bounds.start(), bounds.end());
    Err(ServiceError::Invalid { field, found: found.to_string(), expected })
}

fn check_names(conversation: Option<&str>, call: Call<'_>) -> Result<(), ServiceError> {
    for (field, name) in [("conversation_id", conversation), ("Idempotency-Key", call.idempotency_key)] {
        let Some(name) = name else { continue };
        let length = name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) {
            let expected = format!("1 to {LONGEST_NAME}");
            return Err(ServiceError::Invalid { field, found: format!("{length} characters"), expected });
        }
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

fn wire(value: &impl Serialize) -> String {
    json(value).trim_matches('"').to_owned()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("answers and states are plain data")
}
