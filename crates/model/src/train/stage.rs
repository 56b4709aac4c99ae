//! One training of the deep network, on some of the sources: epochs, steps,
//! checkpoints. It can be killed at any time and goes on from the last
//! checkpoint, giving the same numbers as an undisturbed run.

use std::fs;
use std::path::{Path, PathBuf};

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::{ReplyClass, Taxonomy};
use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::examples::{Example, ReplyOrigin};
use super::network::{Network, Sample};
use super::optimizer::AdamW;
use super::{Progress, TrainError};
use crate::architecture::Architecture;
use crate::parameters::Parameters;
use crate::random::Random;

/// Original listener turns that are judged per conversation and epoch, beside
/// all replies written as variants.
const LISTENER_REPLIES: usize = 2;

/// What a training works on.
pub(super) struct Stage<'a> {
    pub(super) name: String,
    pub(super) config: &'a TrainConfig,
    pub(super) architecture: &'a Architecture,
    pub(super) examples: Vec<&'a Example>,
    pub(super) folder: PathBuf,
    /// Hash of the settings, the data and the base that its weights depend on.
    pub(super) depends_on: &'a str,
}

/// How far a training has come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Position {
    epoch: usize,
    step: usize,
    random: Random,
    /// The best dev score so far; none before the first, and JSON has no infinity.
    best_score: Option<f64>,
    best_epoch: usize,
}

/// What a finished training says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name: `fold-0`, …, `final`.
    pub name: String,
    /// Hash of the settings, the data and the base that its weights depend on.
    pub depends_on: String,
    /// Epoch of the weights that were kept, from 1.
    pub epoch: usize,
    /// Dev score of those weights, where a dev score chose them.
    pub dev_score: Option<f64>,
    /// Mean loss of each epoch.
    pub losses: Vec<f32>,
}

/// Judges the weights after an epoch; a higher score is better.
pub(super) type Judge<'a> = &'a dyn Fn(&Network, &[f32]) -> f64;

impl Stage<'_> {
    /// Trains `parameters`. With a `judge` the weights of the best epoch are
    /// kept; without, those of the last.
    pub(super) fn run(
        &self,
        parameters: &mut Parameters,
        judge: Option<Judge<'_>>,
        progress: &mut dyn Progress,
    ) -> Result<(Network, StageRecord), TrainError> {
        let mut network =
            Network::new(self.architecture, parameters, &self.config.loss, self.config.first_trained_layer);
        network.set_class_weights(class_weights(&self.examples));
        let record_path = self.folder.join("record.json");
        if let Some(bytes) = read_if_there(&record_path)? {
            let record: StageRecord =
                serde_json::from_slice(&bytes).map_err(|e| TrainError::damaged(&record_path, e))?;
            self.must_match(&record.depends_on, &record_path)?;
            self.load_weights("weights.safetensors", parameters)?;
            return Ok((network, record));
        }
        let record = self.train(&network, parameters, judge, progress)?;
        self.save_weights("weights.safetensors", parameters)?;
        write(
            &record_path,
            &serde_json::to_vec_pretty(&record).map_err(|e| TrainError::damaged(&record_path, e))?,
        )?;
        let _ = fs::remove_file(self.folder.join("checkpoint.bin"));
        Ok((network, record))
    }

    fn train(
        &self,
        network: &Network,
        parameters: &mut Parameters,
        judge: Option<Judge<'_>>,
        progress: &mut dyn Progress,
    ) -> Result<StageRecord, TrainError> {
        fs::create_dir_all(&self.folder).map_err(|e| TrainError::io(&self.folder, e))?;
        let mut plan = self.epoch(0);
        let total = self.config.epochs * plan.len();
        let first = self.config.first_trained_layer;
        let mut optimizer =
            AdamW::new(&self.config.optimizer, parameters, |name| is_trained(name, first), total);
        let mut position = Position {
            epoch: 0,
            step: 0,
            random: Random::new(self.config.seed),
            best_score: None,
            best_epoch: 0,
        };
        let mut losses = Vec::new();
        self.resume(parameters, &mut optimizer, &mut position, &mut losses)?;
        progress.stage(&self.name, total);
        while position.epoch < self.config.epochs && !self.is_stalled(&position) {
            plan = self.epoch(position.epoch);
            let mut gradients = vec![0.0; parameters.values().len()];
            for batch in &plan[position.step..] {
                gradients.fill(0.0);
                let loss = network.learn(parameters.values(), batch, &mut position.random, &mut gradients);
                if !loss.is_finite() {
                    return Err(TrainError::Diverged { stage: self.name.clone(), step: optimizer.steps() });
                }
                optimizer.step(parameters.values_mut(), &gradients);
                position.step += 1;
                let done = position.step as f32;
                if losses.len() == position.epoch {
                    losses.push(0.0);
                }
                losses[position.epoch] += (loss - losses[position.epoch]) / done;
                progress.step(optimizer.steps(), Some(losses[position.epoch]));
                if optimizer.steps().is_multiple_of(self.config.checkpoint_steps) {
                    self.checkpoint(parameters, &optimizer, &position, &losses)?;
                }
            }
            position.epoch += 1;
            position.step = 0;
            if let Some(judge) = judge {
                let score = judge(network, parameters.values());
                progress.note(&format!("{}: epoch {}: dev score {score:.4}", self.name, position.epoch));
                self.keep_the_best(parameters, &mut position, score)?;
            }
            self.checkpoint(parameters, &optimizer, &position, &losses)?;
        }
        if judge.is_some() {
            self.load_weights("best.safetensors", parameters)?;
        }
        Ok(StageRecord {
            name: self.name.clone(),
            depends_on: self.depends_on.to_owned(),
            epoch: if judge.is_some() { position.best_epoch } else { position.epoch },
            dev_score: position.best_score,
            losses,
        })
    }

    /// Keeps the weights of this epoch if none before had so high a score.
    fn keep_the_best(
        &self,
        parameters: &Parameters,
        position: &mut Position,
        score: f64,
    ) -> Result<(), TrainError> {
        if position.best_score.is_none_or(|best| score > best) {
            (position.best_score, position.best_epoch) = (Some(score), position.epoch);
            self.save_weights("best.safetensors", parameters)?;
        }
        Ok(())
    }

    /// Whether the dev score has not risen for `patience` epochs. Asked before an
    /// epoch, so that a training that goes on stops where an undisturbed one does.
    fn is_stalled(&self, position: &Position) -> bool {
        position.best_score.is_some() && position.epoch - position.best_epoch >= self.config.patience
    }

    /// Weights of other settings or data must not be taken for this stage's.
    fn must_match(&self, depends_on: &str, path: &Path) -> Result<(), TrainError> {
        if depends_on == self.depends_on {
            return Ok(());
        }
        Err(TrainError::damaged(path, "it comes from another configuration, other data or another base"))
    }

    /// The batches of an epoch; the same for the same seed and epoch.
    fn epoch(&self, epoch: usize) -> Vec<Vec<Sample<'_>>> {
        let mut random =
            Random::new(self.config.seed ^ (epoch as u64 + 1).wrapping_mul(0xA076_1D64_78BD_642F));
        let mut samples = Vec::new();
        for (index, source) in self.config.train.iter().enumerate() {
            let rows: Vec<&Example> = self.examples.iter().copied().filter(|e| e.source == index).collect();
            for example in drawn(&rows, source.rows_per_epoch, &mut random) {
                samples.push(self.sample(example, &mut random));
            }
        }
        random.shuffle(&mut samples);
        let mut batches = Vec::new();
        while !samples.is_empty() {
            let rest = samples.split_off(samples.len().min(self.config.conversations_per_step));
            batches.push(std::mem::replace(&mut samples, rest));
        }
        batches
    }

    fn sample<'e>(&self, example: &'e Example, random: &mut Random) -> Sample<'e> {
        let source = &self.config.train[example.source];
        let mut user = example.user_turns();
        if let Some(limit) = source.turns_per_row {
            user = random.choose(limit, user.len()).into_iter().map(|i| user[i]).collect();
        }
        let (first, last) = (user[0], user[user.len() - 1]);
        let mut turns = user;
        if random.chance(self.config.listener_share) && source.turns_per_row.is_none() {
            turns = (first..=last).filter(|&t| example.turns[t].role != Role::System).collect();
        }
        let (variants, originals): (Vec<usize>, Vec<usize>) =
            (0..example.replies.len()).partition(|&r| example.replies[r].origin == ReplyOrigin::Variant);
        let mut replies = variants;
        replies.extend(random.choose(LISTENER_REPLIES, originals.len()).into_iter().map(|i| originals[i]));
        replies.retain(|&r| turns.binary_search(&example.replies[r].after).is_ok());
        Sample { example, weight: source.weight, turns, replies }
    }

    fn save_weights(&self, name: &str, parameters: &Parameters) -> Result<(), TrainError> {
        write(&self.folder.join(name), &parameters.save()?)
    }

    fn load_weights(&self, name: &str, parameters: &mut Parameters) -> Result<(), TrainError> {
        let path = self.folder.join(name);
        let bytes = fs::read(&path).map_err(|e| TrainError::io(&path, e))?;
        let specs = parameters.specs().to_vec();
        Ok(parameters.load(&bytes, &specs)?)
    }

    /// Writes the position, the trained tensors and the moments in one file,
    /// so that no kill can leave them out of step with each other.
    fn checkpoint(
        &self,
        parameters: &Parameters,
        optimizer: &AdamW,
        position: &Position,
        losses: &[f32],
    ) -> Result<(), TrainError> {
        let (steps, moments) = optimizer.state();
        let path = self.folder.join("checkpoint.bin");
        let header = serde_json::to_vec(&(self.depends_on, position, steps, losses))
            .map_err(|e| TrainError::damaged(&path, e))?;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        for part in std::iter::once(parameters.values()).chain(moments) {
            bytes.extend(part.iter().flat_map(|v| v.to_le_bytes()));
        }
        write(&path, &bytes)
    }

    fn resume(
        &self,
        parameters: &mut Parameters,
        optimizer: &mut AdamW,
        position: &mut Position,
        losses: &mut Vec<f32>,
    ) -> Result<(), TrainError> {
        let path = self.folder.join("checkpoint.bin");
        let Some(bytes) = read_if_there(&path)? else { return Ok(()) };
        let damaged = || TrainError::damaged(&path, "it is cut short");
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (header, rest) =
            rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        let (depends_on, found, steps, found_losses): (String, Position, usize, Vec<f32>) =
            serde_json::from_slice(header).map_err(|e| TrainError::damaged(&path, e))?;
        self.must_match(&depends_on, &path)?;
        let numbers: Vec<f32> =
            rest.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let (values, moments) = numbers.split_at_checked(parameters.values().len()).ok_or_else(damaged)?;
        optimizer.restore(steps, moments).ok_or_else(damaged)?;
        parameters.values_mut().copy_from_slice(values);
        (*position, *losses) = (found, found_losses);
        Ok(())
    }
}

/// All rows, or `limit` of them: as many of high as of low risk where there are
/// enough of both.
fn drawn<'e>(rows: &[&'e Example], limit: Option<usize>, random: &mut Random) -> Vec<&'e Example> {
    let Some(limit) = limit else { return rows.to_vec() };
    let (high, low): (Vec<&Example>, Vec<&Example>) =
        rows.iter().partition(|e| e.targets().risk.is_some_and(|risk| risk > 0.5));
    let from_low = (limit / 2).min(low.len());
    let mut chosen = Vec::new();
    for (class, count) in [(&low, from_low), (&high, limit - from_low)] {
        chosen.extend(random.choose(count, class.len()).into_iter().map(|i| class[i]));
    }
    chosen
}

/// Whether a tensor is trained: context, heads, and encoder layers from
/// `first` on.
fn is_trained(name: &str, first: usize) -> bool {
    if name.starts_with("embeddings.") {
        return false;
    }
    match name.strip_prefix("encoder.layer.").and_then(|rest| rest.split('.').next()) {
        Some(layer) => layer.parse::<usize>().is_ok_and(|layer| layer >= first),
        None => true,
    }
}

/// One over the square root of each class's share, with mean 1 over the
/// replies; a class without replies gets 0.
fn class_weights(examples: &[&Example]) -> Vec<f32> {
    let mut counts = vec![0.0f32; ReplyClass::ALL.len()];
    for example in examples {
        let originals = example.replies.iter().filter(|r| r.origin == ReplyOrigin::Said).count();
        let share = LISTENER_REPLIES as f32 / originals.max(LISTENER_REPLIES) as f32;
        for (reply, targets) in example.replies.iter().zip(&example.targets().replies) {
            let judged = if reply.origin == ReplyOrigin::Variant { 1.0 } else { share };
            let classes = targets.classes.iter().flatten();
            counts.iter_mut().zip(classes).for_each(|(count, class)| *count += judged * class);
        }
    }
    let total: f32 = counts.iter().sum();
    let weights: Vec<f32> = counts.iter().map(|&c| if c > 0.0 { (total / c).sqrt() } else { 0.0 }).collect();
    let mean = weights.iter().zip(&counts).map(|(w, c)| w * c).sum::<f32>() / total.max(1.0);
    weights.iter().map(|w| w / mean.max(1e-6)).collect()
}

/// The file, or nothing if there is none; any other trouble is an error, since
/// going on without would overwrite it.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, TrainError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TrainError::io(path, error)),
    }
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let part = path.with_extension("part");
    fs::write(&part, bytes).map_err(|e| TrainError::io(&part, e))?;
    fs::rename(&part, path).map_err(|e| TrainError::io(path, e))
}

#[cfg(test)]
pub(super) mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::super::network::LossConfig;
    use super::super::network::tests::{TINY, example, loss_config};
    use super::*;

    pub(in crate::train) const CONFIG: &str = r#"
name = "tiny"
version = "1"
base = "none"
output = "none"
seed = 3
context = 6
pooling_sharpness = 1.0
epochs = 3
patience = 9
conversations_per_step = 2
first_trained_layer = 1
listener_share = 0.5
folds = 0
held_out_rows = 1
checkpoint_steps = 2
dev = [{ path = "d", kind = "corpus", licence = "none", fold = 0, weight = 1.0, wide_weight = 1.0 }]
train = [{ path = "t", kind = "corpus", licence = "none", fold = 0, weight = 1.0, wide_weight = 1.0 }]
[optimizer]
encoder_rate = 1e-3
head_rate = 1e-2
weight_decay = 0.01
warm_up = 0.1
clip = 1.0
[loss]
risk = 1.0
turn_risk = 0.5
signals = 1.0
crisis = 1.0
crisis_positive = 3.0
reply = 0.7
harm = 0.5
dropout = 0.2
[wide]
conversation_c = 1.0
turn_c = 1.0
turn_positive = 1.0
reply_c = 1.0
conversation_minimum = 1
text_minimum = 1
beginnings = 0.0
source_feature = 0.0
"#;

    /// Stops the training at a step, as a kill would: nothing more is written.
    struct StopsAt(usize);

    impl Progress for StopsAt {
        fn stage(&mut self, _: &str, _: usize) {}
        fn step(&mut self, done: usize, _: Option<f32>) {
            if done == self.0 {
                resume_unwind(Box::new(()));
            }
        }
        fn note(&mut self, _: &str) {}
    }

    const NEVER: usize = usize::MAX;

    /// The tiny network's data and settings.
    struct Tiny {
        config: TrainConfig,
        examples: Vec<Example>,
    }

    impl Tiny {
        fn new() -> Self {
            let config = TrainConfig::parse(CONFIG, Path::new("tiny.toml")).expect("a configuration");
            let config = TrainConfig { loss: LossConfig { dropout: 0.2, ..loss_config() }, ..config };
            Self { config, examples: (0..6).map(|_| example()).collect() }
        }

        fn stage<'a>(&'a self, folder: &Path, depends_on: &'a str) -> Stage<'a> {
            Stage {
                name: "tiny".to_owned(),
                config: &self.config,
                architecture: &TINY,
                examples: self.examples.iter().collect(),
                folder: folder.to_owned(),
                depends_on,
            }
        }
    }

    fn parameters() -> Parameters {
        let mut parameters = Parameters::zeros(TINY.tensors());
        parameters.initialise("", &mut Random::new(7));
        parameters
    }

    /// Trains the tiny network in `folder`; its weights and record.
    fn train(folder: &Path, depends_on: &str, stop: usize) -> Result<(Vec<f32>, StageRecord), TrainError> {
        let tiny = Tiny::new();
        let judge = |_: &Network, values: &[f32]| f64::from(values[values.len() - 1]);
        let mut parameters = parameters();
        let stage = tiny.stage(folder, depends_on);
        let (_, record) = stage.run(&mut parameters, Some(&judge), &mut StopsAt(stop))?;
        Ok((parameters.values().to_vec(), record))
    }

    fn killed_at(folder: &Path, step: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| train(folder, "these settings", step)));
        assert!(outcome.is_err(), "the training was to be stopped at step {step}");
    }

    #[test]
    fn a_killed_training_goes_on_and_ends_with_the_very_same_weights() {
        let undisturbed = tempfile::tempdir().expect("a folder");
        let expected = train(undisturbed.path(), "these settings", NEVER).expect("trains");
        for step in [2, 5, 8] {
            let folder = tempfile::tempdir().expect("a folder");
            killed_at(folder.path(), step);
            let found = train(folder.path(), "these settings", NEVER).expect("goes on");
            assert_eq!(found.1, expected.1, "killed at step {step}");
            assert!(found.0 == expected.0, "killed at step {step}: the weights differ");
        }
    }

    #[test]
    fn a_training_killed_after_it_had_stopped_early_trains_no_further() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tiny = Tiny::new();
        tiny.config.patience = 1;
        let stage = tiny.stage(folder.path(), "these settings");
        let network = Network::new(&TINY, &parameters(), &tiny.config.loss, 1);
        let judge: Judge<'_> = &|_, _| 0.0;
        // No record is written, as if killed before; the checkpoint is.
        let train = |parameters: &mut Parameters| {
            stage.train(&network, parameters, Some(judge), &mut StopsAt(NEVER)).expect("trains")
        };
        let first = train(&mut parameters());
        assert_eq!((first.epoch, first.losses.len()), (1, 2), "the second epoch was no better");
        assert_eq!(train(&mut parameters()), first);
    }

    #[test]
    fn a_checkpoint_or_weights_of_other_settings_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        killed_at(folder.path(), 5);
        let error = train(folder.path(), "other settings", NEVER).expect_err("refused").to_string();
        assert!(error.contains("checkpoint.bin") && error.contains("another configuration"), "{error}");
        train(folder.path(), "these settings", NEVER).expect("goes on");
        let error = train(folder.path(), "other settings", NEVER).expect_err("refused").to_string();
        assert!(error.contains("record.json") && error.contains("another configuration"), "{error}");
    }

    #[test]
    fn a_checkpoint_that_is_cut_short_is_refused_wherever_it_is_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        killed_at(folder.path(), 5);
        let path = folder.path().join("checkpoint.bin");
        let whole = fs::read(&path).expect("a checkpoint");
        for length in [0, 7, 60, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).expect("writable");
            let error = train(folder.path(), "these settings", NEVER).expect_err("refused").to_string();
            assert!(error.contains("checkpoint.bin"), "cut to {length} bytes: {error}");
        }
    }
}
