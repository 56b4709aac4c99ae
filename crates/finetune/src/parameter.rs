//! A tensor of a model with its name and, where it is trained, its gradient.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::ops::{CHUNK, change, is_fused};

/// A named tensor. One that is trained is kept in single precision whatever the model
/// computes in, since small steps would be lost in bf16; a frozen one is kept as it is
/// computed with.
#[derive(Debug)]
pub struct Parameter {
    name: String,
    value: Tensor,
    is_trained: bool,
    gradient: Mutex<Gradient>,
}

/// A gradient's array, and whether anything has been added since it was last forgotten: one
/// of zeros would still decay the tensor and move it by its momentum.
#[derive(Debug, Default)]
struct Gradient {
    array: Option<Tensor>,
    is_touched: bool,
}

impl Parameter {
    /// A tensor that stays as it is.
    ///
    /// # Errors
    /// If it cannot be put into that precision.
    pub fn frozen(name: impl Into<String>, value: &Tensor, dtype: DType) -> Result<Self> {
        let value = value.to_dtype(dtype)?.contiguous()?;
        Ok(Self { name: name.into(), value, is_trained: false, gradient: Mutex::default() })
    }

    /// A tensor that is trained.
    ///
    /// # Errors
    /// If there is no memory for its copy.
    pub fn trained(name: impl Into<String>, value: &Tensor) -> Result<Self> {
        // A copy of its own: an update in place must not reach whoever gave the tensor.
        let value = value.to_dtype(DType::F32)?.force_contiguous()?;
        Ok(Self { name: name.into(), value, is_trained: true, gradient: Mutex::default() })
    }

    /// Its name, as in the checkpoint's file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether steps change it.
    pub fn is_trained(&self) -> bool {
        self.is_trained
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        self.value.shape()
    }

    /// How many numbers it holds.
    pub fn elements(&self) -> usize {
        self.value.elem_count()
    }

    /// The tensor itself.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tensor in a precision.
    pub(crate) fn read(&self, dtype: DType) -> Result<Tensor> {
        if self.value.dtype() == dtype { Ok(self.value.clone()) } else { self.value.to_dtype(dtype) }
    }

    /// The gradient so far, in single precision; `None` before the first.
    pub fn gradient(&self) -> Option<Tensor> {
        let gradient = self.locked();
        gradient.array.clone().filter(|_| gradient.is_touched)
    }

    /// Where gradients are added in place: zeros at first.
    pub(crate) fn gradient_array(&self) -> Result<Tensor> {
        let mut gradient = self.locked();
        gradient.is_touched = true;
        if let Some(array) = &gradient.array {
            return Ok(array.clone());
        }
        let zeros = Tensor::zeros(self.shape(), DType::F32, self.value.device())?;
        gradient.array = Some(zeros.clone());
        Ok(zeros)
    }

    fn locked(&self) -> MutexGuard<'_, Gradient> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a gradient.
    pub(crate) fn add_gradient(&self, more: &Tensor) -> Result<()> {
        let more = more.to_dtype(DType::F32)?;
        let mut gradient = self.locked();
        gradient.is_touched = true;
        gradient.array = Some(match gradient.array.take() {
            Some(sum) => (sum + more)?,
            None => more.force_contiguous()?,
        });
        Ok(())
    }

    /// Forgets the gradient, before the next step's. On a CPU its array is kept and filled
    /// with zeros: a fresh one would cost as much again for its pages.
    pub(crate) fn clear_gradient(&self) -> Result<()> {
        let mut gradient = self.locked();
        gradient.is_touched = false;
        match &gradient.array {
            Some(array) if is_fused(array) => {
                change(array, |values| values.par_chunks_mut(CHUNK).for_each(|part| part.fill(0.0)))
            }
            _ => {
                gradient.array = None;
                Ok(())
            }
        }
    }

    /// Lets go of the numbers, which stand elsewhere from now on.
    pub(crate) fn let_go(&mut self) -> Result<()> {
        self.value = Tensor::zeros(0, self.value.dtype(), self.value.device())?;
        Ok(())
    }

    /// Puts other numbers in the tensor's place.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn set(&mut self, value: &Tensor) -> Result<()> {
        if value.shape() != self.value.shape() {
            candle_core::bail!(
                "{}: found shape {:?}, expected {:?}",
                self.name,
                value.shape(),
                self.value.shape()
            );
        }
        self.value =
            value.to_dtype(self.value.dtype())?.to_device(self.value.device())?.force_contiguous()?;
        Ok(())
    }
}
