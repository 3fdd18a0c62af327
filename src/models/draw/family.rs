//! DRAW and its classifier as a [`Family`], and their abilities.

use super::{Classifier, ClassifierConfig, Draw, DrawConfig, Trace};
use crate::device::Device;
use crate::error::Result;
use crate::models::Model;
use crate::models::abilities::{Draws, Reads, Reconstructs};
use crate::models::family::{Family, PLAUSIBLE_BOUND, Products, Shape};
use crate::rng::Key;
use crate::tensor::Tensor;

impl Family for DrawConfig {
    fn noun(&self) -> &'static str {
        "draw"
    }

    fn check(&self) -> Result<()> {
        DrawConfig::check(self)
    }

    fn make(&self, device: &Device, seed: u64) -> Box<dyn Model> {
        Box::new(Draw::new(device, *self, seed))
    }

    fn shape(&self) -> Shape {
        (self.height, self.width, self.channels)
    }

    fn set_shape(&mut self, shape: Shape) -> Result<()> {
        (self.height, self.width, self.channels) = shape;
        Ok(())
    }

    fn widest(&self) -> usize {
        DrawConfig::widest(self)
    }

    fn products(&self) -> Products {
        let (hidden, latent, dims) = (self.hidden, self.latent, self.dims());
        let gates = 4 * hidden;
        let decoder = (latent + hidden) * gates + hidden * self.write_dims();
        let encoder = 2 * hidden * gates + 2 * hidden * latent;
        let attended = |n, images| attended(n, images, hidden, self.shape());
        let glimpses = self.glimpses;
        if self.attention {
            let write = decoder + attended(self.write, 1);
            let read = encoder + self.read_dims() * gates + attended(self.read, 2);
            return Products {
                all: glimpses * (read + write),
                first: 0,
                drawing: glimpses * write,
            };
        }
        // The image's contribution to the gates is the same at every glimpse, so it is computed once.
        let first = dims * gates;
        let glimpse = encoder + dims * gates + decoder;
        Products { all: first + glimpses * glimpse, first, drawing: glimpses * decoder }
    }

    fn kl_warmup(&self) -> Option<u64> {
        (self.kl_warmup > 0).then_some(self.kl_warmup)
    }

    fn plausible(&self) -> Option<(&'static str, f64)> {
        Some(("a bound", PLAUSIBLE_BOUND))
    }

    fn caveat(&self, grey: bool) -> Option<&'static str> {
        grey.then_some(
            "intensities are taken as Bernoulli probabilities, as in the paper: the bound is no \
             code length",
        )
    }
}

/// Multiply-adds of reading `images` images through N x N filters, or of writing one: the attention parameters, then
/// t = F_Y image and t F_X^T, or the reverse.
fn attended(n: usize, images: usize, hidden: usize, (height, width, channels): Shape) -> usize {
    5 * hidden + n * width * channels * images * (height + n)
}

impl Family for ClassifierConfig {
    fn noun(&self) -> &'static str {
        "classifier"
    }

    fn check(&self) -> Result<()> {
        ClassifierConfig::check(self)
    }

    fn make(&self, device: &Device, seed: u64) -> Box<dyn Model> {
        Box::new(Classifier::new(device, *self, seed))
    }

    fn shape(&self) -> Shape {
        (self.height, self.width, self.channels)
    }

    fn set_shape(&mut self, shape: Shape) -> Result<()> {
        (self.height, self.width, self.channels) = shape;
        Ok(())
    }

    fn widest(&self) -> usize {
        ClassifierConfig::widest(self)
    }

    fn products(&self) -> Products {
        let (hidden, patch) = (self.hidden, self.read * self.read * self.channels);
        let lstm = (patch + hidden) * 4 * hidden;
        let glimpse = lstm + attended(self.read, 1, hidden, self.shape());
        Products { all: self.glimpses * glimpse + hidden * self.classes, first: 0, drawing: 0 }
    }

    /// `None`: its scores are likelihoods of classes, not of images.
    fn plausible(&self) -> Option<(&'static str, f64)> {
        None
    }

    fn classes(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn draws(&self) -> bool {
        false
    }
}

impl Draws for Draw {
    fn imagine(&self, device: &Device, count: usize, key: Key) -> Result<Trace> {
        Draw::imagine(self, device, count, key)
    }
}

impl Reads for Draw {
    fn read(&self, x: &Tensor, key: Key) -> Result<(Trace, Option<Vec<usize>>)> {
        Ok((self.reconstruct(x, key)?, None))
    }
}

impl Reconstructs for Draw {
    fn reconstruction(&self, x: &Tensor, key: Key) -> Result<Vec<f32>> {
        let mut frames = self.reconstruct(x, key)?.frames;
        Ok(frames.pop().map_or(Vec::new(), |last| last.canvas))
    }
}

impl Reads for Classifier {
    fn read(&self, x: &Tensor, _: Key) -> Result<(Trace, Option<Vec<usize>>)> {
        let (trace, classes) = self.look(x)?;
        Ok((trace, Some(classes)))
    }
}
