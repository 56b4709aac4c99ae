//! From what the teacher said to what the student learns: soft targets for the losses, and
//! stand-ins for labels that nobody has given.
//!
//! A task has labels if any source of the split has some. Then those alone fit and measure
//! it. Where no source has, the teacher's calls at its own thresholds stand in on every
//! conversation: blend, calibration and thresholds are then fitted to follow the teacher.

use std::collections::{BTreeMap, BTreeSet};

use mindrail_core::assessment::{ConversationScores, UserScores};
use mindrail_core::calibration::Calibration;
use mindrail_core::policy::rules::unsafe_probability;
use mindrail_core::policy::{Policy, is_high_risk};
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal, Taxonomy};

use super::judgement::{ConversationJudgement, Judgement, ReplyJudgement, TurnJudgement};
use super::lessons::Lesson;
use super::{DistillConfig, LabelsOf, Task};
use crate::train::examples::Example;
use crate::train::targets::{ReplyTargets, Targets, TurnTargets};

/// How a teacher teaches.
pub(super) struct Teaching<'a> {
    pub(super) settings: &'a DistillConfig,
    /// The teacher's own.
    pub(super) calibration: &'a Calibration,
    pub(super) covers: &'a BTreeSet<Task>,
}

/// Whose labels each task of a split has.
pub(super) struct StandIns {
    pub(super) labels: BTreeMap<Task, LabelsOf>,
}

impl StandIns {
    pub(super) fn is_untaught(&self, task: Task) -> bool {
        self.labels.get(&task) == Some(&LabelsOf::Nobody)
    }
}

impl Teaching<'_> {
    /// Gives every example its soft targets, then its stand-ins. The order matters: a
    /// stand-in is no label, so no target may have a share of it.
    pub(super) fn teach(&self, examples: &mut [Example], lessons: &[Lesson]) -> StandIns {
        let labels = self.labels_of(examples);
        for (example, lesson) in examples.iter_mut().zip(lessons) {
            let soft = lesson.judgement.targets(self.settings.temperature);
            example.soft = Some(Targets::of_labels(example).mixed(soft, self.settings.hard_share));
            for (&task, _) in labels.iter().filter(|(_, of)| **of == LabelsOf::Teacher) {
                self.stand_in(task, example, &lesson.judgement);
            }
        }
        StandIns { labels }
    }

    fn labels_of(&self, examples: &[Example]) -> BTreeMap<Task, LabelsOf> {
        let of = |task: Task| match task {
            _ if examples.iter().any(|example| is_labelled(example, task)) => LabelsOf::Sources,
            _ if self.covers.contains(&task) => LabelsOf::Teacher,
            _ => LabelsOf::Nobody,
        };
        Task::ALL.into_iter().map(|task| (task, of(task))).collect()
    }

    fn stand_in(&self, task: Task, example: &mut Example, judgement: &Judgement) {
        let conversation = judgement.conversation.as_ref();
        match task {
            Task::Risk => {
                example.high_risk = conversation.and_then(|c| self.called(c));
                example.said.risk = conversation.and_then(|c| c.risk);
                example.said.support = conversation.and_then(|c| is_supported(c, self.calibration));
            }
            Task::Signals => {
                example.signals = conversation.and_then(|c| self.active(c));
                example.said.signals = conversation.and_then(|c| c.signals.clone());
            }
            Task::Crisis => {
                for (turn, begins) in example.turns.iter_mut().zip(self.onsets(judgement)) {
                    turn.crisis = begins;
                }
            }
            Task::Replies => {
                for (reply, judgement) in example.replies.iter_mut().zip(&judgement.replies) {
                    reply.class = judgement.as_ref().and_then(|j| self.class(j));
                }
            }
            Task::Harms => {
                for (reply, judgement) in example.replies.iter_mut().zip(&judgement.replies) {
                    reply.harm = judgement.as_ref().and_then(|j| self.harm(j));
                    reply.said = judgement.as_ref().and_then(|j| j.harms.clone());
                }
            }
        }
    }

    fn called(&self, said: &ConversationJudgement) -> Option<bool> {
        Some(is_high_risk(&conversation_scores(said)?, self.calibration))
    }

    fn active(&self, said: &ConversationJudgement) -> Option<Vec<f32>> {
        let signals = said.signals.as_ref()?;
        let is_active = |(signal, p): (Signal, Probability)| p >= self.calibration.signals[signal];
        Some(signals.iter().map(|one| if is_active(one) { 1.0 } else { 0.0 }).collect())
    }

    /// The onsets that the tracker makes of the teacher's turns, in the shape of labels.
    fn onsets(&self, judgement: &Judgement) -> Vec<Option<Vec<CrisisLabel>>> {
        let mut tracker = Policy::default().new_tracker();
        let turns = judgement.turns.iter().enumerate();
        turns
            .map(|(index, turn)| {
                let scores = crisis_only(turn.as_ref()?)?;
                let onsets = tracker.observe(index, &scores, self.calibration);
                Some(onsets.iter().map(|onset| onset.label).collect())
            })
            .collect()
    }

    /// The likeliest unsafe class if those together reach the teacher's threshold.
    fn class(&self, said: &ReplyJudgement) -> Option<ReplyClass> {
        let classes = said.classes.as_ref()?;
        let mut others = classes.clone();
        others.set(ReplyClass::SafeResponse, Probability::ZERO);
        Some(if is_unsafe(classes, self.calibration) { others.top().0 } else { ReplyClass::SafeResponse })
    }

    fn harm(&self, said: &ReplyJudgement) -> Option<(Vec<Harm>, Severity)> {
        let (harms, severity) = (said.harms.as_ref()?, said.severity.as_ref()?);
        let present = harms.iter().filter(|&(harm, p)| p >= self.calibration.harms[harm]);
        Some((present.map(|(harm, _)| harm).collect(), severity.top().0))
    }
}

/// Whether the unsafe classes together reach the threshold.
pub(super) fn is_unsafe(classes: &Scores<ReplyClass>, calibration: &Calibration) -> bool {
    unsafe_probability(classes) >= calibration.unsafe_reply
}

/// Whether the risk reaches the threshold for support; none where there is no threshold.
pub(super) fn is_supported(said: &ConversationJudgement, calibration: &Calibration) -> Option<bool> {
    Some(said.risk? >= calibration.thresholds.get(&said.language)?.support.value)
}

/// The scores that thresholds are asked about; signals count for none of them.
pub(super) fn conversation_scores(said: &ConversationJudgement) -> Option<ConversationScores> {
    let signals = Scores::uniform(Probability::ZERO);
    Some(ConversationScores { risk: said.risk?, signals, language: said.language })
}

/// A turn's scores as far as the tracker makes onsets of them.
fn crisis_only(said: &TurnJudgement) -> Option<UserScores> {
    let signals = Scores::uniform(Probability::ZERO);
    Some(UserScores { risk: Probability::ZERO, signals, crisis: said.onsets.clone()? })
}

fn is_labelled(example: &Example, task: Task) -> bool {
    match task {
        Task::Risk => example.high_risk.is_some(),
        Task::Signals => example.signals.is_some(),
        Task::Crisis => example.has_labelled_turns(),
        Task::Replies => example.replies.iter().any(|reply| reply.class.is_some()),
        Task::Harms => example.replies.iter().any(|reply| reply.harm.is_some()),
    }
}

impl Judgement {
    /// What was said as targets.
    fn targets(&self, temperature: f32) -> Targets {
        let one = |p: Probability| soften_one(p.get(), temperature);
        let conversation = self.conversation.as_ref();
        let turn = |said: &Option<TurnJudgement>| {
            said.as_ref().map_or_else(TurnTargets::default, |said| TurnTargets {
                risk: said.risk.map(one),
                crisis: said.onsets.as_ref().map(|onsets| each(onsets, temperature)),
            })
        };
        let reply = |said: &Option<ReplyJudgement>| {
            said.as_ref().map_or_else(ReplyTargets::default, |said| ReplyTargets {
                classes: said.classes.as_ref().and_then(|classes| shares(classes, temperature)),
                harms: said.harms.as_ref().map(|harms| each(harms, temperature)),
                severity: said.severity.as_ref().and_then(|severity| shares(severity, temperature)),
            })
        };
        Targets {
            risk: conversation.and_then(|c| c.risk).map(one),
            signals: conversation.and_then(|c| c.signals.as_ref()).map(|signals| each(signals, temperature)),
            turns: self.turns.iter().map(turn).collect(),
            replies: self.replies.iter().map(reply).collect(),
        }
    }
}

/// Probabilities that are independent of one another, each softened.
fn each<T: Taxonomy>(scores: &Scores<T>, temperature: f32) -> Vec<f32> {
    scores.iter().map(|(_, p)| soften_one(p.get(), temperature)).collect()
}

/// A distribution, softened; none where nothing has any probability.
fn shares<T: Taxonomy>(scores: &Scores<T>, temperature: f32) -> Option<Vec<f32>> {
    let found: Vec<f32> = scores.iter().map(|(_, p)| p.get()).collect();
    (found.iter().sum::<f32>() > 0.0).then(|| soften(&found, temperature))
}

/// A yes or no is a distribution of two.
fn soften_one(probability: f32, temperature: f32) -> f32 {
    soften(&[probability, 1.0 - probability], temperature)[0]
}

/// `p^(1 / T)`, brought to sum 1: the softmax of the logits divided by `T`.
fn soften(probabilities: &[f32], temperature: f32) -> Vec<f32> {
    let raised: Vec<f32> = probabilities.iter().map(|p| p.powf(1.0 / temperature)).collect();
    let total: f32 = raised.iter().sum();
    raised.iter().map(|p| p / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_of_one_changes_nothing_and_a_higher_one_makes_less_sure() {
        for p in [0.0, 0.1, 0.5, 0.83, 1.0] {
            assert!((soften_one(p, 1.0) - p).abs() < 1e-6);
        }
        // 0.9 has logit ln 9; half of it is ln 3, which is 0.75.
        assert!((soften_one(0.9, 2.0) - 0.75).abs() < 1e-6);
        assert!((soften_one(0.1, 2.0) - 0.25).abs() < 1e-6);
        let soft = soften(&[0.81, 0.16, 0.01], 2.0);
        for (found, expected) in soft.iter().zip([0.9 / 1.4, 0.4 / 1.4, 0.1 / 1.4]) {
            assert!((found - expected).abs() < 1e-6, "{soft:?}");
        }
    }

    #[test]
    fn a_distribution_without_any_probability_is_no_target() {
        assert_eq!(shares(&Scores::<Severity>::uniform(Probability::ZERO), 1.0), None);
    }
}
