//! The encoder for serving: the same mathematics as the trainer's, forward
//! only, over packed weights in f32 or 8 bits.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::architecture::{Architecture, layer_tensor};
use crate::kernel::{
    AttentionShape, InstructionSet, LinearF32, LinearI8, Onto, PackedHead, QuantizedRows, Rows, TILE_ROWS,
    add_scaled, attend_head, gelu, layer_norm,
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

/// Rows that are taken through half a layer at once, by one thread: their widened
/// form then stays in the second-level cache, and a batch has enough parts for a
/// thread that is held up not to hold up the others.
const ROWS_AT_ONCE: usize = 192;

/// Rows of each part when `rows` are shared out: as few parts as [`ROWS_AT_ONCE`]
/// allows, but as many for one thread as for another. Large parts are whole tiles,
/// since what is left over costs nearly as much as a tile.
fn rows_of_a_part(rows: usize, threads: usize) -> usize {
    let parts = rows.div_ceil(ROWS_AT_ONCE).next_multiple_of(threads.max(1));
    let rows = rows.div_ceil(parts.max(1)).max(1);
    if rows > ROWS_AT_ONCE / 2 { rows.next_multiple_of(TILE_ROWS) } else { rows }
}

/// Memory that one layer after another reuses.
#[derive(Default)]
struct Scratch {
    quantized: QuantizedRows,
    packed: PackedHead,
    weights: Vec<f32>,
    attended: Vec<f32>,
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
        self.groups(texts, 1).into_iter().flat_map(|group| self.encode_on(group, 1)).collect()
    }

    /// As [`Self::encode`], with the work shared out over the threads of the current
    /// rayon pool: whole texts where there are enough of them, else their tokens. The
    /// result does not depend on the number of threads.
    pub fn encode_parallel(&self, texts: &[&[u32]]) -> Vec<f32> {
        let threads = rayon::current_num_threads();
        let groups = self.groups(texts, threads);
        if threads > 1 && groups.len() < threads {
            // Once inside the pool, handing out each half of a layer is cheap.
            return rayon::scope(|_| self.encode_on(texts, threads));
        }
        let vectors: Vec<_> = groups.into_par_iter().map(|group| self.encode_on(group, 1)).collect();
        vectors.concat()
    }

    /// Texts that one thread takes through all layers together: about
    /// [`ROWS_AT_ONCE`] tokens, so that what one layer leaves is near when the next
    /// one reads it, and as many groups for one thread as for another.
    fn groups<'a, 't>(&self, texts: &'a [&'t [u32]], threads: usize) -> Vec<&'a [&'t [u32]]> {
        let length = |text: &&[u32]| text.len().min(self.positions);
        let all: usize = texts.iter().map(length).sum();
        let count = all.div_ceil(ROWS_AT_ONCE).next_multiple_of(threads.max(1)).max(1);
        let (mut groups, mut start, mut rows) = (Vec::new(), 0, 0);
        for (place, text) in texts.iter().enumerate() {
            rows += length(text);
            // The groups so far hold their share of all tokens.
            if rows * count >= (groups.len() + 1) * all || place + 1 == texts.len() {
                groups.push(&texts[start..=place]);
                start = place + 1;
            }
        }
        groups
    }

    fn encode_on(&self, texts: &[&[u32]], threads: usize) -> Vec<f32> {
        let ends: Vec<usize> = texts
            .iter()
            .scan(0, |end, text| {
                *end += text.len().min(self.positions);
                Some(*end)
            })
            .collect();
        let mut tokens = self.embed(texts);
        let width = self.width;
        let rows = rows_of_a_part(tokens.len() / width, threads);
        let mut projected = vec![0.0; 3 * tokens.len()];
        let crew = Crew::new(threads);
        for layer in &self.layers {
            let parts = tokens.chunks(rows * width).zip(projected.chunks_mut(3 * rows * width)).collect();
            crew.each(parts, |(tokens, projected), scratch| {
                layer.projections.forward(tokens, &mut scratch.quantized, projected, Onto::Replaced);
            });
            let parts = tokens.chunks_mut(rows * width).enumerate().collect();
            crew.each(parts, |(index, tokens), scratch| {
                self.attend(index * rows..index * rows + tokens.len() / width, &projected, &ends, scratch);
                self.widen(layer, tokens, scratch);
            });
        }
        self.means(&tokens, &ends)
    }

    fn embed(&self, texts: &[&[u32]]) -> Vec<f32> {
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
        self.embedding_norm.apply(&mut tokens, self.eps, &mut Vec::new());
        tokens
    }

    /// What follows attention in a layer, from `scratch.attended`.
    fn widen(&self, layer: &Layer, tokens: &mut [f32], scratch: &mut Scratch) {
        let width = self.width;
        let Scratch { quantized, attended, widened, normalised, .. } = scratch;
        layer.output.forward(attended, quantized, tokens, Onto::Added);
        layer.attention_norm.apply(tokens, self.eps, normalised);
        widened.resize(tokens.len() / width * layer.widen.outputs(), 0.0);
        layer.widen.forward(tokens, quantized, widened, Onto::Replaced);
        gelu(widened);
        layer.narrow.forward(widened, quantized, tokens, Onto::Added);
        layer.output_norm.apply(tokens, self.eps, normalised);
    }

    /// What the tokens of `rows` draw from their texts, to `scratch.attended`.
    fn attend(&self, rows: Range<usize>, projected: &[f32], ends: &[usize], scratch: &mut Scratch) {
        let Scratch { packed, weights, attended, .. } = scratch;
        let width = self.width;
        attended.resize(rows.len() * width, 0.0);
        let mut start = 0;
        for &end in ends {
            let own = rows.start.max(start)..rows.end.min(end);
            if !own.is_empty() {
                let part = |from: usize, offset: usize, count| Rows {
                    values: &projected[from * 3 * width + offset * width..],
                    stride: 3 * width,
                    width,
                    count,
                };
                let count = end - start;
                let parts = [part(own.start, 0, own.len()), part(start, 1, count), part(start, 2, count)];
                weights.resize(own.len() * count, 0.0);
                let out = &mut attended[(own.start - rows.start) * width..][..own.len() * width];
                for head in 0..self.shape.heads {
                    attend_head(self.shape, head, parts, packed, (weights, out));
                }
            }
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

/// The threads of one call, each with memory of its own.
struct Crew {
    scratches: Vec<Mutex<Scratch>>,
}

impl Crew {
    fn new(threads: usize) -> Self {
        Self { scratches: (0..threads.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Does the work of each part, on the current rayon pool if there are several
    /// threads.
    fn each<T: Send>(&self, parts: Vec<T>, work: impl Fn(T, &mut Scratch) + Sync + Send) {
        let with_memory = |part| {
            let member = rayon::current_thread_index().unwrap_or(0) % self.scratches.len();
            // Nobody else holds it: a thread does one part at a time.
            let mut scratch = self.scratches[member].lock().unwrap_or_else(PoisonError::into_inner);
            work(part, &mut scratch);
        };
        if self.scratches.len() > 1 {
            parts.into_par_iter().for_each(with_memory);
        } else {
            parts.into_iter().for_each(with_memory);
        }
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
    fn outputs(&self) -> usize {
        match self {
            Self::F32(linear) => linear.outputs(),
            Self::Int8(linear) => linear.outputs(),
        }
    }

    fn forward(&self, inputs: &[f32], bytes: &mut QuantizedRows, out: &mut [f32], onto: Onto) {
        match self {
            Self::F32(linear) => linear.forward(inputs, out, onto),
            Self::Int8(linear) => linear.forward(inputs, bytes, out, onto),
        }
    }
}

fn norm(source: &dyn TensorSource, name: &str) -> Norm {
    Norm { scale: source.floats(&format!("{name}.weight")), shift: source.floats(&format!("{name}.bias")) }
}

/// The layers of these names, stacked into one. Bytes are multiplied as bytes
/// only where the processor has a dot product for them: elsewhere the same
/// weights as 32-bit floats are faster.
fn linear(source: &dyn TensorSource, names: &[String]) -> Linear {
    let bias: Vec<f32> = names.iter().flat_map(|name| source.floats(&format!("{name}.bias"))).collect();
    let weight = |name: &String| format!("{name}.weight");
    if source.precision() == Precision::F32 || InstructionSet::detect() < InstructionSet::Avx512Vnni {
        let weights: Vec<f32> = names.iter().flat_map(|name| source.floats(&weight(name))).collect();
        return Linear::F32(LinearF32::new(&weights, &bias));
    }
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for name in names {
        let (b, s) = source.bytes(&weight(name));
        bytes.extend(b);
        scales.extend(s);
    }
    Linear::Int8(LinearI8::new(&bytes, &scales, &bias))
}
