//! What a training is of: the recipe, the base and the data, read and rendered, with the
//! hashes by which a run that goes on, and a calibration that must not see the same rows,
//! know them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::Device;
use mindrail_core::digest::sha256;
use mindrail_model::random::Random;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, IoContext as _};
use crate::head::{Head, HeadSource, Pooling};
use crate::model::{AdapterSource, Architecture, Backbone, Training};
use crate::network::{Network, Sample};
use crate::recipe::Recipe;
use crate::rendering::{InputConfig, Kept, Renderer, Speakers};
use crate::rows::{self, Example};

/// A file that was read, by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Its path, as it was given.
    pub path: String,
    /// Its SHA-256.
    pub sha256: String,
}

impl DataFile {
    /// Reads and hashes a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(path: &Path) -> Result<Self, Error> {
        Ok(Self { path: path.display().to_string(), sha256: sha256_of(path)? })
    }
}

/// The SHA-256 of a file.
pub(crate) fn sha256_of(path: &Path) -> Result<String, Error> {
    mindrail_data::digest::sha256_of(path).at(path)
}

/// What is trained on what.
#[derive(Debug)]
pub struct Job {
    /// The recipe.
    pub recipe: Recipe,
    /// The folder of the base checkpoint.
    pub base: PathBuf,
    /// Files to train on.
    pub data: Vec<PathBuf>,
    /// Files to choose the checkpoint by; a part of `data` is kept apart without them.
    pub dev: Vec<PathBuf>,
    /// What those files are. The published reply recipe chooses on a test set; a bundle
    /// that does is marked.
    pub select_on: SelectOn,
    /// Where the run is written.
    pub output: PathBuf,
    /// Where it computes.
    pub device: Device,
    /// Stop after so many steps, to try a recipe out; the bundle is marked.
    pub most_steps: Option<usize>,
}

/// What the checkpoint is chosen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectOn {
    /// Data kept for it.
    Dev,
    /// A test set, whose figures then say little.
    Test,
}

/// The job's data, rendered.
#[derive(Debug)]
pub struct Prepared {
    /// To train on.
    pub train: Vec<Sample>,
    /// To choose the checkpoint by.
    pub dev: Vec<Sample>,
    /// The renderer.
    pub renderer: Renderer,
    /// Hashes of the files of the base.
    pub base_files: BTreeMap<String, String>,
    /// The files trained on.
    pub trained_on: Vec<DataFile>,
    /// The files selected on, if other than those.
    pub selected_on: Vec<DataFile>,
    /// For every row of train and dev, a hash of what the model reads of it.
    pub seen: BTreeSet<u64>,
    /// Remarks for whoever reads the record: rows that were bad or cut.
    pub notes: Vec<String>,
    /// What must be known before the figures are believed.
    pub marks: Vec<String>,
    /// By what a run that goes on is known.
    pub plan: String,
}

impl Job {
    /// Reads and renders the data.
    ///
    /// # Errors
    /// If a file cannot be read, has no task of the recipe, or nothing remains.
    pub fn prepare(&self) -> Result<Prepared, Error> {
        let (mut notes, mut marks) = (Vec::new(), Vec::new());
        let architecture = Architecture::read(&self.base)?;
        self.must_fit(&architecture)?;
        let renderer = renderer(&self.base, &self.input(&architecture, &mut notes))?;
        let (train, dev) = self.parts(&mut notes, &mut marks)?;
        let train = rendered(&renderer, train, "train", &mut notes)?;
        let dev = rendered(&renderer, dev, "dev", &mut notes)?;
        for (part, samples) in [("train", &train), ("dev", &dev)] {
            if samples.is_empty() {
                let of_part = notes.iter().filter(|note| note.starts_with(part));
                let why = of_part.map(String::as_str).collect::<Vec<_>>().join("; ");
                return Err(Error::new(part, format!("no usable rows ({why})"), "at least one"));
            }
        }
        let (of_train, of_dev) = (seen(&train), seen(&dev));
        let both = of_train.intersection(&of_dev).count();
        if both > 0 {
            marks.push(format!("{both} different inputs of dev are in train too: its figures flatter"));
        }
        let files =
            |paths: &[PathBuf]| paths.iter().map(|path| DataFile::of(path)).collect::<Result<Vec<_>, _>>();
        notes.extend(marks.iter().cloned());
        let mut prepared = Prepared {
            train,
            dev,
            renderer,
            base_files: base_files(&self.base)?,
            trained_on: files(&self.data)?,
            selected_on: files(&self.dev)?,
            seen: of_train.union(&of_dev).copied().collect(),
            notes,
            marks,
            plan: String::new(),
        };
        prepared.plan = self.plan(&prepared);
        Ok(prepared)
    }

    /// The recipe's input, held to what the base reads.
    fn input(&self, architecture: &Architecture, notes: &mut Vec<String>) -> InputConfig {
        let most = architecture.positions;
        let mut input = self.recipe.input.clone();
        if input.max_tokens > most {
            notes.push(format!(
                "the base reads at most {most} tokens: max_tokens is {most}, not {}",
                input.max_tokens
            ));
            input.max_tokens = most;
        }
        input
    }

    /// Refuses what would train without ever learning, before anything long is done.
    fn must_fit(&self, architecture: &Architecture) -> Result<(), Error> {
        let model = &self.recipe.model;
        if model.pooling == Pooling::Cls && !architecture.family.is_encoder() {
            let found = "`cls` of a model whose first token sees nothing but itself";
            return Err(Error::new("model.pooling", found, "`last` or `mean`, or an encoder as base"));
        }
        if model.adapter.is_some() && matches!(self.recipe.input.speakers, Speakers::Special { .. }) {
            let found = "special tokens, whose rows stay frozen beside an adapter";
            let expected = "speakers told in words, or full fine-tuning";
            return Err(Error::new("input.speakers", found, expected));
        }
        Ok(())
    }

    /// What is trained on, and what chooses the checkpoint.
    fn parts(
        &self,
        notes: &mut Vec<String>,
        marks: &mut Vec<String>,
    ) -> Result<(Vec<Example>, Vec<Example>), Error> {
        let data = &self.recipe.data;
        let tasks = self.recipe.tasks();
        let read = |parts: &[&[PathBuf]]| {
            rows::read_parts(parts, &tasks, data.read)
                .map_err(|e| Error::new("data", e, "rows with a label of the recipe's tasks"))
        };
        // Read together, relatives in different files are of one family.
        let mut parts = read(&[&self.data, &self.dev])?.into_iter().map(|part| good(part, notes));
        let (train, dev) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if self.dev.is_empty() {
            return rows::split(train, data.dev_share, data.split_seed, data.split)
                .map_err(|e| Error::new("split", e, "a part to train on and a part to choose by"));
        }
        let families: BTreeSet<&str> = train.iter().map(|example| example.family.as_str()).collect();
        let related = dev.iter().filter(|example| families.contains(example.family.as_str())).count();
        if related > 0 {
            marks.push(format!(
                "{related} of {} rows of dev have relatives in train: its figures flatter",
                dev.len()
            ));
        }
        Ok((train, dev))
    }

    /// By what a run that goes on is known: all that its numbers depend on.
    fn plan(&self, prepared: &Prepared) -> String {
        // A seed's numbers do not depend on which others are trained beside it.
        let mut recipe = self.recipe.clone();
        recipe.training.seeds.clear();
        let parts = serde_json::json!({
            "recipe": recipe,
            "base": prepared.base_files,
            "trained_on": prepared.trained_on.iter().map(|file| &file.sha256).collect::<Vec<_>>(),
            "selected_on": prepared.selected_on.iter().map(|file| &file.sha256).collect::<Vec<_>>(),
            "select_on": self.select_on,
            "most_steps": self.most_steps,
            "device": format!("{:?}", self.device.location()),
        });
        sha256(parts.to_string().as_bytes())
    }

    /// A fresh model for a seed.
    ///
    /// # Errors
    /// If the base cannot be read, or an adapter's target is not in it.
    pub fn network(&self, renderer: &Renderer, seed: u64) -> Result<Network, Error> {
        let model = &self.recipe.model;
        let training = if model.adapter.is_some() { Training::Frozen } else { Training::Everything };
        let mut backbone = Backbone::load(&self.base, training, model.precision.dtype(), &self.device)?;
        backbone.grow_vocabulary(renderer.vocabulary_size())?;
        let mut random = Random::new(seed);
        if let Some(config) = &model.adapter {
            backbone.adapt(AdapterSource::Fresh(config, &mut random))?;
        }
        let width = backbone.architecture().width;
        let heads = self
            .recipe
            .heads
            .iter()
            .map(|config| Head::new(config, width, HeadSource::Fresh(&mut random), &self.device))
            .collect::<Result<_, _>>()?;
        Ok(Network { backbone, heads, pooling: model.pooling })
    }
}

/// The rows that could be read; what is wrong with the others is noted.
fn good(found: rows::Examples, notes: &mut Vec<String>) -> Vec<Example> {
    let total = found.len();
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    if !bad.is_empty() {
        notes.push(format!("{} of {total} rows could not be read and were left out; the first:", bad.len()));
        notes.extend(bad.iter().take(3).filter_map(|row| Some(format!("  {}", row.as_ref().err()?))));
    }
    good.into_iter().flatten().collect()
}

/// The renderer of a folder's tokenizer. An end token called `eos_token` is the one that
/// the base names in `tokenizer_config.json`.
///
/// # Errors
/// If a file cannot be read or names no such token.
pub(crate) fn renderer(folder: &Path, input: &InputConfig) -> Result<Renderer, Error> {
    let path = folder.join("tokenizer.json");
    let bytes = std::fs::read(&path).at(&path)?;
    let mut input = input.clone();
    if input.eos.as_deref() == Some("eos_token") {
        input.eos = Some(eos_token(&folder.join("tokenizer_config.json"))?);
    }
    Renderer::new(&bytes, input)
        .map_err(|e| Error::new(path.display(), e, "a tokenizer that fits the recipe"))
}

fn eos_token(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).at(path)?;
    let config: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| Error::new(path.display(), e, "an object"))?;
    // Some files hold the token as an object with its properties, and encoders call the
    // token that ends a text a separator.
    let token = ["eos_token", "sep_token"].iter().find_map(|name| {
        let token = &config[*name];
        token.as_str().or_else(|| token["content"].as_str())
    });
    token.map(str::to_owned).ok_or_else(|| {
        Error::new(path.display(), "neither `eos_token` nor `sep_token`", "the token that ends a text")
    })
}

/// Hashes of the files that a base is made of: those that are read, and no others.
pub(crate) fn base_files(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let own = ["config.json", "tokenizer.json"].map(|name| folder.join(name));
    let files = own.into_iter().chain(crate::checkpoint::weight_files(folder)?);
    files
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, sha256_of(&path)?))
        })
        .collect()
}

fn rendered(
    renderer: &Renderer,
    examples: Vec<Example>,
    part: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<Sample>, Error> {
    let (mut cut_inputs, mut cut_tokens, mut inputs, mut empty, mut same) = (0, 0, 0, 0, 0);
    let mut gone = 0;
    let mut samples = Vec::with_capacity(examples.len());
    for example in examples {
        let encoded = example.inputs.iter().map(|input| renderer.render(input));
        let encoded = encoded
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Error::new(format!("row {}", example.id), e, "text that the tokenizer reads"))?;
        if encoded.iter().any(|input| input.ids.is_empty()) {
            empty += 1;
            continue;
        }
        if let [first, second] = encoded.as_slice()
            && first.ids == second.ids
        {
            same += 1;
            continue;
        }
        inputs += encoded.len();
        cut_inputs += encoded.iter().filter(|input| input.cut.tokens > 0).count();
        cut_tokens += encoded.iter().map(|input| input.cut.tokens).sum::<usize>();
        gone += encoded.iter().filter(|input| input.cut.judged == Kept::Nothing).count();
        samples.push(Sample { inputs: encoded, targets: example.targets });
    }
    if cut_inputs > 0 {
        notes.push(format!(
            "{part}: {cut_inputs} of {inputs} inputs were too long; {cut_tokens} tokens of them were cut"
        ));
    }
    if gone > 0 {
        notes.push(format!(
            "{part}: of {gone} inputs the whole text that is judged was cut; truncation = \"newest_turns\" keeps it"
        ));
    }
    if empty > 0 {
        notes.push(format!("{part}: {empty} rows hold no token and were left out"));
    }
    if same > 0 {
        notes.push(format!("{part}: {same} pairs are the same twice once they are cut, and were left out"));
    }
    Ok(samples)
}

fn seen(samples: &[Sample]) -> BTreeSet<u64> {
    samples.iter().flat_map(|sample| &sample.inputs).map(|input| input_hash(&input.ids)).collect()
}

/// A hash of what a model reads of a row, by which the same row is known again.
pub(crate) fn input_hash(ids: &[u32]) -> u64 {
    let mut hasher = Sha256::new();
    ids.iter().for_each(|id| hasher.update(id.to_le_bytes()));
    let digest = hasher.finalize();
    u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
}
