//! The trainer's configuration file: TOML, unknown keys are errors.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::distill::DistillConfig;
use super::examples::{Source, SourceKind};
use super::network::LossConfig;
use super::optimizer::OptimizerConfig;
use super::wide_fit::WideConfig;

/// Everything that decides a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the resulting bundle.
    pub name: String,
    /// Version of the resulting bundle.
    pub version: String,
    /// Folder of the base encoder: `model.safetensors` and `tokenizer.json`.
    pub base: PathBuf,
    /// Folder for checkpoints, predictions, the run record and the bundle.
    pub output: PathBuf,
    /// Seed of every random choice.
    pub seed: u64,
    /// Width of the recurrent context.
    pub context: usize,
    /// Sharpness of the pooling over turns.
    pub pooling_sharpness: f32,
    /// Passes over the data.
    pub epochs: usize,
    /// The final model stops after this many epochs without a better dev score.
    pub patience: usize,
    /// Conversations per optimiser step.
    pub conversations_per_step: usize,
    /// Encoder layers below this one stay as they are; embeddings always do.
    pub first_trained_layer: usize,
    /// Share of conversations that keep their listener turns in an epoch. The
    /// others teach the model to do without a skilled listener.
    pub listener_share: f32,
    /// Number of cross-fitting folds; each source names the one it is held out of.
    pub folds: usize,
    /// Held-out conversations of one source that are scored at most.
    pub held_out_rows: usize,
    /// A checkpoint is written after this many steps.
    pub checkpoint_steps: usize,
    /// Optimiser settings.
    pub optimizer: OptimizerConfig,
    /// Weights of the losses.
    pub loss: LossConfig,
    /// The wide part.
    pub wide: WideConfig,
    /// Figures of a baseline on the same data, to stand in the model card: the
    /// output of `scripts/baseline_card.py`.
    #[serde(default)]
    pub baseline: Option<PathBuf>,
    /// How a teacher is distilled; there if and only if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillConfig>,
    /// Sources that train.
    pub train: Vec<Source>,
    /// Sources that choose the final checkpoint, and do nothing else.
    pub dev: Vec<Source>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not valid TOML, or an unknown or missing key; the message has the line.
    #[error("{path}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
    /// A value out of range.
    #[error("{path}: `{key}` is {found}, expected {expected}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl TrainConfig {
    /// Reads a configuration; relative paths in it are taken from the present
    /// folder.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key and what was expected.
    pub fn parse(text: &str, path: &std::path::Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|e| ConfigError::Toml { path: path.to_owned(), source: Box::new(e) })?;
        let check = |ok: bool, key, found: &dyn ToString, expected| {
            if ok {
                Ok(())
            } else {
                Err(ConfigError::Value { path: path.to_owned(), key, found: found.to_string(), expected })
            }
        };
        check(config.epochs > 0, "epochs", &config.epochs, "at least 1")?;
        check(
            config.conversations_per_step > 0,
            "conversations_per_step",
            &config.conversations_per_step,
            "at least 1",
        )?;
        check(config.checkpoint_steps > 0, "checkpoint_steps", &config.checkpoint_steps, "at least 1")?;
        check(
            (0.0..=1.0).contains(&config.listener_share),
            "listener_share",
            &config.listener_share,
            "0 to 1",
        )?;
        check(
            (0.0..1.0).contains(&config.loss.dropout),
            "loss.dropout",
            &config.loss.dropout,
            "0 to below 1",
        )?;
        check(config.pooling_sharpness > 0.0, "pooling_sharpness", &config.pooling_sharpness, "above 0")?;
        check(!config.train.is_empty(), "train", &"empty", "at least one source")?;
        check(!config.dev.is_empty(), "dev", &"empty", "at least one source")?;
        let Some(distill) = &config.distill else {
            let all = config.train.iter().chain(&config.dev);
            let unlabelled = all.clone().any(|s| s.kind == SourceKind::Conversations);
            let expected = "corpus or conversation_csv, which have labels, where no `[distill]` table stands";
            check(!unlabelled, "kind", &"conversations", expected)?;
            return Ok(config);
        };
        check(
            distill.temperature > 0.0 && distill.temperature.is_finite(),
            "distill.temperature",
            &distill.temperature,
            "above 0",
        )?;
        let share = distill.hard_share;
        check((0.0..=1.0).contains(&share), "distill.hard_share", &share, "0 to 1")?;
        let expected = "at least 2, of which each holds out a source and no source is held out of another";
        check(config.every_fold_holds_out(), "folds", &config.folds, expected)?;
        Ok(config)
    }

    /// Whether each fold holds a source out and learns from another, so that every source
    /// is scored by a model that has not seen it.
    fn every_fold_holds_out(&self) -> bool {
        let holds = |fold: usize| self.train.iter().any(|source| source.fold == fold);
        self.folds > 1 && (0..self.folds).all(holds) && self.train.iter().all(|s| s.fold < self.folds)
    }
}
