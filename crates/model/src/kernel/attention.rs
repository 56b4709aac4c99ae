//! Self-attention within one text, all heads. One text's tokens attend to each
//! other and to nothing else, so a batch needs no padding and no mask.

use std::ops::Range;

use super::elementwise::softmax;
use super::instruction_set::multiversion;
use super::tile::{Onto, PANEL, PanelF32, Rows, Target, product_f32};

/// Sizes of a multi-head attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    /// Number of heads.
    pub(crate) heads: usize,
    /// Numbers per head.
    pub(crate) head: usize,
}

impl AttentionShape {
    fn width(self) -> usize {
        self.heads * self.head
    }
}

/// Keys and values of one head, packed as panels. Columns past the last token
/// or dimension hold whatever was there: no result is taken from them.
#[derive(Debug, Default)]
pub(crate) struct PackedHead {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// `out = softmax(Q K^T / sqrt(head)) V` for one head. The queries may be some
/// of the text's tokens; a row of each holds the numbers of all heads. `weights`
/// receives the softmax, queries x tokens;
/// `out` has the queries' rows of heads x head numbers.
pub(crate) fn attend_head(
    shape: AttentionShape,
    head: usize,
    parts: [Rows<'_, f32>; 3],
    packed: &mut PackedHead,
    (weights, out): (&mut [f32], &mut [f32]),
) {
    let from = head * shape.head;
    let [queries, keys, values] = parts.map(|rows| rows.columns(from, shape.head));
    let tokens = keys.count;
    packed.pack_keys(keys);
    packed.pack_values(values);
    let bias = &[0.0; PANEL];
    for (index, weights_of) in packed.keys.chunks_exact(PANEL * shape.head).enumerate() {
        product_f32(
            queries,
            PanelF32 { weights: weights_of, bias },
            Target::panel(weights, tokens, index, Onto::Replaced),
        );
    }
    for row in weights.chunks_exact_mut(tokens) {
        softmax(row);
    }
    let rows = Rows::dense(weights, tokens);
    for (index, weights_of) in packed.values.chunks_exact(PANEL * tokens).enumerate() {
        let columns = PANEL.min(shape.head - index * PANEL);
        let target =
            Target { out, stride: shape.width(), from: from + index * PANEL, columns, onto: Onto::Replaced };
        product_f32(rows, PanelF32 { weights: weights_of, bias }, target);
    }
}

impl PackedHead {
    /// Panels of 32 tokens, dimension by dimension, divided by `sqrt(head)`.
    fn pack_keys(&mut self, keys: Rows<'_, f32>) {
        let head = keys.width;
        let scale = 1.0 / (head as f32).sqrt();
        self.keys.resize(keys.count.next_multiple_of(PANEL) * head, 0.0);
        for (index, panel) in self.keys.chunks_exact_mut(PANEL * head).enumerate() {
            let tokens = index * PANEL..keys.count.min((index + 1) * PANEL);
            for (block, panel) in panel.chunks_mut(PANEL * PANEL).enumerate() {
                let near = near_rows(keys, tokens.clone(), block);
                for (d, slots) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                    *slots = std::array::from_fn(|token| near[token][d] * scale);
                }
            }
        }
    }

    /// Panels of 32 dimensions, token by token.
    fn pack_values(&mut self, values: Rows<'_, f32>) {
        self.values.resize(values.count * values.width.next_multiple_of(PANEL), 0.0);
        for (block, panel) in self.values.chunks_exact_mut(values.count * PANEL).enumerate() {
            for (token, slots) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                *slots = block_of(values.row(token), block);
            }
        }
    }
}

/// Copies of 32 dimensions of up to 32 rows. Rows lie far apart, and copying them
/// whole lets the processor fetch many at a time, which turning them would not.
fn near_rows(rows: Rows<'_, f32>, tokens: Range<usize>, block: usize) -> [[f32; PANEL]; PANEL] {
    let mut near = [[0.0; PANEL]; PANEL];
    for (near, token) in near.iter_mut().zip(tokens) {
        *near = block_of(rows.row(token), block);
    }
    near
}

/// Block `block` of 32 numbers of a row, filled up with 0.
fn block_of(row: &[f32], block: usize) -> [f32; PANEL] {
    let part = &row[block * PANEL..];
    part.first_chunk().copied().unwrap_or_else(|| {
        let mut own = [0.0; PANEL];
        own[..part.len()].copy_from_slice(part);
        own
    })
}

/// [`attend_head`] for all heads of a whole text. `queries`, `keys`, `values`
/// and `out` are tokens x (heads x head); `weights` receives heads x tokens x
/// tokens.
pub(crate) fn attend(shape: AttentionShape, parts: [&[f32]; 3], weights: &mut [f32], out: &mut [f32]) {
    let width = shape.width();
    let count = parts[0].len() / width;
    if count == 0 {
        return;
    }
    let parts = parts.map(|values| Rows::dense(values, width));
    let mut packed = PackedHead::default();
    for (head, weights) in weights.chunks_exact_mut(count * count).enumerate() {
        attend_head(shape, head, parts, &mut packed, (weights, out));
    }
}

/// Gradients of [`attend`] with respect to queries, keys and values, added to
/// `gradients`. `weights` is what [`attend`] gave.
pub(crate) fn attend_backward(
    shape: AttentionShape,
    [queries, keys, values]: [&[f32]; 3],
    weights: &[f32],
    out_gradient: &[f32],
    [d_queries, d_keys, d_values]: [&mut [f32]; 3],
) {
    let width = shape.width();
    let tokens = queries.len() / width;
    let scale = 1.0 / (shape.head as f32).sqrt();
    let mut values_by_dimension = vec![0.0; shape.head * tokens];
    let mut d_scores = vec![0.0; tokens];
    for head in 0..shape.heads {
        let from = head * shape.head;
        transpose_head(values, width, from, &mut values_by_dimension, tokens);
        for i in 0..tokens {
            let row = &weights[(head * tokens + i) * tokens..][..tokens];
            let d_out = &out_gradient[i * width + from..][..shape.head];
            d_scores.fill(0.0);
            weighted_rows(d_out, &values_by_dimension, tokens, 0, &mut d_scores);
            softmax_backward(row, scale, &mut d_scores);
            weighted_rows(&d_scores, keys, width, from, &mut d_queries[i * width + from..][..shape.head]);
            scatter_rows(&d_scores, &queries[i * width + from..][..shape.head], d_keys, width, from);
            scatter_rows(row, d_out, d_values, width, from);
        }
    }
}

/// Copies one head of `rows` (tokens x width) to `out` as dimension x token.
fn transpose_head(rows: &[f32], width: usize, from: usize, out: &mut [f32], tokens: usize) {
    let head = out.len() / tokens.max(1);
    for (token, row) in rows.chunks_exact(width).enumerate() {
        for d in 0..head {
            out[d * tokens + token] = row[from + d];
        }
    }
}

/// Numbers that an inner loop keeps in registers.
const BLOCK: usize = 32;

multiversion! {
    /// `out += sum_j row[j] * matrix[j][from..]`.
    fn weighted_rows(row: &[f32], matrix: &[f32], width: usize, from: usize, out: &mut [f32]) {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let mut sums = [0.0f32; BLOCK];
            let from = from + block * BLOCK;
            for (j, &weight) in row.iter().enumerate() {
                let source = &matrix[j * width + from..][..out.len()];
                if let Some(source) = source.first_chunk::<BLOCK>() {
                    for (sum, &x) in sums.iter_mut().zip(source) {
                        *sum += weight * x;
                    }
                } else {
                    for (sum, &x) in sums.iter_mut().zip(source) {
                        *sum += weight * x;
                    }
                }
            }
            for (o, sum) in out.iter_mut().zip(&sums) {
                *o += sum;
            }
        }
    }
}

multiversion! {
    /// `matrix[j][from..] += row[j] * vector` for every j.
    fn scatter_rows(row: &[f32], vector: &[f32], matrix: &mut [f32], width: usize, from: usize) {
        for (j, &weight) in row.iter().enumerate() {
            for (m, &x) in matrix[j * width + from..].iter_mut().zip(vector) {
                *m += weight * x;
            }
        }
    }
}

multiversion! {
    /// Turns the gradient of a softmax row into that of its scaled inputs.
    fn softmax_backward(row: &[f32], scale: f32, gradient: &mut [f32]) {
        let mut total = 0.0;
        for (&p, &g) in row.iter().zip(gradient.iter()) {
            total += p * g;
        }
        for (&p, g) in row.iter().zip(gradient.iter_mut()) {
            *g = p * (*g - total) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Random;

    /// The definition, one query at a time, in f64.
    fn attend_plainly(shape: AttentionShape, [queries, keys, values]: [&[f32]; 3], query: usize) -> Vec<f64> {
        let width = shape.width();
        let number = |rows: &[f32], token: usize, column: usize| f64::from(rows[token * width + column]);
        let mut out = Vec::new();
        for from in (0..width).step_by(shape.head) {
            let columns = from..from + shape.head;
            let score = |token: usize| {
                let product: f64 =
                    columns.clone().map(|c| number(queries, query, c) * number(keys, token, c)).sum();
                (product / (shape.head as f64).sqrt()).exp()
            };
            let scores: Vec<f64> = (0..keys.len() / width).map(score).collect();
            let total: f64 = scores.iter().sum();
            out.extend(columns.clone().map(|c| {
                scores.iter().enumerate().map(|(token, s)| s / total * number(values, token, c)).sum::<f64>()
            }));
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn attention_agrees_with_the_definition(seed: u64, tokens in 1usize..70, heads in 1usize..4, head in 1usize..70) {
            let random = &mut Random::new(seed);
            let shape = AttentionShape { heads, head };
            let mut part = || (0..tokens * shape.width()).map(|_| 4.0 * random.uniform() - 2.0).collect::<Vec<f32>>();
            let (queries, keys, values) = (part(), part(), part());
            let parts = [queries.as_slice(), &keys, &values];
            let mut out = vec![f32::NAN; tokens * shape.width()];
            attend(shape, parts, &mut vec![f32::NAN; heads * tokens * tokens], &mut out);
            for query in 0..tokens {
                for (found, expected) in out[query * shape.width()..].iter().zip(attend_plainly(shape, parts, query)) {
                    prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} against {expected}");
                }
            }
        }
    }
}
