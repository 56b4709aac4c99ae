//! The operations of the models, each with its backward pass, over rows: a batch is the
//! tokens of all its sequences one after another, without padding, so that no number is
//! spent on padding and no side of it can be got wrong.
//!
//! An operation has two forms. On a CPU in single precision it is one of the kernels of
//! `mindrail-model`; elsewhere (CUDA, bf16) it is put together from candle's operations.
//! The second is the definition that tests hold the first to. Backward passes are written
//! out by hand rather than recorded: a recording keeps what is not needed, and adds each
//! gradient to a fresh array of zeros, which takes longer than many of the operations.

mod activation;
mod attention;
mod dropout;
mod embedding;
mod linear;
mod norm;
mod rotary;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Storage, Tensor};
use rayon::prelude::*;
use std::sync::Mutex;

pub use activation::Activation;
pub use attention::{Attention, Mask};
pub use dropout::Dropout;
pub(crate) use embedding::{embed, embed_backward};
pub(crate) use linear::{Packed, linear, linear_backward};
pub(crate) use norm::{Norm, NormKind};
pub(crate) use rotary::Rotary;

/// Whether the kernels can take a tensor.
pub(crate) fn is_fused(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// Lends the numbers of a tensor on the CPU in single precision, rows one after another.
pub(crate) fn numbers<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { candle_core::bail!("expected a tensor on the CPU") };
    let all: &[f32] = storage.as_slice()?;
    Ok(read(&all[layout.start_offset()..][..layout.shape().elem_count()]))
}

/// The numbers of several tensors at once.
pub(crate) fn numbers_of<const N: usize, R>(
    tensors: [&Tensor; N],
    read: impl FnOnce([&[f32]; N]) -> R,
) -> Result<R> {
    let tensors: Vec<Tensor> = tensors.into_iter().map(Tensor::contiguous).collect::<Result<_>>()?;
    let guards: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else { candle_core::bail!("expected a tensor on the CPU") };
        *slice = &storage.as_slice()?[layout.start_offset()..][..layout.shape().elem_count()];
    }
    Ok(read(slices))
}

/// Changes the numbers of a whole tensor on the CPU in single precision.
pub(crate) fn change(tensor: &Tensor, write: impl FnOnce(&mut [f32])) -> Result<()> {
    tensor.inplace_op1(&Change(Mutex::new(Some(write))))
}

struct Change<F>(Mutex<Option<F>>);

impl<F: FnOnce(&mut [f32])> InplaceOp1 for Change<F> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(values) = storage else { candle_core::bail!("expected f32") };
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("expected rows one after another")
        };
        if let Some(write) = self.0.lock().ok().and_then(|mut write| write.take()) {
            write(&mut values[from..to]);
        }
        Ok(())
    }
}

/// `a + b`, of one shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !is_fused(a) || !is_fused(b) {
        return a + b;
    }
    let sum = numbers_of([a, b], |[a, b]| {
        let mut sum = Vec::with_capacity(a.len());
        a.par_iter().with_min_len(CHUNK).zip(b).map(|(a, b)| a + b).collect_into_vec(&mut sum);
        sum
    })?;
    Tensor::from_vec(sum, a.shape(), a.device())
}

/// Numbers that one thread takes at a time. Sums over chunks are made in their order, so
/// that they do not depend on the number of threads.
pub(crate) const CHUNK: usize = 1 << 14;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use candle_core::Device;

    /// Numbers that look random, between -1 and 1.
    pub(crate) fn sample(shape: &[usize], seed: u32) -> Tensor {
        let count = shape.iter().product::<usize>() as u32;
        let values: Vec<f32> = (0..count)
            .map(|i| {
                let mixed = (i ^ seed.wrapping_mul(0x9e37_79b1)).wrapping_mul(0x85eb_ca6b);
                let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
                (mixed >> 8) as f32 / f32::from(1u16 << 12) / 2048.0 - 1.0
            })
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).expect("a shape for its numbers")
    }

    /// Asserts that two tensors are alike.
    pub(crate) fn assert_near(found: &Tensor, expected: &Tensor, tolerance: f32, what: &str) {
        assert_eq!(found.dims(), expected.dims(), "{what}");
        let values = |t: &Tensor| -> Vec<f32> {
            let flat = t.to_dtype(DType::F32).and_then(|t| t.flatten_all()).expect("floats");
            flat.to_vec1().expect("a row")
        };
        for (i, (a, b)) in values(found).iter().zip(values(expected)).enumerate() {
            assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}[{i}]: {a} against {b}");
        }
    }
}
