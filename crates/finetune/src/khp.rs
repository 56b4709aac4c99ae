//! The files of KHP's guardrail as it publishes them: a PEFT adapter,
//! `classifier_head.pt` (PyTorch's state dict of a linear layer, in bf16) and
//! `aggregation_head.json` (nine weights and a bias over the nine probabilities).

use std::path::Path;

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use mindrail_core::calibration::Logistic;

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
    let path = folder.join("classifier_head.pt");
    let file = PthTensors::new(&path, None)
        .map_err(|e| Error::new(path.display(), e, "a state dict that PyTorch has saved"))?;
    let outputs = config.task.outputs();
    let take = |name: &str, shape: &[usize]| -> Result<Tensor, Error> {
        let tensor = file.get(name)?;
        let at = || format!("{}: tensor `{name}`", path.display());
        let tensor = tensor.ok_or_else(|| Error::new(at(), "nothing", format!("shape {shape:?}")))?;
        if tensor.dims() != shape {
            return Err(Error::new(at(), format!("shape {:?}", tensor.dims()), format!("shape {shape:?}")));
        }
        Ok(tensor.to_dtype(DType::F32)?.to_device(device)?)
    };
    Head::of_tensors(config, &take("weight", &[outputs, width])?, &take("bias", &[outputs])?)
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
