//! A linear layer that may carry a low-rank adapter (`LoRA`, Hu et al. 2021):
//! `y = x W^T + b + scale (dropout(x) A^T) B^T`.

use candle_core::{DType, Result, Tensor};

use super::Pass;
use crate::ops::{Dropout, Packed, add, linear, linear_backward};
use crate::parameter::Parameter;

/// A linear layer.
#[derive(Debug)]
pub(crate) struct Projection {
    /// Its place among the modules, such as `layers.0.self_attn.q_proj`.
    pub(crate) module: String,
    pub(crate) weight: Parameter,
    pub(crate) bias: Option<Parameter>,
    pub(crate) adapter: Option<LowRank>,
    /// The weight and bias of a layer that only reads, see [`Projection::pack`].
    pub(crate) packed: Option<Packed>,
}

/// The adapter of one layer.
#[derive(Debug)]
pub(crate) struct LowRank {
    /// rank x inputs.
    pub(crate) a: Parameter,
    /// outputs x rank.
    pub(crate) b: Parameter,
    /// What its product is multiplied with.
    pub(crate) scale: f32,
    /// The share of inputs that is dropped in training.
    pub(crate) dropout: f32,
}

impl Projection {
    /// Parameters, those of the adapter last. A packed layer's weight is an empty tensor.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let adapter = self.adapter.iter().flat_map(|adapter| [&adapter.a, &adapter.b]);
        std::iter::once(&self.weight).chain(&self.bias).chain(adapter)
    }

    /// The same, to be changed.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let adapter = self.adapter.iter_mut().flat_map(|adapter| [&mut adapter.a, &mut adapter.b]);
        std::iter::once(&mut self.weight).chain(&mut self.bias).chain(adapter)
    }

    /// Rows x inputs to rows x outputs. `site` tells this layer's dropout from others'.
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass, site: u32) -> Result<Tensor> {
        if let Some(packed) = &self.packed {
            return packed.forward(x);
        }
        let bias = self.bias.as_ref().map(|bias| bias.read(x.dtype())).transpose()?;
        let y = linear(x, &self.weight.read(x.dtype())?, bias.as_ref())?;
        let Some(adapter) = &self.adapter else { return Ok(y) };
        let kept = Dropout::apply(pass.dropout(adapter.dropout, site), x)?;
        let inner = linear(&kept, &adapter.a.read(x.dtype())?, None)?;
        add(&y, &(linear(&inner, &adapter.b.read(x.dtype())?, None)? * f64::from(adapter.scale))?)
    }

    /// The gradient of `x`; adds those of what is trained.
    pub(crate) fn backward(&self, x: &Tensor, d_y: &Tensor, pass: &Pass, site: u32) -> Result<Tensor> {
        let d_x = linear_backward(x, &self.weight, self.bias.as_ref(), d_y)?;
        let Some(adapter) = &self.adapter else { return Ok(d_x) };
        let dropout = pass.dropout(adapter.dropout, site);
        let kept = Dropout::apply(dropout, x)?;
        let inner = linear(&kept, &adapter.a.read(x.dtype())?, None)?;
        let d_inner = linear_backward(&inner, &adapter.b, None, &(d_y * f64::from(adapter.scale))?)?;
        let d_kept = linear_backward(&kept, &adapter.a, None, &d_inner)?;
        add(&d_x, &Dropout::apply(dropout, &d_kept)?)
    }

    /// Packs the weight for the kernel of a CPU and lets go of it as it was: for a model that
    /// is only asked from now on. Packing at every product takes longer than small products.
    /// Layers with an adapter, or in another precision or place, stay as they are.
    pub(crate) fn pack(&mut self) -> Result<()> {
        if self.adapter.is_some() || self.weight.is_trained() {
            return Ok(());
        }
        self.packed = Packed::new(self.weight.value(), self.bias.as_ref().map(Parameter::value))?;
        if self.packed.is_some() {
            self.weight.let_go()?;
        }
        Ok(())
    }

    /// Takes the adapter into the weight: `W + scale B A`.
    pub(crate) fn merge(&mut self) -> Result<()> {
        let Some(adapter) = self.adapter.take() else { return Ok(()) };
        let product = adapter.b.read(DType::F32)?.matmul(&adapter.a.read(DType::F32)?)?;
        let merged = (self.weight.read(DType::F32)? + (product * f64::from(adapter.scale))?)?;
        self.weight.set(&merged)
    }
}
