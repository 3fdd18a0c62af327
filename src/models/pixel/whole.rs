//! The sampler on a GPU: a workgroup draws all pixels of an image ([`crate::ops::sampling`]).
//!
//! The layers and caches are those of `sampler.rs`. All computed maps of an image lie in one buffer, and all weights in
//! another. The weights are copied there only if the network fits.

use super::program::{Program, Step};
use crate::error::Result;
use crate::models::abilities::{Known, Watch};
use crate::ops::layout;
use crate::ops::masked_conv::Around;
use crate::ops::pick::Scale;
use crate::ops::sampling::{Map, Network, Step as Row, sample_pixels};
use crate::tensor::Tensor;

/// A network's layers in the form that the kernel reads.
pub(super) struct Whole {
    network: Network,
    /// The packed weights, each as a vector, in the order of their places.
    weights: Vec<Tensor>,
    /// Height, width, channels.
    shape: [usize; 3],
    /// Maps by number.
    maps: Vec<Map>,
    /// Floats of an image's given maps.
    given_floats: usize,
}

/// Weights that are to be concatenated, and the place of the next one.
#[derive(Default)]
struct Weights {
    tensors: Vec<Tensor>,
    end: usize,
}

impl Weights {
    fn add(&mut self, tensor: &Tensor) -> usize {
        let place = self.end;
        self.end += tensor.len();
        self.tensors.push(tensor.reshape(&[tensor.len()]));
        place
    }
}

/// The place of a map that is computed.
fn place(map: Map) -> usize {
    match map {
        Map::Computed(place) => place,
        Map::Image | Map::Given(_) => unreachable!("a layer writes computed maps only"),
    }
}

impl Whole {
    /// The steps of `program` on images of this shape.
    pub fn new(program: &Program, shape: [usize; 3], scale: Scale) -> Whole {
        let pixels = shape[0] * shape[1];
        let (mut computed, mut given) = (0, 0);
        let mut maps = vec![Map::Image];
        for (number, channels) in program.channels.iter().enumerate().skip(1) {
            let is_given = program.given.iter().any(|given| given.map == number);
            let end = if is_given { &mut given } else { &mut computed };
            maps.push(if is_given { Map::Given(*end) } else { Map::Computed(*end) });
            *end += pixels * channels;
        }
        let mut weights = Weights::default();
        let lists = [&program.features, &program.logits, &program.scans];
        let steps = lists.map(|steps| {
            let rows = |step| rows_of(step, &program.channels, &maps, &mut weights);
            steps.iter().flat_map(rows).collect()
        });
        let logits = place(*maps.last().expect("a map of logits"));
        let network = Network { steps, weights: weights.end, maps: [computed, logits], scale };
        Whole { network, weights: weights.tensors, shape, maps, given_floats: given }
    }

    /// Floats of an image in the larger of the two buffers of maps.
    pub fn floats(&self) -> u64 {
        self.network.maps[0].max(self.given_floats) as u64
    }

    /// Ranges of pixels for one launch each ([`Network::launches`]).
    pub fn launches(&self, stops: impl Fn(usize) -> bool) -> Option<Vec<(usize, usize)>> {
        self.network.launches(self.shape, stops)
    }

    /// Draws the pixels that are not `known` into images `x` in the scale of the network's input, with the uniform
    /// numbers `u`. `given` are the maps that were computed before, by number. `film` receives x. `None` if the device or
    /// the network does not fit: then nothing has been drawn.
    pub fn draw(
        &self,
        [x, u]: [&Tensor; 2],
        given: &[(usize, Tensor)],
        known: Option<Known>,
        watch: &mut Watch,
        images: &dyn Fn(&Tensor) -> Result<Vec<f32>>,
    ) -> Option<Result<Vec<f32>>> {
        let (batch, pixels) = (x.shape()[0], self.shape[0] * self.shape[1]);
        let every = watch.film.as_ref().map(|(every, _)| *every);
        let is_frame =
            |pixel: usize| every.is_some_and(|n| pixel.is_multiple_of(n) || pixel + 1 == pixels);
        let launches = self.launches(is_frame)?;
        let most = x
            .device()
            .largest_tensor()
            .map_or(batch, |bytes| (bytes / (4 * self.floats())).min(batch as u64) as usize);
        if most == 0 || most < batch && every.is_some() {
            return None;
        }
        let mask = known.map_or_else(|| vec![false; pixels], |known| known.mask.to_vec());
        let mask: Vec<f32> = mask.into_iter().map(|known| f32::from(u8::from(known))).collect();
        let known = Tensor::new(x.device(), &mask, &[pixels]);
        let table = self.network.table(x.device());
        let weights = layout::concat(&self.weights.iter().collect::<Vec<_>>(), 0);
        let mut all = Vec::new();
        for start in (0..batch).step_by(most) {
            let count = most.min(batch - start);
            let of = |t: &Tensor| layout::slice(t, 0, start as i64, count);
            let (mut x, u) = (of(x), of(u));
            let given: Vec<_> = given.iter().map(|(map, of_all)| (*map, of(of_all))).collect();
            let given = self.given(count, &given, &x);
            let mut maps = Tensor::unwritten(x.device(), &[count, self.network.maps[0]]);
            for &(from, to) in &launches {
                let inputs = [&table, &weights, &given, &u, &known];
                sample_pixels(&self.network, inputs, (from, to), &mut x, &mut maps);
                let done = (start * pixels + count * to) / batch;
                let reported = (watch.progress)(done, pixels).and_then(|()| {
                    if let Some((_, film)) = watch.film.as_mut().filter(|_| is_frame(to - 1)) {
                        film(images(&x)?);
                    }
                    Ok(())
                });
                if let Err(error) = reported {
                    return Some(Err(error));
                }
            }
            match images(&x) {
                Ok(images) => all.extend(images),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(all))
    }

    /// The given maps in the kernel's layout, \[batch, floats\]; one zero per image if there are none.
    fn given(&self, batch: usize, given: &[(usize, Tensor)], x: &Tensor) -> Tensor {
        let mut parts: Vec<(usize, Tensor)> = given
            .iter()
            .map(|(number, map)| {
                let Map::Given(place) = self.maps[*number] else { unreachable!("a given map") };
                (place, map.reshape(&[batch, map.len() / batch.max(1)]))
            })
            .collect();
        parts.sort_by_key(|(place, _)| *place);
        match parts.len() {
            0 => Tensor::zeros(x.device(), &[batch, 1]),
            _ => layout::concat(&parts.iter().map(|(_, part)| part).collect::<Vec<_>>(), 1),
        }
    }
}

/// The rows of a step in the table: an LSTM has one for its gates and one for its state.
fn rows_of(step: &Step, channels: &[usize], maps: &[Map], weights: &mut Weights) -> Vec<Row> {
    let mut conv = |conv: &crate::nn::PackedConv,
                    x: usize,
                    around: Around,
                    residual: Option<usize>,
                    y: usize| {
        let (packed, bias, window) = conv.parts();
        Row::Conv {
            x: (maps[x], channels[x]),
            y: (place(maps[y]), channels[y]),
            window,
            around,
            weights: (weights.add(packed), bias.map(|bias| weights.add(bias))),
            residual: residual.map(|map| maps[map]),
        }
    };
    match step {
        Step::Conv { conv: layer, x, around, residual, y } => {
            vec![conv(layer, *x, *around, *residual, *y)]
        }
        Step::Lstm { lstm, x, extra, u } => {
            let gates = conv(lstm.input(), *x, Around::default(), *extra, *u);
            let states = Row::Lstm {
                maps: [0, 1, 2].map(|i| place(maps[u + i])),
                hidden: lstm.hidden(),
                order: lstm.order(),
                weights: lstm.states().map(|t| weights.add(t)),
            };
            vec![gates, states]
        }
    }
}
