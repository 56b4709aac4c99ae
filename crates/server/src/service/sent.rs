//! What the proxy asks: callers who send all that was said each time, as clients of
//! assistants do, and who forget, shorten and change it as such clients do.
//!
//! A conversation with a name goes on from where it stands with those turns that are not
//! known, wherever they stand in what was sent: a client that leaves out old turns, puts
//! another date into its instructions or lets the person write a turn anew neither loses
//! what was seen before nor has anything scored twice. So nobody gets rid of what was
//! seen by editing it away.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mindrail_core::conversation::Role;
use mindrail_core::language::Language;
use mindrail_core::policy::offer::{Offer, Person};
use mindrail_core::tracker::Tracker;
use mindrail_core::verdict::{ReplyAction, UserAction};
use serde::Serialize;
use serde_json::Value;

use super::person::{About, Messages, Notice, TakenUp, new_session};
use super::{
    Call, Decided, MOST_TURNS, Numbered, Service, ServiceError, check_name, record, turn_digest, wire, within,
};
use crate::audit::{ReplyPart, Span, Status, Subject};
use crate::judge::UnderWay;
use crate::store::Commit;

/// A conversation under way, before which replies can be put from any thread.
#[derive(Clone)]
pub(crate) struct Course(Arc<Mutex<Box<dyn UnderWay>>>);

impl Course {
    fn new(course: Box<dyn UnderWay>) -> Self {
        Self(Arc::new(Mutex::new(course)))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn UnderWay>> {
        // Judging a reply changes nothing, so a panic in it leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that was said, as a client sends it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// The caller's name for the conversation. With it, how far it has got is kept.
    pub(crate) conversation: Option<String>,
    /// The caller's name for the person.
    pub(crate) person: Option<String>,
    /// What was said, oldest first, as `OpenAI` messages.
    pub(crate) messages: Vec<Value>,
}

/// How what was sent fits what was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum History {
    /// It is all that was known, and more; or nothing was known.
    Whole,
    /// It is something else, so the turns that were not known were added.
    Joined,
}

/// The verdict on the person's side, and what it takes to speak to them.
#[derive(Clone, Serialize)]
pub(crate) struct PersonSide {
    /// The decision's number in the audit trail; none where it could not be written.
    pub(crate) decision: Option<u64>,
    pub(crate) action: UserAction,
    /// The language the person writes in; both where it is not known.
    pub(crate) language: Language,
    /// What the person may be offered, whatever the action.
    pub(crate) offer: Offer,
    /// What the law asks to be shown to the person now, besides.
    pub(crate) notices: Vec<Notice>,
    pub(crate) history: History,
    #[serde(skip)]
    pub(crate) course: Course,
}

impl Numbered for PersonSide {
    fn number(&mut self, numbers: &[u64]) {
        self.decision = numbers.first().copied();
    }
}

/// A text of a reply, as far as there is one.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) part: ReplyPart,
    pub(crate) text: String,
}

/// What should happen to texts of replies, in their order. Texts after the first that
/// ended the judging have none.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Judged {
    pub(crate) seen: Vec<Seen>,
}

/// What should happen to one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) action: ReplyAction,
    /// Whether all of it was read.
    pub(crate) is_read: bool,
}

impl Numbered for Judged {
    fn number(&mut self, _: &[u64]) {}
}

/// What was done where nothing could be scored.
#[derive(Debug, Clone)]
pub(crate) struct Degraded {
    pub(crate) subject: Subject,
    /// The action that came of it.
    pub(crate) action: &'static str,
    pub(crate) resources_offered: bool,
}

impl Service {
    /// Decides on the person's side.
    ///
    /// # Errors
    /// [`ServiceError`]; nothing was decided then.
    pub(crate) fn judge_sent(
        &self,
        sent: &Sent,
        call: Call<'_>,
    ) -> Result<Decided<PersonSide>, ServiceError> {
        let messages = read(sent)?;
        let (mut taken_up, messages, history) = self.take_up_sent(sent, messages, call)?;
        taken_up.called = self.is_called(sent.conversation.as_deref(), call)?;
        self.person_side(taken_up, &messages, history, sent, call)
    }

    /// The same of what was sent alone, without what is known: for where the store does
    /// not answer. It is owed to the trail, and what comes of it is no less than `least`.
    ///
    /// # Errors
    /// As [`Service::judge_sent`], but for those of the store.
    pub(crate) fn judge_alone(
        &self,
        sent: &Sent,
        least: UserAction,
        call: Call<'_>,
    ) -> Result<PersonSide, ServiceError> {
        let messages = read(sent)?;
        let mut taken_up = TakenUp::anew(self.begin(call.tenant), None);
        taken_up.called = self.owes_call(sent.conversation.as_deref(), call);
        let mut decided = self.person_side(taken_up, &messages, History::Joined, sent, call)?;
        decided.answer.action = decided.answer.action.max(least);
        for commit in &mut decided.commits {
            commit.decision.action = wire(&decided.answer.action);
            commit.decision.resources_offered |= decided.answer.action > UserAction::Allow;
        }
        Ok(self.owe(decided))
    }

    /// Where the model broke down: nothing was scored, and nothing is known of anybody.
    pub(crate) fn unseen(&self, action: UserAction, call: Call<'_>) -> PersonSide {
        let language = Language::Mix;
        let course = self.begin(call.tenant);
        let offer = offer(language, course.tracker(), call);
        let course = Course::new(course);
        let (decision, notices, history) = (None, Vec::new(), History::Whole);
        PersonSide { decision, action, language, offer, notices, history, course }
    }

    fn person_side(
        &self,
        taken_up: TakenUp,
        messages: &Messages,
        history: History,
        sent: &Sent,
        call: Call<'_>,
    ) -> Result<Decided<PersonSide>, ServiceError> {
        let about = About {
            conversation: sent.conversation.as_deref(),
            person: sent.person.as_deref(),
            circumstances: call.tenant.circumstances(call.at_ms),
        };
        let (decided, course) = self.go_on(taken_up, messages, &about, call)?;
        let language = decided.answer.report.language.unwrap_or(Language::Mix);
        let answer = PersonSide {
            decision: None,
            action: decided.answer.report.verdict.action,
            language,
            offer: offer(language, course.tracker(), call),
            notices: decided.answer.notices,
            history,
            course: Course::new(course),
        };
        Ok(Decided { answer, commits: decided.commits })
    }

    /// The conversation where it stands, and those of the messages that are not known.
    fn take_up_sent(
        &self,
        sent: &Sent,
        messages: Messages,
        call: Call<'_>,
    ) -> Result<(TakenUp, Messages, History), ServiceError> {
        let begin = || self.begin(call.tenant);
        let Some(name) = &sent.conversation else {
            return Ok((TakenUp::anew(begin(), None), messages, History::Whole));
        };
        let Some(session) = self.store().session(&call.tenant.name, name)? else {
            let taken_up = TakenUp::anew(begin(), Some(new_session(call.at_ms)));
            return Ok((taken_up, messages, History::Whole));
        };
        let known = session.turns;
        let Some(course) = self.resume(&session, call.tenant) else {
            // Another model scored it: what was sent is scored anew.
            let taken_up = TakenUp { known, ..TakenUp::anew(begin(), Some(session)) };
            return Ok((taken_up, messages, History::Joined));
        };
        let digests = self.store().digests(&call.tenant.name, name, 0)?;
        let sent: Vec<String> = messages.turns.iter().map(|turn| turn_digest(&session.salt, turn)).collect();
        let history = if sent.starts_with(&digests) { History::Whole } else { History::Joined };
        // Instructions are not scored, and some clients write the time of day into them.
        let speech = |place: &usize| history == History::Whole || messages.turns[*place].role != Role::System;
        let new: Vec<usize> = unknown(&digests, &sent).into_iter().filter(speech).collect();
        let messages = messages.only(&new);
        let taken_up = TakenUp { known, first: known, ..TakenUp::anew(course, Some(session)) };
        Ok((taken_up, messages, history))
    }

    /// Decides on texts of replies, one after the other, until `ends` says that no more
    /// need be known.
    ///
    /// # Errors
    /// [`ServiceError::OtherModel`], which a conversation of this service never gives.
    pub(crate) fn judge_parts(
        &self,
        (course, sent): (&Course, &Sent),
        parts: &[Part],
        ends: impl Fn(Seen, ReplyPart) -> bool,
        call: Call<'_>,
    ) -> Result<Decided<Judged>, ServiceError> {
        let course = course.lock();
        let (mut seen, mut commits) = (Vec::new(), Vec::new());
        for part in parts {
            let guarded = course.judge_reply(&part.text)?;
            // A turn without a verdict was not judged, and what was not judged is not shown.
            let verdict = guarded.reply.as_ref();
            let found = Seen {
                action: verdict.map_or(ReplyAction::Block, |verdict| verdict.action),
                is_read: verdict.is_some_and(|verdict| verdict.not_evaluated.is_empty()),
            };
            let scanned = Span { first: guarded.assessment.index as u64, turns: 1 };
            let mut decision = record::decision(self, call, Subject::Reply, scanned).with_reply(&guarded);
            decision.part = Some(part.part);
            let mut commit = Commit::of(decision, part.text.clone().into_bytes());
            commit.conversation.clone_from(&sent.conversation);
            commit.person.clone_from(&sent.person);
            commits.push(commit);
            seen.push(found);
            if ends(found, part.part) {
                break;
            }
        }
        Ok(Decided { answer: Judged { seen }, commits })
    }

    /// Notes what was done where nothing could be scored.
    pub(crate) fn note(&self, degraded: &Degraded, sent: &Sent, call: Call<'_>) -> Decided<Judged> {
        let scanned = Span { first: 0, turns: 0 };
        let mut decision = record::decision(self, call, degraded.subject, scanned);
        degraded.action.clone_into(&mut decision.action);
        decision.resources_offered = degraded.resources_offered;
        decision.status = Status::Degraded;
        let mut commit = Commit::of(decision, Vec::new());
        commit.conversation.clone_from(&sent.conversation);
        commit.person.clone_from(&sent.person);
        Decided { answer: Judged::default(), commits: vec![commit] }
    }
}

/// What a person may be offered, whatever the verdict.
fn offer(language: Language, tracker: &Tracker, call: Call<'_>) -> Offer {
    let circumstances = call.tenant.circumstances(call.at_ms);
    let person = Person::of(&circumstances, language, tracker);
    call.tenant.policy.offer(&person, circumstances.today)
}

fn read(sent: &Sent) -> Result<Messages, ServiceError> {
    within("messages", sent.messages.len(), 1..=MOST_TURNS)?;
    check_name("conversation_id", sent.conversation.as_deref())?;
    check_name("person_id", sent.person.as_deref())?;
    Messages::read(&sent.messages)
}

impl Messages {
    /// Those at these places.
    fn only(self, places: &[usize]) -> Self {
        Self {
            turns: places.iter().map(|&place| self.turns[place].clone()).collect(),
            unread: places.iter().map(|&place| self.unread[place]).collect(),
        }
    }
}

/// The places of the turns that are new, where `known` are the digests of those that are
/// known and `sent` of those that came.
///
/// New is what follows the newest known turn, and what was never known, wherever it
/// stands. Where the newest known turn stands in several places, the one counts before
/// which most is as it was, and of equals the first, so that too much is scored rather
/// than too little.
fn unknown(known: &[String], sent: &[String]) -> Vec<usize> {
    let agreed = |end: &usize| {
        let pairs = sent[..*end].iter().rev().zip(known.iter().rev());
        pairs.take_while(|(a, b)| a == b).count()
    };
    // Of equals `max_by_key` takes the last, so the places go backwards.
    let end = (1..=sent.len()).rev().max_by_key(agreed).filter(|end| agreed(end) > 0).unwrap_or(sent.len());
    let known: HashSet<&String> = known.iter().collect();
    (0..sent.len()).filter(|&place| place >= end || !known.contains(&sent[place])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn new(known: &str, sent: &str) -> String {
        let turns = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        unknown(&turns(known), &turns(sent)).into_iter().filter_map(|place| sent.chars().nth(place)).collect()
    }

    #[test]
    fn what_is_new_is_found_in_what_clients_send() {
        for (known, sent, expected, told) in [
            ("", "abc", "abc", "nothing was known"),
            ("ab", "abcd", "cd", "all was sent again"),
            ("ab", "ab", "", "nothing is new"),
            ("sabc", "sbcde", "de", "old turns were left out"),
            ("sab", "tabc", "tc", "the instructions changed"),
            ("aok", "aokbk", "bk", "a turn that is said twice counts where most before it is as it was"),
            ("abc", "axyz", "xyz", "turns were written anew"),
            ("abc", "a", "", "turns were taken back"),
            ("abc", "xyz", "xyz", "it is another conversation"),
        ] {
            assert_eq!(new(known, sent), expected, "{told}");
        }
    }

    proptest! {
        #[test]
        fn a_turn_that_was_never_seen_is_always_new(known in "[a-d]{0,8}", before in "[a-d]{0,8}", after in "[a-d]{0,3}") {
            // The person's newest words are not known, wherever they stand.
            let sent = format!("{before}Z{after}");
            prop_assert!(new(&known, &sent).contains('Z'));
        }

        #[test]
        fn what_goes_on_from_all_that_is_known_is_new(known in "[a-d]{1,8}", more in "[a-d]{0,5}") {
            prop_assert_eq!(new(&known, &format!("{known}{more}")), more);
        }
    }
}
