//! Weights that a network uses many times. Their gradients are accumulated in one place.
//!
//! y_t = x_t W^T + b for t = 1..T gives dW = sum_t dy_t^T x_t and db = sum over t and the rows of dy_t. On a GPU, one use
//! is too short a sum to be worth a launch, so the gradients of several uses are batched into one
//! (`shaders/shared/shared_gradient.wgsl`). A CPU adds them one by one.
//!
//! On the tape, a shared weight is a node with the parents W and b, whose output is an empty token. Each
//! use has the token as a parent, and its backward pass adds its part of the gradient to [`Uses`]. The node was
//! recorded before all uses, so its backward pass runs after theirs and returns the sums.
//!
//! Shapes: x_t \[B, in\], W \[out, in\], b \[out\], y_t \[B, out\].

mod cpu;
mod params;
mod reference;

pub use params::SharedGradientParams;
use params::USES;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::device::{Buffer, Launch};
#[cfg(feature = "gpu")]
use crate::gpu::Dispatch;
use crate::gpu::Program;
#[cfg(feature = "gpu")]
use crate::kernel::grid;
use crate::kernel::{AnyKernel, Field, Uniform, shader, tile_sizes};
use crate::ops::layout::unshare;
use crate::ops::matmul::{Layout, Prepared, product_with};
use crate::ops::reduce::{add_rows, sum_to};
use crate::profile;
use crate::tensor::Tensor;

tile_sizes! {
    /// Side of the tile of dW that a GPU workgroup computes.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code))]
    TILE = 32;
}

/// The kernel that accumulates uses. It is not a [`Kernel`](crate::kernel::Kernel), because a CPU launch takes one use,
/// and a GPU launch several.
pub struct SharedGradient;

static PROGRAM: Program = Program {
    name: "shared_gradient",
    source: shader!(SIZES; "lib/team_tile", "shared/shared_gradient"),
    inputs: 2 * USES,
    outputs: 2,
};

impl AnyKernel for SharedGradient {
    fn program(&self) -> &'static Program {
        &PROGRAM
    }

    fn entries(&self) -> &'static [&'static str] {
        &["shared_gradient"]
    }

    fn params_size(&self) -> usize {
        size_of::<SharedGradientParams>()
    }

    fn fields(&self) -> &'static [Field] {
        SharedGradientParams::FIELDS
    }
}

/// A launch over several uses.
struct Joined {
    params: SharedGradientParams,
    /// Total number of rows.
    rows: u64,
}

impl Joined {
    /// Number of tiles of the gradient, each of which is a workgroup.
    fn tiles(&self) -> usize {
        let SharedGradientParams { m, n, has_bias, .. } = self.params;
        (m as usize).div_ceil(TILE) * ((n + has_bias) as usize).div_ceil(TILE)
    }
}

impl Launch for Joined {
    fn on_cpu(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        let &[d, x] = inputs else { unreachable!("a CPU adds one use at a time") };
        cpu::gradient(&self.params, [d.host(), x.host()], outputs[0].host_mut());
    }

    fn on_reference(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        let inputs: Vec<&[f32]> = inputs.iter().map(|b| b.host()).collect();
        let [dw, db] = outputs else { unreachable!("two outputs") };
        reference::gradient(&self.params, &inputs, [dw.host_mut(), db.host_mut()]);
    }

    fn program(&self) -> &'static Program {
        &PROGRAM
    }

    fn work(&self) -> profile::Sum {
        let [m, n] = [self.params.m, self.params.n].map(u64::from);
        let bytes = 4 * (self.rows * (m + n) + m * n * u64::from(1 + self.params.accumulate));
        let (flops, workgroups) = (2 * m * n * self.rows, self.tiles() as u64);
        profile::Sum { calls: 1, dispatches: 1, workgroups, seconds: 0.0, flops, bytes }
    }

    fn shapes(&self) -> String {
        let (rows, SharedGradientParams { m, n, .. }) = (self.rows, &self.params);
        format!("{rows}x{m}, {rows}x{n} -> {m}x{n}")
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self, record: &mut dyn FnMut(&[Dispatch])) {
        record(&[Dispatch {
            entry: "shared_gradient",
            groups: grid(self.tiles()),
            params: bytemuck::bytes_of(&self.params),
            // 32 rows per iteration; the last iteration of each use may have fewer.
            loop_iterations: self.rows.div_ceil(32) + USES as u64,
        }]);
    }
}

/// The accumulated gradients of W and b.
#[derive(Default)]
struct Sums {
    dw: Option<Tensor>,
    db: Option<Tensor>,
    /// dy and x of uses that have not been added to dW yet.
    waiting: Vec<(Tensor, Tensor)>,
}

impl Sums {
    /// Adds all waiting uses to dW and, on a GPU, to db.
    fn settle(&mut self, bias: bool) {
        let Some((dy, x)) = self.waiting.first() else { return };
        let (device, m, n) = (dy.device(), dy.shape()[1], x.shape()[1]);
        let cpu = device.is_cpu();
        let bias = bias && !cpu;
        let mut params = SharedGradientParams {
            m: m as u32,
            n: n as u32,
            rows: [0; USES],
            accumulate: self.dw.is_some().into(),
            has_bias: bias.into(),
        };
        for (rows, (dy, _)) in params.rows.iter_mut().zip(&self.waiting) {
            *rows = dy.shape()[0] as u32;
        }
        let rows = self.waiting.iter().map(|(dy, _)| dy.shape()[0] as u64).sum();
        let pairs = self.waiting.iter().flat_map(|(dy, x)| [dy.buffer(), x.buffer()]);
        let mut inputs: Vec<&Buffer> = pairs.collect();
        // A GPU needs a buffer for each binding: repeat the first use in place of absent ones, whose `rows` are 0.
        while !cpu && inputs.len() < 2 * USES {
            inputs.extend([dy.buffer(), x.buffer()]);
        }
        let unwritten = |shape: &[usize]| Tensor::unwritten(device, shape);
        let mut dw = self.dw.take().unwrap_or_else(|| unwritten(&[m, n]));
        let mut db = if bias { self.db.take() } else { Some(unwritten(&[0])) };
        let outputs = [&mut dw, db.get_or_insert_with(|| unwritten(&[m]))];
        let mut outputs = outputs.map(|t| t.buffer_mut().expect("a gradient's memory is its own"));
        device.run(&Joined { params, rows }, &inputs, &mut outputs);
        if bias {
            self.db = db;
        }
        self.dw = Some(dw);
        self.waiting.clear();
    }
}

/// Accumulates the gradients of the uses of a weight.
#[derive(Clone)]
pub struct Uses {
    sums: Rc<RefCell<Sums>>,
    weight: Tensor,
    /// W, packed for the gradients of x on first use.
    backward: Rc<OnceCell<Prepared>>,
    bias: bool,
    /// An empty tensor, which serves as the token and as the token's gradient.
    token: Tensor,
}

impl Uses {
    /// The gradient dx = dy W \[B, in\] of a use.
    pub fn dx(&self, dy: &Tensor) -> Tensor {
        let prepared = self.backward.get_or_init(|| Prepared::new(&self.weight, Layout::N));
        product_with(dy, prepared, None)
    }

    /// Adds the gradient of a use with input x \[B, in\] and output gradient dy \[B, out\]. Returns the token's
    /// gradient.
    pub fn add(&self, dy: &Tensor, x: &Tensor) -> Tensor {
        let mut sums = self.sums.borrow_mut();
        let cpu = dy.device().is_cpu();
        sums.waiting.push((dy.clone(), x.clone()));
        if cpu || sums.waiting.len() == USES {
            sums.settle(self.bias);
        }
        // On a CPU, add to db now, while dy is in the near caches.
        if self.bias && cpu {
            match &mut sums.db {
                Some(db) => add_rows(db, dy),
                None => {
                    let mut db = sum_to(dy, &[dy.shape()[1]]);
                    // If dy has one row, `sum_to` returns dy itself.
                    unshare(&mut db);
                    sums.db = Some(db);
                }
            }
        }
        self.token.clone()
    }
}

struct Rule {
    uses: Uses,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn backward(self: Box<Self>, _: &[Tensor], _: &[bool]) -> Vec<Option<Tensor>> {
        let mut sums = self.uses.sums.take();
        // This rule runs only if the token has a gradient, so there is at least one use.
        sums.settle(self.uses.bias);
        let mut gradients = vec![sums.dw];
        if self.uses.bias {
            gradients.push(sums.db);
        }
        gradients
    }
}

/// A weight, with or without a bias, that is used many times on one tape. Create it once and call its methods at every
/// time step.
pub struct Shared<'t> {
    forward: Prepared,
    bias: Option<Tensor>,
    token: Var<'t>,
    uses: Uses,
}

impl<'t> Shared<'t> {
    /// Shares W \[out, in\] and b \[out\]. Panics if W is not a matrix.
    #[track_caller]
    pub fn new(weight: &Var<'t>, bias: Option<&Var<'t>>) -> Shared<'t> {
        assert_eq!(weight.shape().len(), 2, "shared: a matrix is needed, not {:?}", weight.shape());
        let token = Tensor::zeros(weight.device(), &[0]);
        let uses = Uses {
            sums: Rc::default(),
            weight: weight.value().clone(),
            backward: Rc::default(),
            bias: bias.is_some(),
            token: token.clone(),
        };
        let mut parents = vec![weight];
        parents.extend(bias);
        let rule = || Box::new(Rule { uses: uses.clone() }) as Box<dyn Backward>;
        let [token] = weight.tape().record(&parents, [token], rule);
        Shared {
            forward: Prepared::new(weight.value(), Layout::T),
            bias: bias.map(|b| b.value().clone()),
            token,
            uses,
        }
    }

    /// W \[out, in\].
    pub fn weight(&self) -> &Tensor {
        &self.uses.weight
    }

    /// W^T as matrix products read it, with the number of columns in a panel; 0 if it is not packed.
    pub(super) fn operand(&self) -> (&Tensor, u32) {
        self.forward.operand()
    }

    /// b \[out\], if there is one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The token that each use records as a parent. Its gradient is the result of [`Uses::add`].
    pub fn token(&self) -> &Var<'t> {
        &self.token
    }

    /// The accumulator that a use saves for its gradient rule.
    pub fn uses(&self) -> Uses {
        self.uses.clone()
    }

    /// x W^T + b \[B, out\] for x \[B, in\]. Panics if the shapes do not fit.
    #[track_caller]
    pub fn linear(&self, x: &Var<'t>) -> Var<'t> {
        let (x_, uses) = (x.value().clone(), self.uses());
        let y = product_with(&x_, &self.forward, self.bias());
        let rule = || Box::new(LinearRule { x: x_, uses }) as Box<dyn Backward>;
        let [y] = x.tape().record(&[x, &self.token], [y], rule);
        y
    }
}

struct LinearRule {
    x: Tensor,
    uses: Uses,
}

impl Backward for LinearRule {
    fn name(&self) -> &'static str {
        "shared linear"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        vec![need[0].then(|| self.uses.dx(&dy[0])), need[1].then(|| self.uses.add(&dy[0], &self.x))]
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |batch: usize, width: usize, uses: usize| {
        let r = 1.0 / (width as f32).sqrt();
        let inputs = vec![
            Input::normal("x", &[batch, width]),
            Input::uniform("w", &[width, width], -r, r),
            Input::normal("b", &[width]),
        ];
        let label = format!("{uses} uses of {width}x{width} on {batch} rows");
        Case::new("shared", &label, inputs, move |x| {
            let shared = Shared::new(&x[1], Some(&x[2]));
            let mut y = x[0].clone();
            (0..uses).for_each(|_| y = shared.linear(&y));
            vec![y]
        })
    };
    // More than three uses need a second launch on a GPU. With 64 columns, db is in a separate tile; with 31, in dW's
    // last.
    vec![
        case(1, 1, 1),
        case(1, 5, 3),
        case(3, 5, 2),
        case(17, 9, 3),
        case(65, 33, 2),
        case(4, 64, 4),
        case(33, 31, 7),
        case(90, 7, 5),
    ]
}
