//! Receptive fields: gradients of logits with respect to the image, compared with a simulation of the connections
//! between the layers.
//!
//! With positive weights and inputs no two paths cancel and every ReLU is active, so a gradient is positive where
//! there is a path, and exactly 0 where there is none.

use pixelloom::models::Autoregressive;
use pixelloom::models::pixel::{Body, PixelConfig, PixelModel};
use pixelloom::nn::Module;
use pixelloom::{Device, Tape, Tensor};

use super::models::{self, BODIES};

/// A set of image values. Value (row * width + column) * channels + colour is the bit of that number.
type Set = u128;

/// The set of values that each channel of each pixel depends on.
pub struct Sets {
    height: usize,
    width: usize,
    channels: usize,
    sets: Vec<Set>,
}

impl Sets {
    fn empty(height: usize, width: usize, channels: usize) -> Sets {
        Sets { height, width, channels, sets: vec![0; height * width * channels] }
    }

    /// The sets, in the order of the channels \[height, width, channels\].
    pub fn sets(self) -> Vec<Set> {
        self.sets
    }

    /// The set of a channel; empty outside the image.
    fn at(&self, r: isize, c: isize, channel: usize) -> Set {
        let inside = r >= 0 && c >= 0 && r < self.height as isize && c < self.width as isize;
        if !inside {
            return 0;
        }
        self.sets[(r as usize * self.width + c as usize) * self.channels + channel]
    }

    /// The union over the channels of a pixel.
    fn any(&self, r: isize, c: isize) -> Set {
        (0..self.channels).fold(0, |all, channel| all | self.at(r, c, channel))
    }

    fn map(&self, channels: usize, f: impl Fn(isize, isize, usize) -> Set) -> Sets {
        let mut to = Sets::empty(self.height, self.width, channels);
        for (i, set) in to.sets.iter_mut().enumerate() {
            let pixel = i / channels;
            *set = f((pixel / self.width) as isize, (pixel % self.width) as isize, i % channels);
        }
        to
    }

    fn join(&self, other: &Sets) -> Sets {
        self.map(self.channels, |r, c, k| self.at(r, c, k) | other.at(r, c, k))
    }
}

/// The colour group of `channel` among `count` channels.
fn colour(channel: usize, count: usize, colours: usize) -> usize {
    (0..colours).filter(|&k| k * count <= channel * colours).max().unwrap()
}

/// A masked convolution to `outputs` channels with a kernel of `size`, with mask A if `first` and B otherwise.
fn conv(x: &Sets, outputs: usize, size: (isize, isize), first: bool, colours: usize) -> Sets {
    x.map(outputs, |r, c, o| {
        let mut seen = 0;
        for dr in -(size.0 / 2)..=0 {
            for dc in -(size.1 / 2)..=size.1 / 2 {
                if dr == 0 && dc > 0 {
                    continue;
                }
                for i in 0..x.channels {
                    let (from, to) = (colour(i, x.channels, colours), colour(o, outputs, colours));
                    let centre = dr == 0 && dc == 0;
                    if !centre || from < to || (from == to && !first) {
                        seen |= x.at(r + dr, c + dc, i);
                    }
                }
            }
        }
        seen
    })
}

/// An LSTM over `u` (one channel per unit), visited in the order of `rank`. Each cell reads all channels of h at the
/// offsets `neighbours`, and its own channel of c at the offset `before`.
fn lstm(
    u: &Sets,
    neighbours: &[(isize, isize)],
    before: (isize, isize),
    rank: impl Fn(isize, isize) -> isize,
) -> Sets {
    let (mut h, mut cell) = (u.map(u.channels, |_, _, _| 0), u.map(u.channels, |_, _, _| 0));
    let mut places: Vec<(isize, isize)> =
        (0..u.height as isize).flat_map(|r| (0..u.width as isize).map(move |c| (r, c))).collect();
    places.sort_by_key(|&(r, c)| rank(r, c));
    for (r, c) in places {
        let state = neighbours.iter().fold(0, |all, (dr, dc)| all | h.any(r + dr, c + dc));
        for k in 0..u.channels {
            let gate = u.at(r, c, k) | state;
            let at = (r as usize * u.width + c as usize) * u.channels + k;
            cell.sets[at] = gate | cell.at(r + before.0, c + before.1, k);
            h.sets[at] = gate | cell.sets[at];
        }
    }
    h
}

/// The receptive field of each logit.
pub fn simulate(body: Body, config: &PixelConfig) -> Sets {
    let (h, colours) = (config.hidden, config.channels);
    let side = config.kernel as isize;
    let mut image = Sets::empty(config.height, config.width, colours);
    image.sets.iter_mut().enumerate().for_each(|(i, set)| *set = 1 << i);
    let mut x = conv(&image, 2 * h, (7, 7), true, colours);
    for _ in 0..config.layers {
        let y = match body {
            Body::PixelCnn => {
                conv(&conv(&x, h, (1, 1), false, colours), h, (side, side), false, colours)
            }
            Body::RowLstm => {
                let u = conv(&x, h, (1, side), false, colours);
                let above: Vec<_> = (-(side / 2)..=side / 2).map(|d| (-1, d)).collect();
                lstm(&u, &above, (-1, 0), |r, _| r)
            }
            Body::DiagBilstm => {
                let u = conv(&x, h, (1, 1), false, colours);
                let left = lstm(&u, &[(-1, 0), (0, -1)], (0, -1), |r, c| r + c);
                let right = lstm(&u, &[(-1, 0), (0, 1)], (0, 1), |r, c| r - c);
                left.join(&right.map(h, |r, c, k| right.at(r - 1, c, k)))
            }
        };
        let up = conv(&y, 2 * h, (1, 1), false, colours);
        x = if config.residual { x.join(&up) } else { up };
    }
    let y = conv(&x, config.head, (1, 1), false, colours);
    conv(&y, config.outputs(), (1, 1), false, colours)
}

/// For every logit, the image values with a positive gradient. Panics at a negative gradient or NaN.
pub fn gradients(model: &dyn Autoregressive, shape: [usize; 4], outputs: usize) -> Vec<Set> {
    let dims: usize = shape.iter().product();
    let image: Vec<f32> = (0..dims).map(|i| 0.3 + 0.4 * (i % 5) as f32 / 5.0).collect();
    let count = shape[1] * shape[2] * outputs;
    (0..count)
        .map(|logit| {
            let tape = Tape::for_leaves();
            let x = tape.leaf(Tensor::new(&Device::cpu(), &image, &shape));
            let y = model.logits(&x);
            let mut seed = vec![0.0; count];
            seed[logit] = 1.0;
            let seed = Tensor::new(&Device::cpu(), &seed, y.shape());
            let gradients = tape.backward(&[(&y, seed)]);
            let dx = gradients.of(&x).map_or(vec![0.0; dims], |g| g.to_vec().unwrap());
            assert!(dx.iter().all(|&g| g >= 0.0 && g.is_finite()), "logit {logit}: {dx:?}");
            dx.iter().enumerate().fold(0, |set, (i, &g)| set | Set::from(g > 0.0) << i)
        })
        .collect()
}

/// The values that precede the one that `logit` predicts.
fn past(config: &PixelConfig, logit: usize) -> Set {
    let (pixel, output) = (logit / config.outputs(), logit % config.outputs());
    let value = pixel * config.channels + output / (config.outputs() / config.channels);
    (1 << value) - 1
}

fn positive(body: Body, config: PixelConfig) -> PixelModel {
    let model = PixelModel::new(&Device::cpu(), body, config, 0);
    models::redraw(&model, 5, (0.02, 0.1));
    model
}

/// The errors in the dependencies of a model.
fn faults(body: Body, config: PixelConfig) -> Vec<String> {
    let model = positive(body, config);
    let shape = model.net.images(1);
    let seen = gradients(&model, shape, config.outputs());
    let expected = simulate(body, &config);
    let mut wrong = Vec::new();
    for (logit, &seen) in seen.iter().enumerate() {
        if seen & !past(&config, logit) != 0 {
            wrong.push(format!("{body:?} {config:?}: logit {logit} sees the future"));
        }
        if seen != expected.sets[logit] {
            wrong.push(format!(
                "{body:?} {config:?}: logit {logit} sees {seen:b}, not {:b}",
                expected.sets[logit]
            ));
        }
    }
    wrong
}

#[test]
fn predictions_see_what_the_layers_connect_and_nothing_else() {
    for body in BODIES {
        for layers in [1, 2] {
            let grey = models::config((4, 9), 1, 2, 2);
            assert_eq!(faults(body, PixelConfig { layers, ..grey }), Vec::<String>::new());
            for hidden in [3, 4, 5] {
                let colour = models::config((3, 4), 3, 3, hidden);
                assert_eq!(faults(body, PixelConfig { layers, ..colour }), Vec::<String>::new());
            }
        }
        let tall = PixelConfig { skip: true, residual: false, ..models::config((6, 3), 3, 2, 3) };
        assert_eq!(faults(body, tall), Vec::<String>::new());
    }
}

#[test]
fn wider_kernels_see_what_they_connect_and_nothing_else() {
    for kernel in [1, 5, 7] {
        for config in [models::config((6, 9), 1, 2, 2), models::config((4, 5), 3, 3, 3)] {
            for body in [Body::PixelCnn, Body::RowLstm] {
                let config = PixelConfig { kernel, ..config };
                assert_eq!(faults(body, config), Vec::<String>::new());
            }
        }
    }
}

#[test]
fn networks_of_a_chain_have_its_kernel() {
    let config = PixelConfig { kernel: 5, ..models::config((4, 8), 1, 2, 3) };
    let chain = models::chain(&Device::cpu(), Body::PixelCnn, config, &[2], 1);
    let parameters = chain.parameters().into_iter();
    let kernels: Vec<_> = parameters.filter(|(name, _)| name.ends_with(".conv.weight")).collect();
    assert_eq!(kernels.len(), 4, "two layers of two networks");
    for (name, kernel) in kernels {
        assert_eq!(kernel.value().shape(), [3, 3, 5, 5], "{name}");
    }
}

/// The comparison distinguishes networks of another kind, depth or kernel size.
#[test]
fn a_simulation_of_another_network_differs() {
    let wide = models::config((4, 12), 1, 2, 2);
    let seen = gradients(&positive(Body::PixelCnn, wide), [1, 4, 12, 1], 1);
    assert_eq!(seen, simulate(Body::PixelCnn, &wide).sets());
    for (other, layers) in [(Body::RowLstm, 2), (Body::DiagBilstm, 2), (Body::PixelCnn, 1)] {
        assert_ne!(seen, simulate(other, &PixelConfig { layers, ..wide }).sets(), "{other:?}");
    }
    assert_ne!(seen, simulate(Body::PixelCnn, &PixelConfig { kernel: 5, ..wide }).sets());
}

/// Whether the logit of pixel (r, c) of a one-channel image sees pixel (i, j).
fn sees(seen: &[Set], width: usize, (r, c): (usize, usize), (i, j): (usize, usize)) -> bool {
    seen[r * width + c] >> (i * width + j) & 1 == 1
}

/// The 7 x 7 mask A and the 3 x 3 layers reach at most k + 2 columns to the right in the k-th row above.
#[test]
fn the_blind_spot_of_the_pixelcnn() {
    let (height, width) = (7, 16);
    let config = PixelConfig { layers: 5, ..models::config((height, width), 1, 2, 1) };
    let seen = gradients(&positive(Body::PixelCnn, config), [1, height, width, 1], 1);
    let (r, c) = (6, 4);
    for i in 0..r {
        for j in c..width {
            // In the row directly above, the first layer alone reaches three columns.
            let reach = (r - i + 2).max(3);
            let expected = j - c <= reach;
            assert_eq!(sees(&seen, width, (r, c), (i, j)), expected, "({i}, {j}) from ({r}, {c})");
        }
    }
}

/// The Diagonal BiLSTM sees all previous pixels except the last one of the row above, if that is beyond the three
/// columns that the first layer reaches (in colour images, only its blue value is missing).
#[test]
fn the_diagonal_bilstm_sees_all_but_the_last_pixel_of_the_row_above() {
    for layers in [1, 2] {
        let (height, width) = (4, 12);
        let config = PixelConfig { layers, ..models::config((height, width), 1, 2, 2) };
        let seen = gradients(&positive(Body::DiagBilstm, config), [1, height, width, 1], 1);
        for r in 0..height {
            for c in 0..width {
                let hidden: Vec<usize> = (0..r * width + c)
                    .filter(|&p| !sees(&seen, width, (r, c), (p / width, p % width)))
                    .collect();
                let far = r > 0 && width - 1 - c > 3;
                let expected = if far { vec![r * width - 1] } else { vec![] };
                assert_eq!(hidden, expected, "from ({r}, {c})");
            }
        }
    }
    let config = PixelConfig { layers: 1, ..models::config((2, 9), 3, 2, 3) };
    let seen = gradients(&positive(Body::DiagBilstm, config), [1, 2, 9, 3], 3);
    // Pixel (1, 0) sees the whole row above except the blue value of its last pixel, which is value 26.
    for (colour, &seen) in seen[27..30].iter().enumerate() {
        let expected = ((1 << 26) - 1) | ((1 << (27 + colour)) - (1 << 27));
        assert_eq!(seen, expected, "colour {colour}");
    }
}

/// The logits of an image do not depend on the other images of the batch.
#[test]
fn images_of_a_batch_do_not_mix() {
    for body in BODIES {
        let config = models::config((3, 4), 3, 4, 4);
        let model = models::model(&Device::cpu(), body, config, 9);
        let dims = config.dims();
        let image = |number: usize| -> Vec<f32> {
            (0..dims).map(|i| ((i * 7 + number * 5) % 4) as f32 / 3.0).collect()
        };
        let logits = |images: &[usize]| {
            let tape = Tape::inference();
            let all: Vec<f32> = images.iter().flat_map(|&n| image(n)).collect();
            let x = Tensor::new(&Device::cpu(), &all, &model.net.images(images.len()));
            model.logits(&tape.constant(x)).value().to_vec().unwrap()
        };
        let (one, all) = (logits(&[1]), logits(&[0, 1, 2, 3, 4]));
        assert_eq!(one, all[one.len()..2 * one.len()], "{body:?}");
        assert!(model.parameter_count() > 0);
    }
}
