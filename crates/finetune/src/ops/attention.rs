//! Scaled dot-product attention (Vaswani et al. 2017) within each sequence of a batch,
//! with fewer heads of keys than of queries where a model has them (Ainslie et al. 2023).
//! The backward pass makes the weights anew: keeping them costs memory that grows with
//! the square of the length, and they are cheap.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{DType, Result, Tensor};
use mindrail_model::kernel::{Matrix, drop_out, matmul_alone, softmax, softmax_row_backward};
use rayon::prelude::*;

use super::{Dropout, is_fused, numbers_of};

/// Which tokens a token sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All of its sequence.
    Whole,
    /// Itself and those before it.
    Causal,
    /// Those at most so far away on either side.
    Near(usize),
}

impl Mask {
    fn seen(self, token: usize, tokens: usize) -> Range<usize> {
        match self {
            Self::Whole => 0..tokens,
            Self::Causal => 0..token + 1,
            Self::Near(reach) => token.saturating_sub(reach)..tokens.min(token + reach + 1),
        }
    }
}

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head: usize,
    /// Which tokens a token sees.
    pub mask: Mask,
}

/// Gradients of queries, keys and values.
type Gradients = [Tensor; 3];

impl Attention {
    fn scale(&self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }

    /// `softmax(Q K^T / sqrt(head)) V` for every head of every sequence. Queries and
    /// result are tokens x (heads x head), keys and values tokens x (kv heads x head).
    pub(crate) fn forward(
        &self,
        parts: [&Tensor; 3],
        sequences: &[Range<usize>],
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        if !is_fused(parts[0]) {
            return self.composed(parts, sequences, dropout);
        }
        let width = self.heads * self.head;
        let tasks = self.tasks(sequences);
        let out = numbers_of(parts, |parts| {
            let made: Vec<Vec<f32>> =
                tasks.par_iter().map(|task| self.task(parts, task).forward(dropout)).collect();
            let mut out = vec![0.0; parts[0].len()];
            for (task, made) in tasks.iter().zip(&made) {
                put(&mut out, width, (task.tokens.start, task.head * self.head), (made, self.head));
            }
            out
        })?;
        Tensor::from_vec(out, parts[0].shape(), parts[0].device())
    }

    /// Gradients of queries, keys and values.
    pub(crate) fn backward(
        &self,
        parts: [&Tensor; 3],
        sequences: &[Range<usize>],
        dropout: Option<Dropout>,
        d_out: &Tensor,
    ) -> Result<Gradients> {
        if !is_fused(parts[0]) {
            return self.composed_backward(parts, sequences, dropout, d_out);
        }
        let (width, kv_width) = (self.heads * self.head, self.kv_heads * self.head);
        let tasks = self.tasks(sequences);
        let [q, k, v] = parts;
        let gradients = numbers_of([q, k, v, d_out], |[q, k, v, d_out]| {
            let made: Vec<[Vec<f32>; 3]> = tasks
                .par_iter()
                .map(|task| {
                    let d_out = head_rows(d_out, width, &task.tokens, task.head * self.head, self.head);
                    self.task([q, k, v], task).backward(dropout, d_out)
                })
                .collect();
            let mut gradients = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
            for (task, [d_q, d_k, d_v]) in tasks.iter().zip(&made) {
                let kv = (task.tokens.start, self.kv_of(task.head) * self.head);
                let [q, k, v] = &mut gradients;
                put(q, width, (task.tokens.start, task.head * self.head), (d_q, self.head));
                put(k, kv_width, kv, (d_k, self.head));
                put(v, kv_width, kv, (d_v, self.head));
            }
            gradients
        })?;
        let [d_q, d_k, d_v] = gradients;
        let made = |values: Vec<f32>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok([made(d_q, q)?, made(d_k, k)?, made(d_v, v)?])
    }

    /// Where a head's part of a dropout mask begins, in both forms.
    fn mask_place(&self, tokens: &Range<usize>, head: usize) -> u32 {
        ((tokens.start * self.heads + head) as u32).wrapping_mul(0x0001_0001)
    }

    fn kv_of(&self, head: usize) -> usize {
        head * self.kv_heads / self.heads
    }

    fn tasks(&self, sequences: &[Range<usize>]) -> Vec<Task> {
        let of_sequence = |tokens: &Range<usize>| {
            (0..self.heads).map({
                let tokens = tokens.clone();
                move |head| Task { tokens: tokens.clone(), head }
            })
        };
        sequences.iter().flat_map(of_sequence).collect()
    }

    fn task<'a>(&self, [q, k, v]: [&'a [f32]; 3], task: &Task) -> HeadTask<'a> {
        let (width, kv_width) = (self.heads * self.head, self.kv_heads * self.head);
        let kv = self.kv_of(task.head) * self.head;
        HeadTask {
            queries: head_rows(q, width, &task.tokens, task.head * self.head, self.head),
            keys: head_rows(k, kv_width, &task.tokens, kv, self.head),
            values: head_rows(v, kv_width, &task.tokens, kv, self.head),
            tokens: task.tokens.len(),
            first: self.mask_place(&task.tokens, task.head),
            attention: *self,
        }
    }
}

/// One head of one sequence.
struct Task {
    tokens: Range<usize>,
    head: usize,
}

/// One head's part of the rows of a sequence.
fn head_rows<'a>(
    rows: &'a [f32],
    width: usize,
    tokens: &Range<usize>,
    from: usize,
    head: usize,
) -> Matrix<'a> {
    Matrix::strided(&rows[(tokens.start * width + from).min(rows.len())..], tokens.len(), head, width)
}

/// Adds a head's own rows to its part of the rows of all heads.
fn put(out: &mut [f32], width: usize, (row, column): (usize, usize), (made, head): (&[f32], usize)) {
    let rows = out[row * width..].chunks_exact_mut(width);
    for (out, made) in rows.zip(made.chunks_exact(head)) {
        out[column..column + head].iter_mut().zip(made).for_each(|(o, m)| *o += m);
    }
}

struct HeadTask<'a> {
    queries: Matrix<'a>,
    keys: Matrix<'a>,
    values: Matrix<'a>,
    tokens: usize,
    /// Where the head's part of a mask begins.
    first: u32,
    attention: Attention,
}

impl HeadTask<'_> {
    /// The softmax: tokens x tokens, 0 where a token does not see.
    fn weights(&self) -> Vec<f32> {
        let mut weights = vec![0.0; self.tokens * self.tokens];
        matmul_alone(&mut weights, self.queries, self.keys.transposed());
        let scale = self.attention.scale();
        for (token, row) in weights.chunks_exact_mut(self.tokens).enumerate() {
            let seen = self.attention.mask.seen(token, self.tokens);
            row[..seen.start].fill(0.0);
            row[seen.end..].fill(0.0);
            let row = &mut row[seen];
            row.iter_mut().for_each(|x| *x *= scale);
            softmax(row);
        }
        weights
    }

    fn dropped(&self, dropout: Option<Dropout>, weights: &mut [f32]) {
        if let Some(Dropout { share, seed }) = dropout {
            drop_out(weights, seed, self.first, share);
        }
    }

    fn forward(&self, dropout: Option<Dropout>) -> Vec<f32> {
        let mut weights = self.weights();
        self.dropped(dropout, &mut weights);
        let mut out = vec![0.0; self.tokens * self.attention.head];
        matmul_alone(&mut out, Matrix::new(&weights, self.tokens, self.tokens), self.values);
        out
    }

    fn backward(&self, dropout: Option<Dropout>, d_out: Matrix<'_>) -> [Vec<f32>; 3] {
        let (tokens, head) = (self.tokens, self.attention.head);
        let weights = self.weights();
        let mut d_weights = vec![0.0; tokens * tokens];
        matmul_alone(&mut d_weights, d_out, self.values.transposed());
        self.dropped(dropout, &mut d_weights);
        let mut kept = Cow::Borrowed(&weights);
        if dropout.is_some() {
            self.dropped(dropout, kept.to_mut());
        }
        let scale = self.attention.scale();
        for (d, row) in d_weights.chunks_exact_mut(tokens).zip(weights.chunks_exact(tokens)) {
            softmax_row_backward(row, scale, d);
        }
        let d_scores = Matrix::new(&d_weights, tokens, tokens);
        let mut gradients = [vec![0.0; tokens * head], vec![0.0; tokens * head], vec![0.0; tokens * head]];
        matmul_alone(&mut gradients[0], d_scores, self.keys);
        matmul_alone(&mut gradients[1], d_scores.transposed(), self.queries);
        matmul_alone(&mut gradients[2], Matrix::new(&kept, tokens, tokens).transposed(), d_out);
        gradients
    }
}

impl Attention {
    /// One sequence's heads: heads x tokens x head.
    fn heads_of(&self, rows: &Tensor, heads: usize, tokens: &Range<usize>) -> Result<Tensor> {
        let rows = rows.narrow(0, tokens.start, tokens.len())?;
        rows.reshape((tokens.len(), heads, self.head))?.transpose(0, 1)?.contiguous()
    }

    /// Keys or values, one head for each head of queries.
    fn kv_heads_of(&self, rows: &Tensor, tokens: &Range<usize>) -> Result<Tensor> {
        let group = self.heads / self.kv_heads;
        let heads = self.heads_of(rows, self.kv_heads, tokens)?.unsqueeze(1)?;
        let shape = (self.kv_heads, group, tokens.len(), self.head);
        heads.broadcast_as(shape)?.reshape((self.heads, tokens.len(), self.head))
    }

    fn composed_weights(&self, q: &Tensor, k: &Tensor) -> Result<Tensor> {
        let tokens = q.dim(1)?;
        let scores = (q.matmul(&k.transpose(1, 2)?)?.to_dtype(DType::F32)? * f64::from(self.scale()))?;
        let mut hidden = vec![f32::NEG_INFINITY; tokens * tokens];
        for token in 0..tokens {
            hidden[token * tokens..][self.mask.seen(token, tokens)].fill(0.0);
        }
        let hidden = Tensor::from_vec(hidden, (1, tokens, tokens), q.device())?;
        let scores = scores.broadcast_add(&hidden)?;
        let scores = scores.broadcast_sub(&scores.max_keepdim(2)?)?.exp()?;
        scores.broadcast_div(&scores.sum_keepdim(2)?)
    }

    /// The mask of one sequence's heads, or ones.
    fn composed_mask(
        &self,
        tokens: &Range<usize>,
        dropout: Option<Dropout>,
        like: &Tensor,
    ) -> Result<Tensor> {
        let count = tokens.len() * tokens.len();
        let mut mask = vec![1.0; self.heads * count];
        if let Some(Dropout { share, seed }) = dropout {
            for (head, part) in mask.chunks_exact_mut(count).enumerate() {
                drop_out(part, seed, self.mask_place(tokens, head), share);
            }
        }
        Tensor::from_vec(mask, like.shape(), like.device())
    }

    fn composed(
        &self,
        [q, k, v]: [&Tensor; 3],
        sequences: &[Range<usize>],
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let mut outs = Vec::new();
        for tokens in sequences {
            let queries = self.heads_of(q, self.heads, tokens)?;
            let weights = self.composed_weights(&queries, &self.kv_heads_of(k, tokens)?)?;
            let weights = match dropout {
                None => weights,
                Some(_) => (&weights * self.composed_mask(tokens, dropout, &weights)?)?,
            };
            let out = weights.to_dtype(v.dtype())?.matmul(&self.kv_heads_of(v, tokens)?)?;
            outs.push(out.transpose(0, 1)?.reshape((tokens.len(), self.heads * self.head))?);
        }
        Tensor::cat(&outs, 0)
    }

    fn composed_backward(
        &self,
        [q, k, v]: [&Tensor; 3],
        sequences: &[Range<usize>],
        dropout: Option<Dropout>,
        d_out: &Tensor,
    ) -> Result<Gradients> {
        let mut gradients = [Vec::new(), Vec::new(), Vec::new()];
        for tokens in sequences {
            let (queries, keys) = (self.heads_of(q, self.heads, tokens)?, self.kv_heads_of(k, tokens)?);
            let (values, d_out) = (self.kv_heads_of(v, tokens)?, self.heads_of(d_out, self.heads, tokens)?);
            let weights = self.composed_weights(&queries, &keys)?;
            let mask = dropout.map(|_| self.composed_mask(tokens, dropout, &weights)).transpose()?;
            let masked = |rows: &Tensor| mask.as_ref().map_or_else(|| Ok(rows.clone()), |mask| rows * mask);
            let kept = masked(&weights)?.to_dtype(d_out.dtype())?;
            let d_values = kept.transpose(1, 2)?.contiguous()?.matmul(&d_out)?;
            let d_weights = d_out.matmul(&values.transpose(1, 2)?)?.to_dtype(DType::F32)?;
            let d_weights = masked(&d_weights)?;
            let along = (&d_weights * &weights)?.sum_keepdim(2)?;
            let d_scores = (&weights * d_weights.broadcast_sub(&along)?)?;
            let d_scores = (d_scores * f64::from(self.scale()))?.to_dtype(queries.dtype())?;
            let d_keys = d_scores.transpose(1, 2)?.contiguous()?.matmul(&queries)?;
            gradients[0].push(self.rows_of(&d_scores.matmul(&keys)?, self.heads)?);
            gradients[1].push(self.rows_of(&d_keys, self.kv_heads)?);
            gradients[2].push(self.rows_of(&d_values, self.kv_heads)?);
        }
        let [d_q, d_k, d_v] = gradients.map(|parts| Tensor::cat(&parts, 0));
        Ok([d_q?, d_k?, d_v?])
    }

    /// Heads back to rows; heads that shared keys are added.
    fn rows_of(&self, heads: &Tensor, kept: usize) -> Result<Tensor> {
        let tokens = heads.dim(1)?;
        let grouped = heads.reshape((kept, self.heads / kept, tokens, self.head))?.sum(1)?;
        grouped.transpose(0, 1)?.reshape((tokens, kept * self.head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_near, sample};

    #[test]
    fn both_forms_of_attention_agree_for_every_mask_and_sharing_of_heads() {
        let sequences = [0..7, 7..8, 8..20];
        for (mask, kv_heads) in [(Mask::Whole, 4), (Mask::Causal, 2), (Mask::Near(2), 1)] {
            let attention = Attention { heads: 4, kv_heads, head: 5, mask };
            let (q, d_out) = (sample(&[20, 20], 1), sample(&[20, 20], 4));
            let (k, v) = (sample(&[20, 5 * kv_heads], 2), sample(&[20, 5 * kv_heads], 3));
            for dropout in [None, Some(Dropout { share: 0.4, seed: 3 })] {
                let fused = attention.forward([&q, &k, &v], &sequences, dropout).expect("rows");
                let plain = attention.composed([&q, &k, &v], &sequences, dropout).expect("rows");
                assert_near(&fused, &plain, 1e-5, "forward");
                let fused = attention.backward([&q, &k, &v], &sequences, dropout, &d_out).expect("rows");
                let plain = attention.composed_backward([&q, &k, &v], &sequences, dropout, &d_out);
                for (a, b) in fused.iter().zip(plain.expect("rows")) {
                    assert_near(a, &b, 1e-5, "backward");
                }
            }
        }
    }
}
