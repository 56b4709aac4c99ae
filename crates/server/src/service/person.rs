//! The person's side of a conversation.
//!
//! A caller sends a whole conversation each time, or gives it a name and then only
//! what is new. With `first_turn` the caller says where the messages belong: turns
//! that come again are known by their digests, and turns that are missing or differ are
//! refused with what is known. Without it messages go on where the conversation stands,
//! which is its beginning where nothing is known of it (any more); the answer says
//! which turns were scanned and how many there are.

use mindrail_core::assessment::NotEvaluatedReason;
use mindrail_core::conversation::Turn;
use mindrail_core::policy::date::Date;
use mindrail_core::policy::offer::Circumstances;
use mindrail_core::reader::read_messages;
use mindrail_core::report::Report;
use mindrail_core::tracker::{Onset, Phase};
use mindrail_core::verdict::UserAction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Call, Decided, MOST_TURNS, Numbered, Service, ServiceError, check_name, record, spoken, turn_digest,
    within,
};
use crate::audit::{Span, Subject};
use crate::judge::UnderWay;
use crate::store::{Alarm, Commit, NewSession, Session, random_name};

/// A request for a verdict on the person's side.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardRequest {
    /// The caller's name for the conversation, opaque here. With it, how far the
    /// conversation has got is kept; without it, nothing is.
    pub conversation_id: Option<String>,
    /// The caller's name for the person, opaque here, by which all about them can be
    /// erased. It is not shown to anybody.
    pub person_id: Option<String>,
    /// The place of the first message in the conversation, from 0. Left out, the
    /// messages go on where the conversation stands.
    #[serde(default, deserialize_with = "whole")]
    pub first_turn: Option<usize>,
    /// What was said, oldest first, as `OpenAI` messages.
    pub messages: Vec<Value>,
}

/// A number without a fraction, which JSON may write as `3.0`.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    /// Above this not every whole number is an `f64`.
    const MOST: f64 = (1_u64 << 53) as f64;
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if number.fract() == 0.0 && (0.0..=MOST).contains(&number) {
        return Ok(Some(number as usize));
    }
    Err(serde::de::Error::custom("expected a whole number from 0"))
}

/// The answer to a [`GuardRequest`].
#[derive(Debug, Clone, Serialize)]
pub struct GuardAnswer {
    /// The decision's number in the audit trail.
    pub decision: u64,
    /// How far the conversation has got.
    pub conversation: Progress,
    /// Which turns were scanned now.
    pub scanned: Span,
    /// The contract of `mindrail score`; of the turns, those scanned now.
    #[serde(flatten)]
    pub report: Report,
}

impl Numbered for GuardAnswer {
    fn number(&mut self, numbers: &[u64]) {
        self.decision = numbers.first().copied().unwrap_or_default();
    }
}

/// How far a conversation has got.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    /// Turns so far.
    pub turns: usize,
    /// The tracker's phase.
    pub phase: Phase,
    /// What has begun so far.
    pub onsets: Vec<Onset>,
}

/// Turns as a request holds them, each with a reason why it is more than its text.
pub(super) struct Messages {
    pub(super) turns: Vec<Turn>,
    unread: Vec<Option<NotEvaluatedReason>>,
}

impl Messages {
    pub(super) fn read(messages: &[Value]) -> Result<Self, ServiceError> {
        let (turns, faults) = read_messages(messages.to_vec())
            .map_err(|error| ServiceError::invalid(error.field, error.found, error.expected))?;
        let mut unread = vec![None; turns.len()];
        faults.iter().for_each(|fault| unread[fault.turn] = Some(fault.reason));
        Ok(Self { turns, unread })
    }

    /// The turns from one on, with what could not be read of each.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = (&Turn, Option<NotEvaluatedReason>)> {
        self.turns[first..].iter().zip(self.unread[first..].iter().copied())
    }
}

/// A conversation taken up where it stands.
struct TakenUp {
    course: Box<dyn UnderWay>,
    /// How it was kept; none where it has no name.
    session: Option<Session>,
    /// Turns that the store knows.
    known: usize,
    /// The place in the conversation of the request's first message.
    first: usize,
    /// How many of the request's messages are known already.
    already: usize,
}

impl TakenUp {
    fn anew(course: Box<dyn UnderWay>, session: Option<Session>) -> Self {
        Self { course, session, known: 0, first: 0, already: 0 }
    }

    /// What is kept of the conversation after these turns.
    fn after(&mut self, new: &[Turn]) -> Option<NewSession> {
        let mut session = self.session.take()?;
        let digests = new.iter().map(|turn| turn_digest(&session.salt, turn)).collect();
        let first = self.first + self.already;
        session.turns = first + new.len();
        session.state = self.course.keep();
        Some(NewSession { known_turns: self.known, session, first, digests })
    }
}

impl Service {
    /// Decides on the person's side.
    ///
    /// # Errors
    /// [`ServiceError`]; nothing was decided then.
    pub fn judge(
        &self,
        request: &GuardRequest,
        call: Call<'_>,
    ) -> Result<Decided<GuardAnswer>, ServiceError> {
        within("messages", request.messages.len(), 1..=MOST_TURNS)?;
        check_name("conversation_id", request.conversation_id.as_deref())?;
        check_name("person_id", request.person_id.as_deref())?;
        let messages = Messages::read(&request.messages)?;
        let mut taken_up = self.take_up(request, &messages.turns, call)?;
        let mut turns = Vec::new();
        for (turn, unread) in messages.from(taken_up.already) {
            turns.push(taken_up.course.push(turn, unread)?);
        }
        let new = &messages.turns[taken_up.already..];
        let scanned = Span { first: (taken_up.first + taken_up.already) as u64, turns: new.len() as u64 };
        let circumstances = Circumstances::unknown(Date::of_unix_ms(call.at_ms));
        let id = request.conversation_id.clone();
        let report = taken_up.course.report(id, turns.clone(), &circumstances);
        let decision = record::decision(self, call, Subject::Person, scanned).with_report(&report, &turns);
        let tracker = taken_up.course.tracker();
        let conversation = Progress {
            turns: taken_up.first + messages.turns.len(),
            phase: tracker.phase(),
            onsets: tracker.onsets().to_vec(),
        };
        let mut commit = Commit::of(decision, spoken(new));
        commit.session = taken_up.after(new);
        commit.conversation.clone_from(&request.conversation_id);
        commit.person.clone_from(&request.person_id);
        commit.said = call.tenant.seal_turns(request.conversation_id.as_deref(), scanned.first as usize, new);
        commit.alarm = (report.verdict.action == UserAction::Escalate).then(|| alarm(call));
        Ok(Decided {
            answer: GuardAnswer { decision: 0, conversation, scanned, report },
            commits: vec![commit],
        })
    }

    /// The conversation, and where the request's messages belong in it.
    fn take_up(
        &self,
        request: &GuardRequest,
        turns: &[Turn],
        call: Call<'_>,
    ) -> Result<TakenUp, ServiceError> {
        let begin = || self.begin(call.tenant);
        let first = request.first_turn;
        let Some(name) = &request.conversation_id else {
            return match first.unwrap_or(0) {
                0 => Ok(TakenUp::anew(begin(), None)),
                first => {
                    let expected = "0, or a conversation_id beside it";
                    Err(ServiceError::invalid("first_turn", first.to_string(), expected))
                }
            };
        };
        let Some(session) = self.store.session(&call.tenant.name, name)? else {
            return match first.unwrap_or(0) {
                0 => Ok(TakenUp::anew(begin(), Some(new_session(call.at_ms)))),
                first => Err(ServiceError::TurnsMissing { known: 0, first }),
            };
        };
        let known = session.turns;
        let first = first.unwrap_or(known);
        let already = self.again(&session, (name, first), turns, call)?;
        match self.resume(&session, call.tenant) {
            Some(course) => Ok(TakenUp { course, session: Some(session), known, first, already }),
            // All of it was sent again, so that it can be scored anew.
            None if request.first_turn == Some(0) => {
                Ok(TakenUp { course: begin(), session: Some(session), known, first: 0, already: 0 })
            }
            None => Err(ServiceError::OtherModel),
        }
    }

    /// That messages from turn `first` on say again what is known, and go at least as
    /// far; and how many of them are known.
    fn again(
        &self,
        session: &Session,
        (name, first): (&str, usize),
        messages: &[Turn],
        call: Call<'_>,
    ) -> Result<usize, ServiceError> {
        let known = session.turns;
        if first > known {
            return Err(ServiceError::TurnsMissing { known, first });
        }
        if first == known {
            return Ok(0);
        }
        let digests = self.store.digests(&call.tenant.name, name, first)?;
        for (place, (digest, turn)) in digests.iter().zip(messages).enumerate() {
            if *digest != turn_digest(&session.salt, turn) {
                return Err(ServiceError::TurnsDiffer { turn: first + place });
            }
        }
        if known - first > messages.len() {
            return Err(ServiceError::EndsEarly { messages: messages.len(), first, known });
        }
        Ok(known - first)
    }
}

fn new_session(at_ms: u64) -> Session {
    Session { state: String::new(), salt: random_name(), turns: 0, begun_ms: at_ms }
}

/// Whom an escalation alarms: the tenant's counsellors, and its webhooks.
fn alarm(call: Call<'_>) -> Alarm {
    let due_ms = call.at_ms + call.tenant.review_within.as_millis() as u64;
    Alarm { due_ms, targets: call.tenant.webhooks.iter().map(|hook| hook.name.clone()).collect() }
}
