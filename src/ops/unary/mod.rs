//! Elementwise functions of one variable: y = f(x), dL/dx = f'(x) dL/dy.
//!
//! Every function saves one tensor for its gradient: y if the derivative is simplest as a function of y (exp,
//! tanh, sigmoid, ReLU, square root), else x. All tensors have the same shape.

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::tensor::Tensor;
pub use params::{Function, UnaryParams};

use Function::*;

/// y = f(x).
pub static UNARY: Kernel<UnaryParams, 1, 1> = Kernel {
    program: Program {
        name: "unary",
        source: shader!("lib/index", "lib/math", "unary/unary"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| elementwise("unary", p.n as usize, p),
    cost: |p| Cost { flops: 10 * u64::from(p.n), bytes: 8 * u64::from(p.n), loop_iterations: 0 },
    entries: &["unary"],
};

/// dx = f' dy. Inputs: saved (x or y), dy.
pub static UNARY_GRADIENT: Kernel<UnaryParams, 2, 1> = Kernel {
    program: Program {
        name: "unary_gradient",
        source: shader!("lib/index", "lib/math", "unary/unary_gradient"),
        inputs: 2,
        outputs: 1,
    },
    cpu: cpu::gradient,
    reference: reference::gradient,
    stages: |p| elementwise("unary_gradient", p.n as usize, p),
    cost: |p| Cost { flops: 5 * u64::from(p.n), bytes: 12 * u64::from(p.n), loop_iterations: 0 },
    entries: &["unary_gradient"],
};

fn params(function: Function, n: usize, a: f32, b: f32) -> UnaryParams {
    UnaryParams { n: n as u32, function: function as u32, a, b }
}

/// f(x) on tensors; `a` and `b` are the parameters of `Affine` and `Clamp`, unused by the others.
pub fn apply(function: Function, x: &Tensor, a: f32, b: f32) -> Tensor {
    let [y] = UNARY.launch(params(function, x.len(), a, b), [x], [x.shape()]);
    y
}

/// dx = f' dy from the saved tensor.
pub(crate) fn gradient(function: Function, saved: &Tensor, dy: &Tensor, a: f32, b: f32) -> Tensor {
    let p = params(function, dy.len(), a, b);
    let [dx] = UNARY_GRADIENT.launch(p, [saved, dy], [dy.shape()]);
    dx
}

struct Rule {
    function: Function,
    saved: Tensor,
    a: f32,
    b: f32,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        match self.function {
            Affine => "affine",
            Exp => "exp",
            Log => "log",
            Log1p => "log1p",
            Tanh => "tanh",
            Sigmoid => "sigmoid",
            Softplus => "softplus",
            Relu => "relu",
            Square => "square",
            Sqrt => "sqrt",
            Clamp => "clamp",
        }
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        vec![Some(gradient(self.function, &self.saved, &dy[0], self.a, self.b))]
    }
}

impl<'t> Var<'t> {
    fn unary(&self, function: Function, a: f32, b: f32) -> Var<'t> {
        let y = apply(function, self.value(), a, b);
        let saved = match function {
            Exp | Tanh | Sigmoid | Relu | Sqrt => &y,
            _ => self.value(),
        };
        let saved = saved.clone();
        let [y] = self.tape().record(&[self], [y], || Box::new(Rule { function, saved, a, b }));
        y
    }

    /// a x + b.
    pub fn affine(&self, a: f32, b: f32) -> Var<'t> {
        self.unary(Affine, a, b)
    }

    /// e^x.
    pub fn exp(&self) -> Var<'t> {
        self.unary(Exp, 0.0, 0.0)
    }

    /// ln x; -infinity at 0, NaN for negative x.
    pub fn log(&self) -> Var<'t> {
        self.unary(Log, 0.0, 0.0)
    }

    /// ln(1 + x), accurate for small x.
    pub fn log1p(&self) -> Var<'t> {
        self.unary(Log1p, 0.0, 0.0)
    }

    /// Hyperbolic tangent.
    pub fn tanh(&self) -> Var<'t> {
        self.unary(Tanh, 0.0, 0.0)
    }

    /// 1 / (1 + e^-x).
    pub fn sigmoid(&self) -> Var<'t> {
        self.unary(Sigmoid, 0.0, 0.0)
    }

    /// ln(1 + e^x), without overflow for large x.
    pub fn softplus(&self) -> Var<'t> {
        self.unary(Softplus, 0.0, 0.0)
    }

    /// max(x, 0); the gradient at 0 is 0.
    pub fn relu(&self) -> Var<'t> {
        self.unary(Relu, 0.0, 0.0)
    }

    /// x^2.
    pub fn square(&self) -> Var<'t> {
        self.unary(Square, 0.0, 0.0)
    }

    /// Square root; NaN for negative x, and an infinite gradient at 0.
    pub fn sqrt(&self) -> Var<'t> {
        self.unary(Sqrt, 0.0, 0.0)
    }

    /// x clamped to \[low, high\]; the gradient is 0 where x is outside. Panics if low > high.
    #[track_caller]
    pub fn clamp(&self, low: f32, high: f32) -> Var<'t> {
        assert!(low <= high, "clamp: [{low}, {high}] is no interval");
        self.unary(Clamp, low, high)
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let one = |name, input: Input, f: for<'t> fn(&Var<'t>) -> Var<'t>| {
        Case::new("unary", name, vec![input], move |x| vec![f(&x[0])])
    };
    let mut cases = vec![
        one("affine 129", Input::normal("x", &[129]), |x| x.affine(-1.5, 0.25)),
        one("exp 65", Input::normal("x", &[65]), |x| x.exp()),
        one("log 17", Input::uniform("x", &[17], 0.5, 3.0), |x| x.log()),
        one("log1p 17", Input::uniform("x", &[17], -0.5, 3.0), |x| x.log1p()),
        one("tanh 3x65", Input::normal("x", &[3, 65]), |x| x.tanh()),
        one("sigmoid 3", Input::normal("x", &[3]), |x| x.sigmoid()),
        one("softplus 17x3", Input::normal("x", &[17, 3]), |x| x.softplus()),
        one("relu 65", Input::off_zero("x", &[65]), |x| x.relu()),
        one("square 1", Input::normal("x", &[1]), |x| x.square()),
        one("sqrt 17", Input::uniform("x", &[17], 0.5, 3.0), |x| x.sqrt()),
        // Inputs in [0.2, 1.2] are inside [0.1, 1.3], away from its ends.
        one("clamp inside 17", Input::uniform("x", &[17], 0.2, 1.2), |x| x.clamp(0.1, 1.3)),
        one("clamp outside 17", Input::uniform("x", &[17], 2.0, 3.0), |x| x.clamp(0.1, 1.3)),
        one("one tensor used twice 65", Input::normal("x", &[65]), |x| x.tanh().mul(x)),
    ];
    cases.extend(
        [1, 63, 64, 65, 257, 100_003].map(|n| {
            one("tanh", Input::normal("x", &[n]), |x| x.tanh()).label(format!("tanh {n}"))
        }),
    );
    cases
}
