//! Negative log-likelihoods and the Gaussian KL divergence, in nats, summed over each row.
//!
//! [Auto-Encoding Variational Bayes] (Kingma & Welling), appendices B and C:
//! - Bernoulli with logits l: -log p(x) = sum softplus(l) - x l, finite for any l.
//! - Gaussian with mean mu and log-variance lv: -log p(x) = sum (ln 2 pi + lv + (x - mu)^2 e^-lv) / 2.
//! - KL(N(mu, e^lv) || N(0, 1)) = sum (mu^2 + e^lv - lv - 1) / 2.
//!
//! Inputs \[rows, width\], results \[rows\].
//!
//! [Auto-Encoding Variational Bayes]: https://arxiv.org/abs/1312.6114

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::{Program, Wgsl};
use crate::kernel::{Cost, CpuFn, Kernel, Stage, elementwise, shader, workgroup_each};
use crate::ops::binary::{self, Operation};
use crate::ops::unary::{self, Function};
use crate::tensor::Tensor;
pub use params::LikelihoodParams;

impl LikelihoodParams {
    fn n(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.width)
    }
}

/// One workgroup per row.
fn row_stages(p: &LikelihoodParams) -> Vec<Stage<LikelihoodParams>> {
    workgroup_each("forward", p.rows as usize, p)
}

/// A kernel that sums over each row.
const fn row_sum<const I: usize>(
    name: &'static str,
    source: Wgsl,
    cpu: CpuFn<LikelihoodParams, I, 1>,
    reference: CpuFn<LikelihoodParams, I, 1>,
) -> Kernel<LikelihoodParams, I, 1> {
    Kernel {
        program: Program { name, source, inputs: I, outputs: 1 },
        cpu,
        reference,
        stages: row_stages,
        cost: |p| Cost {
            flops: 20 * p.n(),
            bytes: 4 * I as u64 * p.n(),
            loop_iterations: u64::from(p.width.div_ceil(256)),
        },
        entries: &["forward"],
    }
}

/// A kernel that works on each element.
const fn gradient<const I: usize, const O: usize>(
    name: &'static str,
    source: Wgsl,
    cpu: CpuFn<LikelihoodParams, I, O>,
    reference: CpuFn<LikelihoodParams, I, O>,
) -> Kernel<LikelihoodParams, I, O> {
    Kernel {
        program: Program { name, source, inputs: I, outputs: O },
        cpu,
        reference,
        stages: |p| elementwise("gradient", p.n() as usize, p),
        // The last input is dy, with one number per row.
        cost: |p| Cost {
            flops: 20 * p.n(),
            bytes: 4 * ((I + O - 1) as u64 * p.n() + u64::from(p.rows)),
            loop_iterations: 0,
        },
        entries: &["gradient"],
    }
}

/// -log p of a Bernoulli row. Inputs: logits, x.
pub static BERNOULLI: Kernel<LikelihoodParams, 2, 1> = row_sum(
    "bernoulli",
    shader!("lib/math", "lib/row_sum", "likelihood/bernoulli"),
    cpu::bernoulli,
    reference::bernoulli,
);
/// Gradient of [`BERNOULLI`]. Inputs: logits, x, dy \[rows\]; output: dlogits.
pub static BERNOULLI_GRADIENT: Kernel<LikelihoodParams, 3, 1> = gradient(
    "bernoulli_gradient",
    shader!("lib/math", "lib/index", "likelihood/bernoulli_gradient"),
    cpu::bernoulli_gradient,
    reference::bernoulli_gradient,
);
/// -log p of a Gaussian row. Inputs: x, mu, lv.
pub static GAUSSIAN: Kernel<LikelihoodParams, 3, 1> = row_sum(
    "gaussian",
    shader!("lib/math", "lib/row_sum", "likelihood/gaussian"),
    cpu::gaussian,
    reference::gaussian,
);
/// Gradient of [`GAUSSIAN`]. Inputs: x, mu, lv, dy \[rows\]; outputs: dmu, dlv.
pub static GAUSSIAN_GRADIENT: Kernel<LikelihoodParams, 4, 2> = gradient(
    "gaussian_gradient",
    shader!("lib/math", "lib/index", "likelihood/gaussian_gradient"),
    cpu::gaussian_gradient,
    reference::gaussian_gradient,
);
/// KL divergence of a row to the standard normal. Inputs: mu, lv.
pub static GAUSSIAN_KL: Kernel<LikelihoodParams, 2, 1> = row_sum(
    "gaussian_kl",
    shader!("lib/math", "lib/row_sum", "likelihood/gaussian_kl"),
    cpu::gaussian_kl,
    reference::gaussian_kl,
);
/// Gradient of [`GAUSSIAN_KL`]. Inputs: mu, lv, dy \[rows\]; outputs: dmu, dlv.
pub static GAUSSIAN_KL_GRADIENT: Kernel<LikelihoodParams, 3, 2> = gradient(
    "gaussian_kl_gradient",
    shader!("lib/math", "lib/index", "likelihood/gaussian_kl_gradient"),
    cpu::gaussian_kl_gradient,
    reference::gaussian_kl_gradient,
);

/// Checks that all tensors are matrices of the same shape.
#[track_caller]
fn params(op: &str, tensors: &[&Tensor]) -> LikelihoodParams {
    let shape = tensors[0].shape();
    let same = shape.len() == 2 && tensors.iter().all(|t| t.shape() == shape);
    let shapes: Vec<_> = tensors.iter().map(|t| t.shape()).collect();
    assert!(same, "{op}: matrices of one shape are needed, not {shapes:?}");
    LikelihoodParams { rows: shape[0] as u32, width: shape[1] as u32 }
}

enum Rule {
    Bernoulli { logits: Tensor, x: Tensor },
    Gaussian { x: Tensor, mu: Tensor, lv: Tensor },
    Kl { mu: Tensor, lv: Tensor },
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "likelihood"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let dy = &dy[0];
        let minus = |t: &Tensor| unary::apply(Function::Affine, t, -1.0, 0.0);
        match *self {
            Rule::Bernoulli { logits, x } => {
                let p = params("bernoulli_nll", &[&logits, &x]);
                let dl = need[0].then(|| {
                    let [dl] = BERNOULLI_GRADIENT.launch(p, [&logits, &x, dy], [logits.shape()]);
                    dl
                });
                // The loss is linear in x: dx = -l dy.
                let column = dy.reshape(&[dy.len(), 1]);
                let dx = need[1].then(|| minus(&binary::apply(Operation::Mul, &logits, &column)));
                vec![dl, dx]
            }
            Rule::Gaussian { x, mu, lv } => {
                let p = params("gaussian_nll", &[&x, &mu, &lv]);
                let shapes = [mu.shape(), lv.shape()];
                let [dmu, dlv] = GAUSSIAN_GRADIENT.launch(p, [&x, &mu, &lv, dy], shapes);
                vec![need[0].then(|| minus(&dmu)), Some(dmu), Some(dlv)]
            }
            Rule::Kl { mu, lv } => {
                let p = params("gaussian_kl", &[&mu, &lv]);
                let shapes = [mu.shape(), lv.shape()];
                let [dmu, dlv] = GAUSSIAN_KL_GRADIENT.launch(p, [&mu, &lv, dy], shapes);
                vec![Some(dmu), Some(dlv)]
            }
        }
    }
}

impl<'t> Var<'t> {
    /// -log p(x) of independent Bernoulli variables, in nats/row. `self` is the logits \[rows, width\], x \[rows,
    /// width\] is in \[0, 1\]; the result is \[rows\]. Panics on other shapes.
    #[track_caller]
    pub fn bernoulli_nll(&self, x: &Var<'t>) -> Var<'t> {
        let (l, x_) = (self.value().clone(), x.value().clone());
        let p = params("bernoulli_nll", &[&l, &x_]);
        let [y] = BERNOULLI.launch(p, [&l, &x_], [&l.shape()[..1]]);
        let rule = || Box::new(Rule::Bernoulli { logits: l, x: x_ }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self, x], [y], rule);
        y
    }

    /// -log N(x; mu, e^lv) in nats/row, including the constant ln(2 pi) / 2 per element. `self` is x; x, mu and the
    /// log-variance lv are \[rows, width\], the result is \[rows\]. Panics on other shapes.
    #[track_caller]
    pub fn gaussian_nll(&self, mu: &Var<'t>, lv: &Var<'t>) -> Var<'t> {
        let [x, m, v] = [self, mu, lv].map(|t| t.value().clone());
        let p = params("gaussian_nll", &[&x, &m, &v]);
        let [y] = GAUSSIAN.launch(p, [&x, &m, &v], [&x.shape()[..1]]);
        let rule = || Box::new(Rule::Gaussian { x, mu: m, lv: v }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self, mu, lv], [y], rule);
        y
    }

    /// KL(N(mu, e^lv) || N(0, 1)) in nats/row. `self` is mu; mu and the log-variance lv are \[rows, width\], the
    /// result is \[rows\]. Panics on other shapes.
    #[track_caller]
    pub fn gaussian_kl(&self, lv: &Var<'t>) -> Var<'t> {
        let (m, v) = (self.value().clone(), lv.value().clone());
        let p = params("gaussian_kl", &[&m, &v]);
        let [y] = GAUSSIAN_KL.launch(p, [&m, &v], [&m.shape()[..1]]);
        let rule = || Box::new(Rule::Kl { mu: m, lv: v }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self, lv], [y], rule);
        y
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let sizes: [[usize; 2]; 4] = [[1, 1], [3, 17], [17, 65], [2, 784]];
    let mut cases = Vec::new();
    for shape in sizes {
        let label = |name: &str| format!("{name} {}x{}", shape[0], shape[1]);
        let logits = Input::normal("logits", &shape);
        let (mu, lv) = (Input::normal("mu", &shape), Input::uniform("lv", &shape, -1.0, 1.0));
        cases.push(Case::new(
            "likelihood",
            &label("bernoulli"),
            vec![logits.clone(), Input::binary("x", &shape)],
            |x| vec![x[0].bernoulli_nll(&x[1])],
        ));
        cases.push(Case::new(
            "likelihood",
            &label("bernoulli, gradient of x"),
            vec![logits, Input::uniform("x", &shape, 0.0, 1.0)],
            |x| vec![x[0].bernoulli_nll(&x[1])],
        ));
        cases.push(Case::new(
            "likelihood",
            &label("gaussian"),
            vec![Input::normal("x", &shape), mu.clone(), lv.clone()],
            |x| vec![x[0].gaussian_nll(&x[1], &x[2])],
        ));
        cases.push(Case::new("likelihood", &label("gaussian kl"), vec![mu, lv], |x| {
            vec![x[0].gaussian_kl(&x[1])]
        }));
    }
    cases
}
