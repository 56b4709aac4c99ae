//! What the `config.json` of a hub checkpoint says, in one form for all architectures.
//! What is not implemented here (relative positions, scaled rotary embeddings, sliding
//! windows of decoders, experts) is refused by name: a model that is read wrongly gives
//! numbers too.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, IoContext as _};
use crate::ops::Activation;

/// A family of architectures, which share names of tensors and the order of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT, and MiniLM, which is BERT.
    Bert,
    /// `RoBERTa`, XLM-RoBERTa.
    Roberta,
    /// `DistilBERT`.
    DistilBert,
    /// `ModernBERT`.
    ModernBert,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3, dense.
    Qwen3,
    /// Llama and what has its form.
    Llama,
}

impl Family {
    /// Whether a token sees those after it.
    pub const fn is_encoder(self) -> bool {
        matches!(self, Self::Bert | Self::Roberta | Self::DistilBert | Self::ModernBert)
    }

    fn of(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "bert" => Self::Bert,
            "roberta" | "xlm-roberta" | "camembert" => Self::Roberta,
            "distilbert" => Self::DistilBert,
            "modernbert" => Self::ModernBert,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            "llama" => Self::Llama,
            _ => return None,
        })
    }
}

/// Sizes and options of a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Its family.
    pub family: Family,
    /// Rows of the word table.
    pub vocabulary: usize,
    /// Numbers per token.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head: usize,
    /// Numbers between the two layers of a feed-forward block.
    pub intermediate: usize,
    /// The function between them.
    pub activation: Activation,
    /// Tokens that can be read at most.
    pub positions: usize,
    /// Token types; 0 without a table of them.
    pub types: usize,
    /// What is added to a mean square before its root is taken.
    pub norm_eps: f32,
    /// The number of the padding token; `RoBERTa` counts positions from behind it.
    pub padding: usize,
    /// Shares that are dropped in training.
    pub dropout: Dropouts,
    /// Base of the rotary angles: of layers that see all, and of those that see near.
    pub thetas: (f64, f64),
    /// For each layer, whether it sees near tokens only, and how far; `ModernBERT`.
    pub near: Vec<Option<usize>>,
    /// Whether queries, keys and values have biases, and the attention's output.
    pub attention_bias: (bool, bool),
    /// Whether the feed-forward layers have biases, and norms a shift.
    pub other_bias: (bool, bool),
}

/// Shares that are dropped in training, as the configuration states them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dropouts {
    /// Of embeddings and of what each half of a block adds.
    pub hidden: f32,
    /// Of attention weights.
    pub attention: f32,
}

/// The fields of all families, each absent where a family has no such thing.
#[derive(Deserialize)]
struct Hub {
    model_type: String,
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "activation", alias = "hidden_activation")]
    hidden_act: Option<String>,
    max_position_embeddings: usize,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f32>,
    rms_norm_eps: Option<f32>,
    norm_eps: Option<f32>,
    pad_token_id: Option<usize>,
    #[serde(alias = "dropout")]
    hidden_dropout_prob: Option<f32>,
    #[serde(alias = "attention_dropout")]
    attention_probs_dropout_prob: Option<f32>,
    position_embedding_type: Option<String>,
    rope_theta: Option<f64>,
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    local_attention: Option<usize>,
    global_attn_every_n_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    norm_bias: Option<bool>,
    use_sliding_window: Option<bool>,
    embedding_dropout: Option<f32>,
    mlp_dropout: Option<f32>,
}

impl Architecture {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// If there is none, or it tells of something that is not implemented.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).at(&path)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// If it tells of something that is not implemented.
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let hub: Hub = serde_json::from_str(text)
            .map_err(|e| Error::new(place, e, "the configuration of a model on the hub"))?;
        let family = Family::of(&hub.model_type).ok_or_else(|| {
            let known =
                "bert, roberta, xlm-roberta, camembert, distilbert, modernbert, qwen2, qwen3 or llama";
            Error::new(format!("{place}: model_type"), format!("`{}`", hub.model_type), known)
        })?;
        hub.check(family, place)?;
        hub.architecture(family, place)
    }

    /// The layer's reach, if it sees near tokens only.
    pub(crate) fn reach(&self, layer: usize) -> Option<usize> {
        self.near.get(layer).copied().flatten()
    }
}

impl Hub {
    fn check(&self, family: Family, place: &str) -> Result<(), Error> {
        let refuse = |field: &str, found: String, expected: &str| {
            Err(Error::new(
                format!("{place}: {field}"),
                found,
                format!("{expected} (nothing else is implemented)"),
            ))
        };
        if let Some(kind) = self.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
            return refuse("position_embedding_type", format!("`{kind}`"), "absolute");
        }
        if !family.is_encoder() && self.use_sliding_window == Some(true) {
            return refuse("use_sliding_window", "true".to_owned(), "false");
        }
        for (field, value) in
            [("rope_scaling", &self.rope_scaling), ("rope_parameters", &self.rope_parameters)]
        {
            let Some(value) = value else { continue };
            if let Some(kind) = rope_types(value).into_iter().find(|kind| kind != "default") {
                return refuse(field, format!("`{kind}`"), "default");
            }
        }
        let heads = self.num_attention_heads;
        if heads == 0 || !self.hidden_size.is_multiple_of(heads) && self.head_dim.is_none() {
            return refuse("num_attention_heads", heads.to_string(), "a divisor of hidden_size");
        }
        let kv_heads = self.num_key_value_heads.unwrap_or(heads);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return refuse("num_key_value_heads", kv_heads.to_string(), "a divisor of num_attention_heads");
        }
        Ok(())
    }

    fn architecture(&self, family: Family, place: &str) -> Result<Architecture, Error> {
        let name = self.hidden_act.as_deref().unwrap_or(if family.is_encoder() { "gelu" } else { "silu" });
        let activation = Activation::from_name(name).ok_or_else(|| {
            Error::new(format!("{place}: hidden_act"), format!("`{name}`"), "gelu, gelu_new, relu or silu")
        })?;
        let has_types = matches!(family, Family::Bert | Family::Roberta);
        let qkv_bias = match family {
            Family::ModernBert | Family::Qwen3 | Family::Llama => self.attention_bias.unwrap_or(false),
            _ => true,
        };
        let out_bias = if family == Family::Qwen2 { false } else { qkv_bias };
        let default_eps = if family.is_encoder() { 1e-12 } else { 1e-6 };
        Ok(Architecture {
            family,
            vocabulary: self.vocab_size,
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head: self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads),
            intermediate: self.intermediate_size,
            activation,
            positions: self.readable(family),
            types: if has_types { self.type_vocab_size.unwrap_or(2) } else { 0 },
            norm_eps: self.layer_norm_eps.or(self.rms_norm_eps).or(self.norm_eps).unwrap_or(match family {
                Family::ModernBert => 1e-5,
                _ => default_eps,
            }),
            padding: self.pad_token_id.unwrap_or(usize::from(family == Family::Roberta)),
            dropout: self.dropouts(family),
            thetas: self.thetas(family),
            near: self.near(family),
            attention_bias: (qkv_bias, out_bias),
            other_bias: match family {
                Family::ModernBert => (self.mlp_bias.unwrap_or(false), self.norm_bias.unwrap_or(false)),
                Family::Llama => (self.mlp_bias.unwrap_or(false), false),
                _ => (family.is_encoder(), family.is_encoder()),
            },
        })
    }

    /// `RoBERTa` keeps the rows up to its padding number free.
    fn readable(&self, family: Family) -> usize {
        let unused = if family == Family::Roberta { self.pad_token_id.unwrap_or(1) + 1 } else { 0 };
        self.max_position_embeddings.saturating_sub(unused)
    }

    fn dropouts(&self, family: Family) -> Dropouts {
        let default =
            if matches!(family, Family::Bert | Family::Roberta | Family::DistilBert) { 0.1 } else { 0.0 };
        let modern = self.embedding_dropout.unwrap_or(0.0).max(self.mlp_dropout.unwrap_or(0.0));
        Dropouts {
            hidden: self.hidden_dropout_prob.unwrap_or(if family == Family::ModernBert {
                modern
            } else {
                default
            }),
            attention: self.attention_probs_dropout_prob.unwrap_or(default),
        }
    }

    fn thetas(&self, family: Family) -> (f64, f64) {
        let of = |kind: &str| {
            let parameters = self.rope_parameters.as_ref()?;
            parameters.get(kind).unwrap_or(parameters).get("rope_theta")?.as_f64()
        };
        let global = of("full_attention").or(self.global_rope_theta).or(self.rope_theta);
        let local = of("sliding_attention").or(self.local_rope_theta);
        let default = if family == Family::ModernBert { (160_000.0, 10_000.0) } else { (10_000.0, 10_000.0) };
        (global.unwrap_or(default.0), local.unwrap_or(default.1))
    }

    fn near(&self, family: Family) -> Vec<Option<usize>> {
        if family != Family::ModernBert {
            return Vec::new();
        }
        let reach = self.local_attention.unwrap_or(128) / 2;
        let every = self.global_attn_every_n_layers.unwrap_or(3).max(1);
        (0..self.num_hidden_layers)
            .map(|layer| {
                let is_near = match &self.layer_types {
                    Some(types) => types.get(layer).is_some_and(|kind| kind == "sliding_attention"),
                    None => layer % every != 0,
                };
                is_near.then_some(reach)
            })
            .collect()
    }
}

/// The kinds of rotary embedding that a configuration names, at any depth.
fn rope_types(value: &Value) -> Vec<String> {
    let Value::Object(fields) = value else { return Vec::new() };
    let own = ["rope_type", "type"].iter().filter_map(|name| fields.get(*name)?.as_str().map(str::to_owned));
    own.chain(fields.values().flat_map(rope_types)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_implemented_is_refused_by_name() {
        let config = |more: &str| {
            format!(
                r#"{{"model_type": "qwen2", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1,
                "num_attention_heads": 2, "intermediate_size": 4, "max_position_embeddings": 16 {more}}}"#
            )
        };
        assert!(Architecture::parse(&config(""), "config.json").is_ok());
        let refused = [
            (r#", "use_sliding_window": true"#, "use_sliding_window"),
            (r#", "rope_scaling": {"type": "yarn", "factor": 4.0}"#, "yarn"),
            (r#", "rope_parameters": {"rope_type": "llama3", "rope_theta": 5.0}"#, "llama3"),
            (r#", "hidden_act": "xielu""#, "xielu"),
            (r#", "num_key_value_heads": 3"#, "num_key_value_heads"),
        ];
        for (more, named) in refused {
            let error = Architecture::parse(&config(more), "config.json").expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
        let other = config("").replace("qwen2", "mamba");
        assert!(Architecture::parse(&other, "c").expect_err("refused").to_string().contains("mamba"));
    }
}
