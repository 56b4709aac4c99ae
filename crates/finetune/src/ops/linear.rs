//! `y = x W^T + b` over rows.

use candle_core::{Result, Tensor};
use mindrail_model::kernel::{LinearF32, Matrix, Onto, add_scaled, matmul};
use rayon::prelude::*;

use super::{change, is_fused, numbers, numbers_of};
use crate::parameter::Parameter;

/// Rows x inputs to rows x outputs; the weight is outputs x inputs.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !is_fused(x) || !is_fused(weight) {
        let y = x.matmul(&weight.t()?)?;
        return bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias));
    }
    let ((rows, inputs), outputs) = (x.dims2()?, weight.dim(0)?);
    let mut y = start(bias, rows, outputs)?;
    numbers_of([x, weight], |[x, weight]| {
        let weight = Matrix::new(weight, outputs, inputs).transposed();
        matmul(&mut y, Matrix::new(x, rows, inputs), weight);
    })?;
    Tensor::from_vec(y, (rows, outputs), x.device())
}

fn start(bias: Option<&Tensor>, rows: usize, outputs: usize) -> Result<Vec<f32>> {
    let Some(bias) = bias else { return Ok(vec![0.0; rows * outputs]) };
    numbers(bias, |bias| bias.repeat(rows))
}

/// A layer whose weight and bias are packed for the kernel of serving.
#[derive(Debug)]
pub(crate) struct Packed(LinearF32);

/// Rows that one thread takes at a time at most: their inputs stay in its second-level
/// cache while the weights go by.
const ROWS_AT_ONCE: usize = 192;

impl Packed {
    /// Packs; `None` where the kernel cannot take them.
    pub(crate) fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Option<Self>> {
        if !is_fused(weight) {
            return Ok(None);
        }
        let bias = start(bias, 1, weight.dim(0)?)?;
        Ok(Some(Self(numbers(weight, |weight| LinearF32::new(weight, &bias))?)))
    }

    /// Rows x inputs to rows x outputs.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ((rows, inputs), outputs) = (x.dims2()?, self.0.outputs());
        let mut y = vec![0.0; rows * outputs];
        let share = rows.div_ceil(rayon::current_num_threads()).clamp(1, ROWS_AT_ONCE);
        numbers(x, |x| {
            y.par_chunks_mut(share * outputs)
                .zip(x.par_chunks(share * inputs))
                .for_each(|(y, x)| self.0.forward(x, y, Onto::Replaced));
        })?;
        Tensor::from_vec(y, (rows, outputs), x.device())
    }
}

/// The gradient of `x`; adds those of weight and bias where they are trained.
pub(crate) fn linear_backward(
    x: &Tensor,
    weight: &Parameter,
    bias: Option<&Parameter>,
    d_y: &Tensor,
) -> Result<Tensor> {
    if weight.is_trained() {
        weight_gradient(x, weight, d_y)?;
    }
    if let Some(bias) = bias.filter(|bias| bias.is_trained()) {
        bias_gradient(bias, d_y)?;
    }
    let weight = weight.read(d_y.dtype())?;
    if !is_fused(d_y) {
        return d_y.matmul(&weight);
    }
    let ((rows, outputs), inputs) = (d_y.dims2()?, weight.dim(1)?);
    let mut d_x = vec![0.0; rows * inputs];
    numbers_of([d_y, &weight], |[d_y, weight]| {
        matmul(&mut d_x, Matrix::new(d_y, rows, outputs), Matrix::new(weight, outputs, inputs));
    })?;
    Tensor::from_vec(d_x, (rows, inputs), d_y.device())
}

fn weight_gradient(x: &Tensor, weight: &Parameter, d_y: &Tensor) -> Result<()> {
    if !is_fused(d_y) {
        return weight.add_gradient(&d_y.t()?.matmul(x)?);
    }
    let ((rows, outputs), inputs) = (d_y.dims2()?, x.dim(1)?);
    let gradient = weight.gradient_array()?;
    numbers_of([d_y, x], |[d_y, x]| {
        change(&gradient, |gradient| {
            let d_y = Matrix::new(d_y, rows, outputs).transposed();
            matmul(gradient, d_y, Matrix::new(x, rows, inputs));
        })
    })?
}

fn bias_gradient(bias: &Parameter, d_y: &Tensor) -> Result<()> {
    if !is_fused(d_y) {
        return bias.add_gradient(&d_y.sum(0)?);
    }
    let gradient = bias.gradient_array()?;
    let outputs = d_y.dim(1)?;
    numbers(d_y, |d_y| {
        change(&gradient, |gradient| {
            d_y.chunks_exact(outputs).for_each(|row| add_scaled(gradient, 1.0, row));
        })
    })?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_near, sample};

    #[test]
    fn both_forms_of_a_linear_layer_agree_forward_and_backward() {
        let (x, d_y) = (sample(&[5, 7], 1), sample(&[5, 3], 2));
        let weight = Parameter::trained("w", &sample(&[3, 7], 3)).expect("a parameter");
        let bias = Parameter::trained("b", &sample(&[3], 4)).expect("a parameter");
        let value = weight.read(x.dtype()).expect("its value");
        let plain = x.matmul(&value.t().expect("2 sizes")).expect("sizes that fit");
        let plain = plain.broadcast_add(&bias.read(x.dtype()).expect("its value")).expect("sizes that fit");
        let fused = linear(&x, &value, Some(&bias.read(x.dtype()).expect("its value"))).expect("a row");
        assert_near(&fused, &plain, 1e-6, "forward");
        let packed = Packed::new(&value, Some(bias.value())).expect("sizes").expect("a CPU");
        assert_near(&packed.forward(&x).expect("a row"), &plain, 1e-6, "packed");
        let d_x = linear_backward(&x, &weight, Some(&bias), &d_y).expect("a gradient");
        assert_near(&d_x, &d_y.matmul(&value).expect("sizes that fit"), 1e-6, "input");
        let expected = d_y.t().and_then(|t| t.matmul(&x)).expect("sizes that fit");
        assert_near(&weight.gradient().expect("a gradient"), &expected, 1e-6, "weight");
        assert_near(&bias.gradient().expect("a gradient"), &d_y.sum(0).expect("a sum"), 1e-6, "bias");
    }
}
