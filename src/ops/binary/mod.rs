//! Elementwise sum, difference, product and quotient of two tensors, with broadcasting as in NumPy: axes are matched
//! from the last, and an axis of length 1 or a missing one is repeated.
//!
//! The gradient of a broadcast operand is summed over the axes along which it was repeated.

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::ops::axes::{self, Axis, broadcast, lengths, merged};
use crate::ops::layout::expand;
use crate::ops::reduce::sum_to;
use crate::ops::unary;
use crate::tensor::Tensor;
pub use params::{BinaryParams, Operation};

use Operation::*;

/// y = a op b.
pub static BINARY: Kernel<BinaryParams, 2, 1> = Kernel {
    program: Program {
        name: "binary",
        source: shader!("lib/index", "binary/binary"),
        inputs: 2,
        outputs: 1,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| elementwise("binary", p.n as usize, p),
    cost: |p| Cost { flops: u64::from(p.n), bytes: 12 * u64::from(p.n), loop_iterations: 0 },
    entries: &["binary"],
};

/// The broadcast shape of a op b; `None` if the shapes do not broadcast.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let axis = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

/// a op b with broadcasting, on tensors. Panics if the shapes do not broadcast.
#[track_caller]
pub fn apply(operation: Operation, a: &Tensor, b: &Tensor) -> Tensor {
    let shape = broadcast_shape(a.shape(), b.shape()).unwrap_or_else(|| {
        panic!("{operation:?}: shapes {:?} and {:?} do not broadcast", a.shape(), b.shape())
    });
    let strides = [broadcast(a.shape(), &shape), broadcast(b.shape(), &shape)];
    let axis = |i: usize| Axis { length: shape[i], strides: [strides[0][i], strides[1][i]] };
    let Some(axes) = merged((0..shape.len()).map(axis)) else {
        return apply(operation, &expand(a, &shape), &expand(b, &shape));
    };
    let params = BinaryParams {
        shape: lengths(&axes),
        stride_a: axes::strides(&axes, 0),
        stride_b: axes::strides(&axes, 1),
        n: shape.iter().product::<usize>() as u32,
        operation: operation as u32,
        unused: [0; 2],
    };
    let [y] = BINARY.launch(params, [a, b], [&shape]);
    y
}

/// The gradient rule. Sums and differences save only shapes; products and quotients save their operands.
enum Rule {
    Sum { sign: f32, a: Vec<usize>, b: Vec<usize> },
    Product { a: Tensor, b: Tensor },
    Quotient { a: Tensor, b: Tensor },
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let dy = &dy[0];
        let times = |t: &Tensor, factor| unary::apply(unary::Function::Affine, t, factor, 0.0);
        match *self {
            Rule::Sum { sign, a, b } => vec![
                need[0].then(|| sum_to(dy, &a)),
                need[1].then(|| {
                    let db = sum_to(dy, &b);
                    if sign == 1.0 { db } else { times(&db, sign) }
                }),
            ],
            Rule::Product { a, b } => vec![
                need[0].then(|| sum_to(&apply(Mul, dy, &b), a.shape())),
                need[1].then(|| sum_to(&apply(Mul, dy, &a), b.shape())),
            ],
            Rule::Quotient { a, b } => {
                let da = apply(Div, dy, &b);
                // d(a/b)/db = -a / b^2
                let db = need[1].then(|| times(&apply(Div, &apply(Mul, &da, &a), &b), -1.0));
                vec![need[0].then(|| sum_to(&da, a.shape())), db.map(|db| sum_to(&db, b.shape()))]
            }
        }
    }
}

impl<'t> Var<'t> {
    #[track_caller]
    fn binary(&self, operation: Operation, other: &Var<'t>) -> Var<'t> {
        let (a, b) = (self.value(), other.value());
        let y = apply(operation, a, b);
        let sum = |sign| Rule::Sum { sign, a: a.shape().to_vec(), b: b.shape().to_vec() };
        let rule = || match operation {
            Add => sum(1.0),
            Sub => sum(-1.0),
            Mul => Rule::Product { a: a.clone(), b: b.clone() },
            Div => Rule::Quotient { a: a.clone(), b: b.clone() },
            Less => unreachable!("a comparison is not on the tape"),
        };
        let [y] = self.tape().record(&[self, other], [y], || Box::new(rule()));
        y
    }

    /// a + b, elementwise with broadcasting. Panics if the shapes do not broadcast.
    #[track_caller]
    #[allow(clippy::should_implement_trait)]
    pub fn add(&self, other: &Var<'t>) -> Var<'t> {
        self.binary(Add, other)
    }

    /// a - b, elementwise with broadcasting. Panics if the shapes do not broadcast.
    #[track_caller]
    #[allow(clippy::should_implement_trait)]
    pub fn sub(&self, other: &Var<'t>) -> Var<'t> {
        self.binary(Sub, other)
    }

    /// a b, elementwise with broadcasting. Panics if the shapes do not broadcast.
    #[track_caller]
    #[allow(clippy::should_implement_trait)]
    pub fn mul(&self, other: &Var<'t>) -> Var<'t> {
        self.binary(Mul, other)
    }

    /// a / b, elementwise with broadcasting; infinite or NaN where b is 0. Panics if the shapes do not broadcast.
    #[track_caller]
    #[allow(clippy::should_implement_trait)]
    pub fn div(&self, other: &Var<'t>) -> Var<'t> {
        self.binary(Div, other)
    }
}

/// The operators, between values and references.
macro_rules! operators {
    ($($operator:ident $method:ident),*) => {
        $(operators!(@ $operator $method, Var<'t>, Var<'t>);
        operators!(@ $operator $method, Var<'t>, &Var<'t>);
        operators!(@ $operator $method, &Var<'t>, Var<'t>);
        operators!(@ $operator $method, &Var<'t>, &Var<'t>);)*
    };
    (@ $operator:ident $method:ident, $left:ty, $right:ty) => {
        impl<'t> std::ops::$operator<$right> for $left {
            type Output = Var<'t>;

            #[track_caller]
            fn $method(self, other: $right) -> Var<'t> {
                self.binary($operator, &other)
            }
        }
    };
}

operators!(Add add, Sub sub, Mul mul, Div div);

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |label: &str, a: &[usize], b: &[usize], f: for<'t> fn(&[Var<'t>]) -> Var<'t>| {
        let inputs = vec![Input::normal("a", a), Input::uniform("b", b, 0.5, 2.0)];
        Case::new("binary", label, inputs, move |x| vec![f(x)])
    };
    vec![
        case("add 65", &[65], &[65], |x| x[0].add(&x[1])),
        case("sub 17x3", &[17, 3], &[17, 3], |x| x[0].sub(&x[1])),
        case("mul 129", &[129], &[129], |x| x[0].mul(&x[1])),
        case("div 65", &[65], &[65], |x| x[0].div(&x[1])),
        case("add row 17x65 + 65", &[17, 65], &[65], |x| x[0].add(&x[1])),
        case("mul column 17x65 * 17x1", &[17, 65], &[17, 1], |x| x[0].mul(&x[1])),
        case("sub scalar 3x17 - []", &[3, 17], &[], |x| x[0].sub(&x[1])),
        case("div outer 3x1 / 1x17", &[3, 1], &[1, 17], |x| x[0].div(&x[1])),
        case("mul middle 3x17x5 * 3x1x5", &[3, 17, 5], &[3, 1, 5], |x| x[0].mul(&x[1])),
        case("add four axes", &[2, 3, 1, 5], &[3, 7, 1], |x| x[0].add(&x[1])),
        case("div 1 / 1", &[1], &[1], |x| x[0].div(&x[1])),
        case("mul by itself 65", &[65], &[65], |x| x[0].mul(&x[0]).mul(&x[1])),
    ]
}
