//! The encoder for serving: the same mathematics as the trainer's, forward
//! only, over packed weights in f32 or 8 bits.

use crate::architecture::{Architecture, layer_tensor};
use crate::kernel::{
    AttentionShape, LinearF32, LinearI8, QuantizedRows, add_scaled, attend, gelu, layer_norm,
};

/// Where an encoder takes its tensors from.
pub trait TensorSource {
    /// The number type of the linear layers and the word embedding.
    fn precision(&self) -> Precision;
    /// A tensor as f32, whatever its stored type.
    fn floats(&self, name: &str) -> Vec<f32>;
    /// A matrix as bytes with one scale per row; only asked of 8-bit sources.
    fn bytes(&self, name: &str) -> (Vec<i8>, Vec<f32>);
}

/// The number type of the large matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 8-bit integers, scaled per row.
    Int8,
}

enum Linear {
    F32(LinearF32),
    Int8(LinearI8),
}

enum WordEmbedding {
    F32(Vec<f32>),
    Int8(Vec<i8>, Vec<f32>),
}

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct Layer {
    /// Queries, keys and values as one layer.
    projections: Linear,
    output: Linear,
    attention_norm: Norm,
    widen: Linear,
    narrow: Linear,
    output_norm: Norm,
}

/// A transformer encoder that turns a text's tokens into one vector.
pub struct Encoder {
    width: usize,
    positions: usize,
    vocabulary: usize,
    eps: f32,
    shape: AttentionShape,
    words: WordEmbedding,
    /// Position and token-type embeddings, added up.
    places: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
}

/// Memory that one call after another reuses.
#[derive(Default)]
struct Scratch {
    quantized: QuantizedRows,
    projected: Vec<f32>,
    parts: [Vec<f32>; 3],
    weights: Vec<f32>,
    attended: Vec<f32>,
    added: Vec<f32>,
    widened: Vec<f32>,
    normalised: Vec<f32>,
}

impl Encoder {
    /// Packs the encoder's tensors.
    pub fn new(architecture: &Architecture, source: &dyn TensorSource) -> Self {
        let layers = (0..architecture.layers)
            .map(|index| {
                let name = |part: &str| layer_tensor(index, part);
                let linear = |part: &str| linear(source, &[name(part)]);
                Layer {
                    projections: self::linear(
                        source,
                        &["query", "key", "value"].map(|p| name(&format!("attention.self.{p}"))),
                    ),
                    output: linear("attention.output.dense"),
                    attention_norm: norm(source, &name("attention.output.LayerNorm")),
                    widen: linear("intermediate.dense"),
                    narrow: linear("output.dense"),
                    output_norm: norm(source, &name("output.LayerNorm")),
                }
            })
            .collect();
        let mut places = source.floats("embeddings.position_embeddings.weight");
        let token_type = source.floats("embeddings.token_type_embeddings.weight");
        for place in places.chunks_exact_mut(architecture.width) {
            add_scaled(place, 1.0, &token_type[..architecture.width]);
        }
        let word = "embeddings.word_embeddings.weight";
        let words = match source.precision() {
            Precision::F32 => WordEmbedding::F32(source.floats(word)),
            Precision::Int8 => {
                let (bytes, scales) = source.bytes(word);
                WordEmbedding::Int8(bytes, scales)
            }
        };
        Self {
            width: architecture.width,
            positions: architecture.positions,
            vocabulary: architecture.vocabulary,
            eps: architecture.layer_norm_eps,
            shape: AttentionShape {
                heads: architecture.heads,
                head: architecture.width / architecture.heads,
            },
            words,
            places,
            embedding_norm: norm(source, "embeddings.LayerNorm"),
            layers,
        }
    }

    /// Numbers of a text's vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The mean token vector of each text, one after another. Texts longer than
    /// the encoder's positions are cut there; the tokenizer's segments never are.
    pub fn encode(&self, texts: &[&[u32]]) -> Vec<f32> {
        let mut scratch = Scratch::default();
        let ends: Vec<usize> = texts
            .iter()
            .scan(0, |end, text| {
                *end += text.len().min(self.positions);
                Some(*end)
            })
            .collect();
        let mut tokens = self.embed(texts, &mut scratch);
        for layer in &self.layers {
            self.layer(layer, &mut tokens, &ends, &mut scratch);
        }
        self.means(&tokens, &ends)
    }

    /// As [`Self::encode`], with the texts shared out over `threads` threads of
    /// the current rayon pool; one text's rows are not split.
    pub fn encode_parallel(&self, texts: &[&[u32]], threads: usize) -> Vec<f32> {
        use rayon::prelude::*;
        let share = texts.len().div_ceil(threads.max(1)).max(1);
        let parts: Vec<Vec<f32>> = texts.par_chunks(share).map(|part| self.encode(part)).collect();
        parts.concat()
    }

    fn embed(&self, texts: &[&[u32]], scratch: &mut Scratch) -> Vec<f32> {
        let mut tokens = Vec::new();
        for text in texts {
            for (place, &token) in text.iter().take(self.positions).enumerate() {
                let start = tokens.len();
                let row = (token as usize).min(self.vocabulary - 1) * self.width;
                match &self.words {
                    WordEmbedding::F32(values) => tokens.extend_from_slice(&values[row..row + self.width]),
                    WordEmbedding::Int8(bytes, scales) => {
                        let scale = scales[row / self.width];
                        tokens.extend(bytes[row..row + self.width].iter().map(|&b| f32::from(b) * scale));
                    }
                }
                add_scaled(&mut tokens[start..], 1.0, &self.places[place * self.width..][..self.width]);
            }
        }
        self.embedding_norm.apply(&mut tokens, self.eps, &mut scratch.normalised);
        tokens
    }

    fn layer(&self, layer: &Layer, tokens: &mut [f32], ends: &[usize], scratch: &mut Scratch) {
        let width = self.width;
        layer.projections.forward(tokens, width, &mut scratch.quantized, &mut scratch.projected);
        self.attend(tokens.len() / width, ends, scratch);
        let Scratch { quantized, attended, added, widened, normalised, .. } = scratch;
        layer.output.forward(attended, width, quantized, added);
        add_scaled(tokens, 1.0, added);
        layer.attention_norm.apply(tokens, self.eps, normalised);
        layer.widen.forward(tokens, width, quantized, widened);
        gelu(widened);
        layer.narrow.forward(widened, widened.len() * width / tokens.len(), quantized, added);
        add_scaled(tokens, 1.0, added);
        layer.output_norm.apply(tokens, self.eps, normalised);
    }

    /// Attention within each text, from `scratch.projected` to `scratch.attended`.
    fn attend(&self, tokens: usize, ends: &[usize], scratch: &mut Scratch) {
        let width = self.width;
        scratch.attended.resize(tokens * width, 0.0);
        let mut start = 0;
        for &end in ends {
            let count = end - start;
            for (index, part) in scratch.parts.iter_mut().enumerate() {
                part.clear();
                for row in scratch.projected[start * 3 * width..end * 3 * width].chunks_exact(3 * width) {
                    part.extend_from_slice(&row[index * width..(index + 1) * width]);
                }
            }
            scratch.weights.resize(self.shape.heads * count * count, 0.0);
            let [queries, keys, values] = &scratch.parts;
            let out = &mut scratch.attended[start * width..end * width];
            attend(self.shape, [queries, keys, values], &mut scratch.weights, out);
            start = end;
        }
    }

    fn means(&self, tokens: &[f32], ends: &[usize]) -> Vec<f32> {
        let mut means = vec![0.0; ends.len() * self.width];
        let mut start = 0;
        for (&end, mean) in ends.iter().zip(means.chunks_exact_mut(self.width)) {
            let share = 1.0 / (end - start).max(1) as f32;
            for row in tokens[start * self.width..end * self.width].chunks_exact(self.width) {
                add_scaled(mean, share, row);
            }
            start = end;
        }
        means
    }
}

impl Norm {
    fn apply(&self, rows: &mut [f32], eps: f32, normalised: &mut Vec<f32>) {
        let width = self.scale.len();
        normalised.resize(width, 0.0);
        for row in rows.chunks_exact_mut(width) {
            layer_norm(row, &self.scale, &self.shift, eps, normalised);
        }
    }
}

impl Linear {
    fn forward(&self, inputs: &[f32], width: usize, quantized: &mut QuantizedRows, out: &mut Vec<f32>) {
        let rows = inputs.len() / width;
        match self {
            Self::F32(linear) => {
                out.resize(rows * linear.outputs(), 0.0);
                linear.forward(inputs, out);
            }
            Self::Int8(linear) => {
                out.resize(rows * linear.outputs(), 0.0);
                quantized.fill(inputs, width);
                linear.forward(quantized, out);
            }
        }
    }
}

fn norm(source: &dyn TensorSource, name: &str) -> Norm {
    Norm { scale: source.floats(&format!("{name}.weight")), shift: source.floats(&format!("{name}.bias")) }
}

/// The layers of these names, stacked into one.
fn linear(source: &dyn TensorSource, names: &[String]) -> Linear {
    let bias: Vec<f32> = names.iter().flat_map(|name| source.floats(&format!("{name}.bias"))).collect();
    let weight = |name: &String| format!("{name}.weight");
    match source.precision() {
        Precision::F32 => {
            let weights: Vec<f32> = names.iter().flat_map(|name| source.floats(&weight(name))).collect();
            Linear::F32(LinearF32::new(&weights, &bias))
        }
        Precision::Int8 => {
            let (mut bytes, mut scales) = (Vec::new(), Vec::new());
            for name in names {
                let (b, s) = source.bytes(&weight(name));
                bytes.extend(b);
                scales.extend(s);
            }
            Linear::Int8(LinearI8::new(&bytes, &scales, &bias))
        }
    }
}
