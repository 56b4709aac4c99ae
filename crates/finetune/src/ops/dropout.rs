//! Dropout (Srivastava et al. 2014). A mask depends on a seed and on places alone, so a
//! training that is taken up again, or runs on other hardware, drops the same numbers.

use candle_core::{Result, Tensor};
use mindrail_model::kernel::drop_out;
use rayon::prelude::*;

use super::{CHUNK, is_fused, numbers};

/// What one site of a network drops in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The share that is dropped, in \[0, 1).
    pub share: f32,
    /// The seed of this site in this step.
    pub seed: u32,
}

impl Dropout {
    /// Drops numbers of `x` and scales the others. The backward pass is the same
    /// function of the gradient.
    pub(crate) fn apply(site: Option<Self>, x: &Tensor) -> Result<Tensor> {
        let Some(Self { share, seed }) = site else { return Ok(x.clone()) };
        if is_fused(x) {
            let mut y: Vec<f32> = numbers(x, <[f32]>::to_vec)?;
            dropped(&mut y, seed, share);
            return Tensor::from_vec(y, x.shape(), x.device());
        }
        let mut mask = vec![1.0; x.elem_count()];
        dropped(&mut mask, seed, share);
        x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?
    }
}

fn dropped(values: &mut [f32], seed: u32, share: f32) {
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, part)| {
        drop_out(part, seed, (i * CHUNK) as u32, share);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    use crate::ops::tests::{assert_near, sample};

    #[test]
    fn both_forms_of_dropout_drop_the_same_numbers() {
        let x = sample(&[300, 70], 1);
        let site = Some(Dropout { share: 0.3, seed: 9 });
        let found = Dropout::apply(site, &x).expect("numbers");
        let half = Dropout::apply(site, &x.to_dtype(DType::F64).expect("numbers")).expect("numbers");
        assert_near(&found, &half, 1e-6, "dropout");
    }
}
