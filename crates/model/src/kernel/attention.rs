//! Self-attention within one text, all heads. One text's tokens attend to each
//! other and to nothing else, so a batch needs no padding and no mask.

use super::elementwise::softmax;
use super::instruction_set::multiversion;

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

/// `out = softmax(Q K^T / sqrt(head)) V` per head. `queries`, `keys`, `values`
/// and `out` are tokens x (heads x head), row-major; `weights` receives the
/// softmax, heads x tokens x tokens.
pub(crate) fn attend(
    shape: AttentionShape,
    [queries, keys, values]: [&[f32]; 3],
    weights: &mut [f32],
    out: &mut [f32],
) {
    let width = shape.width();
    let tokens = queries.len() / width;
    let scale = 1.0 / (shape.head as f32).sqrt();
    let mut keys_by_dimension = vec![0.0; shape.head * tokens];
    out.fill(0.0);
    for head in 0..shape.heads {
        let from = head * shape.head;
        transpose_head(keys, width, from, &mut keys_by_dimension, tokens);
        for i in 0..tokens {
            let row = &mut weights[(head * tokens + i) * tokens..][..tokens];
            let query = &queries[i * width + from..][..shape.head];
            combine_rows(query, scale, &keys_by_dimension, tokens, row);
            softmax(row);
            weighted_rows(row, values, width, from, &mut out[i * width + from..][..shape.head]);
        }
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
            combine_rows(d_out, 1.0, &values_by_dimension, tokens, &mut d_scores);
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
    /// `row[j] = scale * sum_d vector[d] * by_dimension[d][j]`.
    fn combine_rows(vector: &[f32], scale: f32, by_dimension: &[f32], tokens: usize, row: &mut [f32]) {
        for (block, out) in row.chunks_mut(BLOCK).enumerate() {
            let mut sums = [0.0f32; BLOCK];
            let from = block * BLOCK;
            for (d, &x) in vector.iter().enumerate() {
                let source = &by_dimension[d * tokens + from..][..out.len()];
                if let Some(source) = source.first_chunk::<BLOCK>() {
                    for (sum, &y) in sums.iter_mut().zip(source) {
                        *sum += x * y;
                    }
                } else {
                    for (sum, &y) in sums.iter_mut().zip(source) {
                        *sum += x * y;
                    }
                }
            }
            for (o, sum) in out.iter_mut().zip(&sums) {
                *o = sum * scale;
            }
        }
    }
}

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
