//! From held-out scores to the numbers that ship: the blend of deep and wide
//! part, the calibration, the thresholds.
//!
//! Three parts of the data, disjoint: the dev sources choose the checkpoint;
//! one half of the folds' held-out conversations (by a hash of the id) fits
//! blend and calibration; the other half chooses the thresholds. A conversation
//! is scored by a model that has not seen its author, and counts in both views,
//! with its listener and without.

use std::collections::{BTreeMap, BTreeSet};

use mindrail_core::assessment::UserScores;
use mindrail_core::calibration::{
    Calibration, Estimate, Platt, RiskThreshold, RiskThresholds, SignalFloor, fit_logistic,
    threshold_for_max_f1, threshold_for_recall,
};
use mindrail_core::language::Language;
use mindrail_core::metrics::{MicroF1, OnsetSets, confusion_at, count_onsets, wilson_interval};
use mindrail_core::policy::Policy;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal, Stage, Taxonomy};
use mindrail_core::tracker::Tracker;

use super::TrainError;
use super::held_out::{Scored, UserLogits};
use super::objective::pool;
use crate::architecture::outputs;
use crate::assessor::reply_scores;
use crate::bundle::sha256;
use crate::bundle::{Blend, BundleCalibration, Mix};
use crate::figures::Outcome;
use crate::train::CONVERSATION_OUTPUTS;

/// A grave signal at or above this is certain: the policy's default asks for
/// the same.
const CERTAIN: f32 = 0.9;

/// The support threshold reaches this share of the high-risk conversations.
const SUPPORT_RECALL: f64 = 0.95;

/// Both halves of the held-out conversations.
struct Halves<'a> {
    calibration: Vec<&'a Scored>,
    thresholds: Vec<&'a Scored>,
}

impl<'a> Halves<'a> {
    fn new(held_out: &'a [Scored]) -> Self {
        let (calibration, thresholds) =
            held_out.iter().partition(|s| sha256(s.id.as_bytes()).as_bytes()[0].is_multiple_of(2));
        Self { calibration, thresholds }
    }
}

/// Fits blend, calibration and thresholds on held-out scores.
pub(super) fn fit(held_out: &[Scored], sharpness: f32) -> Result<BundleCalibration, TrainError> {
    let halves = Halves::new(held_out);
    let blend = fit_blend(&halves.calibration, sharpness)?;
    let scorer = Scorer { blend, platt: Platt::IDENTITY, sharpness };
    let platt = fit_platt(&scorer, &halves.calibration)?;
    let scorer = Scorer { platt, ..scorer };
    let thresholds = risk_thresholds(&scorer, &halves.thresholds)?;
    let calibration = Calibration {
        risk: platt,
        floor: SignalFloor { certain: probability(CERTAIN) },
        thresholds,
        signals: signal_thresholds(&scorer, &halves.thresholds),
        crisis: crisis_thresholds(&scorer, &halves.thresholds),
        unsafe_reply: unsafe_threshold(&scorer, &halves.thresholds),
        replies: Scores::uniform(probability(0.5)),
        harms: Scores::uniform(probability(0.5)),
    };
    Ok(BundleCalibration { blend, calibration })
}

/// The weights of the two parts, by logistic regression on their logits.
fn fit_blend(rows: &[&Scored], sharpness: f32) -> Result<Blend, TrainError> {
    let mut risk = Pairs::default();
    let mut signals = Pairs::default();
    let mut crisis = Pairs::default();
    let mut harms = Pairs::default();
    for scored in rows {
        for view in &scored.views {
            add_conversation(scored, (view, sharpness), &mut risk, &mut signals);
            for (turn, gold) in view.iter().zip(scored.onsets.iter().flatten()) {
                for label in CrisisLabel::ALL {
                    let i = label.index();
                    crisis.push(turn.deep[outputs::CRISIS + i], turn.wide_turn[i], gold.contains(label));
                }
            }
        }
        for reply in &scored.replies {
            for harm in Harm::ALL {
                let i = outputs::HARMS + harm.index();
                if let Some((gold, _)) = &reply.harm {
                    harms.push(reply.deep[i], reply.wide[i], gold.contains(harm));
                }
            }
        }
    }
    let classes = |row: &super::held_out::ReplyLogits| Some((0..outputs::HARMS, row.class.index()));
    let severity = |row: &super::held_out::ReplyLogits| {
        Some((outputs::SEVERITY..outputs::SEVERITY + Severity::ALL.len(), row.harm.as_ref()?.1.index()))
    };
    Ok(Blend {
        risk: risk.fit("risk")?,
        signals: signals.fit("signals")?,
        crisis: crisis.fit("crisis")?,
        harms: harms.fit("harms")?,
        classes: best_softmax_mix(rows, classes),
        severity: best_softmax_mix(rows, severity),
    })
}

/// A conversation's last turn with the pooled deep logit stands for its risk
/// and its signals.
fn add_conversation(
    scored: &Scored,
    (view, sharpness): (&[UserLogits], f32),
    risk: &mut Pairs,
    signals: &mut Pairs,
) {
    let Some(last) = view.last() else { return };
    for output in 0..CONVERSATION_OUTPUTS {
        let deep: Vec<f32> = view.iter().map(|t| t.deep[output]).collect();
        let deep = pool(&deep, sharpness).0;
        let wide = last.wide_conversation[output];
        if output == outputs::RISK {
            risk.push(deep, wide, scored.high_risk);
        } else if let Some(gold) = &scored.signals {
            signals.push(deep, wide, gold[output - outputs::SIGNALS] > 0.5);
        }
    }
}

/// Logits of both parts with a binary label.
#[derive(Default)]
struct Pairs {
    features: Vec<Vec<f64>>,
    labels: Vec<bool>,
}

impl Pairs {
    fn push(&mut self, deep: f32, wide: f32, label: bool) {
        self.features.push(vec![f64::from(deep), f64::from(wide)]);
        self.labels.push(label);
    }

    /// The regression's weights; a part that it would weigh negatively gets 0
    /// and the other is fitted alone.
    fn fit(&self, name: &str) -> Result<Mix, TrainError> {
        let error = |e: &dyn ToString| TrainError::Calibration(format!("{name}: {}", e.to_string()));
        let both = fit_logistic(&self.features, &self.labels, 1.0).map_err(|e| error(&e))?;
        let (deep, wide) = (both.weights[0] as f32, both.weights[1] as f32);
        if deep >= 0.0 && wide >= 0.0 {
            return Ok(Mix { deep, wide, bias: both.intercept as f32 });
        }
        let kept = usize::from(deep < 0.0);
        let single: Vec<Vec<f64>> = self.features.iter().map(|f| vec![f[kept]]).collect();
        let one = fit_logistic(&single, &self.labels, 1.0).map_err(|e| error(&e))?;
        let weight = (one.weights[0] as f32).max(0.0);
        let bias = one.intercept as f32;
        Ok(if kept == 0 {
            Mix { deep: weight, wide: 0.0, bias }
        } else {
            Mix { deep: 0.0, wide: weight, bias }
        })
    }
}

/// The softmax blend with the lowest log loss on a grid.
fn best_softmax_mix(
    rows: &[&Scored],
    target: impl Fn(&super::held_out::ReplyLogits) -> Option<(std::ops::Range<usize>, usize)>,
) -> Mix {
    const GRID: [f32; 8] = [0.0, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0];
    let replies: Vec<_> =
        rows.iter().flat_map(|s| &s.replies).filter_map(|r| Some((r, target(r)?))).collect();
    let loss = |mix: Mix| -> f64 {
        let mut gradient = vec![0.0; outputs::REPLY];
        let one =
            |(reply, (range, gold)): &(&super::held_out::ReplyLogits, (std::ops::Range<usize>, usize))| {
                let logits: Vec<f32> =
                    range.clone().map(|i| mix.apply(reply.deep[i], reply.wide[i])).collect();
                f64::from(super::objective::categorical(&logits, *gold, 1.0, &mut gradient))
            };
        replies.iter().map(one).sum()
    };
    let mixes = GRID.iter().flat_map(|&deep| GRID.iter().map(move |&wide| Mix { deep, wide, bias: 0.0 }));
    let mut best = (f64::INFINITY, Mix { deep: 1.0, wide: 0.0, bias: 0.0 });
    for mix in mixes {
        let found = loss(mix);
        if found < best.0 {
            best = (found, mix);
        }
    }
    best.1
}

/// Turns logits into what the assessor would say.
#[derive(Clone, Copy)]
pub(super) struct Scorer {
    pub(super) blend: Blend,
    pub(super) platt: Platt,
    pub(super) sharpness: f32,
}

impl Scorer {
    /// Blended logit of risk or a signal after the last turn of a view.
    fn logit(&self, view: &[UserLogits], output: usize) -> f32 {
        let mix = if output == outputs::RISK { self.blend.risk } else { self.blend.signals };
        let deep: Vec<f32> = view.iter().map(|t| t.deep[output]).collect();
        let wide = view.last().map_or(0.0, |t| t.wide_conversation[output]);
        mix.apply(pool(&deep, self.sharpness).0, wide)
    }

    fn signals(&self, view: &[UserLogits]) -> Scores<Signal> {
        Scores::from_fn(|signal: Signal| {
            Probability::from_logit(self.logit(view, outputs::SIGNALS + signal.index()))
        })
    }

    fn risk(&self, view: &[UserLogits]) -> Probability {
        let floor = SignalFloor { certain: probability(CERTAIN) };
        floor.apply(self.platt.apply(self.logit(view, outputs::RISK)), &self.signals(view))
    }

    fn crisis(&self, turn: &UserLogits) -> Scores<CrisisLabel> {
        Scores::from_fn(|label: CrisisLabel| {
            let i = label.index();
            Probability::from_logit(
                self.blend.crisis.apply(turn.deep[outputs::CRISIS + i], turn.wide_turn[i]),
            )
        })
    }

    /// Gold and tracked onsets of one view.
    fn onsets(
        &self,
        scored: &Scored,
        view: &[UserLogits],
        calibration: &Calibration,
    ) -> Option<OnsetSets<usize>> {
        let gold = scored.onsets.as_ref()?;
        let gold = gold
            .iter()
            .enumerate()
            .flat_map(|(turn, labels)| labels.iter().map(move |l| (turn, l.index())))
            .collect();
        let mut tracker = Policy::default().new_tracker();
        let mut predicted = BTreeSet::new();
        for (turn, logits) in view.iter().enumerate() {
            predicted.extend(self.observe(&mut tracker, turn, logits, calibration));
        }
        Some(OnsetSets { gold, predicted })
    }

    fn observe(
        &self,
        tracker: &mut Tracker,
        turn: usize,
        logits: &UserLogits,
        calibration: &Calibration,
    ) -> Vec<(usize, usize)> {
        let scores = UserScores {
            risk: Probability::ZERO,
            signals: Scores::uniform(Probability::ZERO),
            crisis: self.crisis(logits),
        };
        tracker.observe(turn, &scores, calibration).iter().map(|onset| (turn, onset.label.index())).collect()
    }

    /// What the assessor would say of a conversation in one view.
    pub(super) fn outcome(&self, scored: &Scored, view: usize, calibration: &Calibration) -> Outcome {
        let turns = &scored.views[view];
        let risk = self.risk(turns);
        let threshold = calibration.thresholds.get(&scored.language).map(|t| t.high_risk.value);
        Outcome {
            language: scored.language,
            high_risk: scored.high_risk,
            risk: f64::from(risk.get()),
            called: threshold.is_some_and(|t| risk >= t),
            gold_signals: scored.signals.as_ref().map(|s| s.iter().map(|&v| v > 0.5).collect()),
            signals: self.signals(turns).iter().map(|(_, p)| f64::from(p.get())).collect(),
            onsets: self.onsets(scored, turns, calibration),
            replies: scored.replies.iter().map(|r| (r.class.index(), self.class(r).index())).collect(),
        }
    }

    fn class(&self, reply: &super::held_out::ReplyLogits) -> ReplyClass {
        reply_scores(&self.blend, &reply.deep, &reply.wide).classes.top().0
    }
}

fn fit_platt(scorer: &Scorer, rows: &[&Scored]) -> Result<Platt, TrainError> {
    let (logits, labels): (Vec<f32>, Vec<bool>) = rows
        .iter()
        .flat_map(|s| s.views.iter().map(|view| (scorer.logit(view, outputs::RISK), s.high_risk)))
        .unzip();
    Platt::fit(&logits, &labels).map_err(|e| TrainError::Calibration(format!("risk: {e}")))
}

/// One value for all languages, because single languages have too few rows for
/// one of their own; recall and false-positive rate are each language's.
fn risk_thresholds(
    scorer: &Scorer,
    rows: &[&Scored],
) -> Result<BTreeMap<Language, RiskThresholds>, TrainError> {
    let error = |e: &dyn ToString| TrainError::Calibration(format!("risk thresholds: {}", e.to_string()));
    let scored = |language: Option<Language>| -> (Vec<Probability>, Vec<bool>) {
        let own = rows.iter().filter(|s| language.is_none_or(|l| s.language == l));
        own.flat_map(|s| s.views.iter().map(|view| (scorer.risk(view), s.high_risk))).unzip()
    };
    let (risks, labels) = scored(None);
    let high = threshold_for_max_f1(&risks, &labels).map_err(|e| error(&e))?;
    let mut support = threshold_for_recall(&risks, &labels, SUPPORT_RECALL).map_err(|e| error(&e))?;
    if support.value > high.value {
        support.value = high.value;
    }
    let mut thresholds = BTreeMap::new();
    for language in Language::ALL {
        let (risks, labels) = scored(Some(language));
        let at = |chosen: &RiskThreshold| {
            achieved(chosen, &risks, &labels)
                .ok_or_else(|| error(&format!("no rows in `{}`", language.wire())))
        };
        thresholds.insert(language, RiskThresholds { high_risk: at(&high)?, support: at(&support)? });
    }
    Ok(thresholds)
}

/// The same threshold with what it achieves on these rows.
fn achieved(threshold: &RiskThreshold, risks: &[Probability], labels: &[bool]) -> Option<RiskThreshold> {
    let scores: Vec<f64> = risks.iter().map(|p| f64::from(p.get())).collect();
    let counts = confusion_at(&scores, labels, f64::from(threshold.value.get()));
    let estimate = |hits: usize, of: usize| {
        let (low, high) = wilson_interval(hits, of)?;
        Some(Estimate { value: hits as f64 / of as f64, low, high })
    };
    Some(RiskThreshold {
        value: threshold.value,
        target: format!("{}, all languages together", threshold.target),
        recall: estimate(counts.tp, counts.tp + counts.fn_)?,
        false_positive_rate: estimate(counts.fp, counts.fp + counts.tn)?,
        rows: labels.len(),
    })
}

/// The threshold of each signal with the highest F1.
fn signal_thresholds(scorer: &Scorer, rows: &[&Scored]) -> Scores<Signal> {
    Scores::from_fn(|signal: Signal| {
        let labelled = rows.iter().filter_map(|s| Some((s, s.signals.as_ref()?[signal.index()] > 0.5)));
        let (scores, labels): (Vec<Probability>, Vec<bool>) = labelled
            .flat_map(|(s, gold)| s.views.iter().map(move |view| (scorer.signals(view)[signal], gold)))
            .unzip();
        threshold_for_max_f1(&scores, &labels).map_or(probability(0.5), |t| t.value)
    })
}

/// One threshold for alerts and one for confirms: the pair with the highest
/// turn-level micro F1 after tracking.
fn crisis_thresholds(scorer: &Scorer, rows: &[&Scored]) -> Scores<CrisisLabel> {
    let steps: Vec<f32> = (1..=20).map(|i| 0.03 * i as f32).collect();
    let mut best = (-1.0, 0.3, 0.3);
    for &alert in &steps {
        for &confirm in &steps {
            let calibration = crisis_only(alert, confirm);
            let sets = rows
                .iter()
                .flat_map(|s| s.views.iter().filter_map(|view| scorer.onsets(s, view, &calibration)));
            let counts: MicroF1 = sets.map(|sets| count_onsets(&sets, 0)).sum();
            if counts.f1() > best.0 {
                best = (counts.f1(), alert, confirm);
            }
        }
    }
    by_stage(best.1, best.2)
}

fn by_stage(alert: f32, confirm: f32) -> Scores<CrisisLabel> {
    Scores::from_fn(|label: CrisisLabel| {
        probability(if label.stage() == Stage::Alert { alert } else { confirm })
    })
}

/// A calibration of which the tracker reads the crisis and signal thresholds.
fn crisis_only(alert: f32, confirm: f32) -> Calibration {
    Calibration {
        risk: Platt::IDENTITY,
        floor: SignalFloor { certain: Probability::ONE },
        thresholds: BTreeMap::new(),
        signals: Scores::uniform(Probability::ONE),
        crisis: by_stage(alert, confirm),
        unsafe_reply: Probability::ONE,
        replies: Scores::uniform(Probability::ONE),
        harms: Scores::uniform(Probability::ONE),
    }
}

/// The threshold on the unsafe classes together with the highest F1.
fn unsafe_threshold(scorer: &Scorer, rows: &[&Scored]) -> Probability {
    let replies = rows.iter().flat_map(|s| &s.replies);
    let (scores, labels): (Vec<Probability>, Vec<bool>) = replies
        .map(|r| {
            let safe = reply_scores(&scorer.blend, &r.deep, &r.wide).classes[ReplyClass::SafeResponse];
            (probability(1.0 - safe.get()), !r.class.is_safe())
        })
        .unzip();
    threshold_for_max_f1(&scores, &labels).map_or(probability(0.5), |t| t.value)
}

fn probability(value: f32) -> Probability {
    Probability::new(value.clamp(0.0, 1.0)).unwrap_or(Probability::ONE)
}
