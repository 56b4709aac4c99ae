//! `AdamW` (Loshchilov and Hutter 2019) with clipping by the global norm, and the learning
//! rate's way over a training, as PyTorch and the hub's trainer have them.

use candle_core::{DType, Result, Tensor};
use mindrail_model::kernel::{AdamStep, adam_update, dot};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ops::{CHUNK, change, is_fused, numbers};
use crate::parameter::Parameter;

/// How a training steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The highest learning rate.
    pub rate: f32,
    /// Decay rates of the two moments.
    #[serde(default = "betas")]
    pub betas: (f32, f32),
    /// Added to the denominator.
    #[serde(default = "epsilon")]
    pub epsilon: f32,
    /// Weight decay; never of biases and norms.
    pub weight_decay: f32,
    /// The rate's way.
    pub schedule: Schedule,
    /// The share of all steps in which the rate rises, rounded as `warm_up_rounding` says.
    pub warm_up: f32,
    /// How the number of those steps is rounded.
    #[serde(default = "up")]
    pub warm_up_rounding: Rounding,
    /// The gradient's global norm is cut to this; not at all without it.
    #[serde(default)]
    pub clip: Option<f32>,
}

const fn betas() -> (f32, f32) {
    (0.9, 0.999)
}

const fn epsilon() -> f32 {
    1e-8
}

const fn up() -> Rounding {
    Rounding::Up
}

/// The rate's way after it has risen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// To 0 in a line.
    Linear,
    /// To 0 in half a wave.
    Cosine,
    /// It stays.
    Constant,
}

/// How a number of steps is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Up, as the hub's trainer does.
    Up,
    /// Down, as scripts that write `int(share * steps)` do.
    Down,
}

impl OptimizerConfig {
    /// The steps in which the rate rises.
    pub fn warm_up_steps(&self, total: usize) -> usize {
        // In double precision, as Python has it: 0.03 in single precision is a little less.
        let share = (f64::from(self.warm_up) * 1e7).round() / 1e7;
        let steps = share * total as f64;
        (if self.warm_up_rounding == Rounding::Up { steps.ceil() } else { steps.floor() }) as usize
    }

    /// The share of the highest rate in a step, counted from 0. The first step of a rise
    /// has rate 0, as in the hub's schedules.
    pub fn factor(&self, step: usize, total: usize) -> f32 {
        let warm_up = self.warm_up_steps(total);
        if step < warm_up {
            return step as f32 / warm_up as f32;
        }
        let left = total.saturating_sub(warm_up).max(1) as f64;
        let done = ((step - warm_up) as f64 / left).min(1.0);
        match self.schedule {
            Schedule::Linear => (1.0 - done) as f32,
            Schedule::Cosine => (0.5 * (1.0 + (std::f64::consts::PI * done).cos())) as f32,
            Schedule::Constant => 1.0,
        }
    }
}

/// The moments of all that is trained, and the step count.
#[derive(Debug)]
pub struct AdamW {
    config: OptimizerConfig,
    moments: Vec<(Tensor, Tensor)>,
    steps: usize,
    total: usize,
}

impl AdamW {
    /// An optimiser for the trained ones of `parameters`, always given in one order.
    ///
    /// # Errors
    /// If the device cannot go on.
    pub fn new(config: &OptimizerConfig, parameters: &[&Parameter], total: usize) -> Result<Self> {
        let zeros = |p: &&&Parameter| Tensor::zeros(p.shape(), DType::F32, p.value().device());
        let moments = parameters
            .iter()
            .filter(|p| p.is_trained())
            .map(|p| Ok((zeros(&p)?, zeros(&p)?)))
            .collect::<Result<_>>()?;
        Ok(Self { config: config.clone(), moments, steps: 0, total })
    }

    /// Steps done.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The learning rate of the next step.
    pub fn rate(&self) -> f32 {
        self.config.rate * self.config.factor(self.steps, self.total)
    }

    /// Moves the parameters against their gradients, which are forgotten. Gives the
    /// gradient's norm before it was cut.
    ///
    /// # Errors
    /// If the device cannot go on.
    pub fn step(&mut self, parameters: Vec<&mut Parameter>) -> Result<f32> {
        let rate = self.rate();
        self.steps += 1;
        let mut trained: Vec<&mut Parameter> = parameters.into_iter().filter(|p| p.is_trained()).collect();
        let norm = norm(&trained)?;
        let shrink = self.config.clip.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0));
        for (parameter, moments) in trained.iter_mut().zip(&mut self.moments) {
            // What no sample has touched is left, as PyTorch leaves it.
            let Some(gradient) = parameter.gradient() else { continue };
            let decay = if parameter.shape().rank() > 1 { self.config.weight_decay } else { 0.0 };
            let step = adam_step(&self.config, self.steps, (rate, shrink, decay));
            if is_fused(parameter.value()) {
                fused(parameter, moments, &gradient, step)?;
            } else {
                composed(parameter, moments, &gradient, step)?;
            }
            parameter.clear_gradient()?;
        }
        Ok(norm)
    }

    /// The moments, for a checkpoint.
    pub fn moments(&self) -> &[(Tensor, Tensor)] {
        &self.moments
    }

    /// Takes up the moments and the step count of a checkpoint.
    pub fn restore(&mut self, steps: usize, moments: Vec<(Tensor, Tensor)>) {
        self.steps = steps;
        self.moments = moments;
    }
}

fn adam_step(config: &OptimizerConfig, steps: usize, (rate, shrink, decay): (f32, f32, f32)) -> AdamStep {
    let correction = |beta: f32| 1.0 - f64::from(beta).powi(steps as i32);
    AdamStep {
        shrink,
        betas: config.betas,
        rate: (f64::from(rate) / correction(config.betas.0)) as f32,
        root: (1.0 / correction(config.betas.1).sqrt()) as f32,
        epsilon: config.epsilon,
        keep: 1.0 - rate * decay,
    }
}

fn fused(parameter: &Parameter, moments: &(Tensor, Tensor), gradient: &Tensor, step: AdamStep) -> Result<()> {
    let update = |value: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]| {
        value
            .par_chunks_mut(CHUNK)
            .zip(gradient.par_chunks(CHUNK))
            .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)))
            .for_each(|((v, g), (first, second))| adam_update(step, v, g, first, second));
    };
    // A tensor lends its numbers to a function, so that four of them are four functions deep.
    let mut found = Ok(());
    numbers(gradient, |gradient| {
        found = lend(&moments.0, |first| {
            lend(&moments.1, |second| {
                change(parameter.value(), |value| update(value, first, second, gradient))
            })
        });
    })?;
    found
}

/// [`change`] with a function that may fail itself.
fn lend(tensor: &Tensor, write: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    let mut found = Ok(());
    change(tensor, |values| found = write(values))?;
    found
}

fn composed(
    parameter: &mut Parameter,
    moments: &mut (Tensor, Tensor),
    gradient: &Tensor,
    step: AdamStep,
) -> Result<()> {
    let (beta1, beta2) = (f64::from(step.betas.0), f64::from(step.betas.1));
    let gradient = (gradient * f64::from(step.shrink))?;
    moments.0 = ((&moments.0 * beta1)? + (&gradient * (1.0 - beta1))?)?;
    moments.1 = ((&moments.1 * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
    let root = ((moments.1.sqrt()? * f64::from(step.root))? + f64::from(step.epsilon))?;
    let moved = ((&moments.0 / root)? * f64::from(step.rate))?;
    parameter.set(&((parameter.value() * f64::from(step.keep))? - moved)?)
}

/// The norm of all gradients together. Parts are summed in their order, so that it does
/// not depend on threads.
fn norm(trained: &[&mut Parameter]) -> Result<f32> {
    let mut total = 0.0f64;
    for gradient in trained.iter().filter_map(|p| p.gradient()) {
        if is_fused(&gradient) {
            let parts: Vec<f32> =
                numbers(&gradient, |g| g.par_chunks(CHUNK).map(|part| dot(part, part)).collect())?;
            total += parts.into_iter().map(f64::from).sum::<f64>();
        } else {
            total += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    Ok(total.sqrt() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use serde_json::Value;

    fn floats(value: &Value) -> Vec<f32> {
        value.as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
    }

    fn config() -> OptimizerConfig {
        OptimizerConfig {
            rate: 0.01,
            betas: betas(),
            epsilon: epsilon(),
            weight_decay: 0.0,
            schedule: Schedule::Constant,
            warm_up: 0.0,
            warm_up_rounding: Rounding::Up,
            clip: None,
        }
    }

    #[test]
    fn steps_are_those_of_pytorch() {
        let golden: Value = serde_json::from_str(include_str!("../tests/golden/adamw.json")).expect("golden");
        for case in golden["cases"].as_array().expect("cases") {
            let config = OptimizerConfig {
                weight_decay: case["weight_decay"].as_f64().expect("a number") as f32,
                clip: case["clip"].as_f64().map(|clip| clip as f32),
                ..config()
            };
            // Two axes, since a row is taken for a bias and does not decay.
            let start = case["start"].as_array().expect("tensors").iter().map(floats);
            let tensor =
                |v: Vec<f32>| Tensor::new(v, &Device::Cpu).and_then(|t| t.unsqueeze(0)).expect("a row");
            let mut parameters: Vec<Parameter> =
                start.map(|v| Parameter::trained("p", &tensor(v)).expect("a parameter")).collect();
            let mut adam = AdamW::new(&config, &parameters.iter().collect::<Vec<_>>(), 5).expect("moments");
            for step in case["steps"].as_array().expect("steps") {
                for (p, g) in parameters.iter().zip(step["gradients"].as_array().expect("gradients")) {
                    p.add_gradient(&tensor(floats(g))).expect("a gradient");
                }
                adam.step(parameters.iter_mut().collect()).expect("a step");
                for (p, expected) in parameters.iter().zip(step["parameters"].as_array().expect("values")) {
                    let found: Vec<f32> = p.value().flatten_all().and_then(|t| t.to_vec1()).expect("numbers");
                    for (a, b) in found.iter().zip(floats(expected)) {
                        assert!((a - b).abs() < 1e-6, "{a} against PyTorch's {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn rates_go_the_way_of_the_hubs_schedules() {
        let golden: Value =
            serde_json::from_str(include_str!("../tests/golden/schedule.json")).expect("golden");
        for case in golden.as_array().expect("cases") {
            let total = case["total"].as_u64().expect("a number") as usize;
            let warm_up = case["warm_up"].as_u64().expect("a number") as usize;
            let ratio = case["ratio"].as_f64().unwrap_or(warm_up as f64 / total as f64) as f32;
            let schedule = if case["kind"] == "cosine" { Schedule::Cosine } else { Schedule::Linear };
            let config = OptimizerConfig { schedule, warm_up: ratio, ..config() };
            assert_eq!(config.warm_up_steps(total), warm_up);
            for (step, expected) in floats(&case["factors"]).into_iter().enumerate() {
                let found = config.factor(step, total);
                assert!((found - expected).abs() < 1e-6, "step {step}: {found} against {expected}");
            }
        }
    }
}
