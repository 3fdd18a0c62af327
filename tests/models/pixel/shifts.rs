//! The LSTM layers equal a plain cell-by-cell recursion on the tape. For the Diagonal BiLSTM the recursion shifts the
//! right-to-left map correctly, and also in the wrong ways found in public code, which must give other dependencies.

use std::collections::HashMap;

use pixelloom::autograd::case::distance;
use pixelloom::models::Autoregressive;
use pixelloom::models::pixel::{Body, PixelConfig, PixelModel};
use pixelloom::nn::Module;
use pixelloom::ops::mask::{Mask, Sight};
use pixelloom::ops::masked_conv::{Around, Window};
use pixelloom::{Device, Tape, Tensor, Var};

use super::models;
use super::reach::{gradients, simulate};

/// How the right-to-left map is combined with the left-to-right map.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// As in the paper: a mirrored scan, shifted down by one row.
    Right,
    /// Not shifted.
    NoShift,
    /// Shifted up, with the zeros in the last row.
    ZerosAtTheBottom,
    /// The image is mirrored after skewing, so the row above is read two columns further on.
    FlippedInSkewedSpace,
    /// The 2 x 1 kernel is padded at the bottom, so a cell sees the row below it.
    PaddedAtTheWrongEnd,
}

/// A model with the weights of `model`, whose single LSTM layer is computed by the recursion.
struct Plain<'a> {
    model: &'a PixelModel,
    way: Way,
}

/// The states of one direction, cell by cell.
struct Scan<'t> {
    u: Var<'t>,
    s: Var<'t>,
    /// Offsets of the cells that h is read from, in the order of the weights; c is read from the second.
    neighbours: &'static [(isize, isize)],
    /// h and c \[1, hidden\] outside the image.
    outside: (Var<'t>, Var<'t>),
    done: HashMap<(isize, isize), (Var<'t>, Var<'t>)>,
}

impl<'t> Scan<'t> {
    /// h and c \[1, hidden\] at a cell.
    fn at(&mut self, (r, c): (isize, isize)) -> (Var<'t>, Var<'t>) {
        let [_, height, width, gates] = *self.u.shape() else { panic!("u") };
        let hidden = gates / 4;
        if r < 0 || c < 0 || r >= height as isize || c >= width as isize {
            // The Row LSTM pads its 3-wide kernel with zeros at the sides.
            let beside = self.neighbours.len() == 3 && (c < 0 || c >= width as isize);
            let zero = self.u.tape().constant(Tensor::zeros(self.u.device(), &[1, hidden]));
            return if beside { (zero.clone(), zero) } else { self.outside.clone() };
        }
        if let Some(state) = self.done.get(&(r, c)) {
            return state.clone();
        }
        let mut sum = self.u.slice(1, r as i64, 1).slice(2, c as i64, 1).reshape(&[1, gates]);
        let mut cell = None;
        for (k, (dr, dc)) in self.neighbours.iter().enumerate() {
            let (h, before) = self.at((r + dr, c + dc));
            let s = self.s.slice(0, k as i64, 1).reshape(&[hidden, gates]);
            sum = sum.add(&h.matmul(&s));
            if k == 1 {
                cell = Some(before);
            }
        }
        let gate = |k: usize| sum.slice(1, (k * hidden) as i64, hidden);
        let (o, f, i, g) =
            (gate(0).sigmoid(), gate(1).sigmoid(), gate(2).sigmoid(), gate(3).tanh());
        let cell = f.mul(&cell.unwrap()).add(&i.mul(&g));
        let state = (o.mul(&cell.tanh()), cell);
        self.done.insert((r, c), state.clone());
        state
    }

    /// h of all cells \[1, height, width, hidden\].
    fn map(mut self) -> Var<'t> {
        let [_, height, width, gates] = *self.u.shape() else { panic!("u") };
        let mut all: Option<Var> = None;
        for r in 0..height as isize {
            for c in 0..width as isize {
                let (h, _) = self.at((r, c));
                all = Some(all.map_or_else(|| h.clone(), |all| all.concat(&[&h], 0)));
            }
        }
        all.unwrap().reshape(&[1, height, width, gates / 4])
    }
}

impl Autoregressive for Plain<'_> {
    fn draw(
        &self,
        _: &Device,
        _: usize,
        _: &[usize],
        _: Option<pixelloom::models::pixel::Known>,
        _: pixelloom::rng::Key,
        _: &mut pixelloom::models::pixel::Watch,
    ) -> pixelloom::Result<Tensor> {
        unreachable!("only its logits are asked for")
    }

    fn logits<'t>(&self, x: &Var<'t>) -> Var<'t> {
        let weights: HashMap<String, Var<'t>> = self
            .model
            .parameters()
            .into_iter()
            .map(|(name, p)| (name, x.tape().constant(p.value())))
            .collect();
        let conv = |x: &Var<'t>, name: &str, sight, stacks, relu_before| {
            let (w, b) = (&weights[&format!("{name}.weight")], &weights[&format!("{name}.bias")]);
            let mask = Mask { stacks, ..Mask::new(sight, 1) };
            let (kh, kw) = (w.shape()[2], w.shape()[3]);
            let window = Window::centred(kh, kw, mask);
            let around = Around { relu_before, relu_after: false };
            x.masked_conv(&w.masked(mask), window, around, Some(b), None)
        };
        let y = conv(x, "first", Sight::A, 1, false);
        let scan = |side: &str, neighbours: &'static [(isize, isize)]| {
            let path = format!("layers.0.{side}");
            let u = conv(&y, &format!("{path}.input"), Sight::B, 4, false);
            let s = &weights[&format!("{path}.recurrent")];
            let [gates, hidden, taps] = *s.shape() else { panic!("s") };
            let s = s.reshape(&[gates, hidden, 1, taps]).masked(Mask::NONE);
            let state = |name: &str| match weights.get(&format!("{path}.{name}")) {
                Some(learned) => learned.reshape(&[1, hidden]),
                None => x.tape().constant(Tensor::zeros(x.device(), &[1, hidden])),
            };
            let outside = (state("h0"), state("c0"));
            Scan { u, s, neighbours, outside, done: HashMap::new() }.map()
        };
        let h = if weights.contains_key("layers.0.lstm.recurrent") {
            scan("lstm", &[(-1, -1), (-1, 0), (-1, 1)])
        } else {
            let left = match self.way {
                Way::PaddedAtTheWrongEnd => scan("left", &[(1, -2), (0, -1)]),
                _ => scan("left", &[(-1, 0), (0, -1)]),
            };
            let right = match self.way {
                Way::FlippedInSkewedSpace => scan("right", &[(-1, 2), (0, 1)]),
                _ => scan("right", &[(-1, 0), (0, 1)]),
            };
            let height = right.shape()[1];
            left.add(&match self.way {
                Way::NoShift => right,
                Way::ZerosAtTheBottom => right.slice(1, 1, height),
                _ => right.slice(1, -1, height),
            })
        };
        let y = y.add(&conv(&h, "layers.0.up", Sight::B, 1, false));
        let y = conv(&y, "head.0", Sight::B, 1, true);
        let y = conv(&y, "head.1", Sight::B, 1, true);
        conv(&y, "head.2", Sight::B, 1, true)
    }
}

/// A model with one layer. The images are so tall that the context lost in skewed space lies beyond the 7 x 7 kernel.
fn one_layer(body: Body, learned: bool, range: (f32, f32)) -> (PixelModel, PixelConfig) {
    let config = models::config((10, 12), 1, 2, 1);
    let config = PixelConfig { layers: 1, learned_states: learned, ..config };
    let model = PixelModel::new(&Device::cpu(), body, config, 0);
    models::redraw(&model, 5, range);
    (model, config)
}

#[test]
fn the_scan_equals_the_recursion() {
    for body in [Body::RowLstm, Body::DiagBilstm] {
        for learned in [false, true] {
            let (model, config) = one_layer(body, learned, (-0.9, 0.9));
            let x: Vec<f32> = (0..config.dims()).map(|i| f32::from(i % 3 == 0)).collect();
            let tape = Tape::inference();
            let x = tape.constant(Tensor::new(&Device::cpu(), &x, &model.net.images(1)));
            let plain = Plain { model: &model, way: Way::Right }.logits(&x);
            let fast = model.logits(&x).value().to_vec().unwrap();
            let d = distance(&fast, &plain.value().to_vec().unwrap());
            assert!(d <= 1e-5, "{body:?}, learned states {learned}: {d}");
        }
    }
}

#[test]
fn only_the_right_shift_passes_the_test_of_dependencies() {
    let (model, config) = one_layer(Body::DiagBilstm, false, (0.02, 0.1));
    let expected = simulate(Body::DiagBilstm, &config).sets();
    for way in [
        Way::Right,
        Way::NoShift,
        Way::ZerosAtTheBottom,
        Way::FlippedInSkewedSpace,
        Way::PaddedAtTheWrongEnd,
    ] {
        let seen = gradients(&Plain { model: &model, way }, model.net.images(1), 1);
        assert_eq!(seen == expected, way == Way::Right, "{way:?}");
        // Three of the wrong ways see the future; the fourth only loses context.
        let future = seen.iter().enumerate().any(|(p, &seen)| seen >> p != 0);
        let honest = matches!(way, Way::Right | Way::FlippedInSkewedSpace);
        assert_eq!(future, !honest, "{way:?}");
    }
}
