//! Rotary position embedding (Su et al. 2021) in the order of the hub's models: number
//! `i` of a head turns with number `i + half`.

use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;

use super::{is_fused, numbers_of};

/// Cosines and sines of the angles of a batch: tokens x half a head each, in f32.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// The angles `position / theta^(2 i / head)`.
    pub(crate) fn new(positions: &[u32], head: usize, theta: f64, device: &Device) -> Result<Self> {
        let half = head / 2;
        let rates: Vec<f32> = (0..half).map(|i| theta.powf(-((2 * i) as f64) / head as f64) as f32).collect();
        // The angle is rounded to single precision before its cosine is taken, as the
        // reference implementations do; in double precision long texts would differ.
        let angles: Vec<f32> =
            positions.iter().flat_map(|p| rates.iter().map(move |r| *p as f32 * r)).collect();
        let table = |f: fn(f32) -> f32| {
            Tensor::from_vec(
                angles.iter().map(|a| f(*a)).collect::<Vec<_>>(),
                (positions.len(), half),
                device,
            )
        };
        Ok(Self { cos: table(f32::cos)?, sin: table(f32::sin)? })
    }

    /// Turns every head of rows x (heads x head).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.turn(x, 1.0)
    }

    /// The gradient of what was turned: the same turn backwards.
    pub(crate) fn backward(&self, d_y: &Tensor) -> Result<Tensor> {
        self.turn(d_y, -1.0)
    }

    fn turn(&self, x: &Tensor, direction: f32) -> Result<Tensor> {
        if !is_fused(x) {
            return self.composed(x, direction);
        }
        let (width, half) = (x.dim(1)?, self.cos.dim(1)?);
        let y = numbers_of([x, &self.cos, &self.sin], |[x, cos, sin]| {
            let mut y = x.to_vec();
            let angles = cos.par_chunks_exact(half).zip(sin.par_chunks_exact(half));
            y.par_chunks_exact_mut(width).zip(angles).with_min_len(16).for_each(|(row, (cos, sin))| {
                row.chunks_exact_mut(2 * half).for_each(|head| turn_head(head, cos, sin, direction));
            });
            y
        })?;
        Tensor::from_vec(y, x.shape(), x.device())
    }

    fn composed(&self, x: &Tensor, direction: f32) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let half = self.cos.dim(1)?;
        let heads = x.to_dtype(DType::F32)?.reshape((rows, width / (2 * half), 2, half))?;
        let (a, b) = (heads.narrow(2, 0, 1)?, heads.narrow(2, 1, 1)?);
        let cos = self.cos.reshape((rows, 1, 1, half))?;
        let sin = (self.sin.reshape((rows, 1, 1, half))? * f64::from(direction))?;
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        Tensor::cat(&[first, second], 2)?.reshape((rows, width))?.to_dtype(x.dtype())
    }
}

fn turn_head(head: &mut [f32], cos: &[f32], sin: &[f32], direction: f32) {
    let (a, b) = head.split_at_mut(cos.len());
    for (((a, b), &cos), &sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
        let sin = sin * direction;
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_near, sample};

    #[test]
    fn both_forms_of_a_turn_agree_and_a_turn_back_undoes_it() {
        let positions: Vec<u32> = (0..40).collect();
        let rotary = Rotary::new(&positions, 8, 1e4, &Device::Cpu).expect("angles");
        let x = sample(&[40, 24], 1);
        let turned = rotary.forward(&x).expect("rows");
        assert_near(&turned, &rotary.composed(&x, 1.0).expect("rows"), 1e-6, "forward");
        assert_near(&rotary.backward(&turned).expect("rows"), &x, 1e-5, "there and back");
    }
}
