//! A Row LSTM or one direction of a Diagonal LSTM: input-to-state convolution, then the scan of
//! `ops/lstm_scan/mod.rs`. x \[B, H, W, in\], h \[B, H, W, hidden\].
//!
//! Pixel Recurrent Neural Networks, sections 3.1 and 3.2, table 1. The input-to-state kernel of the Row LSTM is 1 x k,
//! with k = 3 in table 1 ("the larger k, the broader the context"); that of the Diagonal LSTM is 1 x 1. Both have mask
//! B, applied within each gate. The recurrent kernels are not masked. States outside the image are 0, or learned: one
//! h0 and one c0 for all positions.

use rand::Rng;
use rand_distr::Uniform;

use super::masked_conv::{MaskedConv, PackedConv};
use super::{Module, drawn, join};
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::ops::lstm_scan::{Order, bilstm_scan, lstm_at};
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::{Around, Window};
use crate::tensor::Tensor;

/// 1 / sqrt(3): the input's weights are uniform on \[-1 / sqrt(n), 1 / sqrt(n)\], so that gates start unsaturated.
const GAIN: f32 = 0.577_350_26;

/// A Row LSTM or one direction of a Diagonal LSTM.
pub struct LstmScan {
    /// Input to state: (4 hidden, in, 1, k) or (4 hidden, in, 1, 1), gates stacked o, f, i, g.
    pub input: MaskedConv,
    /// State to state, (4 hidden, hidden, neighbours). The neighbours are k pixels of the row above, from left to right
    /// (Row LSTM), or the pixels above and beside (Diagonal LSTM).
    pub recurrent: Param,
    /// h0 and c0, the states outside the image, \[hidden\] each; `None` if they are 0.
    pub initial: Option<(Param, Param)>,
    order: Order,
    hidden: usize,
}

/// An [`LstmScan`] with packed weights, for the cached sampler.
pub struct PackedLstm {
    input: PackedConv,
    recurrent: Tensor,
    c0: Tensor,
    /// Contribution of a learned h0 to the gates, to be added to the input-to-state map, \[1, H, W, 4 hidden\].
    pub edge: Option<Tensor>,
    order: Order,
}

impl LstmScan {
    /// Weights are uniform on \[-1 / sqrt(n), 1 / sqrt(n)\], where n is the number of inputs of an output (fan-in).
    /// Biases and learned states start at 0. `learned`: whether h0 and c0 are parameters.
    pub fn new(
        device: &Device,
        (inputs, hidden): (usize, usize),
        order: Order,
        groups: usize,
        learned: bool,
        rng: &mut impl Rng,
    ) -> LstmScan {
        let mask = Mask { sight: Sight::B, groups, stacks: 4 };
        let kernel = match order {
            Order::Rows(k) => (1, k),
            Order::Diagonal | Order::MirroredDiagonal => (1, 1),
        };
        let input = MaskedConv::new(device, (inputs, 4 * hidden), kernel, mask, GAIN, rng);
        let neighbours = order.neighbours();
        let bound = 1.0 / ((neighbours * hidden) as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound).expect("a bound above 0");
        let shape = [4 * hidden, hidden, neighbours];
        let zero = || Param::new(Tensor::zeros(device, &[hidden]));
        LstmScan {
            input,
            recurrent: Param::new(drawn(device, &shape, &uniform, rng)),
            initial: learned.then(|| (zero(), zero())),
            order,
            hidden,
        }
    }

    /// The states h \[B, H, W, hidden\] for x \[B, H, W, in\]. `condition` \[B, H, W, 4 hidden\], if present, is added
    /// to the input-to-state map. Panics on other shapes.
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t>, condition: Option<&Var<'t>>) -> Var<'t> {
        let (u, s) = self.input_to_state(x, condition);
        u.lstm_scan(&s, &self.first_c(x.tape(), x.device()), self.order)
    }

    /// The states h of two layers, in the diagonal and in the mirrored order. They equal the results of
    /// [`LstmScan::forward`], but both scans run in the same launches.
    #[track_caller]
    pub fn forward_both<'t>(
        [left, right]: [&LstmScan; 2],
        x: &Var<'t>,
        conditions: [Option<&Var<'t>>; 2],
    ) -> [Var<'t>; 2] {
        let orders = [left.order, right.order];
        assert!(orders == [Order::Diagonal, Order::MirroredDiagonal], "forward_both: {orders:?}");
        let (u_left, s_left) = left.input_to_state(x, conditions[0]);
        let (u_right, s_right) = right.input_to_state(x, conditions[1]);
        let n = left.hidden;
        let c0 = match (&left.initial, &right.initial) {
            (None, None) => x.tape().constant(Tensor::zeros(x.device(), &[2, n])),
            _ => {
                let row = |layer: &LstmScan| layer.first_c(x.tape(), x.device()).reshape(&[1, n]);
                row(left).concat(&[&row(right)], 0)
            }
        };
        bilstm_scan([&u_left, &u_right], [&s_left, &s_right], &c0)
    }

    /// The input-to-state map u and the packed recurrent weights.
    fn input_to_state<'t>(&self, x: &Var<'t>, condition: Option<&Var<'t>>) -> (Var<'t>, Var<'t>) {
        let tape = x.tape();
        let u = self.input.forward(x, Around::default(), condition);
        let s = self.packed_recurrent(tape);
        let Some((h0, _)) = &self.initial else { return (u, s) };
        let edge = self.edge(&tape.param(h0), &s, (x.shape()[1], x.shape()[2]));
        (u.add(&edge), s)
    }

    /// c outside the image, \[hidden\].
    fn first_c<'t>(&self, tape: &'t Tape, device: &Device) -> Var<'t> {
        match &self.initial {
            Some((_, c0)) => tape.param(c0),
            None => tape.constant(Tensor::zeros(device, &[self.hidden])),
        }
    }

    /// Recurrent weights as \[neighbours, hidden, 4 hidden\].
    fn packed_recurrent<'t>(&self, tape: &'t Tape) -> Var<'t> {
        let shape = [4 * self.hidden, self.hidden, 1, self.order.neighbours()];
        tape.param(&self.recurrent).reshape(&shape).masked(Mask::NONE)
    }

    /// Contribution of h0 to the gates of the pixels at the image's edge, \[1, H, W, 4 hidden\]; 0 elsewhere.
    fn edge<'t>(&self, h0: &Var<'t>, s: &Var<'t>, (height, width): (usize, usize)) -> Var<'t> {
        let hidden = self.hidden;
        if let Order::Rows(k) = self.order {
            let above = h0.expand(&[1, 1, width, hidden]);
            let window = Window::open((0, -(k as i32 / 2)), k, k);
            let first = above.masked_conv(s, window, Around::default(), None, None);
            return first.slice(1, 0, height);
        }
        let of = |neighbour: i64| {
            let s = s.slice(0, neighbour, 1).reshape(&[hidden, 4 * hidden]);
            h0.reshape(&[1, hidden]).matmul(&s).reshape(&[1, 1, 1, 4 * hidden])
        };
        let above = of(0).expand(&[1, 1, width, 4 * hidden]).slice(1, 0, height);
        let column = if self.order == Order::Diagonal { 0 } else { width as i64 - 1 };
        let beside = of(1).expand(&[1, height, 1, 4 * hidden]).slice(2, -column, width);
        above.add(&beside)
    }

    /// Packs the weights for [`PackedLstm::at`] on maps of this (height, width).
    pub fn packed(&self, size: (usize, usize)) -> PackedLstm {
        let tape = Tape::inference();
        let s = self.packed_recurrent(&tape);
        let edge = self.initial.as_ref().map(|(h0, _)| self.edge(&tape.param(h0), &s, size));
        let c0 = match &self.initial {
            Some((_, c0)) => c0.value(),
            None => Tensor::zeros(s.device(), &[self.hidden]),
        };
        PackedLstm {
            input: self.input.packed(),
            recurrent: s.value().clone(),
            c0,
            edge: edge.map(|e| e.value().clone()),
            order: self.order,
        }
    }
}

impl PackedLstm {
    /// The order of the scan.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Number of hidden units.
    pub fn hidden(&self) -> usize {
        self.c0.len()
    }

    /// The input-to-state layer.
    pub(crate) fn input(&self) -> &PackedConv {
        &self.input
    }

    /// The recurrent weights and the initial c.
    pub(crate) fn states(&self) -> [&Tensor; 2] {
        [&self.recurrent, &self.c0]
    }

    /// Computes the gates u and the states h and c at pixel (row, column) from the layer's input x and the neighbours'
    /// states, and writes them into the maps \[B, H, W, 4 hidden\], \[B, H, W, hidden\] and \[B, H, W, hidden\]. `extra`
    /// is added to the gates: a condition, and [`PackedLstm::edge`].
    pub fn at(
        &self,
        x: &Tensor,
        extra: Option<&Tensor>,
        at: (usize, usize),
        (u, h, c): (&mut Tensor, &mut Tensor, &mut Tensor),
    ) {
        self.input.at(x, Around::default(), extra, at, u);
        lstm_at((u, &self.recurrent, &self.c0), self.order, at, (h, c));
    }
}

impl Module for LstmScan {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.input.visit(&join(path, "input"), f);
        f(&join(path, "recurrent"), &self.recurrent);
        if let Some((h0, c0)) = &self.initial {
            f(&join(path, "h0"), h0);
            f(&join(path, "c0"), c0);
        }
    }
}
