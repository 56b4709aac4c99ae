//! What a model can be asked. A task knows how many outputs it has and what they are
//! called, from the taxonomies, so that no head is sized or named by hand.

use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Severity, Signal, Taxonomy};
use mindrail_data::sets::{BeaverHarm, Term, Vocabulary};
use mindrail_data::table::Fault;
use serde::{Deserialize, Serialize};

/// One question that a head answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The nine distress signals of a conversation, in KHP's order.
    Signals,
    /// Whether a human should step in now.
    Risk,
    /// The crises that begin to show at the last user turn.
    Onsets,
    /// The class of a reply, of eight.
    ReplyClass,
    /// The fourteen harms of `BeaverTails` that a reply does.
    BeaverHarms,
    /// The nineteen harms of PKU-SafeRLHF that a reply does.
    Harms,
    /// How grave the harm of a reply is, in four levels.
    Severity,
    /// Which of two replies is more helpful.
    Reward,
    /// Which of two replies does more harm.
    Cost,
}

/// How the outputs of a task belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Any of the labels may hold.
    MultiLabel,
    /// Exactly one of the labels holds.
    SingleLabel,
    /// Exactly one level holds, and levels have an order.
    Ordinal,
    /// A number without bounds that is compared between inputs.
    Scalar,
}

/// What is so of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Of each label, how far it holds: 0 to 1, in the order of the labels.
    Labels(Vec<f32>),
    /// The index of the class.
    Class(usize),
    /// The level, from 0.
    Level(usize),
    /// Which of the two inputs ranks higher.
    Preference {
        /// The index of the input with the higher score: the more helpful one of
        /// [`Task::Reward`], the **less** safe one of [`Task::Cost`].
        better: usize,
        /// Of [`Task::Cost`], whether each of the replies is unsafe, where known.
        unsafe_: Option<[bool; 2]>,
    },
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 9] = [
        Self::Signals,
        Self::Risk,
        Self::Onsets,
        Self::ReplyClass,
        Self::BeaverHarms,
        Self::Harms,
        Self::Severity,
        Self::Reward,
        Self::Cost,
    ];

    /// The task's name in files.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Risk => "risk",
            Self::Onsets => "onsets",
            Self::ReplyClass => "reply_class",
            Self::BeaverHarms => "beaver_harms",
            Self::Harms => "harms",
            Self::Severity => "severity",
            Self::Reward => "reward",
            Self::Cost => "cost",
        }
    }

    /// How its outputs belong together.
    pub const fn kind(self) -> TaskKind {
        match self {
            Self::Signals | Self::Risk | Self::Onsets | Self::BeaverHarms | Self::Harms => {
                TaskKind::MultiLabel
            }
            Self::ReplyClass => TaskKind::SingleLabel,
            Self::Severity => TaskKind::Ordinal,
            Self::Reward | Self::Cost => TaskKind::Scalar,
        }
    }

    /// Whether it is asked of a reply; the others are asked of a conversation.
    pub const fn is_of_reply(self) -> bool {
        match self {
            Self::Signals | Self::Risk | Self::Onsets => false,
            Self::ReplyClass
            | Self::BeaverHarms
            | Self::Harms
            | Self::Severity
            | Self::Reward
            | Self::Cost => true,
        }
    }

    /// The names of its outputs on the wire, in their order. A task of one output has
    /// no taxonomy; the output is called as the task.
    pub fn labels(self) -> Vec<&'static str> {
        match self {
            Self::Signals => names::<Signal>(),
            Self::Onsets => names::<CrisisLabel>(),
            Self::ReplyClass => names::<ReplyClass>(),
            Self::BeaverHarms => names::<BeaverHarm>(),
            Self::Harms => names::<Harm>(),
            Self::Severity => names::<Severity>(),
            Self::Risk | Self::Reward | Self::Cost => vec![self.wire()],
        }
    }

    /// How many outputs it has; of [`Task::Severity`] its levels.
    pub const fn outputs(self) -> usize {
        match self {
            Self::Signals => <Signal as Taxonomy>::ALL.len(),
            Self::Onsets => <CrisisLabel as Taxonomy>::ALL.len(),
            Self::ReplyClass => <ReplyClass as Taxonomy>::ALL.len(),
            Self::BeaverHarms => BeaverHarm::ALL.len(),
            Self::Harms => <Harm as Taxonomy>::ALL.len(),
            Self::Severity => <Severity as Taxonomy>::ALL.len(),
            Self::Risk | Self::Reward | Self::Cost => 1,
        }
    }
}

fn names<T: Vocabulary>() -> Vec<&'static str> {
    T::ALL.iter().map(|label| label.wire()).collect()
}

impl Target {
    /// One label that holds or does not.
    pub(super) fn flag(holds: bool) -> Self {
        Self::Labels(vec![f32::from(u8::from(holds))])
    }

    /// The labels that hold, by a function of the label.
    pub(super) fn holding<T: Vocabulary>(holds: impl Fn(T) -> bool) -> Self {
        Self::Labels(T::ALL.iter().map(|&label| f32::from(u8::from(holds(label)))).collect())
    }

    /// The labels of a list. A name that the list does not have would be a label lost,
    /// and so it is a fault of its field; it may be anybody's words and is not repeated.
    pub(super) fn of_terms<T: Vocabulary>(terms: &[Term<T>], field: &str) -> Result<Self, Fault> {
        for term in terms {
            known(term, field)?;
        }
        Ok(Self::holding(|label: T| terms.contains(&Term::Known(label))))
    }
}

/// The label of a name.
pub(super) fn known<T: Vocabulary>(term: &Term<T>, field: &str) -> Result<T, Fault> {
    let fault = || {
        let found = format!("a name of {} characters that is no label", term.wire().chars().count());
        Fault::new(field, found, format!("one of the {} labels, as `{}`", T::ALL.len(), T::ALL[0].wire()))
    };
    term.known().ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_in_files_are_those_of_serde() {
        for task in Task::ALL {
            let json = serde_json::to_string(&task).unwrap();
            assert_eq!(json, format!("\"{}\"", task.wire()));
            assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
        }
    }

    #[test]
    fn outputs_have_the_published_sizes_and_a_name_each() {
        let sizes = Task::ALL.map(Task::outputs);
        assert_eq!(sizes, [9, 1, 16, 8, 14, 19, 4, 1, 1]);
        for task in Task::ALL {
            let mut labels = task.labels();
            assert_eq!(labels.len(), task.outputs(), "{task:?}");
            labels.sort_unstable();
            labels.dedup();
            assert_eq!(labels.len(), task.outputs(), "{task:?} has a name twice");
        }
        assert_eq!(Task::Signals.labels()[0], "burden_language");
        assert_eq!(Task::Onsets.labels()[0], "alert_ongoing");
        assert_eq!(Task::Severity.labels(), ["none", "minor", "moderate", "severe"]);
    }

    #[test]
    fn an_unknown_label_is_a_fault_that_does_not_repeat_it() {
        let terms = [Term::Known(Harm::Drugs), Term::of("my private words")];
        let fault = Target::of_terms(&terms, "harm").unwrap_err();
        assert_eq!(fault.field, "harm");
        assert_eq!(fault.found, "a name of 16 characters that is no label");
        assert!(fault.expected.contains("19 labels"));
    }
}
