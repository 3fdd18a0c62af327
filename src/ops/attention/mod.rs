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

mod cases;
mod cpu;
mod params;
mod reference;

use crate::autograd::tape::whole;
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, shader, workgroup_each};
use crate::ops::binary::{self, Operation};
use crate::ops::filterbank::bank_loops;
use crate::ops::layout::{slice, split, unshare};
use crate::tensor::Tensor;
pub use cases::cases;
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
        source!(in "lib/attention_alone"; $($file),+)
    };
    (in $place:literal; $($file:literal),+) => {
        shader!(
            "lib/math",
            "lib/filterbank",
            "lib/neighbours",
            "lib/attention",
            $place,
            $($file),+
        )
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

/// Read with two sources, whose output is the input of an LSTM. Inputs: x, canvas, p, and two states \[B, h\]. Outputs:
/// rows \[patches, both states\], work.
pub static ATTENTION_READ_INPUT: Kernel<AttentionParams, 5, 2> = Kernel {
    program: Program {
        name: "attention_read_input",
        source: source!("lib/bank", "lib/image_to_patch", "attention/attention_read_input"),
        inputs: 5,
        outputs: 2,
    },
    cpu: cpu::read_input,
    reference: reference::read_input,
    stages: |p| p.stages("attention_read_input"),
    cost: |p| p.cost(1, p.reads() + 2 * p.beside() + 5 + p.work()),
    entries: &["attention_read_input"],
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

/// Write with rows \[w, p, parameters of the next read\]. Inputs: the rows, canvas. Outputs: the new canvas, work,
/// the parameters of the next read.
pub static ATTENTION_WRITE_HEADS: Kernel<AttentionParams, 2, 3> = Kernel {
    program: Program {
        name: "attention_write_heads",
        source: source!(
            in "lib/attention_in_row";
            "lib/bank",
            "lib/patch_to_image",
            "attention/attention_write_heads"
        ),
        inputs: 2,
        outputs: 3,
    },
    cpu: cpu::write_heads,
    reference: reference::write_heads,
    stages: |p| p.stages("attention_write_heads"),
    cost: |p| p.cost(1, 2 * p.image() + p.row as usize + 5 + p.work()),
    entries: &["attention_write_heads"],
};

/// Gradient of [`ATTENTION_WRITE_HEADS`]. Inputs: dcanvas, the rows, work, the gradient of the parameters of the next
/// read. Outputs: the gradient of the rows, and the gradients of bank and t in the layout of work.
pub static ATTENTION_WRITE_HEADS_GRADIENT: Kernel<AttentionParams, 4, 2> = Kernel {
    program: Program {
        name: "attention_write_heads_gradient",
        source: source!(
            in "lib/attention_in_row";
            "lib/grid_gradient",
            "lib/bank_gradient",
            "lib/image_to_patch",
            "attention/attention_write_heads_gradient"
        ),
        inputs: 4,
        outputs: 2,
    },
    cpu: cpu::write_heads_gradient,
    reference: reference::write_heads_gradient,
    stages: |p| p.stages("attention_write_heads_gradient"),
    cost: |p| p.cost(3, p.image() + 2 * (p.row as usize + p.work()) + 5),
    entries: &["attention_write_heads_gradient"],
};

#[track_caller]
fn params(
    op: &str,
    image: &Tensor,
    p: &[usize],
    filters: usize,
    sources: usize,
) -> AttentionParams {
    let [batch, height, width, channels] = *image.shape() else {
        panic!("{op}: an image is [B, H, W, C], not {:?}", image.shape())
    };
    assert!(
        p == [batch, 5] && filters * height * width * channels > 0,
        "{op}: image {:?}, attention parameters {:?} (they are [B, 5]), N = {filters}",
        image.shape(),
        p
    );
    let [batch, filters, height, width, channels, sources] =
        [batch, filters, height, width, channels, sources].map(|n| n as u32);
    AttentionParams { batch, filters, height, width, channels, sources, row: 0, accumulate: 0 }
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

/// A [`Read`] that returns the input of an LSTM, and its canvas too. The launch of the gradient adds the gradient of the
/// returned canvas.
struct ReadInput(Read);

impl Backward for ReadInput {
    fn name(&self) -> &'static str {
        "attention_read_input"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let parts = dy.iter().map(|dy| vec![dy.clone()]).collect();
        self.backward_of_parts(parts, &|_| unreachable!("all gradients are given"), need)
    }

    fn backward_of_parts(
        self: Box<Self>,
        parts: Vec<Vec<Tensor>>,
        zeros: &dyn Fn(usize) -> Tensor,
        need: &[bool],
    ) -> Vec<Option<Tensor>> {
        let Read { params, x, canvas, p, work } = &self.0;
        let canvas = canvas.as_ref().expect("a canvas");
        let dy = whole(parts, zeros);
        let [dinput, mut dcanvas] = <[Tensor; 2]>::try_from(dy).expect("two outputs");
        let patches = 2 * params.patch();
        let units = (dinput.shape()[1] - patches) / 2;
        let parts = split(&dinput, 1, &[patches, units, units]);
        let [dr, dh, dstate] = <[Tensor; 3]>::try_from(parts).expect("three parts");
        let [batch, n, channels] =
            [params.batch, params.filters, params.channels].map(|n| n as usize);
        let dr = dr.reshape(&[batch, 2, n, n, channels]);
        let dx = need[1].then(|| self.0.gradient_of_x(&dr));
        unshare(&mut dcanvas);
        let mut dp = Tensor::unwritten(p.device(), p.shape());
        let mut dwork = Tensor::unwritten(p.device(), work.shape());
        ATTENTION_READ_GRADIENT.update(
            AttentionParams { accumulate: 1, ..*params },
            [&dr, x, canvas, p, work],
            [&mut dp, &mut dcanvas, &mut dwork],
        );
        vec![Some(dp), dx, Some(dcanvas), Some(dh), Some(dstate)]
    }
}

struct WriteHeads {
    params: AttentionParams,
    heads: Tensor,
    work: Tensor,
}

impl Backward for WriteHeads {
    fn name(&self) -> &'static str {
        "attention_write_heads"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _: &[bool]) -> Vec<Option<Tensor>> {
        let inputs = [&dy[0], &self.heads, &self.work, &dy[1]];
        let shapes = [self.heads.shape(), self.work.shape()];
        let [dheads, _] = ATTENTION_WRITE_HEADS_GRADIENT.launch(self.params, inputs, shapes);
        vec![Some(dheads), Some(dy[0].clone())]
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
        let params = params("attention_read", &x_, p.shape(), filters, sources);
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

    /// Reads x and the error image as [`Var::attention_read`] does. Returns the input of an LSTM: the patches and two
    /// `states` \[B, h\], concatenated to \[B, 2 N N C + 2 h\]. Returns the canvas too: if later operations use this
    /// one, a single launch computes the gradient of the read and adds theirs.
    #[track_caller]
    pub fn attention_read_input(
        &self,
        filters: usize,
        x: &Var<'t>,
        canvas: &Var<'t>,
        states: [&Var<'t>; 2],
    ) -> [Var<'t>; 2] {
        let [p, x_, canvas_] = [self, x, canvas].map(|v| v.value().clone());
        let params = params("attention_read_input", &x_, p.shape(), filters, 2);
        assert_eq!(canvas_.shape(), x_.shape(), "attention_read_input: canvas of another shape");
        let [h, state] = states.map(Var::value);
        let (batch, units) = (x_.shape()[0], h.len() / x_.shape()[0].max(1));
        for state in [h, state] {
            assert_eq!(state.shape(), [batch, units], "attention_read_input: states");
        }
        let row = 2 * params.patch() + 2 * units;
        let params_ = AttentionParams { row: row as u32, ..params };
        let inputs = [&x_, &canvas_, &p, h, state];
        let shapes: [&[usize]; 2] = [&[batch, row], &[batch, params.work()]];
        let [input, work] = ATTENTION_READ_INPUT.launch(params_, inputs, shapes);
        let read = Read { params, x: x_, canvas: Some(canvas_.clone()), p, work };
        let rule = || Box::new(ReadInput(read)) as Box<dyn Backward>;
        self.tape().record(&[self, x, canvas, states[0], states[1]], [input, canvas_], rule)
    }

    /// Writes a patch of N = `filters` filters per side on `canvas` \[B, H, W, C\]. The rows of this tensor
    /// \[B, N N C + 10\] hold the patch, the attention parameters of the write, and those of the next read. Returns the
    /// new canvas and the parameters of the next read \[B, 5\].
    #[track_caller]
    pub fn attention_write_heads(&self, filters: usize, canvas: &Var<'t>) -> [Var<'t>; 2] {
        let (heads, before) = (self.value().clone(), canvas.value().clone());
        let [batch, .., channels] = *before.shape() else {
            panic!("attention_write_heads: a canvas is [B, H, W, C], not {:?}", before.shape())
        };
        let row = filters * filters * channels + 10;
        assert_eq!(heads.shape(), [batch, row], "attention_write_heads: N = {filters}");
        let next = [batch, 5];
        let params = params("attention_write_heads", &before, &next, filters, 1);
        let params = AttentionParams { row: row as u32, ..params };
        let work = [batch, params.work()];
        let shapes: [&[usize]; 3] = [before.shape(), &work, &next];
        let [c, work, next] = ATTENTION_WRITE_HEADS.launch(params, [&heads, &before], shapes);
        let rule = || Box::new(WriteHeads { params, heads, work }) as Box<dyn Backward>;
        self.tape().record(&[self, canvas], [c, next], rule)
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
        let params = params("attention_write", &before, p.shape(), filters, 1);
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
