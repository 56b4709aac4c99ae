//! Rows to calibrate on from a fine-tuned model and labelled data: the model's outputs on
//! conversations and replies that neither trained it nor chose its checkpoint, for its risk
//! and for the thresholds of its labels.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use mindrail_core::calibration::{DataFile as FitDataFile, LabelColumn, LabelThresholds, ThresholdTarget};
use mindrail_core::conversation::Role;
use mindrail_finetune::assessor::probability;
use mindrail_finetune::bundle::FineTuned;
use mindrail_finetune::labels::{self, LABEL_TASKS, LabelCalibration};
use mindrail_finetune::rendering::Encoded;
use mindrail_finetune::rows::{self, Example, Input, Target, Task};
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
         expected none: a calibration on them would be too sure of itself"
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

/// A data file as a model sees it: its rows for what they are calibrated for.
#[derive(Debug)]
pub struct BundleRows {
    /// The rows with a label of risk, where the model gives a risk; each output is the
    /// highest over all turns of the person, read with what came before.
    pub risk: FitFile,
    /// The columns of the labels of each task that the model has and the rows are labelled
    /// for.
    labels: BTreeMap<Task, BTreeMap<String, LabelColumn>>,
    /// Examples of these tasks.
    examples: usize,
}

/// Scores the rows of a data file as the model is served. `each` hears how many readings
/// are done, and of how many.
///
/// # Errors
/// [`BundleRowsError`]; any row that the model has seen is one.
pub fn rows_of_bundle(
    model: &FineTuned,
    data: &Path,
    each: &mut dyn FnMut(usize, usize),
) -> Result<BundleRows, BundleRowsError> {
    let wanted = wanted(model)?;
    let file = data.display().to_string();
    let options = model.manifest().recipe.data.read;
    let examples = good(rows::read(data, &wanted, options)?)?;
    must_be_unseen(model, &file, &examples)?;
    let scored = scored(model, &examples, each)?;
    let risks = model.risk_task().into_iter().flat_map(|task| {
        let rows = examples.iter().zip(&scored);
        rows.filter_map(move |(example, outputs)| Some(row(example, outputs.get(&task)?, label(example)?)))
    });
    let risk = FitFile { file, sha256: DataFile::of(data)?.sha256, rows: risks.collect() };
    let tasks = LABEL_TASKS.into_iter().filter(|task| wanted.contains(task));
    let columns = tasks.map(|task| {
        let rows = examples.iter().zip(&scored);
        let rows = rows.filter_map(move |(example, outputs)| {
            Some((outputs.get(&task)?.as_slice(), example.targets.get(&task)?))
        });
        (task, labels::columns(task, rows))
    });
    let labels = columns.filter(|(_, columns)| !columns.is_empty()).collect();
    let is_labelled = |example: &&Example| example.targets.keys().any(|task| LABEL_TASKS.contains(task));
    Ok(BundleRows { risk, labels, examples: examples.iter().filter(is_labelled).count() })
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

/// What the model says of each example: the highest of each output over its readings.
fn scored(
    model: &FineTuned,
    examples: &[Example],
    each: &mut dyn FnMut(usize, usize),
) -> Result<Vec<BTreeMap<Task, Vec<f32>>>, BundleRowsError> {
    let (mut readings, mut owners) = (Vec::new(), Vec::new());
    for (owner, example) in examples.iter().enumerate() {
        for reading in readings_of(example) {
            readings.push(rendered(model, example, &reading)?);
            owners.push(owner);
        }
    }
    let inputs: Vec<_> = readings.iter().collect();
    let logits = model.network().logits_of_many(&inputs, &mut |done| each(done, inputs.len()))?;
    let mut found = vec![BTreeMap::new(); examples.len()];
    for (task, logits) in model.tasks().zip(&logits) {
        for (owner, logits) in owners.iter().zip(logits) {
            let outputs = probabilities(task, logits);
            let highest = found[*owner].entry(task).or_insert_with(|| outputs.clone());
            highest.iter_mut().zip(outputs).for_each(|(highest, one)| *highest = highest.max(one));
        }
    }
    Ok(found)
}

impl BundleRows {
    /// Chooses a threshold for each label; none where the rows have labels of no task.
    ///
    /// # Errors
    /// If the target is out of range, or the file selected the checkpoint.
    pub fn label_thresholds(
        &self,
        model: &FineTuned,
        selected: &[SelectionFile],
        target: ThresholdTarget,
        least_per_class: usize,
    ) -> Result<Option<LabelCalibration>, FittingError> {
        if self.labels.is_empty() {
            return Ok(None);
        }
        check_disjoint(std::slice::from_ref(&self.risk), selected)?;
        let choose = |(task, columns): (&Task, &BTreeMap<String, LabelColumn>)| {
            let found = LabelThresholds::choose(target, columns, least_per_class);
            Ok((*task, found.map_err(|source| FittingError::Fit { part: "label thresholds", source })?))
        };
        Ok(Some(LabelCalibration {
            model: model.sha256().to_owned(),
            chosen_on: FitDataFile {
                file: self.risk.file.clone(),
                sha256: self.risk.sha256.clone(),
                rows: self.examples,
            },
            tasks: self.labels.iter().map(choose).collect::<Result<_, FittingError>>()?,
        }))
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

fn must_be_unseen(model: &FineTuned, file: &str, examples: &[Example]) -> Result<(), BundleRowsError> {
    let seen = model.seen()?;
    let mut known = Vec::new();
    for example in examples {
        if FineTuned::is_seen(&seen, &rendered(model, example, &example.inputs[0])?) {
            known.push(example.id.as_str());
        }
    }
    let Some(first) = known.first() else { return Ok(()) };
    Err(BundleRowsError::Seen {
        file: file.to_owned(),
        seen: known.len(),
        rows: examples.len(),
        first: (*first).to_owned(),
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

/// Whether an example is of high risk, where that is known.
fn label(example: &Example) -> Option<bool> {
    match example.targets.get(&Task::Risk)? {
        Target::Labels(labels) => labels.first().map(|label| *label >= 0.5),
        _ => None,
    }
}

fn row(example: &Example, outputs: &[f32], label: bool) -> FitRow {
    FitRow {
        id: Some(example.id.clone()),
        family: Some(example.family.clone()),
        language: Some(example.language),
        outputs: outputs.iter().map(|output| probability(*output)).collect(),
        label,
        text: None,
    }
}
