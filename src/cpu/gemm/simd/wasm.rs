//! WebAssembly's 128-bit vectors. The browser maps them to the 16 or 32 vector registers of the processor.

use super::{Portable, Simd};
use std::arch::wasm32::*;

/// 4 lanes, no fused multiply-add.
pub struct Simd128;

impl Simd for Simd128 {
    type V = v128;
    const LANES: usize = 4;
    implemented! {
        fn zero() -> v128 { f32x4_splat(0.0) }
        fn splat(p: *const f32) -> v128 { v128_load32_splat(p.cast()) }
        fn load(p: *const f32) -> v128 { v128_load(p.cast()) }
        fn load_part(p: *const f32, count: usize) -> v128 {
            v128_load(Portable::load_part(p, count).as_ptr().cast())
        }
        fn store(p: *mut f32, v: v128) { v128_store(p.cast(), v) }
        fn store_part(p: *mut f32, v: v128, count: usize) {
            let mut lanes = [0.0; 4];
            v128_store(lanes.as_mut_ptr().cast(), v);
            Portable::store_part(p, lanes, count);
        }
        fn add(x: v128, y: v128) -> v128 { f32x4_add(x, y) }
        fn fma(x: v128, y: v128, z: v128) -> v128 { f32x4_add(f32x4_mul(x, y), z) }
        fn nonzero(p: *const f32, count: usize) -> u32 {
            u32::from(i32x4_bitmask(f32x4_ne(Self::load_part(p, count), Self::zero())))
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
        if rows < 4 || count < 4 {
            // SAFETY: both functions require the same of the caller.
            return unsafe { Portable::transpose(src, src_stride, rows, count, dst, dst_stride) };
        }
        // SAFETY: the caller guarantees that at least four floats of four rows can be read and written.
        unsafe {
            let r: [v128; 4] = std::array::from_fn(|j| Self::load(src.add(j * src_stride)));
            let (lo, hi) =
                (i32x4_shuffle::<0, 4, 1, 5>(r[0], r[1]), i32x4_shuffle::<2, 6, 3, 7>(r[0], r[1]));
            let (lo2, hi2) =
                (i32x4_shuffle::<0, 4, 1, 5>(r[2], r[3]), i32x4_shuffle::<2, 6, 3, 7>(r[2], r[3]));
            let columns = [
                i64x2_shuffle::<0, 2>(lo, lo2),
                i64x2_shuffle::<1, 3>(lo, lo2),
                i64x2_shuffle::<0, 2>(hi, hi2),
                i64x2_shuffle::<1, 3>(hi, hi2),
            ];
            for (p, v) in columns.into_iter().enumerate() {
                Self::store(dst.add(p * dst_stride), v);
            }
        }
    }
}
