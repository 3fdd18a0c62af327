//! The matrix product C[m, n] = f(A[m, k] B[k, n] + bias\[n\]) on the CPU.
//!
//! # What makes a matrix product fast
//!
//! Per cycle, a core can execute one or two vector multiply-adds, but it can fetch only about two vectors from its
//! L1 cache, far fewer from L2, and almost none from memory. A product does m n k multiply-adds on only
//! m k + k n + m n numbers, so there is enough reuse. The goal is to use every number many times each time that it is
//! loaded into a faster level of the memory. The same idea is applied at each level, from the inside out:
//!
//! 1. **Registers** (`kernel.rs`). A tile of C, MR x NR, stays in registers while the sum runs over
//!    k. Step p loads NR numbers of row p of B as vectors, broadcasts MR numbers of column p of A,
//!    and adds their outer product: MR NR multiply-adds for MR + NR numbers. The tile is as large as
//!    the registers allow: 12 x 32 with AVX-512 (24 of 32 registers), 6 x 16 with AVX2 (12 of 16),
//!    12 x 8 with NEON, 6 x 8 with WebAssembly's SIMD128. The many independent sums also hide the latency of a
//!    multiply-add, about four cycles.
//! 2. **L1**. The sum over k is cut into blocks of KC, so that one micro-panel of A, MR x KC, stays in L1
//!    while the panels of B, KC x NR, stream past it.
//! 3. **L2**. A block of B, KC x NC, stays in L2 while all micro-panels of A use it, one after another.
//! 4. **Threads** (`parallel.rs`). Each thread computes a rectangle of C, so no two write the same memory.
//!
//! That makes five loops, named in `blocking.rs`: n by NC, k by KC, m by MR, NC by NR, and KC.
//!
//! **Packing** (`pack.rs`). A block of B whose rows are far apart is spread over many pages and, if the distance is
//! a multiple of a large power of two, over few cache sets. It is therefore copied once into exactly the order in
//! which the micro-kernel reads it. A transposed B, whose columns are contiguous, is transposed in registers on the
//! way. A B that many products use, such as a weight that is shared over time, is packed once for all of them
//! ([`pack`]). A is read by broadcasts, which work on any layout, so it is copied (never transposed), and only if many
//! panels of B will use it. Packing costs a pass over the operand and pays off if the copy is used often. With few
//! rows or a small B, the operands are read unpacked. Many products of the models are of that kind (28 x 64 x 32).
//!
//! **Fused epilogue.** The bias is added while a tile is stored after its last k-block; the activation follows on
//! each group of MR rows while they are still in L1. A tile starts from C after the first k-block, or if the product is
//! added to C; otherwise C is not read and may hold anything, NaN included.
//!
//! **Edges.** The rows are cut evenly into tiles of at most MR rows, and there is a micro-kernel for
//! every height, so no row is padded. The last columns use masked loads and stores.
//!
//! **Few rows** (m <= 3, as for one sample). B is not reused, so it is read once, at the speed of the cache or memory
//! that holds it. Wide, flat tiles read long runs of it and keep enough sums in flight; a k-block is only eight rows of
//! B, which the processor's prefetcher can follow, while C stays in L1.
//!
//! **One row and a transposed B** (`dots.rs`), as in a linear layer on a single image. Transposing B would take longer
//! than the product. Each element of C is the dot product of two contiguous rows instead, with partial sums in the lanes
//! of a vector.
//!
//! **Short sums** with a small B (k = 32) write nearly as much as they read. 6 x 64 tiles (AVX-512)
//! write longer runs of C.
//!
//! **Identical results for any number of threads.** An element of C is one chain of multiply-adds in order of k,
//! whichever tile it is in and however the loops are cut. So it does not matter how threads cut C. There are two
//! exceptions, both decided by the shape alone. A weight gradient (32 x 64 x 12544) has too small a C to cut. There k
//! itself is split (split-K), and the parts are added in order, even if one thread computes them all. And dot products
//! add their lanes at the end, so that a row alone differs in its last bits from the same row among others. Different
//! instruction sets agree only up to rounding: the portable one and SIMD128 have no fused multiply-add.
//!
//! **Zeros** (`sparse.rs`). Binary images are mostly zeros; [`gemm_skipping_zeros`] skips them.
//!
//! The layouts NN, NT and TN of linear layers and their gradients are pairs of strides ([`Mat`]).
//!
//! Further reading: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
//! ACM TOMS 34(3), 2008; Van Zee and van de Geijn, "BLIS", ACM TOMS 41(3), 2015. There the panel of
//! B stays in L1 and A streams from L2; here the roles are exchanged, since A needs no packing.

#![allow(unsafe_code)] // Operands are read and written by pointer, with the intrinsics of each instruction set.

mod blocking;
mod dots;
mod isa;
mod kernel;
mod pack;
mod packed;
mod parallel;
pub mod peak;
mod simd;
mod sparse;

use super::Isa;
use blocking::{Product, View};
use isa::Kernels;
pub(crate) use pack::Scratch;
pub use packed::{Packed, Right, pack, packed_len};
pub(crate) use packed::{packs, panel};
pub(crate) use parallel::{at_once, in_share};
pub use sparse::Operand;

/// Function that is applied to every element of C after the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// The identity.
    None = 0,
    /// tanh x.
    Tanh = 1,
    /// 1 / (1 + e^-x).
    Sigmoid = 2,
    /// max(x, 0).
    Relu = 3,
}

/// A matrix in a slice: element (i, j) is `data[i * row_stride + j * col_stride]`. One of the strides must be 1;
/// exchange the strides to transpose the matrix. Its rows (or columns, if the columns are contiguous) must not overlap.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    /// The slice that holds the elements.
    pub data: &'a [f32],
    /// Distance between rows in elements.
    pub row_stride: usize,
    /// Distance between columns in elements.
    pub col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix with `columns` columns.
    pub fn row_major(data: &'a [f32], columns: usize) -> Mat<'a> {
        Mat { data, row_stride: columns, col_stride: 1 }
    }
}

/// A product C[m, n] = activation(A[m, k] B[k, n] + bias\[n\]), or C += A B.
pub struct Gemm<'a> {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Left operand, [m, k].
    pub a: Mat<'a>,
    /// Right operand, [k, n].
    pub b: Right<'a>,
    /// Bias \[n\], added to every row.
    pub bias: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Activation,
    /// Whether to add the product to C; not allowed with a bias or an activation.
    pub accumulate: bool,
}

/// Computes `g` into C, which is row-major with rows `c_stride` apart, on the threads of the current rayon
/// pool. C is read only if `accumulate` is set. The result is bitwise identical for any number of threads.
///
/// # Panics
/// If a slice is too short for its shape, no stride of a matrix is 1, its rows or columns overlap, or B was packed for
/// another shape or another instruction set than the current one.
#[track_caller]
pub fn gemm(g: &Gemm, c: &mut [f32], c_stride: usize) {
    multiply(Kernels::current(), g, c, c_stride);
}

/// [`gemm`] with a given instruction set.
///
/// # Panics
/// As [`gemm`]; and if the processor lacks `isa`.
#[track_caller]
pub fn gemm_with(isa: Isa, g: &Gemm, c: &mut [f32], c_stride: usize) {
    multiply(isa.kernels(), g, c, c_stride);
}

#[track_caller]
fn multiply(kernels: &'static Kernels, g: &Gemm, c: &mut [f32], c_stride: usize) {
    let product = checked(kernels, g, c, c_stride);
    // SAFETY: `checked` made the product for these kernels, and there are none whose features the processor
    // lacks.
    unsafe { parallel::run(kernels, &product) }
}

/// [`gemm`], but if at least two thirds of `operand` are zeros, they are skipped. A skipped zero contributes 0, even
/// if the other factor is NaN or infinite.
///
/// # Panics
/// As [`gemm`].
#[track_caller]
pub fn gemm_skipping_zeros(g: &Gemm, operand: Operand, c: &mut [f32], c_stride: usize) {
    let kernels = Kernels::current();
    let product = checked(kernels, g, c, c_stride);
    // SAFETY: as in `multiply`.
    if unsafe { !sparse::run(kernels, &product, operand) } {
        // SAFETY: as in `multiply`.
        unsafe { parallel::run(kernels, &product) }
    }
}

/// [`gemm`] on the calling thread alone, for kernels that parallelise over larger pieces of work.
///
/// # Panics
/// As [`gemm`].
#[track_caller]
pub(crate) fn gemm_on_this_thread(g: &Gemm, c: &mut [f32], c_stride: usize) {
    let kernels = Kernels::current();
    let product = checked(kernels, g, c, c_stride);
    // SAFETY: as in `multiply`.
    unsafe { blocking::multiply(kernels, &product) }
}

/// Fetches a row into L1, for a loop that will need it soon and walks through memory in a way that the processor does
/// not foresee.
#[inline]
pub(crate) fn prefetch(row: &[f32]) {
    (Kernels::current().prefetch_runs)(row.as_ptr(), 64, row.len().div_ceil(64), row.len());
}

/// Floats from the first to the last of `runs` runs of `len` floats, `stride` apart; `None` if the runs overlap or the
/// number overflows. A slice with at least this many floats contains every pointer into the runs.
#[inline]
fn span(runs: usize, len: usize, stride: usize) -> Option<usize> {
    match (runs, len) {
        (0, _) | (_, 0) => Some(0),
        (1, _) => Some(len),
        _ if stride < len => None,
        _ => (runs - 1).checked_mul(stride)?.checked_add(len),
    }
}

/// Turns the operands into pointers after checking their shapes against the slices.
#[track_caller]
fn checked(kernels: &Kernels, g: &Gemm, c: &mut [f32], c_stride: usize) -> Product {
    let (m, n, k) = (g.m, g.n, g.k);
    let a = view("A", g.a, m, k);
    let b = match g.b {
        Right::Plain(b) => view("B", b, k, n),
        Right::Packed(b) => b.view(kernels, k, n),
    };
    assert!(
        span(m, n, c_stride).is_some_and(|needed| needed <= c.len()),
        "gemm: C[{m}, {n}] with rows {c_stride} apart does not fit a slice of {} or overlaps itself",
        c.len()
    );
    if let Some(bias) = g.bias {
        assert!(bias.len() == n, "gemm: bias[{}] for C[{m}, {n}]", bias.len());
    }
    assert!(
        !g.accumulate || (g.bias.is_none() && g.activation == Activation::None),
        "gemm: C[{m}, {n}] += A B takes no bias and no activation"
    );
    Product {
        m,
        n,
        k,
        a,
        b,
        c: c.as_mut_ptr(),
        c_stride,
        bias: g.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
        activation: g.activation,
        accumulate: g.accumulate,
    }
}

/// Checks that a matrix of `rows` x `cols` is inside its slice, and finds which of rows and columns are contiguous.
#[track_caller]
fn view(name: &str, x: Mat, rows: usize, cols: usize) -> View {
    let (stride, columns) = if x.col_stride == 1 || cols <= 1 {
        (x.row_stride, false)
    } else {
        assert!(
            x.row_stride == 1 || rows <= 1,
            "gemm: {name}[{rows}, {cols}] has strides {} and {}; one must be 1",
            x.row_stride,
            x.col_stride
        );
        (x.col_stride, true)
    };
    let (runs, len) = if columns { (cols, rows) } else { (rows, cols) };
    assert!(
        span(runs, len, stride).is_some_and(|needed| needed <= x.data.len()),
        "gemm: {name}[{rows}, {cols}] with strides {} and {} does not fit a slice of {} or overlaps itself",
        x.row_stride,
        x.col_stride,
        x.data.len()
    );
    View { data: x.data.as_ptr(), stride, columns, panel: 0 }
}
