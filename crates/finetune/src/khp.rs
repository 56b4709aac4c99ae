//! The files of KHP's guardrail as it publishes them: a PEFT adapter,
//! `classifier_head.pt` (PyTorch's state dict of a linear layer, in bf16) and
//! `aggregation_head.json` (nine weights and a bias over the nine probabilities).

use std::path::Path;

use candle_core::Device;
use mindrail_core::calibration::Logistic;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, IoContext as _};
use crate::head::{Head, HeadConfig};
use crate::model::{AdapterSource, Backbone, Training};
use crate::network::Network;
use crate::recipe::Recipe;

/// The guardrail's model, and the head over its probabilities where there is one.
#[derive(Debug)]
pub struct Published {
    /// Base, adapter and the head of nine signals.
    pub network: Network,
    /// The logistic head; its published machine did not have the file and took the
    /// highest probability instead.
    pub aggregation: Option<Logistic>,
}

impl Published {
    /// Reads the guardrail's folder onto its base.
    ///
    /// # Errors
    /// If a file is missing or is not what the guardrail writes.
    pub fn open(folder: &Path, base: &Path, device: &Device) -> Result<Self, Error> {
        let recipe = Recipe::parse(Recipe::published("khp").unwrap_or_default(), "recipe khp")?;
        let mut backbone = Backbone::load(base, Training::Frozen, recipe.model.precision.dtype(), device)?;
        backbone.adapt(AdapterSource::Saved(folder, Training::Frozen))?;
        let head = head(folder, &recipe.heads[0], backbone.architecture().width, device)?;
        let network = Network { backbone, heads: vec![head], pooling: recipe.model.pooling };
        Ok(Self { network, aggregation: aggregation(folder)? })
    }
}

fn head(folder: &Path, config: &HeadConfig, width: usize, device: &Device) -> Result<Head, Error> {
    let mut file = Checkpoint::of_file(&folder.join("classifier_head.pt"))?;
    let outputs = config.task.outputs();
    let weight = file.take("weight", &[outputs, width])?.to_device(device)?;
    let bias = file.take("bias", &[outputs])?.to_device(device)?;
    Head::of_tensors(config, &weight, &bias)
}

fn aggregation(folder: &Path) -> Result<Option<Logistic>, Error> {
    let path = folder.join("aggregation_head.json");
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).at(&path)?;
    let head: Logistic =
        serde_json::from_str(&text).map_err(|e| Error::new(path.display(), e, "`weights` and `bias`"))?;
    if head.weights.len() != 9 {
        return Err(Error::new(path.display(), format!("{} weights", head.weights.len()), "9"));
    }
    Ok(Some(head))
}
