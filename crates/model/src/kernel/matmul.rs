//! Matrix products for training, by the `gemm-f32` crate behind a safe interface.
//! Serving does not come here: it uses packed weights ([`super::LinearF32`]).

use gemm_common::Parallelism;

/// A row-major matrix, or its transpose, that borrows its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `values` as `rows` rows of `columns` numbers.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(
            values.len() >= rows * columns,
            "a {rows} x {columns} matrix needs more than {} numbers",
            values.len()
        );
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// `rows` rows of `columns` numbers that begin `stride` numbers apart, as one head's
    /// part of the rows of all heads does.
    ///
    /// # Panics
    /// If there are fewer, or rows overlap.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            rows == 0 || (stride >= columns && values.len() >= (rows - 1) * stride + columns),
            "{rows} rows of {columns} numbers, {stride} apart, need more than {} numbers",
            values.len()
        );
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out += a b`; `out` is row-major, `a.rows` by `b.columns`. Large products are shared
/// between the threads of the present pool.
///
/// # Panics
/// If the sizes do not fit.
pub fn matmul(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    let large = a.rows * b.columns * a.columns > 1 << 20;
    product(out, a, b, if large { Parallelism::Rayon(0) } else { Parallelism::None });
}

/// [`matmul`] on the present thread alone, for products of which many are made at once.
///
/// # Panics
/// If the sizes do not fit.
pub fn matmul_alone(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    product(out, a, b, Parallelism::None);
}

fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, parallelism: Parallelism) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product differ");
    assert!(out.len() >= a.rows * b.columns, "the target of a product is too small");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if m * n == 0 {
        return;
    }
    // The crate wants its target in columns, so the transposed product is asked for.
    // SAFETY: the asserts of `Matrix::new` and above hold every index of the
    // three operands inside its slice, and `out` is borrowed exclusively.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            m,
            k,
            out.as_mut_ptr(),
            n as isize,
            1,
            true,
            b.values.as_ptr(),
            b.row_stride as isize,
            b.column_stride as isize,
            a.values.as_ptr(),
            a.row_stride as isize,
            a.column_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_with_transposes_agrees_with_the_definition() {
        let a: Vec<f32> = (0..6).map(|x| x as f32).collect(); // 2 x 3
        let b: Vec<f32> = (0..12).map(|x| x as f32 * 0.5).collect(); // 4 x 3, used transposed
        let mut out = vec![1.0; 8];
        matmul(&mut out, Matrix::new(&a, 2, 3), Matrix::new(&b, 4, 3).transposed());
        for i in 0..2 {
            for j in 0..4 {
                let expected: f32 = 1.0 + (0..3).map(|k| a[i * 3 + k] * b[j * 3 + k]).sum::<f32>();
                assert!((out[i * 4 + j] - expected).abs() < 1e-5);
            }
        }
    }
}
