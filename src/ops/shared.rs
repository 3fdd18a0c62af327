//! A weight that a network uses many times, whose gradient is one product over all uses.
//!
//! y_t = x_t W^T + b at t = 1..T gives dW = sum_t dy_t^T x_t and db = sum_t sum of the rows of dy_t. Added
//! up one by one, that reads and writes all of dW T times; stacked, it is one product
//! \[out, T B\] \[T B, in\] whose sums stay in registers.
//!
//! On the tape a shared weight is a node with the parents W and b whose output is an empty token. Each
//! use has the token as a parent and, on the way back, leaves dy_t and x_t with [`Uses`]. The node was
//! made before all uses, so it runs after them and makes the product of what they left.
//!
//! Shapes: x_t \[B, in\], W \[out, in\], b \[out\], y_t \[B, out\].

use std::cell::RefCell;
use std::rc::Rc;

use bytemuck::{Pod, Zeroable};

use super::case::{Case, Input};
use super::matmul::{Activation, Layout, product};
use super::reduce::sum_to;
use crate::autograd::{Backward, Var};
use crate::cpu;
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise};
use crate::tensor::Tensor;

/// `n` elements go to `start..start + n`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Params {
    pub(crate) n: u32,
    pub(crate) start: u32,
}

/// Copies a tensor into a part of another one, in place: input x, state y.
pub static PLACE: Kernel<Params, 1, 1> = Kernel {
    program: Program {
        name: "place",
        source: concat!(
            include_str!("../../shaders/lib/index.wgsl"),
            include_str!("../../shaders/place.wgsl")
        ),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::shared::place,
    stages: |p| elementwise("place", p.n as usize, p),
    cost: |p| Cost { flops: 0, bytes: 8 * u64::from(p.n), loop_iterations: 0 },
    entries: &["place"],
};

/// dy_t and x_t of the uses of a weight.
#[derive(Clone)]
pub struct Uses {
    pairs: Rc<RefCell<Vec<(Tensor, Tensor)>>>,
    /// The empty token; its gradient is as empty.
    token: Tensor,
}

impl Uses {
    /// Leaves the gradient dy \[B, out\] of a use on x \[B, in\]; the result is the token's gradient.
    pub fn add(&self, dy: &Tensor, x: &Tensor) -> Tensor {
        self.pairs.borrow_mut().push((dy.clone(), x.clone()));
        self.token.clone()
    }
}

/// Matrices of equally many columns one below the other.
fn stack<'a>(parts: impl Iterator<Item = &'a Tensor> + Clone) -> Tensor {
    let Some(first) = parts.clone().next() else { panic!("stack: nothing to stack") };
    let (rows, width) = (parts.clone().map(|t| t.shape()[0]).sum::<usize>(), first.shape()[1]);
    let mut all = Tensor::unwritten(first.device(), &[rows, width]);
    let mut start = 0;
    for part in parts {
        let params = Params { n: part.len() as u32, start: start as u32 };
        PLACE.update(params, [part], [&mut all]);
        start += part.len();
    }
    all
}

struct Rule {
    uses: Uses,
    bias: bool,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn backward(self: Box<Self>, _: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let uses = self.uses.pairs.take();
        let (dy, x) = match &uses[..] {
            [(dy, x)] => (dy.clone(), x.clone()),
            _ => (stack(uses.iter().map(|(dy, _)| dy)), stack(uses.iter().map(|(_, x)| x))),
        };
        drop(uses);
        let dw =
            need[0].then(|| product((&dy, Layout::T), (&x, Layout::N), None, Activation::None));
        let db = |need: bool| need.then(|| sum_to(&dy, &[dy.shape()[1]]));
        if self.bias { vec![dw, db(need[1])] } else { vec![dw] }
    }
}

/// A weight, and a bias or none, used many times on one tape.
pub struct Shared<'t> {
    weight: Tensor,
    bias: Option<Tensor>,
    token: Var<'t>,
    uses: Uses,
}

impl<'t> Shared<'t> {
    /// W \[out, in\] and b \[out\].
    #[track_caller]
    pub fn new(weight: &Var<'t>, bias: Option<&Var<'t>>) -> Shared<'t> {
        assert_eq!(weight.shape().len(), 2, "shared: a matrix is needed, not {:?}", weight.shape());
        let token = Tensor::zeros(weight.device(), &[0]);
        let uses = Uses { pairs: Rc::default(), token: token.clone() };
        let mut parents = vec![weight];
        parents.extend(bias);
        let rule =
            || Box::new(Rule { uses: uses.clone(), bias: bias.is_some() }) as Box<dyn Backward>;
        let [token] = weight.tape().record(&parents, [token], rule);
        Shared {
            weight: weight.value().clone(),
            bias: bias.map(|b| b.value().clone()),
            token,
            uses,
        }
    }

    /// W.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// b.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// What a use has as a parent; its gradient comes from [`Uses::add`].
    pub fn token(&self) -> &Var<'t> {
        &self.token
    }

    /// Where a use leaves its gradient.
    pub fn uses(&self) -> Uses {
        self.uses.clone()
    }

    /// x W^T + b: x \[B, in\], result \[B, out\].
    #[track_caller]
    pub fn linear(&self, x: &Var<'t>) -> Var<'t> {
        let (w, x_) = (self.weight.clone(), x.value().clone());
        let y = product((&x_, Layout::N), (&w, Layout::T), self.bias(), Activation::None);
        let uses = self.uses();
        let rule = || Box::new(LinearRule { x: x_, w, uses }) as Box<dyn Backward>;
        let [y] = x.tape().record(&[x, &self.token], [y], rule);
        y
    }
}

struct LinearRule {
    x: Tensor,
    w: Tensor,
    uses: Uses,
}

impl Backward for LinearRule {
    fn name(&self) -> &'static str {
        "shared linear"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let (d, w) = ((&dy[0], Layout::N), (&self.w, Layout::N));
        vec![
            need[0].then(|| product(d, w, None, Activation::None)),
            need[1].then(|| self.uses.add(&dy[0], &self.x)),
        ]
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
    vec![case(1, 1, 1), case(3, 5, 2), case(17, 9, 3), case(65, 33, 2)]
}
