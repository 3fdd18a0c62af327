//! The recurrent part of the Row LSTM and of the Diagonal LSTM: a scan over an image's cells.
//!
//! Pixel Recurrent Neural Networks, sections 3.1 and 3.2 and equation 3. For each cell, with the
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
//! they lie ([`crate::guide::diagonal_scan`]). Outside the image, h is 0 and c is `c0` \[h\].
//!
//! Gradients: from the last step to the first, dh += sum_n S_n^T dgates\[cell that has this one as n\]. The
//! gradient of u is dgates. The gradient of S is one convolution gradient over the whole map afterwards.
//!
//! Shapes: u, gates, dgates \[B, H, W, 4h\], h, c \[B, H, W, h\], S packed \[neighbours, h, 4h\].

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, elementwise, grid, shader, tile_sizes};
use crate::ops::layout::concat;
use crate::ops::masked_conv::{Window, gradient_of_weights};
use crate::ops::reduce::sum_to;
use crate::tensor::Tensor;
pub use params::{LstmScanParams, Order};

impl LstmScanParams {
    /// Number of cells of a step in one image.
    fn cells(&self, step: usize) -> usize {
        let (height, width) = (self.height as usize, self.width as usize);
        match self.order() {
            Order::Rows(_) => width,
            _ => height.min(step + 1) - (step + 1).saturating_sub(width),
        }
    }

    /// Cost of the scan or its gradient, with this number of loop iterations per GPU invocation.
    fn cost(&self, loop_iterations: u64) -> Cost {
        let (h, k) = (u64::from(self.hidden), u64::from(self.neighbours));
        let cells = u64::from(self.batch) * u64::from(self.height) * u64::from(self.width);
        Cost {
            flops: cells * (8 * h * h * k + 40 * h),
            bytes: 4 * (cells * 10 * h + 4 * h * h * k),
            loop_iterations,
        }
    }

    /// Rows of the packed weights: neighbours * h.
    fn depth(&self) -> u64 {
        u64::from(self.neighbours) * u64::from(self.hidden)
    }

    /// One dispatch for each of the `steps`, in this order.
    fn stages(
        &self,
        entry: &'static str,
        steps: impl Iterator<Item = usize>,
    ) -> Vec<Stage<LstmScanParams>> {
        if [self.batch, self.height, self.width, self.hidden].contains(&0) {
            return Vec::new();
        }
        let stage = |step| {
            let cells = self.batch as usize * self.cells(step);
            let tiles = cells.div_ceil(TILE) * (self.hidden as usize).div_ceil(TILE);
            Stage {
                entry,
                groups: grid(tiles),
                params: LstmScanParams { step: step as u32, ..*self },
            }
        };
        steps.map(stage).collect()
    }
}

tile_sizes! {
    /// Side of the tile that a GPU workgroup computes, in cells and in channels of h.
    TILE = 16;
}

macro_rules! source {
    ($($file:literal),+) => {
        shader!(sizes!(); "lib/index", "lib/math", "lib/lstm_state", "lib/lstm", $($file),+)
    };
}

/// The scan. Inputs: u, S, c0. Outputs: h, c, gates.
pub static LSTM_SCAN: Kernel<LstmScanParams, 3, 3> = Kernel {
    program: Program {
        name: "lstm_scan",
        source: source!("lib/gate_tile", "lstm_scan/lstm_scan"),
        inputs: 3,
        outputs: 3,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| p.stages("lstm_scan", 0..p.steps()),
    // Per dispatch: the products advance by 16 terms per iteration.
    cost: |p| p.cost(p.depth().div_ceil(16)),
    entries: &["lstm_scan"],
};

/// Gradient of the scan. Inputs: dh, S, c0, c, gates. Outputs: dgates, and dc0 of each image and lane
/// \[B, edge, h\]. During the scan, the latter holds the gradient of c of the lane's current cell.
pub static LSTM_SCAN_GRADIENT: Kernel<LstmScanParams, 5, 2> = Kernel {
    program: Program {
        name: "lstm_scan_gradient",
        source: source!("lstm_scan/lstm_scan_gradient"),
        inputs: 5,
        outputs: 2,
    },
    cpu: cpu::gradient,
    reference: reference::gradient,
    stages: |p| p.stages("lstm_scan_gradient", (0..p.steps()).rev()),
    // Per dispatch: the products advance by the four gates of 16 channels per iteration.
    cost: |p| p.cost(p.depth().div_ceil(16)),
    entries: &["lstm_scan_gradient"],
};

/// Computes one cell of every image in place, for the cached sampler. Inputs: u, S, c0; states: h, c.
pub static LSTM_AT: Kernel<LstmScanParams, 3, 2> = Kernel {
    program: Program {
        name: "lstm_at",
        source: source!("lstm_scan/lstm_at"),
        inputs: 3,
        outputs: 2,
    },
    cpu: cpu::at_cell,
    reference: reference::at_cell,
    stages: |p| elementwise("lstm_at", p.batch as usize * p.hidden as usize, p),
    cost: |p| {
        let (batch, k, hidden) = (u64::from(p.batch), p.depth(), u64::from(p.hidden));
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
fn params(u: &Tensor, s: &Tensor, c0: &Tensor, order: Order) -> LstmScanParams {
    let ([batch, height, width, gates], [hidden]) = (u.shape(), c0.shape()) else {
        panic!("lstm_scan: u {:?} is [B, H, W, 4h] and c0 {:?} [h]", u.shape(), c0.shape())
    };
    assert!(
        *gates == 4 * hidden && s.shape() == [order.neighbours(), *hidden, *gates],
        "lstm_scan: u {:?}, S {:?}, c0 {:?} do not fit {order:?}",
        u.shape(),
        s.shape(),
        c0.shape()
    );
    let code = match order {
        Order::Rows(k) => {
            assert!(k % 2 == 1, "lstm_scan: {order:?} has no middle, the number must be odd");
            0
        }
        Order::Diagonal => 1,
        Order::MirroredDiagonal => 2,
    };
    let sizes = [*batch, *height, *width, *hidden, order.neighbours()];
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
    }
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
    let p = params(u, s, c0, order);
    let shape = [p.batch, p.height, p.width, p.hidden].map(|n| n as usize);
    assert!(h.shape() == shape && c.shape() == shape, "lstm_at: maps of another shape");
    assert!(row < shape[1] && column < shape[2], "lstm_at: cell ({row}, {column}) of {shape:?}");
    LSTM_AT.update(
        LstmScanParams { row: row as u32, column: column as u32, ..p },
        [u, s, c0],
        [h, c],
    );
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
        let ds = need[1].then(|| {
            let of = |window: &Window| gradient_of_weights(&self.h, &dgates, *window);
            let parts: Vec<Tensor> = p.order().windows().iter().map(of).collect();
            concat(&parts.iter().collect::<Vec<_>>(), 0)
        });
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
        let p = params(&u, &weights, &first, order);
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
    cases
}
