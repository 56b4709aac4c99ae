//! One training of the deep network, on some of the sources: epochs, steps,
//! checkpoints. It can be killed at any time and goes on from the last
//! checkpoint, giving the same numbers as an undisturbed run.

use std::fs;
use std::path::{Path, PathBuf};

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::{ReplyClass, Taxonomy};
use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::examples::Example;
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
}

/// How far a training has come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Position {
    epoch: usize,
    step: usize,
    random: Random,
    best_score: f64,
    best_epoch: usize,
}

/// What a finished training says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name: `fold-0`, …, `final`.
    pub name: String,
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
        if let Ok(bytes) = fs::read(&record_path) {
            let record = serde_json::from_slice(&bytes).map_err(|e| TrainError::damaged(&record_path, e))?;
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
            best_score: f64::NEG_INFINITY,
            best_epoch: 0,
        };
        let mut losses = Vec::new();
        self.resume(parameters, &mut optimizer, &mut position, &mut losses)?;
        progress.stage(&self.name, total);
        while position.epoch < self.config.epochs {
            plan = self.epoch(position.epoch);
            let mut gradients = vec![0.0; parameters.values().len()];
            for batch in &plan[position.step..] {
                gradients.fill(0.0);
                let loss = network.learn(parameters.values(), batch, &mut position.random, &mut gradients);
                optimizer.step(parameters.values_mut(), &gradients);
                position.step += 1;
                let done = position.step as f32;
                if losses.len() == position.epoch {
                    losses.push(0.0);
                }
                losses[position.epoch] += (loss - losses[position.epoch]) / done;
                progress.step(optimizer.steps(), losses[position.epoch]);
                if optimizer.steps().is_multiple_of(self.config.checkpoint_steps) {
                    self.checkpoint(parameters, &optimizer, &position, &losses)?;
                }
            }
            position.epoch += 1;
            position.step = 0;
            if let Some(judge) = judge {
                let score = judge(network, parameters.values());
                progress.note(&format!("{}: epoch {}: dev score {score:.4}", self.name, position.epoch));
                if score > position.best_score {
                    (position.best_score, position.best_epoch) = (score, position.epoch);
                    self.save_weights("best.safetensors", parameters)?;
                }
            }
            self.checkpoint(parameters, &optimizer, &position, &losses)?;
            if judge.is_some() && position.epoch - position.best_epoch >= self.config.patience {
                break;
            }
        }
        if judge.is_some() {
            self.load_weights("best.safetensors", parameters)?;
        }
        Ok(StageRecord {
            name: self.name.clone(),
            epoch: if judge.is_some() { position.best_epoch } else { position.epoch },
            dev_score: judge.is_some().then_some(position.best_score),
            losses,
        })
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
            (0..example.replies.len()).partition(|&r| example.replies[r].harm.is_some());
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
        let header =
            serde_json::to_vec(&(position, steps, losses)).map_err(|e| TrainError::damaged(&path, e))?;
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
        let Ok(bytes) = fs::read(&path) else { return Ok(()) };
        let damaged = || TrainError::damaged(&path, "it is cut short or from another configuration");
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (header, rest) =
            rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        let (found, steps, found_losses): (Position, usize, Vec<f32>) =
            serde_json::from_slice(header).map_err(|e| TrainError::damaged(&path, e))?;
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
    let (high, low): (Vec<&Example>, Vec<&Example>) = rows.iter().partition(|e| e.high_risk == Some(true));
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
        let originals = example.replies.iter().filter(|r| r.harm.is_none()).count();
        let share = LISTENER_REPLIES as f32 / originals.max(LISTENER_REPLIES) as f32;
        for reply in &example.replies {
            counts[reply.class.index()] += if reply.harm.is_some() { 1.0 } else { share };
        }
    }
    let total: f32 = counts.iter().sum();
    let weights: Vec<f32> = counts.iter().map(|&c| if c > 0.0 { (total / c).sqrt() } else { 0.0 }).collect();
    let mean = weights.iter().zip(&counts).map(|(w, c)| w * c).sum::<f32>() / total.max(1.0);
    weights.iter().map(|w| w / mean.max(1e-6)).collect()
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let part = path.with_extension("part");
    fs::write(&part, bytes).map_err(|e| TrainError::io(&part, e))?;
    fs::rename(&part, path).map_err(|e| TrainError::io(path, e))
}
