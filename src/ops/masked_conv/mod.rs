//! Convolution over the visible taps of a window, channels last.
//!
//! Pixel Recurrent Neural Networks, section 3.4 and table 1. With packed weights w (see `ops/mask`),
//! taps t at offsets (dy, dx), zeros outside the image, and a = x or max(x, 0):
//!
//! ```text
//! y[b, r, c, o] = act(bias[o] + sum_t sum_i a(x[b, r + dy, c + dx, i]) w[t, i, o]) + residual[b, r, c, o]
//! ```
//!
//! Only visible taps are computed: 5 of 9 for a 3 x 3 mask B, 24 of 49 for a 7 x 7 mask A. In the centre tap,
//! w is 0 where the mask hides a channel from another. Kernels skip whole runs of these products
//! (`window.rs`), and the gradient of the mask ignores dw there. The ReLU before, the ReLU after and the
//! residual are part of the kernel, so that a residual block takes three launches.
//! [`crate::guide::masked_convolution`] walks through this operation. Gradients, with d = act'(y) dy:
//!
//! ```text
//! dx[b, r, c, i] = a'(x) sum_t sum_o d[b, r - dy, c - dx, o] w[t, i, o]
//! dw[t, i, o] = sum_brc a(x[b, r + dy, c + dx, i]) d[b, r, c, o],   dbias = sum_brc d,   dresidual = dy
//! ```
//!
//! Shapes: x \[B, H, W, I\], w \[T, I, O\], bias \[O\], y, d, residual \[B, H, W, O\].

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

/// What happens around the products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// ReLU on x.
    pub relu_before: bool,
    /// ReLU on y; not with a residual.
    pub relu_after: bool,
}

impl MaskedConvParams {
    /// Pieces of the weight gradient on a GPU.
    fn pieces(&self) -> usize {
        self.pixels().div_ceil(self.chunk.max(1) as usize).max(1)
    }

    /// Whether wide tiles, which load numbers by fours and eights, may be used.
    fn in_eights(&self) -> bool {
        self.inputs.is_multiple_of(8) && self.outputs.is_multiple_of(8)
    }

    /// Workgroups' entry point for the weight gradient, and tiles of it; wide ones where neither side
    /// leaves most of them empty.
    fn weight_tiles(&self) -> (&'static str, usize) {
        let (rows, outputs) = ((self.taps * self.inputs) as usize, self.outputs as usize);
        let wide = self.in_eights() && rows > TILE && outputs > TILE;
        // One row more in narrow ones: the bias, whose "input" is 1.
        let rows = if wide { rows } else { rows + 1 };
        tiling(["weight_pieces", "weight_pieces_wide"], wide, rows, outputs)
    }

    fn flops(&self) -> u64 {
        2 * self.pixels() as u64 * self.products().count() as u64
    }

    /// The numbers of x and y.
    fn maps(&self) -> u64 {
        self.pixels() as u64 * u64::from(self.inputs + self.outputs)
    }

    fn bytes(&self) -> u64 {
        4 * (self.maps() + self.products().count() as u64)
    }
}

tile_sizes! {
    /// Side of the tiles that a GPU workgroup makes, in rows and columns of the product.
    TILE = 64;
    /// Side of the wide ones.
    WIDE = 128;
}

macro_rules! source {
    ($file:literal) => {
        shader!(sizes!(); "lib/index", "lib/math", "lib/tile", "lib/window", $file)
    };
}

/// Fewest wide tiles that keep a GPU busy.
const WIDE_TILES: usize = 64;
/// Most numbers along the product's depth that a workgroup takes at once.
const DEPTH: u32 = 16;

/// Tiles of \[rows, columns\].
fn tiles(rows: usize, columns: usize, side: usize) -> usize {
    rows.div_ceil(side) * columns.div_ceil(side)
}

/// Entry point (of `entries`, the second if `wide`) and number of tiles of a product \[rows, columns\].
fn tiling(
    entries: [&'static str; 2],
    wide: bool,
    rows: usize,
    columns: usize,
) -> (&'static str, usize) {
    let [small, large] = entries;
    match wide {
        true => (large, tiles(rows, columns, WIDE)),
        false => (small, tiles(rows, columns, TILE)),
    }
}

/// The stage of a product of all pixels with `columns` channels: wide tiles if they are enough.
fn by_pixel(
    p: &MaskedConvParams,
    entries: [&'static str; 2],
    columns: u32,
) -> Vec<Stage<MaskedConvParams>> {
    let (pixels, columns) = (p.pixels(), columns as usize);
    let wide = p.in_eights() && columns > TILE && tiles(pixels, columns, WIDE) >= WIDE_TILES;
    match tiling(entries, wide, pixels, columns) {
        (_, 0) => Vec::new(),
        (entry, n) => vec![Stage { entry, groups: grid(n), params: *p }],
    }
}

/// y. Inputs: x, w, bias, residual (any tensor where there is none).
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

/// dx. Inputs: x, w, d.
pub static MASKED_CONV_INPUT: Kernel<MaskedConvParams, 3, 1> = Kernel {
    program: Program {
        name: "masked_conv_input",
        source: source!("masked_conv/masked_conv_input"),
        inputs: 3,
        outputs: 1,
    },
    cpu: cpu::input_gradient,
    reference: reference::input_gradient,
    stages: |p| by_pixel(p, ["masked_conv_input", "masked_conv_input_wide"], p.inputs),
    // x is read where it went through a ReLU.
    cost: |p| Cost {
        flops: p.flops(),
        bytes: p.bytes() + 4 * u64::from(p.relu_before) * p.pixels() as u64 * u64::from(p.inputs),
        loop_iterations: u64::from((p.taps * p.outputs).div_ceil(DEPTH / 2)),
    },
    entries: &["masked_conv_input", "masked_conv_input_wide"],
};

/// dw and dbias. Inputs: x, d. Outputs: dw (0 where hidden), dbias, and the pieces of both on a GPU
/// (\[pieces, T I O + O\], empty on the CPU).
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

/// y at one pixel of every image, in place: the step of a cached sampler. Inputs as [`MASKED_CONV`].
pub static MASKED_CONV_AT: Kernel<MaskedConvParams, 4, 1> = Kernel {
    program: Program {
        name: "masked_conv_at",
        source: source!("masked_conv/masked_conv_at"),
        inputs: 4,
        outputs: 1,
    },
    cpu: cpu::at_pixel,
    reference: reference::at_pixel,
    // An invocation an output of an image.
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

/// Workgroups that keep a GPU busy, and the fewest pixels that are worth one of their own.
const BUSY: usize = 256;
const PIECE: usize = 256;

#[track_caller]
fn params(x: &[usize], p: &[usize], window: Window, around: Around) -> MaskedConvParams {
    let (&[batch, height, width, inputs], &[taps, from, outputs]) = (x, p) else {
        panic!("masked_conv: x {x:?} is [B, H, W, I] and p {p:?} [T, I, O]")
    };
    assert!(
        from == inputs && taps == window.taps && window.width > 0,
        "masked_conv: x {x:?}, p {p:?}, {window:?} do not fit"
    );
    assert!(
        height * width * inputs * outputs > 0,
        "masked_conv: an axis of x {x:?} or of p {p:?} is empty"
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
        unused: 0,
    };
    let (_, tiles) = params.weight_tiles();
    let pieces = (BUSY / tiles.max(1)).min(pixels / PIECE).max(1);
    params.chunk = pixels.div_ceil(pieces).next_multiple_of(DEPTH as usize).max(1) as u32;
    params
}

/// The parameters with a bias and a residual, their shapes checked.
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
        assert!(p.relu_after == 0, "masked_conv: a residual goes without a ReLU behind");
    }
    MaskedConvParams {
        has_bias: bias.is_some().into(),
        has_residual: residual.is_some().into(),
        ..p
    }
}

/// dw \[T, I, O\] and dbias \[O\] of x and d.
fn weight_gradient(p: &MaskedConvParams, x: &Tensor, d: &Tensor) -> (Tensor, Tensor) {
    let [taps, inputs, outputs] = [p.taps, p.inputs, p.outputs].map(|n| n as usize);
    let pieces = if x.device().is_cpu() { 0 } else { p.pieces() * (taps * inputs + 1) * outputs };
    let shapes: [&[usize]; 3] = [&[taps, inputs, outputs], &[outputs], &[pieces]];
    let [dw, dbias, _] = MASKED_CONV_WEIGHT.launch(*p, [x, d], shapes);
    (dw, dbias)
}

/// The gradient of weights \[T, I, O\] that a sum over `window` of x \[B, H, W, I\] with gradient
/// d \[B, H, W, O\] has; the recurrent weights of `lstm_scan.rs` have theirs from it too.
pub(crate) fn gradient_of_weights(x: &Tensor, d: &Tensor, window: Window) -> Tensor {
    let shape = [window.taps, x.shape()[3], d.shape()[3]];
    weight_gradient(&params(x.shape(), &shape, window, Around::default()), x, d).0
}

/// y at pixel (row, column) of every image, written into the map `y` \[B, H, W, O\], which is the only
/// handle of its memory; the rest of it stays. No gradient: the step of a cached sampler.
#[track_caller]
pub fn conv_at(
    (x, w): (&Tensor, &Tensor),
    window: Window,
    around: Around,
    (bias, residual): (Option<&Tensor>, Option<&Tensor>),
    (row, column): (usize, usize),
    y: &mut Tensor,
) {
    let at = params(x.shape(), w.shape(), window, around);
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
    /// y where a ReLU made it.
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
    /// The convolution of this \[B, H, W, I\] with weights \[T, I, O\], packed by the window's mask
    /// ([`Var::masked`]), plus bias \[O\], plus residual \[B, H, W, O\]; result \[B, H, W, O\].
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
        let plain = params(x.shape(), packed.shape(), window, around);
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
    // x in two ranges off the kink of the ReLU in front; small weights and a bias off 0 keep what the
    // ReLU behind sees off its kink.
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
            let p = v[1].masked(mask);
            vec![v[0].masked_conv(&p, window, around, Some(&v[2]), v.get(3))]
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
        // More than a tile of pixels and channels, and a weight gradient in pieces on a GPU.
        case([3, 19, 20, 17], [65, 17, 3, 3], mask(Sight::B, 1), both, false),
        case([2, 16, 33, 66], [67, 66, 1, 1], mask(Sight::B, 3), before, true),
        // Several blocks of rows an image on the CPU.
        case([2, 28, 28, 32], [32, 32, 3, 3], mask(Sight::B, 1), both, false),
        case([1, 9, 31, 70], [3, 70, 7, 7], mask(Sight::A, 1), before, true),
        // Wide tiles on a GPU, the last ones of each side in part.
        case([8, 33, 31, 72], [72, 72, 1, 3], mask(Sight::B, 1), before, true),
        // More than two of them across: of the map, of its gradient, of the weights' gradient.
        case([1, 64, 45, 8], [264, 8, 1, 1], mask(Sight::B, 1), both, false),
        case([1, 64, 45, 264], [8, 264, 1, 1], mask(Sight::B, 1), plain, false),
        case([1, 9, 9, 72], [264, 72, 1, 1], mask(Sight::B, 1), both, false),
        // Enough weights that CPU threads divide them, not the images, in their gradient.
        case([1, 3, 4, 380], [360, 380, 1, 1], mask(Sight::B, 3), plain, false),
    ];
    cases.push(Case::new(
        "masked_conv",
        "no bias, one map and one set of weights used twice",
        vec![Input::normal("x", &[1, 4, 3, 2]), Input::normal("w", &[2, 2, 3, 3])],
        |v| {
            let mask = Mask::new(Sight::B, 1);
            let (p, window) = (v[1].masked(mask), Window::centred(3, 3, mask));
            let y = v[0].masked_conv(&p, window, Around::default(), None, None);
            vec![y.masked_conv(&p, window, Around::default(), None, Some(&v[0]))]
        },
    ));
    cases
}
