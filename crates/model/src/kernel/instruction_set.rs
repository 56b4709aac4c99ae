//! Which vector instructions this processor has, asked once.

use std::sync::OnceLock;

/// The instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// What every processor of the target architecture has (SSE2, NEON).
    Plain,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512,
    /// AVX-512 with VNNI, the 8-bit dot product.
    Avx512Vnni,
    /// The same and AMX, the 8-bit matrix product.
    Amx,
}

impl InstructionSet {
    /// The best set that this processor has. The environment variable
    /// `MINDRAIL_INSTRUCTION_SET` (`plain`, `avx2`, `avx512`, `vnni`) asks for a
    /// lesser one, for tests and comparisons.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<InstructionSet> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let wanted = match std::env::var("MINDRAIL_INSTRUCTION_SET").as_deref() {
                Ok("plain") => Self::Plain,
                Ok("avx2") => Self::Avx2,
                Ok("avx512") => Self::Avx512,
                Ok("vnni") => Self::Avx512Vnni,
                _ => Self::Amx,
            };
            Self::of_processor().min(wanted)
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn of_processor() -> Self {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (avx512, avx2) {
            (true, _) if is_x86_feature_detected!("avx512vnni") => {
                if super::amx::is_usable() {
                    Self::Amx
                } else {
                    Self::Avx512Vnni
                }
            }
            (true, _) => Self::Avx512,
            (false, true) => Self::Avx2,
            (false, false) => Self::Plain,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn of_processor() -> Self {
        Self::Plain
    }
}

/// Compiles a function once per instruction set and picks at run time. Inside
/// the body the constant `FUSED` says whether this set multiplies and adds in
/// one instruction; [`multiply_add`] takes it.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) $(-> $ret)? {
            #[allow(clippy::extra_unused_type_parameters, reason = "not every body multiplies and adds")]
            #[inline(always)]
            fn body<const FUSED: bool>($($arg: $type),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $type),*) $(-> $ret)? { body::<true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $ret)? { body::<true>($($arg),*) }

                use $crate::kernel::InstructionSet;
                let set = InstructionSet::detect();
                if set >= InstructionSet::Avx512 {
                    // SAFETY: `detect` found these features on this processor.
                    return unsafe { avx512($($arg),*) };
                }
                if set == InstructionSet::Avx2 {
                    // SAFETY: `detect` found these features on this processor.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// `a * b + c`: one instruction where there is one. Elsewhere the fused form
/// would be a slow library call, so the sum is rounded twice.
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
