//! The recurrent part of the Row LSTM and of the Diagonal LSTM: a scan over an image's cells.
//!
//! [Pixel Recurrent Neural Networks], sections 3.1 and 3.2 and equation 3. For each cell, with the
//! input-to-state map u (four gates of h channels, stacked o, f, i, g) and neighbours n:
//!
//! ```text
//! [o, f, i, g] = act(u + sum_n S_n h[n])      o, f, i logistic, g tanh
//! c = f c[before] + i g,   h = o tanh(c)
//! ```
//!
//! | order | neighbours n | before | a step is |
//! | --- | --- | --- | --- |
//! | Rows(k), k odd | (-1, -k/2) to (-1, k/2) | (-1, 0) | a row |
//! | Diagonal | (-1, 0), (0, -1) | (0, -1) | a diagonal r + c |
//! | MirroredDiagonal | (-1, 0), (0, 1) | (0, 1) | a diagonal r + (W - 1 - c) |
//!
//! The cells of a step do not depend on each other, so a step computes them in parallel. The paper skews the image so
//! that a diagonal becomes a column. Here nothing is copied into a skewed map: step t visits the cells (r, t - r) where
//! they lie ([chapter 3 of the guide](crate::guide::diagonal_scan)). Outside the image, h is 0 and c is `c0` \[h\].
//!
//! Gradients: from the last step to the first, dh += sum_n S_n^T dgates\[cell that has this one as n\]. The
//! gradient of u is dgates. The gradient of S is computed afterwards, as that of a convolution over the whole map.
//!
//! On a GPU, a scan whose weights and states fit into workgroup memory is one launch; otherwise each step is a dispatch.
//! [`bilstm_scan`] runs both diagonal orders in the same launches.
//!
//! Shapes: u, gates, dgates \[B, H, W, 4h\], h, c \[B, H, W, h\], S packed \[neighbours, h, 4h\].
//!
//! [Pixel Recurrent Neural Networks]: https://arxiv.org/abs/1601.06759

mod both;
mod cpu;
mod params;
mod reference;
#[cfg(all(test, feature = "gpu"))]
mod tests;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{
    Cost, Kernel, Stage, WORKGROUP, elementwise, grid, shader, tile_sizes, workgroup_each,
};
use crate::ops::layout::concat;
use crate::ops::masked_conv::{Window, gradient_of_weights};
use crate::ops::reduce::sum_to;
use crate::tensor::Tensor;
pub use both::bilstm_scan;
pub use params::{LstmScanParams, Order};

impl LstmScanParams {
    /// Number of cells of a step in one image.
    fn cells(&self, step: usize) -> usize {
        let (height, width) = (self.height as usize, self.width as usize);
        match self.order {
            0 => width,
            _ => height.min(step + 1) - (step + 1).saturating_sub(width),
        }
    }

    /// Cost of the scan or its gradient, with this number of loop iterations per GPU invocation.
    fn cost(&self, loop_iterations: usize) -> Cost {
        let (h, k) = (u64::from(self.hidden), u64::from(self.neighbours));
        let cells = u64::from(self.batch) * u64::from(self.height) * u64::from(self.width);
        Cost {
            flops: cells * (8 * h * h * k + 40 * h),
            bytes: 4 * (cells * 10 * h + 4 * h * h * k * self.directions() as u64),
            loop_iterations: loop_iterations as u64,
        }
    }

    /// Whether one launch computes all steps: S and the states of two steps fit into workgroup memory, and each channel
    /// of each pair of lanes has an invocation.
    fn is_whole(&self) -> bool {
        let (hidden, lanes) = (self.hidden as usize, self.edge());
        self.plain == 0
            && hidden > 0
            && self.depth() * hidden <= WHOLE_WEIGHTS
            && 2 * (lanes + self.neighbours as usize - 1) * hidden <= WHOLE_FRONTIER
            && lanes <= 2 * (WORKGROUP as usize / hidden)
            && self.whole_iterations() <= WHOLE_ITERATIONS
    }

    /// These parameters with a dispatch per step if one dispatch would have too few workgroups for the device of `u`.
    fn chosen(self, u: &Tensor) -> LstmScanParams {
        let few = self.batch < u.device().tiles().whole_scans;
        LstmScanParams { plain: few.into(), ..self }
    }

    /// Loop iterations of an invocation that computes all steps of the gradient; the scan itself has fewer.
    fn whole_iterations(&self) -> usize {
        let fill = 4 * self.depth() * self.hidden as usize + WHOLE_FRONTIER;
        fill.div_ceil(WORKGROUP as usize) + self.steps() * (5 + 4 * self.depth())
    }

    /// Loop iterations of an invocation per dispatch. A tile advances by 16 rows of the product per iteration.
    fn iterations(&self) -> usize {
        if self.is_whole() { self.whole_iterations() } else { self.depth().div_ceil(16) }
    }

    /// One dispatch for the whole scan, with a workgroup per image and direction, or one dispatch per step.
    fn stages(&self, last_first: bool) -> Vec<Stage<LstmScanParams>> {
        if [self.batch, self.height, self.width, self.hidden].contains(&0) {
            return Vec::new();
        }
        if self.is_whole() {
            return workgroup_each("whole", self.batch as usize, self);
        }
        let stage = |number| {
            let step = if last_first { self.steps() - 1 - number } else { number };
            let cells = self.batch as usize / self.directions() * self.cells(step);
            let tiles = cells.div_ceil(TILE) * (self.hidden as usize).div_ceil(TILE);
            Stage {
                entry: "one_step",
                groups: grid(self.directions() * tiles),
                params: LstmScanParams { step: step as u32, ..*self },
            }
        };
        (0..self.steps()).map(stage).collect()
    }
}

tile_sizes! {
    /// Side of the tile that a GPU workgroup computes of one step, in cells and in channels of h.
    TILE = 16;
    /// Largest number of weights of a scan in one launch, in vectors of four: 12 KiB.
    WHOLE_WEIGHTS = 768;
    /// Largest number of states of two steps of a scan in one launch: 4 KiB. Every GPU has the sum, 16 KiB.
    WHOLE_FRONTIER = 1024;
}

/// Largest number of loop iterations of a scan in one launch. llvmpipe stops at 65,535, and watchdogs exist.
const WHOLE_ITERATIONS: usize = 50_000;

macro_rules! source {
    ($($file:literal),+) => {
        shader!(SIZES; "lib/index", "lib/math", "lib/lstm_state", "lib/lstm", $($file),+)
    };
}

macro_rules! forward {
    ($file:literal) => {
        source!("lib/gate_tile", "lib/scan_step", "lib/scan_lanes", "lib/scan_whole", $file)
    };
}

macro_rules! backward {
    ($file:literal) => {
        source!(
            "lib/scan_gradient",
            "lib/scan_step_gradient",
            "lib/scan_lanes",
            "lib/scan_whole_gradient",
            $file
        )
    };
}

const ENTRIES: &[&str] = &["one_step", "whole"];

/// The scan. Inputs: u, S, c0. Outputs: h, c, gates.
pub static LSTM_SCAN: Kernel<LstmScanParams, 3, 3> = Kernel {
    program: Program {
        name: "lstm_scan",
        source: forward!("lstm_scan/lstm_scan"),
        inputs: 3,
        outputs: 3,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| p.stages(false),
    cost: |p| p.cost(p.iterations()),
    entries: ENTRIES,
};

/// Gradient of the scan. Inputs: dh, S, c0, c, gates. Outputs: dgates, and dc0 of each image and lane
/// \[B, edge, h\]. During the scan, the latter holds the gradient of c of the lane's current cell.
pub static LSTM_SCAN_GRADIENT: Kernel<LstmScanParams, 5, 2> = Kernel {
    program: Program {
        name: "lstm_scan_gradient",
        source: backward!("lstm_scan/lstm_scan_gradient"),
        inputs: 5,
        outputs: 2,
    },
    cpu: cpu::gradient,
    reference: reference::gradient,
    stages: |p| p.stages(true),
    cost: |p| p.cost(p.iterations()),
    entries: ENTRIES,
};

/// [`LSTM_SCAN`] in both directions ([`bilstm_scan`]). Inputs: u of the left-to-right and of the mirrored direction, and
/// one tensor with S and c0 of both. Outputs: h of each direction, c and gates of both \[2, B, H, W, ...\].
pub static BILSTM_SCAN: Kernel<LstmScanParams, 3, 4> = Kernel {
    program: Program {
        name: "bilstm_scan",
        source: forward!("lstm_scan/bilstm_scan"),
        inputs: 3,
        outputs: 4,
    },
    cpu: |p, inputs, outputs| both::forward(cpu::forward, p, inputs, outputs),
    reference: |p, inputs, outputs| both::forward(reference::forward, p, inputs, outputs),
    stages: |p| p.stages(false),
    cost: |p| p.cost(p.iterations()),
    entries: ENTRIES,
};

/// Gradient of [`BILSTM_SCAN`]. Inputs: dh of each direction, S and c0 of both, c, gates. Outputs: dgates of each
/// direction, dc0 \[2, B, edge, h\].
pub static BILSTM_SCAN_GRADIENT: Kernel<LstmScanParams, 5, 3> = Kernel {
    program: Program {
        name: "bilstm_scan_gradient",
        source: backward!("lstm_scan/bilstm_scan_gradient"),
        inputs: 5,
        outputs: 3,
    },
    cpu: |p, inputs, outputs| both::gradient(cpu::gradient, p, inputs, outputs),
    reference: |p, inputs, outputs| both::gradient(reference::gradient, p, inputs, outputs),
    stages: |p| p.stages(true),
    cost: |p| p.cost(p.iterations()),
    entries: ENTRIES,
};

/// Computes one cell of every image in place, for the cached sampler. Inputs: u, S, c0; states: h, c.
pub static LSTM_AT: Kernel<LstmScanParams, 3, 2> = Kernel {
    program: Program {
        name: "lstm_at",
        source: shader!("lib/index", "lib/math", "lib/lstm_state", "lib/lstm", "lstm_scan/lstm_at"),
        inputs: 3,
        outputs: 2,
    },
    cpu: cpu::at_cell,
    reference: reference::at_cell,
    stages: |p| elementwise("lstm_at", p.batch as usize * p.hidden as usize, p),
    cost: |p| {
        let (batch, k, hidden) = (u64::from(p.batch), p.depth() as u64, u64::from(p.hidden));
        // S, and per image: the neighbours' h, u, the previous c, the new c and the new h.
        Cost {
            flops: 8 * batch * k * hidden,
            bytes: 16 * k * hidden + 4 * batch * (k + 7 * hidden),
            loop_iterations: k + u64::from(p.neighbours),
        }
    },
    entries: &["lstm_at"],
};

#[track_caller]
fn params(u: &Tensor, s: &Tensor, hidden: usize, order: Order) -> LstmScanParams {
    let [batch, height, width, gates] = u.shape() else {
        panic!("lstm_scan: u {:?} is not [B, H, W, 4h]", u.shape())
    };
    assert!(
        *gates == 4 * hidden && s.shape() == [order.neighbours(), hidden, *gates],
        "lstm_scan: u {:?}, S {:?}, h = {hidden} do not fit {order:?}",
        u.shape(),
        s.shape(),
    );
    let code = match order {
        Order::Rows(k) => {
            assert!(k % 2 == 1, "lstm_scan: {order:?} has no middle, the number must be odd");
            0
        }
        Order::Diagonal => 1,
        Order::MirroredDiagonal => 2,
    };
    let sizes = [*batch, *height, *width, hidden, order.neighbours()];
    let [batch, height, width, hidden, neighbours] = sizes.map(|n| n as u32);
    LstmScanParams {
        batch,
        height,
        width,
        hidden,
        order: code,
        neighbours,
        step: 0,
        row: 0,
        column: 0,
        plain: 0,
    }
    .chosen(u)
}

/// Computes the state at cell (row, column) of every image from u there and the states of its neighbours, and writes
/// it into the maps h and c \[B, H, W, h\]. Not differentiable; for the cached sampler.
///
/// # Panics
///
/// When the shapes do not fit, the cell is outside the image, or h or c shares its memory with another tensor.
#[track_caller]
pub fn lstm_at(
    (u, s, c0): (&Tensor, &Tensor, &Tensor),
    order: Order,
    (row, column): (usize, usize),
    (h, c): (&mut Tensor, &mut Tensor),
) {
    let p = params(u, s, c0.len(), order);
    let shape = [p.batch, p.height, p.width, p.hidden].map(|n| n as usize);
    assert!(h.shape() == shape && c.shape() == shape, "lstm_at: maps of another shape");
    assert!(row < shape[1] && column < shape[2], "lstm_at: cell ({row}, {column}) of {shape:?}");
    LSTM_AT.update(
        LstmScanParams { row: row as u32, column: column as u32, ..p },
        [u, s, c0],
        [h, c],
    );
}

/// The gradient of S, from all states and all gradients of gates.
fn gradient_of_s(h: &Tensor, dgates: &Tensor, order: Order) -> Tensor {
    let of = |window: &Window| gradient_of_weights(h, dgates, *window);
    let parts: Vec<Tensor> = order.windows().iter().map(of).collect();
    concat(&parts.iter().collect::<Vec<_>>(), 0)
}

struct Rule {
    params: LstmScanParams,
    s: Tensor,
    c0: Tensor,
    h: Tensor,
    c: Tensor,
    gates: Tensor,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "lstm_scan"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let p = self.params;
        let edge = [p.batch as usize, p.edge(), p.hidden as usize];
        let inputs = [&dy[0], &self.s, &self.c0, &self.c, &self.gates];
        let [dgates, dc] = LSTM_SCAN_GRADIENT.launch(p, inputs, [self.gates.shape(), &edge]);
        let ds = need[1].then(|| gradient_of_s(&self.h, &dgates, p.order()));
        let dc0 = need[2].then(|| sum_to(&dc, &edge[2..]));
        vec![Some(dgates), ds, dc0]
    }
}

impl<'t> Var<'t> {
    /// The states h \[B, H, W, h\] of a scan in `order`. `self` is the input-to-state map u \[B, H, W, 4h\], `s` are
    /// the recurrent weights \[neighbours, h, 4h\], and `c0` \[h\] is the cell state outside the image. Panics if the
    /// shapes do not fit, or if `order` is `Rows(k)` with an even k.
    #[track_caller]
    pub fn lstm_scan(&self, s: &Var<'t>, c0: &Var<'t>, order: Order) -> Var<'t> {
        let [u, weights, first] = [self, s, c0].map(|v| v.value().clone());
        let p = params(&u, &weights, first.len(), order);
        let map = [p.batch, p.height, p.width, p.hidden].map(|n| n as usize);
        let [h, c, gates] = LSTM_SCAN.launch(p, [&u, &weights, &first], [&map, &map, u.shape()]);
        let rule = || {
            let (h, s, c0) = (h.clone(), weights, first);
            Box::new(Rule { params: p, s, c0, h, c, gates }) as Box<dyn Backward>
        };
        let [y] = self.tape().record(&[self, s, c0], [h.clone()], rule);
        y
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |batch: usize, height: usize, width: usize, hidden: usize, order: Order| {
        let label = format!("{order:?} {batch}x{height}x{width}, h {hidden}");
        let r = 0.5 / (hidden as f32).sqrt();
        let inputs = vec![
            Input::uniform("u", &[batch, height, width, 4 * hidden], -1.0, 1.0),
            Input::uniform("s", &[order.neighbours(), hidden, 4 * hidden], -r, r),
            Input::normal("c0", &[hidden]),
        ];
        Case::new("lstm_scan", &label, inputs, move |x| vec![x[0].lstm_scan(&x[1], &x[2], order)])
    };
    let mut cases = Vec::new();
    for order in [Order::Rows(3), Order::Rows(5), Order::Diagonal, Order::MirroredDiagonal] {
        cases.push(case(1, 1, 1, 1, order));
        cases.push(case(2, 1, 5, 3, order));
        cases.push(case(1, 5, 1, 3, order));
        cases.push(case(2, 4, 7, 5, order));
        cases.push(case(3, 7, 4, 17, order));
        cases.push(case(9, 3, 4, 33, order));
        // Large enough that weights are packed, forwards and backwards.
        cases.push(case(2, 3, 3, 72, order));
    }
    cases.extend(both::cases());
    cases
}
