//! Instruction sets: which ones the processor has, and which one the kernels use.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An instruction set that the CPU kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with 512-bit vectors (F, VL, DQ, BW) and fused multiply-add.
    Avx512,
    /// x86-64 with 256-bit vectors and fused multiply-add.
    Avx2,
    /// AArch64 with 128-bit vectors.
    Neon,
    /// WebAssembly with 128-bit vectors, if the code is compiled for them.
    Simd128,
    /// The target's baseline.
    Portable,
}

/// Index of the current instruction set in [`Isa::available`].
static CURRENT: AtomicUsize = AtomicUsize::new(0);

impl Isa {
    /// The instruction sets that this processor supports, fastest first.
    pub fn available() -> &'static [Isa] {
        static AVAILABLE: OnceLock<Vec<Isa>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            // From the slowest to the fastest.
            let mut isas = vec![Isa::Portable];
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            isas.push(Isa::Simd128);
            #[cfg(target_arch = "aarch64")]
            if std::arch::is_aarch64_feature_detected!("neon") {
                isas.push(Isa::Neon);
            }
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    isas.push(Isa::Avx2);
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("fma")
                {
                    isas.push(Isa::Avx512);
                }
            }
            isas.reverse();
            isas
        })
    }

    /// Name in messages and tables.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "AVX-512",
            Isa::Avx2 => "AVX2+FMA",
            Isa::Neon => "NEON",
            Isa::Simd128 => "SIMD128",
            Isa::Portable => "portable",
        }
    }

    /// The instruction set that kernels use: the fastest, unless [`Isa::choose`] has changed it.
    #[inline]
    pub fn current() -> Isa {
        Isa::available()[CURRENT.load(Ordering::Relaxed)]
    }

    /// Makes all kernels of the process use this instruction set from now on, for tests and measurements. Results
    /// of different instruction sets differ by rounding. Panics if the processor does not support it.
    #[track_caller]
    pub fn choose(self) {
        let position = Isa::available().iter().position(|&isa| isa == self);
        let position = position.unwrap_or_else(|| panic!("this processor lacks {self:?}"));
        CURRENT.store(position, Ordering::Relaxed);
    }
}
