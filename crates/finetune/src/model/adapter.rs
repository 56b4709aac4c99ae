//! `LoRA` adapters in the format of PEFT: `adapter_config.json` and
//! `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use mindrail_model::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backbone::Backbone;
use super::projection::{LowRank, Projection};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, IoContext as _};
use crate::files::{FOR_PYTORCH, save_tensors, write_atomically};
use crate::parameter::Parameter;

/// What stands before a module's name in PEFT's files.
const PREFIX: &str = "base_model.model.";
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Sizes and places of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterConfig {
    /// Rows of the inner matrix.
    pub rank: usize,
    /// The adapter's product is multiplied with `alpha / rank`.
    pub alpha: f32,
    /// The share of inputs that is dropped in training.
    pub dropout: f32,
    /// Last parts of the names of the layers that get an adapter, such as `q_proj`.
    pub targets: Vec<String>,
    /// Whether the product is multiplied with `alpha / sqrt(rank)` instead
    /// (Kalajdzievski 2023).
    #[serde(default)]
    pub rank_stabilised: bool,
}

/// Where the numbers of an adapter come from.
#[derive(Debug)]
pub enum AdapterSource<'a> {
    /// New ones as PEFT makes them: the inner matrix uniform within
    /// `1 / sqrt(inputs)`, the outer one 0, so that nothing changes at first.
    Fresh(&'a AdapterConfig, &'a mut Random),
    /// A folder that PEFT or Mindrail wrote; it is trained further if asked to.
    Saved(&'a Path, super::Training),
}

/// `adapter_config.json`, as far as it is read here.
#[derive(Deserialize)]
struct Peft {
    #[serde(rename = "peft_type")]
    kind: String,
    r: usize,
    lora_alpha: f32,
    #[serde(default)]
    lora_dropout: f32,
    target_modules: Value,
    #[serde(default)]
    use_rslora: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Peft {
    fn config(self, place: &str) -> Result<AdapterConfig, Error> {
        let refuse = |field: &str, found: String, expected: &str| {
            Err(Error::new(format!("{place}: {field}"), found, expected))
        };
        if self.kind != "LORA" {
            return refuse("peft_type", format!("`{}`", self.kind), "`LORA`");
        }
        if let Some(bias) = self.rest.get("bias").filter(|bias| *bias != "none") {
            return refuse("bias", bias.to_string(), "`none`");
        }
        let empty = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        // Each of these would change what the adapter computes.
        let telling = [
            "use_dora",
            "rank_pattern",
            "alpha_pattern",
            "modules_to_save",
            "layers_to_transform",
            "layer_replication",
            "fan_in_fan_out",
            "lora_bias",
            "target_parameters",
            "trainable_token_indices",
            "use_qalora",
            "alora_invocation_tokens",
            "use_bdlora",
        ];
        if let Some(field) =
            telling.iter().find(|field| self.rest.get(**field).is_some_and(|value| !empty(value)))
        {
            return refuse(field, self.rest[*field].to_string(), "nothing (not implemented)");
        }
        let Value::Array(targets) = &self.target_modules else {
            return refuse("target_modules", self.target_modules.to_string(), "a list of names");
        };
        let mut targets: Vec<String> =
            targets.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        targets.sort();
        Ok(AdapterConfig {
            rank: self.r,
            alpha: self.lora_alpha,
            dropout: self.lora_dropout,
            targets,
            rank_stabilised: self.use_rslora,
        })
    }
}

impl AdapterConfig {
    /// What the product of the two matrices is multiplied with.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
    }

    fn is_target(&self, module: &str) -> bool {
        self.targets.iter().any(|target| module == target || module.ends_with(&format!(".{target}")))
    }

    /// The same as PEFT writes it.
    fn peft(&self, base: &str) -> Value {
        serde_json::json!({
            "base_model_name_or_path": base,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.rank,
            "target_modules": self.targets,
            "task_type": "FEATURE_EXTRACTION",
            "use_dora": false,
            "use_rslora": self.rank_stabilised,
        })
    }
}

impl Backbone {
    /// Puts an adapter beside the linear layers it is for.
    ///
    /// # Errors
    /// If a target names no layer, or a saved adapter lacks a tensor, has one too many,
    /// or is of another shape.
    pub fn adapt(&mut self, source: AdapterSource<'_>) -> Result<AdapterConfig, Error> {
        match source {
            AdapterSource::Fresh(config, random) => {
                self.each_target(config, |projection| fresh(projection, config, random))?;
                Ok(config.clone())
            }
            AdapterSource::Saved(folder, training) => self.adapt_from(folder, training),
        }
    }

    fn each_target(
        &mut self,
        config: &AdapterConfig,
        mut adapt: impl FnMut(&mut Projection) -> Result<LowRank, Error>,
    ) -> Result<(), Error> {
        for target in &config.targets {
            if !self.projections().any(|p| p.module.ends_with(target.as_str())) {
                let mut known: Vec<&str> =
                    self.projections().filter_map(|p| p.module.rsplit('.').next()).collect();
                known.sort_unstable();
                known.dedup();
                return Err(Error::new("adapter targets", format!("`{target}`"), known.join(", ")));
            }
        }
        for projection in self.projections_mut().filter(|p| config.is_target(&p.module)) {
            projection.adapter = Some(adapt(projection)?);
        }
        Ok(())
    }

    fn adapt_from(&mut self, folder: &Path, training: super::Training) -> Result<AdapterConfig, Error> {
        let path = folder.join(CONFIG);
        let text = std::fs::read_to_string(&path).at(&path)?;
        let peft: Peft = serde_json::from_str(&text)
            .map_err(|e| Error::new(path.display(), e, "the configuration of a LoRA adapter of PEFT"))?;
        let config = peft.config(&path.display().to_string())?;
        let mut saved = Checkpoint::of_file(&folder.join(WEIGHTS))?;
        let device = self.device.clone();
        let dtype = self.dtype;
        self.each_target(&config, |projection| {
            let [outputs, inputs] = sizes(projection);
            let mut part = |which: &str, shape: [usize; 2]| {
                let name = saved_name(&saved, &projection.module, which);
                let value = saved.take(&name, &shape)?.to_device(&device)?;
                let own = own_name(&projection.module, which);
                Ok::<_, Error>(match training {
                    super::Training::Everything => Parameter::trained(own, &value)?,
                    super::Training::Frozen => Parameter::frozen(own, &value, dtype)?,
                })
            };
            let (a, b) = (part("lora_A", [config.rank, inputs])?, part("lora_B", [outputs, config.rank])?);
            Ok(LowRank { a, b, scale: config.scale(), dropout: config.dropout })
        })?;
        saved.finish(|_| false)?;
        Ok(config)
    }

    /// Writes the adapter as PEFT does.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save_adapter(&self, folder: &Path, config: &AdapterConfig, base: &str) -> Result<(), Error> {
        std::fs::create_dir_all(folder).at(folder)?;
        let text = serde_json::to_string_pretty(&config.peft(base)).unwrap_or_default() + "\n";
        write_atomically(&folder.join(CONFIG), text.as_bytes())?;
        let adapters = self.projections().filter_map(|p| p.adapter.as_ref()).flat_map(|a| [&a.a, &a.b]);
        let tensors = adapters
            .map(|p| Ok((p.name().to_owned(), p.value().to_dtype(DType::F32)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        save_tensors(&folder.join(WEIGHTS), &tensors, FOR_PYTORCH)
    }

    /// Takes the adapters into the weights.
    ///
    /// # Errors
    /// If the device cannot go on.
    pub fn merge_adapter(&mut self) -> Result<(), Error> {
        self.projections_mut().try_for_each(|projection| Ok(projection.merge()?))
    }
}

fn sizes(projection: &Projection) -> [usize; 2] {
    let dims = projection.weight.shape().dims();
    [dims[0], dims[1]]
}

fn own_name(module: &str, which: &str) -> String {
    format!("{PREFIX}{module}.{which}.weight")
}

/// The name in a saved adapter. Adapters of a class with a head of its own have one more
/// part in their names, such as `model.`.
fn saved_name(saved: &Checkpoint, module: &str, which: &str) -> String {
    let own = own_name(module, which);
    let end = format!(".{module}.{which}.weight");
    if saved.has(&own) {
        own
    } else {
        saved.names().find(|name| name.ends_with(&end)).unwrap_or(&own).to_owned()
    }
}

fn fresh(projection: &Projection, config: &AdapterConfig, random: &mut Random) -> Result<LowRank, Error> {
    let [outputs, inputs] = sizes(projection);
    let device = projection.weight.value().device();
    let bound = 1.0 / (inputs as f32).sqrt();
    let inner: Vec<f32> = (0..config.rank * inputs).map(|_| (2.0 * random.uniform() - 1.0) * bound).collect();
    let a = Tensor::from_vec(inner, (config.rank, inputs), device)?;
    let b = Tensor::zeros((outputs, config.rank), DType::F32, device)?;
    Ok(LowRank {
        a: Parameter::trained(own_name(&projection.module, "lora_A"), &a)?,
        b: Parameter::trained(own_name(&projection.module, "lora_B"), &b)?,
        scale: config.scale(),
        dropout: config.dropout,
    })
}
