//! The one product that everything in serving is made of: rows against a panel
//! of [`PANEL`] outputs whose weights are packed in the order in which the inner
//! loop reads them. Linear layers cut their outputs into panels; in attention
//! the keys of 32 tokens, and the values of one head, are a panel each.
//!
//! The plain forms define the result, one row at a time; the AVX-512 forms keep
//! a tile of up to twelve rows in registers and are tested against the plain.

#[cfg(target_arch = "x86_64")]
use super::amx;
#[cfg(target_arch = "x86_64")]
use super::instruction_set::InstructionSet;
use super::instruction_set::{multiply_add, multiversion};

/// Outputs per panel: two 512-bit registers of f32 or i32, and one attention
/// head of the base model.
pub(super) const PANEL: usize = 32;

/// Rows of the largest tile: with twelve, 24 of the 32 registers hold sums.
pub(crate) const TILE_ROWS: usize = 12;

/// Rows of `width` numbers that begin `stride` apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) stride: usize,
    pub(crate) width: usize,
    pub(crate) count: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Rows without gaps.
    pub(super) fn dense(values: &'a [T], width: usize) -> Self {
        Self { values, stride: width, width, count: values.len() / width }
    }

    /// The same rows, `width` numbers from column `from` on.
    pub(super) fn columns(self, from: usize, width: usize) -> Self {
        Self { values: self.values.get(from..).unwrap_or_default(), width, ..self }
    }

    pub(super) fn row(&self, row: usize) -> &'a [T] {
        &self.values[row * self.stride..][..self.width]
    }

    /// Whether every row lies inside the slice.
    fn fits(&self) -> bool {
        self.count == 0 || (self.count - 1) * self.stride + self.width <= self.values.len()
    }
}

/// What happens to what stands in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// The result replaces it.
    Replaced,
    /// The result is added to it.
    Added,
}

/// Where the results of a panel go: `columns` numbers from `from` on in rows
/// that begin `stride` apart.
pub(super) struct Target<'a> {
    pub(super) out: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) from: usize,
    pub(super) columns: usize,
    pub(super) onto: Onto,
}

impl<'a> Target<'a> {
    /// The columns of panel `index` in rows of `width` numbers without gaps.
    pub(super) fn panel(out: &'a mut [f32], width: usize, index: usize, onto: Onto) -> Self {
        let from = index * PANEL;
        Self { out, stride: width, from, columns: PANEL.min(width - from), onto }
    }

    /// The plain form of writing one row.
    fn write(&mut self, row: usize, numbers: &[f32; PANEL]) {
        let onto = self.onto;
        for (out, number) in self.row(row).iter_mut().zip(numbers) {
            *out = if onto == Onto::Added { *out + number } else { *number };
        }
    }

    fn row(&mut self, row: usize) -> &mut [f32] {
        &mut self.out[row * self.stride + self.from..][..self.columns]
    }

    fn fits(&self, rows: usize) -> bool {
        self.columns <= PANEL
            && (rows == 0 || (rows - 1) * self.stride + self.from + self.columns <= self.out.len())
    }
}

/// One f32 panel: for each input, the weights of all its outputs.
#[derive(Clone, Copy)]
pub(super) struct PanelF32<'a> {
    pub(super) weights: &'a [f32],
    pub(super) bias: &'a [f32; PANEL],
}

/// One 8-bit panel: for each four inputs, the four weights of all its outputs.
#[derive(Clone, Copy)]
pub(super) struct PanelI8<'a> {
    pub(super) weights: &'a [i8],
    /// One per output.
    pub(super) scales: &'a [f32; PANEL],
    /// 128 times the sum of each output's weights: inputs are stored plus 128.
    pub(super) offsets: &'a [i32; PANEL],
    pub(super) bias: &'a [f32; PANEL],
}

/// `target[i][j] (+)= bias[j] + sum_k rows[i][k] * weights[k][j]`.
pub(super) fn product_f32(rows: Rows<'_, f32>, panel: PanelF32<'_>, mut target: Target<'_>) {
    assert!(rows.fits() && target.fits(rows.count) && panel.weights.len() >= rows.width * PANEL);
    #[cfg(target_arch = "x86_64")]
    if InstructionSet::detect() >= InstructionSet::Avx512 {
        // SAFETY: the processor has AVX-512 F; sizes are checked above.
        unsafe { avx512::product_f32(rows, panel, &mut target) };
        return;
    }
    let mut row = 0;
    while row < rows.count {
        let mut sums = [*panel.bias; 4];
        if row + 4 <= rows.count {
            four_rows_f32([0, 1, 2, 3].map(|i| rows.row(row + i)), panel.weights, &mut sums);
            (0..4).for_each(|i| target.write(row + i, &sums[i]));
            row += 4;
        } else {
            row_f32(rows.row(row), panel.weights, &mut sums[0]);
            target.write(row, &sums[0]);
            row += 1;
        }
    }
}

multiversion! {
    /// The definition of the f32 product, for one row.
    fn row_f32(row: &[f32], weights: &[f32], sums: &mut [f32; PANEL]) {
        for (&x, weights) in row.iter().zip(weights.as_chunks::<PANEL>().0) {
            for (sum, &w) in sums.iter_mut().zip(weights) {
                *sum = multiply_add::<FUSED>(x, w, *sum);
            }
        }
    }
}

multiversion! {
    /// The same for four rows, so that each weight is read once for all; half a
    /// panel at a time, since 64 sums are what AVX2 and NEON hold in registers.
    fn four_rows_f32(rows: [&[f32]; 4], weights: &[f32], sums: &mut [[f32; PANEL]; 4]) {
        for half in [0, 16] {
            let mut held = [[0.0; 16]; 4];
            for (held, sums) in held.iter_mut().zip(sums.iter()) {
                held.copy_from_slice(&sums[half..half + 16]);
            }
            for (k, weights) in weights.as_chunks::<PANEL>().0.iter().enumerate().take(rows[0].len()) {
                for (held, row) in held.iter_mut().zip(rows) {
                    for (sum, &w) in held.iter_mut().zip(&weights[half..half + 16]) {
                        *sum = multiply_add::<FUSED>(row[k], w, *sum);
                    }
                }
            }
            for (held, sums) in held.iter().zip(sums.iter_mut()) {
                sums[half..half + 16].copy_from_slice(held);
            }
        }
    }
}

/// `target[i][j] (+)= bias[j] + row_scales[i] * scales[j] * (sum_k rows[i][k] * weights[k][j] - offsets[j])`.
pub(super) fn product_i8(rows: Rows<'_, u8>, row_scales: &[f32], panel: PanelI8<'_>, mut target: Target<'_>) {
    assert!(rows.fits() && target.fits(rows.count) && panel.weights.len() >= rows.width * PANEL);
    assert!(rows.width > 0 && rows.width.is_multiple_of(4) && row_scales.len() >= rows.count);
    #[cfg(target_arch = "x86_64")]
    if InstructionSet::detect() >= InstructionSet::Avx512Vnni {
        let with_amx =
            InstructionSet::detect() == InstructionSet::Amx && rows.width.is_multiple_of(amx::INPUTS);
        // SAFETY: the processor has AVX-512 VNNI, and AMX where asked; sizes are
        // checked above.
        unsafe {
            if with_amx {
                avx512::product_i8_amx(rows, row_scales, panel, &mut target);
            } else {
                avx512::product_i8(rows, row_scales, panel, &mut target);
            }
        }
        return;
    }
    for (i, row_scale) in row_scales.iter().enumerate().take(rows.count) {
        let mut sums = [0; PANEL];
        row_i8(rows.row(i), panel.weights, &mut sums);
        let number =
            |j: usize| (sums[j] - panel.offsets[j]) as f32 * (row_scale * panel.scales[j]) + panel.bias[j];
        target.write(i, &core::array::from_fn(number));
    }
}

/// The definition of the 8-bit product, for one row. Serving multiplies bytes only
/// where the AVX-512 form runs, so nobody waits for this one.
fn row_i8(row: &[u8], weights: &[i8], sums: &mut [i32; PANEL]) {
    for (bytes, weights) in row.as_chunks::<4>().0.iter().zip(weights.as_chunks::<{ 4 * PANEL }>().0) {
        let bytes = bytes.map(i32::from);
        for (sum, w) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
            let w = w.map(i32::from);
            *sum += bytes[0] * w[0] + bytes[1] * w[1] + bytes[2] * w[2] + bytes[3] * w[3];
        }
    }
}

/// The AVX-512 forms.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        __m512, __m512i, __mmask16, _MM_HINT_T1, _mm_prefetch, _mm512_add_ps, _mm512_cvtepi32_ps,
        _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
        _mm512_sub_epi32,
    };

    use super::amx;
    use super::{Onto, PANEL, PanelF32, PanelI8, Rows, TILE_ROWS, Target};

    /// Registers of 16 numbers per panel.
    const REGISTERS: usize = PANEL / 16;

    /// Calls `$tile::<ROWS>` over all rows with the largest tiles that fit.
    macro_rules! by_tiles {
        ($count:expr, |$first:ident| $tile:ident($($argument:expr),*)) => {{
            let mut $first = 0;
            while $first < $count {
                $first += match $count - $first {
                    TILE_ROWS.. => { $tile::<TILE_ROWS>($($argument),*); TILE_ROWS }
                    8.. => { $tile::<8>($($argument),*); 8 }
                    4.. => { $tile::<4>($($argument),*); 4 }
                    2.. => { $tile::<2>($($argument),*); 2 }
                    _ => { $tile::<1>($($argument),*); 1 }
                };
            }
        }};
    }

    /// As [`super::product_f32`], which has checked all sizes.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn product_f32(rows: Rows<'_, f32>, panel: PanelF32<'_>, target: &mut Target<'_>) {
        // SAFETY: every tile lies inside the rows that the caller has checked.
        unsafe { by_tiles!(rows.count, |first| tile_f32(rows, first, panel, target)) }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn tile_f32<const ROWS: usize>(
        rows: Rows<'_, f32>,
        first: usize,
        panel: PanelF32<'_>,
        target: &mut Target<'_>,
    ) {
        // SAFETY: the sizes are checked by the caller; k < width, row < ROWS,
        // register < REGISTERS = PANEL / 16.
        unsafe {
            let inputs = rows.values.as_ptr().add(first * rows.stride);
            let mut sums: [[__m512; REGISTERS]; ROWS] =
                [core::array::from_fn(|r| _mm512_loadu_ps(panel.bias.as_ptr().add(16 * r))); ROWS];
            for k in 0..rows.width {
                let weights: [__m512; REGISTERS] =
                    core::array::from_fn(|r| _mm512_loadu_ps(panel.weights.as_ptr().add(k * PANEL + 16 * r)));
                prefetch_next(panel.weights, k * PANEL, rows.width * PANEL);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*inputs.add(row * rows.stride + k));
                    for (sum, w) in sums.iter_mut().zip(&weights) {
                        *sum = _mm512_fmadd_ps(x, *w, *sum);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                store(target, first + row, sums);
            }
        }
    }

    /// As [`super::product_i8`], which has checked all sizes.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn product_i8(
        rows: Rows<'_, u8>,
        row_scales: &[f32],
        panel: PanelI8<'_>,
        target: &mut Target<'_>,
    ) {
        // SAFETY: every tile lies inside the rows that the caller has checked.
        unsafe { by_tiles!(rows.count, |first| tile_i8(rows, row_scales, first, panel, target)) }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn tile_i8<const ROWS: usize>(
        rows: Rows<'_, u8>,
        row_scales: &[f32],
        first: usize,
        panel: PanelI8<'_>,
        target: &mut Target<'_>,
    ) {
        // SAFETY: as in `tile_f32`; one step reads four bytes of a row and four
        // times PANEL weights, and the width is a multiple of four.
        unsafe {
            let inputs = rows.values.as_ptr().add(first * rows.stride);
            let mut sums: [[__m512i; REGISTERS]; ROWS] = [[_mm512_setzero_si512(); REGISTERS]; ROWS];
            for k in 0..rows.width / 4 {
                let weights: [__m512i; REGISTERS] = core::array::from_fn(|r| {
                    _mm512_loadu_si512(panel.weights.as_ptr().add(4 * PANEL * k + 64 * r).cast())
                });
                prefetch_next(panel.weights, 4 * k * PANEL, rows.width * PANEL);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let four = inputs.add(row * rows.stride + 4 * k).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(four);
                    for (sum, w) in sums.iter_mut().zip(&weights) {
                        *sum = _mm512_dpbusd_epi32(*sum, x, *w);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                store(target, first + row, &numbers(sums, row_scales[first + row], panel));
            }
        }
    }

    /// As [`super::product_i8`], which has checked all sizes; the width is a multiple
    /// of [`amx::INPUTS`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn product_i8_amx(
        rows: Rows<'_, u8>,
        row_scales: &[f32],
        panel: PanelI8<'_>,
        target: &mut Target<'_>,
    ) {
        let mut all: amx::Sums = [[0; PANEL]; _];
        for first in (0..rows.count).step_by(all.len()) {
            let count = all.len().min(rows.count - first);
            let bytes = amx::Bytes { first: rows.row(first).as_ptr(), stride: rows.stride, count };
            // SAFETY: the rows lie in their slice and the panel has as many inputs, by
            // the caller's checks; the sums of a row are PANEL numbers.
            unsafe {
                amx::product(bytes, panel.weights.as_ptr(), rows.width / amx::INPUTS, &mut all);
                for (row, sums) in all.iter().enumerate().take(count) {
                    let sums = core::array::from_fn(|r| _mm512_loadu_si512(sums.as_ptr().add(16 * r).cast()));
                    store(target, first + row, &numbers(&sums, row_scales[first + row], panel));
                }
            }
        }
    }

    /// The numbers that a row's sums of bytes stand for.
    #[target_feature(enable = "avx512f")]
    unsafe fn numbers(
        sums: &[__m512i; REGISTERS],
        row_scale: f32,
        panel: PanelI8<'_>,
    ) -> [__m512; REGISTERS] {
        let row_scale = _mm512_set1_ps(row_scale);
        core::array::from_fn(|r| {
            // SAFETY: register < REGISTERS = PANEL / 16.
            let (offset, scale, bias) = unsafe {
                (
                    _mm512_loadu_si512(panel.offsets.as_ptr().add(16 * r).cast()),
                    _mm512_loadu_ps(panel.scales.as_ptr().add(16 * r)),
                    _mm512_loadu_ps(panel.bias.as_ptr().add(16 * r)),
                )
            };
            let sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[r], offset));
            _mm512_fmadd_ps(sum, _mm512_mul_ps(row_scale, scale), bias)
        })
    }

    /// Asks for the 128 bytes that stand at the same place of the next panel, which
    /// follows this one in memory: without it, few rows wait for weights.
    #[inline(always)]
    fn prefetch_next<T>(weights: &[T], place: usize, panel: usize) {
        let next = weights.as_ptr().wrapping_add(panel + place).cast::<i8>();
        // SAFETY: a prefetch never faults, wherever it points.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(next);
            _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(64));
        }
    }

    /// Writes the columns of one row.
    #[target_feature(enable = "avx512f")]
    unsafe fn store(target: &mut Target<'_>, row: usize, numbers: &[__m512; REGISTERS]) {
        for (r, number) in numbers.iter().enumerate() {
            let columns = target.columns.saturating_sub(16 * r).min(16);
            let mask = ((1_u32 << columns) - 1) as __mmask16;
            // SAFETY: the mask keeps load and store inside the target's columns,
            // which the caller has checked to lie inside the slice.
            unsafe {
                let start = target.out.as_mut_ptr().add(row * target.stride + target.from);
                let start = start.wrapping_add(16 * r);
                let sum = match target.onto {
                    Onto::Replaced => *number,
                    Onto::Added => _mm512_add_ps(*number, _mm512_maskz_loadu_ps(mask, start)),
                };
                _mm512_mask_storeu_ps(start, mask, sum);
            }
        }
    }
}
