//! Data sets: images of a training, validation and test split, and batches of them as numbers. Pixels stay bytes until
//! a batch is filled, and scenes are composed only then ([`scene`]). How a grey pixel v in 0..=max becomes a number x
//! is a named mode ([`Binarization`]), because likelihoods under different modes cannot be compared:
//!
//! - grey:      x = v / max
//! - fixed: x = v / max, for a set whose bits were sampled once and published
//! - dynamic: x ~ Bernoulli(v / max), sampled again in every epoch (Salakhutdinov & Murray 2008)
//! - threshold: x = 1 if v / max > 1/2, else 0
//!
//! Shapes: N images, H rows, W columns, C channels; dims D = H * W * C; a batch is [rows, D].

pub mod amat;
pub mod bits;
pub mod cifar;
pub mod digit_struct;
pub mod digits;
pub(crate) mod files;
pub(crate) mod fingerprint;
mod folder;
pub mod gz;
pub mod idx;
mod images;
mod loader;
pub mod mat5;
mod mnist_valid;
mod own_idx;
pub mod part;
pub mod picture;
mod published;
pub mod resize;
pub mod scene;
mod sets;
mod split;
pub mod svhn;
pub mod svhn_archive;
pub mod svhn_cropped;

use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::rng::{self, Distribution, Key, fill_from};

pub use fingerprint::{Fingerprint, SplitPrint};
pub use images::Images;
pub use loader::{Batch, Loader};
pub use part::Part;
pub(crate) use sets::firsts;
pub use sets::{Outline, files_of, first, is_own, names, open, open_with, outline};

/// The seed with which validation and test images are composed and binarized, at epoch 0, so that all evaluations, also
/// of runs with different seeds, use the same bits.
pub const EVALUATION_SEED: u64 = 0x6576_616c;

/// Receives messages about slow or repeated work while a data set is opened.
pub type Tell<'a> = &'a dyn Fn(&str);

/// How pixels become the numbers a model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binarization {
    /// Grey levels in [0, 1].
    Grey,
    /// Bits sampled once by the authors of the set.
    Fixed,
    /// Bits sampled from the grey levels, again in every epoch.
    Dynamic,
    /// 1 above half intensity, else 0.
    Threshold,
}

impl fmt::Display for Binarization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Binarization::Grey => "grey",
            Binarization::Fixed => "fixed",
            Binarization::Dynamic => "dynamic",
            Binarization::Threshold => "threshold",
        })
    }
}

impl FromStr for Binarization {
    type Err = Error;

    fn from_str(text: &str) -> Result<Binarization> {
        use Binarization::{Dynamic, Fixed, Grey, Threshold};
        let modes = [Grey, Fixed, Dynamic, Threshold];
        modes.into_iter().find(|mode| mode.to_string() == text).ok_or_else(|| {
            Error::Config(format!(
                "unknown binarization \"{text}\"; expected grey, fixed, dynamic or threshold; to see the \
                 default of a data set: pixelloom data NAME"
            ))
        })
    }
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For learning.
    Train,
    /// For choosing settings and checkpoints.
    Valid,
    /// For the score that is reported.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        })
    }
}

/// How the user's own images are read, apart from their binarization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageOptions {
    /// Crops each image of a folder to its largest central square and resizes it to this number of rows and columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Exchanges rows and columns of IDX files, as EMNIST needs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub transpose: bool,
}

/// The largest [`ImageOptions::size`].
const LARGEST: usize = 4096;

impl ImageOptions {
    /// Whether images are read as they are stored.
    pub fn is_default(&self) -> bool {
        *self == ImageOptions::default()
    }

    /// Fails with [`Error::Config`] on a size of 0 or above the limit.
    pub fn check(&self) -> Result<()> {
        match self.size {
            Some(size) if size == 0 || size > LARGEST => Err(Error::Config(format!(
                "data.size = {size}: it must lie between 1 and {LARGEST}"
            ))),
            _ => Ok(()),
        }
    }
}

/// A data set in memory.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// The name by which [`open`] finds it.
    pub name: String,
    /// How its pixels become numbers.
    pub binarization: Binarization,
    /// Names of the classes in the order of the labels; empty if there are no labels or no names.
    pub classes: Vec<String>,
    /// Images for learning.
    pub train: Images,
    /// Images for choosing settings and checkpoints.
    pub valid: Images,
    /// Images for the score that is reported.
    pub test: Images,
}

impl DataSet {
    /// The images of a split.
    pub fn split(&self, split: Split) -> &Images {
        match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        }
    }

    /// The set with `levels` levels instead of 256, see [`Images::quantized`]. A set that is binarized,
    /// or has other than 256 levels already, stays as it is.
    ///
    /// Panics unless `levels` lies in 2..=256.
    pub fn quantized(self, levels: usize) -> DataSet {
        assert!((2..=256).contains(&levels), "{levels} levels; there can be 2 to 256");
        if self.binarization != Binarization::Grey || self.train.max != 255 {
            return self;
        }
        let [train, valid, test] =
            [&self.train, &self.valid, &self.test].map(|images| images.quantized(levels));
        DataSet { train, valid, test, ..self }
    }

    /// A description to accompany a score, for example `digits (embedded MNIST subset), test split,
    /// 1,000 images, dynamic binarization` or `cifar10 (CIFAR-10), test split, 10,000 images, 256
    /// levels`.
    pub fn describe(&self, split: Split) -> String {
        self.describe_part(split, self.split(split).count)
    }

    /// Like [`DataSet::describe`], for `count` images of the split, for example `digits (embedded
    /// MNIST subset), train split, 1,000 of the 4,500 images, dynamic binarization`.
    pub fn describe_part(&self, split: Split, count: usize) -> String {
        let (title, images) = (sets::title(&self.name), self.split(split));
        let part =
            if count < images.count { format!("{} of the ", thousands(count)) } else { "".into() };
        // Name the levels: likelihoods under different numbers of levels cannot be compared either.
        let levels = usize::from(images.max) + 1;
        let mode = match self.binarization {
            Binarization::Grey if images.channels == 1 => format!("grey levels ({levels})"),
            Binarization::Grey => format!("{levels} levels"),
            mode => format!("{mode} binarization"),
        };
        format!("{title}, {split} split, {part}{} images, {mode}", thousands(images.count))
    }
}

/// Fills `out` ([rows, D]) with the images `indices`, as numbers in [0, 1] according to `mode`.
///
/// Under [`Binarization::Dynamic`] value d of image i is 1 where the uniform number i * D + d of (seed, BINARIZE,
/// epoch) is below its intensity: it depends on the image and the epoch, never on the batch. The same holds for the
/// composition of a [`scene`]. Evaluation uses [`EVALUATION_SEED`] and epoch 0.
///
/// Panics if `out` has another size than [indices.len(), D] or an index is out of range.
pub fn fill_batch(
    images: &Images,
    mode: Binarization,
    seed: u64,
    epoch: u32,
    indices: &[usize],
    out: &mut [f32],
) {
    let dims = images.dims();
    assert_eq!(out.len(), indices.len() * dims, "a batch of {} x {dims} values", indices.len());
    let max = f32::from(images.max);
    let key = Key::new(seed, rng::stream::BINARIZE, epoch);
    let fill = |row: &mut [f32], i: usize| {
        let pixels = images.view(i, seed, epoch);
        let levels = pixels.iter().map(|&v| f32::from(v) / max);
        match mode {
            Binarization::Grey | Binarization::Fixed => {
                row.iter_mut().zip(levels).for_each(|(x, level)| *x = level);
            }
            Binarization::Threshold => {
                row.iter_mut().zip(levels).for_each(|(x, level)| *x = f32::from(level > 0.5));
            }
            Binarization::Dynamic => {
                fill_from(key, Distribution::Uniform, (i * dims) as u64, row);
                for (x, level) in row.iter_mut().zip(levels) {
                    *x = f32::from(*x < level);
                }
            }
        }
    };
    if out.len() < PARALLEL {
        out.chunks_exact_mut(dims).zip(indices).for_each(|(row, &i)| fill(row, i));
    } else {
        out.par_chunks_exact_mut(dims).zip(indices).for_each(|(row, &i)| fill(row, i));
    }
}

/// Number of values from which a batch is filled by all threads, image by image.
const PARALLEL: usize = 1 << 14;

/// The numbers 0..count in a random order that is a pure function of `key`: sorted by their Philox words, so that it
/// does not depend on the version of a library.
pub fn shuffled(count: usize, key: Key) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|&i| (key.word(i as u64), i));
    order
}

/// 1234567 as "1,234,567".
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 12, 999, 1000, 60_000, 1_234_567].map(thousands);
        assert_eq!(texts, ["0", "12", "999", "1,000", "60,000", "1,234,567"]);
    }
}
