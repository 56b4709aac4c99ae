//! The backbones: a table of words, blocks, and rows for every token, forward and backward.

mod adapter;
mod architecture;
mod backbone;
mod block;
mod loading;
mod projection;

pub use adapter::{AdapterConfig, AdapterSource};
pub use architecture::{Architecture, Dropouts, Family};
pub use backbone::{Backbone, Batch, Keep, Trace};
pub use loading::Training;

use candle_core::DType;

use crate::ops::Dropout;

/// How a pass is made.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// In which precision rows are computed.
    pub dtype: DType,
    /// In training the seed of the step; every dropout derives its own from it.
    pub seed: Option<u32>,
}

impl Pass {
    /// A pass that drops nothing.
    pub fn plain(dtype: DType) -> Self {
        Self { dtype, seed: None }
    }

    /// What a site drops in this pass.
    pub(crate) fn dropout(&self, share: f32, site: u32) -> Option<Dropout> {
        let seed = self.seed.filter(|_| share > 0.0)?;
        Some(Dropout {
            share,
            seed: seed.wrapping_mul(0x9e37_79b1).wrapping_add(site.wrapping_mul(0x85eb_ca77)),
        })
    }
}
