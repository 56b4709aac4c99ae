//! What should happen now, and why. A verdict names an action and gives an
//! explanation tree for it: which rule, which turn, which label, which
//! probability against which threshold. It holds numbers and fixed sentences
//! only, never the text of a conversation, so that it may be stored and sent.
//!
//! Verdicts are made by [`crate::policy`]; this module only says what they are.

use serde::{Deserialize, Serialize};

use crate::assessment::NotEvaluated;
use crate::probability::Probability;
use crate::taxonomy::{CrisisLabel, Harm, ReplyClass, Severity, Signal};

/// What should happen on the person's side, from the mildest to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserAction {
    /// The assistant answers as it would.
    Allow,
    /// The assistant answers with support and resources.
    Support,
    /// A human steps in now.
    Escalate,
}

/// What should happen to an assistant's reply, from the mildest to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyAction {
    /// The reply may be shown.
    Allow,
    /// The reply should be written anew before it is shown.
    Revise,
    /// The reply must not be shown.
    Block,
}

/// A decision with its reasons, the gravest reason first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict<A> {
    /// The gravest action that any reason asks for; the mildest without reasons.
    pub action: A,
    /// One explanation for each rule that found something.
    pub reasons: Vec<Explanation<A>>,
    /// What was not looked at. Never to be read as "safe".
    pub not_evaluated: Vec<NotEvaluated>,
}

/// The rule that an explanation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each rule is documented in its own file")]
pub enum RuleName {
    Risk,
    GraveSignal,
    ConfirmedCrisis,
    Alert,
    PastEvent,
    ThirdParty,
    UnsafeReply,
    HarmfulReply,
    NotEvaluated,
    /// A human was called while it could not be kept: of a server, not of a policy.
    OpenReview,
}

/// The label that a reason is about. On the wire it is the label's own name;
/// no two taxonomies share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// A distress signal.
    Signal(Signal),
    /// An Alert or a Confirm.
    Crisis(CrisisLabel),
    /// A reply class.
    Reply(ReplyClass),
    /// A harm category.
    Harm(Harm),
    /// A severity, standing for "this grave or graver".
    Severity(Severity),
}

/// A probability that reached a threshold, and where.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// The turn that shows it best, from 0, counting all turns.
    pub turn: Option<usize>,
    /// The label; `None` for conversation risk and for sums over labels.
    pub label: Option<Label>,
    /// The probability that was found.
    pub probability: Probability,
    /// The threshold that it reached.
    pub threshold: Probability,
}

/// One reason for a verdict: a node of the explanation tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation<A> {
    /// The rule that speaks.
    pub rule: RuleName,
    /// What the rule asks for.
    pub action: A,
    /// The reason in plain words, without any text of the conversation.
    pub statement: String,
    /// The turn that shows it, from 0, counting all turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<usize>,
    /// The label concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The probability that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<Probability>,
    /// The threshold that the probability reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Probability>,
    /// The findings that this one sums up; empty where there is only one.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Self>,
}

impl<A: Copy + Ord> Explanation<A> {
    /// A reason that rests on a probability.
    pub fn of_score(rule: RuleName, action: A, statement: impl Into<String>, reached: Reached) -> Self {
        Self {
            rule,
            action,
            statement: statement.into(),
            turn: reached.turn,
            label: reached.label,
            probability: Some(reached.probability),
            threshold: Some(reached.threshold),
            details: Vec::new(),
        }
    }

    /// A reason that rests on no number.
    pub fn of_fact(rule: RuleName, action: A, statement: impl Into<String>, turn: Option<usize>) -> Self {
        Self {
            rule,
            action,
            statement: statement.into(),
            turn,
            label: None,
            probability: None,
            threshold: None,
            details: Vec::new(),
        }
    }

    /// Sums up the findings of one rule under `statement`. The gravest finding,
    /// the first of equals, lends its turn, label and numbers; a single finding
    /// stands for itself; none give `None`.
    pub fn summary(statement: impl Into<String>, findings: Vec<Self>) -> Option<Self> {
        let gravest = findings.iter().reduce(graver)?.clone();
        if findings.len() == 1 {
            return Some(gravest);
        }
        Some(Self { statement: statement.into(), details: findings, ..gravest })
    }
}

/// The graver of two findings, the first of equals.
fn graver<'a, A: Ord>(a: &'a Explanation<A>, b: &'a Explanation<A>) -> &'a Explanation<A> {
    if b.action > a.action { b } else { a }
}

impl<A: Copy + Ord> Verdict<A> {
    /// The verdict that follows from what the rules found: the gravest action
    /// asked for, or `mildest` when no rule found anything.
    pub fn from_findings(
        mildest: A,
        mut reasons: Vec<Explanation<A>>,
        not_evaluated: &[NotEvaluated],
    ) -> Self {
        // The sort is stable: rules that ask for the same keep their order.
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.action));
        Self {
            action: reasons.first().map_or(mildest, |gravest| gravest.action.max(mildest)),
            reasons,
            not_evaluated: not_evaluated.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assessment::NotEvaluatedReason;
    use crate::taxonomy::Taxonomy;

    fn p(value: f32) -> Probability {
        Probability::new(value).expect("a probability")
    }

    fn finding(action: UserAction, turn: usize) -> Explanation<UserAction> {
        let reached = Reached {
            turn: Some(turn),
            label: Some(Label::Signal(Signal::Hopelessness)),
            probability: p(0.75),
            threshold: p(0.5),
        };
        Explanation::of_score(RuleName::Risk, action, "A sign was seen.", reached)
    }

    #[test]
    fn actions_are_ordered_by_severity() {
        assert!(UserAction::Allow < UserAction::Support);
        assert!(UserAction::Support < UserAction::Escalate);
        assert!(ReplyAction::Allow < ReplyAction::Revise);
        assert!(ReplyAction::Revise < ReplyAction::Block);
    }

    #[test]
    fn the_gravest_reason_comes_first_and_gives_the_action() {
        let findings = vec![
            finding(UserAction::Support, 0),
            finding(UserAction::Escalate, 1),
            finding(UserAction::Support, 2),
        ];
        let verdict = Verdict::from_findings(UserAction::Allow, findings, &[]);
        assert_eq!(verdict.action, UserAction::Escalate);
        let turns: Vec<_> = verdict.reasons.iter().map(|r| r.turn).collect();
        assert_eq!(turns, [Some(1), Some(0), Some(2)]);
    }

    #[test]
    fn without_findings_the_verdict_is_the_mildest() {
        let verdict = Verdict::from_findings(ReplyAction::Allow, Vec::new(), &[]);
        assert_eq!(verdict.action, ReplyAction::Allow);
        assert!(verdict.reasons.is_empty());
    }

    #[test]
    fn a_summary_takes_its_numbers_from_the_gravest_finding() {
        let findings = vec![finding(UserAction::Support, 3), finding(UserAction::Escalate, 5)];
        let summary = Explanation::summary("Two signs were seen.", findings).expect("findings");
        assert_eq!(summary.action, UserAction::Escalate);
        assert_eq!(summary.turn, Some(5));
        assert_eq!(summary.details.len(), 2);
        assert_eq!(Explanation::<UserAction>::summary("None.", Vec::new()), None);
    }

    #[test]
    fn a_verdict_on_the_wire_uses_wire_names_and_reads_back() {
        let unread = NotEvaluated { turn: Some(4), reason: NotEvaluatedReason::Truncated };
        let verdict =
            Verdict::from_findings(UserAction::Allow, vec![finding(UserAction::Support, 3)], &[unread]);
        let json = serde_json::to_string_pretty(&verdict).expect("serialises");
        insta::assert_snapshot!(json, @r#"
        {
          "action": "support",
          "reasons": [
            {
              "rule": "risk",
              "action": "support",
              "statement": "A sign was seen.",
              "turn": 3,
              "label": "hopelessness",
              "probability": 0.75,
              "threshold": 0.5
            }
          ],
          "not_evaluated": [
            {
              "turn": 4,
              "reason": "truncated"
            }
          ]
        }
        "#);
        let back: Verdict<UserAction> = serde_json::from_str(&json).expect("reads");
        assert_eq!(back, verdict);
    }

    #[test]
    fn every_label_reads_back_from_its_wire_name() {
        let mut labels: Vec<Label> = Vec::new();
        labels.extend(Signal::ALL.iter().map(|&l| Label::Signal(l)));
        labels.extend(CrisisLabel::ALL.iter().map(|&l| Label::Crisis(l)));
        labels.extend(ReplyClass::ALL.iter().map(|&l| Label::Reply(l)));
        labels.extend(Harm::ALL.iter().map(|&l| Label::Harm(l)));
        labels.extend(Severity::ALL.iter().map(|&l| Label::Severity(l)));
        for label in labels {
            let json = serde_json::to_string(&label).expect("serialises");
            let back: Label = serde_json::from_str(&json).expect("reads");
            assert_eq!(back, label);
        }
    }
}
