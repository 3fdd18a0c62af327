//! Scenes: images that are composed of stored ones when a batch is filled, so that they take no memory and are
//! different in every epoch.
//! - two digits: two digits at random positions in a black 60 x 60 image (Gregor and others, DRAW,
//!   arXiv 1502.04623)
//! - a digit in clutter: eight pieces of 8 x 8 from other digits, and a whole digit, each at a random position in a
//!   black 100 x 100 image (Mnih and others, "Recurrent Models of Visual Attention", arXiv 1406.6247; sizes and numbers
//!   as in google-deepmind/mnist-cluttered, its authors' generator)
//! - a crop: a random part of the stored image All parts lie completely inside the image. Where parts overlap,
//!   intensities are added and clipped at full intensity, as in that generator. Image i uses stored image i as its
//!   first digit, its whole digit, or the image to crop, so its label, if it has one, is the same in every epoch.
//!   Everything else is random: draw k of image i is word w = 64 i + k of (seed, SCENE, epoch) and picks possibility
//!   floor(w n / 2^32) of n. The draws are, in this order: for two digits, the other digit, and top and left of both;
//!   for clutter, for each piece the digit, top and left in it, and top and left in the image, then top and left of the
//!   whole digit; for a crop, top and left. "Other" digits are all stored digits except image i.

use super::Images;
use crate::rng::Key;

/// Number of draws reserved for an image.
const DRAWS: u64 = 64;

/// Number of pieces of other digits in a cluttered image.
const PIECES: usize = 8;

/// Side of a piece in pixels.
const PIECE: usize = 8;

/// How the images of a set are composed of stored images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The kind of composition.
    pub kind: SceneKind,
    /// Rows of a stored image.
    pub height: usize,
    /// Columns of a stored image.
    pub width: usize,
}

/// The kinds of composition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SceneKind {
    /// Two grey images at random positions.
    Two,
    /// One grey image at a random position, among pieces of others.
    Cluttered,
    /// A part of one image.
    Crop,
}

impl Scene {
    /// Composes image `i` of `images`, whose scene this is, in `out` ([height, width, channels], zeros).
    pub(super) fn compose(&self, images: &Images, key: Key, i: usize, out: &mut [u8]) {
        let (height, width) = (images.height, images.width);
        let mut draws = Draws { key, next: DRAWS * i as u64 };
        match self.kind {
            SceneKind::Two => {
                let other = draws.other(i, images.count);
                for digit in [i, other] {
                    let at = draws.place(height - self.height, width - self.width);
                    let part = Part { top: 0, left: 0, height: self.height, width: self.width };
                    self.add(images.image(digit), part, out, width, at);
                }
            }
            SceneKind::Cluttered => {
                for _ in 0..PIECES {
                    let digit = draws.other(i, images.count);
                    let (top, left) = draws.place(self.height - PIECE, self.width - PIECE);
                    let at = draws.place(height - PIECE, width - PIECE);
                    let part = Part { top, left, height: PIECE, width: PIECE };
                    self.add(images.image(digit), part, out, width, at);
                }
                let at = draws.place(height - self.height, width - self.width);
                let part = Part { top: 0, left: 0, height: self.height, width: self.width };
                self.add(images.image(i), part, out, width, at);
            }
            SceneKind::Crop => {
                let (top, left) = draws.place(self.height - height, self.width - width);
                let stored = images.image(i);
                let row = width * images.channels;
                for (y, out) in out.chunks_exact_mut(row).enumerate() {
                    let start = ((top + y) * self.width + left) * images.channels;
                    out.copy_from_slice(&stored[start..start + row]);
                }
            }
        }
    }

    /// Adds a part of a grey stored image to a canvas of `width` columns, with its corner at `at`.
    fn add(&self, stored: &[u8], part: Part, canvas: &mut [u8], width: usize, at: (usize, usize)) {
        for y in 0..part.height {
            let from = (part.top + y) * self.width + part.left;
            let to = (at.0 + y) * width + at.1;
            let row = &stored[from..from + part.width];
            for (sum, &v) in canvas[to..to + part.width].iter_mut().zip(row) {
                *sum = sum.saturating_add(v);
            }
        }
    }
}

/// A rectangle of a stored image.
struct Part {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

/// The draws of one image, one after the other.
struct Draws {
    key: Key,
    next: u64,
}

impl Draws {
    /// A number in 0..n.
    fn below(&mut self, n: usize) -> usize {
        let word = self.key.word(self.next);
        self.next += 1;
        ((u64::from(word) * n as u64) >> 32) as usize
    }

    /// A random row and column, each from 0 to its given maximum, inclusive.
    fn place(&mut self, top: usize, left: usize) -> (usize, usize) {
        (self.below(top + 1), self.below(left + 1))
    }

    /// A random one of `count` images other than `i`, unless there is no other.
    fn other(&mut self, i: usize, count: usize) -> usize {
        (i + 1 + self.below((count - 1).max(1))) % count
    }
}
