//! Figures for crisis onsets in dialogues, in the conventions of
//! CRADLE-Dialogue. The publication gives no equations, so that every choice is
//! a named option of [`CrisisReading`]; the strongest reading of the published
//! figures is turn-level, all sixteen labels, empty dialogues counted, exact turn.
//!
//! A dialogue is the list of its user turns, each with the labels that the
//! annotators gave (gold) and those that the model gave (predicted). Listener
//! turns are context and have no place here. "No label" is not a class.

mod delay;
mod early;
mod labels;
mod protocol;

use serde::{Deserialize, Serialize};

use super::confusion::MicroF1;
use super::multilabel::MultilabelCounts;
use super::onset::matches;
#[cfg(test)]
use crate::taxonomy::CrisisLabel;

pub use delay::{
    DelayCounts, FalseAlarms, LeadTime, OnsetDelay, Reveal, WarningWindow, false_alarms, lead_times,
    onset_delays, reveal,
};
pub use early::{
    EarlyDecision, ErdeCosts, LatencyCounts, early_decision, erde, erde_cost, latency_penalty, latency_rate,
};
pub use labels::{CrisisSet, LabelView};
pub use protocol::{ProtocolViolations, protocol_violations};

/// The labels of one user turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrisisTurn {
    /// What the annotators say begins here.
    pub gold: CrisisSet,
    /// What the model says begins here.
    pub predicted: CrisisSet,
}

/// The user turns of one dialogue in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrisisDialogue {
    /// One entry for each user turn, also those without labels.
    pub turns: Vec<CrisisTurn>,
}

impl CrisisDialogue {
    /// All gold and all predicted labels, without their turns.
    pub fn union(&self) -> CrisisTurn {
        let mut all = CrisisTurn::default();
        for turn in &self.turns {
            all.gold.extend(turn.gold);
            all.predicted.extend(turn.predicted);
        }
        all
    }

    /// The user turns (from 0) whose `side` has the label at `place` of `view`.
    fn turns_with(&self, view: LabelView, place: usize, side: Side) -> Vec<usize> {
        let has = |turn: &CrisisTurn| side.of(*turn).iter().any(|label| view.place(label) == Some(place));
        let turns = self.turns.iter().enumerate();
        turns.filter(|(_, turn)| has(turn)).map(|(number, _)| number).collect()
    }
}

/// Gold or predicted.
#[derive(Debug, Clone, Copy)]
enum Side {
    Gold,
    Predicted,
}

impl Side {
    fn of(self, turn: CrisisTurn) -> CrisisSet {
        match self {
            Self::Gold => turn.gold,
            Self::Predicted => turn.predicted,
        }
    }
}

/// What is compared: each user turn, or the dialogue as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrisisSetting {
    /// Each (user turn, label) pair counts; rows are user turns. A prediction is
    /// right when it is matched to a gold onset of the same label at most
    /// `tolerance` user turns away, one to one; 0 is the exact turn. The
    /// tolerance moves the counts of the labels only: exact match, Jaccard and
    /// any-risk always compare turn with turn.
    Turn {
        /// Largest distance in user turns, earlier or later.
        tolerance: usize,
    },
    /// The set of labels over the dialogue, turns dropped; rows are dialogues.
    Dialogue,
}

/// What becomes of dialogues whose gold has no label at all, of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyDialogues {
    /// They count: what is predicted there is a false alarm.
    Counted,
    /// They are left out, and with them their false alarms.
    LeftOut,
}

/// How onsets are read: one value for each convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrisisReading {
    /// Turn by turn, or the dialogue as a whole.
    pub setting: CrisisSetting,
    /// Which labels count and what is told apart.
    pub labels: LabelView,
    /// What becomes of dialogues without gold labels.
    pub empty: EmptyDialogues,
}

impl CrisisReading {
    /// The turn-level reading behind the published turn column.
    pub const TURN: Self = Self {
        setting: CrisisSetting::Turn { tolerance: 0 },
        labels: LabelView::All,
        empty: EmptyDialogues::Counted,
    };

    /// The dialogue-level reading behind the published dialogue column.
    pub const DIALOGUE: Self = Self { setting: CrisisSetting::Dialogue, ..Self::TURN };
}

/// The counts of one dialogue; those of a data set are their sum. Labels stand
/// in the order of [`LabelView::names`]. Without user turns, or when the dialogue
/// is left out, all counts are 0.
pub fn count_crisis(dialogue: &CrisisDialogue, reading: &CrisisReading) -> MultilabelCounts {
    let view = reading.labels;
    let mut counts = MultilabelCounts::new(view.names().len());
    let all = dialogue.union();
    if all.gold.is_empty() && reading.empty == EmptyDialogues::LeftOut {
        return counts;
    }
    let flags = |set: CrisisSet| if set.is_empty() { Vec::new() } else { view.flags(set) };
    let mut count = |turn: &CrisisTurn| counts.count(&flags(turn.gold), &flags(turn.predicted));
    match reading.setting {
        CrisisSetting::Dialogue => count(&all),
        CrisisSetting::Turn { tolerance } => {
            dialogue.turns.iter().for_each(count);
            // A tolerance matters where a label is wrong in both ways.
            let labels = counts.labels.iter_mut().enumerate();
            let missed = labels.filter(|(_, label)| tolerance > 0 && label.fp > 0 && label.fn_ > 0);
            missed.for_each(|(place, label)| *label = matched(dialogue, view, place, tolerance));
        }
    }
    counts
}

/// The counts of one label with one-to-one matching; see
/// [`onset_f1`](super::onset_f1).
fn matched(dialogue: &CrisisDialogue, view: LabelView, place: usize, tolerance: usize) -> MicroF1 {
    let gold = dialogue.turns_with(view, place, Side::Gold);
    let predicted = dialogue.turns_with(view, place, Side::Predicted);
    let tp = matches(&gold, &predicted, tolerance);
    MicroF1 { tp, fp: predicted.len() - tp, fn_: gold.len() - tp }
}

/// The counts of a data set: [`count_crisis`] of every dialogue, summed.
pub fn score_crisis(dialogues: &[CrisisDialogue], reading: &CrisisReading) -> MultilabelCounts {
    let mut total = MultilabelCounts::new(reading.labels.names().len());
    for dialogue in dialogues {
        total += &count_crisis(dialogue, reading);
    }
    total
}

impl FromIterator<(CrisisSet, CrisisSet)> for CrisisDialogue {
    /// A dialogue from (gold, predicted) of each user turn.
    fn from_iter<I: IntoIterator<Item = (CrisisSet, CrisisSet)>>(turns: I) -> Self {
        Self { turns: turns.into_iter().map(|(gold, predicted)| CrisisTurn { gold, predicted }).collect() }
    }
}

/// Gold and predicted (user turn from 0, label) pairs as a dialogue of `turns`
/// user turns, for tests.
#[cfg(test)]
fn dialogue(
    turns: usize,
    gold: &[(usize, CrisisLabel)],
    predicted: &[(usize, CrisisLabel)],
) -> CrisisDialogue {
    let at = |pairs: &[(usize, CrisisLabel)], turn| {
        pairs.iter().filter(|pair| pair.0 == turn).map(|pair| pair.1).collect()
    };
    (0..turns).map(|turn| (at(gold, turn), at(predicted, turn))).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{MacroOver, OnsetSets, onset_f1};
    use crate::taxonomy::CrisisLabel::*;
    use crate::taxonomy::Taxonomy;

    /// The published supports of the test split on user turns.
    const SUPPORTS: [(CrisisLabel, usize); 16] = [
        (AlertOngoing, 172),
        (AlertPast, 64),
        (ConfirmSiPassiveOngoing, 78),
        (ConfirmSiPassivePast, 4),
        (ConfirmSiActiveOngoing, 58),
        (ConfirmSiActivePast, 11),
        (ConfirmShOngoing, 77),
        (ConfirmShPast, 27),
        (ConfirmDvOngoing, 25),
        (ConfirmDvPast, 31),
        (ConfirmRaOngoing, 7),
        (ConfirmRaPast, 59),
        (ConfirmShaOngoing, 23),
        (ConfirmShaPast, 40),
        (ConfirmCaOngoing, 8),
        (ConfirmCaPast, 27),
    ];

    /// 600 dialogues of 4,527 user turns, 703 of them with 711 labels in the
    /// published supports; nothing is predicted.
    fn published_supports() -> Vec<CrisisDialogue> {
        let mut labels = SUPPORTS.iter().flat_map(|&(label, count)| std::iter::repeat_n(label, count));
        let mut turns = vec![CrisisTurn::default(); 4_527];
        for (number, turn) in turns.iter_mut().enumerate().take(703) {
            turn.gold.extend(labels.next());
            // Eight turns carry two labels: 703 + 8 = 711.
            if number < 600 && number.is_multiple_of(80) {
                turn.gold.extend([ConfirmCaPast]);
            }
        }
        // The eight second labels above stand for the last eight of the list.
        assert_eq!(labels.count(), 8);
        let mut dialogues = vec![CrisisDialogue::default(); 600];
        turns.into_iter().enumerate().for_each(|(number, turn)| dialogues[number % 600].turns.push(turn));
        dialogues
    }

    fn dialogues() -> impl Strategy<Value = CrisisDialogue> {
        let set = || proptest::collection::vec(proptest::sample::select(CrisisLabel::ALL), 0..3);
        proptest::collection::vec((set(), set()), 0..9).prop_map(|turns| {
            turns.into_iter().map(|(g, p)| (g.into_iter().collect(), p.into_iter().collect())).collect()
        })
    }

    fn views() -> impl Strategy<Value = LabelView> {
        proptest::sample::select(&LabelView::ALL)
    }

    /// The size of the largest matching by trying every partner.
    fn brute_force(gold: &[(usize, usize)], predicted: &[(usize, usize)], tolerance: usize) -> usize {
        let Some((first, rest)) = gold.split_first() else {
            return 0;
        };
        let mut best = brute_force(rest, predicted, tolerance);
        for (number, other) in predicted.iter().enumerate() {
            if first.1 == other.1 && first.0.abs_diff(other.0) <= tolerance {
                let others = [&predicted[..number], &predicted[number + 1..]].concat();
                best = best.max(1 + brute_force(rest, &others, tolerance));
            }
        }
        best
    }

    fn pairs(dialogue: &CrisisDialogue, view: LabelView, side: Side) -> Vec<(usize, usize)> {
        let mut pairs: Vec<_> = dialogue
            .turns
            .iter()
            .enumerate()
            .flat_map(|(number, turn)| {
                side.of(*turn)
                    .iter()
                    .filter_map(move |label| Some((number, view.place(label)?)))
                    .collect::<Vec<_>>()
            })
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn turn_counts_are_a_largest_matching(dialogue in dialogues(), view in views(), w in 0_usize..4) {
            let gold = pairs(&dialogue, view, Side::Gold);
            let predicted = pairs(&dialogue, view, Side::Predicted);
            let setting = CrisisSetting::Turn { tolerance: w };
            let micro = count_crisis(&dialogue, &CrisisReading { setting, labels: view, ..CrisisReading::TURN }).micro();
            let tp = brute_force(&gold, &predicted, w);
            prop_assert_eq!(micro, MicroF1 { tp, fp: predicted.len() - tp, fn_: gold.len() - tp });
        }

        #[test]
        fn the_turn_reading_is_the_onset_figure_of_training(dialogue in dialogues(), w in 0_usize..4) {
            let side = |side| pairs(&dialogue, LabelView::All, side).into_iter().collect();
            let sets = OnsetSets { gold: side(Side::Gold), predicted: side(Side::Predicted) };
            let setting = CrisisSetting::Turn { tolerance: w };
            let found = score_crisis(&[dialogue], &CrisisReading { setting, ..CrisisReading::TURN });
            prop_assert_eq!(found.micro(), onset_f1(&[sets], w));
        }

        #[test]
        fn the_dialogue_reading_compares_sets(dialogue in dialogues(), view in views()) {
            let reading = CrisisReading { labels: view, ..CrisisReading::DIALOGUE };
            let counts = count_crisis(&dialogue, &reading);
            let set = |side| -> std::collections::BTreeSet<usize> {
                pairs(&dialogue, view, side).into_iter().map(|pair| pair.1).collect()
            };
            let (gold, predicted) = (set(Side::Gold), set(Side::Predicted));
            prop_assert_eq!(counts.micro().tp, gold.intersection(&predicted).count());
            prop_assert_eq!(counts.exact == 1, gold == predicted);
            prop_assert_eq!(counts.rows, 1);
        }
    }

    #[test]
    fn the_always_empty_system_has_the_published_floor() {
        let dialogues = published_supports();
        let counts = score_crisis(&dialogues, &CrisisReading::TURN);
        assert_eq!((counts.rows, counts.exact), (4_527, 3_824));
        assert_eq!(format!("{:.2}", 100.0 * counts.exact_match().unwrap()), "84.47");
        let (micro, macros) = (counts.micro(), counts.macro_average(MacroOver::AllLabels).unwrap());
        assert_eq!((micro.tp, micro.fp, micro.fn_), (0, 0, 711));
        assert!(micro.f1() < f64::MIN_POSITIVE && macros.f1 < f64::MIN_POSITIVE);
        for (label, support) in SUPPORTS {
            assert_eq!(counts.per_label()[label.index()].support, support, "{}", label.wire());
        }
        let alerts =
            score_crisis(&dialogues, &CrisisReading { labels: LabelView::AlertOnly, ..CrisisReading::TURN });
        assert_eq!(alerts.micro().fn_, 236);
    }

    #[test]
    fn the_gold_itself_is_perfect_in_every_reading() {
        let mut dialogues = published_supports();
        for turn in dialogues.iter_mut().flat_map(|dialogue| &mut dialogue.turns) {
            turn.predicted = turn.gold;
        }
        for labels in LabelView::ALL {
            for setting in [CrisisSetting::Turn { tolerance: 1 }, CrisisSetting::Dialogue] {
                let reading = CrisisReading { setting, labels, empty: EmptyDialogues::LeftOut };
                let counts = score_crisis(&dialogues, &reading);
                assert_eq!(counts.exact, counts.rows);
                assert!((counts.micro().f1() - 1.0).abs() < 1e-12, "{labels:?}");
            }
        }
    }

    #[test]
    fn a_right_type_in_the_wrong_tense_is_wrong_only_where_the_tense_counts() {
        let sets = dialogue(2, &[(1, ConfirmShOngoing)], &[(1, ConfirmShPast)]);
        let f1 = |labels| count_crisis(&sets, &CrisisReading { labels, ..CrisisReading::TURN }).micro().f1();
        let found = LabelView::ALL.map(|view| f1(view) > 0.5);
        // All, confirms only, alerts only, type only, time only.
        assert_eq!(found, [false, false, false, true, false]);
    }

    #[test]
    fn false_alarms_in_empty_dialogues_count_as_the_option_says() {
        let quiet = dialogue(3, &[], &[(0, AlertPast)]);
        let counted = count_crisis(&quiet, &CrisisReading::DIALOGUE);
        assert_eq!((counted.micro().fp, counted.rows, counted.any.fp), (1, 1, 1));
        let left_out = CrisisReading { empty: EmptyDialogues::LeftOut, ..CrisisReading::DIALOGUE };
        assert_eq!(count_crisis(&quiet, &left_out).rows, 0);
    }
}
