//! Rows to calibrate on from a fine-tuned model and labelled data: the model's outputs on
//! conversations that neither trained it nor chose its checkpoint.

use std::collections::HashSet;
use std::path::Path;

use mindrail_core::conversation::Role;
use mindrail_core::probability::Probability;
use mindrail_finetune::bundle::FineTuned;
use mindrail_finetune::rendering::Encoded;
use mindrail_finetune::rows::{self, Example, Input, Target, Task};
use mindrail_finetune::{DataFile, probabilities};
use thiserror::Error;

use super::{FitFile, FitRow, SelectionFile};

/// Why a fine-tuned model gives no rows.
#[derive(Debug, Error)]
pub enum BundleRowsError {
    /// It gives neither signals nor risk.
    #[error("{file}: found a model of {tasks}, expected one of signals or risk")]
    NoRisk {
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

/// The rows of a data file as the model is served: each output is the highest over all
/// turns of the person, read with what came before. `each` hears how many readings are
/// done, and of how many.
///
/// # Errors
/// [`BundleRowsError`]; any row that the model has seen is one.
pub fn rows_of_bundle(
    model: &FineTuned,
    data: &Path,
    each: &mut dyn FnMut(usize, usize),
) -> Result<FitFile, BundleRowsError> {
    let task = risk_task(model)?;
    let file = data.display().to_string();
    let options = model.manifest().recipe.data.read;
    let examples = good(rows::read(data, &[Task::Risk].into(), options)?)?;
    must_be_unseen(model, &file, &examples)?;
    let (mut readings, mut owners) = (Vec::new(), Vec::new());
    for (owner, example) in examples.iter().enumerate() {
        for reading in readings_of(&example.inputs[0]) {
            readings.push(rendered(model, example, &reading)?);
            owners.push(owner);
        }
    }
    let inputs: Vec<_> = readings.iter().collect();
    let logits = model.network().logits_of_many(&inputs, &mut |done| each(done, inputs.len()))?;
    let place = model.tasks().position(|known| known == task).unwrap_or(0);
    let mut highest = vec![vec![0.0f32; task.outputs()]; examples.len()];
    for (owner, logits) in owners.into_iter().zip(&logits[place]) {
        let found = probabilities(task, logits);
        highest[owner].iter_mut().zip(found).for_each(|(highest, one)| *highest = highest.max(one));
    }
    let rows = examples.iter().zip(highest).map(|(example, outputs)| row(example, outputs)).collect();
    let sha256 = DataFile::of(data)?.sha256;
    Ok(FitFile { file, sha256, rows })
}

/// What a served model reads of a conversation: its beginnings up to each turn of the person.
fn readings_of(input: &Input) -> Vec<Input> {
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
        })
        .collect()
}

fn risk_task(model: &FineTuned) -> Result<Task, BundleRowsError> {
    model.risk_task().ok_or_else(|| BundleRowsError::NoRisk {
        file: model.folder().display().to_string(),
        tasks: model.tasks().map(Task::wire).collect::<Vec<_>>().join(", "),
    })
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

fn row(example: &Example, outputs: Vec<f32>) -> FitRow {
    let probability = |p: f32| Probability::new(p).unwrap_or(Probability::ONE);
    let label = match example.targets.get(&Task::Risk) {
        Some(Target::Labels(labels)) => labels.first().is_some_and(|label| *label >= 0.5),
        _ => false,
    };
    FitRow {
        id: Some(example.id.clone()),
        family: Some(example.family.clone()),
        language: Some(example.language),
        outputs: outputs.into_iter().map(probability).collect(),
        label,
        text: None,
    }
}
