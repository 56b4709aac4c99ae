//! Early-detection figures of the eRisk tasks: one yes-or-no decision for each
//! subject (here a dialogue), and how many items (user turns) were read before
//! it. They measure delay from the first item, not from an onset; for that, see
//! [`onset_delays`](super::onset_delays).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::{CrisisDialogue, CrisisSet, LabelView};
use crate::metrics::Confusion;

/// What is true of a subject, and when the system said yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyDecision {
    /// Whether the subject is positive.
    pub positive: bool,
    /// Items read when the system first said yes, from 1; `None` if it never did.
    pub decided_after: Option<NonZeroUsize>,
}

/// The decision on a dialogue: it is positive when gold has any label of the
/// view, and decided at the first user turn with a predicted one.
pub fn early_decision(dialogue: &CrisisDialogue, view: LabelView) -> EarlyDecision {
    let any = |set: CrisisSet| set.iter().any(|label| view.place(label).is_some());
    let first = dialogue.turns.iter().position(|turn| any(turn.predicted));
    EarlyDecision {
        positive: dialogue.turns.iter().any(|turn| any(turn.gold)),
        decided_after: first.and_then(|turn| NonZeroUsize::new(turn + 1)),
    }
}

/// The costs of ERDE.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErdeCosts {
    /// The number of items at which a right yes has lost half its worth. eRisk
    /// reports 5 and 50; dialogues of 7.5 user turns need 1 to 5.
    pub o: f64,
    /// Cost of a wrong yes; by custom the share of positive subjects (0.1296 in
    /// eRisk 2017).
    pub false_positive: f64,
    /// Cost of never saying yes to a positive; by custom 1.
    pub false_negative: f64,
    /// Cost of a right yes that comes infinitely late; by custom 1.
    pub true_positive: f64,
}

impl ErdeCosts {
    /// The customary costs with `o` and the cost of a wrong yes.
    pub fn new(o: f64, false_positive: f64) -> Self {
        Self { o, false_positive, false_negative: 1.0, true_positive: 1.0 }
    }
}

/// The early-risk detection error of one subject (Losada and Crestani 2016): the
/// cost of the error, or for a right yes after k items `true_positive` x lc(k),
/// lc(k) = 1 - 1 / (1 + e^(k - o)), computed as 1 / (1 + e^(o - k)); 0 for a
/// right no.
pub fn erde_cost(decision: EarlyDecision, costs: &ErdeCosts) -> f64 {
    match (decision.positive, decision.decided_after) {
        (true, Some(after)) => costs.true_positive / (1.0 + (costs.o - after.get() as f64).exp()),
        (true, None) => costs.false_negative,
        (false, Some(_)) => costs.false_positive,
        (false, None) => 0.0,
    }
}

/// ERDE: the mean of [`erde_cost`] over subjects, lower is better. eRisk prints
/// it times 100.
///
/// `None` without subjects, or when `o` or a cost that occurs is not finite.
pub fn erde(decisions: &[EarlyDecision], costs: &ErdeCosts) -> Option<f64> {
    let total: f64 = decisions.iter().map(|&decision| erde_cost(decision, costs)).sum();
    let defined = !decisions.is_empty() && costs.o.is_finite() && total.is_finite();
    defined.then(|| total / decisions.len() as f64)
}

/// The rate p at which the penalty reaches one half after `median` items: ln 3 /
/// (median - 1), with the median length of a subject (Sadeque, Xu and Bethard
/// 2018). About 0.169 for 7.5 user turns; eRisk's 0.0078 is for 142 posts.
///
/// `None` when the median is not above 1.
pub fn latency_rate(median: f64) -> Option<f64> {
    (median > 1.0 && median.is_finite()).then(|| 3.0_f64.ln() / (median - 1.0))
}

/// The penalty of a right yes after `items` items: -1 + 2 / (1 + e^(-p (k - 1)))
/// = tanh(p (k - 1) / 2), with p = `rate`; 0 after the first item.
pub fn latency_penalty(items: NonZeroUsize, rate: f64) -> f64 {
    (rate * (items.get() - 1) as f64 / 2.0).tanh()
}

/// What `F_latency` is read off: decisions right and wrong, and after how many
/// items the right ones came. Sums of these are again such counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyCounts {
    /// The decisions, whenever they came.
    pub decisions: Confusion,
    /// Number of positives found after each number of items.
    pub latencies: BTreeMap<NonZeroUsize, usize>,
}

impl LatencyCounts {
    /// The middle value of `of` over the found positives, in order of latency;
    /// the mean of the middle two for an even number.
    fn median(&self, of: impl Fn(NonZeroUsize) -> f64) -> Option<f64> {
        let found: usize = self.latencies.values().sum();
        let at = |rank: usize| {
            let mut passed = 0;
            let mut latencies = self.latencies.iter();
            latencies.find_map(|(&items, &count)| {
                passed += count;
                (passed > rank).then(|| of(items))
            })
        };
        Some(f64::midpoint(at(found.checked_sub(1)? / 2)?, at(found / 2)?))
    }

    /// `latency_TP`: the median number of items read before a right yes; `None`
    /// where there is none.
    pub fn median_latency(&self) -> Option<f64> {
        self.median(|items| items.get() as f64)
    }

    /// 1 - the median [`latency_penalty`] of the found positives; 0 where there
    /// is none.
    pub fn speed(&self, rate: f64) -> f64 {
        self.median(|items| latency_penalty(items, rate)).map_or(0.0, |penalty| 1.0 - penalty)
    }

    /// `F_latency` (Sadeque, Xu and Bethard 2018): F1 of the positive class times
    /// [`Self::speed`].
    ///
    /// `None` without subjects or with a rate that is not finite; 0 when nothing
    /// was found.
    pub fn f_latency(&self, rate: f64) -> Option<f64> {
        let defined = self.decisions.rows() > 0 && rate.is_finite();
        defined.then(|| self.decisions.f1() * self.speed(rate))
    }
}

impl FromIterator<EarlyDecision> for LatencyCounts {
    fn from_iter<I: IntoIterator<Item = EarlyDecision>>(decisions: I) -> Self {
        let mut counts = Self::default();
        for decision in decisions {
            counts.decisions += [(decision.positive, decision.decided_after.is_some())].into_iter().collect();
            if let (true, Some(after)) = (decision.positive, decision.decided_after) {
                *counts.latencies.entry(after).or_default() += 1;
            }
        }
        counts
    }
}

impl AddAssign<&Self> for LatencyCounts {
    fn add_assign(&mut self, other: &Self) {
        self.decisions += other.decisions;
        for (after, count) in &other.latencies {
            *self.latencies.entry(*after).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::dialogue;
    use super::*;
    use crate::taxonomy::CrisisLabel::*;

    fn decision(positive: bool, after: usize) -> EarlyDecision {
        EarlyDecision { positive, decided_after: NonZeroUsize::new(after) }
    }

    fn latency(decisions: &[EarlyDecision]) -> LatencyCounts {
        decisions.iter().copied().collect()
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
    }

    #[test]
    fn erde_by_hand() {
        let costs = ErdeCosts::new(5.0, 0.1296);
        // Found after 5 items: one half. Wrong yes: 0.1296. Missed: 1. Right no: 0.
        let decisions = [decision(true, 5), decision(false, 2), decision(true, 0), decision(false, 0)];
        assert_close(erde(&decisions, &costs).unwrap(), (0.5 + 0.1296 + 1.0) / 4.0);
        // After one item with o = 5: 1 / (1 + e^4).
        assert_close(erde_cost(decision(true, 1), &costs), 0.017_986_209_962_091_56);
        assert_close(erde_cost(decision(true, 9), &costs), 1.0 - 0.017_986_209_962_091_56);
        // Very late and very early do not overflow.
        assert_close(erde_cost(decision(true, 100_000), &costs), 1.0);
        assert_close(erde_cost(decision(true, 1), &ErdeCosts::new(5_000.0, 0.1)), 0.0);
        assert_eq!(erde(&[], &costs), None);
        assert_eq!(erde(&decisions, &ErdeCosts::new(f64::NAN, 0.1)), None);
    }

    #[test]
    fn f_latency_by_hand() {
        // Median length 3: p = ln 3 / 2, penalties 0, 1/2 and 4/5 after 1, 3 and 5 items.
        let rate = latency_rate(3.0).unwrap();
        let found = [decision(true, 1), decision(true, 5), decision(true, 3)];
        let counts = latency(&found);
        assert_close(counts.speed(rate), 0.5);
        assert_eq!(counts.median_latency(), Some(3.0));
        assert_close(counts.f_latency(rate).unwrap(), 0.5);
        // One wrong yes and one miss: F1 = 6 / 8.
        let counts = latency(&[&found[..], &[decision(false, 1), decision(true, 0)]].concat());
        assert_close(counts.f_latency(rate).unwrap(), 0.75 * 0.5);
        // An even number: the penalties 1/2 and 4/5 average to 0.65.
        assert_close(latency(&found[1..]).speed(rate), 0.35);
    }

    #[test]
    fn deciding_at_once_has_full_speed_and_finding_nothing_has_none() {
        let rate = latency_rate(7.5).unwrap();
        assert_close(rate, 0.169_017_275_179_709_23);
        assert_close(latency(&[decision(true, 1), decision(false, 0)]).f_latency(rate).unwrap(), 1.0);
        let blind = latency(&[decision(true, 0), decision(false, 1)]);
        assert_eq!((blind.speed(rate), blind.f_latency(rate)), (0.0, Some(0.0)));
        assert_eq!((blind.median_latency(), latency(&[]).f_latency(rate)), (None, None));
        assert_eq!(blind.f_latency(f64::NAN), None);
        assert_eq!((latency_rate(1.0), latency_rate(f64::NAN)), (None, None));
    }

    #[test]
    fn a_dialogue_is_decided_at_its_first_predicted_label() {
        let sets = dialogue(6, &[(4, ConfirmShPast)], &[(1, AlertPast), (3, ConfirmShPast)]);
        assert_eq!(early_decision(&sets, LabelView::All), decision(true, 2));
        assert_eq!(early_decision(&sets, LabelView::ConfirmOnly), decision(true, 4));
        assert_eq!(early_decision(&sets, LabelView::AlertOnly), decision(false, 2));
    }

    proptest! {
        #[test]
        fn the_penalty_is_its_published_form(items in 1_usize..400, rate in 0.001..1.0_f64) {
            let published = -1.0 + 2.0 / (1.0 + (-rate * (items as f64 - 1.0)).exp());
            let found = latency_penalty(NonZeroUsize::new(items).unwrap(), rate);
            prop_assert!((found - published).abs() < 1e-12);
        }

        #[test]
        fn counts_add_up(rows in proptest::collection::vec((any::<bool>(), 0_usize..9), 0..30), cut in 0_usize..30) {
            let decisions: Vec<_> = rows.into_iter().map(|(positive, after)| decision(positive, after)).collect();
            let (left, right) = decisions.split_at(cut.min(decisions.len()));
            let mut sum = latency(left);
            sum += &latency(right);
            prop_assert_eq!(&sum, &latency(&decisions));
            let mut penalties: Vec<usize> =
                decisions.iter().filter(|d| d.positive).filter_map(|d| d.decided_after).map(NonZeroUsize::get).collect();
            penalties.sort_unstable();
            let n = penalties.len();
            let naive = (n > 0).then(|| f64::midpoint(penalties[(n - 1) / 2] as f64, penalties[n / 2] as f64));
            prop_assert_eq!(sum.median_latency(), naive);
        }
    }
}
