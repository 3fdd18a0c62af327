//! The matrix product C[m, n] = f(A[m, k] B[k, n] + bias\[n\]) on the CPU.
//!
//! # How a matrix product becomes fast
//!
//! A core can do one or two vector multiply-adds a cycle but fetch hardly more than two vectors a
//! cycle from its L1 cache, far fewer from L2, and almost none from memory. A product does m n k
//! multiply-adds on only m k + k n + m n numbers, so there is enough reuse; the whole art is to
//! arrange it so that every number, once brought near, is used many times before it leaves. The
//! same idea is applied at each level of the memory, from the inside out:
//!
//! 1. **Registers** (`kernel.rs`). A tile of C, MR x NR, stays in registers while the sum runs over
//!    k. Step p loads NR numbers of row p of B as vectors, broadcasts MR numbers of column p of A,
//!    and adds their outer product: MR NR multiply-adds for MR + NR numbers. The tile is as large as
//!    the registers allow: 12 x 32 with AVX-512 (24 of 32 registers), 6 x 16 with AVX2 (12 of 16),
//!    12 x 8 with NEON. Besides the reuse, the many independent sums cover the latency of the
//!    multiply-add, which must wait about four cycles for its own result.
//! 2. **L1**. The k-sum is cut into blocks of KC, so that one micro-panel of A, MR x KC, stays close
//!    while the panels of B, KC x NR, pass by.
//! 3. **L2**. A block of B, KC x NC, is used by all micro-panels of A, one after another.
//! 4. **Threads** (`parallel.rs`). Each takes a rectangle of C and shares nothing that is written.
//!
//! That makes five loops, named in `blocking.rs`: n by NC, k by KC, m by MR, NC by NR, and KC.
//!
//! **Packing** (`pack.rs`). A block of B with rows far apart is spread over many pages and, where
//! the distance is a multiple of a large power of two, over few sets of the cache. It is therefore
//! copied once into exactly the order in which the micro-kernel reads it; a transposed B, whose
//! columns are contiguous, is transposed on the way, in registers. A B of many products, a weight
//! that is shared over time, is packed for all of them ([`pack`]). A is read by broadcasts, which
//! work on any layout, so it is copied (never transposed) only when many panels of B will use it.
//! Copying costs a pass over the operand and pays when the copy is used often: with few rows, or a
//! small B, the operands are read where they are. The models' products are often of that kind
//! (28 x 64 x 32), and so small that packing would take a good part of the time.
//!
//! **The ending.** Bias is added while a tile leaves the registers after its last k-block; the
//! activation runs over each group of MR rows right after, from L1. C is not read unless a sum is
//! continued, so it may hold anything, NaN included.
//!
//! **Edges.** The rows are cut evenly into heights of at most MR, and there is a micro-kernel for
//! every height, so no row is padded. The last columns use masked loads and stores.
//!
//! **Few rows** (m <= 3, one sample). There is no reuse of B, which is read once at the speed of
//! the cache it comes from: wide, flat tiles read long runs of it and keep enough sums in flight.
//! **Short sums** with a small B (k = 32) write nearly as much as they read: 6 x 64 tiles (AVX-512)
//! write longer runs of C.
//!
//! **The same bits for any number of threads.** An element of C is one chain of multiply-adds per
//! k-block, in order of k, whatever tile it falls in; blocks are added in order. Their borders depend
//! on k alone, so it does not matter how threads cut C. A weight gradient (32 x 64 x 12544) has
//! too small a C to cut: there k itself is cut, into a number of parts that depends on the shape,
//! and the parts are added in order, also when one thread computes them all. Different
//! instruction sets agree within rounding only: the portable one has no fused multiply-add.
//!
//! **Many uses of a weight** (`sum.rs`). The gradient of a weight that is used at every step in time adds up
//! products of few rows; the rows of several uses are one sum.
//!
//! **Zeros** (`sparse.rs`). An image of black and white is mostly zeros; a product that may skip them does.
//!
//! The layouts NN, NT and TN of linear layers and their gradients are pairs of strides ([`Mat`]).
//!
//! Further reading: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
//! ACM TOMS 34(3), 2008; Van Zee and van de Geijn, "BLIS", ACM TOMS 41(3), 2015. There the panel of
//! B stays in L1 and A streams from L2; here the roles are exchanged, since A needs no packing.

#![allow(unsafe_code)] // Operands are read and written by pointer, with the intrinsics of each instruction set.

mod blocking;
mod isa;
mod kernel;
mod pack;
mod packed;
mod parallel;
pub mod peak;
mod simd;
mod sparse;
mod sum;

use super::Isa;
use blocking::{Product, View};
use isa::Kernels;
pub(crate) use pack::Scratch;
pub use packed::{Packed, Right, pack, packed_len};
pub(crate) use packed::{packs, panel};
pub(crate) use parallel::{at_once, in_share};
pub use sparse::Operand;
pub use sum::{SUM_ROWS, gemm_sum};

/// What is applied to every element of C after the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// Nothing.
    None = 0,
    /// tanh x.
    Tanh = 1,
    /// 1 / (1 + e^-x).
    Sigmoid = 2,
    /// max(x, 0).
    Relu = 3,
}

/// A matrix inside a slice: element (i, j) is `data[i * row_stride + j * col_stride]`. One of the
/// strides is 1; a transposed matrix is one with the strides exchanged. Rows, or columns if they are
/// contiguous, do not overlap.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    /// Where the elements are.
    pub data: &'a [f32],
    /// From row to row.
    pub row_stride: usize,
    /// From column to column.
    pub col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix of `columns` columns.
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
    /// [m, k].
    pub a: Mat<'a>,
    /// [k, n].
    pub b: Right<'a>,
    /// \[n\], added to every row.
    pub bias: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Activation,
    /// Add the product to what C holds; then there is no bias and no activation.
    pub accumulate: bool,
}

/// Computes `g` into C, row major with rows `c_stride` apart, on the threads of the current rayon
/// pool. Unless `accumulate` is set, C is only written. The result has the same bits for any
/// number of threads.
///
/// # Panics
/// If a slice is too short for its shape, no stride of a matrix is 1, its runs overlap, or B was packed for
/// another shape or another instruction set than the one in use.
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

/// [`gemm`], but zeros of `operand` are skipped where most of it is zeros: what they would be multiplied with
/// has no effect then, not even where it is not finite.
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

/// [`gemm`] on the calling thread alone, for kernels that share out larger pieces of work.
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

/// Floats from the first to the last of `runs` runs of `len`, `stride` apart. None where runs overlap, or
/// where no slice is as long. Every pointer into a slice stays inside because the slice has as many floats.
#[inline]
fn span(runs: usize, len: usize, stride: usize) -> Option<usize> {
    match (runs, len) {
        (0, _) | (_, 0) => Some(0),
        (1, _) => Some(len),
        _ if stride < len => None,
        _ => (runs - 1).checked_mul(stride)?.checked_add(len),
    }
}

/// The product by pointers, its shapes checked against the slices.
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

/// Checks that a matrix of `rows` x `cols` lies inside its slice, and tells which way.
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
