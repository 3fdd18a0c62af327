//! A weight that a network uses many times, whose gradient is added up in one place.
//!
//! y_t = x_t W^T + b at t = 1..T gives dW = sum_t dy_t^T x_t and db = sum_t sum of the rows of dy_t. On a GPU
//! each product is added to dW as it is made. On the CPU dW is too large for the near caches, so a few uses
//! wait for each other and are added together (`cpu/gemm/sum.rs`).
//!
//! On the tape a shared weight is a node with the parents W and b whose output is an empty token. Each
//! use has the token as a parent and, on the way back, adds its part with [`Uses`]. The node was made
//! before all uses, so it runs after them and hands on what they added up.
//!
//! Shapes: x_t \[B, in\], W \[out, in\], b \[out\], y_t \[B, out\].

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use super::case::{Case, Input};
use super::layout::unshare;
use super::matmul::{Layout, Prepared, add_products, product_with, rows_together};
use super::reduce::{add_rows, sum_to};
use crate::autograd::{Backward, Var};
use crate::tensor::Tensor;

/// The gradients of W and b so far.
#[derive(Default)]
struct Sums {
    dw: Option<Tensor>,
    db: Option<Tensor>,
    /// dy and x of uses that are not in dW yet.
    waiting: Vec<(Tensor, Tensor)>,
}

impl Sums {
    /// Adds all uses that wait.
    fn settle(&mut self) {
        if !self.waiting.is_empty() {
            self.dw = Some(add_products(self.dw.take(), &self.waiting));
            self.waiting.clear();
        }
    }
}

/// Where the uses of a weight leave their part of its gradient.
#[derive(Clone)]
pub struct Uses {
    sums: Rc<RefCell<Sums>>,
    weight: Tensor,
    /// W as the gradients of x need it.
    backward: Rc<OnceCell<Prepared>>,
    bias: bool,
    /// The empty token; its gradient is as empty.
    token: Tensor,
}

impl Uses {
    /// The gradient dy W of a use's x \[B, in\].
    pub fn dx(&self, dy: &Tensor) -> Tensor {
        let prepared = self.backward.get_or_init(|| Prepared::new(&self.weight, Layout::N));
        product_with(dy, prepared, None)
    }

    /// Adds the gradients of a use on x \[B, in\] with dy \[B, out\]; the result is the token's gradient.
    pub fn add(&self, dy: &Tensor, x: &Tensor) -> Tensor {
        let mut sums = self.sums.borrow_mut();
        let rows: usize = sums.waiting.iter().map(|(dy, _)| dy.shape()[0]).sum();
        if rows + dy.shape()[0] > rows_together(dy.device()) {
            sums.settle();
        }
        sums.waiting.push((dy.clone(), x.clone()));
        if self.bias {
            match &mut sums.db {
                Some(db) => add_rows(db, dy),
                None => {
                    let mut db = sum_to(dy, &[dy.shape()[1]]);
                    // The sum of one row is that row.
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
        // The token has a gradient, so there is a use.
        sums.settle();
        let mut gradients = vec![sums.dw];
        if self.uses.bias {
            gradients.push(sums.db);
        }
        gradients
    }
}

/// A weight, and a bias or none, used many times on one tape.
pub struct Shared<'t> {
    forward: Prepared,
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

    /// W^T as products read it, and whether that is packed.
    pub(super) fn operand(&self) -> (&Tensor, bool) {
        self.forward.operand()
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
    // The last: so many rows that not all uses wait for each other, and one is left.
    vec![
        case(1, 1, 1),
        case(1, 5, 3),
        case(3, 5, 2),
        case(17, 9, 3),
        case(65, 33, 2),
        case(90, 7, 5),
    ]
}
