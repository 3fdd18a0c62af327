//! A reparameterised sample of a Gaussian q and its KL divergence to the standard normal, from mean and log-std.
//!
//! [DRAW] (Gregor and others), equations 1, 2 and 11, for one glimpse:
//!
//! ```text
//! z = mu + e^s eps,   KL(q || N(0, 1)) = sum_j (mu_j^2 + e^2s_j - 2 s_j - 1) / 2
//! ```
//!
//! The paper writes the constant once for all T glimpses, as T / 2 for each of the Z dimensions.
//! Gradients: dmu = dz + mu dkl;  ds = dz eps e^s + (e^2s - 1) dkl.
//!
//! Shapes: m = \[mu, s\] \[B, 2Z\], eps \[T, B, Z\], of which a launch uses glimpse t, z \[B, Z\], kl \[B\].
//!
//! [DRAW]: https://arxiv.org/abs/1502.04623

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader, workgroup_each};
use crate::tensor::Tensor;
pub use params::LatentParams;

impl LatentParams {
    fn n(&self) -> u64 {
        u64::from(self.batch) * u64::from(self.width)
    }
}

/// The sample. Inputs: m, eps. Outputs: z, kl.
pub static LATENT: Kernel<LatentParams, 2, 2> = Kernel {
    program: Program {
        name: "latent",
        source: shader!("lib/math", "lib/row_sum", "latent/latent"),
        inputs: 2,
        outputs: 2,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    // One workgroup per row.
    stages: |p| workgroup_each("latent", p.batch as usize, p),
    cost: |p| Cost {
        flops: 20 * p.n(),
        bytes: 16 * p.n(),
        loop_iterations: u64::from(p.width.div_ceil(256)),
    },
    entries: &["latent"],
};

/// Gradient of the sample. Inputs: m, eps, dz, dkl. Output: dm.
pub static LATENT_GRADIENT: Kernel<LatentParams, 4, 1> = Kernel {
    program: Program {
        name: "latent_gradient",
        source: shader!("lib/index", "lib/math", "latent/latent_gradient"),
        inputs: 4,
        outputs: 1,
    },
    cpu: cpu::gradient,
    reference: reference::gradient,
    // One invocation per latent dimension of a row.
    stages: |p| elementwise("latent_gradient", p.n() as usize, p),
    cost: |p| Cost { flops: 20 * p.n(), bytes: 24 * p.n(), loop_iterations: 0 },
    entries: &["latent_gradient"],
};

struct Rule {
    params: LatentParams,
    m: Tensor,
    eps: Tensor,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "latent"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _: &[bool]) -> Vec<Option<Tensor>> {
        let inputs = [&self.m, &self.eps, &dy[0], &dy[1]];
        let [dm] = LATENT_GRADIENT.launch(self.params, inputs, [self.m.shape()]);
        vec![Some(dm)]
    }
}

impl<'t> Var<'t> {
    /// z \[B, Z\] ~ q and KL(q || N(0, I)) \[B\] in nats. `self` is mu and log-std, concatenated, \[B, 2Z\]; eps \[T,
    /// B, Z\] is standard normal noise, of which glimpse `t` is used.
    ///
    /// # Panics
    ///
    /// When the shapes do not fit, or t is not below T.
    #[track_caller]
    pub fn latent(&self, eps: &Tensor, t: usize) -> [Var<'t>; 2] {
        let m = self.value().clone();
        let ([batch, two], [glimpses, rows, width]) = (m.shape(), eps.shape()) else {
            panic!("latent: m {:?} is [B, 2Z] and eps {:?} [T, B, Z]", m.shape(), eps.shape())
        };
        assert!(
            t < *glimpses && rows == batch && *two == 2 * width,
            "latent: m {:?}, glimpse {t} of eps {:?} do not fit",
            m.shape(),
            eps.shape()
        );
        let [batch_, width_, start] = [*batch, *width, t * rows * width].map(|n| n as u32);
        let params = LatentParams { batch: batch_, width: width_, start };
        let [z, kl] = LATENT.launch(params, [&m, eps], [&[*batch, *width], &[*batch]]);
        let rule = || {
            let (m, eps) = (m.clone(), eps.clone());
            Box::new(Rule { params, m, eps }) as Box<dyn Backward>
        };
        self.tape().record(&[self], [z, kl], rule)
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |batch: usize, width: usize, glimpses: usize| {
        let inputs = vec![
            Input::uniform("m", &[batch, 2 * width], -1.0, 1.0),
            Input::normal("eps", &[glimpses, batch, width]).constant(),
        ];
        let label = format!("{batch}x{width}, the last of {glimpses}");
        Case::new("latent", &label, inputs, move |x| {
            x[0].latent(x[1].value(), glimpses - 1).to_vec()
        })
    };
    vec![case(1, 1, 1), case(3, 17, 2), case(65, 5, 3), case(2, 300, 2)]
}
