//! Rows to calibrate on from a fine-tuned model and labelled data: the model's outputs on
//! conversations and replies that neither trained it nor chose its checkpoint, for its risk
//! and for the thresholds of its labels.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use mindrail_core::calibration::{DataFile as FitDataFile, LabelThresholds, ThresholdTarget};
use mindrail_core::conversation::Role;
use mindrail_finetune::assessor::probability;
use mindrail_finetune::bundle::FineTuned;
use mindrail_finetune::labels::{self, ChosenThresholds, LABEL_TASKS, LabelCalibration, LabelRow};
use mindrail_finetune::rendering::{Encoded, Kept};
use mindrail_finetune::rows::{self, Example, Input, MissingSignals, ReadOptions, Target, Task};
use mindrail_finetune::{DataFile, probabilities};
use thiserror::Error;

use super::{Compared, FitFile, FitRow, FittingError, SelectionFile, check_disjoint};

/// Why a fine-tuned model gives no rows.
#[derive(Debug, Error)]
pub enum BundleRowsError {
    /// It gives nothing that is calibrated here.
    #[error("{file}: found a model of {tasks}, expected one of risk, signals, onsets, reply_class or harms")]
    Nothing {
        /// The bundle.
        file: String,
        /// Its tasks.
        tasks: String,
    },
    /// The data cannot be read.
    #[error(transparent)]
    Rows(#[from] rows::RowsError),
    /// A row of the data cannot be read.
    #[error("{bad} of {rows} rows cannot be read; the first: {first}")]
    BadRows {
        /// Rows that cannot.
        bad: usize,
        /// All rows.
        rows: usize,
        /// The first of them.
        first: String,
    },
    /// Rows that trained the model, or chose its checkpoint.
    #[error(
        "{file}: found {seen} of {rows} rows that trained the model or chose its checkpoint, the first {first}, \
         expected none, since a calibration on them would be too sure of itself; --without-seen leaves them out"
    )]
    Seen {
        /// The data.
        file: String,
        /// Rows that were seen.
        seen: usize,
        /// The id of the first.
        first: String,
        /// All rows.
        rows: usize,
    },
    /// The model cannot be run.
    #[error(transparent)]
    Model(#[from] mindrail_finetune::Error),
    /// A text cannot be rendered.
    #[error("row {id}: {cause}")]
    Render {
        /// The row.
        id: String,
        /// Why.
        cause: String,
    },
}

/// A data file as a model sees it.
#[derive(Debug)]
pub struct BundleRows {
    /// The rows with a label of risk, where the model gives a risk; each output is the
    /// highest over all turns of the person, read with what came before.
    pub risk: FitFile,
    /// Texts of which truncation leaves nothing: serving does not evaluate them either.
    pub cut_away: usize,
    /// Examples that the model had seen.
    pub left_out: usize,
    examples: Vec<ScoredExample>,
    /// The tasks whose labels get thresholds.
    tasks: Vec<Task>,
}

/// An example with what the model says of it; of no task where nothing was left to read.
#[derive(Debug)]
struct ScoredExample {
    example: Example,
    outputs: BTreeMap<Task, Vec<f32>>,
}

/// What becomes of rows that trained the model or chose its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenRows {
    /// They are an error.
    Refused,
    /// They are left out and counted: an opener that many conversations share is seen
    /// wherever one of them was trained on.
    LeftOut,
}

/// Scores the rows of a data file as the model is served. `each` hears how many readings
/// are done, and of how many.
///
/// # Errors
/// [`BundleRowsError`]; a row that the model has seen is one, unless such rows are left out.
pub fn rows_of_bundle(
    model: &FineTuned,
    data: &Path,
    seen: SeenRows,
    each: &mut dyn FnMut(usize, usize),
) -> Result<BundleRows, BundleRowsError> {
    let wanted = wanted(model)?;
    let file = data.display().to_string();
    // A recipe may let the label of risk stand for signals that nobody has labelled; a
    // threshold chosen on that would be one of risk.
    let options = ReadOptions { missing_signals: MissingSignals::Skip, ..model.manifest().recipe.data.read };
    let mut examples = good(rows::read(data, &wanted, options)?)?;
    let known = seen_by(model, &examples)?;
    if seen == SeenRows::Refused {
        must_be_unseen(&file, &examples, &known)?;
    }
    let mut is_known = known.iter();
    examples.retain(|_| is_known.next() != Some(&true));
    let left_out = known.len() - examples.len();
    let (examples, cut_away) = scored(model, examples, each)?;
    let sha256 = DataFile::of(data)?.sha256;
    let risks = model.risk_task().into_iter().flat_map(|task| {
        examples.iter().filter_map(move |one| Some(one.row(one.outputs.get(&task)?, one.is_high_risk()?)))
    });
    let risk = FitFile { file, sha256, rows: risks.collect() };
    let tasks = LABEL_TASKS.into_iter().filter(|task| wanted.contains(task));
    let tasks = tasks.filter(|task| examples.iter().any(|one| one.label_row(*task).is_some())).collect();
    Ok(BundleRows { risk, cut_away, left_out, examples, tasks })
}

/// The tasks that rows are read for: risk where the model gives one, and its labels.
fn wanted(model: &FineTuned) -> Result<BTreeSet<Task>, BundleRowsError> {
    let labels = LABEL_TASKS.into_iter().filter(|task| model.was_trained_for(*task));
    let wanted: BTreeSet<Task> = labels.chain(model.risk_task().map(|_| Task::Risk)).collect();
    if wanted.is_empty() {
        return Err(BundleRowsError::Nothing {
            file: model.folder().display().to_string(),
            tasks: model.tasks().map(Task::wire).collect::<Vec<_>>().join(", "),
        });
    }
    Ok(wanted)
}

/// What the model says of each example, the highest of each output over its readings; and
/// of how many readings nothing was left.
fn scored(
    model: &FineTuned,
    examples: Vec<Example>,
    each: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<ScoredExample>, usize), BundleRowsError> {
    let (mut readings, mut owners, mut cut_away) = (Vec::new(), Vec::new(), 0);
    for (owner, example) in examples.iter().enumerate() {
        for reading in readings_of(example) {
            let reading = rendered(model, example, &reading)?;
            if reading.cut.judged == Kept::Nothing {
                cut_away += 1;
                continue;
            }
            readings.push(reading);
            owners.push(owner);
        }
    }
    let inputs: Vec<_> = readings.iter().collect();
    let logits = model.network().logits_of_many(&inputs, &mut |done| each(done, inputs.len()))?;
    let unread = |example| ScoredExample { example, outputs: BTreeMap::new() };
    let mut found: Vec<ScoredExample> = examples.into_iter().map(unread).collect();
    for (task, logits) in model.tasks().zip(&logits) {
        for (owner, logits) in owners.iter().zip(logits) {
            let outputs = probabilities(task, logits);
            let highest = found[*owner].outputs.entry(task).or_insert_with(|| outputs.clone());
            highest.iter_mut().zip(outputs).for_each(|(highest, one)| *highest = highest.max(one));
        }
    }
    Ok((found, cut_away))
}

impl BundleRows {
    /// Whether any row has a label that gets a threshold.
    pub const fn has_labels(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Chooses a threshold for each label.
    ///
    /// # Errors
    /// If the target is out of range, or the file or a row of it selected the checkpoint.
    pub fn label_thresholds(
        &self,
        model: &FineTuned,
        selected: &[SelectionFile],
        target: ThresholdTarget,
        least_per_class: usize,
    ) -> Result<LabelCalibration, FittingError> {
        let rows = self.examples.iter().map(|one| one.row(&[], false)).collect();
        let all = FitFile { file: self.risk.file.clone(), sha256: self.risk.sha256.clone(), rows };
        check_disjoint(std::slice::from_ref(&all), selected)?;
        let choose = |task: &Task| {
            let rows: Vec<LabelRow<'_>> =
                self.examples.iter().filter_map(|one| one.label_row(*task)).collect();
            let thresholds = LabelThresholds::choose(target, &labels::columns(*task, &rows), least_per_class)
                .map_err(|source| FittingError::Fit { part: "label thresholds", source })?;
            let (file, sha256) = (all.file.clone(), all.sha256.clone());
            let chosen_on = vec![FitDataFile { file, sha256, rows: rows.len() }];
            Ok((*task, ChosenThresholds { chosen_on, thresholds }))
        };
        let tasks = self.tasks.iter().map(choose).collect::<Result<_, FittingError>>()?;
        Ok(LabelCalibration { model: model.sha256().to_owned(), tasks })
    }
}

impl ScoredExample {
    /// Whether it is of high risk, where that is known.
    fn is_high_risk(&self) -> Option<bool> {
        match self.example.targets.get(&Task::Risk)? {
            Target::Labels(labels) => labels.first().map(|label| *label >= 0.5),
            _ => None,
        }
    }

    fn label_row(&self, task: Task) -> Option<LabelRow<'_>> {
        Some(LabelRow {
            conversation: self.conversation(),
            outputs: self.outputs.get(&task)?,
            target: self.example.targets.get(&task)?,
        })
    }

    /// The name of its row: an example of a turn or reply has the row's with its place.
    fn conversation(&self) -> &str {
        let id = &self.example.id;
        id.rsplit_once(':').map_or(id, |(conversation, _)| conversation)
    }

    fn row(&self, outputs: &[f32], label: bool) -> FitRow {
        FitRow {
            id: Some(self.conversation().to_owned()),
            family: Some(self.example.family.clone()),
            language: Some(self.example.language),
            outputs: outputs.iter().map(|output| probability(*output)).collect(),
            label,
            text: None,
        }
    }
}

/// What a served model reads of an example: of a conversation that is judged as a whole,
/// its beginnings up to each turn of the person; of anything else, the example.
fn readings_of(example: &Example) -> Vec<Input> {
    let input = &example.inputs[0];
    let is_whole = [Task::Risk, Task::Signals].iter().any(|task| example.targets.contains_key(task));
    if !is_whole {
        return vec![input.clone()];
    }
    let users = input.turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::User);
    users.map(|(at, _)| Input::conversation(input.turns[..=at].to_vec())).collect()
}

fn rendered(model: &FineTuned, example: &Example, input: &Input) -> Result<Encoded, BundleRowsError> {
    let render = |cause: String| BundleRowsError::Render { id: example.id.clone(), cause };
    let found = model.renderer().render(input).map_err(|e| render(e.to_string()))?;
    if found.ids.is_empty() { Err(render("no token to read".to_owned())) } else { Ok(found) }
}

/// Of each example, whether it trained the model or chose its checkpoint.
fn seen_by(model: &FineTuned, examples: &[Example]) -> Result<Vec<bool>, BundleRowsError> {
    let seen = model.seen()?;
    let is_seen =
        |example: &Example| Ok(FineTuned::is_seen(&seen, &rendered(model, example, &example.inputs[0])?));
    examples.iter().map(is_seen).collect()
}

fn must_be_unseen(file: &str, examples: &[Example], known: &[bool]) -> Result<(), BundleRowsError> {
    let mut seen = examples.iter().zip(known).filter(|(_, is_known)| **is_known);
    let Some((first, _)) = seen.next() else { return Ok(()) };
    Err(BundleRowsError::Seen {
        file: file.to_owned(),
        seen: 1 + seen.count(),
        rows: examples.len(),
        first: first.id.clone(),
    })
}

/// The files that trained a model or chose its checkpoint, by their hashes.
pub fn selection_of_bundle(model: &FineTuned) -> Vec<SelectionFile> {
    let manifest = model.manifest();
    let files = manifest.trained_on.iter().chain(&manifest.selected_on);
    files
        .map(|file| SelectionFile {
            file: file.path.clone(),
            sha256: file.sha256.clone(),
            ids: HashSet::new(),
            texts: HashSet::new(),
            compared: Compared::ByModel,
        })
        .collect()
}

fn good(found: rows::Examples) -> Result<Vec<Example>, BundleRowsError> {
    let rows = found.len();
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    match bad.into_iter().find_map(Result::err) {
        Some(first) => {
            let bad = rows - good.len();
            Err(BundleRowsError::BadRows { bad, rows, first: first.to_string() })
        }
        None => Ok(good.into_iter().flatten().collect()),
    }
}
