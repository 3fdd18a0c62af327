//! The steps of the sampler at one pixel: the wiring of a network, recorded once as a list of layers on numbered maps.

use super::net::{PLAIN, PixelNet, Runner};
use crate::autograd::Var;
use crate::nn::{LstmScan, MaskedConv, PackedConv, PackedLstm};
use crate::ops::binary::{self, Operation};
use crate::ops::layout;
use crate::ops::lstm_scan::Order;
use crate::ops::masked_conv::Around;
use crate::tensor::Tensor;

/// A layer at one pixel. Maps are numbers of [`Program::channels`], and those that a step reads come before those
/// that it writes.
pub(super) enum Step {
    /// y = act(conv(x) + b) + residual.
    Conv { conv: PackedConv, x: usize, around: Around, residual: Option<usize>, y: usize },
    /// The gates u of x, with `extra` added, then the states h and c, which are the two maps after u.
    Lstm { lstm: PackedLstm, x: usize, extra: Option<usize>, u: usize },
}

/// A map that is computed before sampling begins: contributions of the condition and of learned states to a layer.
pub(super) struct Given<'n> {
    pub map: usize,
    condition: Option<&'n MaskedConv>,
    /// \[1, H, W, channels\].
    edge: Option<Tensor>,
}

/// The steps of a network. Map 0 is the image, the last map has the logits.
#[derive(Default)]
pub(super) struct Program<'n> {
    /// Height and width.
    size: (usize, usize),
    /// Channels of every map.
    pub channels: Vec<usize>,
    pub given: Vec<Given<'n>>,
    /// From the image to the last layer's output.
    pub features: Vec<Step>,
    /// From the last layer's output to the logits.
    pub logits: Vec<Step>,
    /// The right directions of BiLSTMs, of a whole row from its end to its beginning.
    pub scans: Vec<Step>,
    skips: Vec<(&'n MaskedConv, Map)>,
}

/// A map, or the sum of a map and another one that is shifted down by one row. The sum is never computed: the
/// convolution that reads it is applied to each of them.
#[derive(Clone, Copy)]
pub(super) struct Map {
    at: usize,
    above: Option<usize>,
}

impl<'n> Program<'n> {
    /// Records a network.
    pub fn of(net: &'n PixelNet) -> Program<'n> {
        let size = (net.config.height, net.config.width);
        let mut program = Program { size, ..Program::default() };
        let image = program.map(net.config.channels);
        let features = net.features(&mut program, &image);
        let features_end = program.features.len();
        net.logits(&mut program, features);
        program.logits = program.features.split_off(features_end);
        program
    }

    /// Elements per pixel of all maps, except those of the image and those that are given.
    pub fn numbers(&self) -> usize {
        let given: usize = self.given.iter().map(|given| self.channels[given.map]).sum();
        self.channels[1..].iter().sum::<usize>() - given
    }

    fn map(&mut self, channels: usize) -> Map {
        self.channels.push(channels);
        Map { at: self.channels.len() - 1, above: None }
    }

    fn given(&mut self, channels: usize, condition: Option<&'n MaskedConv>) -> Map {
        let map = self.map(channels);
        self.given.push(Given { map: map.at, condition, edge: None });
        map
    }

    /// A convolution of map x.
    fn push(
        &mut self,
        conv: PackedConv,
        x: usize,
        around: Around,
        residual: Option<usize>,
    ) -> usize {
        let y = self.map(conv.outputs()).at;
        self.features.push(Step::Conv { conv, x, around, residual, y });
        y
    }
}

impl<'n> Runner<'n> for Program<'n> {
    type Map = Map;

    fn conv(
        &mut self,
        conv: &'n MaskedConv,
        x: &Map,
        around: Around,
        residual: Option<&Map>,
    ) -> Map {
        let conv = conv.packed();
        let residual = residual.map(|map| map.at);
        let residual = match x.above {
            Some(above) => Some(self.push(conv.shifted_down(), above, PLAIN, residual)),
            None => residual,
        };
        Map { at: self.push(conv, x.at, around, residual), above: None }
    }

    fn lstm(&mut self, lstm: &'n LstmScan, x: &Map, condition: Option<&Map>) -> Map {
        let mut packed = lstm.packed(self.size);
        let (order, hidden) = (packed.order(), packed.hidden());
        let mut extra = condition.map(|map| map.at);
        if let Some(edge) = packed.edge.take() {
            let map = extra.unwrap_or_else(|| self.given(4 * hidden, None).at);
            let given = self.given.iter_mut().find(|given| given.map == map);
            given.expect("a condition is given").edge = Some(edge);
            extra = Some(map);
        }
        let [u, h, _] = [4 * hidden, hidden, hidden].map(|channels| self.map(channels));
        let step = Step::Lstm { lstm: packed, x: x.at, extra, u: u.at };
        match order {
            Order::MirroredDiagonal => self.scans.push(step),
            Order::Rows(_) | Order::Diagonal => self.features.push(step),
        }
        h
    }

    fn both_directions(
        &mut self,
        [left, right]: [&'n LstmScan; 2],
        x: &Map,
        conditions: [Option<&Map>; 2],
    ) -> Map {
        let left = self.lstm(left, x, conditions[0]);
        let right = self.lstm(right, x, conditions[1]);
        Map { above: Some(right.at), ..left }
    }

    fn condition(&mut self, conv: &'n MaskedConv) -> Map {
        self.given(conv.weight.value().shape()[0], Some(conv))
    }

    fn dropout(&mut self, h: Map, _: usize) -> Map {
        h
    }

    fn skip(&mut self, conv: &'n MaskedConv, x: &Map) {
        self.skips.push((conv, *x));
    }

    fn with_skips(&mut self, x: Map) -> Map {
        let skips = std::mem::take(&mut self.skips);
        skips.into_iter().rev().fold(x, |sum, (conv, x)| self.conv(conv, &x, PLAIN, Some(&sum)))
    }
}

impl Given<'_> {
    /// The map \[batch, H, W, channels\]; `seen` is what the network is conditioned on ([`PixelNet::condition_map`]).
    pub fn value(&self, batch: usize, seen: Option<&Var>) -> Tensor {
        let condition = self.condition.map(|conv| {
            let seen = seen.expect("a conditional network has a condition");
            conv.forward(seen, PLAIN, None).value().clone()
        });
        let edge = self.edge.as_ref().map(|edge| {
            let [_, height, width, channels] = *edge.shape() else { unreachable!("a map") };
            layout::expand(edge, &[batch, height, width, channels])
        });
        match (condition, edge) {
            (Some(c), Some(e)) => binary::apply(Operation::Add, &c, &e),
            (c, e) => c.or(e).expect("one of both"),
        }
    }
}
