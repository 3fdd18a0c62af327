//! Matrix products: y = act(x w^T + b) (a linear layer in one kernel) and batched products.
//!
//! Gradients of y = act(x w^T + b): d = act'(y) dy, dx = d w, dw = d^T x, db = sum of d over the rows. All products use
//! the same kernel with different strides (NN, NT, TN). Weights are (out, in), as in checkpoints.

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
pub use crate::cpu::gemm::Activation;
use crate::cpu::gemm::Operand;
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, elementwise, grid, shader, tile_sizes};
use crate::ops::reduce::sum_to;
use crate::ops::unary::{self, Function};
use crate::tensor::Tensor;
use crate::tiles::Tiles;
pub use params::MatmulParams;

impl MatmulParams {
    fn pieces(&self) -> u32 {
        self.k.div_ceil(self.chunk).max(1)
    }
}

tile_sizes! {
    /// Side of a large tile, used if there are many; each invocation computes 4 x 4 elements.
    LARGE_TILE = 64;
    /// Side of a small tile.
    SMALL_TILE = 32;
}

/// Number of tiles of C.
fn tiles(m: u32, n: u32, batch: u32, side: u32) -> u32 {
    m.div_ceil(side).saturating_mul(n.div_ceil(side)).saturating_mul(batch)
}

/// Whether a product has enough large tiles to keep a GPU busy.
fn is_large([m, n, batch]: [u32; 3], k: u32, choices: &Tiles) -> bool {
    let large = LARGE_TILE as u32;
    // Without terms, the operands are too short for the kernel's views as vectors.
    k > 0 && m >= large && n >= large && tiles(m, n, batch, large) >= choices.large_products
}

/// Length of the pieces of k: shorter than k (split-K) if there are too few tiles to keep a GPU busy.
fn chunk([m, n, batch]: [u32; 3], k: u32, choices: &Tiles) -> u32 {
    let tiles = tiles(m, n, batch, SMALL_TILE as u32).max(1);
    let pieces = (choices.product_groups / tiles).min(k / choices.product_piece);
    if pieces < 2 { k.max(1) } else { k.div_ceil(pieces).next_multiple_of(32) }
}

fn stages(p: &MatmulParams) -> Vec<Stage<MatmulParams>> {
    let n = p.batch as usize * p.m as usize * p.n as usize;
    if n == 0 {
        return Vec::new();
    }
    let (entry, side) = match p.large {
        0 => ("matmul_32", SMALL_TILE as u32),
        _ => ("matmul_64", LARGE_TILE as u32),
    };
    let pieces = p.pieces();
    let groups = grid(tiles(p.m, p.n, p.batch, side) as usize * pieces as usize);
    let mut stages = vec![Stage { entry, groups, params: *p }];
    if pieces > 1 {
        stages.extend(elementwise("add_pieces", n, p));
    }
    stages
}

/// The matrix product. Inputs: a, b, bias (any tensor if `has_bias` is 0), a and b again. Outputs: c, and the
/// partial sums of split-K on a GPU (\[batch, pieces, m, n\]; empty if k is not split), unused on the CPU.
pub static MATMUL: Kernel<MatmulParams, 5, 2> = Kernel {
    program: Program {
        name: "matmul",
        source: shader!(SIZES; "lib/index", "lib/math", "lib/tile", "lib/team_tile", "matmul/matmul"),
        inputs: 5,
        outputs: 2,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages,
    cost: |p| {
        let [m, n, k, batch] = [p.m, p.n, p.k, p.batch].map(u64::from);
        Cost {
            flops: 2 * batch * m * n * k,
            bytes: 4 * batch * (m * k + k * n + m * n),
            // Tiles advance by at least 16 terms per iteration (the inner loop is unrolled). Or the sum of the pieces.
            loop_iterations: u64::from(p.chunk.div_ceil(16).max(p.pieces())),
        }
    },
    entries: &["matmul_64", "matmul_32", "add_pieces"],
};

/// Whether an operand is used as it is stored or transposed (last two axes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As stored.
    N,
    /// Transposed.
    T,
}

/// Parameters of act(op(a) op(b) + bias), the shape of c, and the number of floats in the partial sums of split-K.
#[track_caller]
fn plan(
    (a, la): (&Tensor, Layout),
    (b, lb): (&Tensor, Layout),
    bias: Option<&Tensor>,
    activation: Activation,
) -> (MatmulParams, Vec<usize>, usize) {
    let split = |t: &Tensor, layout| -> ([usize; 3], [u32; 2]) {
        let (batch, r, c) = match *t.shape() {
            [r, c] => (1, r, c),
            [batch, r, c] => (batch, r, c),
            _ => panic!("matmul: a matrix or a batch of them is needed, not {:?}", t.shape()),
        };
        match layout {
            Layout::N => ([batch, r, c], [c as u32, 1]),
            Layout::T => ([batch, c, r], [1, c as u32]),
        }
    };
    let (([batch, m, k], stride_a), ([batch_b, k_b, n], stride_b)) = (split(a, la), split(b, lb));
    let shapes = || {
        let of = |t: &Tensor, layout| match layout {
            Layout::N => format!("{:?}", t.shape()),
            Layout::T => format!("{:?} transposed", t.shape()),
        };
        format!("{} times {}", of(a, la), of(b, lb))
    };
    let ranks = [a.shape().len(), b.shape().len()];
    assert!(
        ranks[0] == ranks[1],
        "matmul: {}: one is a matrix, the other a batch of them",
        shapes()
    );
    assert!(k == k_b, "matmul: inner sizes differ, {k} and {k_b}: {}", shapes());
    assert!(batch == batch_b, "matmul: batches differ, {batch} and {batch_b}: {}", shapes());
    if let Some(bias) = bias {
        let found = bias.shape();
        assert!(found == [n], "matmul: the bias is {found:?}, the result has {n} columns");
    }
    let [rows, columns, depth, count] = [m, n, k, batch].map(|x| x as u32);
    let (sizes, choices) = ([rows, columns, count], a.device().tiles());
    let params = MatmulParams {
        m: rows,
        n: columns,
        k: depth,
        batch: count,
        stride_a,
        stride_b,
        batch_a: (m * k) as u32,
        batch_b: (k * n) as u32,
        has_bias: u32::from(bias.is_some()),
        activation: activation as u32,
        chunk: chunk(sizes, depth, &choices),
        zeros: 0,
        large: is_large(sizes, depth, &choices).into(),
        unused: 0,
    };
    let pieces = match params.pieces() {
        1 => 0,
        pieces => pieces as usize * batch * m * n,
    };
    (params, if a.shape().len() == 2 { vec![m, n] } else { vec![batch, m, n] }, pieces)
}

/// act(op(a) op(b) + bias). a and b are matrices, or batches \[batch, rows, cols\] of the same size; bias is \[n\],
/// added to every row. Panics if the shapes do not fit.
#[track_caller]
pub fn product(
    a: (&Tensor, Layout),
    b: (&Tensor, Layout),
    bias: Option<&Tensor>,
    activation: Activation,
) -> Tensor {
    product_skipping(None, a, b, bias, activation)
}

/// [`product`], but the CPU may skip zeros of `operand` if most of it is zeros.
#[track_caller]
fn product_skipping(
    operand: Option<Operand>,
    a: (&Tensor, Layout),
    b: (&Tensor, Layout),
    bias: Option<&Tensor>,
    activation: Activation,
) -> Tensor {
    let (params, shape, pieces) = plan(a, b, bias, activation);
    let params = MatmulParams { zeros: operand.map_or(0, |x| 1 + x as u32), ..params };
    let inputs = [a.0, b.0, bias.unwrap_or(a.0), a.0, b.0];
    let [c, _] = MATMUL.launch(params, inputs, [&shape, &[pieces]]);
    c
}

/// The right operand op(b) of many products, packed once if the device benefits from it.
#[derive(Clone)]
pub(crate) struct Prepared {
    b: Tensor,
    layout: Layout,
    /// The packed operand and the number of columns in a panel.
    packed: Option<(Tensor, u32)>,
}

impl Prepared {
    /// Packs op(b) for a matrix b.
    pub fn new(b: &Tensor, layout: Layout) -> Prepared {
        let packed = b.packed(layout == Layout::T);
        Prepared { b: b.clone(), layout, packed }
    }

    /// The tensor that a kernel reads, with the number of columns in a panel; 0 if it is not packed.
    pub fn operand(&self) -> (&Tensor, u32) {
        self.packed.as_ref().map_or((&self.b, 0), |(packed, panel)| (packed, *panel))
    }
}

/// a op(b) + bias.
#[track_caller]
pub(crate) fn product_with(a: &Tensor, b: &Prepared, bias: Option<&Tensor>) -> Tensor {
    let (params, shape, pieces) = plan((a, Layout::N), (&b.b, b.layout), bias, Activation::None);
    let (operand, panel) = b.operand();
    let stride_b = if panel > 0 { [0, panel] } else { params.stride_b };
    let inputs = [a, operand, bias.unwrap_or(a), a, operand];
    let [c, _] = MATMUL.launch(MatmulParams { stride_b, ..params }, inputs, [&shape, &[pieces]]);
    c
}

struct LinearRule {
    x: Tensor,
    w: Tensor,
    /// The activation with its output y; `None` for the identity.
    activation: Option<(Function, Tensor)>,
    /// Whether zeros of x may be skipped.
    sparse: bool,
}

impl Backward for LinearRule {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let d = match &self.activation {
            None => dy[0].clone(),
            Some((function, y)) => unary::gradient(*function, y, &dy[0], 0.0, 0.0),
        };
        let plain = |a, b| product(a, b, None, Activation::None);
        let mut gradients = vec![
            need[0].then(|| plain((&d, Layout::N), (&self.w, Layout::N))),
            need[1].then(|| {
                let (d, x) = ((&d, Layout::T), (&self.x, Layout::N));
                product_skipping(self.sparse.then_some(Operand::B), d, x, None, Activation::None)
            }),
        ];
        if let Some(&need) = need.get(2) {
            gradients.push(need.then(|| sum_to(&d, &[d.shape()[1]])));
        }
        gradients
    }
}

struct MatmulRule {
    a: Tensor,
    b: Tensor,
}

impl Backward for MatmulRule {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let plain = |a, b| product(a, b, None, Activation::None);
        vec![
            need[0].then(|| plain((&dy[0], Layout::N), (&self.b, Layout::T))),
            need[1].then(|| plain((&self.a, Layout::T), (&dy[0], Layout::N))),
        ]
    }
}

impl<'t> Var<'t> {
    /// a b for matrices \[m, k\] \[k, n\] or batches \[batch, m, k\] \[batch, k, n\]; `self` is a. The batch does not
    /// broadcast. Panics if the shapes do not fit.
    #[track_caller]
    pub fn matmul(&self, b: &Var<'t>) -> Var<'t> {
        let (a, b_) = (self.value().clone(), b.value().clone());
        let y = product((&a, Layout::N), (&b_, Layout::N), None, Activation::None);
        let rule = || Box::new(MatmulRule { a, b: b_ }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self, b], [y], rule);
        y
    }

    /// act(x w^T + b) \[rows, out\] for x \[rows, in\] (`self`), w \[out, in\] and b \[out\], in one kernel. Panics if
    /// the shapes do not fit.
    #[track_caller]
    pub fn linear(&self, w: &Var<'t>, b: Option<&Var<'t>>, activation: Activation) -> Var<'t> {
        self.linear_of(w, b, activation, false)
    }

    /// [`Var::linear`] for an x that may be mostly zeros, such as binary images. If it is, the CPU skips the zeros in y
    /// and in the gradient of w. A skipped zero contributes 0 even if the other factor is NaN or infinite.
    #[track_caller]
    pub fn sparse_linear(
        &self,
        w: &Var<'t>,
        b: Option<&Var<'t>>,
        activation: Activation,
    ) -> Var<'t> {
        self.linear_of(w, b, activation, true)
    }

    #[track_caller]
    fn linear_of(
        &self,
        w: &Var<'t>,
        b: Option<&Var<'t>>,
        activation: Activation,
        sparse: bool,
    ) -> Var<'t> {
        let (x, weights) = (self.value().clone(), w.value().clone());
        assert_eq!(x.shape().len(), 2, "linear: x must be a matrix, not {:?}", x.shape());
        let (left, right, bias) = ((&x, Layout::N), (&weights, Layout::T), b.map(Var::value));
        let skipped = sparse.then_some(Operand::A);
        let y = product_skipping(skipped, left, right, bias, activation);
        let mut parents = vec![self, w];
        parents.extend(b);
        let activation = match activation {
            Activation::None => None,
            Activation::Tanh => Some((Function::Tanh, y.clone())),
            Activation::Sigmoid => Some((Function::Sigmoid, y.clone())),
            Activation::Relu => Some((Function::Relu, y.clone())),
        };
        let rule =
            || Box::new(LinearRule { x, w: weights, activation, sparse }) as Box<dyn Backward>;
        let [y] = self.tape().record(&parents, [y], rule);
        y
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let linear = |rows: usize, i: usize, o: usize, activation: Activation| {
        // Small numbers, so that finite differences stay where the activation is smooth.
        let r = 1.0 / (i as f32).sqrt();
        let x = Input::uniform("x", &[rows, i], -0.3, 0.3);
        let inputs = vec![x, Input::uniform("w", &[o, i], -r, r), Input::normal("b", &[o])];
        let label = format!("linear {rows}x{i} to {o} {activation:?}");
        Case::new("matmul", &label, inputs, move |x| {
            vec![x[0].linear(&x[1], Some(&x[2]), activation)]
        })
    };
    // With 20 % ones, zeros are skipped; with 50 %, they are not.
    let sparse = |rows: usize, i: usize, o: usize, ones: f32, activation: Activation| {
        let r = 1.0 / (i as f32).sqrt();
        let x = Input::bits("x", &[rows, i], ones);
        let inputs = vec![x, Input::uniform("w", &[o, i], -r, r), Input::normal("b", &[o])];
        let label = format!("sparse linear {rows}x{i} to {o}, {ones} of x is 1");
        Case::new("matmul", &label, inputs, move |x| {
            vec![x[0].sparse_linear(&x[1], Some(&x[2]), activation)]
        })
    };
    let matmul = |a: &[usize], b: &[usize]| {
        let inputs = vec![Input::normal("a", a), Input::normal("b", b)];
        Case::new("matmul", &format!("{a:?} {b:?}"), inputs, |x| vec![x[0].matmul(&x[1])])
    };
    vec![
        linear(1, 1, 1, Activation::None),
        linear(3, 17, 5, Activation::Tanh),
        linear(65, 129, 63, Activation::Sigmoid),
        linear(100, 64, 257, Activation::None),
        // One input and one weight: the pre-activation stays away from the kink of the ReLU.
        Case::new(
            "matmul",
            "linear 17x1 to 1 Relu",
            vec![
                Input::off_zero("x", &[17, 1]),
                Input::uniform("w", &[1, 1], 0.5, 1.0),
                Input::uniform("b", &[1], -0.1, 0.1),
            ],
            |x| vec![x[0].linear(&x[1], Some(&x[2]), Activation::Relu)],
        ),
        Case::new(
            "matmul",
            "linear without bias 5x7 to 3",
            vec![Input::normal("x", &[5, 7]), Input::normal("w", &[3, 7])],
            |x| vec![x[0].linear(&x[1], None, Activation::None)],
        ),
        sparse(17, 33, 32, 0.2, Activation::Tanh),
        sparse(100, 301, 75, 0.2, Activation::None),
        sparse(20, 130, 67, 0.5, Activation::None),
        matmul(&[1, 1], &[1, 1]),
        matmul(&[3, 17], &[17, 5]),
        matmul(&[64, 64], &[64, 64]),
        matmul(&[65, 257], &[257, 65]),
        matmul(&[130, 33], &[33, 70]),
        matmul(&[3, 5, 7], &[3, 7, 2]),
        matmul(&[2, 65, 17], &[2, 17, 66]),
        // Operands that large tiles read in vectors.
        matmul(&[2, 68, 72], &[2, 72, 76]),
        // Many tiles.
        matmul(&[130, 65, 5], &[130, 5, 66]),
        matmul(&[1, 300], &[300, 1]),
        // Split-K on a GPU.
        linear(3, 1500, 5, Activation::Tanh),
        matmul(&[2, 3, 1100], &[2, 1100, 2]),
        matmul(&[65, 1100], &[1100, 66]),
    ]
}
