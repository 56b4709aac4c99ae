//! Thresholds of a fine-tuned model's labels, which `mindrail calibrate` puts into its
//! bundle: of signals, onsets, classes and harms of replies. Decisions that rest on
//! several labels at once have a threshold of their own under a name of their own.

use std::collections::BTreeMap;

use mindrail_core::calibration::{Calibration, DataFile, LabelColumn, LabelThresholds, RiskThreshold};
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Signal, Stage, Taxonomy, Tense};
use serde::{Deserialize, Serialize};

use crate::assessor::probability;
use crate::rows::{Target, Task};

/// All unsafe classes of a reply together: 1 less the probability that it is safe.
pub const UNSAFE_REPLY: &str = "unsafe";
/// Any ongoing Confirm: the highest of their probabilities.
pub const ONGOING_CONFIRM: &str = "ongoing_confirm";
/// The tasks whose labels have thresholds in serving.
pub const LABEL_TASKS: [Task; 4] = [Task::Signals, Task::Onsets, Task::ReplyClass, Task::Harms];

/// The thresholds of a model's labels, with what they were chosen on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCalibration {
    /// SHA-256 of the manifest of the model.
    pub model: String,
    /// The rows that they were chosen on.
    pub chosen_on: DataFile,
    /// The thresholds of each task that the rows have labels of.
    pub tasks: BTreeMap<Task, LabelThresholds>,
}

/// The columns of a task's labels, from the model's outputs and what is so. A class that
/// is not safe is a label; that a reply is safe is none.
pub fn columns<'a>(
    task: Task,
    rows: impl Iterator<Item = (&'a [f32], &'a Target)>,
) -> BTreeMap<String, LabelColumn> {
    let names = task.labels();
    let mut columns: BTreeMap<String, LabelColumn> = BTreeMap::new();
    for (outputs, target) in rows {
        let gold = gold(task, target);
        for ((name, output), gold) in names.iter().zip(outputs).zip(&gold) {
            if *name != ReplyClass::SafeResponse.wire() {
                columns.entry((*name).to_owned()).or_default().push(probability(*output), *gold);
            }
        }
        if let Some((name, output, gold)) = together(task, outputs, &gold) {
            columns.entry(name.to_owned()).or_default().push(output, gold);
        }
    }
    columns
}

fn gold(task: Task, target: &Target) -> Vec<bool> {
    match target {
        Target::Labels(labels) => labels.iter().map(|label| *label >= 0.5).collect(),
        Target::Class(class) => (0..task.outputs()).map(|at| at == *class).collect(),
        Target::Level(_) | Target::Preference { .. } => Vec::new(),
    }
}

/// The decision of a task that rests on several labels.
fn together(task: Task, outputs: &[f32], gold: &[bool]) -> Option<(&'static str, Probability, bool)> {
    match task {
        Task::ReplyClass => {
            let safe = ReplyClass::SafeResponse.index();
            Some((UNSAFE_REPLY, probability(1.0 - outputs.get(safe)?), !*gold.get(safe)?))
        }
        Task::Onsets => {
            let confirms = CrisisLabel::ALL.iter().filter(|label| is_ongoing_confirm(**label));
            let places: Vec<usize> = confirms.map(|label| label.index()).collect();
            let highest = places.iter().filter_map(|at| outputs.get(*at)).map(|p| probability(*p));
            let is_any = places.iter().any(|at| gold.get(*at) == Some(&true));
            Some((ONGOING_CONFIRM, highest.fold(Probability::ZERO, Probability::max), is_any))
        }
        _ => None,
    }
}

fn is_ongoing_confirm(label: CrisisLabel) -> bool {
    matches!(label.stage(), Stage::Confirm(_)) && label.tense() == Tense::Ongoing
}

impl LabelCalibration {
    /// Puts the thresholds that there are in the place of those in `calibration`.
    pub fn apply(&self, calibration: &mut Calibration) {
        if let Some(found) = self.tasks.get(&Task::Signals) {
            put::<Signal>(found, &mut calibration.signals);
        }
        if let Some(found) = self.tasks.get(&Task::Onsets) {
            put::<CrisisLabel>(found, &mut calibration.crisis);
            if let Some(threshold) = found.of(ONGOING_CONFIRM) {
                calibration.certain_confirm = threshold.clone();
            }
        }
        if let Some(found) = self.tasks.get(&Task::ReplyClass) {
            put::<ReplyClass>(found, &mut calibration.replies);
            if let Some(threshold) = found.of(UNSAFE_REPLY) {
                calibration.unsafe_reply = threshold.value;
            }
        }
        if let Some(found) = self.tasks.get(&Task::Harms) {
            put::<Harm>(found, &mut calibration.harms);
        }
    }

    /// How many thresholds of a task are missing, and of how many; none where the rows had
    /// no labels of the task.
    pub fn without(&self, task: Task) -> Option<(usize, usize)> {
        let labels = &self.tasks.get(&task)?.labels;
        Some((labels.values().filter(|label| label.threshold.is_none()).count(), labels.len()))
    }
}

fn put<T: Taxonomy>(found: &LabelThresholds, into: &mut Scores<T>) {
    for label in T::ALL {
        if let Some(RiskThreshold { value, .. }) = found.of(label.wire()) {
            into.set(*label, *value);
        }
    }
}
