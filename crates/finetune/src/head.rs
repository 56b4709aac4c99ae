//! Heads: from the rows of a backbone to logits.

use candle_core::{DType, Device, Result, Tensor};
use mindrail_model::random::Random;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::model::{Pass, Training};
use crate::ops::{Dropout, linear, linear_backward};
use crate::parameter::Parameter;
use crate::rows::{Task, TaskKind};

/// Which rows of a sequence a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token's.
    Cls,
    /// The mean of all.
    Mean,
    /// The last token's.
    Last,
}

/// What a head computes between a pooled row and its logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadShape {
    /// Dropout and one linear layer.
    Linear,
    /// Dropout, a linear layer as wide as the row, tanh, dropout, and a linear layer:
    /// `RoBERTa`'s classification head.
    TanhLayer,
}

/// A head as a recipe states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// What it answers.
    pub task: Task,
    /// What it computes.
    #[serde(default = "linear_shape")]
    pub shape: HeadShape,
    /// The share of its inputs that is dropped in training.
    #[serde(default)]
    pub dropout: f32,
    /// Whether its linear layer has a bias.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Weight of its loss among the heads'.
    #[serde(default = "one")]
    pub weight: f32,
    /// For one class of several: the weight of each class; 1 for all if empty.
    #[serde(default)]
    pub class_weights: Vec<f32>,
    /// For preferences: what the mean of the squared scores is multiplied with.
    #[serde(default)]
    pub regularization: f32,
    /// For preferences: which scores are compared.
    #[serde(default = "by_sequence")]
    pub compared: crate::loss::Compared,
}

const fn linear_shape() -> HeadShape {
    HeadShape::Linear
}

const fn yes() -> bool {
    true
}

const fn one() -> f32 {
    1.0
}

const fn by_sequence() -> crate::loss::Compared {
    crate::loss::Compared::Sequence
}

/// A head with its parameters.
#[derive(Debug)]
pub struct Head {
    config: HeadConfig,
    dense: Option<(Parameter, Parameter)>,
    weight: Parameter,
    bias: Option<Parameter>,
}

/// What the backward pass of a head needs.
pub(crate) struct HeadSaved {
    input: Tensor,
    /// After tanh and dropout: what the last layer read.
    read: Tensor,
    /// After tanh.
    hidden: Option<Tensor>,
}

/// Where a head's numbers come from.
#[derive(Debug)]
pub enum HeadSource<'a> {
    /// Normal with the deviation that the hub's models begin with, 0.02; biases 0.
    Fresh(&'a mut Random),
    /// A file of a trained model's heads.
    Saved(&'a mut Checkpoint, Training),
}

impl HeadSource<'_> {
    fn parameter(
        &mut self,
        name: String,
        shape: &[usize],
        device: &Device,
    ) -> std::result::Result<Parameter, Error> {
        Ok(match self {
            Self::Saved(file, training) => {
                let value = file.take(&name, shape)?.to_device(device)?;
                match training {
                    Training::Everything => Parameter::trained(name, &value)?,
                    Training::Frozen => Parameter::frozen(name, &value, DType::F32)?,
                }
            }
            Self::Fresh(random) => {
                let count = shape.iter().product();
                let values = if shape.len() == 1 { vec![0.0; count] } else { normal(random, count, 0.02) };
                Parameter::trained(name, &Tensor::from_vec(values, shape, device)?)?
            }
        })
    }
}

/// Normal numbers (Box and Muller 1958).
fn normal(random: &mut Random, count: usize, deviation: f32) -> Vec<f32> {
    (0..count)
        .map(|_| {
            let (u, v) = (1.0 - random.uniform(), random.uniform());
            deviation * (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
        })
        .collect()
}

impl Head {
    /// A head over rows of a width.
    ///
    /// # Errors
    /// If a saved tensor is missing or of another shape, or the weights of classes are not
    /// as many as the classes.
    pub fn new(
        config: &HeadConfig,
        width: usize,
        mut source: HeadSource<'_>,
        device: &Device,
    ) -> std::result::Result<Self, Error> {
        let task = config.task;
        let name = |part: &str| format!("{}.{part}", task.wire());
        let is_ordinal = task.kind() == TaskKind::Ordinal;
        if !config.class_weights.is_empty() && config.class_weights.len() != task.outputs() {
            let found = format!("{} weights", config.class_weights.len());
            return Err(Error::new(format!("head {}: class_weights", task.wire()), found, task.outputs()));
        }
        let dense = match config.shape {
            HeadShape::Linear => None,
            HeadShape::TanhLayer => Some((
                source.parameter(name("dense.weight"), &[width, width], device)?,
                source.parameter(name("dense.bias"), &[width], device)?,
            )),
        };
        // One score for all levels; each level above the lowest has a bias of its own.
        let rows = if is_ordinal { 1 } else { task.outputs() };
        let weight = source.parameter(name("weight"), &[rows, width], device)?;
        let biases = if is_ordinal { task.outputs() - 1 } else { rows };
        let bias = (config.bias || is_ordinal)
            .then(|| source.parameter(name("bias"), &[biases], device))
            .transpose()?;
        Ok(Self { config: config.clone(), dense, weight, bias })
    }

    /// A linear head of tensors that are at hand, not trained further.
    pub(crate) fn of_tensors(
        config: &HeadConfig,
        weight: &Tensor,
        bias: &Tensor,
    ) -> std::result::Result<Self, Error> {
        let name = |part: &str| format!("{}.{part}", config.task.wire());
        Ok(Self {
            config: config.clone(),
            dense: None,
            weight: Parameter::frozen(name("weight"), weight, DType::F32)?,
            bias: Some(Parameter::frozen(name("bias"), bias, DType::F32)?),
        })
    }

    /// As the recipe states it.
    pub fn config(&self) -> &HeadConfig {
        &self.config
    }

    /// How many logits a row has.
    pub fn logits(&self) -> usize {
        self.bias.as_ref().map_or(self.weight.shape().dims()[0], Parameter::elements)
    }

    /// Its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let dense = self.dense.iter().flat_map(|(weight, bias)| [weight, bias]);
        dense.chain([&self.weight]).chain(&self.bias)
    }

    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let dense = self.dense.iter_mut().flat_map(|(weight, bias)| [weight, bias]);
        dense.chain([&mut self.weight]).chain(&mut self.bias)
    }

    fn dropout(&self, pass: &Pass, site: u32) -> Option<Dropout> {
        pass.dropout(self.config.dropout, 0x4000_0000 + 8 * self.config.task as u32 + site)
    }

    /// Rows x width in f32 to rows x logits.
    pub(crate) fn forward(&self, rows: &Tensor, pass: &Pass) -> Result<(Tensor, HeadSaved)> {
        let input = Dropout::apply(self.dropout(pass, 0), rows)?;
        let (read, hidden) = match &self.dense {
            None => (input.clone(), None),
            Some((weight, bias)) => {
                let hidden = linear(&input, weight.value(), Some(bias.value()))?.tanh()?;
                (Dropout::apply(self.dropout(pass, 1), &hidden)?, Some(hidden))
            }
        };
        let scores = linear(&read, self.weight.value(), None)?;
        let logits = match &self.bias {
            Some(bias) => scores.broadcast_add(&bias.value().unsqueeze(0)?)?,
            None => scores,
        };
        Ok((logits, HeadSaved { input, read, hidden }))
    }

    /// The gradient of the rows; adds those of the head.
    pub(crate) fn backward(&self, saved: &HeadSaved, d_logits: &Tensor, pass: &Pass) -> Result<Tensor> {
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.is_trained()) {
            bias.add_gradient(&d_logits.sum(0)?)?;
        }
        let is_shared = self.weight.shape().dims()[0] < d_logits.dim(1)?;
        let d_scores = if is_shared { d_logits.sum_keepdim(1)? } else { d_logits.clone() };
        let d_read = linear_backward(&saved.read, &self.weight, None, &d_scores)?;
        let (Some((weight, bias)), Some(hidden)) = (&self.dense, &saved.hidden) else {
            return Dropout::apply(self.dropout(pass, 0), &d_read);
        };
        let d_hidden = Dropout::apply(self.dropout(pass, 1), &d_read)?;
        let d_inner = (d_hidden * hidden.sqr()?.affine(-1.0, 1.0)?)?;
        let d_input = linear_backward(&saved.input, weight, Some(bias), &d_inner)?;
        Dropout::apply(self.dropout(pass, 0), &d_input)
    }
}
