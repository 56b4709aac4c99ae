//! Thresholds of a fine-tuned model's labels, which `mindrail calibrate` puts into its
//! bundle: of signals, onsets, classes and harms of replies. Decisions that rest on
//! several labels at once have a threshold of their own under a name of their own.
//!
//! Each is chosen on the units that it decides in serving: a signal, a class or a harm on
//! every example; an onset on the turns up to the one at which it begins, since it begins
//! once; whether any Confirm goes on, on whole dialogues.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use mindrail_core::calibration::{Calibration, DataFile, LabelColumn, LabelThresholds, RiskThreshold};
use mindrail_core::policy::rules::{confirms, unsafe_probability};
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Signal, Taxonomy, Tense};
use serde::{Deserialize, Serialize};

use crate::assessor::{labels, probability};
use crate::bundle::{FineTuned, LABEL_THRESHOLDS};
use crate::error::{Error, IoContext as _};
use crate::rows::{Target, Task};

/// All unsafe classes of a reply together.
pub const UNSAFE_REPLY: &str = "unsafe";
/// Any ongoing Confirm of a dialogue: the highest of their probabilities at any turn.
pub const ONGOING_CONFIRM: &str = "ongoing_confirm";
/// The tasks whose labels have thresholds in serving.
pub const LABEL_TASKS: [Task; 4] = [Task::Signals, Task::Onsets, Task::ReplyClass, Task::Harms];

/// The thresholds of a model's labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCalibration {
    /// SHA-256 of the manifest of the model.
    pub model: String,
    /// The thresholds of each task that they were chosen for.
    pub tasks: BTreeMap<Task, ChosenThresholds>,
}

/// The thresholds of one task, with what they were chosen on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChosenThresholds {
    /// The files, the newest first, each with the number of its examples that have labels of
    /// the task.
    pub chosen_on: Vec<DataFile>,
    /// The thresholds.
    pub thresholds: LabelThresholds,
}

impl ChosenThresholds {
    /// Keeps earlier thresholds of labels that have none here.
    fn keep(&mut self, earlier: Self) {
        let chosen = earlier.thresholds.labels.into_iter().filter(|(_, label)| label.threshold.is_some());
        let mut is_any_kept = false;
        for (name, label) in chosen {
            let own = self.thresholds.labels.get(&name);
            if own.is_none_or(|own| own.threshold.is_none()) {
                self.thresholds.labels.insert(name, label);
                is_any_kept = true;
            }
        }
        if is_any_kept {
            self.chosen_on.extend(earlier.chosen_on);
        }
    }
}

/// What a model said of an example, and what is so.
#[derive(Debug, Clone, Copy)]
pub struct LabelRow<'a> {
    /// The name of the conversation that the example is of.
    pub conversation: &'a str,
    /// The model's probabilities.
    pub outputs: &'a [f32],
    /// What is so.
    pub target: &'a Target,
}

/// The names of a task's thresholds: of its labels, that a reply is safe left out, and of
/// the decision that rests on several.
pub fn threshold_names(task: Task) -> Vec<&'static str> {
    let safe = ReplyClass::SafeResponse.wire();
    let own = task.labels().into_iter().filter(|name| *name != safe);
    own.chain(match task {
        Task::ReplyClass => Some(UNSAFE_REPLY),
        Task::Onsets => Some(ONGOING_CONFIRM),
        _ => None,
    })
    .collect()
}

/// The columns that a task's thresholds are chosen on, by name. Rows of one conversation
/// stand together, oldest turn first.
pub fn columns(task: Task, rows: &[LabelRow<'_>]) -> BTreeMap<String, LabelColumn> {
    let conversations: Vec<&[LabelRow<'_>]> =
        rows.chunk_by(|one, next| one.conversation == next.conversation).collect();
    let of = |name: &'static str| {
        let mut column = LabelColumn::default();
        for conversation in &conversations {
            match (name, task.labels().iter().position(|label| *label == name)) {
                (UNSAFE_REPLY, None) => unsafe_replies(conversation, &mut column),
                (_, None) => ongoing_confirm(conversation, &mut column),
                (_, Some(place)) => label(task, place, conversation, &mut column),
            }
        }
        (name.to_owned(), column)
    };
    threshold_names(task).into_iter().map(of).collect()
}

/// The rows of one label. An onset begins once: what is said of it later decides nothing.
fn label(task: Task, place: usize, conversation: &[LabelRow<'_>], column: &mut LabelColumn) {
    for row in conversation {
        let (Some(output), is_so) = (row.outputs.get(place), holds(row.target, place)) else { continue };
        column.push(probability(*output), is_so);
        if task == Task::Onsets && is_so {
            return;
        }
    }
}

fn unsafe_replies(conversation: &[LabelRow<'_>], column: &mut LabelColumn) {
    let safe = ReplyClass::SafeResponse.index();
    for row in conversation {
        column.push(unsafe_probability(&labels(row.outputs)), !holds(row.target, safe));
    }
}

/// One row for a dialogue, as its peak decides in serving.
fn ongoing_confirm(conversation: &[LabelRow<'_>], column: &mut LabelColumn) {
    let (mut highest, mut is_any) = (Probability::ZERO, false);
    for row in conversation {
        for (confirm, _) in confirms(Tense::Ongoing) {
            let said = row.outputs.get(confirm.index()).map_or(Probability::ZERO, |p| probability(*p));
            highest = highest.max(said);
            is_any |= holds(row.target, confirm.index());
        }
    }
    column.push(highest, is_any);
}

fn holds(target: &Target, place: usize) -> bool {
    match target {
        Target::Labels(labels) => labels.get(place).is_some_and(|label| *label >= 0.5),
        Target::Class(class) => *class == place,
        Target::Level(_) | Target::Preference { .. } => false,
    }
}

impl LabelCalibration {
    /// The thresholds that a bundle holds, if it holds any.
    ///
    /// # Errors
    /// If the file cannot be read or is of another model.
    pub fn of_bundle(model: &FineTuned) -> Result<Option<Self>, Error> {
        let path = model.folder().join(LABEL_THRESHOLDS);
        if !path.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).at(&path)?;
        let found: Self = serde_json::from_str(&text)
            .map_err(|e| Error::new(path.display(), e, "what `mindrail calibrate --bundle` writes"))?;
        if found.model != model.sha256() {
            return Err(Error::new(path.display(), "thresholds of another model", "those of this bundle"));
        }
        Ok(Some(found))
    }

    /// These, with those that were chosen earlier for the same model and are not chosen anew:
    /// a file with few rows of a label takes nothing away.
    #[must_use]
    pub fn over(mut self, earlier: Option<Self>) -> Self {
        let earlier = earlier.filter(|earlier| earlier.model == self.model);
        for (task, chosen) in earlier.into_iter().flat_map(|earlier| earlier.tasks) {
            match self.tasks.entry(task) {
                Entry::Vacant(place) => drop(place.insert(chosen)),
                Entry::Occupied(mut own) => own.get_mut().keep(chosen),
            }
        }
        self
    }

    /// A threshold of a task by its name, if it was chosen.
    pub fn of(&self, task: Task, name: &str) -> Option<&RiskThreshold> {
        self.tasks.get(&task)?.thresholds.of(name)
    }

    /// Puts the thresholds that there are in the place of those in `calibration`.
    pub fn apply(&self, calibration: &mut Calibration) {
        self.put::<Signal>(Task::Signals, &mut calibration.signals);
        self.put::<CrisisLabel>(Task::Onsets, &mut calibration.crisis);
        self.put::<ReplyClass>(Task::ReplyClass, &mut calibration.replies);
        self.put::<Harm>(Task::Harms, &mut calibration.harms);
        if let Some(threshold) = self.of(Task::Onsets, ONGOING_CONFIRM) {
            calibration.certain_confirm = threshold.clone();
        }
        if let Some(threshold) = self.of(Task::ReplyClass, UNSAFE_REPLY) {
            calibration.unsafe_reply = threshold.value;
        }
    }

    fn put<T: Taxonomy>(&self, task: Task, into: &mut Scores<T>) {
        for label in T::ALL {
            if let Some(threshold) = self.of(task, label.wire()) {
                into.set(*label, threshold.value);
            }
        }
    }
}
