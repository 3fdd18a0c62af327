//! Images of one size in memory as bytes, with selection and quantization.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::scene::Scene;
use crate::rng::{Key, stream};

/// Images of one split.
#[derive(Clone, Debug)]
pub struct Images {
    /// The stored pixels, [count, height, width, channels], image after image, rows from the top. For scenes, [count,
    /// scene.height, scene.width, channels] in 256 levels.
    pub pixels: Arc<[u8]>,
    /// \[count\], if the set has labels.
    pub labels: Option<Vec<u8>>,
    /// Number of images.
    pub count: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1 for grey and binary, 3 for colour.
    pub channels: usize,
    /// The byte that means 1.0: 255 for grey and colour, 1 for binary, levels - 1 for quantised images.
    pub max: u8,
    /// How images are composed of stored ones, if they are not stored themselves.
    pub scene: Option<Scene>,
}

impl Images {
    /// Values of one image: height * width * channels.
    pub fn dims(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values of one stored image.
    fn stored(&self) -> usize {
        self.scene.map_or(self.dims(), |scene| scene.height * scene.width * self.channels)
    }

    /// Pixels of stored image `i`, [height, width, channels]; for scenes in the size given by `scene`. Panics if there
    /// is no such image.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.stored()..(i + 1) * self.stored()]
    }

    /// Pixels of image `i` as a model sees it, [height, width, channels] in 0..=max, before they are converted to
    /// numbers: a pure function of (seed, epoch, i). A stored image does not depend on the seed. Panics if there is no
    /// such image.
    pub fn view(&self, i: usize, seed: u64, epoch: u32) -> Cow<'_, [u8]> {
        let Some(scene) = self.scene else { return Cow::Borrowed(self.image(i)) };
        let mut pixels = vec![0; self.dims()];
        scene.compose(self, Key::new(seed, stream::SCENE, epoch), i, &mut pixels);
        if self.max < 255 {
            let levels = usize::from(self.max) + 1;
            pixels.iter_mut().for_each(|v| *v = level(*v, levels));
        }
        Cow::Owned(pixels)
    }

    /// A copy of the images `range` with their labels; scenes are composed of these images only. Panics if the range is
    /// not within 0..count.
    pub fn slice(&self, range: Range<usize>) -> Images {
        Images {
            pixels: self.pixels[range.start * self.stored()..range.end * self.stored()].into(),
            labels: self.labels.as_ref().map(|labels| labels[range.clone()].to_vec()),
            count: range.len(),
            ..*self
        }
    }

    /// A copy of the images `indices`, in this order, with their labels; scenes are composed of these images only.
    /// Panics if an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Images {
        Images {
            pixels: indices.iter().flat_map(|&i| self.image(i)).copied().collect(),
            labels: self.labels.as_ref().map(|l| indices.iter().map(|&i| l[i]).collect()),
            count: indices.len(),
            ..*self
        }
    }

    /// The images with `levels` levels instead of 256: the byte v becomes floor(v * levels / 256), so the largest is
    /// levels - 1. The pixels are shared with `self` if there are 256 levels, and for scenes, which are quantised after
    /// they are composed.
    ///
    /// Panics unless the images have 256 levels and `levels` lies in 2..=256.
    pub fn quantized(&self, levels: usize) -> Images {
        assert!(self.max == 255, "images of {} levels, not 256", usize::from(self.max) + 1);
        assert!((2..=256).contains(&levels), "{levels} levels, expected 2 to 256");
        let pixels = if levels == 256 || self.scene.is_some() {
            self.pixels.clone()
        } else {
            self.pixels.iter().map(|&v| level(v, levels)).collect()
        };
        Images { pixels, labels: self.labels.clone(), max: (levels - 1) as u8, ..*self }
    }
}

/// Quantises a byte to `levels` levels.
fn level(v: u8, levels: usize) -> u8 {
    (usize::from(v) * levels / 256) as u8
}
