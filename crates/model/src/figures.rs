//! What is measured of a model on labelled conversations, with 95 % bootstrap
//! intervals over conversations. The same code measures held-out folds, the
//! dev sources and, through `mindrail model evaluate`, any labelled file.

use std::collections::BTreeMap;

use mindrail_core::language::Language;
use mindrail_core::metrics::{self, MicroF1, OnsetSets, bootstrap_interval, confusion_at, count_onsets};
use mindrail_core::taxonomy::{ReplyClass, Signal, Taxonomy};
use serde::Serialize;

const RESAMPLES: u32 = 1000;
const SEED: u64 = 1;

/// What a model said of one labelled conversation.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Language of its user turns.
    pub language: Language,
    /// Gold: a human should step in now.
    pub high_risk: bool,
    /// Calibrated risk after the last user turn.
    pub risk: f64,
    /// Whether the risk reaches the shipped threshold.
    pub called: bool,
    /// Gold signals, where labelled.
    pub gold_signals: Option<Vec<bool>>,
    /// The nine pooled signals.
    pub signals: Vec<f64>,
    /// Onsets by user turn number, where labelled; labels by their index.
    pub onsets: Option<OnsetSets<usize>>,
    /// Gold and predicted class of each judged reply, by index.
    pub replies: Vec<(usize, usize)>,
}

/// A figure with its interval; absent where it is not defined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// On all conversations.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// All figures of one set of conversations.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Number of conversations.
    pub conversations: usize,
    /// How many are high risk.
    pub high_risk: usize,
    /// By name; see [`FIGURES`].
    pub figures: BTreeMap<&'static str, Figure>,
    /// AUROC of each signal.
    pub signals: BTreeMap<&'static str, Figure>,
}

type Statistic = fn(&[&Outcome]) -> Option<f64>;

/// The figures by name, in the order of reports.
pub const FIGURES: [(&str, Statistic); 13] = [
    ("high_risk_auc", |rows| over_risk(rows, metrics::auroc)),
    ("high_risk_ap", |rows| over_risk(rows, metrics::average_precision)),
    ("high_risk_recall_at_fpr_05", |rows| over_risk(rows, |s, l| metrics::recall_at_fpr(s, l, 0.05))),
    ("high_risk_recall_at_fpr_10", |rows| over_risk(rows, |s, l| metrics::recall_at_fpr(s, l, 0.10))),
    ("high_risk_f1", |rows| called(rows).map(metrics::Confusion::f1)),
    ("high_risk_precision", |rows| called(rows).map(metrics::Confusion::precision)),
    ("high_risk_recall", |rows| called(rows).map(metrics::Confusion::recall)),
    ("crisis_micro_f1", |rows| onset_counts(rows, 0).map(MicroF1::f1)),
    ("crisis_micro_precision", |rows| onset_counts(rows, 0).map(MicroF1::precision)),
    ("crisis_micro_recall", |rows| onset_counts(rows, 0).map(MicroF1::recall)),
    ("crisis_micro_f1_within_1", |rows| onset_counts(rows, 1).map(MicroF1::f1)),
    ("reply_macro_f1", |rows| over_replies(rows, metrics::macro_f1)),
    ("reply_weighted_f1", |rows| over_replies(rows, metrics::weighted_f1)),
];

/// Measures everything that the outcomes' labels allow.
pub fn measure(outcomes: &[&Outcome]) -> Figures {
    let figures = FIGURES.iter().filter_map(|&(name, statistic)| Some((name, figure(outcomes, statistic)?)));
    let signals = Signal::ALL.iter().filter_map(|signal| {
        let statistic = |rows: &[&Outcome]| over_signal(rows, signal.index());
        Some((signal.wire(), figure(outcomes, statistic)?))
    });
    Figures {
        conversations: outcomes.len(),
        high_risk: outcomes.iter().filter(|o| o.high_risk).count(),
        figures: figures.collect(),
        signals: signals.collect(),
    }
}

/// All conversations together, and each language's.
pub fn measure_by_language(outcomes: &[Outcome]) -> BTreeMap<&'static str, Figures> {
    let all: Vec<&Outcome> = outcomes.iter().collect();
    let mut measured = BTreeMap::from([("all", measure(&all))]);
    for language in Language::ALL {
        let own: Vec<&Outcome> = outcomes.iter().filter(|o| o.language == language).collect();
        if !own.is_empty() {
            measured.insert(language.wire(), measure(&own));
        }
    }
    measured
}

fn figure(outcomes: &[&Outcome], statistic: impl Fn(&[&Outcome]) -> Option<f64>) -> Option<Figure> {
    let value = statistic(outcomes)?;
    let resampled = |chosen: &[usize]| statistic(&chosen.iter().map(|&i| outcomes[i]).collect::<Vec<_>>());
    let (low, high) = bootstrap_interval(outcomes.len(), RESAMPLES, SEED, resampled)?;
    Some(Figure { value, low, high })
}

fn over_risk(rows: &[&Outcome], metric: impl Fn(&[f64], &[bool]) -> Option<f64>) -> Option<f64> {
    let scores: Vec<f64> = rows.iter().map(|r| r.risk).collect();
    let labels: Vec<bool> = rows.iter().map(|r| r.high_risk).collect();
    metric(&scores, &labels)
}

fn called(rows: &[&Outcome]) -> Option<metrics::Confusion> {
    let scores: Vec<f64> = rows.iter().map(|r| if r.called { 1.0 } else { 0.0 }).collect();
    let labels: Vec<bool> = rows.iter().map(|r| r.high_risk).collect();
    labels.contains(&true).then(|| confusion_at(&scores, &labels, 0.5))
}

fn over_signal(rows: &[&Outcome], signal: usize) -> Option<f64> {
    let labelled = rows.iter().filter_map(|r| Some((r.signals[signal], r.gold_signals.as_ref()?[signal])));
    let (scores, labels): (Vec<f64>, Vec<bool>) = labelled.unzip();
    metrics::auroc(&scores, &labels)
}

fn onset_counts(rows: &[&Outcome], tolerance: usize) -> Option<MicroF1> {
    let labelled: Vec<&OnsetSets<usize>> = rows.iter().filter_map(|r| r.onsets.as_ref()).collect();
    let counts: MicroF1 = labelled.iter().map(|sets| count_onsets(sets, tolerance)).sum();
    (counts.tp + counts.fn_ > 0).then_some(counts)
}

fn over_replies(rows: &[&Outcome], metric: impl Fn(&[usize], &[usize], usize) -> Option<f64>) -> Option<f64> {
    let (gold, predicted): (Vec<usize>, Vec<usize>) =
        rows.iter().flat_map(|r| r.replies.iter().copied()).unzip();
    metric(&gold, &predicted, ReplyClass::ALL.len())
}
