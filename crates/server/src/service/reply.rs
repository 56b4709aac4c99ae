//! Replies that have not been shown.

use mindrail_core::assessment::NotEvaluated;
use mindrail_core::guard::GuardedTurn;
use mindrail_core::policy::date::Date;
use mindrail_core::policy::jurisdictions::Scoring;
use mindrail_core::report::{TurnReport, turn_report};
use mindrail_core::verdict::ReplyAction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::person::Messages;
use super::{
    Call, Decided, MOST_CANDIDATES, MOST_TURNS, Numbered, Service, ServiceError, check_name, record, within,
};
use crate::audit::{Span, Subject};
use crate::judge::UnderWay;
use crate::store::Commit;

/// A request for verdicts on replies that have not been shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyRequest {
    /// The conversation that they would go on.
    pub conversation_id: Option<String>,
    /// The conversation itself, where it has no name, as `OpenAI` messages.
    #[serde(default)]
    pub messages: Vec<Value>,
    /// The replies.
    pub candidates: Vec<String>,
}

/// The answer to a [`ReplyRequest`].
#[derive(Debug, Clone, Serialize)]
pub struct ReplyAnswer {
    /// The place of the candidate to show; none where none may be shown as it is.
    pub best: Option<usize>,
    /// The candidates, the best first.
    pub candidates: Vec<Candidate>,
}

/// A judged reply.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// Its place in the request, from 0.
    pub place: usize,
    /// The decision's number in the audit trail.
    pub decision: u64,
    /// Scores and verdict, as of the turn that it would be.
    pub turn: TurnReport,
    /// What should happen to it.
    pub action: ReplyAction,
    /// What of it was not looked at. Never to be read as "safe".
    pub not_evaluated: Vec<NotEvaluated>,
    #[serde(skip)]
    unsafe_probability: f32,
}

impl Numbered for ReplyAnswer {
    /// The numbers are in the order of the request.
    fn number(&mut self, numbers: &[u64]) {
        for candidate in &mut self.candidates {
            candidate.decision = numbers.get(candidate.place).copied().unwrap_or_default();
        }
    }
}

/// What should happen to replies of which all are shown: the gravest of it.
pub fn replies_verdict(answer: &ReplyAnswer) -> ReplyAction {
    answer.candidates.iter().map(|candidate| candidate.action).max().unwrap_or(ReplyAction::Allow)
}

impl Service {
    /// Decides on replies. They are not taken into the conversation: which one was
    /// shown, the caller says with the next turn.
    ///
    /// # Errors
    /// [`ServiceError`]; nothing was decided then.
    pub fn judge_replies(
        &self,
        request: &ReplyRequest,
        call: Call<'_>,
    ) -> Result<Decided<ReplyAnswer>, ServiceError> {
        within("candidates", request.candidates.len(), 1..=MOST_CANDIDATES)?;
        let course = self.context(request, call)?;
        self.judge_candidates(&*course, request.conversation_id.as_deref(), &request.candidates, call)
    }

    /// The conversation that replies would go on.
    ///
    /// # Errors
    /// [`ServiceError::UnknownConversation`], [`ServiceError::OtherModel`],
    /// [`ServiceError::Invalid`].
    pub fn context(&self, request: &ReplyRequest, call: Call<'_>) -> Result<Box<dyn UnderWay>, ServiceError> {
        within("messages", request.messages.len(), 0..=MOST_TURNS)?;
        check_name("conversation_id", request.conversation_id.as_deref())?;
        if let Some(name) = &request.conversation_id {
            if !request.messages.is_empty() {
                return Err(ServiceError::invalid("messages", "messages", "none beside conversation_id"));
            }
            let session = self.store.session(&call.tenant.name, name)?;
            let session = session.ok_or(ServiceError::UnknownConversation)?;
            return self.resume(&session, call.tenant).ok_or(ServiceError::OtherModel);
        }
        let messages = Messages::read(&request.messages)?;
        let mut course = self.begin(call.tenant);
        // Where people may not be scored, a reply is judged without their side.
        let today = Date::of_unix_ms(call.at_ms);
        if call.tenant.policy.obligations(None, today).scoring == Scoring::Full {
            for (turn, unread) in messages.from(0) {
                course.push(turn, unread)?;
            }
        }
        Ok(course)
    }

    /// Decides on replies as the next turn of a conversation under way.
    ///
    /// # Errors
    /// [`ServiceError::OtherModel`], which a conversation of this service never gives.
    pub fn judge_candidates(
        &self,
        course: &dyn UnderWay,
        conversation: Option<&str>,
        candidates: &[String],
        call: Call<'_>,
    ) -> Result<Decided<ReplyAnswer>, ServiceError> {
        let mut judged = Vec::new();
        let mut commits = Vec::new();
        for (place, text) in candidates.iter().enumerate() {
            let guarded = course.judge_reply(text)?;
            let scanned = Span { first: guarded.assessment.index as u64, turns: 1 };
            let decision = record::decision(self, call, Subject::Reply, scanned).with_reply(&guarded);
            let mut commit = Commit::of(decision, text.clone().into_bytes());
            commit.conversation = conversation.map(str::to_owned);
            commits.push(commit);
            judged.push(candidate(place, guarded));
        }
        Ok(Decided { answer: ranked(judged), commits })
    }
}

fn candidate(place: usize, guarded: GuardedTurn) -> Candidate {
    let unsafe_probability = unsafe_probability(&guarded);
    // A turn without a verdict was not judged, and what was not judged is not shown.
    let action = guarded.reply.as_ref().map_or(ReplyAction::Block, |verdict| verdict.action);
    let not_evaluated = guarded.assessment.not_evaluated.clone();
    Candidate { place, decision: 0, turn: turn_report(guarded), action, not_evaluated, unsafe_probability }
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

/// The answer on replies, the best first; of one action, the least probably unsafe.
fn ranked(mut candidates: Vec<Candidate>) -> ReplyAnswer {
    candidates
        .sort_by(|a, b| a.action.cmp(&b.action).then(a.unsafe_probability.total_cmp(&b.unsafe_probability)));
    let best = candidates.first().filter(|first| first.action == ReplyAction::Allow);
    ReplyAnswer { best: best.map(|best| best.place), candidates }
}
