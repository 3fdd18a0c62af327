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
//! In DRAW, each glimpse concatenates z and h of the decoder, and adds its KL to the sum. [`Var::latent_input`] does
//! all of this in one launch.
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

/// The decoder's input. Inputs: m, eps, h \[B, h\], the sum of KL so far \[B\]. Outputs: \[z, h\], kl, the new sum.
pub static LATENT_INPUT: Kernel<LatentParams, 4, 3> = Kernel {
    program: Program {
        name: "latent_input",
        source: shader!("lib/math", "lib/row_sum", "latent/latent_input"),
        inputs: 4,
        outputs: 3,
    },
    cpu: cpu::forward_input,
    reference: reference::forward_input,
    stages: |p| workgroup_each("latent_input", p.batch as usize, p),
    cost: |p| Cost {
        flops: 20 * p.n(),
        bytes: 16 * p.n() + 8 * u64::from(p.batch) * u64::from(p.beside),
        loop_iterations: u64::from(p.width.div_ceil(256) + p.beside.div_ceil(256)),
    },
    entries: &["latent_input"],
};

/// Gradient of [`LATENT_INPUT`]. Inputs: m, eps, the gradient of \[z, h\], dkl. Outputs: dm, dh.
pub static LATENT_INPUT_GRADIENT: Kernel<LatentParams, 4, 2> = Kernel {
    program: Program {
        name: "latent_input_gradient",
        source: shader!("lib/index", "lib/math", "latent/latent_input_gradient"),
        inputs: 4,
        outputs: 2,
    },
    cpu: cpu::input_gradient,
    reference: reference::input_gradient,
    stages: |p| {
        let columns = p.width as usize + p.beside as usize;
        elementwise("latent_input_gradient", p.batch as usize * columns, p)
    },
    cost: |p| Cost {
        flops: 20 * p.n(),
        bytes: 24 * p.n() + 8 * u64::from(p.batch) * u64::from(p.beside),
        loop_iterations: 0,
    },
    entries: &["latent_input_gradient"],
};

struct InputRule {
    params: LatentParams,
    m: Tensor,
    eps: Tensor,
}

impl Backward for InputRule {
    fn name(&self) -> &'static str {
        "latent_input"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _: &[bool]) -> Vec<Option<Tensor>> {
        let h = [self.params.batch, self.params.beside].map(|n| n as usize);
        let inputs = [&self.m, &self.eps, &dy[0], &dy[1]];
        let [dm, dh] = LATENT_INPUT_GRADIENT.launch(self.params, inputs, [self.m.shape(), &h]);
        vec![Some(dm), Some(dh), Some(dy[1].clone())]
    }
}

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
        let (m, params) = (self.value().clone(), self.latent_params(eps, t, 0));
        let [batch, width] = [params.batch, params.width].map(|n| n as usize);
        let [z, kl] = LATENT.launch(params, [&m, eps], [&[batch, width], &[batch]]);
        let rule = || {
            let (m, eps) = (m.clone(), eps.clone());
            Box::new(Rule { params, m, eps }) as Box<dyn Backward>
        };
        self.tape().record(&[self], [z, kl], rule)
    }

    /// Draws z as [`Var::latent`] does. Returns the input \[z, h\] \[B, Z + h\] of a decoder with state `h` \[B, h\]; KL
    /// \[B\], without gradient; and the sum of KL and `before` \[B\].
    #[track_caller]
    pub fn latent_input(
        &self,
        (eps, t): (&Tensor, usize),
        h: &Var<'t>,
        before: &Var<'t>,
    ) -> (Var<'t>, Tensor, Var<'t>) {
        let batch = self.shape()[0];
        assert!(
            h.shape().len() == 2 && h.shape()[0] == batch && before.shape() == [batch],
            "latent_input: m {:?}, h {:?} and a sum {:?} do not fit",
            self.shape(),
            h.shape(),
            before.shape()
        );
        let m = self.value().clone();
        let params = self.latent_params(eps, t, h.shape()[1]);
        let x = [batch, params.width as usize + h.shape()[1]];
        let inputs = [&m, eps, h.value(), before.value()];
        let [x, kl, total] = LATENT_INPUT.launch(params, inputs, [&x, &[batch], &[batch]]);
        let rule = || {
            let (m, eps) = (m.clone(), eps.clone());
            Box::new(InputRule { params, m, eps }) as Box<dyn Backward>
        };
        let [x, total] = self.tape().record(&[self, h, before], [x, total], rule);
        (x, kl, total)
    }

    #[track_caller]
    fn latent_params(&self, eps: &Tensor, t: usize, beside: usize) -> LatentParams {
        let m = self.value();
        let ([batch, two], [glimpses, rows, width]) = (m.shape(), eps.shape()) else {
            panic!("latent: m {:?} is [B, 2Z] and eps {:?} [T, B, Z]", m.shape(), eps.shape())
        };
        assert!(
            t < *glimpses && rows == batch && *two == 2 * width,
            "latent: m {:?}, glimpse {t} of eps {:?} do not fit",
            m.shape(),
            eps.shape()
        );
        let [batch, width, start, beside] =
            [*batch, *width, t * rows * width, beside].map(|n| n as u32);
        LatentParams { batch, width, start, beside }
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
    let input = |batch: usize, width: usize, hidden: usize| {
        let inputs = vec![
            Input::uniform("m", &[batch, 2 * width], -1.0, 1.0),
            Input::normal("eps", &[2, batch, width]).constant(),
            Input::normal("h", &[batch, hidden]),
            Input::normal("before", &[batch]),
        ];
        let label = format!("{batch}x{width} beside {hidden}");
        Case::new("latent", &label, inputs, |x| {
            let (input, _, sum) = x[0].latent_input((x[1].value(), 1), &x[2], &x[3]);
            vec![input, sum]
        })
    };
    vec![
        case(1, 1, 1),
        case(3, 17, 2),
        case(65, 5, 3),
        case(2, 300, 2),
        input(1, 1, 1),
        input(5, 3, 17),
        input(2, 300, 270),
    ]
}
