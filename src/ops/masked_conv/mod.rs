//! Convolution over the visible taps of a window, on maps with channels last.
//!
//! [Pixel Recurrent Neural Networks], section 3.4 and table 1. With packed weights w (see [`ops::mask`](super::mask)),
//! taps t at offsets (dy, dx), zeros outside the image, and a = x or max(x, 0):
//!
//! ```text
//! y[b, r, c, o] = act(bias[o] + sum_t sum_i a(x[b, r + dy, c + dx, i]) w[t, i, o])
//!                 + residual[b, r, c, o]
//! ```
//!
//! Only visible taps are computed: 5 of 9 for a 3 x 3 mask B, 24 of 49 for a 7 x 7 mask A. In the centre tap,
//! w is 0 where the mask hides an input from an output. Kernels skip most of these products
//! (`window.rs`), and the gradient of the mask ignores dw there. The ReLU before, the ReLU after and the
//! residual are fused into the kernel, so a residual block takes three launches.
//! [Chapter 2 of the guide](crate::guide::masked_convolution) explains this operation line by line. Gradients, with
//! d = act'(y) dy:
//!
//! ```text
//! dx[b, r, c, i] = a'(x) sum_t sum_o d[b, r - dy, c - dx, o] w[t, i, o]
//! dw[t, i, o]    = sum_brc a(x[b, r + dy, c + dx, i]) d[b, r, c, o]
//! dbias[o]       = sum_brc d[b, r, c, o]                                 dresidual = dy
//! ```
//!
//! Shapes: x \[B, H, W, I\], w \[T, I, O\], bias \[O\], y, d, residual \[B, H, W, O\].
//!
//! [Pixel Recurrent Neural Networks]: https://arxiv.org/abs/1601.06759

mod cpu;
mod params;
mod reference;
pub(super) mod taps;
pub(super) mod weights;
pub(crate) mod window;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, elementwise, grid, shader, tile_sizes};
use crate::ops::mask::{Mask, Sight};
use crate::ops::unary::{self, Function};
use crate::tensor::Tensor;
pub use params::MaskedConvParams;
use window::VisibleProducts;
pub use window::Window;

/// Activations that are fused with the convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Whether to apply a ReLU to x first.
    pub relu_before: bool,
    /// Whether to apply a ReLU to y; not allowed with a residual.
    pub relu_after: bool,
}

impl MaskedConvParams {
    /// Number of partial sums of the weight gradient on a GPU.
    fn pieces(&self) -> usize {
        self.pixels().div_ceil(self.chunk.max(1) as usize).max(1)
    }

    /// Whether wide tiles can be used; they load vectors of four and eight channels.
    fn in_eights(&self) -> bool {
        self.inputs.is_multiple_of(8) && self.outputs.is_multiple_of(8)
    }

    /// Entry point and number of tiles of the weight gradient. Wide tiles are used unless they would be mostly empty.
    fn weight_tiles(&self) -> (&'static str, usize) {
        let (rows, outputs) = ((self.taps * self.inputs) as usize, self.outputs as usize);
        let wide = self.in_eights() && rows > TILE && outputs > TILE;
        // Small tiles have an additional row for the bias, whose "input" is 1.
        let rows = if wide { rows } else { rows + 1 };
        tiling(["weight_pieces", "weight_pieces_wide"], wide, rows, outputs)
    }

    fn flops(&self) -> u64 {
        2 * self.pixels() as u64 * self.products().count() as u64
    }

    /// Number of elements of x and y together.
    fn maps(&self) -> u64 {
        self.pixels() as u64 * u64::from(self.inputs + self.outputs)
    }

    fn bytes(&self) -> u64 {
        4 * (self.maps() + self.products().count() as u64)
    }
}

tile_sizes! {
    /// Side of the tile of the product that a GPU workgroup computes.
    TILE = 64;
    /// Side of a wide tile.
    WIDE = 128;
}

macro_rules! source {
    ($file:literal) => {
        shader!(SIZES; "lib/index", "lib/math", "lib/tile", "lib/window", $file)
    };
}

/// Largest number of terms of the product that a workgroup loads at once.
const DEPTH: u32 = 16;

/// Largest number of inputs of the gradient with one invocation per pixel: a vector of four.
const NARROW: u32 = 4;

/// Number of tiles of a product \[rows, columns\].
fn tiles(rows: usize, columns: usize, side: usize) -> usize {
    rows.div_ceil(side) * columns.div_ceil(side)
}

/// Entry point and number of tiles of a product \[rows, columns\]. The second of `entries` is for wide tiles.
fn tiling(
    entries: [&'static str; 2],
    wide: bool,
    rows: usize,
    columns: usize,
) -> (&'static str, usize) {
    let side = if wide { WIDE } else { TILE };
    (entries[usize::from(wide)], tiles(rows, columns, side))
}

/// The dispatch of a product \[pixels, columns\], with wide tiles if there are enough of them.
fn by_pixel(
    p: &MaskedConvParams,
    entries: [&'static str; 2],
    columns: u32,
) -> Vec<Stage<MaskedConvParams>> {
    let (pixels, columns) = (p.pixels(), columns as usize);
    let many = tiles(pixels, columns, WIDE) >= p.wide_tiles as usize;
    let wide = p.in_eights() && columns > TILE && many;
    match tiling(entries, wide, pixels, columns) {
        (_, 0) => Vec::new(),
        (entry, n) => vec![Stage { entry, groups: grid(n), params: *p }],
    }
}

/// The convolution. Inputs: x, w, bias, residual (any tensor in place of an absent one). Output: y.
pub static MASKED_CONV: Kernel<MaskedConvParams, 4, 1> = Kernel {
    program: Program {
        name: "masked_conv",
        source: source!("masked_conv/masked_conv"),
        inputs: 4,
        outputs: 1,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| by_pixel(p, ["masked_conv", "masked_conv_wide"], p.outputs),
    cost: |p| Cost {
        flops: p.flops(),
        bytes: p.bytes() + 4 * u64::from(p.has_residual) * p.pixels() as u64 * u64::from(p.outputs),
        loop_iterations: u64::from((p.taps * p.inputs).div_ceil(DEPTH / 2)),
    },
    entries: &["masked_conv", "masked_conv_wide"],
};

/// Gradient of the input. Inputs: x, w, d. Output: dx.
pub static MASKED_CONV_INPUT: Kernel<MaskedConvParams, 3, 1> = Kernel {
    program: Program {
        name: "masked_conv_input",
        source: source!("masked_conv/masked_conv_input"),
        inputs: 3,
        outputs: 1,
    },
    cpu: cpu::input_gradient,
    reference: reference::input_gradient,
    stages: |p| match p.inputs <= NARROW {
        true => elementwise("masked_conv_input_narrow", p.pixels(), p),
        false => by_pixel(p, ["masked_conv_input", "masked_conv_input_wide"], p.inputs),
    },
    // x is read only if a ReLU precedes the convolution.
    cost: |p| Cost {
        flops: p.flops(),
        bytes: p.bytes() + 4 * u64::from(p.relu_before) * p.pixels() as u64 * u64::from(p.inputs),
        loop_iterations: match p.inputs <= NARROW {
            true => u64::from(p.taps * (p.outputs + 1)),
            false => u64::from((p.taps * p.outputs).div_ceil(DEPTH / 2)),
        },
    },
    entries: &["masked_conv_input", "masked_conv_input_narrow", "masked_conv_input_wide"],
};

/// Gradient of the weights. Inputs: x, d. Outputs: dw (unspecified for hidden weights), dbias, and, on a GPU, the
/// partial sums of both (\[pieces, T I O + O\]; empty on the CPU).
pub static MASKED_CONV_WEIGHT: Kernel<MaskedConvParams, 2, 3> = Kernel {
    program: Program {
        name: "masked_conv_weight",
        source: source!("masked_conv/masked_conv_weight"),
        inputs: 2,
        outputs: 3,
    },
    cpu: cpu::weight_gradient,
    reference: reference::weight_gradient,
    stages: |p| {
        let n = ((p.taps * p.inputs) as usize + 1) * p.outputs as usize;
        if n == 0 {
            return Vec::new();
        }
        let (entry, tiles) = p.weight_tiles();
        let mut stages = vec![Stage { entry, groups: grid(tiles * p.pieces()), params: *p }];
        stages.extend(elementwise("add_pieces", n, p));
        stages
    },
    cost: |p| Cost {
        flops: p.flops(),
        bytes: 4 * (p.maps() + u64::from((p.taps * p.inputs + 1) * p.outputs)),
        loop_iterations: u64::from(p.chunk.div_ceil(DEPTH / 2)).max(p.pieces() as u64),
    },
    entries: &["weight_pieces", "weight_pieces_wide", "add_pieces"],
};

/// Computes y at one pixel of every image in place, for the cached sampler. Inputs as in [`MASKED_CONV`].
pub static MASKED_CONV_AT: Kernel<MaskedConvParams, 4, 1> = Kernel {
    program: Program {
        name: "masked_conv_at",
        source: shader!(
            "lib/index",
            "lib/math",
            "lib/tile",
            "lib/window",
            "masked_conv/masked_conv_at"
        ),
        inputs: 4,
        outputs: 1,
    },
    cpu: cpu::at_pixel,
    reference: reference::at_pixel,
    // One invocation per output channel of an image.
    stages: |p| elementwise("masked_conv_at", p.batch as usize * p.outputs as usize, p),
    cost: |p| {
        let (terms, products) = (u64::from(p.taps * p.inputs), p.products().count() as u64);
        let (batch, outputs) = (u64::from(p.batch), u64::from(p.outputs));
        let read = terms + u64::from(p.has_residual) * outputs;
        Cost {
            flops: 2 * batch * products,
            bytes: 4 * (products + u64::from(p.has_bias) * outputs + batch * (read + outputs)),
            loop_iterations: terms + u64::from(p.taps),
        }
    },
    entries: &["masked_conv_at"],
};

#[track_caller]
fn params(x: &Tensor, w: &[usize], window: Window, around: Around) -> MaskedConvParams {
    let (x, choices) = (x.shape(), x.device().tiles());
    let (&[batch, height, width, inputs], &[taps, from, outputs]) = (x, w) else {
        panic!("masked_conv: x {x:?} must be [B, H, W, I], and w {w:?} must be [T, I, O]")
    };
    assert!(
        from == inputs && taps == window.taps && window.width > 0,
        "masked_conv: x {x:?}, w {w:?} and {window:?} do not fit"
    );
    assert!(
        height * width * inputs * outputs > 0,
        "masked_conv: an axis of x {x:?} or of w {w:?} is empty"
    );
    assert!(
        outputs.is_multiple_of(window.mask.stacks),
        "masked_conv: {outputs} outputs of {window:?}"
    );
    let pixels = batch * height * width;
    let products = VisibleProducts::new(taps, (inputs, outputs), window.mask);
    let mut params = MaskedConvParams {
        batch: batch as u32,
        height: height as u32,
        width: width as u32,
        inputs: inputs as u32,
        outputs: outputs as u32,
        taps: taps as u32,
        across: window.width as u32,
        top: window.top,
        left: window.left,
        relu_before: around.relu_before.into(),
        relu_after: around.relu_after.into(),
        has_bias: 0,
        has_residual: 0,
        row: 0,
        column: 0,
        chunk: 0,
        groups: products.groups as u32,
        stack: products.stack as u32,
        own: products.own as u32,
        wide_tiles: choices.wide_convolutions,
    };
    let (_, tiles) = params.weight_tiles();
    let [groups, piece] = [choices.weight_groups, choices.weight_piece].map(|n| n as usize);
    let pieces = (groups / tiles.max(1)).min(pixels / piece).max(1);
    params.chunk = pixels.div_ceil(pieces).next_multiple_of(DEPTH as usize).max(1) as u32;
    params
}

/// Checks the shapes of bias and residual, and adds them to the parameters.
#[track_caller]
fn with_additions(
    p: MaskedConvParams,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
) -> MaskedConvParams {
    if let Some(bias) = bias {
        assert_eq!(bias.shape(), [p.outputs as usize], "masked_conv: bias of another length");
    }
    if let Some(residual) = residual {
        let shape = [p.batch, p.height, p.width, p.outputs].map(|n| n as usize);
        assert_eq!(residual.shape(), shape, "masked_conv: residual of another shape");
        assert!(p.relu_after == 0, "masked_conv: a residual excludes a ReLU after the convolution");
    }
    MaskedConvParams {
        has_bias: bias.is_some().into(),
        has_residual: residual.is_some().into(),
        ..p
    }
}

/// dw \[T, I, O\] and dbias \[O\] from x and d.
fn weight_gradient(p: &MaskedConvParams, x: &Tensor, d: &Tensor) -> (Tensor, Tensor) {
    let [taps, inputs, outputs] = [p.taps, p.inputs, p.outputs].map(|n| n as usize);
    let pieces = if x.device().is_cpu() { 0 } else { p.pieces() * (taps * inputs + 1) * outputs };
    let shapes: [&[usize]; 3] = [&[taps, inputs, outputs], &[outputs], &[pieces]];
    let [dw, dbias, _] = MASKED_CONV_WEIGHT.launch(*p, [x, d], shapes);
    (dw, dbias)
}

/// Gradient of the weights \[T, I, O\] of a convolution of x \[B, H, W, I\] over `window`, whose result has the
/// gradient d \[B, H, W, O\]. `lstm_scan` uses it for its recurrent weights.
pub(crate) fn gradient_of_weights(x: &Tensor, d: &Tensor, window: Window) -> Tensor {
    let shape = [window.taps, x.shape()[3], d.shape()[3]];
    weight_gradient(&params(x, &shape, window, Around::default()), x, d).0
}

/// Computes the convolution at pixel (row, column) of every image and writes it into the map `y` \[B, H, W, O\]; the
/// rest of y is unchanged. Not differentiable; for the cached sampler.
///
/// # Panics
///
/// When the shapes do not fit, the pixel is outside the image, or y shares its memory with another tensor.
#[track_caller]
pub fn conv_at(
    (x, w): (&Tensor, &Tensor),
    window: Window,
    around: Around,
    (bias, residual): (Option<&Tensor>, Option<&Tensor>),
    (row, column): (usize, usize),
    y: &mut Tensor,
) {
    let at = params(x, w.shape(), window, around);
    let at = with_additions(at, bias, residual);
    let shape = [at.batch, at.height, at.width, at.outputs].map(|n| n as usize);
    assert_eq!(y.shape(), shape, "conv_at: a map of another shape");
    assert!(row < shape[1] && column < shape[2], "conv_at: pixel ({row}, {column}) of {shape:?}");
    let at = MaskedConvParams { row: row as u32, column: column as u32, ..at };
    MASKED_CONV_AT.update(at, [x, w, bias.unwrap_or(w), residual.unwrap_or(w)], [y]);
}

struct Rule {
    params: MaskedConvParams,
    x: Tensor,
    w: Tensor,
    /// y, if a ReLU follows the convolution.
    y: Option<Tensor>,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "masked_conv"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let p = &self.params;
        let d = match &self.y {
            None => dy[0].clone(),
            Some(y) => unary::gradient(Function::Relu, y, &dy[0], 0.0, 0.0),
        };
        let mut gradients = vec![need[0].then(|| {
            let [dx] = MASKED_CONV_INPUT.launch(*p, [&self.x, &self.w, &d], [self.x.shape()]);
            dx
        })];
        let has_bias = p.has_bias != 0;
        if need[1] || has_bias && need[2] {
            let (dw, dbias) = weight_gradient(p, &self.x, &d);
            gradients.push(Some(dw));
            if has_bias {
                gradients.push(Some(dbias));
            }
        } else {
            gradients.push(None);
            if has_bias {
                gradients.push(None);
            }
        }
        if p.has_residual != 0 {
            gradients.push(Some(dy[0].clone()));
        }
        gradients
    }
}

impl<'t> Var<'t> {
    /// act(conv(x) + bias) + residual \[B, H, W, O\] (Pixel Recurrent Neural Networks, section 3.4). `self` is x
    /// \[B, H, W, I\]; w \[T, I, O\] are weights packed with the window's mask ([`Var::masked`]); bias is \[O\],
    /// residual \[B, H, W, O\]. Pixels outside the image count as 0.
    ///
    /// # Panics
    ///
    /// When the shapes do not fit, an axis is empty, or a residual is combined with `relu_after`.
    #[track_caller]
    pub fn masked_conv(
        &self,
        w: &Var<'t>,
        window: Window,
        around: Around,
        bias: Option<&Var<'t>>,
        residual: Option<&Var<'t>>,
    ) -> Var<'t> {
        let (x, packed) = (self.value().clone(), w.value().clone());
        let of = |v: Option<&Var<'t>>| v.map(|v| v.value().clone());
        let (b, r) = (of(bias), of(residual));
        let plain = params(&x, packed.shape(), window, around);
        let launch = with_additions(plain, b.as_ref(), r.as_ref());
        let shape = [launch.batch, launch.height, launch.width, launch.outputs];
        let inputs = [&x, &packed, b.as_ref().unwrap_or(&x), r.as_ref().unwrap_or(&x)];
        let [y] = MASKED_CONV.launch(launch, inputs, [&shape.map(|n| n as usize)]);
        let mut parents = vec![self, w];
        parents.extend(bias);
        parents.extend(residual);
        let saved = around.relu_after.then(|| y.clone());
        let rule = || Box::new(Rule { params: launch, x, w: packed, y: saved }) as Box<_>;
        let [y] = self.tape().record(&parents, [y], rule);
        y
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    // x is away from the kink of the ReLU before the convolution. Small weights and a large bias keep the input of the
    // ReLU after it away from the kink too.
    let case = |x: [usize; 4], w: [usize; 4], mask: Mask, around: Around, residual: bool| {
        let window = Window::centred(w[2], w[3], mask);
        let r = 0.3 / ((window.taps * w[1]) as f32).sqrt();
        let mut inputs = vec![
            Input::off_zero("x", &x),
            Input::uniform("w", &w, -r, r),
            if around.relu_after {
                Input::uniform("b", &w[..1], 1.6, 2.0)
            } else {
                Input::normal("b", &w[..1])
            },
        ];
        if residual {
            inputs.push(Input::normal("residual", &[x[0], x[1], x[2], w[0]]));
        }
        let label = format!("{x:?} {w:?} {mask:?} {around:?} residual {residual}");
        Case::new("masked_conv", &label, inputs, move |v| {
            let w = v[1].masked(mask);
            vec![v[0].masked_conv(&w, window, around, Some(&v[2]), v.get(3))]
        })
    };
    let (plain, before) = (Around::default(), Around { relu_before: true, relu_after: false });
    let both = Around { relu_before: true, relu_after: true };
    let mask = Mask::new;
    let mut cases = vec![
        case([2, 5, 3, 1], [3, 1, 7, 7], mask(Sight::A, 1), plain, false),
        case([1, 4, 5, 3], [7, 3, 7, 7], mask(Sight::A, 3), plain, false),
        case([2, 3, 5, 6], [5, 6, 3, 3], mask(Sight::B, 1), both, false),
        case([1, 5, 4, 7], [8, 7, 3, 3], mask(Sight::B, 3), before, true),
        case([1, 3, 4, 5], [3, 5, 5, 3], mask(Sight::B, 3), plain, false),
        case([2, 3, 4, 5], [8, 5, 1, 3], Mask { stacks: 4, ..mask(Sight::B, 2) }, plain, false),
        case([3, 3, 3, 17], [5, 17, 1, 1], mask(Sight::B, 1), before, true),
        case([1, 2, 9, 3], [2, 3, 3, 5], Mask::NONE, plain, true),
        case([1, 1, 1, 1], [1, 1, 3, 3], mask(Sight::B, 1), plain, false),
        // More than one tile of pixels and channels, and a weight gradient with several partial sums on a GPU.
        case([3, 19, 20, 17], [65, 17, 3, 3], mask(Sight::B, 1), both, false),
        case([2, 16, 33, 66], [67, 66, 1, 1], mask(Sight::B, 3), before, true),
        // Several blocks of rows per image on the CPU.
        case([2, 28, 28, 32], [32, 32, 3, 3], mask(Sight::B, 1), both, false),
        case([1, 9, 31, 70], [3, 70, 7, 7], mask(Sight::A, 1), before, true),
        // Wide tiles on a GPU; the last ones of each side are partial.
        case([8, 33, 31, 72], [72, 72, 1, 3], mask(Sight::B, 1), before, true),
        // More than two wide tiles in a row: of the map, of its gradient, of the weights' gradient.
        case([1, 64, 45, 8], [264, 8, 1, 1], mask(Sight::B, 1), both, false),
        case([1, 64, 45, 264], [8, 264, 1, 1], mask(Sight::B, 1), plain, false),
        case([1, 9, 9, 72], [264, 72, 1, 1], mask(Sight::B, 1), both, false),
        // Enough weights that, for their gradient, CPU threads split the weights instead of the images.
        case([1, 3, 4, 380], [360, 380, 1, 1], mask(Sight::B, 3), plain, false),
    ];
    cases.push(Case::new(
        "masked_conv",
        "no bias, one map and one set of weights used twice",
        vec![Input::normal("x", &[1, 4, 3, 2]), Input::normal("w", &[2, 2, 3, 3])],
        |v| {
            let mask = Mask::new(Sight::B, 1);
            let (w, window) = (v[1].masked(mask), Window::centred(3, 3, mask));
            let y = v[0].masked_conv(&w, window, Around::default(), None, None);
            vec![y.masked_conv(&w, window, Around::default(), None, Some(&v[0]))]
        },
    ));
    cases
}
