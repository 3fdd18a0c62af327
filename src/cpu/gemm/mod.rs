//! The matrix product C[m, n] = f(A[m, k] B[k, n] + bias[n]) on the CPU.

mod blocking;
mod isa;
mod kernel;
mod pack;
mod parallel;
mod simd;

use blocking::{Product, View};
pub use isa::Isa;

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
/// strides is 1; a transposed matrix is one with the strides exchanged.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    /// Where the elements are.
    pub data: &'a [f32],
    /// From row to row.
    pub row_stride: usize,
    /// From column to column.
    pub col_stride: usize,
}

/// A product C[m, n] = activation(A[m, k] B[k, n] + bias[n]), or C += A B.
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
    pub b: Mat<'a>,
    /// [n], added to every row.
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
/// If a slice is too short for its shape, or no stride of a matrix is 1.
#[track_caller]
pub fn gemm(g: &Gemm, c: &mut [f32], c_stride: usize) {
    gemm_with(Isa::available()[0], g, c, c_stride);
}

/// [`gemm`] with a given instruction set.
///
/// # Panics
/// As [`gemm`]; and if the processor lacks `isa`.
#[track_caller]
pub fn gemm_with(isa: Isa, g: &Gemm, c: &mut [f32], c_stride: usize) {
    let kernels = isa.kernels();
    let (m, n, k) = (g.m, g.n, g.k);
    let a = view("A", g.a, m, k);
    let b = view("B", g.b, k, n);
    if m > 0 && n > 0 {
        let needed = (m - 1).checked_mul(c_stride).and_then(|x| x.checked_add(n));
        assert!(
            needed.is_some_and(|needed| needed <= c.len()) && (c_stride >= n || m == 1),
            "gemm: C[{m}, {n}] with rows {c_stride} apart does not fit a slice of {}",
            c.len()
        );
    }
    if let Some(bias) = g.bias {
        assert!(bias.len() == n, "gemm: bias[{}] for C[{m}, {n}]", bias.len());
    }
    assert!(
        !g.accumulate || (g.bias.is_none() && g.activation == Activation::None),
        "gemm: C[{m}, {n}] += A B takes no bias and no activation"
    );
    let product = Product {
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
    };
    // SAFETY: the shapes were checked against the slices, the processor against the kernels.
    unsafe { parallel::run(kernels, &product) }
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
    if rows > 0 && cols > 0 {
        let (runs, len) = if columns { (cols, rows) } else { (rows, cols) };
        let needed = (runs - 1).checked_mul(stride).and_then(|x| x.checked_add(len));
        assert!(
            needed.is_some_and(|needed| needed <= x.data.len()),
            "gemm: {name}[{rows}, {cols}] with strides {} and {} does not fit a slice of {}",
            x.row_stride,
            x.col_stride,
            x.data.len()
        );
    }
    View { data: x.data.as_ptr(), stride, columns }
}
