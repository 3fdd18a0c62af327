//! Sums, means and logsumexp over axes.
//!
//! y = sum_i x_i has the gradient dx_i = dy; y = ln sum_i e^(x_i) has dx_i = e^(x_i - y) dy. The kernel reduces the
//! middle axis of \[outer, n, inner\]. A long sum with few results takes two stages, the same ones on every device.

pub(super) mod cpu;
mod params;
pub(super) mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, grid, shader};
use crate::ops::binary::{self, Operation};
use crate::ops::layout::expand;
use crate::ops::unary;
use crate::tensor::Tensor;
pub use params::{ReduceParams, Reduction};

impl ReduceParams {
    fn outputs(&self) -> usize {
        self.outer as usize
            * (self.n as usize).div_ceil(self.chunk as usize).max(1)
            * self.inner as usize
    }
}

/// A contiguous row (`inner` = 1) is reduced by one workgroup, a column by one invocation.
fn stages(p: &ReduceParams) -> Vec<Stage<ReduceParams>> {
    match (p.outputs(), p.inner) {
        (0, _) => Vec::new(),
        (n, 1) => vec![Stage { entry: "reduce_rows", groups: grid(n), params: *p }],
        (n, _) => {
            vec![Stage { entry: "reduce_columns", groups: grid(n.div_ceil(256)), params: *p }]
        }
    }
}

/// The reduction kernel.
pub static REDUCE: Kernel<ReduceParams, 1, 1> = Kernel {
    program: Program {
        name: "reduce",
        source: shader!("lib/index", "lib/math", "lib/row_sum", "reduce/reduce"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages,
    cost: |p| {
        let n = u64::from(p.outer) * u64::from(p.n) * u64::from(p.inner);
        // Rows: 256 invocations reduce a chunk in up to two passes; the first pass of logsumexp finds the maximum.
        // Columns: four terms per iteration, then the rest.
        let rows = p.inner == 1;
        let share = if rows { 2 * p.chunk.div_ceil(256) } else { p.chunk.div_ceil(4) + 3 };
        Cost { flops: n, bytes: 4 * n, loop_iterations: u64::from(share) }
    },
    entries: &["reduce_rows", "reduce_columns"],
};

/// A sum with few results is split into pieces of this length if it has at least two: of rows, each of which a GPU
/// workgroup reduces, and of columns, each of which one invocation reduces.
const ROW_PIECE: usize = 4096;
const COLUMN_PIECE: usize = 256;

/// Reduces axes `first..last` of `x` and removes them from the shape.
fn reduce(reduction: Reduction, x: &Tensor, first: usize, last: usize, scale: f32) -> Tensor {
    let shape = x.shape();
    let outer: usize = shape[..first].iter().product();
    let n: usize = shape[first..last].iter().product();
    let inner: usize = shape[last..].iter().product();
    let result: Vec<usize> = shape[..first].iter().chain(&shape[last..]).copied().collect();
    let launch = |x: &Tensor, reduction, n: usize, chunk: usize, scale, shape: &[usize]| {
        let params = ReduceParams {
            outer: outer as u32,
            n: n as u32,
            inner: inner as u32,
            chunk: chunk as u32,
            reduction: reduction as u32,
            scale,
            accumulate: 0,
        };
        let [y] = REDUCE.launch(params, [x], [shape]);
        y
    };
    let additive = reduction != Reduction::LogSumExp;
    assert!(additive || inner == 1, "logsumexp: over the last axis alone");
    let piece = if inner == 1 { ROW_PIECE } else { COLUMN_PIECE };
    if additive && n >= 2 * piece && outer * inner < 4096 {
        let pieces = n.div_ceil(piece);
        let partial = launch(x, reduction, n, piece, 1.0, &[outer, pieces, inner]);
        return launch(&partial, Reduction::Sum, pieces, pieces, scale, &result);
    }
    launch(x, reduction, n, n.max(1), scale, &result)
}

/// Sum of the squares of all elements, shape \[\].
pub fn sum_squares(x: &Tensor) -> Tensor {
    reduce(Reduction::SumSquares, x, 0, x.shape().len(), 1.0)
}

/// y \[n\] += the sum of the rows of x \[rows, n\], in place.
pub(crate) fn add_rows(y: &mut Tensor, x: &Tensor) {
    let rows = (x.len() / y.len().max(1)) as u32;
    let params = ReduceParams {
        outer: 1,
        n: rows,
        inner: y.len() as u32,
        chunk: rows.max(1),
        reduction: Reduction::Sum as u32,
        scale: 1.0,
        accumulate: 1,
    };
    REDUCE.update(params, [x], [y]);
}

/// Sums `x` over the axes along which `shape` was broadcast to the shape of `x`.
pub(crate) fn sum_to(x: &Tensor, shape: &[usize]) -> Tensor {
    if x.shape() == shape {
        return x.clone();
    }
    let lead = x.shape().len() - shape.len();
    let mut padded = vec![1; lead];
    padded.extend(shape);
    let mut sum = x.clone();
    // Reduce adjacent repeated axes together, starting from the last.
    let repeated = |axis: usize| padded[axis] == 1 && x.shape()[axis] != 1;
    let mut last = padded.len();
    while last > 0 {
        if !repeated(last - 1) {
            last -= 1;
            continue;
        }
        let mut first = last - 1;
        while first > 0 && repeated(first - 1) {
            first -= 1;
        }
        let mut kept = sum.shape().to_vec();
        kept[first..last].fill(1);
        sum = reduce(Reduction::Sum, &sum, first, last, 1.0).reshape(&kept);
        last = first;
    }
    sum.reshape(shape)
}

struct SumRule {
    shape: Vec<usize>,
    kept: Vec<usize>,
    scale: f32,
}

impl Backward for SumRule {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        let mut dy = dy[0].reshape(&self.kept);
        if self.scale != 1.0 {
            dy = unary::apply(unary::Function::Affine, &dy, self.scale, 0.0);
        }
        vec![Some(expand(&dy, &self.shape))]
    }
}

struct LogSumExpRule {
    x: Tensor,
    y: Tensor,
}

impl Backward for LogSumExpRule {
    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        let mut kept = self.y.shape().to_vec();
        kept.push(1);
        let d = binary::apply(Operation::Sub, &self.x, &self.y.reshape(&kept));
        let p = unary::apply(unary::Function::Exp, &d, 0.0, 0.0);
        vec![Some(binary::apply(Operation::Mul, &p, &dy[0].reshape(&kept)))]
    }
}

impl<'t> Var<'t> {
    #[track_caller]
    fn sum_scaled(&self, first: usize, last: usize, scale: f32) -> Var<'t> {
        let shape = self.shape().to_vec();
        assert!(first <= last && last <= shape.len(), "sum: axes {first}..{last} of {shape:?}");
        let y = reduce(Reduction::Sum, self.value(), first, last, scale);
        let mut kept = shape.clone();
        kept[first..last].fill(1);
        let rule = || Box::new(SumRule { shape, kept, scale }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self], [y], rule);
        y
    }

    /// Sum of all elements, shape \[\].
    pub fn sum(&self) -> Var<'t> {
        self.sum_scaled(0, self.shape().len(), 1.0)
    }

    /// Sum over axes `first..last`, which are removed. Panics if they are out of range.
    #[track_caller]
    pub fn sum_axes(&self, first: usize, last: usize) -> Var<'t> {
        self.sum_scaled(first, last, 1.0)
    }

    /// Mean of all elements, shape \[\]; NaN if there are none.
    pub fn mean(&self) -> Var<'t> {
        self.sum_scaled(0, self.shape().len(), 1.0 / self.value().len() as f32)
    }

    /// ln sum e^x over the last axis, which is removed; stable for large |x|. Panics if `self` is a scalar.
    #[track_caller]
    pub fn logsumexp(&self) -> Var<'t> {
        let rank = self.shape().len();
        assert!(rank > 0, "logsumexp: a scalar has no axis");
        let x = self.value().clone();
        let y = reduce(Reduction::LogSumExp, &x, rank - 1, rank, 1.0);
        let rule = || Box::new(LogSumExpRule { x, y: y.clone() }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self], [y.clone()], rule);
        y
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |label: &str, shape: &[usize], f: for<'t> fn(&Var<'t>) -> Var<'t>| {
        Case::new("reduce", label, vec![Input::normal("x", shape)], move |x| vec![f(&x[0])])
    };
    vec![
        case("sum 1", &[1], |x| x.sum()),
        case("sum 17x65", &[17, 65], |x| x.sum()),
        case("sum in two stages 20001", &[20_001], |x| x.sum()),
        case("mean 3x129", &[3, 129], |x| x.mean()),
        case("rows 65x17", &[65, 17], |x| x.sum_axes(1, 2)),
        case("rows 3x1000", &[3, 1000], |x| x.sum_axes(1, 2)),
        case("columns 17x65", &[17, 65], |x| x.sum_axes(0, 1)),
        case("columns in two stages 9000x3", &[9000, 3], |x| x.sum_axes(0, 1)),
        case("middle 3x17x5", &[3, 17, 5], |x| x.sum_axes(1, 2)),
        case("logsumexp 3x65", &[3, 65], |x| x.logsumexp()),
        case("logsumexp 17x300", &[17, 300], |x| x.logsumexp()),
        case("logsumexp 5x1", &[5, 1], |x| x.logsumexp()),
    ]
}
