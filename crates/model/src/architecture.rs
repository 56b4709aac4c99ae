//! The shape of the embedded model and the names of its tensors. Encoder
//! tensors carry the names of the Hugging Face checkpoint that they come from.

use serde::{Deserialize, Serialize};

/// Sizes of the embedded model; part of every bundle's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Positions that the encoder knows.
    pub positions: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Width of a token vector and of a turn vector.
    pub width: usize,
    /// Attention heads per layer.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Constant of layer normalisation.
    pub layer_norm_eps: f32,
    /// Width of the recurrent context over turns.
    pub context: usize,
    /// Sharpness of the pooling over turns: `log(mean(exp(r z))) / r`.
    pub pooling_sharpness: f32,
}

/// Places of the heads' outputs.
pub mod outputs {
    use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Severity, Signal, Taxonomy};

    /// Risk is the first output of the user head.
    pub const RISK: usize = 0;
    /// The first of the nine signals.
    pub const SIGNALS: usize = 1;
    /// The first of the sixteen crisis labels.
    pub const CRISIS: usize = SIGNALS + Signal::ALL.len();
    /// Number of outputs of the user head.
    pub const USER: usize = CRISIS + CrisisLabel::ALL.len();
    /// The first of the nineteen harms in the reply head, after the classes.
    pub const HARMS: usize = ReplyClass::ALL.len();
    /// The first of the four severities.
    pub const SEVERITY: usize = HARMS + Harm::ALL.len();
    /// Number of outputs of the reply head.
    pub const REPLY: usize = SEVERITY + Severity::ALL.len();
}

/// A turn's speaker is told to the context as two numbers, one of them 1.
pub const ROLE_INPUTS: usize = 2;

/// A tensor's name and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the weights file.
    pub name: String,
    /// Its sizes, outermost first.
    pub shape: Vec<usize>,
}

impl Architecture {
    /// all-MiniLM-L6-v2 with a context of 128.
    pub const MINILM_L6: Self = Self {
        vocabulary: 30_522,
        positions: 512,
        layers: 6,
        width: 384,
        heads: 12,
        intermediate: 1536,
        layer_norm_eps: 1e-12,
        context: 128,
        pooling_sharpness: 1.0,
    };

    /// Tensors of the encoder.
    pub fn encoder_tensors(&self) -> Vec<TensorSpec> {
        let (d, f) = (self.width, self.intermediate);
        let mut tensors = vec![
            spec("embeddings.word_embeddings.weight", &[self.vocabulary, d]),
            spec("embeddings.position_embeddings.weight", &[self.positions, d]),
            spec("embeddings.token_type_embeddings.weight", &[2, d]),
            spec("embeddings.LayerNorm.weight", &[d]),
            spec("embeddings.LayerNorm.bias", &[d]),
        ];
        for layer in 0..self.layers {
            for (part, shape) in [
                ("attention.self.query.weight", vec![d, d]),
                ("attention.self.query.bias", vec![d]),
                ("attention.self.key.weight", vec![d, d]),
                ("attention.self.key.bias", vec![d]),
                ("attention.self.value.weight", vec![d, d]),
                ("attention.self.value.bias", vec![d]),
                ("attention.output.dense.weight", vec![d, d]),
                ("attention.output.dense.bias", vec![d]),
                ("attention.output.LayerNorm.weight", vec![d]),
                ("attention.output.LayerNorm.bias", vec![d]),
                ("intermediate.dense.weight", vec![f, d]),
                ("intermediate.dense.bias", vec![f]),
                ("output.dense.weight", vec![d, f]),
                ("output.dense.bias", vec![d]),
                ("output.LayerNorm.weight", vec![d]),
                ("output.LayerNorm.bias", vec![d]),
            ] {
                tensors.push(spec(&layer_tensor(layer, part), &shape));
            }
        }
        tensors
    }

    /// Tensors of the context layer and the heads.
    pub fn head_tensors(&self) -> Vec<TensorSpec> {
        let (d, c) = (self.width, self.context);
        vec![
            spec("context.weight_ih", &[3 * c, d + ROLE_INPUTS]),
            spec("context.weight_hh", &[3 * c, c]),
            spec("context.bias_ih", &[3 * c]),
            spec("context.bias_hh", &[3 * c]),
            spec("user.weight", &[outputs::USER, d + c]),
            spec("user.bias", &[outputs::USER]),
            spec("reply.weight", &[outputs::REPLY, 2 * d + c]),
            spec("reply.bias", &[outputs::REPLY]),
        ]
    }

    /// All tensors, encoder first.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut tensors = self.encoder_tensors();
        tensors.extend(self.head_tensors());
        tensors
    }
}

/// The full name of a layer's tensor.
pub fn layer_tensor(layer: usize, part: &str) -> String {
    format!("encoder.layer.{layer}.{part}")
}

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), shape: shape.to_vec() }
}
