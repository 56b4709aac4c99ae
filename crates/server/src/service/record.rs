//! Decisions as the trail holds them: numbers and names of rules and labels, never
//! a text.

use mindrail_core::assessment::TurnScores;
use mindrail_core::guard::GuardedTurn;
use mindrail_core::probability::Probability;
use mindrail_core::report::Report;
use mindrail_core::verdict::Explanation;
use serde::Serialize;

use super::{Call, Service, wire};
use crate::audit::{Decision, Reason, Scanned, Span, Status, Subject};

/// A decision of which the outcome is open.
pub(super) fn decision(service: &Service, call: Call<'_>, subject: Subject, scanned: Span) -> Decision {
    Decision {
        at_ms: call.at_ms,
        tenant: call.tenant.name.clone(),
        subject,
        conversation: None,
        person: None,
        scanned,
        part: None,
        digest: String::new(),
        model: service.judge_of().model().sha256.clone(),
        policy: call.tenant.policy.sha256().to_owned(),
        risk: None,
        action: String::new(),
        reasons: Vec::new(),
        signals: None,
        turns: Vec::new(),
        resources_offered: false,
        status: Status::Ok,
        latency_us: call.began.elapsed().as_micros() as u64,
        origin: None,
    }
}

impl Decision {
    /// The same with the outcome that a report states.
    pub(super) fn with_report(mut self, report: &Report, turns: &[GuardedTurn]) -> Self {
        self.risk = report.risk.map(Probability::get);
        self.action = wire(&report.verdict.action);
        self.reasons = reasons(&report.verdict.reasons);
        self.signals.clone_from(&report.signals);
        self.turns = turns.iter().map(scanned).collect();
        self.resources_offered = report.resources.is_some();
        if !report.not_evaluated.is_empty() {
            self.status = Status::NotEvaluated;
        }
        self
    }

    /// The same with the verdict on a reply.
    pub(super) fn with_reply(mut self, guarded: &GuardedTurn) -> Self {
        self.turns = vec![scanned(guarded)];
        // A turn without a verdict was not judged, and what was not judged is not shown.
        let Some(verdict) = &guarded.reply else {
            return Self { action: "block".to_owned(), status: Status::NotEvaluated, ..self };
        };
        self.action = wire(&verdict.action);
        self.reasons = reasons(&verdict.reasons);
        if !verdict.not_evaluated.is_empty() {
            self.status = Status::NotEvaluated;
        }
        self
    }
}

fn reasons<A: Serialize>(reasons: &[Explanation<A>]) -> Vec<Reason> {
    let reason = |reason: &Explanation<A>| Reason {
        rule: wire(&reason.rule),
        action: wire(&reason.action),
        turn: reason.turn,
        label: reason.label.as_ref().map(wire),
        probability: reason.probability.map(Probability::get),
        threshold: reason.threshold.map(Probability::get),
    };
    reasons.iter().map(reason).collect()
}

fn scanned(turn: &GuardedTurn) -> Scanned {
    let (mut risk, mut class) = (None, None);
    match &turn.assessment.scores {
        TurnScores::User(scores) => risk = Some(scores.risk.get()),
        TurnScores::Assistant(scores) => class = Some(scores.classes.top().0),
        TurnScores::None => {}
    }
    let onsets = turn.onsets.iter().map(|onset| onset.label).collect();
    Scanned { turn: turn.assessment.index, role: turn.assessment.role, risk, onsets, class }
}
