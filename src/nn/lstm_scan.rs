//! A Row LSTM or one direction of a Diagonal LSTM: input-to-state convolution, then the scan of
//! `ops/lstm_scan/mod.rs`. x \[B, H, W, in\], h \[B, H, W, hidden\].
//!
//! Pixel Recurrent Neural Networks, sections 3.1 and 3.2, table 1: the Row LSTM's input-to-state kernel
//! is 1 x k, k = 3 in table 1 ("the larger k, the broader the context"), the Diagonal LSTM's 1 x 1, both with mask B counted within each gate; the recurrent kernels
//! see everything. States outside the image are 0, or learned (h0, c0), one for all places.

use rand::Rng;
use rand_distr::Uniform;

use super::masked_conv::{MaskedConv, PackedConv};
use super::{Module, drawn, join};
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::ops::lstm_scan::{Order, lstm_at};
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::{Around, Window};
use crate::tensor::Tensor;

/// Makes the input's weights uniform on +-1 / sqrt(n): gates begin far from their ends.
const GAIN: f32 = 0.577_350_26;

/// The layer.
pub struct LstmScan {
    /// Input to state: (4 hidden, in, 1, k) or (4 hidden, in, 1, 1), gates stacked o, f, i, g.
    pub input: MaskedConv,
    /// State to state, (4 hidden, hidden, neighbours): the row above from left to right (Row LSTM), or
    /// above and beside (Diagonal LSTM).
    pub recurrent: Param,
    /// h and c outside the image, \[hidden\] each, where they are learned.
    pub initial: Option<(Param, Param)>,
    order: Order,
    hidden: usize,
}

/// What a cached sampler needs of an [`LstmScan`].
pub struct PackedLstm {
    /// Input to state.
    pub input: PackedConv,
    recurrent: Tensor,
    c0: Tensor,
    /// What learned states add to the input-to-state map, \[1, H, W, 4 hidden\].
    pub edge: Option<Tensor>,
    order: Order,
}

impl LstmScan {
    /// Weights uniform on +-1 / sqrt(n), n the numbers that an output sees; learned states and biases
    /// begin at 0.
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

    /// The states h. `condition` \[B, H, W, 4 hidden\] is added to the input-to-state map.
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t>, condition: Option<&Var<'t>>) -> Var<'t> {
        let (tape, hidden) = (x.tape(), self.hidden);
        let u = self.input.forward(x, Around::default(), condition);
        let s = self.packed_recurrent(tape);
        let Some((h0, c0)) = &self.initial else {
            let zero = tape.constant(Tensor::zeros(x.device(), &[hidden]));
            return u.lstm_scan(&s, &zero, self.order);
        };
        let edge = self.edge(&tape.param(h0), &s, (x.shape()[1], x.shape()[2]));
        u.add(&edge).lstm_scan(&s, &tape.param(c0), self.order)
    }

    /// Recurrent weights as \[neighbours, hidden, 4 hidden\].
    fn packed_recurrent<'t>(&self, tape: &'t Tape) -> Var<'t> {
        let shape = [4 * self.hidden, self.hidden, 1, self.order.neighbours()];
        tape.param(&self.recurrent).reshape(&shape).masked(Mask::NONE)
    }

    /// What h0 outside the image adds to the gates at its edge, \[1, H, W, 4 hidden\].
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

    /// The layer for [`PackedLstm::at`] on maps of this height and width.
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
    /// Where it lives.
    pub fn device(&self) -> &Device {
        self.recurrent.device()
    }

    /// Writes the state at cell (row, column) into h and c, from the input-to-state map u there.
    pub fn at(&self, u: &Tensor, at: (usize, usize), state: (&mut Tensor, &mut Tensor)) {
        lstm_at((u, &self.recurrent, &self.c0), self.order, at, state);
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
