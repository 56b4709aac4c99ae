//! From the tensors of a hub checkpoint to a backbone: which tensor is which part, in
//! each family.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::backbone::{Backbone, Tables};
use super::block::{AfterNorm, BeforeNorm, Block, Inward};
use super::projection::Projection;
use super::{Architecture, Family};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::ops::{Attention, Mask, Norm, NormKind};
use crate::parameter::Parameter;

/// Whether steps will change the backbone's own tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Training {
    /// All of them: full fine-tuning.
    Everything,
    /// None: inference, or an adapter is trained beside them.
    Frozen,
}

impl Backbone {
    /// Reads a checkpoint of the hub: `config.json` and weights.
    ///
    /// # Errors
    /// If a file cannot be read, the architecture is not known, or a tensor is missing,
    /// superfluous, or of another shape.
    pub fn load(folder: &Path, training: Training, dtype: DType, device: &Device) -> Result<Self, Error> {
        let architecture = Architecture::read(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        let words = words_name(architecture.family);
        let prefix = prefixes(architecture.family).iter().find(|p| checkpoint.has(&format!("{p}{words}")));
        let prefix = prefix.ok_or_else(|| {
            Error::new(
                folder.display(),
                "no table of words",
                format!("a tensor `{}{words}`", prefixes(architecture.family)[0]),
            )
        })?;
        let mut loader = Loader { checkpoint, prefix, training, dtype, device };
        let backbone = loader.backbone(architecture)?;
        let (family, prefix) = (backbone.architecture.family, *prefix);
        loader.checkpoint.finish(|name| is_unused(family, name.strip_prefix(prefix).unwrap_or(name)))?;
        Ok(backbone)
    }

    /// Makes the table of words larger, for new special tokens. A new row is the mean of
    /// the others, so that it begins as a word like any.
    ///
    /// # Errors
    /// If the table is not trained: a new row could never become anything.
    pub fn grow_vocabulary(&mut self, vocabulary: usize) -> Result<(), Error> {
        let more = vocabulary.saturating_sub(self.architecture.vocabulary);
        if more == 0 {
            return Ok(());
        }
        if !self.tables.words.is_trained() {
            let found = format!("{more} new tokens with a frozen table of words");
            return Err(Error::new("special tokens", found, "speakers told in words, or full fine-tuning"));
        }
        let words = self.tables.words.value();
        let mean = words.mean_keepdim(0)?;
        let rows = mean.broadcast_as((more, self.architecture.width))?;
        let grown = Tensor::cat(&[words, &rows.contiguous()?], 0)?;
        self.tables.words = Parameter::trained(self.tables.words.name(), &grown)?;
        self.architecture.vocabulary = vocabulary;
        Ok(())
    }
}

/// What stands before the names of a backbone's tensors; the first that fits is taken.
const fn prefixes(family: Family) -> &'static [&'static str] {
    match family {
        Family::Bert => &["bert.", ""],
        Family::Roberta => &["roberta.", ""],
        Family::DistilBert => &["distilbert.", ""],
        Family::ModernBert | Family::Qwen2 | Family::Qwen3 | Family::Llama => &["model.", ""],
    }
}

const fn words_name(family: Family) -> &'static str {
    match family {
        Family::ModernBert => "embeddings.tok_embeddings.weight",
        Family::Bert | Family::Roberta | Family::DistilBert => "embeddings.word_embeddings.weight",
        Family::Qwen2 | Family::Qwen3 | Family::Llama => "embed_tokens.weight",
    }
}

/// Tensors that the hub's classes add to a backbone and that are not read here: heads of
/// pretraining and of other tasks, the pooler, and tables that are computed.
fn is_unused(family: Family, name: &str) -> bool {
    let beginnings: &[&str] = match family {
        Family::Bert => &["cls.", "pooler.", "classifier.", "qa_outputs."],
        Family::Roberta => &["lm_head.", "pooler.", "classifier.", "qa_outputs."],
        Family::DistilBert => &["vocab_", "pre_classifier.", "classifier.", "qa_outputs."],
        Family::ModernBert => &["head.", "decoder.", "classifier."],
        Family::Qwen2 | Family::Qwen3 | Family::Llama => &["lm_head.", "score."],
    };
    beginnings.iter().any(|beginning| name.starts_with(beginning))
        || name.ends_with(".position_ids")
        || name.ends_with("rotary_emb.inv_freq")
}

struct Loader<'a> {
    checkpoint: Checkpoint,
    prefix: &'a str,
    training: Training,
    dtype: DType,
    device: &'a Device,
}

impl Loader<'_> {
    fn parameter(&mut self, name: &str, shape: &[usize]) -> Result<Parameter, Error> {
        let mut full = format!("{}{name}", self.prefix);
        // Checkpoints that were made from TensorFlow have other names for norms.
        let old =
            full.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        if !self.checkpoint.has(&full) && self.checkpoint.has(&old) {
            full = old;
        }
        let value = self.checkpoint.take(&full, shape)?.to_device(self.device)?;
        Ok(match self.training {
            Training::Everything => Parameter::trained(full, &value)?,
            Training::Frozen => Parameter::frozen(full, &value, self.dtype)?,
        })
    }

    fn projection(&mut self, module: &str, sizes: [usize; 2], bias: Bias) -> Result<Projection, Error> {
        let weight = self.parameter(&format!("{module}.weight"), &sizes)?;
        let bias = match bias {
            Bias::With => Some(self.parameter(&format!("{module}.bias"), &sizes[..1])?),
            Bias::Without => None,
        };
        Ok(Projection { module: module.to_owned(), weight, bias, adapter: None, packed: None })
    }

    fn norm(&mut self, module: &str, kind: NormKind, width: usize, a: &Architecture) -> Result<Norm, Error> {
        let scale = self.parameter(&format!("{module}.weight"), &[width])?;
        let shift = (kind == NormKind::Layer && a.other_bias.1)
            .then(|| self.parameter(&format!("{module}.bias"), &[width]))
            .transpose()?;
        Ok(Norm { kind, scale, shift, eps: a.norm_eps })
    }

    fn backbone(&mut self, a: Architecture) -> Result<Backbone, Error> {
        let tables = self.tables(&a)?;
        let blocks = (0..a.layers)
            .map(|layer| match a.family {
                Family::Bert | Family::Roberta => self.bert_block(&a, layer),
                Family::DistilBert => self.distilbert_block(&a, layer),
                Family::ModernBert => self.modernbert_block(&a, layer),
                Family::Qwen2 | Family::Qwen3 | Family::Llama => self.decoder_block(&a, layer),
            })
            .collect::<Result<_, _>>()?;
        let last_norm = match a.family {
            Family::ModernBert => Some(self.norm("final_norm", NormKind::Layer, a.width, &a)?),
            family if !family.is_encoder() => Some(self.norm("norm", NormKind::Rms, a.width, &a)?),
            _ => None,
        };
        Ok(Backbone {
            architecture: a,
            tables,
            blocks,
            last_norm,
            device: self.device.clone(),
            dtype: self.dtype,
        })
    }

    fn tables(&mut self, a: &Architecture) -> Result<Tables, Error> {
        let words = self.parameter(words_name(a.family), &[a.vocabulary, a.width])?;
        let mut tables =
            Tables { words, positions: None, types: None, norm: None, dropout: a.dropout.hidden };
        if matches!(a.family, Family::Bert | Family::Roberta | Family::DistilBert) {
            let unused = if a.family == Family::Roberta { a.padding + 1 } else { 0 };
            let shape = [a.positions + unused, a.width];
            tables.positions = Some(self.parameter("embeddings.position_embeddings.weight", &shape)?);
            if a.types > 0 {
                let name = "embeddings.token_type_embeddings.weight";
                tables.types = Some(self.parameter(name, &[a.types, a.width])?);
            }
        }
        tables.norm = match a.family {
            Family::ModernBert => Some(self.norm("embeddings.norm", NormKind::Layer, a.width, a)?),
            family if family.is_encoder() => {
                Some(self.norm("embeddings.LayerNorm", NormKind::Layer, a.width, a)?)
            }
            _ => None,
        };
        Ok(tables)
    }

    fn bert_block(&mut self, a: &Architecture, layer: usize) -> Result<Block, Error> {
        self.after_norm(
            a,
            &AfterNames {
                layer: format!("encoder.layer.{layer}"),
                qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
                linear: ["attention.output.dense", "intermediate.dense", "output.dense"],
                norms: ["attention.output.LayerNorm", "output.LayerNorm"],
            },
        )
    }

    fn distilbert_block(&mut self, a: &Architecture, layer: usize) -> Result<Block, Error> {
        self.after_norm(
            a,
            &AfterNames {
                layer: format!("transformer.layer.{layer}"),
                qkv: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
                linear: ["attention.out_lin", "ffn.lin1", "ffn.lin2"],
                norms: ["sa_layer_norm", "output_layer_norm"],
            },
        )
    }

    fn after_norm(&mut self, a: &Architecture, names: &AfterNames) -> Result<Block, Error> {
        let (square, name) = ([a.width, a.width], |part: &str| format!("{}.{part}", names.layer));
        let [q, k, v] = names.qkv;
        let [out, widen, narrow] = names.linear;
        Ok(Block::After(Box::new(AfterNorm {
            attention: Attention { heads: a.heads, kv_heads: a.heads, head: a.head, mask: Mask::Whole },
            qkv: [
                self.projection(&name(q), square, Bias::With)?,
                self.projection(&name(k), square, Bias::With)?,
                self.projection(&name(v), square, Bias::With)?,
            ],
            out: self.projection(&name(out), square, Bias::With)?,
            widen: self.projection(&name(widen), [a.intermediate, a.width], Bias::With)?,
            narrow: self.projection(&name(narrow), [a.width, a.intermediate], Bias::With)?,
            activation: a.activation,
            norms: [
                self.norm(&name(names.norms[0]), NormKind::Layer, a.width, a)?,
                self.norm(&name(names.norms[1]), NormKind::Layer, a.width, a)?,
            ],
            dropouts: (a.dropout.attention, a.dropout.hidden),
        })))
    }

    fn modernbert_block(&mut self, a: &Architecture, layer: usize) -> Result<Block, Error> {
        let name = |part: &str| format!("layers.{layer}.{part}");
        let reach = a.reach(layer);
        let (qkv_bias, out_bias) = (Bias::of(a.attention_bias.0), Bias::of(a.attention_bias.1));
        let mlp = Bias::of(a.other_bias.0);
        let attention_norm =
            (layer > 0).then(|| self.norm(&name("attn_norm"), NormKind::Layer, a.width, a)).transpose()?;
        let qkv = self.projection(&name("attn.Wqkv"), [3 * a.width, a.width], qkv_bias)?;
        let wide = self.projection(&name("mlp.Wi"), [2 * a.intermediate, a.width], mlp)?;
        Ok(Block::Before(Box::new(BeforeNorm {
            attention: Attention {
                heads: a.heads,
                kv_heads: a.heads,
                head: a.head,
                mask: reach.map_or(Mask::Whole, Mask::Near),
            },
            attention_norm,
            inward: Inward::Joint(Box::new(qkv), [a.width; 3]),
            head_norms: None,
            rotary: usize::from(reach.is_some()),
            out: self.projection(&name("attn.Wo"), [a.width, a.width], out_bias)?,
            feed_norm: self.norm(&name("mlp_norm"), NormKind::Layer, a.width, a)?,
            feed: Inward::Joint(Box::new(wide), [a.intermediate; 2]),
            down: self.projection(&name("mlp.Wo"), [a.width, a.intermediate], mlp)?,
            activation: a.activation,
            dropouts: (a.dropout.attention, a.dropout.hidden),
        })))
    }

    fn decoder_block(&mut self, a: &Architecture, layer: usize) -> Result<Block, Error> {
        let name = |part: &str| format!("layers.{layer}.{part}");
        let (inner, kv_inner) = (a.heads * a.head, a.kv_heads * a.head);
        let (qkv_bias, out_bias) = (Bias::of(a.attention_bias.0), Bias::of(a.attention_bias.1));
        let mlp = Bias::of(a.other_bias.0);
        let head_norms = match a.family {
            Family::Qwen3 => Some([
                self.norm(&name("self_attn.q_norm"), NormKind::Rms, a.head, a)?,
                self.norm(&name("self_attn.k_norm"), NormKind::Rms, a.head, a)?,
            ]),
            _ => None,
        };
        Ok(Block::Before(Box::new(BeforeNorm {
            attention: Attention { heads: a.heads, kv_heads: a.kv_heads, head: a.head, mask: Mask::Causal },
            attention_norm: Some(self.norm(&name("input_layernorm"), NormKind::Rms, a.width, a)?),
            inward: Inward::Apart([
                self.projection(&name("self_attn.q_proj"), [inner, a.width], qkv_bias)?,
                self.projection(&name("self_attn.k_proj"), [kv_inner, a.width], qkv_bias)?,
                self.projection(&name("self_attn.v_proj"), [kv_inner, a.width], qkv_bias)?,
            ]),
            head_norms,
            rotary: 0,
            out: self.projection(&name("self_attn.o_proj"), [a.width, inner], out_bias)?,
            feed_norm: self.norm(&name("post_attention_layernorm"), NormKind::Rms, a.width, a)?,
            feed: Inward::Apart([
                self.projection(&name("mlp.gate_proj"), [a.intermediate, a.width], mlp)?,
                self.projection(&name("mlp.up_proj"), [a.intermediate, a.width], mlp)?,
            ]),
            down: self.projection(&name("mlp.down_proj"), [a.width, a.intermediate], mlp)?,
            activation: a.activation,
            dropouts: (a.dropout.attention, 0.0),
        })))
    }
}

/// Names of the parts of one block of BERT's kind.
struct AfterNames {
    layer: String,
    qkv: [&'static str; 3],
    linear: [&'static str; 3],
    norms: [&'static str; 2],
}

#[derive(Clone, Copy)]
enum Bias {
    With,
    Without,
}

impl Bias {
    fn of(has: bool) -> Self {
        if has { Self::With } else { Self::Without }
    }
}
