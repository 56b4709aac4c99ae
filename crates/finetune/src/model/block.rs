//! The two kinds of blocks of which all backbones are made, with their backward passes:
//! BERT's, which normalises after each half, and that of newer models, which normalises
//! before, turns queries and keys, and gates its feed-forward layer.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::Pass;
use super::projection::Projection;
use crate::ops::{Activation, Attention, Dropout, Norm, Rotary, add};
use crate::parameter::Parameter;

/// What every block of a batch reads beside its rows.
pub(crate) struct Reading<'a> {
    /// Where each sequence's tokens stand.
    pub(crate) sequences: &'a [Range<usize>],
    /// Rotary angles of layers that see all, and of those that see near.
    pub(crate) rotary: Option<&'a [Rotary; 2]>,
    /// How the pass is made.
    pub(crate) pass: &'a Pass,
    /// The number of the first dropout of the block; a block has at most [`SITES`].
    pub(crate) site: u32,
}

/// Dropouts of one block at most.
pub(crate) const SITES: u32 = 16;

/// A block.
#[derive(Debug)]
pub(crate) enum Block {
    /// As BERT's.
    After(Box<AfterNorm>),
    /// As those of newer models.
    Before(Box<BeforeNorm>),
}

/// What the backward pass needs of one block.
#[derive(Debug)]
pub(crate) enum Saved {
    After(AfterSaved),
    Before(BeforeSaved),
}

impl Block {
    pub(crate) fn forward(&self, x: &Tensor, reading: &Reading<'_>) -> Result<(Tensor, Saved)> {
        Ok(match self {
            Self::After(block) => {
                let (y, saved) = block.forward(x, reading)?;
                (y, Saved::After(saved))
            }
            Self::Before(block) => {
                let (y, saved) = block.forward(x, reading)?;
                (y, Saved::Before(saved))
            }
        })
    }

    /// The gradient of the block's input; adds those of what is trained.
    pub(crate) fn backward(&self, saved: &Saved, d_y: &Tensor, reading: &Reading<'_>) -> Result<Tensor> {
        match (self, saved) {
            (Self::After(block), Saved::After(saved)) => block.backward(saved, d_y, reading),
            (Self::Before(block), Saved::Before(saved)) => block.backward(saved, d_y, reading),
            _ => candle_core::bail!("a block was given what another kind of block has kept"),
        }
    }

    pub(crate) fn projections(&self) -> Vec<&Projection> {
        match self {
            Self::After(block) => block.qkv.iter().chain([&block.out, &block.widen, &block.narrow]).collect(),
            Self::Before(block) => {
                block.inward.all().chain([&block.out]).chain(block.feed.all()).chain([&block.down]).collect()
            }
        }
    }

    pub(crate) fn projections_mut(&mut self) -> Vec<&mut Projection> {
        match self {
            Self::After(block) => {
                block.qkv.iter_mut().chain([&mut block.out, &mut block.widen, &mut block.narrow]).collect()
            }
            Self::Before(block) => {
                let BeforeNorm { inward, out, feed, down, .. } = &mut **block;
                inward.all_mut().chain([out]).chain(feed.all_mut()).chain([down]).collect()
            }
        }
    }

    fn norms(&self) -> Vec<&Norm> {
        match self {
            Self::After(block) => block.norms.iter().collect(),
            Self::Before(block) => block
                .attention_norm
                .iter()
                .chain([&block.feed_norm])
                .chain(block.head_norms.iter().flatten())
                .collect(),
        }
    }

    /// All parameters.
    pub(crate) fn parameters(&self) -> Vec<&Parameter> {
        let projections = self.projections().into_iter().flat_map(Projection::parameters);
        projections.chain(self.norms().into_iter().flat_map(Norm::parameters)).collect()
    }

    /// The same, to be changed.
    pub(crate) fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        let (projections, norms): (Vec<&mut Projection>, Vec<&mut Norm>) = match self {
            Self::After(block) => {
                let AfterNorm { qkv, out, widen, narrow, norms, .. } = &mut **block;
                (qkv.iter_mut().chain([out, widen, narrow]).collect(), norms.iter_mut().collect())
            }
            Self::Before(block) => {
                let BeforeNorm { inward, out, feed, down, attention_norm, feed_norm, head_norms, .. } =
                    &mut **block;
                let norms =
                    attention_norm.iter_mut().chain([feed_norm]).chain(head_norms.iter_mut().flatten());
                (inward.all_mut().chain([out]).chain(feed.all_mut()).chain([down]).collect(), norms.collect())
            }
        };
        let norms =
            norms.into_iter().flat_map(|norm| std::iter::once(&mut norm.scale).chain(&mut norm.shift));
        projections.into_iter().flat_map(Projection::parameters_mut).chain(norms).collect()
    }
}

/// BERT's block: `m = norm(x + drop(out(attend(x))))`, `y = norm(m + drop(narrow(act(widen(m)))))`.
#[derive(Debug)]
pub(crate) struct AfterNorm {
    pub(crate) attention: Attention,
    pub(crate) qkv: [Projection; 3],
    pub(crate) out: Projection,
    pub(crate) widen: Projection,
    pub(crate) narrow: Projection,
    pub(crate) activation: Activation,
    pub(crate) norms: [Norm; 2],
    /// Shares dropped of attention weights and of what each half adds.
    pub(crate) dropouts: (f32, f32),
}

/// What the backward pass of [`AfterNorm`] needs.
#[derive(Debug)]
pub(crate) struct AfterSaved {
    x: Tensor,
    qkv: [Tensor; 3],
    attended: Tensor,
    sums: [Tensor; 2],
    middle: Tensor,
    widened: Tensor,
}

impl AfterNorm {
    fn forward(&self, x: &Tensor, reading: &Reading<'_>) -> Result<(Tensor, AfterSaved)> {
        let Reading { pass, site, .. } = *reading;
        let [q, k, v] = &self.qkv;
        let qkv = [q.forward(x, pass, site)?, k.forward(x, pass, site + 1)?, v.forward(x, pass, site + 2)?];
        let attended =
            self.attention.forward(qkv.each_ref(), reading.sequences, self.attention_dropout(reading))?;
        let added = self.out.forward(&attended, pass, site + 3)?;
        let first = add(x, &Dropout::apply(pass.dropout(self.dropouts.1, site + 4), &added)?)?;
        let middle = self.norms[0].forward(&first)?;
        let widened = self.widen.forward(&middle, pass, site + 5)?;
        let added = self.narrow.forward(&self.activation.forward(&widened)?, pass, site + 6)?;
        let second = add(&middle, &Dropout::apply(pass.dropout(self.dropouts.1, site + 7), &added)?)?;
        let y = self.norms[1].forward(&second)?;
        Ok((y, AfterSaved { x: x.clone(), qkv, attended, sums: [first, second], middle, widened }))
    }

    fn attention_dropout(&self, reading: &Reading<'_>) -> Option<Dropout> {
        reading.pass.dropout(self.dropouts.0, reading.site + 8)
    }

    fn backward(&self, saved: &AfterSaved, d_y: &Tensor, reading: &Reading<'_>) -> Result<Tensor> {
        let Reading { pass, site, .. } = *reading;
        let d_second = self.norms[1].backward(&saved.sums[1], d_y)?;
        let d_added = Dropout::apply(pass.dropout(self.dropouts.1, site + 7), &d_second)?;
        // Made anew: it is as large as what it is made of, and cheap.
        let activated = self.activation.forward(&saved.widened)?;
        let d_activated = self.narrow.backward(&activated, &d_added, pass, site + 6)?;
        drop(activated);
        let d_widened = self.activation.backward(&saved.widened, &d_activated)?;
        let d_middle = add(&d_second, &self.widen.backward(&saved.middle, &d_widened, pass, site + 5)?)?;
        let d_first = self.norms[0].backward(&saved.sums[0], &d_middle)?;
        let d_added = Dropout::apply(pass.dropout(self.dropouts.1, site + 4), &d_first)?;
        let d_attended = self.out.backward(&saved.attended, &d_added, pass, site + 3)?;
        let dropout = self.attention_dropout(reading);
        let d_qkv = self.attention.backward(saved.qkv.each_ref(), reading.sequences, dropout, &d_attended)?;
        let mut d_x = d_first;
        for (i, (projection, d)) in self.qkv.iter().zip(&d_qkv).enumerate() {
            d_x = add(&d_x, &projection.backward(&saved.x, d, pass, site + i as u32)?)?;
        }
        Ok(d_x)
    }
}

/// Several projections of one input, or one whose output is cut into their parts.
#[derive(Debug)]
pub(crate) enum Inward<const N: usize> {
    /// One each.
    Apart([Projection; N]),
    /// One for all, and how wide each part is.
    Joint(Box<Projection>, [usize; N]),
}

impl<const N: usize> Inward<N> {
    fn all(&self) -> std::slice::Iter<'_, Projection> {
        match self {
            Self::Apart(all) => all.iter(),
            Self::Joint(one, _) => std::slice::from_ref(&**one).iter(),
        }
    }

    fn all_mut(&mut self) -> std::slice::IterMut<'_, Projection> {
        match self {
            Self::Apart(all) => all.iter_mut(),
            Self::Joint(one, _) => std::slice::from_mut(&mut **one).iter_mut(),
        }
    }

    fn forward(&self, x: &Tensor, pass: &Pass, site: u32) -> Result<[Tensor; N]> {
        let parts: Vec<Tensor> = match self {
            Self::Apart(all) => {
                all.iter().zip(site..).map(|(one, site)| one.forward(x, pass, site)).collect::<Result<_>>()?
            }
            Self::Joint(one, widths) => {
                let whole = one.forward(x, pass, site)?;
                let mut from = 0;
                let mut part = |width: &usize| {
                    let part = whole.narrow(1, from, *width)?.contiguous();
                    from += width;
                    part
                };
                widths.iter().map(&mut part).collect::<Result<_>>()?
            }
        };
        parts.try_into().map_err(|_| candle_core::Error::Msg("a part is missing".to_owned()))
    }

    fn backward(&self, x: &Tensor, d_parts: [&Tensor; N], pass: &Pass, site: u32) -> Result<Tensor> {
        match self {
            Self::Joint(one, _) => one.backward(x, &Tensor::cat(&d_parts, 1)?, pass, site),
            Self::Apart(all) => {
                let mut parts = all
                    .iter()
                    .zip(d_parts)
                    .zip(site..)
                    .map(|((one, d), site)| one.backward(x, d, pass, site));
                let first = parts.next().unwrap_or_else(|| x.zeros_like())?;
                parts.try_fold(first, |sum, part| add(&sum, &part?))
            }
        }
    }
}

/// The block of newer models: `h = x + out(attend(turn(qkv(norm(x)))))`,
/// `y = h + down(act(gate(norm(h))) up(norm(h)))`.
#[derive(Debug)]
pub(crate) struct BeforeNorm {
    pub(crate) attention: Attention,
    /// None in the first layer of `ModernBERT`.
    pub(crate) attention_norm: Option<Norm>,
    pub(crate) inward: Inward<3>,
    /// Of queries and keys, head by head; Qwen3.
    pub(crate) head_norms: Option<[Norm; 2]>,
    /// Which of the batch's rotary angles.
    pub(crate) rotary: usize,
    pub(crate) out: Projection,
    pub(crate) feed_norm: Norm,
    /// Gate, then what it is multiplied with.
    pub(crate) feed: Inward<2>,
    pub(crate) down: Projection,
    pub(crate) activation: Activation,
    /// Shares dropped of attention weights and of what is put into the last layer.
    pub(crate) dropouts: (f32, f32),
}

/// What the backward pass of [`BeforeNorm`] needs.
#[derive(Debug)]
pub(crate) struct BeforeSaved {
    x: Tensor,
    normed: Tensor,
    /// Before head norms and turns.
    raw: [Tensor; 2],
    /// As they are attended with.
    qkv: [Tensor; 3],
    attended: Tensor,
    middle: Tensor,
    feed_normed: Tensor,
    gate: Tensor,
    up: Tensor,
}

impl BeforeNorm {
    fn forward(&self, x: &Tensor, reading: &Reading<'_>) -> Result<(Tensor, BeforeSaved)> {
        let Reading { pass, site, .. } = *reading;
        let normed = self.attention_norm.as_ref().map_or_else(|| Ok(x.clone()), |norm| norm.forward(x))?;
        let [raw_q, raw_k, v] = self.inward.forward(&normed, pass, site)?;
        let (q, k) = (self.turned(&raw_q, 0, reading)?, self.turned(&raw_k, 1, reading)?);
        let qkv = [q, k, v];
        let attended =
            self.attention.forward(qkv.each_ref(), reading.sequences, self.attention_dropout(reading))?;
        let middle = add(x, &self.out.forward(&attended, pass, site + 3)?)?;
        let feed_normed = self.feed_norm.forward(&middle)?;
        let [gate, up] = self.feed.forward(&feed_normed, pass, site + 4)?;
        let gated = (self.activation.forward(&gate)? * &up)?;
        let gated = Dropout::apply(pass.dropout(self.dropouts.1, site + 7), &gated)?;
        let y = add(&middle, &self.down.forward(&gated, pass, site + 6)?)?;
        let saved = BeforeSaved {
            x: x.clone(),
            normed,
            raw: [raw_q, raw_k],
            qkv,
            attended,
            middle,
            feed_normed,
            gate,
            up,
        };
        Ok((y, saved))
    }

    fn attention_dropout(&self, reading: &Reading<'_>) -> Option<Dropout> {
        reading.pass.dropout(self.dropouts.0, reading.site + 8)
    }

    /// Queries (0) or keys (1) after head norm and turn.
    fn turned(&self, raw: &Tensor, which: usize, reading: &Reading<'_>) -> Result<Tensor> {
        let normed = match &self.head_norms {
            Some(norms) => norms[which].forward(&self.by_head(raw)?)?.reshape(raw.shape())?,
            None => raw.clone(),
        };
        reading.rotary.map_or_else(|| Ok(normed.clone()), |rotary| rotary[self.rotary].forward(&normed))
    }

    fn turned_backward(
        &self,
        raw: &Tensor,
        which: usize,
        d: &Tensor,
        reading: &Reading<'_>,
    ) -> Result<Tensor> {
        let d = reading.rotary.map_or_else(|| Ok(d.clone()), |rotary| rotary[self.rotary].backward(d))?;
        match &self.head_norms {
            Some(norms) => {
                norms[which].backward(&self.by_head(raw)?, &self.by_head(&d)?)?.reshape(raw.shape())
            }
            None => Ok(d),
        }
    }

    fn by_head(&self, rows: &Tensor) -> Result<Tensor> {
        rows.reshape(((), self.attention.head))
    }

    fn backward(&self, saved: &BeforeSaved, d_y: &Tensor, reading: &Reading<'_>) -> Result<Tensor> {
        let Reading { pass, site, .. } = *reading;
        let dropout = pass.dropout(self.dropouts.1, site + 7);
        let activated = self.activation.forward(&saved.gate)?;
        let gated = Dropout::apply(dropout, &(&activated * &saved.up)?)?;
        let d_gated = Dropout::apply(dropout, &self.down.backward(&gated, d_y, pass, site + 6)?)?;
        drop(gated);
        let d_gate = self.activation.backward(&saved.gate, &(&d_gated * &saved.up)?)?;
        let d_up = (d_gated * activated)?;
        let d_normed = self.feed.backward(&saved.feed_normed, [&d_gate, &d_up], pass, site + 4)?;
        let d_middle = add(d_y, &self.feed_norm.backward(&saved.middle, &d_normed)?)?;
        let d_attended = self.out.backward(&saved.attended, &d_middle, pass, site + 3)?;
        let dropout = self.attention_dropout(reading);
        let [d_q, d_k, d_v] =
            self.attention.backward(saved.qkv.each_ref(), reading.sequences, dropout, &d_attended)?;
        let d_q = self.turned_backward(&saved.raw[0], 0, &d_q, reading)?;
        let d_k = self.turned_backward(&saved.raw[1], 1, &d_k, reading)?;
        let d_normed = self.inward.backward(&saved.normed, [&d_q, &d_k, &d_v], pass, site)?;
        let d_x = match &self.attention_norm {
            Some(norm) => norm.backward(&saved.x, &d_normed)?,
            None => d_normed,
        };
        add(&d_middle, &d_x)
    }
}
