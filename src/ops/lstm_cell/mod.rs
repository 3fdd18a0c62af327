//! One time step of an LSTM: the matrix product and the gates in one kernel.
//!
//! [DRAW] (Gregor and others), equations 5 and 7; [Pixel Recurrent Neural Networks],
//! equation 3. There is one product, with the concatenation of the input and the previous h:
//!
//! ```text
//! [o, f, i, g] = act(x W^T + b)      x = [input, previous h],  o, f, i logistic, g tanh
//! c' = f c + i g,   h' = o tanh(c')
//! ```
//!
//! Gradients: dc' += dh' o (1 - tanh^2 c'). The gradients dz of the gates before `act` follow from it; dc = dc' f,
//! dx = dz W, dW = dz^T x, db = sum of dz over the batch. [`super::shared`] sums dW and db over all time steps.
//!
//! Shapes: x \[B, k\], W \[4h, k\] (gates stacked o, f, i, g), b \[4h\], or \[B, 4h\] if a part of the product was
//! computed beforehand, c, c', h' \[B, h\], gates, dz \[B, 4h\].
//!
//! [DRAW]: https://arxiv.org/abs/1502.04623
//! [Pixel Recurrent Neural Networks]: https://arxiv.org/abs/1601.06759

pub(super) mod cpu;
mod params;
pub(super) mod reference;
#[cfg(test)]
mod tests;

use crate::autograd::accumulate::sum;
use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, elementwise, grid, shader, tile_sizes};
use crate::ops::layout::unshare;
use crate::ops::shared::{Shared, Uses};
use crate::tensor::Tensor;
pub use params::LstmCellParams;

tile_sizes! {
    /// Rows of the tile that a GPU workgroup computes.
    TILE_ROWS = 32;
    /// Units of this tile.
    TILE_UNITS = 8;
}

/// The time step. Inputs: x, W, b, c. Outputs: h', c', gates.
pub static LSTM_CELL: Kernel<LstmCellParams, 4, 3> = Kernel {
    program: Program {
        name: "lstm_cell",
        source: shader!(SIZES; "lib/math", "lib/lstm_state", "lib/team_tile", "lstm_cell/lstm_cell"),
        inputs: 4,
        outputs: 3,
    },
    cpu: cpu::forward,
    reference: reference::forward,
    stages: |p| {
        let (rows, units) = (p.batch as usize, p.hidden as usize);
        if rows * units == 0 {
            return Vec::new();
        }
        let tiles = rows.div_ceil(TILE_ROWS) * units.div_ceil(TILE_UNITS);
        vec![Stage { entry: "lstm_cell", groups: grid(tiles), params: *p }]
    },
    cost: |p| {
        let [b, k, h] = [p.batch, p.depth, p.hidden].map(u64::from);
        Cost {
            flops: 8 * b * k * h + 40 * b * h,
            bytes: 4 * (b * k + 4 * h * k + 10 * b * h),
            loop_iterations: k.div_ceil(32),
        }
    },
    entries: &["lstm_cell"],
};

/// Largest number of parts in which the gradient of h' may arrive.
const PARTS: usize = 3;

/// Gradient of the gates. Inputs: up to `PARTS` parts of dh' (any tensor for those that are absent), c, c', gates.
/// States: dz; dc' (if it is not 0) on entry and dc on return.
pub static LSTM_CELL_GRADIENT: Kernel<LstmCellParams, 6, 2> = Kernel {
    program: Program {
        name: "lstm_cell_gradient",
        source: shader!("lib/math", "lib/lstm_state", "lib/index", "lstm_cell/lstm_cell_gradient"),
        inputs: 6,
        outputs: 2,
    },
    cpu: cpu::gradient,
    reference: reference::gradient,
    stages: |p| elementwise("lstm_cell_gradient", p.batch as usize * p.hidden as usize, p),
    cost: |p| {
        let n = u64::from(p.batch) * u64::from(p.hidden);
        Cost { flops: 30 * n, bytes: 4 * (12 + u64::from(p.parts)) * n, loop_iterations: 0 }
    },
    entries: &["lstm_cell_gradient"],
};

struct Rule {
    params: LstmCellParams,
    x: Tensor,
    before: Tensor,
    c: Tensor,
    gates: Tensor,
    uses: Uses,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "lstm_cell"
    }

    fn most_parts(&self) -> usize {
        PARTS
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
        let [mut dh, dnext] = <[Vec<Tensor>; 2]>::try_from(parts).expect("two outputs");
        if dh.is_empty() {
            dh.push(zeros(0));
        }
        let dnext = dnext.into_iter().reduce(sum);
        let params =
            LstmCellParams { parts: dh.len() as u32, later: dnext.is_some().into(), ..self.params };
        let device = self.c.device();
        let mut dc = dnext.unwrap_or_else(|| Tensor::unwritten(device, self.c.shape()));
        unshare(&mut dc);
        let mut dz = Tensor::unwritten(device, self.gates.shape());
        let [first, second, third] = [0, 1, 2].map(|i| dh.get(i).unwrap_or(&dh[0]));
        let inputs = [first, second, third, &self.before, &self.c, &self.gates];
        LSTM_CELL_GRADIENT.update(params, inputs, [&mut dz, &mut dc]);
        let dx = need[0].then(|| self.uses.dx(&dz));
        let token = need[2].then(|| self.uses.add(&dz, &self.x));
        let mut gradients = vec![dx, Some(dc), token];
        if let Some(&need) = need.get(3) {
            gradients.push(need.then_some(dz));
        }
        gradients
    }
}

impl<'t> Shared<'t> {
    /// One time step of an LSTM with these weights W \[4h, k\]: returns h' and c' \[B, h\]. x \[B, k\] is the
    /// concatenation of the input and the previous h; c is \[B, h\]. `sums` \[B, 4h\] replace the bias: the part of
    /// the product (bias included) that was computed beforehand.
    ///
    /// # Panics
    ///
    /// When the shapes do not fit, or when both a bias and `sums` are given, or neither.
    #[track_caller]
    pub fn lstm_cell(&self, x: &Var<'t>, c: &Var<'t>, sums: Option<&Var<'t>>) -> [Var<'t>; 2] {
        let [x_, before] = [x, c].map(|v| v.value().clone());
        let w = self.weight();
        let bias = match (sums, self.bias()) {
            (Some(sums), None) => sums.value().clone(),
            (None, Some(bias)) => bias.clone(),
            _ => panic!("lstm_cell: a bias or sums in its place, one of them"),
        };
        let ([batch, depth], [rows, hidden]) = (x_.shape(), before.shape()) else {
            panic!("lstm_cell: x {:?} is [B, k] and c {:?} [B, h]", x_.shape(), before.shape())
        };
        let bias_shape: &[usize] =
            if sums.is_some() { &[*rows, 4 * hidden] } else { &[4 * hidden] };
        assert!(
            batch == rows && w.shape() == [4 * hidden, *depth] && bias.shape() == bias_shape,
            "lstm_cell: x {:?}, W {:?}, b {:?}, c {:?} do not fit",
            x_.shape(),
            w.shape(),
            bias.shape(),
            before.shape()
        );
        let gates = [*batch, 4 * hidden];
        let stride = if sums.is_some() { 4 * hidden } else { 0 };
        let [batch, depth, hidden, bias_stride] =
            [*batch, *depth, *hidden, stride].map(|n| n as u32);
        let (w, panel) = self.operand();
        let params =
            LstmCellParams { batch, depth, hidden, bias_stride, panel, parts: 1, later: 1 };
        let shapes = [before.shape(), before.shape(), &gates];
        let [h, c_, gates] = LSTM_CELL.launch(params, [&x_, w, &bias, &before], shapes);
        let mut parents = vec![x, c, self.token()];
        parents.extend(sums);
        let (saved, uses) = (c_.clone(), self.uses());
        let rule =
            || Box::new(Rule { params, x: x_, before, c: saved, gates, uses }) as Box<dyn Backward>;
        x.tape().record(&parents, [h, c_], rule)
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let inputs = |batch: usize, depth: usize, hidden: usize| {
        let r = 1.0 / (depth as f32).sqrt();
        vec![
            // Small, so that finite differences stay where the gates are smooth.
            Input::uniform("x", &[batch, depth], -0.3, 0.3),
            Input::uniform("w", &[4 * hidden, depth], -r, r),
            Input::normal("c", &[batch, hidden]),
        ]
    };
    let case = |batch: usize, depth: usize, hidden: usize| {
        let mut inputs = inputs(batch, depth, hidden);
        inputs.push(Input::normal("b", &[4 * hidden]));
        Case::new("lstm_cell", &format!("{batch}x{depth}, h {hidden}"), inputs, |x| {
            Shared::new(&x[1], Some(&x[3])).lstm_cell(&x[0], &x[2], None).to_vec()
        })
    };
    // Two time steps with the same weights; the second starts from the states of the first.
    let steps = |batch: usize, hidden: usize| {
        let mut inputs = inputs(batch, 2 * hidden, hidden);
        inputs.push(Input::normal("sums", &[batch, 4 * hidden]));
        Case::new("lstm_cell", &format!("two steps {batch}, h {hidden}"), inputs, |x| {
            let weights = Shared::new(&x[1], None);
            let [h, c] = weights.lstm_cell(&x[0], &x[2], Some(&x[3]));
            weights.lstm_cell(&h.concat(&[&h], 1), &c, Some(&x[3])).to_vec()
        })
    };
    // h' is used several times, so its gradient arrives in parts.
    let used = |batch: usize, hidden: usize| {
        let mut inputs = inputs(batch, 2 * hidden, hidden);
        inputs.push(Input::normal("b", &[4 * hidden]));
        Case::new("lstm_cell", &format!("many uses {batch}, h {hidden}"), inputs, |x| {
            let [h, c] = Shared::new(&x[1], Some(&x[3])).lstm_cell(&x[0], &x[2], None);
            vec![h.square(), h.affine(2.0, 0.5), h.affine(-1.0, 0.0), c.mul(&h), c.square()]
        })
    };
    vec![
        used(1, 1),
        used(7, 18),
        case(1, 1, 1),
        case(5, 3, 6),
        case(17, 65, 5),
        case(3, 40, 33),
        case(65, 17, 16),
        steps(1, 1),
        steps(5, 7),
        steps(33, 18),
    ]
}
