//! The crisis protocol: at which user turn does a crisis begin to show (Alert),
//! and at which is its type explicit (Confirm)? The task, labels and headline
//! figures are those of CRADLE-Dialogue. An item is a whole dialogue; a system
//! gives a set of labels for each user turn, having seen the turns before it.
//!
//! The publication gives no equations, so every convention is an option of
//! [`Crisis`]. The defaults are the strongest reading of the published figures:
//! the label's full name counts, at the exact turn; "no label" is not a class;
//! the dialogue level compares the sets of labels without their turns.

mod evaluator;
mod findings;
mod items;
mod prediction;
mod timing;

use mindrail_core::conversation::Conversation;
use mindrail_core::metrics::MacroOver;
use mindrail_core::metrics::crisis::{
    CrisisDialogue, CrisisReading, CrisisSet, CrisisSetting, EmptyDialogues, LabelView, WarningWindow,
};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};
use serde::{Deserialize, Serialize};

pub use items::{CrisisGold, LabelledDialogue, StrayLabel, items};
pub(crate) use prediction::known_or_unknown;
pub use prediction::{CrisisPrediction, UNKNOWN_LABEL};

use super::{Evaluator, Findings, Intervals, Item, Judged, Protocol, Unanswered, clusters};

/// The cost of a wrong yes in ERDE.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FalsePositiveCost {
    /// The share of dialogues with a label in gold, which is the custom. It
    /// makes ERDE incomparable between data sets.
    PositiveShare,
    /// This cost.
    Fixed(f64),
}

/// The rate p of the latency penalty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyRate {
    /// ln 3 / (median number of user turns of all dialogues - 1).
    MedianOfDialogues,
    /// The same of the dialogues that have a label in gold.
    MedianOfPositives,
    /// This rate.
    Fixed(f64),
}

/// The protocol with its conventions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crisis {
    /// Which labels count in `turn_*` and in exact match.
    pub turn_labels: LabelView,
    /// Which labels count in `dialogue_*`.
    pub dialogue_labels: LabelView,
    /// Whether dialogues without labels in gold enter.
    pub empty: EmptyDialogues,
    /// Over which labels the macro average runs.
    pub macro_over: MacroOver,
    /// From which turn on a warning is correct.
    pub window: WarningWindow,
    /// How many user turns a predicted onset may be off and still be no false alarm.
    pub false_alarm_tolerance: usize,
    /// The cost of a wrong yes in ERDE.
    pub false_positive_cost: FalsePositiveCost,
    /// The rate of the latency penalty.
    pub latency_rate: LatencyRate,
    /// Slices with fewer dialogues than this have no figures.
    pub min_slice: usize,
}

impl Default for Crisis {
    fn default() -> Self {
        Self {
            turn_labels: LabelView::All,
            dialogue_labels: LabelView::All,
            empty: EmptyDialogues::Counted,
            macro_over: MacroOver::AllLabels,
            window: WarningWindow::FromOnset,
            false_alarm_tolerance: 0,
            false_positive_cost: FalsePositiveCost::PositiveShare,
            latency_rate: LatencyRate::MedianOfDialogues,
            min_slice: 20,
        }
    }
}

impl Crisis {
    /// Turn by turn, with this tolerance.
    fn turn(&self, labels: LabelView, tolerance: usize) -> CrisisReading {
        CrisisReading { setting: CrisisSetting::Turn { tolerance }, labels, empty: self.empty }
    }

    /// The dialogue as a whole.
    fn dialogue(&self, labels: LabelView) -> CrisisReading {
        CrisisReading { setting: CrisisSetting::Dialogue, labels, empty: self.empty }
    }
}

/// Gold beside what is predicted; predicted names that are no label are left out.
fn dialogue(judged: &Judged<'_, Crisis>) -> CrisisDialogue {
    let set =
        |names: &Vec<String>| names.iter().filter_map(|name| CrisisLabel::from_wire(name).ok()).collect();
    let predicted = judged.prediction.turns.iter().map(set).chain(std::iter::repeat(CrisisSet::default()));
    judged.item.gold.turns.iter().copied().zip(predicted).collect()
}

impl Protocol for Crisis {
    const NAME: &'static str = "crisis";
    const CLUSTER: &'static str = "dialogue";
    type Input = Conversation;
    type Gold = CrisisGold;
    type Prediction = CrisisPrediction;

    /// Danger has no single name here, so that both policies say nothing at all.
    fn stand_in(
        &self,
        item: &Item<Conversation, CrisisGold>,
        policy: Unanswered,
    ) -> Option<CrisisPrediction> {
        let silent =
            || CrisisPrediction { turns: vec![Vec::new(); item.gold.turns.len()], probabilities: None };
        match policy {
            Unanswered::Positive | Unanswered::Negative => Some(silent()),
            Unanswered::LeftOut => None,
        }
    }

    fn evaluator<'a>(&'a self, judged: &'a [Judged<'a, Self>]) -> Box<dyn Evaluator + 'a> {
        Box::new(evaluator::evaluator(self, judged, &clusters(judged)))
    }

    fn findings(&self, judged: &[Judged<'_, Self>], intervals: &Intervals) -> Findings {
        findings::findings(self, judged, intervals)
    }

    fn is_right(&self, judged: &[Judged<'_, Self>]) -> Vec<bool> {
        let exact = |one| dialogue(one).turns.iter().all(|turn| turn.gold == turn.predicted);
        judged.iter().map(exact).collect()
    }
}

#[cfg(test)]
mod tests;
