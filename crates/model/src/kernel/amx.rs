//! The 8-bit product on AMX, the matrix unit of recent Xeons: a register there holds
//! 16 rows of 64 bytes, and one instruction multiplies 16 rows with 16 outputs over 64
//! inputs. A panel's weights lie as these registers want them.
//!
//! The compiler does not use these registers, so each of the two blocks of assembly
//! loads, multiplies and stores on its own.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use super::tile::PANEL;

/// Rows of one register.
const ROWS: usize = 16;
/// Inputs that one instruction multiplies.
pub(super) const INPUTS: usize = 64;

/// Sums of up to 32 rows, row by row.
pub(super) type Sums = [[i32; PANEL]; 2 * ROWS];

/// Whether the processor has AMX for bytes and the system lets this process use it,
/// which Linux must be asked for.
pub(super) fn is_usable() -> bool {
    // Leaf 7 says in EDX bits 24 and 25 whether there are AMX registers and their 8-bit
    // product; this is only asked on processors with AVX-512, which have that leaf.
    let has_amx = __cpuid_count(7, 0).edx >> 24 & 3 == 3;
    has_amx && is_permitted()
}

/// Asks Linux for the registers' state, for all threads of the process.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: the call takes two numbers and touches no memory of this process; it
    // fails with an error number where the kernel does not know it.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// How the registers are laid out: `LDTILECFG`'s 64 bytes.
#[repr(C, align(64))]
struct Layout {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_a_row: [u16; 16],
    rows: [u8; 16],
}

/// Rows of bytes that begin `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    pub(super) first: *const u8,
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// `sums[i][j] = sum_k rows[i][k] * weights[k][j]` for up to 32 rows.
///
/// # Safety
/// [`is_usable`] has said yes; `rows` holds 1 to 32 readable rows of `steps` times
/// [`INPUTS`] bytes, and `weights` a panel of as many inputs.
pub(super) unsafe fn product(rows: Bytes, weights: *const i8, steps: usize, sums: &mut Sums) {
    let above = rows.count.min(ROWS);
    let below = rows.count - above;
    let mut layout =
        Layout { palette: 1, start_row: 0, reserved: [0; 14], bytes_of_a_row: [0; 16], rows: [0; 16] };
    // Registers 0 to 3 hold sums, 4 and 5 rows, 6 and 7 weights.
    for (register, rows) in [above, above, below, below, above, below, ROWS, ROWS].into_iter().enumerate() {
        layout.rows[register] = rows as u8;
        layout.bytes_of_a_row[register] = if rows == 0 { 0 } else { 64 };
    }
    // SAFETY: the layout keeps all loads inside the rows and weights that the caller
    // vouches for, and the stores inside `sums`; the registers are given back.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const layout, options(nostack, readonly));
        if below == 0 {
            one_register(rows, weights, steps, sums);
        } else {
            two_registers(rows, weights, steps, sums);
        }
        asm!("tilerelease", options(nostack, nomem));
    }
}

/// The product of up to 16 rows.
unsafe fn one_register(rows: Bytes, weights: *const i8, steps: usize, sums: &mut Sums) {
    // SAFETY: as in `product`.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "2:",
            "tileloadd tmm4, [{rows} + {stride}*1]",
            "tileloadd tmm6, [{weights} + {panel}*1]",
            "tdpbusd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{weights} + {panel}*1 + 64]",
            "tdpbusd tmm1, tmm4, tmm7",
            "add {rows}, 64",
            "add {weights}, 2048",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{sums} + {panel}*1], tmm0",
            "tilestored [{sums} + {panel}*1 + 64], tmm1",
            rows = inout(reg) rows.first => _,
            stride = in(reg) rows.stride,
            weights = inout(reg) weights => _,
            // Of four inputs' weights, and of one row's sums.
            panel = in(reg) 4 * PANEL,
            steps = inout(reg) steps => _,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// The product of 17 to 32 rows.
unsafe fn two_registers(rows: Bytes, weights: *const i8, steps: usize, sums: &mut Sums) {
    // SAFETY: as in `product`.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{above} + {stride}*1]",
            "tileloadd tmm6, [{weights} + {panel}*1]",
            "tdpbusd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{weights} + {panel}*1 + 64]",
            "tdpbusd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{below} + {stride}*1]",
            "tdpbusd tmm2, tmm5, tmm6",
            "tdpbusd tmm3, tmm5, tmm7",
            "add {above}, 64",
            "add {below}, 64",
            "add {weights}, 2048",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{sums} + {panel}*1], tmm0",
            "tilestored [{sums} + {panel}*1 + 64], tmm1",
            "tilestored [{sums} + {panel}*1 + 2048], tmm2",
            "tilestored [{sums} + {panel}*1 + 2112], tmm3",
            above = inout(reg) rows.first => _,
            below = inout(reg) rows.first.add(ROWS * rows.stride) => _,
            stride = in(reg) rows.stride,
            weights = inout(reg) weights => _,
            panel = in(reg) 4 * PANEL,
            steps = inout(reg) steps => _,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
