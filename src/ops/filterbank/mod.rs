//! Gaussian filterbanks from the five attention parameters.
//!
//! [DRAW] (Gregor and others), equations 19 to 26, on an image of width A and height B:
//!
//! ```text
//! (g~X, g~Y, log sigma^2, log delta~, log gamma) = p
//! gX = (A + 1) / 2 (g~X + 1),  gY = (B + 1) / 2 (g~Y + 1)
//! delta = (max(A, B) - 1) / (N - 1) delta~
//! mu_i = g + (i - N / 2 - 1/2) delta,   i = 1..N, pixels a = 1..A: both count from ONE
//! F[i, a] = exp(-(a - mu_i)^2 / 2 sigma^2) / Z_i
//! ```
//!
//! A row is a softmax over its pixels. It is computed relative to the pixel a* nearest to its centre, where the
//! exponent is largest, with (a - mu)^2 - (a* - mu)^2 = (a - a*) (a + a* - 2 mu), which avoids cancellation. A row
//! therefore is finite and sums to one however far away the centre is, and however small or large sigma and delta are.
//! With one filter (N = 1), delta has no effect, and N - 1 counts as 1.
//!
//! Gradients, with e the row's derivative with respect to its exponents, e_a = F_a (dF_a - sum F dF):
//! dmu = sum e (a - a*) / sigma^2, dlog sigma^2 = sum e ((a - mu)^2 - (a* - mu)^2) / 2 sigma^2, as sum e = 0.
//!
//! Shapes: p \[B, 5\], FX \[B, N, A\], FY \[B, N, B\], gamma \[B, 1\]. The bank of an image holds FX, then FY.
//!
//! [DRAW]: https://arxiv.org/abs/1502.04623

pub(super) mod cpu;
mod params;
pub(super) mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, shader, workgroup_each};
use crate::tensor::Tensor;
pub use params::FilterbankParams;

impl FilterbankParams {
    /// One workgroup per image.
    fn stages(&self, entry: &'static str) -> Vec<Stage<FilterbankParams>> {
        workgroup_each(entry, self.batch as usize, self)
    }

    /// Cost with a traffic of `banks` banks and `others` other numbers per image.
    fn cost(&self, banks: u64, others: u64) -> Cost {
        let [batch, n, height, width] =
            [self.batch, self.filters, self.height, self.width].map(u64::from);
        let pixels = n * (height + width);
        Cost {
            flops: 20 * batch * pixels,
            bytes: 4 * batch * (banks * pixels + others),
            loop_iterations: bank_loops(n, height.max(width)),
        }
    }
}

/// Loop iterations of a GPU invocation for a bank or its gradient: a workgroup computes 16 rows at a time, each with 16
/// invocations in two passes over at most `longest` pixels.
pub(super) fn bank_loops(filters: u64, longest: u64) -> u64 {
    (2 * filters).div_ceil(16) * (1 + 2 * longest.div_ceil(16))
}

/// The filterbanks. Input: p. Outputs: FX, FY, gamma.
pub static FILTERBANK: Kernel<FilterbankParams, 1, 3> = Kernel {
    program: Program {
        name: "filterbank",
        source: shader!(
            "lib/math",
            "lib/filterbank",
            "lib/neighbours",
            "lib/attention_alone",
            "lib/bank",
            "filterbank/filterbank"
        ),
        inputs: 1,
        outputs: 3,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| p.stages("filterbank"),
    cost: |p| p.cost(1, 6),
    entries: &["filterbank"],
};

/// Gradient of the filterbanks. Inputs: p, FX, FY, dFX, dFY, dgamma. Output: dp.
pub static FILTERBANK_GRADIENT: Kernel<FilterbankParams, 6, 1> = Kernel {
    program: Program {
        name: "filterbank_gradient",
        source: shader!(
            "lib/math",
            "lib/filterbank",
            "lib/neighbours",
            "lib/attention_alone",
            "lib/grid_gradient",
            "filterbank/filterbank_gradient"
        ),
        inputs: 6,
        outputs: 1,
    },
    cpu: cpu::gradient,
    reference: reference::gradient,
    stages: |p| p.stages("filterbank_gradient"),
    cost: |p| p.cost(2, 11),
    entries: &["filterbank_gradient"],
};

struct Rule {
    params: FilterbankParams,
    p: Tensor,
    fx: Tensor,
    fy: Tensor,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "filterbank"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _: &[bool]) -> Vec<Option<Tensor>> {
        let inputs = [&self.p, &self.fx, &self.fy, &dy[0], &dy[1], &dy[2]];
        let [dp] = FILTERBANK_GRADIENT.launch(self.params, inputs, [self.p.shape()]);
        vec![Some(dp)]
    }
}

impl<'t> Var<'t> {
    /// FX \[B, N, width\], FY \[B, N, height\] and gamma \[B, 1\] of a grid of N x N filters, N = `filters`
    /// (DRAW, equations 19 to 26). `self` is the attention parameters \[B, 5\]: g~X, g~Y, log sigma^2, log delta~,
    /// log gamma.
    ///
    /// # Panics
    ///
    /// When `self` is not \[B, 5\], or a size is 0.
    #[track_caller]
    pub fn filterbank(&self, filters: usize, (height, width): (usize, usize)) -> [Var<'t>; 3] {
        let p = self.value().clone();
        let [batch, 5] = *p.shape() else {
            panic!("filterbank: attention parameters are [B, 5], not {:?}", p.shape())
        };
        assert!(filters * height * width > 0, "filterbank: {filters} of {height} x {width} pixels");
        let [b, n, h, w] = [batch, filters, height, width].map(|n| n as u32);
        let params = FilterbankParams { batch: b, filters: n, height: h, width: w };
        let (fx, fy) = ([batch, filters, width], [batch, filters, height]);
        let [fx, fy, gamma] = FILTERBANK.launch(params, [&p], [&fx, &fy, &[batch, 1]]);
        let rule = || {
            let (fx, fy) = (fx.clone(), fy.clone());
            Box::new(Rule { params, p, fx, fy }) as Box<dyn Backward>
        };
        self.tape().record(&[self], [fx.clone(), fy.clone(), gamma], rule)
    }
}

/// Moderate attention parameters \[batch, 5\], for cases.
pub(super) fn parameters(batch: usize) -> Input {
    Input::uniform("p", &[batch, 5], -0.5, 0.5)
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |batch: usize, filters: usize, height: usize, width: usize| {
        let label = format!("{batch} images of {height}x{width}, N {filters}");
        Case::new("filterbank", &label, vec![parameters(batch)], move |x| {
            x[0].filterbank(filters, (height, width)).to_vec()
        })
    };
    vec![
        case(1, 1, 1, 1),
        case(3, 1, 5, 8),
        case(2, 2, 28, 28),
        case(3, 5, 9, 17),
        case(1, 12, 13, 20),
        case(2, 130, 3, 2),
    ]
}
