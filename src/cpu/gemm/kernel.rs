//! The micro-kernel: one tile of C, MR rows by NV vectors, held in registers over a whole k-block.
//!
//! For every p it loads NV vectors of row p of B, broadcasts the MR elements of column p of A, and adds their outer
//! product to the tile: MR * NV multiply-adds for MR + NV loads. The multiply-add units are therefore the
//! bottleneck, not the load ports. A broadcast costs no more than a load, so A needs no vector layout: it is read
//! as rows (stride 1 along k) or as columns (stride 1 along m).

use super::simd::Simd;

/// Operands of one tile, C[mr, cols] (+)= A[mr, k] B[k, cols].
pub(super) struct Tile {
    /// A(0, 0).
    pub a: *const f32,
    /// Distance between rows of A if it is read as rows, between columns if it is read as columns.
    pub a_stride: usize,
    /// B(0, 0); rows are contiguous.
    pub b: *const f32,
    /// Distance between rows of B.
    pub b_stride: usize,
    /// C(0, 0); rows are contiguous.
    pub c: *mut f32,
    /// Distance between rows of C.
    pub c_stride: usize,
    /// Length of the sum.
    pub k: usize,
    /// Width of the tile in columns, for kernels whose last vector is partial.
    pub cols: usize,
    /// Whether the sums start from C; otherwise they start from 0, and C is not read.
    pub add: bool,
    /// Bias of these columns, or null.
    pub bias: *const f32,
    /// Prefetching for later tiles (A as rows only): each step of the sum fetches one cache line into L2. Address of
    /// the first, and distance to the next in floats.
    pub ahead: (*const f32, usize),
}

/// Smallest number of multiply-adds per step of the sum that hides one additional load.
const SPACIOUS: usize = 8;

/// A micro-kernel for one height, number of vectors, form of A, and kind of last vector.
pub(super) type Kernel = unsafe fn(&Tile);

/// Computes one [`Tile`]. `COLUMNS`: A has stride 1 along m. `PART`: the last vector is partial, as only `cols`
/// columns exist.
///
/// # Safety
/// The processor has the instruction set. The tile is MR rows high and `cols` columns wide: NV vectors, or
/// with `PART` at most NV vectors and more than NV - 1. All elements of A\[MR, k\], B\[k, `cols`\], the bias
/// if it is not null, and C, if it is added to, can be read, and those of C written.
#[inline(always)]
pub(super) unsafe fn kernel<
    S: Simd,
    const MR: usize,
    const NV: usize,
    const COLUMNS: bool,
    const PART: bool,
>(
    t: &Tile,
) {
    // SAFETY: rows i < MR of A and C, steps p < k of A and B, and vectors v < NV are touched, of the last one
    // with `PART` `cols` - (NV - 1) lanes only: elements that the caller guarantees. Pointers that run on
    // beyond the last element, and those that are prefetched, wrap and are not read.
    unsafe {
        let last = t.cols.wrapping_sub((NV - 1) * S::LANES);
        let load = |p: *const f32, v: usize| {
            let p = p.add(v * S::LANES);
            if PART && v == NV - 1 { S::load_part(p, last) } else { S::load(p) }
        };
        // Prefetch C while the sum runs, even if it is only written: the processor fetches a line before it writes
        // a part of it.
        for i in 0..MR {
            S::prefetch(t.c.wrapping_add(i * t.c_stride));
            S::prefetch(t.c.wrapping_add(i * t.c_stride + (NV * S::LANES - 1)));
        }
        let mut acc = [[S::zero(); NV]; MR];
        if t.add {
            for (i, acc) in acc.iter_mut().enumerate() {
                let c = t.c.add(i * t.c_stride);
                *acc = std::array::from_fn(|v| load(c, v));
            }
        }
        let mut b = t.b;
        if COLUMNS {
            let mut a = t.a;
            for _ in 0..t.k {
                let bv: [S::V; NV] = std::array::from_fn(|v| load(b, v));
                for (i, acc) in acc.iter_mut().enumerate() {
                    let av = S::splat(a.add(i));
                    for v in 0..NV {
                        acc[v] = S::fma(av, bv[v], acc[v]);
                    }
                }
                a = a.wrapping_add(t.a_stride);
                b = b.wrapping_add(t.b_stride);
            }
        } else {
            // One pointer serves three rows (base, base + stride, base + 2 stride are addressing
            // modes), so that the pointers of all rows fit the general registers.
            let mut base: [*const f32; MR] =
                std::array::from_fn(|g| t.a.wrapping_add(3 * g * t.a_stride));
            let (mut ahead, step) = t.ahead;
            for _ in 0..t.k {
                // In a small tile the load ports are busy already.
                if MR * NV >= SPACIOUS {
                    S::prefetch_l2(ahead);
                    ahead = ahead.wrapping_add(step);
                }
                let bv: [S::V; NV] = std::array::from_fn(|v| load(b, v));
                for (i, acc) in acc.iter_mut().enumerate() {
                    let av = S::splat(base[i / 3].add(i % 3 * t.a_stride));
                    for v in 0..NV {
                        acc[v] = S::fma(av, bv[v], acc[v]);
                    }
                }
                for base in base.iter_mut().take(MR.div_ceil(3)) {
                    *base = base.wrapping_add(1);
                }
                b = b.wrapping_add(t.b_stride);
            }
        }
        let store = |p: *mut f32, v: usize, x: S::V| {
            let p = p.add(v * S::LANES);
            if PART && v == NV - 1 { S::store_part(p, x, last) } else { S::store(p, x) }
        };
        let bias =
            (!t.bias.is_null()).then(|| -> [S::V; NV] { std::array::from_fn(|v| load(t.bias, v)) });
        for (i, acc) in acc.into_iter().enumerate() {
            let c = t.c.add(i * t.c_stride);
            for (v, mut x) in acc.into_iter().enumerate() {
                if let Some(bias) = bias {
                    x = S::add(x, bias[v]);
                }
                store(c, v, x);
            }
        }
    }
}
