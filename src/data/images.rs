//! Images of one size in memory, as bytes: choosing some of them, taking fewer levels.

use std::ops::Range;
use std::sync::Arc;

/// Images of one split.
#[derive(Clone, Debug)]
pub struct Images {
    /// [count, height, width, channels], image after image, rows from the top.
    pub pixels: Arc<[u8]>,
    /// \[count\], where the set has labels.
    pub labels: Option<Vec<u8>>,
    /// Number of images.
    pub count: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1 for grey and binary, 3 for colour.
    pub channels: usize,
    /// The byte that stands for 1.0: 255 for grey and colour, 1 for binary, levels - 1 for quantised.
    pub max: u8,
}

impl Images {
    /// Values of one image: height * width * channels.
    pub fn dims(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Pixels of image `i`, [height, width, channels]. Panics if there is no such image.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.dims()..(i + 1) * self.dims()]
    }

    /// A copy of the images `range`, with their labels. Panics if the range leaves 0..count.
    pub fn slice(&self, range: Range<usize>) -> Images {
        Images {
            pixels: self.pixels[range.start * self.dims()..range.end * self.dims()].into(),
            labels: self.labels.as_ref().map(|labels| labels[range.clone()].to_vec()),
            count: range.len(),
            ..*self
        }
    }

    /// A copy of the images `indices`, in this order, with their labels. Panics if one is missing.
    pub fn select(&self, indices: &[usize]) -> Images {
        Images {
            pixels: indices.iter().flat_map(|&i| self.image(i)).copied().collect(),
            labels: self.labels.as_ref().map(|l| indices.iter().map(|&i| l[i]).collect()),
            count: indices.len(),
            ..*self
        }
    }

    /// The images with `levels` levels instead of 256: the byte v becomes floor(v * levels / 256), the
    /// largest is levels - 1. With 256 levels the pixels are shared.
    ///
    /// Panics unless the images have 256 levels and `levels` lies in 2..=256.
    pub fn quantized(&self, levels: usize) -> Images {
        assert!(self.max == 255, "images of {} levels, not 256", usize::from(self.max) + 1);
        assert!((2..=256).contains(&levels), "{levels} levels; there can be 2 to 256");
        if levels == 256 {
            return self.clone();
        }
        let level = |&v: &u8| (usize::from(v) * levels / 256) as u8;
        Images {
            pixels: self.pixels.iter().map(level).collect(),
            labels: self.labels.clone(),
            max: (levels - 1) as u8,
            ..*self
        }
    }
}
