//! The two parts of a DRAW network on a tape: the encoder with its read, and the decoder with its write.
//!
//! Gregor and others, arXiv 1502.04623, equations 3 to 8. Training uses both, generation only the decoder, with
//! the same code. All glimpses share the weights (`ops/shared/mod.rs`).
//!
//! Shapes: x, canvas \[B, H, W, C\], states \[B, h\], m = \[mu, log sigma\] \[B, 2Z\], attention \[B, 5\].

use rand::Rng;

use super::Draw;
use super::config::DrawConfig;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::nn::Linear;
use crate::ops::layout::expand;
use crate::ops::matmul::Activation;
use crate::ops::shared::Shared;
use crate::tensor::Tensor;

/// h and c of an LSTM.
pub type LstmState<'t> = [Var<'t>; 2];

/// The initial state: h is `initial` \[h\] in every row, or zeros; c is zeros.
pub(super) fn first_state<'t>(
    on: &Var<'t>,
    rows: usize,
    hidden: usize,
    initial: Option<&Param>,
) -> LstmState<'t> {
    let zeros = on.tape().constant(Tensor::zeros(on.device(), &[rows, hidden]));
    let h = initial.map_or_else(|| zeros.clone(), |p| repeated(on, p, &[rows, hidden]));
    [h, zeros]
}

/// Fraction of the image's longer side that the initial grid covers.
const COVERED: f32 = 0.7;
/// Initial gamma of the read.
const READ_GAMMA: f32 = 4.0;
/// What the initial write adds to each pixel under its grid, for a patch of ones.
const WRITTEN: f32 = 2.0;

/// Initial attention parameters: a grid in the middle of the image that covers most of it without gaps. N delta
/// is 0.7 of the longer side, and sigma is delta / 2. If all parameters were 0, sigma would be one pixel and delta
/// the widest possible: filters would be isolated dots. A write would also change each pixel very little, because its
/// filters sum to one; a small gamma compensates for that. Early training is several times faster this way.
pub(super) fn first_attention(
    filters: usize,
    (height, width): (usize, usize),
    reads: bool,
) -> [f32; 5] {
    let longer = height.max(width) as f32;
    let delta = COVERED * longer / filters as f32;
    let widest = (longer - 1.0).max(1.0) / (filters.max(2) as f32 - 1.0);
    let gamma = if reads { READ_GAMMA } else { 1.0 / (WRITTEN * delta * delta) };
    [0.0, 0.0, 2.0 * (0.5 * delta).ln(), (delta / widest).ln(), gamma.ln()]
}

/// The layer that computes attention parameters, with biases `start`.
pub(super) fn attention(
    device: &Device,
    hidden: usize,
    start: [f32; 5],
    rng: &mut impl Rng,
) -> Linear {
    let layer = Linear::uniform(device, hidden, 5, rng);
    layer.bias.set(Tensor::new(device, &start, &[5]));
    layer
}

/// A parameter, repeated for every row of `shape`.
fn repeated<'t>(on: &Var<'t>, p: &Param, shape: &[usize]) -> Var<'t> {
    on.tape().param(p).expand(shape)
}

/// Joins layers that have the same input into one layer with concatenated outputs.
fn joined<'t>(on: &Var<'t>, first: &Linear, others: &[&Linear]) -> Shared<'t> {
    let all = |of: fn(&Linear) -> &Param| {
        let others: Vec<Var> = others.iter().map(|layer| on.tape().param(of(layer))).collect();
        on.tape().param(of(first)).concat(&others.iter().collect::<Vec<_>>(), 0)
    };
    Shared::new(&all(|layer| &layer.weight), Some(&all(|layer| &layer.bias)))
}

/// The read and the encoder LSTM.
pub struct Encoder<'t> {
    config: DrawConfig,
    /// x \[B, H, W, C\].
    image: Var<'t>,
    lstm: Shared<'t>,
    /// Without attention: the image's contribution to the gates, \[B, 4h\], which is the same at every
    /// glimpse.
    sums: Option<Var<'t>>,
    latent: Shared<'t>,
    /// h_enc and c_enc.
    state: LstmState<'t>,
}

impl<'t> Encoder<'t> {
    /// The encoder before the first glimpse at x \[B, H W C\].
    pub(super) fn new(model: &Draw, x: &Var<'t>) -> Encoder<'t> {
        let (tape, config, rows) = (x.tape(), model.config, x.shape()[0]);
        let (lstm, sums) = match config.attention {
            true => (model.encoder.shared(x), None),
            false => {
                // W [x, x^, h_dec, h_enc] = W_x x + W' [x^, h_dec, h_enc].
                let (w, dims) = (tape.param(&model.encoder.0.weight), config.dims());
                let rest = w.shape()[1] - dims;
                let bias = tape.param(&model.encoder.0.bias);
                let sums = x.linear(&w.slice(1, 0, dims), Some(&bias), Activation::None);
                (Shared::new(&w.slice(1, dims as i64, rest), None), Some(sums))
            }
        };
        let latent = joined(x, &model.mean, &[&model.log_std]);
        let initial = model.initial.as_ref().map(|initial| &initial.encoder);
        Encoder {
            image: x.reshape(&[rows, config.height, config.width, config.channels]),
            lstm,
            sums,
            latent,
            state: first_state(x, rows, config.hidden, initial),
            config,
        }
    }

    /// Takes a glimpse (equations 3 to 5, 1 and 2). Returns m and the attention parameters of the read.
    pub(super) fn glimpse(&mut self, decoder: &mut Decoder<'t>) -> (Var<'t>, Option<Var<'t>>) {
        let attention = decoder.read.clone();
        let [h, c] = &self.state;
        let input = match &attention {
            Some(p) => {
                let states = [&decoder.state[0], h];
                let n = self.config.read;
                let [input, canvas] =
                    p.attention_read_input(n, &self.image, &decoder.canvas, states);
                decoder.canvas = canvas;
                input
            }
            None => {
                let error = self.image.sub(&decoder.canvas.sigmoid());
                let error = error.reshape(&[h.shape()[0], self.config.dims()]);
                error.concat(&[&decoder.state[0], h], 1)
            }
        };
        self.state = self.lstm.lstm_cell(&input, c, self.sums.as_ref());
        (self.latent.linear(&self.state[0]), attention)
    }
}

/// A write with attention.
pub struct Written<'t> {
    /// The patch, the attention parameters of the write, and those of the next read, \[B, patch + 10\].
    heads: Var<'t>,
    patch: usize,
}

impl<'t> Written<'t> {
    /// The attention parameters of the write, \[B, 5\].
    pub fn attention(&self) -> Var<'t> {
        self.heads.slice(1, self.patch as i64, 5)
    }
}

/// The decoder LSTM and the write.
pub struct Decoder<'t> {
    config: DrawConfig,
    lstm: Shared<'t>,
    /// Outputs of h_dec: the written patch and, with attention, the parameters of the write and of the next read.
    heads: Shared<'t>,
    /// h_dec and c_dec.
    pub(super) state: LstmState<'t>,
    /// c_t, logits.
    pub(super) canvas: Var<'t>,
    /// With attention: the attention parameters of the next read.
    read: Option<Var<'t>>,
}

impl<'t> Decoder<'t> {
    /// The decoder before the first glimpse, for `rows` images, on the tape of `on`.
    pub(super) fn new(model: &Draw, on: &Var<'t>, rows: usize) -> Decoder<'t> {
        let config = model.config;
        let shape = [rows, config.height, config.width, config.channels];
        let canvas = match &model.initial {
            Some(initial) => repeated(on, &initial.canvas, &shape),
            None => on.tape().constant(expand(&Tensor::zeros(on.device(), &[1]), &shape)),
        };
        let initial = model.initial.as_ref().map(|initial| &initial.decoder);
        let attention = [&model.write_attention, &model.read_attention];
        let attention: Vec<&Linear> = attention.into_iter().flatten().collect();
        let mut decoder = Decoder {
            lstm: model.decoder.shared(on),
            heads: joined(on, &model.write, &attention),
            state: first_state(on, rows, config.hidden, initial),
            canvas,
            read: None,
            config,
        };
        if config.attention {
            let heads = decoder.heads.linear(&decoder.state[0]);
            decoder.read = Some(heads.slice(1, config.write_dims() as i64 + 5, 5));
        }
        decoder
    }

    /// Decodes z \[B, Z\] and adds the write to the canvas (equations 7 and 8).
    pub(super) fn glimpse(&mut self, z: &Var<'t>) -> Option<Written<'t>> {
        self.step(&z.concat(&[&self.state[0]], 1))
    }

    /// [`Decoder::glimpse`] with the input \[z, h_dec\] \[B, Z + h\].
    pub(super) fn step(&mut self, input: &Var<'t>) -> Option<Written<'t>> {
        self.state = self.lstm.lstm_cell(input, &self.state[1], None);
        let heads = self.heads.linear(&self.state[0]);
        if !self.config.attention {
            self.canvas = self.canvas.add(&heads.reshape(self.canvas.shape()));
            return None;
        }
        let [canvas, read] = heads.attention_write_heads(self.config.write, &self.canvas);
        self.canvas = canvas;
        self.read = Some(read);
        Some(Written { heads, patch: self.config.write_dims() })
    }
}
