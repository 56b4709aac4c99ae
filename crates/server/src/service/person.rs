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
use mindrail_core::language::Language;
use mindrail_core::policy::Policy;
use mindrail_core::policy::jurisdictions::{Duty, Obligations, Scoring};
use mindrail_core::policy::offer::{Circumstances, Person};
use mindrail_core::policy::place::Place;
use mindrail_core::policy::words::Occasion;
use mindrail_core::reader::read_messages;
use mindrail_core::report::Report;
use mindrail_core::tracker::{Onset, Phase};
use mindrail_core::verdict::{Explanation, RuleName, UserAction};
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
    /// Where the person is, as `CA` or `CA-QC`; it decides which helplines are offered.
    pub country: Option<Place>,
    /// The person's age in years; it decides likewise, and what the law asks for.
    #[serde(default, deserialize_with = "whole")]
    pub age: Option<u8>,
    /// The place of the first message in the conversation, from 0. Left out, the
    /// messages go on where the conversation stands.
    #[serde(default, deserialize_with = "whole")]
    pub first_turn: Option<usize>,
    /// What was said, oldest first, as `OpenAI` messages.
    pub messages: Vec<Value>,
}

/// A number without a fraction, which JSON may write as `3.0`.
fn whole<'de, T: TryFrom<u64>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    /// Above this not every whole number is an `f64`.
    const MOST: f64 = (1_u64 << 53) as f64;
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    let found = (number.fract() == 0.0 && (0.0..=MOST).contains(&number)).then_some(number as u64);
    let found = found.and_then(|number| T::try_from(number).ok());
    found.map(Some).ok_or_else(|| serde::de::Error::custom("invalid value: expected a whole number from 0"))
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
    /// What the law asks to be shown to the person now, besides.
    pub notices: Vec<Notice>,
    /// The contract of `mindrail score`; of the turns, those scanned now.
    #[serde(flatten)]
    pub report: Report,
}

impl Numbered for GuardAnswer {
    fn number(&mut self, numbers: &[u64]) {
        self.decision = numbers.first().copied().unwrap_or_default();
    }
}

/// Words that the law asks to be shown to the person; see `[jurisdiction]` of the policy.
#[derive(Debug, Clone, Serialize)]
pub struct Notice {
    /// On which occasion.
    pub kind: Occasion,
    /// The words, in the person's language.
    pub words: String,
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
pub(crate) struct Messages {
    pub(crate) turns: Vec<Turn>,
    pub(crate) unread: Vec<Option<NotEvaluatedReason>>,
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

/// What a caller says of a conversation, beside what was said in it.
#[derive(Debug, Clone)]
pub(super) struct About<'a> {
    /// Its name.
    pub(super) conversation: Option<&'a str>,
    /// The person's name.
    pub(super) person: Option<&'a str>,
    /// Where they are, and how old.
    pub(super) circumstances: Circumstances,
}

/// A conversation taken up where it stands.
pub(super) struct TakenUp {
    pub(super) course: Box<dyn UnderWay>,
    /// How it was kept; none where it has no name.
    pub(super) session: Option<Session>,
    /// Turns that the store knows.
    pub(super) known: usize,
    /// The place in the conversation of the request's first message.
    pub(super) first: usize,
    /// How many of the request's messages are known already.
    pub(super) already: usize,
    /// Whether a human was called to it while it could not be kept.
    pub(super) called: bool,
}

impl TakenUp {
    pub(super) fn anew(course: Box<dyn UnderWay>, session: Option<Session>) -> Self {
        Self { course, session, known: 0, first: 0, already: 0, called: false }
    }

    /// What the law asks to be shown now. That it was shown is taken as told.
    fn notices(&mut self, obligations: &Obligations, report: &Report, call: Call<'_>) -> Vec<Notice> {
        let begun_ms = self.session.as_ref().map_or(call.at_ms, |session| session.begun_ms);
        let told_ms = self.session.as_ref().and_then(|session| session.disclosed_ms);
        let disclosure = obligations.disclosure_due(begun_ms, told_ms, call.at_ms).is_some();
        if let (true, Some(session)) = (disclosure, &mut self.session) {
            session.disclosed_ms = Some(call.at_ms);
        }
        let interruption = obligations.interrupt_in_crisis == Duty::Required
            && report.verdict.action == UserAction::Escalate;
        let due = [(disclosure, Occasion::Disclosure), (interruption, Occasion::Interruption)];
        let language = report.language.unwrap_or(Language::Mix);
        let notice = |kind| Notice { kind, words: call.tenant.policy.words.render(kind, language, None) };
        due.into_iter().filter(|(is_due, _)| *is_due).map(|(_, kind)| notice(kind)).collect()
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
        self.judge_read(request, &Messages::read(&request.messages)?, call)
    }

    /// Decides on messages that were read already, in place of the request's own.
    ///
    /// # Errors
    /// As [`Service::judge`].
    pub(crate) fn judge_read(
        &self,
        request: &GuardRequest,
        messages: &Messages,
        call: Call<'_>,
    ) -> Result<Decided<GuardAnswer>, ServiceError> {
        within("messages", messages.turns.len(), 1..=MOST_TURNS)?;
        check_name("conversation_id", request.conversation_id.as_deref())?;
        check_name("person_id", request.person_id.as_deref())?;
        let mut taken_up = self.take_up(request, &messages.turns, call)?;
        taken_up.called = self.is_called(request.conversation_id.as_deref(), call)?;
        let about = About {
            conversation: request.conversation_id.as_deref(),
            person: request.person_id.as_deref(),
            circumstances: circumstances(request, call),
        };
        Ok(self.go_on(taken_up, messages, &about, call)?.0)
    }

    /// Takes a conversation further by those messages that are not known, and decides;
    /// gives the conversation as it is then.
    pub(super) fn go_on(
        &self,
        mut taken_up: TakenUp,
        messages: &Messages,
        about: &About<'_>,
        call: Call<'_>,
    ) -> Result<(Decided<GuardAnswer>, Box<dyn UnderWay>), ServiceError> {
        let circumstances = &about.circumstances;
        let obligations = call.tenant.policy.obligations(circumstances.age, circumstances.today);
        let new = &messages.turns[taken_up.already..];
        let first = taken_up.first + taken_up.already;
        let scanned = Span { first: first as u64, turns: new.len() as u64 };
        let mut turns = Vec::new();
        let id = || about.conversation.map(str::to_owned);
        let mut report = if obligations.scoring == Scoring::Disabled {
            taken_up.course.unscored(id(), (first, new), circumstances)
        } else {
            for (turn, unread) in messages.from(taken_up.already) {
                turns.push(taken_up.course.push(turn, unread)?);
            }
            taken_up.course.report(id(), turns.clone(), circumstances)
        };
        if taken_up.called {
            call_again(&mut report, &*taken_up.course, circumstances, &call.tenant.policy);
        }
        let notices = taken_up.notices(&obligations, &report, call);
        let decision = record::decision(self, call, Subject::Person, scanned).with_report(&report, &turns);

        let tracker = taken_up.course.tracker();
        let conversation = Progress {
            turns: taken_up.first + messages.turns.len(),
            phase: tracker.phase(),
            onsets: tracker.onsets().to_vec(),
        };
        let mut commit = Commit::of(decision, spoken(new));
        commit.session = taken_up.after(new);
        commit.conversation = id();
        commit.person = about.person.map(str::to_owned);
        commit.said = call.tenant.seal_turns(about.conversation, first, new);
        commit.alarm = (report.verdict.action == UserAction::Escalate).then(|| alarm(call));
        let answer = GuardAnswer { decision: 0, conversation, scanned, notices, report };
        Ok((Decided { answer, commits: vec![commit] }, taken_up.course))
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
            Some(course) => {
                Ok(TakenUp { course, session: Some(session), known, first, already, called: false })
            }
            // All of it was sent again, so that it can be scored anew.
            None if request.first_turn == Some(0) => {
                Ok(TakenUp { known, ..TakenUp::anew(begin(), Some(session)) })
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

/// What calls a human, though the turns that did are not kept.
fn call_again(report: &mut Report, course: &dyn UnderWay, circumstances: &Circumstances, policy: &Policy) {
    if report.verdict.action == UserAction::Escalate {
        return;
    }
    let statement = "a human was called to this conversation while it could not be kept";
    let reason = Explanation::of_fact(RuleName::OpenReview, UserAction::Escalate, statement, None);
    report.verdict.action = UserAction::Escalate;
    report.verdict.reasons.insert(0, reason);
    let person = Person::of(circumstances, report.language.unwrap_or(Language::Mix), course.tracker());
    report.resources = Some(policy.offer(&person, circumstances.today));
}

pub(super) fn new_session(at_ms: u64) -> Session {
    Session { state: String::new(), salt: random_name(), turns: 0, begun_ms: at_ms, disclosed_ms: None }
}

/// What is known of the person beside the conversation.
fn circumstances(request: &GuardRequest, call: Call<'_>) -> Circumstances {
    let known = call.tenant.circumstances(call.at_ms);
    Circumstances { place: request.country.clone().or(known.place), age: request.age, ..known }
}

/// Whom an escalation alarms: the tenant's counsellors, and its webhooks.
fn alarm(call: Call<'_>) -> Alarm {
    let due_ms = call.at_ms + call.tenant.review_within.as_millis() as u64;
    Alarm { due_ms, targets: call.tenant.webhooks.iter().map(|hook| hook.name.clone()).collect() }
}
