//! The bundle of a fine-tuned model: a folder with a manifest that says what the model is,
//! what trained it and how well it does, and names every file with its hash. A bundle of a
//! fully fine-tuned model is also a checkpoint as the hub has them (`config.json`,
//! `model.safetensors`, `tokenizer.json`); one with an adapter holds PEFT's files, and
//! names its base by hash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use mindrail_core::digest::sha256;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, IoContext as _};
use crate::figures::TaskFigures;
use crate::files::{FOR_PYTORCH, save_tensors, write_atomically};
use crate::head::{Head, HeadSource};
use crate::job::{DataFile, Job, Prepared, base_files, input_hash, sha256_of};
use crate::model::{AdapterSource, Backbone, Training};
use crate::network::Network;
use crate::recipe::{Precision, Recipe};
use crate::rendering::{Encoded, Renderer};
use crate::rows::Task;

/// The manifest's file.
pub const MANIFEST: &str = "manifest.json";
/// What `mindrail calibrate` writes into a bundle: the way from outputs to risk, and the
/// thresholds of labels.
pub const CALIBRATION: &str = "calibration.json";
/// See [`CALIBRATION`].
pub const LABEL_THRESHOLDS: &str = "label_thresholds.json";
const FORMAT: &str = "mindrail-finetuned";
const FORMAT_VERSION: u32 = 1;
const HEADS: &str = "heads.safetensors";
const ADAPTER: &str = "adapter";
const SEEN: &str = "seen.txt";

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `mindrail-finetuned`.
    pub format: String,
    /// Version of this layout.
    pub format_version: u32,
    /// The recipe's name.
    pub name: String,
    /// Seed and the beginning of the plan's hash.
    pub version: String,
    /// The recipe as it was used.
    pub recipe: Recipe,
    /// The training's seed.
    pub seed: u64,
    /// The epoch that was kept, from 1.
    pub epoch: usize,
    /// Rows of the word table.
    pub vocabulary: usize,
    /// The base: its folder at the time, and the hashes of its files.
    pub base: BaseFiles,
    /// What trained it.
    pub trained_on: Vec<DataFile>,
    /// What its checkpoint was chosen on; if nothing, a part of `trained_on`.
    pub selected_on: Vec<DataFile>,
    /// Figures on the data that chose the checkpoint.
    pub dev: BTreeMap<Task, TaskFigures>,
    /// What must be known before figures are believed.
    pub marks: Vec<String>,
    /// The hash of every other file.
    pub files: BTreeMap<String, String>,
}

/// A base checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseFiles {
    /// Its folder.
    pub folder: PathBuf,
    /// The SHA-256 of each of its files.
    pub files: BTreeMap<String, String>,
}

/// What a bundle is made from.
pub(crate) struct Made<'a> {
    pub(crate) job: &'a Job,
    pub(crate) prepared: &'a Prepared,
    pub(crate) seed: u64,
    pub(crate) epoch: usize,
    pub(crate) figures: &'a BTreeMap<Task, TaskFigures>,
    pub(crate) marks: Vec<String>,
}

/// Writes a bundle; the manifest comes last, so that a folder without one is no bundle.
pub(crate) fn write(folder: &Path, network: &Network, made: &Made<'_>) -> Result<(), Error> {
    if folder.join(MANIFEST).is_file() {
        std::fs::remove_file(folder.join(MANIFEST)).at(folder)?;
    }
    std::fs::create_dir_all(folder).at(folder)?;
    write_weights(folder, network, made)?;
    let tokenizer = made.prepared.renderer.to_json();
    let tokenizer =
        tokenizer.map_err(|e| Error::new(folder.display(), e, "a tokenizer that can be written"))?;
    write_atomically(&folder.join("tokenizer.json"), tokenizer.as_bytes())?;
    let config = made.job.base.join("tokenizer_config.json");
    if config.is_file() {
        std::fs::copy(&config, folder.join("tokenizer_config.json")).at(&config)?;
    }
    let seen = made.prepared.seen.iter().fold(String::new(), |mut lines, hash| {
        let _ = writeln!(lines, "{hash:016x}");
        lines
    });
    write_atomically(&folder.join(SEEN), seen.as_bytes())?;
    let recipe = Recipe { input: made.prepared.renderer.config().clone(), ..made.job.recipe.clone() };
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        format_version: FORMAT_VERSION,
        name: recipe.name.clone(),
        version: format!("{}-{}", made.seed, &made.prepared.plan[..8]),
        recipe,
        seed: made.seed,
        epoch: made.epoch,
        vocabulary: network.backbone.architecture().vocabulary,
        base: BaseFiles { folder: whole_path(&made.job.base), files: made.prepared.base_files.clone() },
        trained_on: made.prepared.trained_on.clone(),
        selected_on: made.prepared.selected_on.clone(),
        dev: made.figures.clone(),
        marks: made.marks.clone(),
        files: hashes(folder)?,
    };
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
    write_atomically(&folder.join(MANIFEST), text.as_bytes())
}

/// A path that holds in every working directory.
fn whole_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn write_weights(folder: &Path, network: &Network, made: &Made<'_>) -> Result<(), Error> {
    let heads = network.heads.iter().flat_map(Head::parameters);
    let heads: Vec<_> = heads.map(|p| (p.name().to_owned(), p.value().clone())).collect();
    save_tensors(&folder.join(HEADS), &heads, FOR_PYTORCH)?;
    if let Some(config) = &made.job.recipe.model.adapter {
        let base = made.job.base.display().to_string();
        return network.backbone.save_adapter(&folder.join(ADAPTER), config, &base);
    }
    let weights = network.backbone.parameters();
    let weights: Vec<_> = weights.into_iter().map(|p| (p.name().to_owned(), p.value().clone())).collect();
    save_tensors(&folder.join("model.safetensors"), &weights, FOR_PYTORCH)?;
    let path = made.job.base.join("config.json");
    let text = std::fs::read_to_string(&path).at(&path)?;
    let mut config: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| Error::new(path.display(), e, "an object"))?;
    config["vocab_size"] = network.backbone.architecture().vocabulary.into();
    let text = serde_json::to_string_pretty(&config).unwrap_or_default() + "\n";
    write_atomically(&folder.join("config.json"), text.as_bytes())
}

/// Hashes of the files of a bundle, but for the manifest and what is added later.
fn hashes(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", HEADS, SEEN];
    let adapter =
        ["adapter_config.json", "adapter_model.safetensors"].map(|name| format!("{ADAPTER}/{name}"));
    let names = names.into_iter().map(str::to_owned).chain(adapter);
    names
        .filter(|name| folder.join(name).is_file())
        .map(|name| Ok((name.clone(), sha256_of(&folder.join(&name))?)))
        .collect()
}

/// A bundle that was read: the model, ready to be asked.
#[derive(Debug)]
pub struct FineTuned {
    manifest: Manifest,
    sha256: String,
    network: Network,
    renderer: Renderer,
    folder: PathBuf,
}

/// How a bundle is opened.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// Where it computes.
    pub device: &'a Device,
    /// The folder of the base, if it is elsewhere than at the training.
    pub base: Option<&'a Path>,
    /// The precision, if not that of the training.
    pub precision: Option<Precision>,
}

/// Reads a bundle's manifest and checks the hashes of the bundle's own files.
///
/// # Errors
/// If a file is missing or is not the one that the manifest names.
pub fn inspect(folder: &Path) -> Result<Manifest, Error> {
    Ok(read_manifest(folder)?.0)
}

/// The manifest and its hash.
fn read_manifest(folder: &Path) -> Result<(Manifest, String), Error> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).at(&path)?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|e| Error::new(path.display(), e, "the manifest of a fine-tuned model"))?;
    if manifest.format != FORMAT || manifest.format_version != FORMAT_VERSION {
        let found = format!("{} {}", manifest.format, manifest.format_version);
        return Err(Error::new(path.display(), found, format!("{FORMAT} {FORMAT_VERSION}")));
    }
    check(folder, &manifest.files)?;
    Ok((manifest, sha256(text.as_bytes())))
}

/// Whether a folder holds a bundle of a fine-tuned model.
pub fn is_fine_tuned(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    manifest["format"] == FORMAT
}

impl FineTuned {
    /// Opens a bundle and checks every file's hash, those of the base included.
    ///
    /// # Errors
    /// If a file is missing, is not the one that the manifest names, or cannot be read.
    pub fn open(folder: &Path, opening: &Opening<'_>) -> Result<Self, Error> {
        let (manifest, sha256) = read_manifest(folder)?;
        let precision = opening.precision.unwrap_or(manifest.recipe.model.precision);
        let mut backbone = backbone(folder, &manifest, opening, precision.dtype())?;
        let mut heads_file = Checkpoint::of_file(&folder.join(HEADS))?;
        let heads = manifest
            .recipe
            .heads
            .iter()
            .map(|config| {
                let source = HeadSource::Saved(&mut heads_file, Training::Frozen);
                Head::new(config, backbone.architecture().width, source, opening.device)
            })
            .collect::<Result<_, _>>()?;
        heads_file.finish(|_| false)?;
        let renderer = crate::job::renderer(folder, &manifest.recipe.input)?;
        backbone.pack()?;
        let network = Network { backbone, heads, pooling: manifest.recipe.model.pooling };
        Ok(Self { sha256, manifest, network, renderer, folder: folder.to_owned() })
    }

    /// What it says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of its manifest, which names all else.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its network.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// What turns an input into tokens.
    pub const fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// The task whose outputs make the risk of a conversation, if it has one: a head for
    /// risk itself, else the signals.
    pub fn risk_task(&self) -> Option<Task> {
        [Task::Risk, Task::Signals].into_iter().find(|task| self.was_trained_for(*task))
    }

    /// Whether it was trained for a task.
    pub fn was_trained_for(&self, task: Task) -> bool {
        self.tasks().any(|known| known == task)
    }

    /// The tasks that it was trained for, in the order of its heads.
    pub fn tasks(&self) -> impl Iterator<Item = Task> {
        self.manifest.recipe.heads.iter().map(|head| head.task)
    }

    /// Hashes of the inputs that trained it or chose its checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn seen(&self) -> Result<BTreeSet<u64>, Error> {
        let path = self.folder.join(SEEN);
        let text = std::fs::read_to_string(&path).at(&path)?;
        text.lines()
            .map(|line| {
                u64::from_str_radix(line, 16)
                    .map_err(|e| Error::new(path.display(), e, "a hash in each line"))
            })
            .collect()
    }

    /// Whether an input is one of those in [`FineTuned::seen`].
    pub fn is_seen(seen: &BTreeSet<u64>, input: &Encoded) -> bool {
        seen.contains(&input_hash(&input.ids))
    }
}

/// Compares all files of the folder that are read with those that the manifest names.
fn check(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), Error> {
    let found = hashes(folder)?;
    let names: BTreeSet<&String> = found.keys().chain(files.keys()).collect();
    for name in names {
        if found.get(name) != files.get(name) {
            let said =
                |hash: Option<&String>| hash.map_or_else(|| "none".to_owned(), |h| format!("SHA-256 {h}"));
            return Err(Error::new(
                folder.join(name).display(),
                said(found.get(name)),
                said(files.get(name)),
            ));
        }
    }
    Ok(())
}

fn backbone(
    folder: &Path,
    manifest: &Manifest,
    opening: &Opening<'_>,
    dtype: DType,
) -> Result<Backbone, Error> {
    if manifest.recipe.model.adapter.is_none() {
        return Backbone::load(folder, Training::Frozen, dtype, opening.device);
    }
    let base = opening.base.unwrap_or(&manifest.base.folder);
    if !base.is_dir() {
        let expected = "the base that the adapter was trained on; say where it is with --base";
        return Err(Error::new(base.display(), "no such folder", expected));
    }
    let found = base_files(base)?;
    if found != manifest.base.files {
        let wrong = manifest.base.files.iter().find(|(name, hash)| found.get(*name) != Some(*hash));
        let named = wrong.map_or("another file", |(name, _)| name);
        return Err(Error::new(
            base.display(),
            format!("another base: `{named}` differs"),
            "the files that the adapter was trained on",
        ));
    }
    let mut backbone = Backbone::load(base, Training::Frozen, dtype, opening.device)?;
    backbone.adapt(AdapterSource::Saved(&folder.join(ADAPTER), Training::Frozen))?;
    // One product for each layer instead of three; in half precision what an adapter adds
    // would be rounded away.
    if dtype == DType::F32 {
        backbone.merge_adapter()?;
    }
    Ok(backbone)
}
