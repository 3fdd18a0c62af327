//! Multi-Scale PixelRNN (section 3.6): an unconditional network draws a small image, and conditional networks
//! enlarge it.
//!
//! The small image has every f-th pixel of the next larger one: x_s\[i, j\] = x\[f i, f j\].
//! With x_0 the smallest image and x_K = x, the training loss is
//!
//! ```text
//! -log p(x_0) - sum_k log p(x_k | x_(k-1)).
//! ```
//!
//! A conditional network is a distribution over all images of its size, including those that do not match the small
//! image. The sum is therefore the negative log-likelihood of the pair (small image, image). It is an upper bound on
//! -log p(x), and the program calls it a bound.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::config::MultiScaleConfig;
use super::net::{Condition, PixelNet};
use super::sampler;
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::error::Result;
use crate::models::abilities::{Known, Watch};
use crate::models::halves::Halves;
use crate::models::{Autoregressive, Model, PerImage};
use crate::nn::{Module, join};
use crate::ops::random;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// A Multi-Scale model: a chain of networks.
pub struct MultiScale {
    /// Sizes.
    pub config: MultiScaleConfig,
    /// The unconditional network, then the conditional ones.
    pub stages: Vec<PixelNet>,
}

/// Every `factor`-th pixel of x \[B, H, W, C\] in both directions, starting with the first:
/// \[B, H / factor, W / factor, C\]. Panics if x has another rank.
pub fn subsample<'t>(x: &Var<'t>, factor: usize) -> Var<'t> {
    let [batch, height, width, channels] = *x.shape() else {
        panic!("subsample: {:?} is not [B, H, W, C]", x.shape())
    };
    let (h, w) = (height / factor, width / factor);
    let rows = x.reshape(&[batch * h, factor, width * channels]).slice(1, 0, 1);
    let pixels = rows.reshape(&[batch * h * w, factor, channels]).slice(1, 0, 1);
    pixels.reshape(&[batch, h, w, channels])
}

/// Applies [`subsample`] to a mask \[H * W\] of given pixels.
fn subsample_mask(mask: &[bool], (height, width): (usize, usize), factor: usize) -> Vec<bool> {
    let rows = (0..height).step_by(factor);
    rows.flat_map(|r| (0..width).step_by(factor).map(move |c| mask[r * width + c])).collect()
}

impl MultiScale {
    /// A model with weights drawn from `seed`.
    pub fn new(device: &Device, config: MultiScaleConfig, seed: u64) -> MultiScale {
        let rng = &mut StdRng::seed_from_u64(seed);
        let sizes = config.stages();
        let conditions = std::iter::once(None).chain(
            config
                .factors
                .iter()
                .map(|&factor| Some(Condition { factor, channels: config.condition })),
        );
        let stages = sizes
            .iter()
            .zip(conditions)
            .map(|(size, condition)| PixelNet::new(device, config.body, *size, condition, rng))
            .collect();
        MultiScale { config, stages }
    }

    /// The images of every stage, the smallest first; x \[B, H, W, C\] is the last.
    pub fn pyramid<'t>(&self, x: &Var<'t>) -> Vec<Var<'t>> {
        let mut images = vec![x.clone()];
        for &factor in self.config.factors.iter().rev() {
            let smaller = subsample(images.last().expect("at least x"), factor);
            images.push(smaller);
        }
        images.reverse();
        images
    }

    /// -log p of every stage's image given the smaller one, nats \[B\] each.
    pub fn nlls<'t>(&self, x: &Var<'t>) -> Vec<Var<'t>> {
        self.nlls_of(0..self.stages.len(), x, None)
    }

    /// The same for some stages, with dropout if there is a `key`.
    fn nlls_of<'t>(
        &self,
        stages: impl Iterator<Item = usize>,
        x: &Var<'t>,
        key: Option<Key>,
    ) -> Vec<Var<'t>> {
        let images = self.pyramid(&x.reshape(&self.shape(x.shape()[0])));
        let nll = |k: usize| {
            let own = stream::DROPOUT + k as u32 * stream::DROPOUT_OF_A_STAGE;
            let key = key.map(|key| Key { stream: own, ..key });
            self.stages[k].nll_with(&images[k], (k > 0).then(|| &images[k - 1]), key)
        };
        stages.map(nll).collect()
    }

    fn shape(&self, rows: usize) -> [usize; 4] {
        self.last().images(rows)
    }

    fn last(&self) -> &PixelNet {
        self.stages.last().expect("at least two stages")
    }
}

/// Names of the stages' parts in evaluations.
const STAGES: [&str; 5] = ["stage 0", "stage 1", "stage 2", "stage 3", "stage 4"];

impl Module for MultiScale {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        for (i, net) in self.stages.iter().enumerate() {
            net.visit(&join(path, &format!("stages.{i}")), f);
        }
    }
}

impl Model for MultiScale {
    fn halves(&self) -> Option<Halves<'_>> {
        Some(super::halves())
    }

    fn loss<'t>(&self, x: &Var<'t>, _: &[Tensor], key: Key) -> Var<'t> {
        let trained = match self.config.stage {
            None => 0..self.stages.len(),
            Some(k) => k..k + 1,
        };
        let nlls = self.nlls_of(trained, x, Some(key));
        nlls.into_iter().reduce(|a, b| a.add(&b)).expect("a stage").mean()
    }

    fn evaluate(&self, x: &Tensor, _: Option<&Tensor>, _: Key) -> Result<Vec<PerImage>> {
        let tape = Tape::inference();
        let nlls = self.nlls(&tape.constant(x.clone()));
        let parts: Vec<Vec<f32>> =
            nlls.iter().map(|n| n.value().to_vec()).collect::<Result<_>>()?;
        let total = (0..x.shape()[0]).map(|i| parts.iter().map(|part| part[i]).sum()).collect();
        let mut all: Vec<PerImage> = vec![("bound".into(), total)];
        all.extend(STAGES.into_iter().map(Into::into).zip(parts));
        Ok(all)
    }

    fn temper(&self, temperature: f32) {
        self.stages.iter().for_each(|net| net.temper(temperature));
    }

    fn sample(&self, device: &Device, count: usize, key: Key) -> Result<Tensor> {
        self.draw(device, count, &[], None, key, &mut Watch::nobody())
    }

    fn autoregressive(&self) -> Option<&dyn Autoregressive> {
        Some(self)
    }
}

impl Autoregressive for MultiScale {
    fn draw(
        &self,
        device: &Device,
        count: usize,
        _: &[usize],
        known: Option<Known>,
        key: Key,
        watch: &mut Watch,
    ) -> Result<Tensor> {
        let tape = Tape::inference();
        // A pixel of a smaller image is given if it is given in the large image.
        let given = known.map(|known| {
            let images = tape.constant(known.images.reshape(&self.shape(count)));
            self.pyramid(&images)
        });
        let mut masks = vec![known.map_or(Vec::new(), |known| known.mask.to_vec())];
        let sizes = self.config.stages();
        for (k, &factor) in self.config.factors.iter().enumerate().rev() {
            let size = (sizes[k + 1].height, sizes[k + 1].width);
            let mask = masks.last().expect("the large one");
            let smaller =
                if mask.is_empty() { Vec::new() } else { subsample_mask(mask, size, factor) };
            masks.push(smaller);
        }
        masks.reverse();
        let total: usize = sizes.iter().map(|s| s.height * s.width).sum();
        let (mut before, mut image) = (0, None::<Tensor>);
        for (k, net) in self.stages.iter().enumerate() {
            let shape = net.images(count);
            let key = Key { stream: stream::SAMPLE + k as u32, ..key };
            let u = random::uniform_rows(device, key, [1, count, net.config.dims()]);
            let u = u.reshape(&shape);
            let known =
                given.as_ref().map(|images| Known { images: images[k].value(), mask: &masks[k] });
            let done = |pixels: usize, _: usize| (watch.progress)(before + pixels, total);
            let enlarge = self.config.net.height / shape[1];
            let film = watch.film.as_mut().map(|(every, film)| {
                let show = move |small: Vec<f32>| film(enlarged(&small, &shape, enlarge));
                ((*every / (enlarge * enlarge)).max(1), show)
            });
            let x = match film {
                None => {
                    let mut watch = Watch { progress: &done, film: None };
                    sampler::fill(net, known, &u, image.as_ref(), &mut watch)?
                }
                Some((every, mut show)) => {
                    let mut watch = Watch { progress: &done, film: Some((every, &mut show)) };
                    sampler::fill(net, known, &u, image.as_ref(), &mut watch)?
                }
            };
            before += shape[1] * shape[2];
            image = Some(x);
        }
        let image = image.expect("at least two stages");
        Ok(image.reshape(&[count, self.config.net.dims()]))
    }

    fn note_on_logits(&self) -> Option<&'static str> {
        Some("of the last stage, without what it sees through the small image")
    }

    /// Logits of the last stage, conditioned on the subsampled x (without a gradient through it).
    fn logits<'t>(&self, x: &Var<'t>) -> Var<'t> {
        let images = self.pyramid(&x.detach());
        self.last().forward(x, Some(&images[images.len() - 2]))
    }
}

/// Images \[B, H, W, C\] with every pixel enlarged to a square of `factor` x `factor`.
fn enlarged(
    images: &[f32],
    &[batch, height, width, channels]: &[usize; 4],
    factor: usize,
) -> Vec<f32> {
    let mut large = Vec::with_capacity(images.len() * factor * factor);
    for b in 0..batch {
        for r in 0..height * factor {
            for c in 0..width * factor {
                let pixel = (b * height + r / factor) * width + c / factor;
                large.extend_from_slice(&images[pixel * channels..][..channels]);
            }
        }
    }
    large
}
