//! `AdamW` (Loshchilov and Hutter 2019) over the flat parameter array, with a
//! learning rate and weight decay per tensor, gradient clipping by global norm,
//! and a schedule of linear warm-up and linear decay.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernel::{AdamStep, adam_update};
use crate::parameters::Parameters;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Numbers that one thread updates at a time.
const CHUNK: usize = 1 << 14;

/// Learning rates and decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Peak learning rate of the encoder.
    pub encoder_rate: f32,
    /// Peak learning rate of context and heads.
    pub head_rate: f32,
    /// Weight decay; never on biases and norms.
    pub weight_decay: f32,
    /// Share of all steps during which the rate rises.
    pub warm_up: f32,
    /// The gradient's global norm is cut to this.
    pub clip: f32,
}

/// One trained tensor.
struct Slot {
    place: Range<usize>,
    rate: f32,
    decay: f32,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The optimiser with its moments.
pub(super) struct AdamW {
    config: OptimizerConfig,
    slots: Vec<Slot>,
    steps: usize,
    total_steps: usize,
}

impl AdamW {
    /// Trains every tensor for which `is_trained` holds.
    pub(super) fn new(
        config: &OptimizerConfig,
        parameters: &Parameters,
        is_trained: impl Fn(&str) -> bool,
        total_steps: usize,
    ) -> Self {
        let slots = parameters
            .specs()
            .iter()
            .filter(|spec| is_trained(&spec.name))
            .map(|spec| {
                let place = parameters.place(&spec.name);
                let in_encoder = spec.name.starts_with("encoder.") || spec.name.starts_with("embeddings.");
                Slot {
                    rate: if in_encoder { config.encoder_rate } else { config.head_rate },
                    decay: if spec.shape.len() > 1 { config.weight_decay } else { 0.0 },
                    first: vec![0.0; place.len()],
                    second: vec![0.0; place.len()],
                    place,
                }
            })
            .collect();
        Self { config: config.clone(), slots, steps: 0, total_steps }
    }

    /// Number of steps done.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Moves the parameters one step against `gradients`.
    pub(super) fn step(&mut self, values: &mut [f32], gradients: &[f32]) {
        self.steps += 1;
        let norm = self.gradient_norm(gradients);
        let shrink = if norm > self.config.clip { self.config.clip / norm } else { 1.0 };
        let factor = self.schedule();
        let correction1 = 1.0 - BETA1.powi(self.steps as i32);
        let correction2 = 1.0 - BETA2.powi(self.steps as i32);
        for slot in &mut self.slots {
            let rate = slot.rate * factor;
            let step = AdamStep {
                shrink,
                betas: (BETA1, BETA2),
                rate: rate / correction1,
                root: 1.0 / correction2.sqrt(),
                epsilon: EPSILON,
                keep: 1.0 - rate * slot.decay,
            };
            values[slot.place.clone()]
                .par_chunks_mut(CHUNK)
                .zip(gradients[slot.place.clone()].par_chunks(CHUNK))
                .zip(slot.first.par_chunks_mut(CHUNK).zip(slot.second.par_chunks_mut(CHUNK)))
                .for_each(|((value, gradient), (first, second))| {
                    adam_update(step, value, gradient, first, second);
                });
        }
    }

    /// The share of the peak rate at the present step.
    fn schedule(&self) -> f32 {
        let done = self.steps as f32 / self.total_steps.max(1) as f32;
        if done < self.config.warm_up {
            done / self.config.warm_up
        } else {
            ((1.0 - done) / (1.0 - self.config.warm_up)).max(0.02)
        }
    }

    fn gradient_norm(&self, gradients: &[f32]) -> f32 {
        self.slots
            .iter()
            // Collected first: a parallel sum would be rounded in an order that
            // differs from run to run.
            .flat_map(|slot| {
                let parts = gradients[slot.place.clone()].par_chunks(CHUNK);
                parts.map(|part| crate::kernel::dot(part, part)).collect::<Vec<f32>>()
            })
            .sum::<f32>()
            .sqrt()
    }

    /// The moments and the step count, for a checkpoint.
    pub(super) fn state(&self) -> (usize, Vec<&[f32]>) {
        let moments =
            self.slots.iter().flat_map(|slot| [slot.first.as_slice(), slot.second.as_slice()]).collect();
        (self.steps, moments)
    }

    /// Takes up the moments and the step count of a checkpoint.
    pub(super) fn restore(&mut self, steps: usize, moments: &[f32]) -> Option<()> {
        let mut rest = moments;
        for slot in &mut self.slots {
            for target in [&mut slot.first, &mut slot.second] {
                let (part, after) = rest.split_at_checked(target.len())?;
                target.copy_from_slice(part);
                rest = after;
            }
        }
        self.steps = steps;
        rest.is_empty().then_some(())
    }
}
