//! Whether a file holds what its data set promises. Every published set breaks its
//! own promises in some rows, so a broken one is a warning with file, row and rule;
//! an error is only what cannot be read.

mod rules;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use serde::Serialize;

use crate::sets::{self, DataSet, Sample, Vocabulary};
use crate::table::{DataError, Place};

/// A promise of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A label that the set's list does not have.
    UnknownLabel,
    /// A value (language, stage, register, topic, source) that the set's list does
    /// not have.
    UnknownValue,
    /// A name, or a pair of replies, that stood in an earlier row.
    Duplicate,
    /// Text is missing.
    EmptyText,
    /// A transcript without a turn of the person.
    NoUserTurn,
    /// A label of high risk, labelled signals, and none of them holds.
    HighRiskWithoutSignal,
    /// A label of low risk and signals that hold. KHP has 88 such rows by design.
    LowRiskWithSignal,
    /// The signal for which a row was written does not hold.
    PrimarySignalAbsent,
    /// `Risk` says other than the label.
    RiskAgainstLabel,
    /// `n_turns` is not the number of turns.
    TurnCount,
    /// Safe and of a severity, or unsafe and of none. The release has 8 such replies.
    SafetyAgainstSeverity,
    /// Safe and with a harm, or unsafe and with none. The release has the same 8.
    SafetyAgainstHarms,
    /// A severity without a harm, or a harm without a severity.
    SeverityAgainstHarms,
    /// The safer reply is unsafe and the other one safe.
    SaferIsUnsafe,
    /// The hash is not that of prompt and reply.
    Hash,
    /// Both replies of a pair are the same.
    SameReplies,
    /// A label on a turn that is not the person's.
    LabelOffUserTurn,
    /// The same Confirm at two turns, where an event has one at most.
    RepeatedConfirm,
    /// More Alerts than confirmed events, and more than one.
    RepeatedAlert,
    /// A row without speaker was joined to the turn before it.
    JoinedRow,
    /// A dialogue opens with a listener.
    OpeningListener,
    /// A dialogue opens with a row without speaker, which is read as the person's.
    OpeningWithoutSpeaker,
    /// `turn_id` jumps, or falls back to another number than 0.
    TurnOrder,
    /// A dialogue lacks a row that could not be read.
    MissingRow,
    /// `no_crisis` beside a crisis.
    NoCrisisBesideCrisis,
    /// A post without any label.
    NoLabel,
    /// The context does not end with the person, or the reply is not one turn of
    /// the listener.
    ReplyOutOfPlace,
    /// A reply answers no user turn.
    AfterTurn,
}

impl Rule {
    /// All rules with their names and what they promise.
    pub const ALL: [(Self, &'static str, &'static str); 28] = [
        (Self::UnknownLabel, "unknown_label", "a label of the set's list"),
        (Self::UnknownValue, "unknown_value", "a value of the set's list"),
        (Self::Duplicate, "duplicate", "a name, or a pair of replies, that stands once"),
        (Self::EmptyText, "empty_text", "some text"),
        (Self::NoUserTurn, "no_user_turn", "a turn of the person"),
        (Self::HighRiskWithoutSignal, "high_risk_without_signal", "a signal where the risk is high"),
        (Self::LowRiskWithSignal, "low_risk_with_signal", "no signal where the risk is low"),
        (Self::PrimarySignalAbsent, "primary_signal_absent", "the primary signal among the signals"),
        (Self::RiskAgainstLabel, "risk_against_label", "Risk as the label says"),
        (Self::TurnCount, "turn_count", "as many turns as n_turns says"),
        (Self::SafetyAgainstSeverity, "safety_against_severity", "safe exactly if severity is 0"),
        (Self::SafetyAgainstHarms, "safety_against_harms", "safe exactly if no harm holds"),
        (Self::SeverityAgainstHarms, "severity_against_harms", "severity 0 exactly if no harm holds"),
        (Self::SaferIsUnsafe, "safer_is_unsafe", "a safer reply that is not less safe"),
        (Self::Hash, "hash", "the SHA-256 of prompt and reply"),
        (Self::SameReplies, "same_replies", "two different replies"),
        (Self::LabelOffUserTurn, "label_off_user_turn", "labels on the person's turns only"),
        (Self::RepeatedConfirm, "repeated_confirm", "each Confirm at one turn"),
        (Self::RepeatedAlert, "repeated_alert", "no more Alerts than events"),
        (Self::JoinedRow, "joined_row", "a speaker in every row (joined to the row before)"),
        (Self::OpeningListener, "opening_listener", "a dialogue that the person opens"),
        (Self::OpeningWithoutSpeaker, "opening_without_speaker", "a speaker in the first row"),
        (Self::TurnOrder, "turn_order", "turn_id one by one from 0"),
        (Self::MissingRow, "missing_row", "a dialogue without unreadable rows"),
        (Self::NoCrisisBesideCrisis, "no_crisis_beside_crisis", "no_crisis alone"),
        (Self::NoLabel, "no_label", "a label, if only no_crisis"),
        (Self::ReplyOutOfPlace, "reply_out_of_place", "a context that the person ends, and one reply to it"),
        (Self::AfterTurn, "after_turn", "replies to user turns"),
    ];

    fn entry(self) -> (&'static str, &'static str) {
        let (_, name, promise) = Self::ALL[self as usize];
        (name, promise)
    }

    /// The name in tables and JSON.
    pub fn wire(self) -> &'static str {
        self.entry().0
    }

    /// What the rule promises.
    pub fn promise(self) -> &'static str {
        self.entry().1
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The row.
    pub place: Place,
    /// What it breaks.
    pub rule: Rule,
}

/// Looks at the samples of one file after another.
pub struct Checker {
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Checker {
    /// Has seen nothing.
    pub fn new() -> Self {
        Self { seen: HashSet::new(), hasher: RandomState::new() }
    }

    /// The promises that a sample breaks.
    ///
    /// # Errors
    /// If there is no conversation in it.
    pub fn look_at(&mut self, sample: &Sample) -> Result<Vec<Warning>, DataError> {
        let mut broken = rules::broken_by(sample)?;
        if let Some(identity) = rules::identity(sample)
            && !self.seen.insert(self.hasher.hash_one(identity))
        {
            broken.push((sample.place().clone(), Rule::Duplicate));
        }
        Ok(broken.into_iter().map(|(place, rule)| Warning { place, rule }).collect())
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

/// What was found in a file.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// The file.
    pub file: String,
    /// The data set, by its name.
    pub set: &'static str,
    /// Samples that could be read: rows, or dialogues.
    pub samples: usize,
    /// Rows that could not be read.
    pub bad: usize,
    /// The first of their errors, as text.
    pub errors: Vec<String>,
    /// How often each rule is broken, by its name.
    pub broken: BTreeMap<&'static str, usize>,
    /// The first rows that break each rule.
    pub warnings: Vec<ShownWarning>,
}

/// A warning as it is told.
#[derive(Debug, Serialize)]
pub struct ShownWarning {
    /// File and line, or file and row.
    pub place: String,
    /// The row, from 1.
    pub row: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What the rule promises.
    pub expected: &'static str,
}

/// Checks a whole file. Of each rule, and of the errors, at most `shown` rows are
/// named; all are counted.
///
/// # Errors
/// If the file cannot be opened, or is of no known data set.
pub fn check(path: &Path, set: Option<DataSet>, shown: usize) -> Result<Findings, DataError> {
    let (set, samples) = sets::read(path, set)?;
    let mut findings = Findings {
        file: path.display().to_string(),
        set: set.wire(),
        samples: 0,
        bad: 0,
        errors: Vec::new(),
        broken: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let mut checker = Checker::new();
    for sample in samples {
        match sample.and_then(|sample| checker.look_at(&sample)) {
            Ok(warnings) => {
                findings.samples += 1;
                warnings.into_iter().for_each(|warning| findings.add(&warning, shown));
            }
            Err(error) => {
                findings.bad += 1;
                if findings.errors.len() < shown {
                    findings.errors.push(error.to_string());
                }
            }
        }
    }
    Ok(findings)
}

impl Findings {
    fn add(&mut self, warning: &Warning, shown: usize) {
        let (rule, expected) = warning.rule.entry();
        let count = self.broken.entry(rule).or_default();
        *count += 1;
        if *count <= shown {
            let (place, row) = (warning.place.to_string(), warning.place.row);
            self.warnings.push(ShownWarning { place, row, rule, expected });
        }
    }
}

/// Whether a name is one of its list.
fn is_unknown<T: Vocabulary>(term: Option<&sets::Term<T>>) -> bool {
    term.is_some_and(|term| term.known().is_none())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_its_own_entry_and_name() {
        for (place, (rule, name, _)) in Rule::ALL.iter().enumerate() {
            assert_eq!(*rule as usize, place, "{name} stands at another place than its variant");
        }
        let names: BTreeSet<&str> = Rule::ALL.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(names.len(), Rule::ALL.len());
    }
}
