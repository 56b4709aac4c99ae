//! A backbone over a batch: forward, and backward from the rows that it gave.

use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};

use super::block::{Block, Reading, SITES, Saved};
use super::projection::Projection;
use super::{Architecture, Family, Pass};
use crate::error::Error;
use crate::ops::{Dropout, Norm, Rotary, add, embed, embed_backward};
use crate::parameter::Parameter;

/// A transformer without a head.
#[derive(Debug)]
pub struct Backbone {
    pub(super) architecture: Architecture,
    pub(super) tables: Tables,
    pub(super) blocks: Vec<Block>,
    /// After the last block; models that normalise before each half have one.
    pub(super) last_norm: Option<Norm>,
    pub(super) device: Device,
    pub(super) dtype: DType,
}

/// What tokens are at first.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) words: Parameter,
    pub(super) positions: Option<Parameter>,
    pub(super) types: Option<Parameter>,
    pub(super) norm: Option<Norm>,
    pub(super) dropout: f32,
}

/// The tokens of several sequences, one after another.
#[derive(Debug, Clone)]
pub struct Batch {
    ids: Tensor,
    types: Tensor,
    positions: Tensor,
    places: Vec<u32>,
    sequences: Vec<Range<usize>>,
}

impl Batch {
    /// Where each sequence's tokens stand.
    pub fn sequences(&self) -> &[Range<usize>] {
        &self.sequences
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.places.len()
    }
}

/// What a forward pass keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: no backward pass follows.
    Nothing,
    /// What goes into each block; the rest is made anew on the way back (Chen et al. 2016).
    Inputs,
    /// All that the backward pass needs.
    All,
}

/// What a forward pass has kept for the way back.
#[derive(Debug)]
pub struct Trace {
    /// The embeddings before their norm.
    embedded: Option<Tensor>,
    blocks: Vec<Kept>,
    last: Option<Tensor>,
}

#[derive(Debug)]
enum Kept {
    Input(Tensor),
    All(Saved),
}

impl Backbone {
    /// Sizes and options.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// In which precision it computes.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Makes a batch of sequences of token numbers and token types.
    ///
    /// # Errors
    /// If a sequence is empty or longer than the model reads, or a number is not in its
    /// tables.
    pub fn batch<'a>(
        &self,
        sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>,
    ) -> std::result::Result<Batch, Error> {
        let (mut ids, mut types, mut positions, mut ranges) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (sequence, sequence_types) in sequences {
            self.check(sequence, sequence_types)?;
            let first =
                if self.architecture.family == Family::Roberta { self.architecture.padding + 1 } else { 0 };
            ranges.push(ids.len()..ids.len() + sequence.len());
            ids.extend_from_slice(sequence);
            types.extend_from_slice(sequence_types);
            positions.extend((0..sequence.len()).map(|place| (first + place) as u32));
        }
        let row = |values: &Vec<u32>| Tensor::new(values.as_slice(), &self.device);
        Ok(Batch {
            ids: row(&ids)?,
            types: row(&types)?,
            positions: row(&positions)?,
            places: positions,
            sequences: ranges,
        })
    }

    fn check(&self, ids: &[u32], types: &[u32]) -> std::result::Result<(), Error> {
        let Architecture { positions, vocabulary, types: known, .. } = self.architecture;
        if ids.is_empty() || ids.len() > positions {
            return Err(Error::new(
                "a sequence",
                format!("{} tokens", ids.len()),
                format!("1 to {positions}"),
            ));
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
            return Err(Error::new("a sequence", format!("token {id}"), format!("below {vocabulary}")));
        }
        if known > 0 && types.iter().any(|kind| *kind as usize >= known) {
            return Err(Error::new("a sequence", "a token type it has no row for", format!("below {known}")));
        }
        if types.len() != ids.len() {
            return Err(Error::new("a sequence", format!("{} token types", types.len()), ids.len()));
        }
        Ok(())
    }

    /// A row for every token: tokens x width.
    ///
    /// # Errors
    /// If the device cannot go on.
    pub fn forward(&self, batch: &Batch, pass: &Pass, keep: Keep) -> Result<(Tensor, Trace)> {
        let rotary = self.rotary(batch)?;
        let embedded = self.embedded(batch)?;
        let mut rows = match &self.tables.norm {
            Some(norm) => norm.forward(&embedded)?,
            None => embedded.clone(),
        };
        rows = Dropout::apply(pass.dropout(self.tables.dropout, u32::MAX), &rows)?;
        let mut trace =
            Trace { embedded: (keep != Keep::Nothing).then_some(embedded), blocks: Vec::new(), last: None };
        for (i, block) in self.blocks.iter().enumerate() {
            let (next, saved) = block.forward(&rows, &Self::reading(batch, rotary.as_ref(), pass, i))?;
            match keep {
                Keep::Nothing => {}
                Keep::Inputs => trace.blocks.push(Kept::Input(rows)),
                Keep::All => trace.blocks.push(Kept::All(saved)),
            }
            rows = next;
        }
        let Some(norm) = &self.last_norm else { return Ok((rows, trace)) };
        trace.last = (keep != Keep::Nothing).then(|| rows.clone());
        Ok((norm.forward(&rows)?, trace))
    }

    /// Adds the gradients of all that is trained, given the gradient of the rows.
    ///
    /// # Errors
    /// If the trace was not kept, or the device cannot go on.
    pub fn backward(&self, batch: &Batch, pass: &Pass, trace: Trace, d_rows: &Tensor) -> Result<()> {
        let rotary = self.rotary(batch)?;
        let mut d = d_rows.clone();
        if let (Some(norm), Some(last)) = (&self.last_norm, &trace.last) {
            d = norm.backward(last, &d)?;
        }
        let lowest = self.lowest_trained();
        for (i, (block, kept)) in self.blocks.iter().zip(trace.blocks).enumerate().rev() {
            if lowest.is_none_or(|lowest| i < lowest) {
                return Ok(());
            }
            let reading = Self::reading(batch, rotary.as_ref(), pass, i);
            let saved = match kept {
                Kept::All(saved) => saved,
                Kept::Input(input) => block.forward(&input, &reading)?.1,
            };
            d = block.backward(&saved, &d, &reading)?;
        }
        if !self.tables.parameters().any(Parameter::is_trained) {
            return Ok(());
        }
        let d = Dropout::apply(pass.dropout(self.tables.dropout, u32::MAX), &d)?;
        let Some(embedded) = trace.embedded else { candle_core::bail!("the forward pass kept nothing") };
        self.embedded_backward(batch, &embedded, &d)
    }

    /// The lowest block that is trained, or lies above what is; `None` if nothing is.
    fn lowest_trained(&self) -> Option<usize> {
        if self.tables.parameters().any(Parameter::is_trained) {
            return Some(0);
        }
        self.blocks.iter().position(|block| block.parameters().iter().any(|p| p.is_trained()))
    }

    fn reading<'a>(
        batch: &'a Batch,
        rotary: Option<&'a [Rotary; 2]>,
        pass: &'a Pass,
        block: usize,
    ) -> Reading<'a> {
        Reading { sequences: &batch.sequences, rotary, pass, site: block as u32 * SITES }
    }

    fn rotary(&self, batch: &Batch) -> Result<Option<[Rotary; 2]>> {
        let Architecture { family, head, thetas, .. } = self.architecture;
        if matches!(family, Family::Bert | Family::Roberta | Family::DistilBert) {
            return Ok(None);
        }
        let of = |theta| Rotary::new(&batch.places, head, theta, &self.device);
        Ok(Some([of(thetas.0)?, of(thetas.1)?]))
    }

    fn embedded(&self, batch: &Batch) -> Result<Tensor> {
        let mut rows = embed(self.tables.words.value(), &batch.ids)?.to_dtype(self.dtype)?;
        for (table, places) in
            [(&self.tables.positions, &batch.positions), (&self.tables.types, &batch.types)]
        {
            if let Some(table) = table {
                rows = add(&rows, &embed(table.value(), places)?.to_dtype(self.dtype)?)?;
            }
        }
        Ok(rows)
    }

    fn embedded_backward(&self, batch: &Batch, embedded: &Tensor, d: &Tensor) -> Result<()> {
        let d = match &self.tables.norm {
            Some(norm) => norm.backward(embedded, d)?,
            None => d.clone(),
        };
        embed_backward(&self.tables.words, &batch.ids, &d)?;
        for (table, places) in
            [(&self.tables.positions, &batch.positions), (&self.tables.types, &batch.types)]
        {
            if let Some(table) = table {
                embed_backward(table, places, &d)?;
            }
        }
        Ok(())
    }

    /// All parameters, in the order of the network.
    pub fn parameters(&self) -> Vec<&Parameter> {
        let blocks = self.blocks.iter().flat_map(Block::parameters);
        let last = self.last_norm.iter().flat_map(Norm::parameters);
        self.tables.parameters().chain(blocks).chain(last).collect()
    }

    /// The same, to be changed.
    pub fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        let mut all: Vec<&mut Parameter> = Vec::new();
        let Tables { words, positions, types, norm, .. } = &mut self.tables;
        all.extend(std::iter::once(words).chain(positions).chain(types));
        all.extend(norm.iter_mut().flat_map(|norm| std::iter::once(&mut norm.scale).chain(&mut norm.shift)));
        all.extend(self.blocks.iter_mut().flat_map(Block::parameters_mut));
        all.extend(self.last_norm.iter_mut().flat_map(|n| std::iter::once(&mut n.scale).chain(&mut n.shift)));
        all
    }

    /// Packs every linear layer, for a model that is only asked from now on.
    ///
    /// # Errors
    /// If there is no memory for a layer.
    pub fn pack(&mut self) -> Result<()> {
        self.projections_mut().try_for_each(Projection::pack)
    }

    /// Every linear layer, by its place among the modules.
    pub(crate) fn projections(&self) -> impl Iterator<Item = &Projection> {
        self.blocks.iter().flat_map(Block::projections)
    }

    /// The same, to be changed.
    pub(crate) fn projections_mut(&mut self) -> impl Iterator<Item = &mut Projection> {
        self.blocks.iter_mut().flat_map(Block::projections_mut)
    }
}

impl Tables {
    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let tables = std::iter::once(&self.words).chain(&self.positions).chain(&self.types);
        tables.chain(self.norm.iter().flat_map(Norm::parameters))
    }
}
