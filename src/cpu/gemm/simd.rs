//! The vector operations that the micro-kernel and packing need, implemented for each instruction set.
//!
//! All of them are `#[inline(always)]` and are compiled inside a function that has the target features (`isa.rs`), so
//! the micro-kernel has one source for all instruction sets.

/// Operations on a vector of `LANES` floats. Pointers need not be aligned.
///
/// All unsafe functions need a processor with the instruction set.
pub(super) trait Simd {
    /// The register type.
    type V: Copy;
    /// Floats in a register.
    const LANES: usize;
    /// 0.0 in every lane.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn zero() -> Self::V;
    /// `*p` in every lane.
    ///
    /// # Safety
    /// The processor has the instruction set, and `p` can be read.
    unsafe fn splat(p: *const f32) -> Self::V;
    /// `LANES` floats from `p`.
    ///
    /// # Safety
    /// The processor has the instruction set, and `LANES` floats from `p` can be read.
    unsafe fn load(p: *const f32) -> Self::V;
    /// The first `count` floats from `p`, then zeros. Reads nothing beyond them.
    ///
    /// # Safety
    /// The processor has the instruction set, `count` <= `LANES`, and as many floats from `p` can be read.
    unsafe fn load_part(p: *const f32, count: usize) -> Self::V;
    /// `LANES` floats to `p`.
    ///
    /// # Safety
    /// The processor has the instruction set, and `LANES` floats from `p` can be written.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `count` lanes to `p`. Writes nothing beyond them.
    ///
    /// # Safety
    /// The processor has the instruction set, `count` <= `LANES`, and as many floats from `p` can be written.
    unsafe fn store_part(p: *mut f32, v: Self::V, count: usize);
    /// x + y.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn add(x: Self::V, y: Self::V) -> Self::V;
    /// x y + z, rounded once if the instruction set has a fused multiply-add.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn fma(x: Self::V, y: Self::V, z: Self::V) -> Self::V;
    /// `dst[p * dst_stride + j] = src[j * src_stride + p]` for j < `LANES` and p < `count`. Rows
    /// j >= `rows` count as zeros and are not read.
    ///
    /// # Safety
    /// The processor has the instruction set; `rows`, `count` <= `LANES`; `count` floats from each of the
    /// `rows` rows of `src` can be read, and `LANES` floats from each of the `count` rows of `dst` written.
    unsafe fn transpose(
        src: *const f32,
        src_stride: usize,
        rows: usize,
        count: usize,
        dst: *mut f32,
        dst_stride: usize,
    );
    /// Bit i is set if float i of the `count` floats from `p` is not 0. NaN counts as not 0.
    ///
    /// # Safety
    /// The processor has the instruction set, `count` <= `LANES`, and as many floats from `p` can be read.
    #[inline(always)]
    unsafe fn nonzero(p: *const f32, count: usize) -> u32 {
        // SAFETY: the caller guarantees `count` floats.
        (0..count).map(|i| u32::from(unsafe { *p.add(i) } != 0.0) << i).sum()
    }
    /// Prefetches the cache line of `p` into L1. The address need not be valid.
    #[inline(always)]
    fn prefetch(_p: *const f32) {}
    /// Prefetches it into L2.
    #[inline(always)]
    fn prefetch_l2(_p: *const f32) {}
}

/// Wraps the bodies of functions of [`Simd`] whose safety requirements are those of the trait.
macro_rules! implemented {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {$(
        #[inline(always)]
        #[allow(unused_unsafe)] // An intrinsic of the target's baseline is safe.
        unsafe fn $name($($arg: $type),*) $(-> $result)? {
            // SAFETY: the caller guarantees what the trait asks for: the instruction set of every intrinsic
            // here, and memory for the lanes that are touched.
            unsafe { $body }
        }
    )*};
}

/// Four lanes in plain Rust; the compiler may use vector instructions of the target's baseline.
pub(super) struct Portable;

impl Simd for Portable {
    type V = [f32; 4];
    const LANES: usize = 4;
    implemented! {
        fn zero() -> [f32; 4] { [0.0; 4] }
        fn splat(p: *const f32) -> [f32; 4] { [*p; 4] }
        fn load(p: *const f32) -> [f32; 4] { p.cast::<[f32; 4]>().read_unaligned() }
        fn load_part(p: *const f32, count: usize) -> [f32; 4] {
            std::array::from_fn(|i| if i < count { *p.add(i) } else { 0.0 })
        }
        fn store(p: *mut f32, v: [f32; 4]) { p.cast::<[f32; 4]>().write_unaligned(v) }
        fn store_part(p: *mut f32, v: [f32; 4], count: usize) {
            for (i, x) in v.into_iter().enumerate().take(count) {
                *p.add(i) = x;
            }
        }
        fn add(x: [f32; 4], y: [f32; 4]) -> [f32; 4] { std::array::from_fn(|i| x[i] + y[i]) }
        // Rounded twice: a fused multiply-add would be a library call if the baseline lacks the instruction.
        fn fma(x: [f32; 4], y: [f32; 4], z: [f32; 4]) -> [f32; 4] {
            std::array::from_fn(|i| x[i] * y[i] + z[i])
        }
    }
    #[inline(always)]
    unsafe fn transpose(
        src: *const f32,
        src_stride: usize,
        rows: usize,
        count: usize,
        dst: *mut f32,
        dst_stride: usize,
    ) {
        for p in 0..count {
            for j in 0..4 {
                // SAFETY: element p < `count` of row j < `rows`, and lane j < 4 of row p of `dst`, as the
                // caller guarantees.
                unsafe {
                    let x = if j < rows { *src.add(j * src_stride + p) } else { 0.0 };
                    *dst.add(p * dst_stride + j) = x;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// 16 lanes, 32 registers, masks.
    pub struct Avx512;

    #[inline(always)]
    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as __mmask16
    }

    impl Simd for Avx512 {
        type V = __m512;
        const LANES: usize = 16;
        implemented! {
            fn zero() -> __m512 { _mm512_setzero_ps() }
            fn splat(p: *const f32) -> __m512 { _mm512_set1_ps(*p) }
            fn load(p: *const f32) -> __m512 { _mm512_loadu_ps(p) }
            fn load_part(p: *const f32, count: usize) -> __m512 {
                _mm512_maskz_loadu_ps(mask(count), p)
            }
            fn store(p: *mut f32, v: __m512) { _mm512_storeu_ps(p, v) }
            fn store_part(p: *mut f32, v: __m512, count: usize) {
                _mm512_mask_storeu_ps(p, mask(count), v)
            }
            fn add(x: __m512, y: __m512) -> __m512 { _mm512_add_ps(x, y) }
            fn fma(x: __m512, y: __m512, z: __m512) -> __m512 { _mm512_fmadd_ps(x, y, z) }
            fn nonzero(p: *const f32, count: usize) -> u32 {
                let (x, zero) = (Self::load_part(p, count), _mm512_setzero_ps());
                u32::from(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, zero))
            }
        }
        #[inline(always)]
        unsafe fn transpose(
            src: *const f32,
            src_stride: usize,
            rows: usize,
            count: usize,
            dst: *mut f32,
            dst_stride: usize,
        ) {
            // SAFETY: rows j < `rows` of `src` are read, `count` floats of each, and rows p < `count` of
            // `dst` written, as the caller guarantees, together with the instruction set of the intrinsics.
            unsafe {
                let mut r = [_mm512_setzero_ps(); 16];
                if rows == 16 && count == 16 {
                    for (j, r) in r.iter_mut().enumerate() {
                        *r = _mm512_loadu_ps(src.add(j * src_stride));
                    }
                } else {
                    for (j, r) in r.iter_mut().enumerate() {
                        // Skip rows that do not exist: a masked load of zero lanes from an unmapped address is
                        // valid but takes microseconds.
                        if j < rows {
                            *r = Self::load_part(src.add(j * src_stride), count);
                        }
                    }
                }
                // Interleave pairs of rows, then quads: 128-bit lane l of u[4 g + c] holds column
                // 4 l + c of rows 4 g .. 4 g + 4.
                let mut u = r;
                for g in 0..4 {
                    let q = 4 * g;
                    let lo = _mm512_castps_pd(_mm512_unpacklo_ps(r[q], r[q + 1]));
                    let hi = _mm512_castps_pd(_mm512_unpackhi_ps(r[q], r[q + 1]));
                    let lo2 = _mm512_castps_pd(_mm512_unpacklo_ps(r[q + 2], r[q + 3]));
                    let hi2 = _mm512_castps_pd(_mm512_unpackhi_ps(r[q + 2], r[q + 3]));
                    u[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, lo2));
                    u[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, lo2));
                    u[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi, hi2));
                    u[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi, hi2));
                }
                // Then exchange 128-bit lanes.
                for c in 0..4 {
                    let even = _mm512_shuffle_f32x4::<0x88>(u[c], u[4 + c]);
                    let odd = _mm512_shuffle_f32x4::<0xdd>(u[c], u[4 + c]);
                    let even2 = _mm512_shuffle_f32x4::<0x88>(u[8 + c], u[12 + c]);
                    let odd2 = _mm512_shuffle_f32x4::<0xdd>(u[8 + c], u[12 + c]);
                    r[c] = _mm512_shuffle_f32x4::<0x88>(even, even2);
                    r[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd, odd2);
                    r[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even, even2);
                    r[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd, odd2);
                }
                if count == 16 {
                    for (p, &r) in r.iter().enumerate() {
                        _mm512_storeu_ps(dst.add(p * dst_stride), r);
                    }
                } else {
                    for (p, &r) in r.iter().enumerate() {
                        if p < count {
                            _mm512_storeu_ps(dst.add(p * dst_stride), r);
                        }
                    }
                }
            }
        }
        #[inline(always)]
        fn prefetch(p: *const f32) {
            // SAFETY: part of x86-64 since SSE, and a hint: no address makes it fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
        #[inline(always)]
        fn prefetch_l2(p: *const f32) {
            // SAFETY: part of x86-64 since SSE, and a hint: no address makes it fault.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
        }
    }

    /// 8 lanes, 16 registers.
    pub struct Avx2;

    /// All ones in the first `count` lanes.
    ///
    /// # Safety
    /// The processor has AVX, and `count` <= 8.
    #[inline(always)]
    unsafe fn mask8(count: usize) -> __m256i {
        const WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: eight numbers from 8 - `count` on are inside the sixteen.
        unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(8 - count).cast()) }
    }

    impl Simd for Avx2 {
        type V = __m256;
        const LANES: usize = 8;
        implemented! {
            fn zero() -> __m256 { _mm256_setzero_ps() }
            fn splat(p: *const f32) -> __m256 { _mm256_set1_ps(*p) }
            fn load(p: *const f32) -> __m256 { _mm256_loadu_ps(p) }
            fn load_part(p: *const f32, count: usize) -> __m256 {
                _mm256_maskload_ps(p, mask8(count))
            }
            fn store(p: *mut f32, v: __m256) { _mm256_storeu_ps(p, v) }
            fn store_part(p: *mut f32, v: __m256, count: usize) {
                _mm256_maskstore_ps(p, mask8(count), v)
            }
            fn add(x: __m256, y: __m256) -> __m256 { _mm256_add_ps(x, y) }
            fn fma(x: __m256, y: __m256, z: __m256) -> __m256 { _mm256_fmadd_ps(x, y, z) }
            fn nonzero(p: *const f32, count: usize) -> u32 {
                let (x, zero) = (Self::load_part(p, count), _mm256_setzero_ps());
                _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(x, zero)) as u32
            }
        }
        #[inline(always)]
        unsafe fn transpose(
            src: *const f32,
            src_stride: usize,
            rows: usize,
            count: usize,
            dst: *mut f32,
            dst_stride: usize,
        ) {
            // SAFETY: rows j < `rows` of `src` are read, `count` floats of each, and rows p < `count` of
            // `dst` written, as the caller guarantees, together with the instruction set of the intrinsics.
            unsafe {
                let mut r = [_mm256_setzero_ps(); 8];
                for (j, r) in r.iter_mut().enumerate() {
                    if j < rows {
                        let row = src.add(j * src_stride);
                        *r = if count == 8 { Self::load(row) } else { Self::load_part(row, count) };
                    }
                }
                let mut u = r;
                for g in 0..2 {
                    let q = 4 * g;
                    let lo = _mm256_castps_pd(_mm256_unpacklo_ps(r[q], r[q + 1]));
                    let hi = _mm256_castps_pd(_mm256_unpackhi_ps(r[q], r[q + 1]));
                    let lo2 = _mm256_castps_pd(_mm256_unpacklo_ps(r[q + 2], r[q + 3]));
                    let hi2 = _mm256_castps_pd(_mm256_unpackhi_ps(r[q + 2], r[q + 3]));
                    u[q] = _mm256_castpd_ps(_mm256_unpacklo_pd(lo, lo2));
                    u[q + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(lo, lo2));
                    u[q + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(hi, hi2));
                    u[q + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(hi, hi2));
                }
                for c in 0..4 {
                    r[c] = _mm256_permute2f128_ps::<0x20>(u[c], u[4 + c]);
                    r[4 + c] = _mm256_permute2f128_ps::<0x31>(u[c], u[4 + c]);
                }
                for (p, &r) in r.iter().enumerate() {
                    if p < count {
                        _mm256_storeu_ps(dst.add(p * dst_stride), r);
                    }
                }
            }
        }
        #[inline(always)]
        fn prefetch(p: *const f32) {
            // SAFETY: part of x86-64 since SSE, and a hint: no address makes it fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
        #[inline(always)]
        fn prefetch_l2(p: *const f32) {
            // SAFETY: part of x86-64 since SSE, and a hint: no address makes it fault.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
        }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use wasm::Simd128;

#[cfg(target_arch = "aarch64")]
pub(super) use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{Portable, Simd};
    use std::arch::aarch64::*;

    /// 4 lanes, 32 registers.
    pub struct Neon;

    impl Simd for Neon {
        type V = float32x4_t;
        const LANES: usize = 4;
        implemented! {
            fn zero() -> float32x4_t { vdupq_n_f32(0.0) }
            fn splat(p: *const f32) -> float32x4_t { vld1q_dup_f32(p) }
            fn load(p: *const f32) -> float32x4_t { vld1q_f32(p) }
            fn load_part(p: *const f32, count: usize) -> float32x4_t {
                vld1q_f32(Portable::load_part(p, count).as_ptr())
            }
            fn store(p: *mut f32, v: float32x4_t) { vst1q_f32(p, v) }
            fn store_part(p: *mut f32, v: float32x4_t, count: usize) {
                let mut lanes = [0.0; 4];
                vst1q_f32(lanes.as_mut_ptr(), v);
                Portable::store_part(p, lanes, count);
            }
            fn add(x: float32x4_t, y: float32x4_t) -> float32x4_t { vaddq_f32(x, y) }
            fn fma(x: float32x4_t, y: float32x4_t, z: float32x4_t) -> float32x4_t { vfmaq_f32(z, x, y) }
        }
        #[inline(always)]
        unsafe fn transpose(
            src: *const f32,
            src_stride: usize,
            rows: usize,
            count: usize,
            dst: *mut f32,
            dst_stride: usize,
        ) {
            if rows < 4 || count < 4 {
                // SAFETY: both functions require the same of the caller.
                return unsafe {
                    Portable::transpose(src, src_stride, rows, count, dst, dst_stride)
                };
            }
            // SAFETY: four floats of four rows each are read and written, as the caller guarantees, together
            // with NEON.
            unsafe {
                let r: [float32x4_t; 4] =
                    std::array::from_fn(|j| vld1q_f32(src.add(j * src_stride)));
                let (lo, hi) = (vtrn1q_f32(r[0], r[1]), vtrn2q_f32(r[0], r[1]));
                let (lo2, hi2) = (vtrn1q_f32(r[2], r[3]), vtrn2q_f32(r[2], r[3]));
                let wide = |v| vreinterpretq_f64_f32(v);
                let narrow = |v| vreinterpretq_f32_f64(v);
                let columns = [
                    narrow(vtrn1q_f64(wide(lo), wide(lo2))),
                    narrow(vtrn1q_f64(wide(hi), wide(hi2))),
                    narrow(vtrn2q_f64(wide(lo), wide(lo2))),
                    narrow(vtrn2q_f64(wide(hi), wide(hi2))),
                ];
                for (p, v) in columns.into_iter().enumerate() {
                    vst1q_f32(dst.add(p * dst_stride), v);
                }
            }
        }
    }
}
