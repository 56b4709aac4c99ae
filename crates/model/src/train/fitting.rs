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
    Calibration, Estimate, FitError, Platt, RiskThreshold, RiskThresholds, SignalFloor, fit_logistic_to,
    threshold_for_max_f1, threshold_for_recall,
};
use mindrail_core::digest::sha256;
use mindrail_core::language::Language;
use mindrail_core::metrics::{MicroF1, OnsetSets, auroc, confusion_at, count_onsets, wilson_interval};
use mindrail_core::policy::Policy;
use mindrail_core::policy::rules::unsafe_probability;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{
    CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal, Stage, Taxonomy, Tense,
};
use mindrail_core::tracker::{Tracker, TrackerConfig};

use super::TrainError;
use super::examples::Example;
use super::held_out::{ReplyLogits, Scored, UserLogits};
use super::objective::pool;
use crate::architecture::outputs;
use crate::assessor::reply_scores;
use crate::bundle::{Blend, BundleCalibration, Mix};
use crate::figures::Outcome;

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
        let (calibration, thresholds) = held_out.iter().partition(|s| calibrates(&s.id));
        Self { calibration, thresholds }
    }
}

/// Whether a conversation is of the half that fits blend and calibration.
fn calibrates(id: &str) -> bool {
    sha256(id.as_bytes()).as_bytes()[0].is_multiple_of(2)
}

/// Whose labels the fit rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Footing {
    /// Everything has labels, and every language has rows of its own.
    Labels,
    /// A distillation whose sources have labels of risk. Languages may lack rows.
    Distilled,
    /// A distillation in which the teacher's calls stand in for labels of risk.
    Teacher,
}

/// The fewest labels of a kind that a fit may rest on. With five replies that the teacher
/// had called unsafe, all but one in one half, the student called none of 37 others.
const FEWEST: usize = 5;

/// What is fitted by itself, and so needs examples of both kinds.
const FITTED: [&str; 6] = ["high risk", "signals", "alerts", "confirms", "harms", "unsafe replies"];

/// Finds out before a training whether its labels will do for the fit after it.
pub(super) fn must_be_fittable(examples: &[&Example]) -> Result<(), TrainError> {
    for (half, is_first) in [("calibration", true), ("thresholds", false)] {
        let own = examples.iter().filter(|example| calibrates(&example.id) == is_first);
        let mut counts = [[0; 2]; FITTED.len()];
        own.for_each(|example| count_labels(example, &mut counts));
        if let Some((what, [no, yes])) =
            FITTED.iter().zip(counts).find(|(_, counts)| counts.iter().any(|&count| count < FEWEST))
        {
            return Err(TrainError::Calibration(format!(
                "{what}: the half of the conversations for {half} has {yes} labels of it and {no} of its absence, expected at least {FEWEST} of both; add a source that has, such as the corpus"
            )));
        }
    }
    Ok(())
}

/// Adds an example's labels to the counts of no and yes, for each of [`FITTED`].
fn count_labels(example: &Example, counts: &mut [[usize; 2]; FITTED.len()]) {
    let mut count = |what: usize, is_so: bool| counts[what][usize::from(is_so)] += 1;
    example.high_risk.into_iter().for_each(|is_so| count(0, is_so));
    example.signals.iter().flatten().for_each(|&signal| count(1, signal > 0.5));
    for begins in example.turns.iter().filter_map(|turn| turn.crisis.as_ref()) {
        for label in CrisisLabel::ALL {
            count(if Decided::Alert.covers(*label) { 2 } else { 3 }, begins.contains(label));
        }
    }
    for reply in &example.replies {
        reply.class.into_iter().for_each(|class| count(5, !class.is_safe()));
        // Harms are rare, and a teacher's probabilities fit without any that it would call.
        let said = reply.said.iter().flat_map(|_| [true, false]);
        said.for_each(|is_so| count(4, is_so));
        if let Some((harms, _)) = reply.known_harm() {
            Harm::ALL.iter().for_each(|harm| count(4, harms.contains(harm)));
        }
    }
}

/// Fits blend, calibration and thresholds on held-out scores.
pub(super) fn fit(
    held_out: &[Scored],
    sharpness: f32,
    footing: Footing,
) -> Result<BundleCalibration, TrainError> {
    let halves = Halves::new(held_out);
    let blend = fit_blend(&halves.calibration, sharpness)?;
    let scorer = Scorer { blend, platt: Platt::IDENTITY, sharpness, tracker: Policy::default().tracker };
    let platt = fit_platt(&scorer, &halves.calibration)?;
    let scorer = Scorer { platt, ..scorer };
    let (high_risk, thresholds) = risk_thresholds(&scorer, &halves.thresholds, footing)?;
    let calibration = Calibration {
        risk: platt,
        floor: SignalFloor { certain: probability(CERTAIN) },
        certain_confirm: certain_confirm(&scorer, &halves.thresholds, high_risk, footing)?,
        thresholds,
        signals: signal_thresholds(&scorer, &halves.thresholds),
        crisis: crisis_thresholds(&scorer, &halves.thresholds),
        unsafe_reply: unsafe_threshold(&scorer, &halves.thresholds),
        replies: Scores::uniform(probability(0.5)),
        harms: Scores::uniform(probability(0.5)),
        risk_tenths: Some(risk_tenths(&scorer, held_out)),
    };
    Ok(BundleCalibration { blend, calibration })
}

/// How often risk is in each tenth after a user turn of the corpus, its authors left out.
fn risk_tenths(scorer: &Scorer, held_out: &[Scored]) -> [u64; 10] {
    let mut tenths = [0; 10];
    for view in held_out.iter().filter(|scored| scored.onsets.is_some()).map(|scored| &scored.views[0]) {
        for turns in 1..=view.len() {
            let risk = scorer.risk(&view[..turns]).get();
            tenths[((risk * 10.0) as usize).min(9)] += 1;
        }
    }
    tenths
}

/// Shares of the deep part that are tried where ranking or onsets decide.
const SHARES: [f32; 9] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0];

/// The weights of the two parts. Log loss would let the largest source decide,
/// so risk takes the share with the best mean AUROC over sources and views,
/// and crisis those with the best tracked onsets; signals and harms are fitted
/// by logistic regression.
fn fit_blend(rows: &[&Scored], sharpness: f32) -> Result<Blend, TrainError> {
    let mut signals = Pairs::default();
    let mut harms = Pairs::default();
    for scored in rows {
        for view in &scored.views {
            for signal in Signal::ALL {
                let Some(gold) = &scored.signals else { continue };
                let (deep, wide) = pooled_pair(view, outputs::SIGNALS + signal.index(), sharpness);
                let said = scored.said.signals.as_ref().map(|said| said[*signal]);
                signals.push_said(deep, wide, said.unwrap_or(certain(gold[signal.index()] > 0.5)));
            }
        }
        for (reply, harm) in scored.replies.iter().flat_map(|r| Harm::ALL.iter().map(move |h| (r, h))) {
            let i = outputs::HARMS + harm.index();
            if let Some((gold, _)) = &reply.harm {
                let said = reply.said.as_ref().map(|said| said[*harm]);
                harms.push_said(reply.deep[i], reply.wide[i], said.unwrap_or(certain(gold.contains(harm))));
            }
        }
    }
    let classes = |row: &ReplyLogits| Some((0..outputs::HARMS, row.class.index()));
    let severity = |row: &ReplyLogits| {
        Some((outputs::SEVERITY..outputs::SEVERITY + Severity::ALL.len(), row.harm.as_ref()?.1.index()))
    };
    let mut blend = Blend {
        risk: fit_risk(rows, sharpness)?,
        signals: signals.fit("signals")?,
        alert: Mix { deep: 0.3, wide: 0.7, bias: 0.0 },
        confirm: Mix { deep: 0.3, wide: 0.7, bias: 0.0 },
        harms: harms.fit("harms")?,
        classes: best_softmax_mix(rows, classes),
        severity: best_softmax_mix(rows, severity),
    };
    (blend.alert, blend.confirm) = best_crisis_mixes(&blend, rows, sharpness)?;
    Ok(blend)
}

/// The pooled deep logit and the last wide logit of a conversation.
fn pooled_pair(view: &[UserLogits], output: usize, sharpness: f32) -> (f32, f32) {
    let deep: Vec<f32> = view.iter().map(|t| t.deep[output]).collect();
    (pool(&deep, sharpness).0, view.last().map_or(0.0, |t| t.wide_conversation[output]))
}

/// The share of the deep part with the best mean AUROC over sources and views,
/// then scale and bias by logistic regression on that sum.
fn fit_risk(rows: &[&Scored], sharpness: f32) -> Result<Mix, TrainError> {
    let mut best = (-1.0, SHARES[0]);
    for share in SHARES {
        let score = mean_auroc(rows, share, sharpness);
        if score > best.0 {
            best = (score, share);
        }
    }
    let mut sums = Pairs::default();
    for (scored, high_risk) in with_risk(rows) {
        for view in &scored.views {
            let (deep, wide) = pooled_pair(view, outputs::RISK, sharpness);
            let said = scored.said.risk.unwrap_or(certain(high_risk));
            sums.push_said(best.1 * deep + (1.0 - best.1) * wide, 0.0, said);
        }
    }
    Ok(sums.fit("risk")?.spread(best.1))
}

/// The rows with a label of risk.
fn with_risk<'s>(rows: &[&'s Scored]) -> impl Iterator<Item = (&'s Scored, bool)> {
    rows.iter().filter_map(|&scored| Some((scored, scored.high_risk?)))
}

/// Those of them that are the corpus's.
fn corpus_with_risk<'s>(rows: &[&'s Scored]) -> Vec<(&'s Scored, bool)> {
    with_risk(rows).filter(|(scored, _)| scored.onsets.is_some()).collect()
}

/// AUROC of risk at one share of the deep part; see [`mean_over_groups`].
fn mean_auroc(rows: &[&Scored], share: f32, sharpness: f32) -> f64 {
    let sum = |view: &[UserLogits]| {
        let (deep, wide) = pooled_pair(view, outputs::RISK, sharpness);
        f64::from(share * deep + (1.0 - share) * wide)
    };
    mean_over_groups(&by_group(rows, sum), auroc)
}

/// What counts as one where a mean is taken over kinds of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// The corpus's conversations of at most [`SHORT`] user turns.
    Short,
    /// The corpus's others.
    Long,
    /// A source with labels of whole conversations only.
    Source(usize),
}

/// The most user turns of a short conversation.
const SHORT: usize = 3;

impl Group {
    fn of(scored: &Scored) -> Self {
        match &scored.onsets {
            None => Self::Source(scored.source),
            Some(turns) if turns.len() <= SHORT => Self::Short,
            Some(_) => Self::Long,
        }
    }

    fn is_corpus(self) -> bool {
        !matches!(self, Self::Source(_))
    }
}

/// Scores and labels of each group and view.
type ByGroup = BTreeMap<(Group, usize), (Vec<f64>, Vec<bool>)>;

fn by_group(rows: &[&Scored], score: impl Fn(&[UserLogits]) -> f64) -> ByGroup {
    let mut groups = ByGroup::new();
    for (scored, high_risk) in with_risk(rows) {
        for (index, view) in scored.views.iter().enumerate() {
            let (scores, labels) = groups.entry((Group::of(scored), index)).or_default();
            scores.push(score(view));
            labels.push(high_risk);
        }
    }
    groups
}

/// A metric averaged over views and over the groups that have both classes.
/// The corpus, which is what the model is for, counts as much as all others
/// together: pooled rows would let the largest source decide.
fn mean_over_groups(groups: &ByGroup, metric: impl Fn(&[f64], &[bool]) -> Option<f64>) -> f64 {
    let mean = |of_corpus: bool| {
        let own = groups.iter().filter(|((group, _), _)| group.is_corpus() == of_corpus);
        let both = own.filter(|(_, (_, labels))| labels.contains(&true) && labels.contains(&false));
        let values: Vec<f64> = both.filter_map(|(_, (scores, labels))| metric(scores, labels)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let parts: Vec<f64> = [mean(true), mean(false)].into_iter().flatten().collect();
    parts.iter().sum::<f64>() / parts.len().max(1) as f64
}

/// The share of the deep part with the best tracked onsets, one for both
/// stages, then scale and bias of each stage by logistic regression on that sum.
fn best_crisis_mixes(blend: &Blend, rows: &[&Scored], sharpness: f32) -> Result<(Mix, Mix), TrainError> {
    let mut best = (-1.0, blend.alert, blend.confirm);
    for share in SHARES {
        let alert = crisis_pairs(rows, Decided::Alert, share).fit("alert")?.spread(share);
        let confirm = crisis_pairs(rows, Decided::Confirm, share).fit("confirm")?.spread(share);
        let scorer = Scorer {
            blend: Blend { alert, confirm, ..*blend },
            platt: Platt::IDENTITY,
            sharpness,
            tracker: Policy::default().tracker,
        };
        let (_, threshold) = best_threshold(&scorer, rows, Decided::Confirm, NEVER);
        let (score, _) = best_threshold(&scorer, rows, Decided::Alert, threshold);
        if score > best.0 {
            best = (score, alert, confirm);
        }
    }
    Ok((best.1, best.2))
}

fn crisis_pairs(rows: &[&Scored], decided: Decided, share: f32) -> Pairs {
    let mut sums = Pairs::default();
    for scored in rows {
        for view in &scored.views {
            for (turn, gold) in view.iter().zip(scored.onsets.iter().flatten()) {
                for label in CrisisLabel::ALL.iter().filter(|l| decided.covers(**l)) {
                    let i = label.index();
                    let sum = share * turn.deep[outputs::CRISIS + i] + (1.0 - share) * turn.wide_turn[i];
                    sums.push(sum, 0.0, gold.contains(label));
                }
            }
        }
    }
    sums
}

/// The stage of crisis labels that a search decides on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decided {
    Alert,
    Confirm,
}

impl Decided {
    fn covers(self, label: CrisisLabel) -> bool {
        (label.stage() == Stage::Alert) == (self == Self::Alert)
    }
}

/// Logits of both parts with what should come of them.
#[derive(Default)]
struct Pairs {
    features: Vec<Vec<f64>>,
    targets: Vec<Probability>,
}

/// A label as a probability.
const fn certain(label: bool) -> Probability {
    if label { Probability::ONE } else { Probability::ZERO }
}

impl Pairs {
    fn push(&mut self, deep: f32, wide: f32, label: bool) {
        self.push_said(deep, wide, certain(label));
    }

    fn push_said(&mut self, deep: f32, wide: f32, target: Probability) {
        self.features.push(vec![f64::from(deep), f64::from(wide)]);
        self.targets.push(target);
    }

    /// The regression's weights; a part that it would weigh negatively gets 0.
    fn fit(&self, name: &str) -> Result<Mix, TrainError> {
        let error = |e: &dyn ToString| TrainError::Calibration(format!("{name}: {}", e.to_string()));
        let both = fit_logistic_to(&self.features, &self.targets, 1.0).map_err(|e| error(&e))?;
        let weight = |i: usize| (both.weights[i] as f32).max(0.0);
        Ok(Mix { deep: weight(0), wide: weight(1), bias: both.intercept as f32 })
    }
}

impl Mix {
    /// A scale that was fitted on `share x deep + (1 - share) x wide` as weights
    /// of the two parts.
    fn spread(self, share: f32) -> Self {
        Self { deep: self.deep * share, wide: self.deep * (1.0 - share), bias: self.bias }
    }
}

/// The softmax blend with the lowest log loss on a grid.
fn best_softmax_mix(
    rows: &[&Scored],
    target: impl Fn(&ReplyLogits) -> Option<(std::ops::Range<usize>, usize)>,
) -> Mix {
    const GRID: [f32; 8] = [0.0, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0];
    let replies: Vec<_> =
        rows.iter().flat_map(|s| &s.replies).filter_map(|r| Some((r, target(r)?))).collect();
    let loss = |mix: Mix| -> f64 {
        let mut gradient = vec![0.0; outputs::REPLY];
        let one = |(reply, (range, gold)): &(&ReplyLogits, (std::ops::Range<usize>, usize))| {
            let logits: Vec<f32> = range.clone().map(|i| mix.apply(reply.deep[i], reply.wide[i])).collect();
            let target: Vec<f32> = (0..range.len()).map(|i| if i == *gold { 1.0 } else { 0.0 }).collect();
            f64::from(super::objective::categorical(&logits, &target, 1.0, &mut gradient))
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
    pub(super) tracker: TrackerConfig,
}

impl Scorer {
    /// Blended logit of risk or a signal after the last turn of a view.
    fn logit(&self, view: &[UserLogits], output: usize) -> f32 {
        let mix = if output == outputs::RISK { self.blend.risk } else { self.blend.signals };
        let (deep, wide) = pooled_pair(view, output, self.sharpness);
        mix.apply(deep, wide)
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
                self.blend.crisis(label).apply(turn.deep[outputs::CRISIS + i], turn.wide_turn[i]),
            )
        })
    }

    /// The highest probability of an ongoing Confirm on any turn.
    fn ongoing_confirm(&self, view: &[UserLogits]) -> Probability {
        let is_confirm = |l: &&CrisisLabel| l.stage() != Stage::Alert && l.tense() == Tense::Ongoing;
        let highest = |turn| {
            let scores = self.crisis(turn);
            CrisisLabel::ALL.iter().filter(is_confirm).fold(Probability::ZERO, |p, &l| p.max(scores[l]))
        };
        view.iter().map(highest).fold(Probability::ZERO, Probability::max)
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
        let mut tracker = Tracker::new(self.tracker);
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
            high_risk: scored.high_risk == Some(true),
            risk: f64::from(risk.get()),
            called: threshold.is_some_and(|t| risk >= t),
            gold_signals: scored.signals.as_ref().map(|s| s.iter().map(|&v| v > 0.5).collect()),
            signals: self.signals(turns).iter().map(|(_, p)| f64::from(p.get())).collect(),
            onsets: self.onsets(scored, turns, calibration),
            replies: scored.replies.iter().map(|r| (r.class.index(), self.class(r).index())).collect(),
        }
    }

    fn class(&self, reply: &ReplyLogits) -> ReplyClass {
        reply_scores(&self.blend, &reply.deep, &reply.wide).classes.top().0
    }
}

fn fit_platt(scorer: &Scorer, rows: &[&Scored]) -> Result<Platt, TrainError> {
    let error = |e: FitError| TrainError::Calibration(format!("risk: {e}"));
    let (logits, said): (Vec<f32>, Vec<Probability>) = rows
        .iter()
        .filter_map(|&s| Some((s, s.said.risk?)))
        .flat_map(|(s, risk)| s.views.iter().map(move |view| (scorer.logit(view, outputs::RISK), risk)))
        .unzip();
    if !said.is_empty() {
        return Platt::fit_to(&logits, &said).map_err(error);
    }
    let (logits, labels): (Vec<f32>, Vec<bool>) = with_risk(rows)
        .flat_map(|(s, label)| s.views.iter().map(move |view| (scorer.logit(view, outputs::RISK), label)))
        .unzip();
    Platt::fit(&logits, &labels).map_err(error)
}

/// The high-risk threshold, and both thresholds of every language. One value for all
/// languages, because single languages have too few rows for one of their own; recall
/// and false-positive rate are each language's, on the corpus with its listeners.
fn risk_thresholds(
    scorer: &Scorer,
    rows: &[&Scored],
    footing: Footing,
) -> Result<(Probability, BTreeMap<Language, RiskThresholds>), TrainError> {
    let error = |e: &dyn ToString| TrainError::Calibration(format!("risk thresholds: {}", e.to_string()));
    let corpus = corpus_with_risk(rows);
    let supported = called_for_support(&corpus);
    let both_views =
        supported.iter().flat_map(|(s, label)| s.views.iter().map(|view| (scorer.risk(view), *label)));
    let (risks, labels): (Vec<Probability>, Vec<bool>) = both_views.unzip();
    let support = threshold_for_recall(&risks, &labels, SUPPORT_RECALL).map_err(|e| error(&e))?.value;
    let high = best_mean_f1(&by_group(rows, |view| f64::from(scorer.risk(view).get())));
    let support = if support > high { high } else { support };
    let mut thresholds = BTreeMap::new();
    for language in Language::ALL {
        let at = |value, target: &str, called: &[(&Scored, bool)]| {
            let no_rows = || error(&format!("the corpus has too few rows in `{}`", language.wire()));
            let of = |wanted: &dyn Fn(Language) -> bool| -> (Vec<Probability>, Vec<bool>) {
                // One view only: a conversation must not count as two trials.
                let own = called.iter().filter(|(s, _)| wanted(s.language));
                own.map(|(s, label)| (scorer.risk(&s.views[0]), *label)).unzip()
            };
            let (risks, labels) = of(&|found| found == language);
            let own = achieved(value, &footing.target(target), &risks, &labels);
            own.or_else(|| footing.of_all_languages(value, target, of(&|_| true))).ok_or_else(no_rows)
        };
        let both = RiskThresholds {
            high_risk: at(
                high,
                "middle of the thresholds within 0.01 of the best F1, averaged over sources and views at one share of high risk, all languages",
                &corpus,
            )?,
            support: at(support, "recall >= 0.95 on the corpus, all languages", &supported)?,
        };
        thresholds.insert(language, both);
    }
    Ok((high, thresholds))
}

/// Whom the support threshold must reach: everybody of high risk, or, where a teacher's
/// calls stand in, everybody whom it would support. Where those are all or nobody, no
/// threshold could be chosen by them.
fn called_for_support<'s>(corpus: &[(&'s Scored, bool)]) -> Vec<(&'s Scored, bool)> {
    let supported: Vec<(&Scored, bool)> =
        corpus.iter().map(|&(s, label)| (s, s.said.support.unwrap_or(label))).collect();
    let has = |wanted: bool| supported.iter().any(|(_, is_so)| *is_so == wanted);
    if has(true) && has(false) { supported } else { corpus.to_vec() }
}

impl Footing {
    /// What a threshold was chosen for, and by whose labels.
    fn target(self, target: &str) -> String {
        match self {
            Self::Labels | Self::Distilled => target.to_owned(),
            Self::Teacher => {
                format!("thresholds follow the teacher, whose calls stand in for labels: {target}")
            }
        }
    }

    /// The figures of a threshold in a language that has too few rows, from all languages
    /// together. A model that ships must have rows of each.
    fn of_all_languages(
        self,
        value: Probability,
        target: &str,
        (risks, labels): (Vec<Probability>, Vec<bool>),
    ) -> Option<RiskThreshold> {
        if self == Self::Labels {
            return None;
        }
        let target = format!("{target}; this language has too few rows, so the figures are of all languages");
        achieved(value, &self.target(&target), &risks, &labels)
    }
}

/// From which probability on an ongoing Confirm calls a human on its own: the threshold
/// whose calls, by a Confirm or by risk at `high_risk`, have the best mean F1 on the
/// corpus, as in [`best_mean_f1`]. Below it a Confirm still asks for support.
fn certain_confirm(
    scorer: &Scorer,
    rows: &[&Scored],
    high_risk: Probability,
    footing: Footing,
) -> Result<RiskThreshold, TrainError> {
    let corpus: Vec<&Scored> = corpus_with_risk(rows).into_iter().map(|(scored, _)| scored).collect();
    // What risk calls is called at every threshold.
    let called = |view: &[UserLogits]| {
        if scorer.risk(view) >= high_risk { Probability::ONE } else { scorer.ongoing_confirm(view) }
    };
    let value = best_mean_f1(&by_group(&corpus, |view| f64::from(called(view).get())));
    let (calls, labels): (Vec<Probability>, Vec<bool>) =
        with_risk(&corpus).map(|(s, label)| (called(&s.views[0]), label)).unzip();
    let target = "middle of the thresholds within 0.01 of the best F1 of calling a human by it or by high risk, averaged over kinds of corpus conversations and views";
    achieved(value, &footing.target(target), &calls, &labels)
        .ok_or_else(|| TrainError::Calibration("the corpus has too few rows to call anybody".to_owned()))
}

/// F1 within this of the best counts as best; its 95 % interval on these rows is
/// several times as wide.
const NEARLY_BEST: f64 = 0.01;

/// The threshold with the best F1 averaged over sources and views: the middle of
/// the nearly best ones, since which of them is highest is largely chance. F1 grows
/// with the share of high risk, and with it the best threshold falls; every source
/// counts as if its share were the corpus's.
fn best_mean_f1(groups: &ByGroup) -> Probability {
    let corpus =
        groups.iter().filter(|((group, _), _)| group.is_corpus()).flat_map(|(_, (_, labels))| labels);
    let share = corpus.clone().filter(|l| **l).count() as f64 / corpus.count().max(1) as f64;
    let mean_f1 = |threshold: f64| {
        mean_over_groups(groups, |scores, labels| {
            let counts = confusion_at(scores, labels, threshold);
            let (recall, false_alarms) = (counts.recall(), counts.false_positive_rate());
            Some(2.0 * recall * share / (recall * share + false_alarms * (1.0 - share) + share))
        })
    };
    let found: Vec<(f64, f64)> = (1..100)
        .map(|step| 0.01 * f64::from(step))
        .map(|threshold| (threshold, mean_f1(threshold)))
        .collect();
    probability(middle_of_nearly_best(&found).1 as f32)
}

/// The best F1, and the middle of the thresholds that come within [`NEARLY_BEST`] of
/// it; one half where there are none.
fn middle_of_nearly_best(found: &[(f64, f64)]) -> (f64, f64) {
    let best = found.iter().map(|(_, f1)| *f1).fold(0.0, f64::max);
    let nearly: Vec<f64> =
        found.iter().filter(|(_, f1)| *f1 >= best - NEARLY_BEST).map(|(threshold, _)| *threshold).collect();
    (best, nearly.get(nearly.len() / 2).copied().unwrap_or(0.5))
}

/// A threshold with what it achieves on these rows.
fn achieved(
    value: Probability,
    target: &str,
    risks: &[Probability],
    labels: &[bool],
) -> Option<RiskThreshold> {
    let scores: Vec<f64> = risks.iter().map(|p| f64::from(p.get())).collect();
    let counts = confusion_at(&scores, labels, f64::from(value.get()));
    let estimate = |hits: usize, of: usize| {
        let (low, high) = wilson_interval(hits, of)?;
        Some(Estimate { value: hits as f64 / of as f64, low, high })
    };
    Some(RiskThreshold {
        value,
        target: target.to_owned(),
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

/// Thresholds that are tried, as logits.
const STEPS: std::ops::RangeInclusive<i32> = -18..=8;

/// A threshold that nothing reaches.
const NEVER: f32 = 1.0;

/// One threshold for alerts and one for confirms, each with the best turn-level
/// F1 after tracking given the other.
fn crisis_thresholds(scorer: &Scorer, rows: &[&Scored]) -> Scores<CrisisLabel> {
    let (_, confirm) = best_threshold(scorer, rows, Decided::Confirm, NEVER);
    let (_, alert) = best_threshold(scorer, rows, Decided::Alert, confirm);
    let (_, confirm) = best_threshold(scorer, rows, Decided::Confirm, alert);
    by_stage(alert, confirm)
}

/// The best F1 over thresholds of one stage, with the other stage's fixed, and the
/// middle of the nearly best ones. Gold labels of a stage that never fires are left
/// out.
fn best_threshold(scorer: &Scorer, rows: &[&Scored], decided: Decided, other: f32) -> (f64, f32) {
    let f1_at = |threshold: f32| {
        let (alert, confirm) =
            if decided == Decided::Alert { (threshold, other) } else { (other, threshold) };
        let left_out = (other >= NEVER).then_some(decided);
        mean_onset_f1(scorer, rows, &crisis_only(alert, confirm), left_out)
    };
    let thresholds = STEPS.map(|step| Probability::from_logit(0.25 * step as f32).get());
    let found: Vec<(f64, f64)> = thresholds.map(|t| (f64::from(t), f1_at(t))).collect();
    let (best, threshold) = middle_of_nearly_best(&found);
    (best, threshold as f32)
}

/// Micro F1 of tracked onsets, averaged over short and long conversations; of the
/// labels of one stage alone, if `only` names it.
fn mean_onset_f1(scorer: &Scorer, rows: &[&Scored], calibration: &Calibration, only: Option<Decided>) -> f64 {
    let mut groups: BTreeMap<Group, Vec<MicroF1>> = BTreeMap::new();
    for scored in rows {
        for view in &scored.views {
            let Some(mut sets) = scorer.onsets(scored, view, calibration) else { continue };
            if let Some(stage) = only {
                sets.gold.retain(|&(_, label)| stage.covers(CrisisLabel::ALL[label]));
            }
            groups.entry(Group::of(scored)).or_default().push(count_onsets(&sets, 0));
        }
    }
    let kinds = groups.len().max(1) as f64;
    groups.into_values().map(|counts| counts.into_iter().sum::<MicroF1>().f1()).sum::<f64>() / kinds
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
        certain_confirm: RiskThreshold::without_provenance(Probability::ONE),
        thresholds: BTreeMap::new(),
        signals: Scores::uniform(Probability::ONE),
        crisis: by_stage(alert, confirm),
        unsafe_reply: Probability::ONE,
        replies: Scores::uniform(Probability::ONE),
        harms: Scores::uniform(Probability::ONE),
        risk_tenths: None,
    }
}

/// The threshold on the unsafe classes together with the highest F1.
fn unsafe_threshold(scorer: &Scorer, rows: &[&Scored]) -> Probability {
    let replies = rows.iter().flat_map(|s| &s.replies);
    let (scores, labels): (Vec<Probability>, Vec<bool>) = replies
        .map(|r| {
            let classes = reply_scores(&scorer.blend, &r.deep, &r.wide).classes;
            (unsafe_probability(&classes), !r.class.is_safe())
        })
        .unzip();
    threshold_for_max_f1(&scores, &labels).map_or(probability(0.5), |t| t.value)
}

fn probability(value: f32) -> Probability {
    Probability::new(value.clamp(0.0, 1.0)).unwrap_or(Probability::ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores that a threshold from 0.31 to 0.5 tells apart, with the second
    /// source's high-risk conversation so many times.
    fn groups(high_risk: usize) -> ByGroup {
        let mut other = (vec![0.1, 0.3], vec![false, false]);
        other.0.extend(vec![0.5; high_risk]);
        other.1.extend(vec![true; high_risk]);
        ByGroup::from([
            ((Group::Long, 0), (vec![0.1, 0.2, 0.6, 0.8], vec![false, false, true, true])),
            ((Group::Source(9), 0), other),
        ])
    }

    #[test]
    fn the_threshold_is_the_middle_of_the_nearly_best_ones() {
        assert!((best_mean_f1(&groups(2)).get() - 0.41).abs() < 1e-6);
    }

    #[test]
    fn a_source_s_share_of_high_risk_does_not_move_the_threshold() {
        assert_eq!(best_mean_f1(&groups(2)), best_mean_f1(&groups(200)));
    }

    #[test]
    fn without_any_row_the_threshold_is_one_half() {
        assert_eq!(best_mean_f1(&ByGroup::new()), probability(0.5));
    }
}
