//! One request on its way through the guard: the verdict on the person's side, the
//! assistant's answer, the verdict on that, and what the person gets where one of them
//! fails.
//!
//! What fails never cuts a person off, and is never called safe. The policy says what they
//! get instead (`[fail]`); where a verdict was reached all the same and asks for more, the
//! verdict counts. What was done is noted as degraded wherever it can be.

use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use mindrail_core::policy::Policy;
use mindrail_core::policy::fail::{PersonFail, ReplyFail, UpstreamFail};
use mindrail_core::policy::words::Occasion;
use mindrail_core::verdict::{ReplyAction, UserAction};
use mindrail_llm::relay::Form;
use opentelemetry::Context;
use serde_json::{Map, Value, json};

use super::flow::{Fate, MOST_CHOICES, Reason, spoken};
use super::live;
use super::request::Asked;
use super::respond::{self, Done};
use super::scan::{Place, screen_choice, screen_envelope};
use super::upstream::{Began, NoAnswer, OnRevise, SupportNote, Upstream, sent_back};
use crate::audit::{ReplyPart, Subject};
use crate::http::{Asking, Caller, Failure, Shared, Undecided};
use crate::service::{Answer, Degraded, Part, PersonSide, Seen, Sent, ServiceError};

/// How often a conversation that another request took further is taken up again.
const TRIES: usize = 4;

/// Who asks, through what.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Caller,
    pub(super) began: Instant,
    /// The request's span, which goes on while a stream does.
    pub(super) context: Context,
}

impl Asker {
    fn asking(&self) -> Asking {
        let Self { caller, began, context, .. } = self.clone();
        Asking { caller, key: None, request: Vec::new(), began, context }
    }

    /// The verdict on the person's side, on disk wherever that can be.
    pub(super) async fn judge_person(&self, sent: &Arc<Sent>) -> Result<PersonSide, Failure> {
        for attempt in 0..=TRIES {
            let mut put = Arc::clone(sent);
            if attempt == TRIES {
                // Others are always faster: it is judged and written down without its name.
                Arc::make_mut(&mut put).conversation = None;
            }
            let decided =
                self.shared.try_decide(self.asking(), move |service, call| service.judge_sent(&put, call));
            match decided.await {
                Ok(Answer::New(person)) => return Ok(person),
                Err(Undecided::Service(ServiceError::WentOn)) => {}
                Err(Undecided::Service(ServiceError::Store(_) | ServiceError::InDoubt)) => break,
                Err(Undecided::Broken | Undecided::Service(ServiceError::OtherModel)) => {
                    return self.person_unseen(sent).await;
                }
                Ok(Answer::Earlier(_)) => return Err(Failure::broken()),
                Err(other) => return Err(other.into()),
            }
        }
        self.person_unwritten(sent).await
    }

    /// The store does not answer: what was sent is judged alone.
    async fn person_unwritten(&self, sent: &Arc<Sent>) -> Result<PersonSide, Failure> {
        let put = Arc::clone(sent);
        let least = least_action(self.caller.tenant.policy.fail.person_store);
        let judged =
            self.shared.work_out(self.asking(), move |service, call| service.judge_alone(&put, least, call));
        match judged.await {
            Ok(person) => Ok(person),
            Err(Undecided::Broken) => self.person_unseen(sent).await,
            Err(other) => Err(other.into()),
        }
    }

    /// The model does not work: nothing is known.
    async fn person_unseen(&self, sent: &Arc<Sent>) -> Result<PersonSide, Failure> {
        let action = least_action(self.caller.tenant.policy.fail.person_model);
        let wire = if action == UserAction::Allow { "allow" } else { "support" };
        let noted = Degraded {
            subject: Subject::Person,
            action: wire,
            resources_offered: action > UserAction::Allow,
        };
        self.note(noted, sent).await;
        Ok(self.shared.work_out(self.asking(), move |service, call| Ok(service.unseen(action, call))).await?)
    }

    /// Notes what was done where nothing could be scored, or owes it to the trail.
    async fn note(&self, degraded: Degraded, sent: &Arc<Sent>) {
        let (put, put_again, again) = (Arc::clone(sent), Arc::clone(sent), degraded.clone());
        let noted = self
            .shared
            .decide_next(self.asking(), move |service, call| Ok(service.note(&degraded, &put, call)));
        if noted.await.is_err() {
            let owed = self.shared.work_out(self.asking(), move |service, call| {
                Ok(service.owe(service.note(&again, &put_again, call)))
            });
            // What breaks off here says so on standard error.
            let _ = owed.await;
        }
    }
}

/// A request that was let through to the assistant.
pub(super) struct Talk {
    pub(super) asker: Asker,
    pub(super) upstream: Arc<Upstream>,
    pub(super) asked: Asked,
    sent: Arc<Sent>,
    pub(super) person: PersonSide,
}

impl Talk {
    pub(super) async fn begin(asker: Asker, upstream: Arc<Upstream>, asked: Asked) -> Result<Self, Failure> {
        let sent = Arc::new(asked.sent.clone());
        let person = asker.judge_person(&sent).await?;
        Ok(Self { asker, upstream, asked, sent, person })
    }

    /// The answer to the request.
    pub(super) async fn answer(self, headers: &HeaderMap) -> Result<Response, Failure> {
        if self.person.action == UserAction::Escalate {
            return Ok(self.own_answer(Occasion::Escalate, Done::Escalate));
        }
        let form = if self.asked.streams { Form::Stream } else { Form::Whole };
        let body = self.asked.body_with(self.note_for_assistant().as_deref());
        match self.upstream.chat(headers, body, form).await {
            Ok(Began::Stream(events)) if self.asked.streams => Ok(live::answer(self, events)),
            // Events that nobody asked for are no answer.
            Ok(Began::Stream(_)) | Err(NoAnswer::Failed) => Ok(self.unavailable().await),
            Ok(Began::Whole(relayed)) => {
                let headers = sent_back(relayed.headers());
                match self.upstream.read(relayed).await {
                    Ok(answer) => Ok(self.whole(headers, answer).await),
                    Err(_) => Ok(self.unavailable().await),
                }
            }
            // Whoever may be in danger gets words and not an error.
            Err(_) if self.person.action > UserAction::Allow => Ok(self.unavailable().await),
            Err(no_answer) => refused(no_answer),
        }
    }

    fn note_for_assistant(&self) -> Option<String> {
        let asks = self.person.action == UserAction::Support && self.upstream.support_note == SupportNote::On;
        asks.then(|| self.policy().prompt.support(self.person.language, &self.person.offer)).flatten()
    }

    /// The guard's words for a reason.
    pub(super) fn words(&self, reason: Reason) -> (String, Value) {
        let (occasion, done) = match reason {
            Reason::Withheld => (Occasion::ReplacedReply, Done::Replace),
            Reason::NoAnswer => (Occasion::Unavailable, Done::Unavailable),
        };
        (self.text(occasion), done.beside(self.person.decision))
    }

    fn text(&self, occasion: Occasion) -> String {
        let offer = Some(&self.person.offer).filter(|_| self.offers(occasion));
        self.policy().words.render(occasion, self.person.language, offer)
    }

    /// What the law asks to be shown to the person before anything else; none where a
    /// program reads the answer.
    pub(super) fn preface(&self) -> Option<String> {
        if !self.asked.wants_prose() || self.person.notices.is_empty() {
            return None;
        }
        let words = self.person.notices.iter().flat_map(|notice| [notice.words.as_str(), "\n\n"]);
        Some(words.collect())
    }

    fn policy(&self) -> &Policy {
        &self.asker.caller.tenant.policy
    }

    /// Whether resources belong to the words.
    fn offers(&self, occasion: Occasion) -> bool {
        let mode = self.policy().fail.upstream;
        occasion != Occasion::Unavailable
            || self.person.action > UserAction::Allow
            || mode == UpstreamFail::Support
    }

    /// An answer that is the guard's own.
    fn own_answer(&self, occasion: Occasion, done: Done) -> Response {
        let envelope = respond::own_envelope(self.asked.model());
        let text = self.preface().unwrap_or_default() + &self.text(occasion);
        let beside = done.beside(self.person.decision);
        if self.asked.streams {
            let chunks =
                respond::pieces(&envelope, self.asked.choices, &text, &beside, self.asked.wants_usage);
            return respond::event_answer(HeaderMap::new(), respond::events(&chunks).into(), &self.person);
        }
        let answer = respond::completion(envelope, self.asked.choices, &text, beside);
        respond::json_answer(HeaderMap::new(), &answer, &self.person)
    }

    async fn unavailable(&self) -> Response {
        self.note_no_answer().await;
        self.own_answer(Occasion::Unavailable, Done::Unavailable)
    }

    /// Notes that the assistant gave no answer.
    pub(super) async fn note_no_answer(&self) {
        let resources_offered = self.offers(Occasion::Unavailable);
        let degraded = Degraded { subject: Subject::Reply, action: "block", resources_offered };
        self.asker.note(degraded, &self.sent).await;
    }

    /// What happens to texts of the reply, up to the first that is withheld.
    pub(super) async fn judge(&self, parts: Vec<Part>) -> Vec<Fate> {
        let (course, sent) = (self.person.course.clone(), Arc::clone(&self.sent));
        let on_revise = self.upstream.on_revise;
        let ends = move |seen, part| fate(seen, part, on_revise) == Fate::Withhold;
        let parts = Arc::new(parts);
        let put = Arc::clone(&parts);
        let decided = self.asker.shared.decide_next(self.asker.asking(), move |service, call| {
            service.judge_parts((&course, &sent), &put, ends, call)
        });
        match decided.await {
            Ok(Answer::New(judged)) => fates(&judged.seen, &parts, on_revise).collect(),
            Err(Undecided::Service(
                ServiceError::Store(_) | ServiceError::InDoubt | ServiceError::WentOn,
            )) => self.judge_unwritten(parts).await,
            _ => self.reply_unseen(parts.len()).await,
        }
    }

    /// The store does not answer: the texts are judged, and the policy says what that is
    /// worth.
    async fn judge_unwritten(&self, parts: Arc<Vec<Part>>) -> Vec<Fate> {
        let (course, sent) = (self.person.course.clone(), Arc::clone(&self.sent));
        let on_revise = self.upstream.on_revise;
        let ends = move |seen, part| fate(seen, part, on_revise) == Fate::Withhold;
        let put = Arc::clone(&parts);
        let judged = self.asker.shared.work_out(self.asker.asking(), move |service, call| {
            Ok(service.owe(service.judge_parts((&course, &sent), &put, ends, call)?).seen)
        });
        let Ok(seen) = judged.await else { return self.reply_unseen(parts.len()).await };
        let unwritten = failed(self.policy().fail.reply_store);
        let worse = |fate| if fate == Fate::Show { unwritten } else { fate };
        fates(&seen, &parts, on_revise).map(worse).collect()
    }

    /// The model does not work: the policy says what becomes of the reply.
    async fn reply_unseen(&self, parts: usize) -> Vec<Fate> {
        let fate = failed(self.policy().fail.reply_model);
        let action = if fate == Fate::Show { "allow" } else { "block" };
        let resources_offered = fate == Fate::Withhold;
        let degraded = Degraded { subject: Subject::Reply, action, resources_offered };
        self.asker.note(degraded, &self.sent).await;
        vec![fate; parts]
    }

    /// An answer that came as a whole.
    async fn whole(&self, headers: HeaderMap, mut answer: Value) -> Response {
        let Some(choices) = screened(&mut answer) else { return self.unavailable().await };
        let (mut reasons, mut parts) = (Vec::new(), Vec::new());
        for (place, choice) in choices.iter_mut().enumerate() {
            let Some(choice) = choice.as_object_mut() else { return self.unavailable().await };
            let texts = screen_choice(choice, "message", &self.asked.tools);
            let filtered = choice.get("finish_reason").is_some_and(|reason| reason == "content_filter");
            reasons.push(match (filtered, texts.iter().any(|(place, text)| place.speaks(text))) {
                (true, _) => Some(Reason::Withheld),
                (false, false) => Some(Reason::NoAnswer),
                (false, true) => None,
            });
            parts.extend(texts.into_iter().map(|(at, text)| whole_part(place as u64, at, &text)));
        }
        // White space alone says nothing.
        parts.retain(|part: &Part| !part.text.trim().is_empty());
        self.judge_all(parts, &mut reasons).await;
        for (choice, reason) in choices.iter_mut().zip(&reasons) {
            if let Some(reason) = reason {
                let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
                *choice = respond::choice(index, &self.words(*reason).0);
            }
        }
        if let Some(preface) = self.preface() {
            choices.iter_mut().for_each(|choice| respond::put_before(choice, &preface));
        }
        if reasons.contains(&Some(Reason::NoAnswer)) {
            self.note_no_answer().await;
        }
        if let Some(reason) = reasons.into_iter().flatten().next() {
            answer["mindrail"] = self.words(reason).1;
        }
        self.finished(headers, &answer)
    }

    /// An answer that is whole and judged, in the form that was asked for.
    fn finished(&self, headers: HeaderMap, answer: &Value) -> Response {
        if self.asked.streams {
            let events = respond::events(&respond::as_pieces(answer));
            return respond::event_answer(headers, events.into(), &self.person);
        }
        respond::json_answer(headers, answer, &self.person)
    }

    /// Judges texts of choices, and notes for each choice why it is replaced.
    async fn judge_all(&self, mut parts: Vec<Part>, reasons: &mut [Option<Reason>]) {
        loop {
            parts.retain(|part| reasons.get(part.part.choice as usize).is_some_and(Option::is_none));
            if parts.is_empty() {
                return;
            }
            let fates = self.judge(parts.clone()).await;
            let judged = fates.len().clamp(1, parts.len());
            // What was given no fate was not judged.
            let fates = fates.into_iter().chain([Fate::Withhold]);
            for (part, fate) in parts.drain(..judged).zip(fates) {
                if fate != Fate::Show {
                    reasons[part.part.choice as usize] = Some(Reason::Withheld);
                }
            }
        }
    }
}

/// A text of a choice, all of it.
fn whole_part(choice: u64, at: Place, text: &str) -> Part {
    let characters = text.chars().count() as u64;
    let part = ReplyPart { choice, field: at.field, characters, whole: true };
    Part { part, text: spoken(at, text) }
}

/// The choices of an answer that has some, each an object.
fn screened(answer: &mut Value) -> Option<&mut Vec<Value>> {
    screen_envelope(answer.as_object_mut()?);
    let choices = answer.get_mut("choices")?.as_array_mut()?;
    (1..=MOST_CHOICES).contains(&choices.len()).then_some(choices)
}

/// The least that a person gets.
const fn least_action(mode: PersonFail) -> UserAction {
    match mode {
        PersonFail::Support => UserAction::Support,
        PersonFail::Pass => UserAction::Allow,
    }
}

/// What becomes of a reply of which something failed.
const fn failed(mode: ReplyFail) -> Fate {
    match mode {
        ReplyFail::Replace => Fate::Withhold,
        ReplyFail::Pass => Fate::Show,
    }
}

/// What happens to a text. A beginning that should be written anew waits for the rest.
/// What was not read whole is not shown, whatever the operator says of replies that
/// should be written anew.
fn fate(seen: Seen, part: ReplyPart, on_revise: OnRevise) -> Fate {
    match (seen.action, on_revise) {
        (ReplyAction::Allow, _) => Fate::Show,
        (ReplyAction::Revise, OnRevise::Show) if seen.is_read => Fate::Show,
        (ReplyAction::Revise, _) if !part.whole => Fate::Hold,
        (ReplyAction::Revise | ReplyAction::Block, _) => Fate::Withhold,
    }
}

fn fates(seen: &[Seen], parts: &[Part], on_revise: OnRevise) -> impl Iterator<Item = Fate> {
    seen.iter().zip(parts).map(move |(&seen, part)| fate(seen, part.part, on_revise))
}

/// The assistant's own error, which only a program can put right. Of what it sent only
/// the fields of an error go on.
fn refused(no_answer: NoAnswer) -> Result<Response, Failure> {
    if let NoAnswer::Refused { status, body } = &no_answer {
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let known = ["message", "type", "param", "code"];
        let field = |name: &'static str| Some((name, sent["error"][name].as_str()?));
        let error: Map<String, Value> =
            known.into_iter().filter_map(field).map(|(name, text)| (name.to_owned(), json!(text))).collect();
        if error.contains_key("message") {
            let body = json!({"error": error}).to_string();
            return Ok((*status, [("content-type", "application/json")], body).into_response());
        }
    }
    Err(no_answer.into_failure())
}
