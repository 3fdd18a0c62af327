//! Softmax cross entropy: -log p(t) = logsumexp(l) - l_t, in nats/row. [Pixel Recurrent Neural Networks], section 2.2,
//! models each colour value with such a softmax over 256 classes.
//!
//! Gradient: (softmax(l) - onehot(t)) dy. Only the logits and the loss are saved: the normalizer is
//! loss + l_t, so the probabilities are never stored.
//!
//! [Pixel Recurrent Neural Networks]: https://arxiv.org/abs/1601.06759

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, elementwise, grid, shader};
use crate::tensor::Tensor;
pub use params::CategoricalParams;

/// The loss. Inputs: logits, targets.
pub static CATEGORICAL: Kernel<CategoricalParams, 2, 1> = Kernel {
    program: Program {
        name: "categorical",
        source: shader!("lib/math", "lib/row_sum", "lib/class", "categorical/categorical"),
        inputs: 2,
        outputs: 1,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| match p.rows {
        0 => Vec::new(),
        n => vec![Stage { entry: "forward", groups: grid(n as usize), params: *p }],
    },
    cost: |p| {
        let n = u64::from(p.rows) * u64::from(p.classes);
        Cost {
            flops: 12 * n,
            bytes: 4 * n,
            loop_iterations: 2 * u64::from(p.classes.div_ceil(256)),
        }
    },
    entries: &["forward"],
};

/// Its gradient. Inputs: logits, targets, loss, dy.
pub static CATEGORICAL_GRADIENT: Kernel<CategoricalParams, 4, 1> = Kernel {
    program: Program {
        name: "categorical_gradient",
        source: shader!("lib/index", "lib/math", "lib/class", "categorical/categorical_gradient"),
        inputs: 4,
        outputs: 1,
    },
    cpu: cpu::gradient,
    reference: reference::gradient,
    stages: |p| elementwise("gradient", p.rows as usize * p.classes as usize, p),
    cost: |p| {
        let n = u64::from(p.rows) * u64::from(p.classes);
        Cost { flops: 12 * n, bytes: 8 * n, loop_iterations: 0 }
    },
    entries: &["gradient"],
};

struct Rule {
    params: CategoricalParams,
    logits: Tensor,
    target: Tensor,
    nll: Tensor,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "categorical"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        let inputs = [&self.logits, &self.target, &self.nll, &dy[0]];
        let [dl] = CATEGORICAL_GRADIENT.launch(self.params, inputs, [self.logits.shape()]);
        vec![Some(dl)]
    }
}

impl<'t> Var<'t> {
    /// -log softmax(logits)\[t\] in nats. `self` is the logits \[..., classes\]; `target` \[...\] holds class indices
    /// as f32, which are truncated to integers. The result is \[...\], and NaN where a target is out of range.
    ///
    /// # Panics
    ///
    /// When the logits have no axis, or the shape of `target` does not fit.
    #[track_caller]
    pub fn categorical_nll(&self, target: &Tensor) -> Var<'t> {
        let shape = self.shape().to_vec();
        let (classes, batch) = shape.split_last().expect("categorical_nll: logits have no axis");
        let found = target.shape();
        assert!(
            found == batch,
            "categorical_nll: logits {shape:?} need one target per row, {batch:?}, not {found:?}"
        );
        let params = CategoricalParams { rows: target.len() as u32, classes: *classes as u32 };
        let (logits, target) = (self.value().clone(), target.clone());
        let [nll] = CATEGORICAL.launch(params, [&logits, &target], [batch]);
        let rule =
            || Box::new(Rule { params, logits, target, nll: nll.clone() }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self], [nll.clone()], rule);
        y
    }
}

impl<'t> Var<'t> {
    /// e^x / sum e^x over the last axis, stable for large |x|. Panics if `self` is a scalar.
    #[track_caller]
    pub fn softmax(&self) -> Var<'t> {
        self.log_softmax().exp()
    }

    /// ln softmax(x) = x - logsumexp(x) over the last axis, which is exact to about 1e-7 times the largest |x|. Panics if
    /// `self` is a scalar.
    #[track_caller]
    pub fn log_softmax(&self) -> Var<'t> {
        let sum = self.logsumexp();
        let column: Vec<usize> = sum.shape().iter().copied().chain([1]).collect();
        self.sub(&sum.reshape(&column))
    }

    /// The mean of [`Var::categorical_nll`] over all rows, in nats/row. `self` is the logits \[..., classes\], `target`
    /// \[...\] holds class indices. Panics as [`Var::categorical_nll`] does.
    #[track_caller]
    pub fn cross_entropy(&self, target: &Tensor) -> Var<'t> {
        self.categorical_nll(target).mean()
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |rows: usize, classes: usize| {
        let inputs = vec![
            Input::normal("logits", &[rows, classes]),
            Input::index("target", &[rows], classes),
        ];
        let label = format!("{rows} rows of {classes} classes");
        Case::new("categorical", &label, inputs, |x| vec![x[0].categorical_nll(x[1].value())])
    };
    vec![case(1, 1), case(3, 2), case(17, 10), case(5, 256), case(65, 257)]
}
