//! A backbone with its heads: logits of a batch, and the gradients of a batch's loss.

use candle_core::{DType, Device, Result, Tensor};

use crate::error::Error;
use crate::head::{Head, HeadSaved, Pooling};
use crate::loss::{Compared, Loss, Pair, binary_cross_entropy, cross_entropy, ordinal, preference};
use crate::model::{Backbone, Batch, Keep, Pass};
use crate::parameter::Parameter;
use crate::rendering::Encoded;
use crate::rows::{Target, Task, TaskKind};

/// A model: backbone and heads.
#[derive(Debug)]
pub struct Network {
    /// The backbone.
    pub backbone: Backbone,
    /// The heads, one for each task.
    pub heads: Vec<Head>,
    /// Which rows the heads read.
    pub pooling: Pooling,
}

/// An example as tokens.
#[derive(Debug, Clone)]
pub struct Sample {
    /// One input, or two that are compared.
    pub inputs: Vec<Encoded>,
    /// What is so, by task.
    pub targets: std::collections::BTreeMap<Task, Target>,
}

impl Sample {
    /// Tokens of all its inputs.
    pub fn tokens(&self) -> usize {
        self.inputs.iter().map(|input| input.ids.len()).sum()
    }
}

/// How a step is made.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Precision and dropout.
    pub pass: Pass,
    /// What is kept for the way back.
    pub keep: Keep,
    /// What the gradients are multiplied with: 1 over the number of parts of a step.
    pub share: f32,
}

impl Network {
    /// All parameters: the backbone's, then the heads'.
    pub fn parameters(&self) -> Vec<&Parameter> {
        let heads = self.heads.iter().flat_map(Head::parameters);
        self.backbone.parameters().into_iter().chain(heads).collect()
    }

    /// The same, to be changed.
    pub fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        let heads = self.heads.iter_mut().flat_map(Head::parameters_mut);
        self.backbone.parameters_mut().into_iter().chain(heads).collect()
    }

    /// The logits of every input, head by head: heads x inputs x logits. A scalar head
    /// reads the last token whatever the pooling.
    ///
    /// # Errors
    /// If an input cannot be read, or the device cannot go on.
    pub fn logits(&self, inputs: &[&Encoded]) -> std::result::Result<Vec<Vec<Vec<f32>>>, Error> {
        if inputs.is_empty() {
            return Ok(vec![Vec::new(); self.heads.len()]);
        }
        let pass = Pass::plain(self.backbone.dtype());
        let (batch, rows) = self.rows(inputs, &pass)?;
        self.heads
            .iter()
            .map(|head| {
                let pooled = Pooled::new(&rows, &batch, self.pooling_of(head))?;
                Ok(head.forward(&pooled.rows, &pass)?.0.to_dtype(DType::F32)?.to_vec2()?)
            })
            .collect()
    }

    /// The vector of every input that the heads read: inputs x width.
    ///
    /// # Errors
    /// If an input cannot be read, or the device cannot go on.
    pub fn vectors(&self, inputs: &[&Encoded]) -> std::result::Result<Vec<Vec<f32>>, Error> {
        let (batch, rows) = self.rows(inputs, &Pass::plain(self.backbone.dtype()))?;
        Ok(Pooled::new(&rows, &batch, Reads::One(self.pooling))?.rows.to_vec2()?)
    }

    /// A row for every token of the inputs, and where they stand.
    fn rows(&self, inputs: &[&Encoded], pass: &Pass) -> std::result::Result<(Batch, Tensor), Error> {
        let batch = self.backbone.batch(inputs.iter().map(|i| (i.ids.as_slice(), i.types.as_slice())))?;
        let (rows, _) = self.backbone.forward(&batch, pass, Keep::Nothing)?;
        Ok((batch, rows))
    }

    fn pooling_of(&self, head: &Head) -> Reads {
        let is_scalar = head.config().task.kind() == TaskKind::Scalar;
        Reads::One(if is_scalar { Pooling::Last } else { self.pooling })
    }

    fn training_reads(&self, head: &Head) -> Reads {
        let by_token =
            head.config().compared == Compared::Tokens && head.config().task.kind() == TaskKind::Scalar;
        if by_token { Reads::Every } else { self.pooling_of(head) }
    }

    /// The loss of a batch, heads weighed; adds the gradients of all that is trained. A
    /// head counts the samples that have its target.
    ///
    /// # Errors
    /// If an input cannot be read, a target is not one of its task's, or the device
    /// cannot go on.
    pub fn learn(&self, samples: &[&Sample], step: Step) -> std::result::Result<f32, Error> {
        let inputs = || samples.iter().flat_map(|sample| &sample.inputs);
        let batch = self.backbone.batch(inputs().map(|i| (i.ids.as_slice(), i.types.as_slice())))?;
        let (rows, trace) = self.backbone.forward(&batch, &step.pass, step.keep)?;
        let mut total = 0.0;
        let mut d_rows = Tensor::zeros(rows.shape(), DType::F32, self.backbone.device())?;
        for head in &self.heads {
            let pooled = Pooled::new(&rows, &batch, self.training_reads(head))?;
            let (logits, saved) = head.forward(&pooled.rows, &step.pass)?;
            let weight = head.config().weight;
            let values: Vec<f32> = logits.flatten_all()?.to_vec1()?;
            let Some(loss) = head_loss(head, &values, &batch, samples)? else { continue };
            total += weight * loss.value;
            let gradient = loss.gradient.iter().map(|g| g * weight * step.share).collect();
            d_rows = (d_rows + self.head_backward(head, (&saved, &pooled, gradient), &batch, &step)?)?;
        }
        self.backbone.backward(&batch, &step.pass, trace, &d_rows.to_dtype(self.backbone.dtype())?)?;
        Ok(total)
    }

    fn head_backward(
        &self,
        head: &Head,
        (saved, pooled, gradient): (&HeadSaved, &Pooled, Vec<f32>),
        batch: &Batch,
        step: &Step,
    ) -> Result<Tensor> {
        let rows = pooled.rows.dim(0)?;
        let d_logits = Tensor::from_vec(gradient, (rows, head.logits()), self.backbone.device())?;
        pooled.backward(&head.backward(saved, &d_logits, &step.pass)?, batch.tokens())
    }
}

/// Which rows a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    One(Pooling),
    Every,
}

/// The rows that a head reads, in f32, and where they come from.
struct Pooled {
    rows: Tensor,
    /// For every token that was read, the pooled row it went into.
    from: Tensor,
    /// Those tokens.
    tokens: Tensor,
    /// For every token that was read, its share.
    shares: Tensor,
}

impl Pooled {
    fn new(rows: &Tensor, batch: &Batch, reads: Reads) -> Result<Self> {
        let (mut tokens, mut from, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = 0;
        for sequence in batch.sequences() {
            let read = match reads {
                Reads::One(Pooling::Cls) => sequence.start..sequence.start + 1,
                Reads::One(Pooling::Last) => sequence.end - 1..sequence.end,
                Reads::One(Pooling::Mean) | Reads::Every => sequence.clone(),
            };
            let is_mean = reads == Reads::One(Pooling::Mean);
            for (i, token) in read.clone().enumerate() {
                tokens.push(token as u32);
                from.push((count + if is_mean { 0 } else { i }) as u32);
                shares.push(if is_mean { 1.0 / read.len() as f32 } else { 1.0 });
            }
            count += if is_mean { 1 } else { read.len() };
        }
        let device = rows.device();
        let (tokens, from) = (Tensor::new(tokens, device)?, Tensor::new(from, device)?);
        let shares: Tensor = Tensor::new(shares, device)?.unsqueeze(1)?;
        let read = rows.index_select(&tokens, 0)?.to_dtype(DType::F32)?.broadcast_mul(&shares)?;
        let pooled = Tensor::zeros((count, rows.dim(1)?), DType::F32, device)?.index_add(&from, &read, 0)?;
        Ok(Self { rows: pooled, from, tokens, shares })
    }

    fn backward(&self, d_pooled: &Tensor, tokens: usize) -> Result<Tensor> {
        let d = d_pooled.index_select(&self.from, 0)?.broadcast_mul(&self.shares)?;
        Tensor::zeros((tokens, d.dim(1)?), DType::F32, d.device())?.index_add(&self.tokens, &d, 0)
    }
}

/// The loss of one head over the samples that have its target; `None` if none has.
/// `logits` has a row for each input, or for each token where tokens are compared.
fn head_loss(
    head: &Head,
    logits: &[f32],
    batch: &Batch,
    samples: &[&Sample],
) -> std::result::Result<Option<Loss>, Error> {
    let task = head.config().task;
    if task.kind() == TaskKind::Scalar {
        return pair_loss(head, logits, batch, samples);
    }
    let width = head.logits();
    let mut row = 0;
    let mut kept = Kept::default();
    for sample in samples {
        if let Some(target) = sample.targets.get(&task) {
            kept.add(task, target, row)?;
        }
        row += sample.inputs.len();
    }
    if kept.rows.is_empty() {
        return Ok(None);
    }
    let chosen: Vec<f32> =
        kept.rows.iter().flat_map(|row| &logits[row * width..][..width]).copied().collect();
    let loss = match task.kind() {
        TaskKind::MultiLabel => binary_cross_entropy(&chosen, &kept.labels),
        TaskKind::Ordinal => ordinal(&chosen, &kept.classes, width),
        TaskKind::SingleLabel | TaskKind::Scalar => {
            let weights = &head.config().class_weights;
            let equal = vec![1.0; width];
            cross_entropy(&chosen, &kept.classes, if weights.is_empty() { &equal } else { weights })
        }
    };
    let mut gradient = vec![0.0; logits.len()];
    for (row, d) in kept.rows.iter().zip(loss.gradient.chunks_exact(width)) {
        gradient[row * width..][..width].copy_from_slice(d);
    }
    Ok(Some(Loss { value: loss.value, gradient }))
}

/// Targets of the rows that have them.
#[derive(Default)]
struct Kept {
    rows: Vec<usize>,
    labels: Vec<f32>,
    classes: Vec<usize>,
}

impl Kept {
    fn add(&mut self, task: Task, target: &Target, row: usize) -> std::result::Result<(), Error> {
        match (task.kind(), target) {
            (TaskKind::MultiLabel, Target::Labels(labels)) if labels.len() == task.outputs() => {
                self.labels.extend_from_slice(labels);
            }
            (TaskKind::SingleLabel, Target::Class(class)) | (TaskKind::Ordinal, Target::Level(class))
                if *class < task.outputs() =>
            {
                self.classes.push(*class);
            }
            _ => {
                return Err(Error::new(task.wire(), "a target of another kind or size", "one of the task's"));
            }
        }
        self.rows.push(row);
        Ok(())
    }
}

fn pair_loss(
    head: &Head,
    scores: &[f32],
    batch: &Batch,
    samples: &[&Sample],
) -> std::result::Result<Option<Loss>, Error> {
    let config = head.config();
    let by_token = config.compared == Compared::Tokens;
    let mut places = Vec::new();
    let mut pairs = Vec::new();
    let mut sequence = 0;
    for sample in samples {
        let first = sequence;
        sequence += sample.inputs.len();
        let Some(target) = sample.targets.get(&config.task) else { continue };
        let Target::Preference { better, unsafe_ } = target else {
            return Err(Error::new(config.task.wire(), "a target of another kind", "a preference"));
        };
        let [_, _] = sample.inputs.as_slice() else {
            return Err(Error::new(config.task.wire(), format!("{} inputs", sample.inputs.len()), "two"));
        };
        let (high, low) = (*better, 1 - better);
        let span = |which: usize| {
            if by_token { batch.sequences()[first + which].clone() } else { first + which..first + which + 1 }
        };
        let sign = |flags: &[bool; 2], which: usize| if flags[which] { 1.0 } else { -1.0 };
        pairs.push(Pair {
            higher: &scores[span(high)],
            lower: &scores[span(low)],
            tokens: (&sample.inputs[high].ids, &sample.inputs[low].ids),
            signs: unsafe_.as_ref().map(|flags| (sign(flags, high), sign(flags, low))),
        });
        places.push((span(high), span(low)));
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    let loss = preference(&pairs, config.compared, config.regularization);
    let mut gradient = vec![0.0; scores.len()];
    for ((high, low), (d_high, d_low)) in places.into_iter().zip(&loss.gradients) {
        gradient[high].copy_from_slice(d_high);
        gradient[low].copy_from_slice(d_low);
    }
    Ok(Some(Loss { value: loss.value, gradient }))
}

/// The device of a name: `cpu`, or `cuda` and `cuda:N` where the program was built with
/// the feature `cuda`.
///
/// # Errors
/// If there is no such device.
pub fn device(name: &str) -> std::result::Result<Device, Error> {
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", number) => {
            let number = number.parse().map_err(|_| Error::new("device", format!("`{name}`"), "cuda:N"))?;
            Ok(Device::new_cuda(number)?)
        }
        _ => Err(Error::new("device", format!("`{name}`"), "cpu, cuda or cuda:N")),
    }
}
