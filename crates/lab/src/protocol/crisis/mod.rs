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
    CrisisDialogue, CrisisReading, CrisisSetting, EmptyDialogues, LabelView, WarningWindow,
};
use serde::{Deserialize, Serialize};

pub use items::{CrisisGold, LabelledDialogue, StrayLabel, items};
pub(crate) use prediction::labels;
pub use prediction::{CrisisPrediction, TurnAnswer, UNKNOWN_LABEL};

use super::{Evaluator, Findings, Intervals, Item, Judged, Outcome, Protocol, Unanswered, clusters};

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

/// Gold beside what is predicted, of the turns that are judged; predicted names that
/// are no label are left out.
fn dialogue(judged: &Judged<'_, Crisis>) -> CrisisDialogue {
    let turns = judged.item.gold.turns.iter().zip(&judged.prediction.turns);
    turns.filter_map(|(gold, said)| Some((*gold, said.labels()?))).collect()
}

impl Protocol for Crisis {
    const NAME: &'static str = "crisis";
    const CLUSTER: &'static str = "dialogue";
    const PART: Option<&'static str> = Some("user turn");
    type Input = Conversation;
    type Gold = CrisisGold;
    type Prediction = CrisisPrediction;

    /// Danger has no single name here, so that both policies say nothing at all.
    fn stand_in(
        &self,
        item: &Item<Conversation, CrisisGold>,
        policy: Unanswered,
    ) -> Option<CrisisPrediction> {
        let silent = || CrisisPrediction {
            turns: vec![TurnAnswer::silent(); item.gold.turns.len()],
            probabilities: None,
        };
        match policy {
            Unanswered::Positive | Unanswered::Negative => Some(silent()),
            Unanswered::LeftOut => None,
        }
    }

    fn unanswered_parts(
        &self,
        item: &Item<Conversation, CrisisGold>,
        said: &CrisisPrediction,
    ) -> Vec<Outcome> {
        let turns = said.clone().of_turns(item.gold.turns.len()).turns;
        turns.into_iter().filter_map(TurnAnswer::reason).collect()
    }

    /// The policy holds for each user turn: one without an answer has no label, or is
    /// left out, so that the dialogue is judged as if it did not have it.
    fn in_part(
        &self,
        item: &Item<Conversation, CrisisGold>,
        said: CrisisPrediction,
        policy: Unanswered,
    ) -> Option<CrisisPrediction> {
        let mut said = said.of_turns(item.gold.turns.len());
        let is_answered = |turn: &TurnAnswer| turn.reason().is_none();
        match policy {
            // Where no turn says that it is unanswered, nobody knows which one is.
            Unanswered::LeftOut if said.turns.iter().all(is_answered) => None,
            Unanswered::LeftOut => said.turns.iter().any(is_answered).then_some(said),
            Unanswered::Positive | Unanswered::Negative => {
                let silent = |turn: &mut TurnAnswer| *turn = TurnAnswer::silent();
                said.turns.iter_mut().filter(|turn| !is_answered(turn)).for_each(silent);
                Some(said)
            }
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
