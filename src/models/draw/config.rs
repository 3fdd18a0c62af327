//! Sizes of a DRAW model and of an attentive classifier, and the paper's settings.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::models::{indexable, kl, product};

/// Limit on every size.
const MOST: usize = 1 << 20;

/// Configuration of a [`super::Draw`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawConfig {
    /// Image height.
    pub height: usize,
    /// Image width.
    pub width: usize,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Number of glimpses T.
    pub glimpses: usize,
    /// Hidden size h of the encoder's and the decoder's LSTM.
    pub hidden: usize,
    /// Latent dimensions Z per glimpse.
    pub latent: usize,
    /// Whether to read and write with attention; otherwise each glimpse reads and writes the whole image.
    pub attention: bool,
    /// N of the read: with attention, it has N x N filters.
    pub read: usize,
    /// N of the write, with attention.
    pub write: usize,
    /// Whether c_0, h_enc_0 and h_dec_0 are learned; otherwise they are zeros.
    pub learned_states: bool,
    /// Weight of the KL divergence in the training loss; 1 for the bound. Scores are always of the bound.
    #[serde(default = "kl::one", skip_serializing_if = "kl::is_one")]
    pub beta: f32,
    /// Optimiser steps over which this weight rises linearly from 0.
    #[serde(default, skip_serializing_if = "kl::is_zero")]
    pub kl_warmup: u64,
}

/// Configuration of a [`super::Classifier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// Image height.
    pub height: usize,
    /// Image width.
    pub width: usize,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Number of classes.
    pub classes: usize,
    /// Number of glimpses T.
    pub glimpses: usize,
    /// Hidden size of the LSTM.
    pub hidden: usize,
    /// N: a glimpse has N x N filters.
    pub read: usize,
}

/// Rejects sizes that are 0 or exceed [`MOST`].
fn positive(sizes: &[(&str, usize)]) -> Result<()> {
    for &(name, value) in sizes {
        if value == 0 || value > MOST {
            return Err(Error::Config(format!(
                "model.{name} = {value}: it must lie between 1 and {MOST}"
            )));
        }
    }
    Ok(())
}

/// Numbers in a patch of N x N pixels.
fn patch(side: usize, channels: usize) -> usize {
    product(&[side, side, channels])
}

/// Rejects images that are neither grey nor RGB, or too large.
fn image(height: usize, width: usize, channels: usize) -> Result<()> {
    if !matches!(channels, 1 | 3) {
        return Err(Error::Config(format!(
            "model.channels = {channels}: images are grey (1) or RGB (3)"
        )));
    }
    indexable("an image", &[height, width, channels], "model.height or model.width")
}

impl DrawConfig {
    /// Numbers per image.
    pub fn dims(&self) -> usize {
        product(&[self.height, self.width, self.channels])
    }

    /// Numbers that a glimpse reads from x and the error image together.
    pub fn read_dims(&self) -> usize {
        let seen = if self.attention { patch(self.read, self.channels) } else { self.dims() };
        product(&[2, seen])
    }

    /// Numbers that a glimpse writes.
    pub fn write_dims(&self) -> usize {
        if self.attention { patch(self.write, self.channels) } else { self.dims() }
    }

    /// Elements per image of the largest tensor of one glimpse.
    pub fn glimpse_numbers(&self) -> usize {
        // With attention: the bank and the intermediate product of the read.
        let side = self.read.max(self.write);
        let bank = product(&[side, self.width.saturating_add(self.height)]);
        let between = product(&[2, side, self.width, self.channels]);
        let work = if self.attention { bank.saturating_add(between) } else { 0 };
        work.max(self.dims()).max(self.layer())
    }

    /// Width of the widest input or output of a layer.
    fn layer(&self) -> usize {
        let input = self.read_dims().saturating_add(product(&[2, self.hidden]));
        let gates = product(&[4, self.hidden]);
        input.max(gates).max(product(&[2, self.latent])).max(self.write_dims())
    }

    /// Elements per image of the largest tensor. The inputs or outputs of a layer at all glimpses count as one tensor,
    /// for the gradient of its weights.
    pub fn widest(&self) -> usize {
        self.glimpse_numbers().max(product(&[self.glimpses, self.layer()]))
    }

    /// Rejects invalid sizes. Fails with [`Error::Config`].
    pub fn check(&self) -> Result<()> {
        positive(&[
            ("height", self.height),
            ("width", self.width),
            ("channels", self.channels),
            ("glimpses", self.glimpses),
            ("hidden", self.hidden),
            ("latent", self.latent),
        ])?;
        if self.attention {
            positive(&[("read", self.read), ("write", self.write)])?;
        }
        kl::check(self.beta)?;
        image(self.height, self.width, self.channels)?;
        let gates = product(&[4, self.hidden]);
        let input = self.read_dims().saturating_add(product(&[2, self.hidden]));
        let (read, write) = match self.attention {
            true => ("model.hidden or model.read", "model.hidden or model.write"),
            false => ("model.hidden", "model.hidden"),
        };
        indexable("the encoder's weights", &[gates, input], read)?;
        let input = self.latent.saturating_add(self.hidden);
        indexable("the decoder's weights", &[gates, input], "model.hidden or model.latent")?;
        indexable("the write's weights", &[self.write_dims(), self.hidden], write)
    }

    /// Table 3, binarized MNIST: 64 glimpses, 256 units, 100 latent dimensions, reads of 2 x 2, writes
    /// of 5 x 5.
    pub fn mnist() -> DrawConfig {
        DrawConfig {
            height: 28,
            width: 28,
            channels: 1,
            glimpses: 64,
            hidden: 256,
            latent: 100,
            attention: true,
            read: 2,
            write: 5,
            learned_states: true,
            beta: 1.0,
            kl_warmup: 0,
        }
    }

    /// Table 3, house numbers: 54 x 54 crops, 32 glimpses, 800 units, reads and writes of 12 x 12 (quoted from
    /// memory).
    pub fn svhn() -> DrawConfig {
        DrawConfig {
            height: 54,
            width: 54,
            channels: 3,
            glimpses: 32,
            hidden: 800,
            read: 12,
            write: 12,
            ..DrawConfig::mnist()
        }
    }

    /// Table 3, CIFAR-10: 64 glimpses, 400 units, 200 latent dimensions, reads and writes of 5 x 5 (quoted from
    /// memory).
    pub fn cifar10() -> DrawConfig {
        DrawConfig {
            height: 32,
            width: 32,
            channels: 3,
            hidden: 400,
            latent: 200,
            read: 5,
            write: 5,
            ..DrawConfig::mnist()
        }
    }
}

impl ClassifierConfig {
    /// Numbers per image.
    pub fn dims(&self) -> usize {
        product(&[self.height, self.width, self.channels])
    }

    /// Elements per image of the largest tensor.
    pub fn widest(&self) -> usize {
        let filters = self.width.saturating_add(self.height);
        let between = product(&[self.width, self.channels]);
        let work = product(&[self.read, filters.saturating_add(between)]);
        let glimpse = self.input().max(product(&[4, self.hidden]));
        work.max(self.dims()).max(self.classes).max(product(&[self.glimpses, glimpse]))
    }

    /// Width of the LSTM's input at a glimpse, its previous state included.
    fn input(&self) -> usize {
        patch(self.read, self.channels).saturating_add(self.hidden)
    }

    /// Rejects invalid sizes. Fails with [`Error::Config`].
    pub fn check(&self) -> Result<()> {
        positive(&[
            ("height", self.height),
            ("width", self.width),
            ("channels", self.channels),
            ("classes", self.classes),
            ("glimpses", self.glimpses),
            ("hidden", self.hidden),
            ("read", self.read),
        ])?;
        image(self.height, self.width, self.channels)?;
        let class = "model.classes or model.hidden";
        indexable("the class's weights", &[self.classes, self.hidden], class)?;
        let lstm = "model.hidden or model.read";
        indexable("the LSTM's weights", &[product(&[4, self.hidden]), self.input()], lstm)
    }

    /// Table 3, 100 x 100 cluttered translated MNIST: 256 units, reads of 12 x 12. The paper has results for 4 and for
    /// 8 glimpses.
    pub fn cluttered(glimpses: usize) -> ClassifierConfig {
        ClassifierConfig {
            height: 100,
            width: 100,
            channels: 1,
            classes: 10,
            glimpses,
            hidden: 256,
            read: 12,
        }
    }
}
