//! The answer about one conversation in the shape of the wire: what
//! `mindrail score` writes per line and `mindrail check --json` prints. The
//! shape is a contract, `schemas/score.schema.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::assessment::{NotEvaluated, NotEvaluatedReason, TurnScores};
use crate::assessor::{Assessor, ModelIdentity, StateError};
use crate::conversation::{Conversation, Role, Turn};
use crate::guard::{Guard, GuardState, GuardedTurn};
use crate::language::Language;
use crate::policy::Evidence;
use crate::policy::offer::{Circumstances, Offer, Person};
use crate::probability::Probability;
use crate::reader::Unread;
use crate::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal};
use crate::verdict::{Explanation, ReplyAction, UserAction};

/// Everything that is said of one conversation.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The caller's id, if there was one.
    pub id: Option<String>,
    /// Always `ok`; rows that could not be read say `error`.
    pub status: &'static str,
    /// Conversation risk; absent where no user turn was scored.
    pub risk: Option<Probability>,
    /// Whether it reaches the bundle's threshold; absent with it.
    pub high_risk: Option<bool>,
    /// The language of the user turns, which chose the thresholds; absent likewise.
    pub language: Option<Language>,
    /// The nine signals; absent where no user turn was scored.
    pub signals: Option<Scores<Signal>>,
    /// All turns in order.
    pub turns: Vec<TurnReport>,
    /// What should happen with regard to the person.
    pub verdict: Decision<UserAction>,
    /// What was not looked at.
    pub not_evaluated: Vec<NotEvaluated>,
    /// What the assistant may offer; absent with `allow`.
    pub resources: Option<Offer>,
    /// Which model scored.
    pub model: ModelIdentity,
    /// Which policy judged.
    pub policy: PolicyIdentity,
}

/// Which policy judged.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyIdentity {
    /// See [`crate::policy::Policy::sha256`].
    pub sha256: String,
}

/// An action with its reasons.
#[derive(Debug, Clone, Serialize)]
pub struct Decision<A> {
    /// The action.
    pub action: A,
    /// Why, the gravest reason first.
    pub reasons: Vec<Explanation<A>>,
}

/// One turn.
#[derive(Debug, Clone, Serialize)]
pub struct TurnReport {
    /// Its place, from 0.
    pub index: usize,
    /// Who spoke.
    pub role: Role,
    /// Its scores; absent where it was not scored.
    #[serde(flatten)]
    pub scores: Option<TurnReportScores>,
    /// See [`crate::assessment::TurnAssessment::values`]; absent where there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, f32>,
}

/// A turn's scores, by who spoke.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum TurnReportScores {
    /// A user turn.
    User {
        /// Risk at this turn.
        risk: Probability,
        /// The nine signals at this turn.
        signals: Scores<Signal>,
        /// The sixteen onset labels.
        crisis: Scores<CrisisLabel>,
        /// What begins here.
        onsets: Vec<CrisisLabel>,
    },
    /// An assistant turn.
    Assistant {
        /// Its class.
        reply: ReplyReport,
        /// Its harms.
        harm: HarmReport,
        /// What should happen to it.
        verdict: Decision<ReplyAction>,
    },
}

/// A reply's class.
#[derive(Debug, Clone, Serialize)]
pub struct ReplyReport {
    /// The most probable class.
    pub class: ReplyClass,
    /// All eight.
    pub probabilities: Scores<ReplyClass>,
}

/// A reply's harms.
#[derive(Debug, Clone, Serialize)]
pub struct HarmReport {
    /// All nineteen.
    pub probabilities: Scores<Harm>,
    /// The most probable severity.
    pub severity: Severity,
}

/// Assesses a whole conversation. `unread` says of which turns something
/// could not be read, as the reader gives it.
///
/// What the person is offered depends on the circumstances, and nothing else does.
///
/// # Errors
/// [`StateError`], which a fresh state never gives.
pub fn report<A: Assessor>(
    guard: &Guard<'_, A>,
    conversation: &Conversation,
    unread: &[Unread],
    circumstances: &Circumstances,
) -> Result<Report, StateError> {
    let mut state = guard.start();
    let mut turns = Vec::with_capacity(conversation.turns.len());
    for (index, turn) in conversation.turns.iter().enumerate() {
        let unread = unread.iter().find(|unread| unread.turn == index).map(|unread| unread.reason);
        turns.push(guard.push(&mut state, turn, unread)?);
    }
    Ok(so_far(guard, &state, conversation.id.clone(), turns, circumstances))
}

/// The same of a conversation that has got as far as `state`, with its newest turns.
pub fn so_far<A: Assessor>(
    guard: &Guard<'_, A>,
    state: &GuardState<A::State>,
    id: Option<String>,
    newest: Vec<GuardedTurn>,
    circumstances: &Circumstances,
) -> Report {
    let mut not_evaluated: Vec<NotEvaluated> =
        newest.iter().flat_map(|turn| turn.assessment.not_evaluated.iter().cloned()).collect();
    let verdict = guard.verdict(state);
    for entry in verdict.not_evaluated {
        if !not_evaluated.contains(&entry) {
            not_evaluated.push(entry);
        }
    }
    let language = state.conversation().map(|scores| scores.language);
    let offer = || {
        let person = Person::of(circumstances, language.unwrap_or(Language::Mix), state.tracker());
        guard.policy.offer(&person, circumstances.today)
    };
    Report {
        id,
        status: "ok",
        risk: state.conversation().map(|scores| scores.risk),
        high_risk: state.conversation().map(|_| guard.is_high_risk(state)),
        language,
        signals: state.conversation().map(|scores| scores.signals.clone()),
        turns: newest.into_iter().map(turn_report).collect(),
        verdict: Decision { action: verdict.action, reasons: verdict.reasons },
        not_evaluated,
        resources: (verdict.action > UserAction::Allow).then(offer),
        model: guard.assessor.model().clone(),
        policy: PolicyIdentity { sha256: guard.policy.sha256().to_owned() },
    }
}

/// The answer where a law forbids to score people: nobody was assessed, and nothing
/// says that anybody is safe. `turns` are the newest ones, from place `first` on.
pub fn unscored<A: Assessor>(
    guard: &Guard<'_, A>,
    id: Option<String>,
    (first, turns): (usize, &[Turn]),
    circumstances: &Circumstances,
) -> Report {
    let not_evaluated = vec![NotEvaluated { turn: None, reason: NotEvaluatedReason::ScoringDisabled }];
    let Guard { assessor, policy } = guard;
    let tracker = policy.new_tracker();
    let verdict = policy.judge_person(&Evidence {
        conversation: None,
        tracker: &tracker,
        calibration: assessor.calibration(),
        not_evaluated: &not_evaluated,
    });
    let person = Person::of(circumstances, Language::Mix, &tracker);
    let turn = |(index, turn): (usize, &Turn)| TurnReport {
        index,
        role: turn.role,
        scores: None,
        values: BTreeMap::new(),
    };
    Report {
        id,
        status: "ok",
        risk: None,
        high_risk: None,
        language: None,
        signals: None,
        turns: (first..).zip(turns).map(turn).collect(),
        verdict: Decision { action: verdict.action, reasons: verdict.reasons },
        not_evaluated,
        resources: (verdict.action > UserAction::Allow).then(|| policy.offer(&person, circumstances.today)),
        model: assessor.model().clone(),
        policy: PolicyIdentity { sha256: policy.sha256().to_owned() },
    }
}

/// One turn as a report says it.
pub fn turn_report(guarded: GuardedTurn) -> TurnReport {
    let GuardedTurn { assessment, onsets, reply } = guarded;
    let scores = match (assessment.scores, reply) {
        (TurnScores::User(scores), _) => Some(TurnReportScores::User {
            risk: scores.risk,
            signals: scores.signals,
            crisis: scores.crisis,
            onsets: onsets.iter().map(|onset| onset.label).collect(),
        }),
        (TurnScores::Assistant(scores), Some(verdict)) => Some(TurnReportScores::Assistant {
            reply: ReplyReport { class: scores.classes.top().0, probabilities: scores.classes },
            harm: HarmReport { probabilities: scores.harms, severity: scores.severity.top().0 },
            verdict: Decision { action: verdict.action, reasons: verdict.reasons },
        }),
        (TurnScores::Assistant(_), None) | (TurnScores::None, _) => None,
    };
    TurnReport { index: assessment.index, role: assessment.role, scores, values: assessment.values }
}
