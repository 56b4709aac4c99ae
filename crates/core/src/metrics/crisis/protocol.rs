//! Whether labels keep the protocol: an event has at most one Alert and at most
//! one Confirm, and the Alert, being the earlier sign, does not follow its
//! Confirm. Alerts do not name their event, so two of the three counts below are
//! upper bounds, not proofs.

use serde::{Deserialize, Serialize};

use super::CrisisSet;
use crate::taxonomy::{CrisisLabel, Stage, Taxonomy, Tense};

/// Counts of labels that the protocol does not foresee. They add up over dialogues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolViolations {
    /// Confirms of a label that an earlier turn has already confirmed.
    pub repeated_confirms: usize,
    /// Alerts of a label that an earlier turn has already given; right where a
    /// second event begins.
    pub repeated_alerts: usize,
    /// Alerts after a Confirm of the same tense with no Confirm of that tense on
    /// the same or a later turn that they could announce; right where a second
    /// event never becomes explicit.
    pub alerts_after_confirm: usize,
}

impl std::ops::AddAssign for ProtocolViolations {
    fn add_assign(&mut self, other: Self) {
        self.repeated_confirms += other.repeated_confirms;
        self.repeated_alerts += other.repeated_alerts;
        self.alerts_after_confirm += other.alerts_after_confirm;
    }
}

/// Counts the violations in the labels of one dialogue's user turns, gold or
/// predicted. Of no turns: zeros.
pub fn protocol_violations(turns: &[CrisisSet]) -> ProtocolViolations {
    let mut found = ProtocolViolations::default();
    for &label in CrisisLabel::ALL {
        let repeats = turns.iter().filter(|set| set.contains(label)).count().saturating_sub(1);
        match label.stage() {
            Stage::Alert => {
                found.repeated_alerts += repeats;
                found.alerts_after_confirm += alerts_after_confirm(turns, label);
            }
            Stage::Confirm(_) => found.repeated_confirms += repeats,
        }
    }
    found
}

/// Alerts of this label after the last Confirm of its tense.
fn alerts_after_confirm(turns: &[CrisisSet], alert: CrisisLabel) -> usize {
    match turns.iter().rposition(|set| has_confirm(*set, alert.tense())) {
        Some(last) => turns[last + 1..].iter().filter(|set| set.contains(alert)).count(),
        None => 0,
    }
}

fn has_confirm(set: CrisisSet, tense: Tense) -> bool {
    set.iter().any(|label| matches!(label.stage(), Stage::Confirm(_)) && label.tense() == tense)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taxonomy::CrisisLabel::*;

    fn violations(turns: &[&[CrisisLabel]]) -> ProtocolViolations {
        let sets: Vec<CrisisSet> = turns.iter().map(|labels| labels.iter().copied().collect()).collect();
        protocol_violations(&sets)
    }

    #[test]
    fn an_alert_and_then_its_confirm_keep_the_protocol() {
        let none = ProtocolViolations::default();
        assert_eq!(violations(&[&[], &[AlertOngoing], &[ConfirmShOngoing]]), none);
        assert_eq!(violations(&[&[AlertOngoing, ConfirmShOngoing]]), none);
        assert_eq!(violations(&[]), none);
    }

    #[test]
    fn each_repetition_of_a_confirm_counts() {
        let found = violations(&[&[ConfirmShPast], &[ConfirmShPast], &[ConfirmShPast, ConfirmShOngoing]]);
        assert_eq!(found, ProtocolViolations { repeated_confirms: 2, ..ProtocolViolations::default() });
    }

    #[test]
    fn an_alert_after_the_last_confirm_of_its_tense_counts() {
        let found = violations(&[&[ConfirmShOngoing], &[AlertOngoing], &[AlertPast]]);
        assert_eq!(found, ProtocolViolations { alerts_after_confirm: 1, ..ProtocolViolations::default() });
        // The second alert announces the second confirm.
        let found = violations(&[&[AlertPast], &[ConfirmShPast], &[AlertPast], &[ConfirmRaPast]]);
        assert_eq!(found, ProtocolViolations { repeated_alerts: 1, ..ProtocolViolations::default() });
    }
}
