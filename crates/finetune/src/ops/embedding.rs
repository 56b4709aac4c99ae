//! Rows of a table, by number.

use candle_core::{DType, Result, Tensor};
use mindrail_model::kernel::add_scaled;

use super::{change, is_fused, numbers};
use crate::parameter::Parameter;

/// The table's rows at `places`: places x width.
pub(crate) fn embed(table: &Tensor, places: &Tensor) -> Result<Tensor> {
    table.index_select(places, 0)
}

/// Adds the gradients of the rows to the table's. What is embedded has no gradient.
pub(crate) fn embed_backward(table: &Parameter, places: &Tensor, d_rows: &Tensor) -> Result<()> {
    if !table.is_trained() {
        return Ok(());
    }
    if !is_fused(d_rows) {
        let zeros = Tensor::zeros(table.shape(), DType::F32, d_rows.device())?;
        let sum = zeros.index_add(places, &d_rows.to_dtype(DType::F32)?, 0)?;
        return table.add_gradient(&sum);
    }
    let width = d_rows.dim(1)?;
    let places: Vec<u32> = places.to_vec1()?;
    numbers(d_rows, |rows| {
        change(&table.gradient_array()?, |sums| {
            for (row, place) in rows.chunks_exact(width).zip(&places) {
                add_scaled(&mut sums[*place as usize * width..][..width], 1.0, row);
            }
        })
    })?
}
