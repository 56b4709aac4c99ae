//! The transformer encoder with its backward pass. A batch is the tokens of
//! all its texts one after another, without padding. A text passes the layers that
//! are not trained once: what comes out of them stays the same, and is kept.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::layers::{LayerNorm, Linear, Normalised};
use crate::architecture::{Architecture, layer_tensor};
use crate::kernel::{AttentionShape, add_scaled, attend, attend_backward, gelu, gelu_backward};
use crate::parameters::Parameters;

/// The encoder's layers as places in a parameter array.
pub(super) struct Encoder {
    width: usize,
    attention: AttentionShape,
    embedding_norm: LayerNorm,
    word: Range<usize>,
    position: Range<usize>,
    token_type: Range<usize>,
    layers: Vec<Layer>,
    first_trained: usize,
    /// What leaves the frozen layers, by text. About 1.5 KB per token of different
    /// texts; see [`Encoder::frozen`]. It holds for one set of frozen weights: an
    /// encoder is made for one training.
    frozen: Mutex<HashMap<Vec<u32>, Vec<f32>>>,
}

struct Layer {
    projections: [Linear; 3],
    output: Linear,
    attention_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
    output_norm: LayerNorm,
}

/// What the backward pass needs of one layer.
struct LayerCache {
    inputs: Vec<f32>,
    projected: [Vec<f32>; 3],
    weights: Vec<Vec<f32>>,
    attended: Vec<f32>,
    attention_norm: Normalised,
    middle: Vec<f32>,
    widened: Vec<f32>,
    activated: Vec<f32>,
    output_norm: Normalised,
}

/// What the backward pass needs of a batch.
pub(super) struct EncoderCache {
    texts: Vec<Range<usize>>,
    layers: Vec<LayerCache>,
}

impl Encoder {
    /// The encoder of an architecture; layers below `first_trained` and the
    /// embeddings stay as they are.
    pub(super) fn new(architecture: &Architecture, parameters: &Parameters, first_trained: usize) -> Self {
        let eps = architecture.layer_norm_eps;
        let layers = (0..architecture.layers)
            .map(|index| {
                let linear = |part: &str| Linear::named(parameters, &layer_tensor(index, part));
                let norm = |part: &str| LayerNorm::named(parameters, &layer_tensor(index, part), eps);
                Layer {
                    projections: [
                        linear("attention.self.query"),
                        linear("attention.self.key"),
                        linear("attention.self.value"),
                    ],
                    output: linear("attention.output.dense"),
                    attention_norm: norm("attention.output.LayerNorm"),
                    widen: linear("intermediate.dense"),
                    narrow: linear("output.dense"),
                    output_norm: norm("output.LayerNorm"),
                }
            })
            .collect();
        Self {
            width: architecture.width,
            attention: AttentionShape {
                heads: architecture.heads,
                head: architecture.width / architecture.heads,
            },
            embedding_norm: LayerNorm::named(parameters, "embeddings.LayerNorm", eps),
            word: parameters.place("embeddings.word_embeddings.weight"),
            position: parameters.place("embeddings.position_embeddings.weight"),
            token_type: parameters.place("embeddings.token_type_embeddings.weight"),
            layers,
            first_trained,
            frozen: Mutex::default(),
        }
    }

    /// The mean token vector of every text: texts x width.
    pub(super) fn forward(&self, values: &[f32], texts: &[&[u32]]) -> (Vec<f32>, EncoderCache) {
        let ranges = text_ranges(texts);
        let mut tokens = self.frozen(values, texts);
        let mut layers = Vec::new();
        for layer in &self.layers[self.first_trained..] {
            let cache;
            (tokens, cache) = layer.forward(values, self.attention, &ranges, tokens);
            layers.push(cache);
        }
        let pooled = mean_rows(&tokens, &ranges, self.width);
        (pooled, EncoderCache { texts: ranges, layers })
    }

    /// Adds the gradients of all trained layers, given the gradient of the
    /// text vectors.
    pub(super) fn backward(
        &self,
        values: &[f32],
        cache: &EncoderCache,
        d_pooled: &[f32],
        gradients: &mut [f32],
    ) {
        let tokens = cache.texts.last().map_or(0, |range| range.end);
        let mut gradient = vec![0.0; tokens * self.width];
        for (range, d) in cache.texts.iter().zip(d_pooled.chunks_exact(self.width)) {
            let share = 1.0 / range.len() as f32;
            for token in range.clone() {
                add_scaled(&mut gradient[token * self.width..][..self.width], share, d);
            }
        }
        for (layer, layer_cache) in self.layers[self.first_trained..].iter().zip(&cache.layers).rev() {
            gradient =
                layer.backward(values, self.attention, (&cache.texts, layer_cache), gradients, gradient);
        }
    }

    /// The texts as they leave the frozen part, from memory where they came before.
    /// New texts are encoded one by one, so that a text's numbers do not depend on
    /// its neighbours, nor on whether a killed training goes on.
    fn frozen(&self, values: &[f32], texts: &[&[u32]]) -> Vec<f32> {
        let known = || self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = texts.to_vec();
        new.sort_unstable();
        new.dedup();
        new.retain(|text| !known().contains_key(*text));
        // Nothing is locked here, since a thread that waits may take up other work.
        let encoded: Vec<Vec<f32>> = new.par_iter().map(|text| self.encode_frozen(values, text)).collect();
        let mut known = known();
        known.extend(new.into_iter().map(<[u32]>::to_vec).zip(encoded));
        texts.iter().flat_map(|text| &known[*text]).copied().collect()
    }

    fn encode_frozen(&self, values: &[f32], text: &[u32]) -> Vec<f32> {
        let mut tokens = self.embed(values, text);
        self.embedding_norm.forward(values, &mut tokens);
        let whole = text_ranges(&[text]);
        for layer in &self.layers[..self.first_trained] {
            (tokens, _) = layer.forward(values, self.attention, &whole, tokens);
        }
        tokens
    }

    fn embed(&self, values: &[f32], text: &[u32]) -> Vec<f32> {
        let (word, position) = (&values[self.word.clone()], &values[self.position.clone()]);
        let token_type = &values[self.token_type.clone()][..self.width];
        let mut tokens = Vec::new();
        for (place, &token) in text.iter().enumerate() {
            let start = tokens.len();
            tokens.extend_from_slice(&word[token as usize * self.width..][..self.width]);
            add_scaled(&mut tokens[start..], 1.0, &position[place * self.width..][..self.width]);
            add_scaled(&mut tokens[start..], 1.0, token_type);
        }
        tokens
    }
}

impl Layer {
    fn forward(
        &self,
        values: &[f32],
        shape: AttentionShape,
        texts: &[Range<usize>],
        inputs: Vec<f32>,
    ) -> (Vec<f32>, LayerCache) {
        let projected = self.projections.each_ref().map(|linear| linear.forward(values, &inputs));
        let (attended, weights) = attend_texts(shape, texts, &projected);
        let mut middle = self.output.forward(values, &attended);
        add_scaled(&mut middle, 1.0, &inputs);
        let attention_norm = self.attention_norm.forward(values, &mut middle);
        let widened = self.widen.forward(values, &middle);
        let mut activated = widened.clone();
        activated.par_chunks_mut(8192).for_each(gelu);
        let mut outputs = self.narrow.forward(values, &activated);
        add_scaled(&mut outputs, 1.0, &middle);
        let output_norm = self.output_norm.forward(values, &mut outputs);
        let cache = LayerCache {
            inputs,
            projected,
            weights,
            attended,
            attention_norm,
            middle,
            widened,
            activated,
            output_norm,
        };
        (outputs, cache)
    }

    fn backward(
        &self,
        values: &[f32],
        shape: AttentionShape,
        (texts, cache): (&[Range<usize>], &LayerCache),
        gradients: &mut [f32],
        mut gradient: Vec<f32>,
    ) -> Vec<f32> {
        self.output_norm.backward(values, &cache.output_norm, gradients, &mut gradient);
        self.narrow.backward_weights(gradients, &cache.activated, &gradient);
        let mut d_widened = vec![0.0; cache.widened.len()];
        self.narrow.backward_inputs(values, &gradient, &mut d_widened);
        cache
            .widened
            .par_chunks(8192)
            .zip(d_widened.par_chunks_mut(8192))
            .for_each(|(x, g)| gelu_backward(x, g));
        self.widen.backward_weights(gradients, &cache.middle, &d_widened);
        self.widen.backward_inputs(values, &d_widened, &mut gradient);
        self.attention_norm.backward(values, &cache.attention_norm, gradients, &mut gradient);
        self.output.backward_weights(gradients, &cache.attended, &gradient);
        let mut d_attended = vec![0.0; gradient.len()];
        self.output.backward_inputs(values, &gradient, &mut d_attended);
        let d_projected = attend_texts_backward(shape, texts, cache, &d_attended);
        for (linear, d_out) in self.projections.iter().zip(&d_projected) {
            linear.backward_weights(gradients, &cache.inputs, d_out);
            linear.backward_inputs(values, d_out, &mut gradient);
        }
        gradient
    }
}

/// The texts' places among the batch's tokens.
fn text_ranges(texts: &[&[u32]]) -> Vec<Range<usize>> {
    let mut end = 0;
    texts
        .iter()
        .map(|text| {
            let start = end;
            end += text.len();
            start..end
        })
        .collect()
}

fn mean_rows(tokens: &[f32], texts: &[Range<usize>], width: usize) -> Vec<f32> {
    let mut pooled = vec![0.0; texts.len() * width];
    for (range, out) in texts.iter().zip(pooled.chunks_exact_mut(width)) {
        let share = 1.0 / range.len() as f32;
        for token in range.clone() {
            add_scaled(out, share, &tokens[token * width..][..width]);
        }
    }
    pooled
}

/// Splits a matrix with one row per token into one slice per text.
fn split_texts<'a>(mut rows: &'a mut [f32], texts: &[Range<usize>], width: usize) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(texts.len());
    for range in texts {
        let (part, rest) = rows.split_at_mut(range.len() * width);
        parts.push(part);
        rows = rest;
    }
    parts
}

fn text_rows<'a>(projected: &'a [Vec<f32>; 3], text: &Range<usize>, width: usize) -> [&'a [f32]; 3] {
    projected.each_ref().map(|rows| &rows[text.start * width..text.end * width])
}

fn attend_texts(
    shape: AttentionShape,
    texts: &[Range<usize>],
    projected: &[Vec<f32>; 3],
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let width = shape.heads * shape.head;
    let mut attended = vec![0.0; projected[0].len()];
    let weights = split_texts(&mut attended, texts, width)
        .into_par_iter()
        .zip(texts)
        .map(|(out, text)| {
            let mut weights = vec![0.0; shape.heads * text.len() * text.len()];
            attend(shape, text_rows(projected, text, width), &mut weights, out);
            weights
        })
        .collect();
    (attended, weights)
}

fn attend_texts_backward(
    shape: AttentionShape,
    texts: &[Range<usize>],
    cache: &LayerCache,
    d_attended: &[f32],
) -> [Vec<f32>; 3] {
    let width = shape.heads * shape.head;
    let mut gradients = cache.projected.each_ref().map(|rows| vec![0.0; rows.len()]);
    let [queries, keys, values] = gradients.each_mut().map(|rows| split_texts(rows, texts, width));
    (queries, keys, values, texts, &cache.weights).into_par_iter().for_each(|(dq, dk, dv, text, weights)| {
        let d_out = &d_attended[text.start * width..text.end * width];
        attend_backward(shape, text_rows(&cache.projected, text, width), weights, d_out, [dq, dk, dv]);
    });
    gradients
}
