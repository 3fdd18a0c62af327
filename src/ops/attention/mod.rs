//! Attentive read and write: filterbank, both matrix products and gamma, fused into one kernel.
//! [Chapter 4 of the guide](crate::guide::attention) derives the equations.
//!
//! [DRAW] (Gregor and others), equations 27 to 29, with the filterbanks FX, FY and gamma of
//! [`super::filterbank`]:
//!
//! ```text
//! read(v)  = gamma FY v FX^T             patch N x N
//! write(w) = 1/gamma FY^T w FX           added to the canvas
//! ```
//!
//! The model reads the image x and the error image x^ = x - sigmoid(canvas) with the same filters, so one
//! launch reads both and computes x^ itself. All colour channels share the filters.
//!
//! For each image, a kernel stores the bank (FX, then FY) and the intermediate product t (FY v or w FX) in
//! `work`, which the gradient reuses. On a GPU, a workgroup processes one image, and its invocations exchange data
//! through `work` instead of workgroup memory, so the size of an image is not limited.
//!
//! Gradients: read  dt = gamma dr FX, dv = FY^T dt, dFX = gamma sum dr^T t, dFY = dt v^T, dlog gamma = <dr, r>;
//! write  dt = 1/gamma FY dc, dw = dt FX^T, dFX = w^T dt, dFY = 1/gamma t dc^T, dlog gamma = -<dc, write(w)>.
//!
//! Shapes: v, canvas, x \[B, H, W, C\], p \[B, 5\], patch \[B, S, N, N, C\] with S = 2 for x and x^, else 1,
//! w \[B, N, N, C\], work \[B, N (W + H) + S N W C\].
//!
//! [DRAW]: https://arxiv.org/abs/1502.04623

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, shader, workgroup_each};
use crate::ops::binary::{self, Operation};
use crate::ops::filterbank::{bank_loops, parameters};
use crate::ops::layout::slice;
use crate::tensor::Tensor;
pub use params::AttentionParams;

impl AttentionParams {
    /// Floats of an image's sources and their patches.
    fn reads(&self) -> usize {
        self.sources as usize * (self.image() + self.patch())
    }

    /// One workgroup per image.
    fn stages(&self, entry: &'static str) -> Vec<Stage<AttentionParams>> {
        workgroup_each(entry, self.batch as usize, self)
    }

    /// Cost of `products` passes over both matrix products, with `words` floats of traffic per image.
    fn cost(&self, products: u64, words: usize) -> Cost {
        let [batch, n, height, width, channels, sources] =
            [self.batch, self.filters, self.height, self.width, self.channels, self.sources]
                .map(u64::from);
        let row = width * channels * sources;
        // Sums over pixels are computed for four filters at once by 16 invocations together: t (over rows),
        // patches and dFY (over columns). A sum over filters is computed by one invocation: t, image and dFX.
        let (line, fours) = (width * channels, n.div_ceil(4));
        let shared = (fours * line).div_ceil(16) * (1 + height.div_ceil(16) + sources)
            + (sources * n * channels * fours).div_ceil(16) * (1 + width.div_ceil(16))
            + (fours * height).div_ceil(16) * (1 + line.div_ceil(16));
        let single = (sources * n * line).div_ceil(256) * (1 + n)
            + (height * line).div_ceil(256) * (1 + n)
            + (n * width).div_ceil(256) * (1 + sources * n * (1 + channels));
        Cost {
            flops: products * 2 * batch * n * row * (height + n),
            bytes: 4 * batch * words as u64,
            loop_iterations: shared + single + bank_loops(n, height.max(width)),
        }
    }
}

macro_rules! source {
    ($($file:literal),+) => {
        shader!("lib/math", "lib/filterbank", "lib/attention", $($file),+)
    };
}

/// The read. Inputs: x, canvas (any tensor if S is 1), p. Outputs: patches, work.
pub static ATTENTION_READ: Kernel<AttentionParams, 3, 2> = Kernel {
    program: Program {
        name: "attention_read",
        source: source!("lib/bank", "lib/image_to_patch", "attention/attention_read"),
        inputs: 3,
        outputs: 2,
    },
    cpu: cpu::read,
    reference: reference::read,
    stages: |p| p.stages("attention_read"),
    cost: |p| p.cost(1, p.reads() + 5 + p.work()),
    entries: &["attention_read"],
};

/// Gradient of the read. Inputs: dpatches, x, canvas, p, work. Outputs: dp; the gradient of the canvas if S is
/// 2, else of x; and the gradients of bank and t, in the shape of work.
pub static ATTENTION_READ_GRADIENT: Kernel<AttentionParams, 5, 3> = Kernel {
    program: Program {
        name: "attention_read_gradient",
        source: source!(
            "lib/grid_gradient",
            "lib/bank_gradient",
            "lib/patch_to_image",
            "attention/attention_read_gradient"
        ),
        inputs: 5,
        outputs: 3,
    },
    cpu: cpu::read_gradient,
    reference: reference::read_gradient,
    stages: |p| p.stages("attention_read_gradient"),
    cost: |p| p.cost(3, p.reads() + p.image() + 2 * (5 + p.work())),
    entries: &["attention_read_gradient"],
};

/// The write. Inputs: w, p, canvas. Outputs: the canvas with w written on it, work.
pub static ATTENTION_WRITE: Kernel<AttentionParams, 3, 2> = Kernel {
    program: Program {
        name: "attention_write",
        source: source!("lib/bank", "lib/patch_to_image", "attention/attention_write"),
        inputs: 3,
        outputs: 2,
    },
    cpu: cpu::write,
    reference: reference::write,
    stages: |p| p.stages("attention_write"),
    cost: |p| p.cost(1, 2 * p.image() + p.patch() + 5 + p.work()),
    entries: &["attention_write"],
};

/// Gradient of the write. Inputs: dcanvas, w, p, work. Outputs: dw, dp, and the gradients of bank and t, in the shape
/// of work.
pub static ATTENTION_WRITE_GRADIENT: Kernel<AttentionParams, 4, 3> = Kernel {
    program: Program {
        name: "attention_write_gradient",
        source: source!(
            "lib/grid_gradient",
            "lib/bank_gradient",
            "lib/image_to_patch",
            "attention/attention_write_gradient"
        ),
        inputs: 4,
        outputs: 3,
    },
    cpu: cpu::write_gradient,
    reference: reference::write_gradient,
    stages: |p| p.stages("attention_write_gradient"),
    cost: |p| p.cost(3, p.image() + 2 * (p.patch() + 5 + p.work())),
    entries: &["attention_write_gradient"],
};

#[track_caller]
fn params(op: &str, image: &Tensor, p: &Tensor, filters: usize, sources: usize) -> AttentionParams {
    let [batch, height, width, channels] = *image.shape() else {
        panic!("{op}: an image is [B, H, W, C], not {:?}", image.shape())
    };
    assert!(
        p.shape() == [batch, 5] && filters * height * width * channels > 0,
        "{op}: image {:?}, attention parameters {:?} (they are [B, 5]), N = {filters}",
        image.shape(),
        p.shape()
    );
    let [batch, filters, height, width, channels, sources] =
        [batch, filters, height, width, channels, sources].map(|n| n as u32);
    AttentionParams { batch, filters, height, width, channels, sources }
}

struct Read {
    params: AttentionParams,
    x: Tensor,
    canvas: Option<Tensor>,
    p: Tensor,
    work: Tensor,
}

impl Read {
    /// dp and the gradient of the canvas or of x.
    fn gradients(&self, dr: &Tensor) -> (Tensor, Tensor) {
        let canvas = self.canvas.as_ref().unwrap_or(&self.x);
        let inputs = [dr, &self.x, canvas, &self.p, &self.work];
        let shapes = [self.p.shape(), self.x.shape(), self.work.shape()];
        let [dp, dv, _] = ATTENTION_READ_GRADIENT.launch(self.params, inputs, shapes);
        (dp, dv)
    }

    /// The gradient of x if x^ is read too: the sum of the gradients of the two sources, each with S = 1. Models do not
    /// need it; it completes the gradient rule.
    fn gradient_of_x(&self, dr: &Tensor) -> Tensor {
        let params = AttentionParams { sources: 1, ..self.params };
        let [batch, _, n, _, channels] = *dr.shape() else { unreachable!("patches") };
        let bank = slice(&self.work, 1, 0, params.work());
        let of = |source: i64| {
            let dr = slice(&dr.reshape(&[batch, 2, n * n * channels]), 1, source, 1);
            let read = Read {
                params,
                x: self.x.clone(),
                canvas: None,
                p: self.p.clone(),
                work: bank.clone(),
            };
            read.gradients(&dr).1
        };
        binary::apply(Operation::Add, &of(0), &of(1))
    }
}

impl Backward for Read {
    fn name(&self) -> &'static str {
        "attention_read"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let (dp, dv) = self.gradients(&dy[0]);
        match self.canvas {
            None => vec![Some(dp), Some(dv)],
            Some(_) => vec![Some(dp), need[1].then(|| self.gradient_of_x(&dy[0])), Some(dv)],
        }
    }
}

struct Write {
    params: AttentionParams,
    w: Tensor,
    p: Tensor,
    work: Tensor,
}

impl Backward for Write {
    fn name(&self) -> &'static str {
        "attention_write"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _: &[bool]) -> Vec<Option<Tensor>> {
        let inputs = [&dy[0], &self.w, &self.p, &self.work];
        let shapes = [self.w.shape(), self.p.shape(), self.work.shape()];
        let [dw, dp, _] = ATTENTION_WRITE_GRADIENT.launch(self.params, inputs, shapes);
        vec![Some(dp), Some(dw), Some(dy[0].clone())]
    }
}

impl<'t> Var<'t> {
    /// Reads patches with N x N filters, N = `filters`, from x \[B, H, W, C\] (DRAW, equation 27). `self` is the
    /// attention parameters \[B, 5\]. The result is \[B, 1, N, N, C\]; with a `canvas` \[B, H, W, C\] of logits it is
    /// \[B, 2, N, N, C\], patches of x, then of the error image x - sigmoid(canvas).
    ///
    /// # Panics
    ///
    /// When the shapes do not fit, or any size is 0.
    #[track_caller]
    pub fn attention_read(&self, filters: usize, x: &Var<'t>, canvas: Option<&Var<'t>>) -> Var<'t> {
        let (p, x_) = (self.value().clone(), x.value().clone());
        let sources = if canvas.is_some() { 2 } else { 1 };
        let params = params("attention_read", &x_, &p, filters, sources);
        let canvas_ = canvas.map(|c| c.value().clone());
        if let Some(canvas) = &canvas_ {
            assert_eq!(canvas.shape(), x_.shape(), "attention_read: canvas of another shape");
        }
        let patches = [x_.shape()[0], sources, filters, filters, x_.shape()[3]];
        let work = [x_.shape()[0], params.work()];
        let inputs = [&x_, canvas_.as_ref().unwrap_or(&x_), &p];
        let [r, work] = ATTENTION_READ.launch(params, inputs, [&patches, &work]);
        let mut parents = vec![self, x];
        parents.extend(canvas);
        let rule =
            || Box::new(Read { params, x: x_, canvas: canvas_, p, work }) as Box<dyn Backward>;
        let [r] = self.tape().record(&parents, [r], rule);
        r
    }

    /// The `canvas` \[B, H, W, C\] plus the written patch w \[B, N, N, C\] (DRAW, equation 29). `self` is the attention
    /// parameters \[B, 5\].
    ///
    /// # Panics
    ///
    /// When the shapes do not fit, or any size is 0.
    #[track_caller]
    pub fn attention_write(&self, w: &Var<'t>, canvas: &Var<'t>) -> Var<'t> {
        let [p, w_, before] = [self, w, canvas].map(|v| v.value().clone());
        let [batch, filters, across, channels] = *w_.shape() else {
            panic!("attention_write: a patch is [B, N, N, C], not {:?}", w_.shape())
        };
        let params = params("attention_write", &before, &p, filters, 1);
        assert!(
            batch == before.shape()[0] && filters == across && channels == before.shape()[3],
            "attention_write: patch {:?} and canvas {:?} do not fit",
            w_.shape(),
            before.shape()
        );
        let work = [batch, params.work()];
        let [c, work] = ATTENTION_WRITE.launch(params, [&w_, &p, &before], [before.shape(), &work]);
        let rule = || Box::new(Write { params, w: w_, p, work }) as Box<dyn Backward>;
        let [c] = self.tape().record(&[self, w, canvas], [c], rule);
        c
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let sizes: [[usize; 5]; 6] = [
        // Images, N, height, width, channels.
        [1, 1, 1, 1, 1],
        [2, 2, 28, 28, 1],
        [3, 5, 9, 17, 1],
        [2, 3, 6, 4, 3],
        [1, 12, 11, 18, 3],
        [2, 17, 5, 2, 2],
    ];
    let mut cases = Vec::new();
    for [batch, n, height, width, channels] in sizes {
        let label =
            |what: &str| format!("{what} {batch} images of {height}x{width}x{channels}, N {n}");
        let image = |name| Input::normal(name, &[batch, height, width, channels]);
        let p = || parameters(batch);
        cases.push(Case::new("attention", &label("read"), vec![p(), image("x")], move |x| {
            vec![x[0].attention_read(n, &x[1], None)]
        }));
        let inputs = vec![p(), image("x"), image("canvas")];
        cases.push(Case::new("attention", &label("read both"), inputs, move |x| {
            vec![x[0].attention_read(n, &x[1], Some(&x[2]))]
        }));
        let w = Input::normal("w", &[batch, n, n, channels]);
        let inputs = vec![p(), w, image("canvas")];
        cases.push(Case::new("attention", &label("write"), inputs, |x| {
            vec![x[0].attention_write(&x[1], &x[2])]
        }));
    }
    cases
}
