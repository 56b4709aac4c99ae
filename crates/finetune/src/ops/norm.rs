//! Layer normalisation (Ba et al. 2016) and its form without mean and shift, RMS norm
//! (Zhang and Sennrich 2019), over the last axis of rows.

use candle_core::{DType, Result, Tensor};
use mindrail_model::kernel::{
    add_scaled, layer_norm_row, layer_norm_row_backward, rms_norm_row, rms_norm_row_backward,
};
use rayon::prelude::*;

use super::{change, is_fused, numbers_of};
use crate::parameter::Parameter;

/// Rows whose sums one thread makes; fixed, so that sums do not depend on threads.
const ROWS: usize = 64;

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormKind {
    /// With mean and, where there is one, shift.
    Layer,
    /// By the root of the mean square.
    Rms,
}

/// A normalisation with its parameters.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) kind: NormKind,
    pub(crate) scale: Parameter,
    pub(crate) shift: Option<Parameter>,
    pub(crate) eps: f32,
}

impl Norm {
    /// Its parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        std::iter::once(&self.scale).chain(&self.shift)
    }

    /// Normalises every row; a row is as wide as the scale.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !is_fused(x) {
            return self.composed(x);
        }
        let scale = self.scale.read(DType::F32)?;
        let shift = self
            .shift
            .as_ref()
            .map_or_else(|| Tensor::zeros(0, DType::F32, x.device()), |s| s.read(DType::F32))?;
        let width = scale.elem_count();
        let out = numbers_of([x, &scale, &shift], |[x, scale, shift]| {
            let mut out = vec![0.0; x.len()];
            let rows = out.par_chunks_exact_mut(width).zip(x.par_chunks_exact(width));
            rows.with_min_len(ROWS).for_each(|(out, row)| match self.kind {
                NormKind::Layer => layer_norm_row(row, scale, shift, self.eps, out),
                NormKind::Rms => rms_norm_row(row, scale, self.eps, out),
            });
            out
        })?;
        Tensor::from_vec(out, x.shape(), x.device())
    }

    /// The gradient of `x`; adds those of scale and shift where they are trained.
    pub(crate) fn backward(&self, x: &Tensor, d_y: &Tensor) -> Result<Tensor> {
        if !is_fused(x) {
            return self.composed_backward(x, d_y);
        }
        let scale = self.scale.read(DType::F32)?;
        let width = scale.elem_count();
        let mut d_x: Vec<f32> = d_y.flatten_all()?.to_vec1()?;
        let sums: Vec<(Vec<f32>, Vec<f32>)> = numbers_of([x, &scale], |[x, scale]| {
            let parts = d_x.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width));
            parts.map(|(d, x)| self.rows_backward(d, x, scale)).collect()
        })?;
        for (d_scale, d_shift) in &sums {
            add(Some(&self.scale), d_scale)?;
            add(self.shift.as_ref(), d_shift)?;
        }
        Tensor::from_vec(d_x, x.shape(), x.device())
    }

    fn rows_backward(&self, d: &mut [f32], x: &[f32], scale: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let width = scale.len();
        let (mut d_scale, mut d_shift) = (vec![0.0; width], vec![0.0; width]);
        for (d, row) in d.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            match self.kind {
                NormKind::Layer => {
                    layer_norm_row_backward(row, scale, self.eps, d, (&mut d_scale, &mut d_shift));
                }
                NormKind::Rms => rms_norm_row_backward(row, scale, self.eps, d, &mut d_scale),
            }
        }
        (d_scale, d_shift)
    }

    /// Rows with mean 0 (but for RMS) and size 1, in single precision, and what they were
    /// multiplied with.
    fn normalised(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = x.to_dtype(DType::F32)?;
        let x = match self.kind {
            NormKind::Layer => x.broadcast_sub(&x.mean_keepdim(1)?)?,
            NormKind::Rms => x,
        };
        let inverse = (x.sqr()?.mean_keepdim(1)? + f64::from(self.eps))?.sqrt()?.recip()?;
        Ok((x.broadcast_mul(&inverse)?, inverse))
    }

    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.reshape(((), self.scale.elements()))?;
        let (normalised, _) = self.normalised(&rows)?;
        let mut y = normalised.broadcast_mul(&self.scale.read(DType::F32)?)?;
        if let Some(shift) = &self.shift {
            y = y.broadcast_add(&shift.read(DType::F32)?)?;
        }
        y.to_dtype(x.dtype())?.reshape(x.shape())
    }

    /// With `n` the normalised row and `g = d_y s`:
    /// `d_x = inverse (g - mean(g) - n mean(g n))`; without the first mean for RMS.
    fn composed_backward(&self, x: &Tensor, d_y: &Tensor) -> Result<Tensor> {
        let width = self.scale.elements();
        let (n, inverse) = self.normalised(&x.reshape(((), width))?)?;
        let d_y = d_y.to_dtype(DType::F32)?.reshape(((), width))?;
        if self.scale.is_trained() {
            self.scale.add_gradient(&(&d_y * &n)?.sum(0)?)?;
        }
        if let Some(shift) = self.shift.as_ref().filter(|shift| shift.is_trained()) {
            shift.add_gradient(&d_y.sum(0)?)?;
        }
        let g = d_y.broadcast_mul(&self.scale.read(DType::F32)?)?;
        let along = (&g * &n)?.mean_keepdim(1)?;
        let mut d_x = (&g - n.broadcast_mul(&along)?)?;
        if self.kind == NormKind::Layer {
            d_x = d_x.broadcast_sub(&g.mean_keepdim(1)?)?;
        }
        d_x.broadcast_mul(&inverse)?.to_dtype(x.dtype())?.reshape(x.shape())
    }
}

fn add(parameter: Option<&Parameter>, gradient: &[f32]) -> Result<()> {
    let Some(parameter) = parameter.filter(|parameter| parameter.is_trained()) else { return Ok(()) };
    change(&parameter.gradient_array()?, |sum| add_scaled(sum, 1.0, gradient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_near, sample};

    fn norm(kind: NormKind, width: usize) -> Norm {
        let parameter = |name, seed| Parameter::trained(name, &sample(&[width], seed)).expect("a parameter");
        let shift = (kind == NormKind::Layer).then(|| parameter("shift", 2));
        Norm { kind, scale: parameter("scale", 1), shift, eps: 1e-5 }
    }

    #[test]
    fn both_forms_of_a_norm_agree_forward_and_backward() {
        for kind in [NormKind::Layer, NormKind::Rms] {
            let (a, b) = (norm(kind, 24), norm(kind, 24));
            let (x, d_y) = (sample(&[150, 24], 3), sample(&[150, 24], 4));
            let plain = a.composed(&x).expect("rows");
            assert_near(&a.forward(&x).expect("rows"), &plain, 1e-5, "forward");
            let plain = a.composed_backward(&x, &d_y).expect("a gradient");
            assert_near(&b.backward(&x, &d_y).expect("a gradient"), &plain, 1e-4, "input");
            for (a, b) in a.parameters().zip(b.parameters()) {
                let (a, b) = (a.gradient().expect("a gradient"), b.gradient().expect("a gradient"));
                assert_near(&b, &a, 1e-4, "parameters");
            }
        }
    }
}
