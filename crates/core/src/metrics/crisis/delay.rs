//! When an onset was noticed, measured in user turns from where the annotators
//! put it: delays of single labels, the time won before a Confirm, false alarms,
//! and how early in a dialogue the crisis becomes explicit.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::{
    CrisisDialogue, CrisisReading, CrisisSet, CrisisSetting, CrisisTurn, EmptyDialogues, LabelView, Side,
    count_crisis,
};
use crate::taxonomy::{CrisisLabel, CrisisType, Stage};

/// One gold onset and when it was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnsetDelay {
    /// The label's place in [`LabelView::names`].
    pub place: usize,
    /// The user turn of the gold onset, from 0.
    pub turn: usize,
    /// Predicted turn - gold turn: negative is early. `None` when it was missed.
    pub delay: Option<i64>,
}

/// The delay of every gold onset of a dialogue. Within a label the first gold
/// onset takes the first prediction, the second the second, and so on: surplus
/// gold onsets are missed, surplus predictions are false alarms. Anchored at
/// alerts with [`LabelView::AlertOnly`], at confirms with [`LabelView::ConfirmOnly`].
pub fn onset_delays(dialogue: &CrisisDialogue, view: LabelView) -> Vec<OnsetDelay> {
    let of_label = |place| {
        let gold = dialogue.turns_with(view, place, Side::Gold);
        let predicted =
            if gold.is_empty() { Vec::new() } else { dialogue.turns_with(view, place, Side::Predicted) };
        gold.into_iter().enumerate().map(move |(number, turn)| {
            let delay = predicted.get(number).map(|&called| called as i64 - turn as i64);
            OnsetDelay { place, turn, delay }
        })
    };
    (0..view.names().len()).flat_map(of_label).collect()
}

/// How often onsets were called early, on time, late, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayCounts {
    /// Number of onsets called at each delay in user turns.
    pub histogram: BTreeMap<i64, usize>,
    /// Onsets that were never called.
    pub missed: usize,
}

impl DelayCounts {
    fn called(&self, delays: impl Fn(i64) -> bool) -> usize {
        self.histogram.iter().filter(|(delay, _)| delays(**delay)).map(|(_, count)| count).sum()
    }

    /// Onsets called before their turn.
    pub fn early(&self) -> usize {
        self.called(|delay| delay < 0)
    }

    /// Onsets called at their turn.
    pub fn on_time(&self) -> usize {
        self.called(|delay| delay == 0)
    }

    /// Onsets called after their turn.
    pub fn late(&self) -> usize {
        self.called(|delay| delay > 0)
    }

    /// All onsets.
    pub fn onsets(&self) -> usize {
        self.called(|_| true) + self.missed
    }

    /// Median delay of the called onsets in user turns, the mean of the middle
    /// two for an even number. `None` when none was called.
    pub fn median(&self) -> Option<f64> {
        let called = self.called(|_| true);
        let at = |rank: usize| {
            let mut passed = 0;
            let mut delays = self.histogram.iter();
            delays.find_map(|(&delay, &count)| {
                passed += count;
                (passed > rank).then_some(delay as f64)
            })
        };
        Some(f64::midpoint(at(called.checked_sub(1)? / 2)?, at(called / 2)?))
    }
}

impl FromIterator<OnsetDelay> for DelayCounts {
    fn from_iter<I: IntoIterator<Item = OnsetDelay>>(onsets: I) -> Self {
        let mut counts = Self::default();
        for onset in onsets {
            match onset.delay {
                Some(delay) => *counts.histogram.entry(delay).or_default() += 1,
                None => counts.missed += 1,
            }
        }
        counts
    }
}

impl AddAssign<&Self> for DelayCounts {
    fn add_assign(&mut self, other: &Self) {
        for (delay, count) in &other.histogram {
            *self.histogram.entry(*delay).or_default() += count;
        }
        self.missed += other.missed;
    }
}

/// From which user turn on a warning of an event is a correct one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningWindow {
    /// From the first turn of the dialogue: earlier is always better.
    FromStart,
    /// From the last gold alert at or before the event's Confirm, or from the
    /// Confirm itself where there is none: what comes before had no sign to see.
    FromOnset,
}

/// One gold Confirm and the first correct warning of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadTime {
    /// The label of the Confirm.
    pub label: CrisisLabel,
    /// Its user turn, from 0.
    pub turn: usize,
    /// Turn of the Confirm - turn of the first correct warning: the user turns
    /// that were won; negative when the warning came later. `None` without one.
    pub lead: Option<i64>,
}

impl LeadTime {
    /// Whether the warning came at the Confirm's turn or before it.
    pub fn in_time(&self) -> bool {
        self.lead.is_some_and(|lead| lead >= 0)
    }
}

/// The lead time of every gold Confirm of a dialogue. A warning is any predicted
/// alert, which names no type, or a predicted Confirm of the event's type in
/// either tense, inside the window.
pub fn lead_times(dialogue: &CrisisDialogue, window: WarningWindow) -> Vec<LeadTime> {
    let confirms = dialogue.turns.iter().enumerate().flat_map(|(turn, labels)| {
        labels.gold.iter().filter_map(move |label| match label.stage() {
            Stage::Alert => None,
            Stage::Confirm(kind) => Some((turn, label, kind)),
        })
    });
    confirms
        .map(|(turn, label, kind)| {
            let from = match window {
                WarningWindow::FromStart => 0,
                WarningWindow::FromOnset => first_sign(&dialogue.turns, turn),
            };
            let warning = (from..dialogue.turns.len()).find(|&t| warns(dialogue.turns[t].predicted, kind));
            LeadTime { label, turn, lead: warning.map(|warning| turn as i64 - warning as i64) }
        })
        .collect()
}

/// The turn of the last gold alert at or before `confirm`, or `confirm`.
fn first_sign(turns: &[CrisisTurn], confirm: usize) -> usize {
    let is_alert = |label: CrisisLabel| label.stage() == Stage::Alert;
    (0..=confirm).rev().find(|&turn| turns[turn].gold.iter().any(is_alert)).unwrap_or(confirm)
}

fn warns(predicted: CrisisSet, kind: CrisisType) -> bool {
    predicted.iter().any(|label| match label.stage() {
        Stage::Alert => true,
        Stage::Confirm(own) => own == kind,
    })
}

/// Predicted labels that match no gold onset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FalseAlarms {
    /// Number of unmatched predicted labels.
    pub alarms: usize,
    /// All dialogues, those without onsets included.
    pub dialogues: usize,
    /// All user turns.
    pub turns: usize,
}

impl FalseAlarms {
    /// Mean number per dialogue; `None` without dialogues.
    pub fn per_dialogue(&self) -> Option<f64> {
        (self.dialogues > 0).then(|| self.alarms as f64 / self.dialogues as f64)
    }

    /// Mean number per 100 user turns; `None` without turns.
    pub fn per_100_turns(&self) -> Option<f64> {
        (self.turns > 0).then(|| 100.0 * self.alarms as f64 / self.turns as f64)
    }
}

/// The false alarms: the false positives of the turn setting with this view and
/// tolerance in user turns, empty dialogues counted.
pub fn false_alarms(dialogues: &[CrisisDialogue], view: LabelView, tolerance: usize) -> FalseAlarms {
    let setting = CrisisSetting::Turn { tolerance };
    let reading = CrisisReading { setting, labels: view, empty: EmptyDialogues::Counted };
    let alarms = dialogues.iter().map(|dialogue| count_crisis(dialogue, &reading).micro().fp).sum();
    let turns = dialogues.iter().map(|dialogue| dialogue.turns.len()).sum();
    FalseAlarms { alarms, dialogues: dialogues.len(), turns }
}

/// When in a dialogue the crisis becomes explicit. The cuts are those of a third
/// party's analysis of CRADLE-Dialogue, not verified against the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reveal {
    /// The first gold Confirm is on user turn 1 to 3.
    Early,
    /// On user turn 4 to 6.
    Mid,
    /// On user turn 7 or later.
    Late,
    /// There is no gold Confirm.
    Never,
}

impl Reveal {
    /// All slices.
    pub const ALL: [Self; 4] = [Self::Early, Self::Mid, Self::Late, Self::Never];
}

/// The slice that a dialogue belongs to.
pub fn reveal(dialogue: &CrisisDialogue) -> Reveal {
    let confirms = |turn: &CrisisTurn| turn.gold.iter().any(|label| label.stage() != Stage::Alert);
    match dialogue.turns.iter().position(confirms) {
        Some(0..=2) => Reveal::Early,
        Some(3..=5) => Reveal::Mid,
        Some(_) => Reveal::Late,
        None => Reveal::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogue;
    use super::*;
    use crate::taxonomy::CrisisLabel::*;

    fn leads(dialogue: &CrisisDialogue, window: WarningWindow) -> Vec<Option<i64>> {
        lead_times(dialogue, window).iter().map(|lead| lead.lead).collect()
    }

    #[test]
    fn onsets_are_early_on_time_late_or_missed() {
        let gold = [(3, AlertOngoing), (5, ConfirmShOngoing), (5, ConfirmRaPast), (6, ConfirmCaPast)];
        let called = [(1, AlertOngoing), (5, ConfirmShOngoing), (8, ConfirmRaPast), (0, ConfirmDvPast)];
        let sets = dialogue(9, &gold, &called);
        let counts: DelayCounts = onset_delays(&sets, LabelView::All).into_iter().collect();
        assert_eq!((counts.early(), counts.on_time(), counts.late(), counts.missed), (1, 1, 1, 1));
        assert_eq!(counts.histogram, BTreeMap::from([(-2, 1), (0, 1), (3, 1)]));
        assert_eq!((counts.onsets(), counts.median()), (4, Some(0.0)));
        let confirms: DelayCounts = onset_delays(&sets, LabelView::ConfirmOnly).into_iter().collect();
        assert_eq!((confirms.onsets(), confirms.median()), (3, Some(1.5)));
        let mut twice = counts.clone();
        twice += &counts;
        assert_eq!((twice.onsets(), twice.histogram[&3]), (8, 2));
        assert_eq!(DelayCounts::default().median(), None);
    }

    #[test]
    fn the_second_onset_of_a_label_takes_the_second_prediction() {
        let sets =
            dialogue(9, &[(2, AlertPast), (6, AlertPast)], &[(2, AlertPast), (7, AlertPast), (8, AlertPast)]);
        let delays: Vec<_> =
            onset_delays(&sets, LabelView::AlertOnly).iter().map(|onset| onset.delay).collect();
        assert_eq!(delays, [Some(0), Some(1)]);
        let one = dialogue(9, &[(2, AlertPast), (6, AlertPast)], &[(4, AlertPast)]);
        let delays: Vec<_> =
            onset_delays(&one, LabelView::AlertOnly).iter().map(|onset| onset.delay).collect();
        assert_eq!(delays, [Some(2), None]);
    }

    #[test]
    fn lead_time_runs_from_the_first_correct_warning_to_the_confirm() {
        // A sign at turn 2, explicit at turn 5; warned at 0 (no sign yet) and at 3.
        let gold = [(2, AlertOngoing), (5, ConfirmShOngoing)];
        let sets = dialogue(8, &gold, &[(0, AlertOngoing), (3, ConfirmShPast), (5, ConfirmShOngoing)]);
        assert_eq!(leads(&sets, WarningWindow::FromOnset), [Some(2)]);
        assert_eq!(leads(&sets, WarningWindow::FromStart), [Some(5)]);
    }

    #[test]
    fn another_type_is_no_warning_and_a_late_one_is_not_in_time() {
        let sets = dialogue(8, &[(2, ConfirmDvPast)], &[(1, ConfirmRaPast), (4, ConfirmDvPast)]);
        let found = lead_times(&sets, WarningWindow::FromStart);
        assert_eq!(found, [LeadTime { label: ConfirmDvPast, turn: 2, lead: Some(-2) }]);
        assert!(!found[0].in_time());
        let silent = dialogue(8, &[(2, ConfirmDvPast)], &[]);
        assert_eq!(leads(&silent, WarningWindow::FromStart), [None]);
        assert!(lead_times(&dialogue(3, &[(1, AlertPast)], &[]), WarningWindow::FromOnset).is_empty());
    }

    #[test]
    fn false_alarms_are_counted_in_quiet_dialogues_too() {
        let quiet = dialogue(5, &[], &[(1, AlertOngoing), (2, ConfirmShPast)]);
        let near = dialogue(15, &[(4, AlertOngoing)], &[(5, AlertOngoing)]);
        let dialogues = [quiet, near];
        let exact = false_alarms(&dialogues, LabelView::All, 0);
        assert_eq!(exact, FalseAlarms { alarms: 3, dialogues: 2, turns: 20 });
        assert_eq!((exact.per_dialogue(), exact.per_100_turns()), (Some(1.5), Some(15.0)));
        assert_eq!(false_alarms(&dialogues, LabelView::All, 1).alarms, 2);
        let none = false_alarms(&[], LabelView::All, 0);
        assert_eq!((none.per_dialogue(), none.per_100_turns()), (None, None));
    }

    #[test]
    fn the_reveal_is_the_turn_of_the_first_confirm() {
        let at =
            |turn| reveal(&dialogue(12, &[(0, AlertPast), (turn, ConfirmShPast), (11, ConfirmRaPast)], &[]));
        let found = [2, 3, 5, 6].map(at);
        assert_eq!(found, [Reveal::Early, Reveal::Mid, Reveal::Mid, Reveal::Late]);
        assert_eq!(reveal(&dialogue(5, &[(0, AlertPast)], &[(1, ConfirmShPast)])), Reveal::Never);
    }
}
