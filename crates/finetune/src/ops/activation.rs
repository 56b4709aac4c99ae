//! The functions between the linear layers of a feed-forward block.

use candle_core::{Result, Tensor};
use mindrail_model::kernel::{gelu, gelu_backward, gelu_tanh, gelu_tanh_backward, silu, silu_backward};
use rayon::prelude::*;

use super::{CHUNK, is_fused, numbers};

/// An activation, by the names of `hidden_act` in a hub configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Phi(x)` with the error function.
    Gelu,
    /// The hyperbolic approximation of the same.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`.
    Silu,
}

impl Activation {
    /// The activation of a name; `None` for one that is not known here.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Self::GeluTanh,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            _ => return None,
        })
    }

    pub(crate) fn forward(self, x: &Tensor) -> Result<Tensor> {
        if !is_fused(x) {
            return self.composed(x);
        }
        let mut y: Vec<f32> = numbers(x, <[f32]>::to_vec)?;
        y.par_chunks_mut(CHUNK).for_each(|part| match self {
            Self::Gelu => gelu(part),
            Self::GeluTanh => gelu_tanh(part),
            Self::Relu => part.iter_mut().for_each(|x| *x = x.max(0.0)),
            Self::Silu => silu(part),
        });
        Tensor::from_vec(y, x.shape(), x.device())
    }

    /// The gradient of `x`.
    pub(crate) fn backward(self, x: &Tensor, d_y: &Tensor) -> Result<Tensor> {
        if !is_fused(x) {
            return self.composed_backward(x, d_y);
        }
        let mut d_x: Vec<f32> = numbers(d_y, <[f32]>::to_vec)?;
        numbers(x, |x| {
            d_x.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(d, x)| match self {
                Self::Gelu => gelu_backward(x, d),
                Self::GeluTanh => gelu_tanh_backward(x, d),
                Self::Relu => d.iter_mut().zip(x).for_each(|(d, x)| *d = if *x > 0.0 { *d } else { 0.0 }),
                Self::Silu => silu_backward(x, d),
            });
        })?;
        Tensor::from_vec(d_x, x.shape(), x.device())
    }

    fn composed(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::Relu => x.relu(),
            Self::Silu => x.silu(),
        }
    }

    fn composed_backward(self, x: &Tensor, d_y: &Tensor) -> Result<Tensor> {
        let slope = match self {
            // Phi(x) + x phi(x).
            Self::Gelu => {
                let cdf = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? * 0.5)?.affine(1.0, 0.5)?;
                let density = (x.sqr()? * -0.5)?.exp()?.affine(0.398_942_280_401_432_7, 0.0)?;
                (cdf + (x * density)?)?
            }
            Self::GeluTanh => {
                let inner =
                    (x + (x.powf(3.0)? * 0.044_715)?)?.affine(0.797_884_560_802_865_4, 0.0)?.tanh()?;
                let slope =
                    x.sqr()?.affine(3.0 * 0.044_715 * 0.797_884_560_802_865_4, 0.797_884_560_802_865_4)?;
                let rest = ((x * inner.sqr()?.affine(-1.0, 1.0)?)? * slope)?;
                (inner.affine(0.5, 0.5)? + (rest * 0.5)?)?
            }
            Self::Relu => x.gt(0.0)?.to_dtype(x.dtype())?,
            Self::Silu => {
                let share = (x.neg()?.exp()? + 1.0)?.recip()?;
                (&share * (x * share.affine(-1.0, 1.0)?)?.affine(1.0, 1.0)?)?
            }
        };
        d_y * slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_near, sample};

    #[test]
    fn both_forms_of_every_activation_agree_forward_and_backward() {
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu] {
            let x = (sample(&[30, 11], 1) * 4.0).expect("numbers");
            let d_y = sample(&[30, 11], 2);
            let plain = activation.composed(&x).expect("numbers");
            assert_near(&activation.forward(&x).expect("numbers"), &plain, 1e-5, "forward");
            let plain = activation.composed_backward(&x, &d_y).expect("numbers");
            assert_near(&activation.backward(&x, &d_y).expect("numbers"), &plain, 1e-5, "backward");
        }
    }
}
