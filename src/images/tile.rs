//! An enlarged image in colour, with rectangles of attention and a frame drawn on it.
//!
//! Attention coordinates count pixels from 1, with integers at their centres, so the centre of pixel a of an image that
//! is enlarged f times is at (a - 1/2) f.

use super::Shape;
use crate::models::draw::GlimpseWindow;

/// Red, green, blue in \[0, 1\].
pub type Colour = [f32; 3];

/// Colour of the area that a network writes to, and of wrong results.
pub const RED: Colour = [0.90, 0.16, 0.14];
/// Colour of the area that a network reads.
pub const GREEN: Colour = [0.10, 0.75, 0.25];
/// Colour of the frames of training images.
pub const BLUE: Colour = [0.20, 0.50, 0.95];

/// Approximate longer side of a tile in pixels.
const SIDE: usize = 120;
/// Largest enlargement.
const MOST: usize = 8;
/// Width of a frame in pixels.
const FRAME: usize = 3;

/// An enlarged image in RGB.
#[derive(Clone, Debug)]
pub struct Tile {
    /// \[height, width, 3\].
    pub pixels: Vec<f32>,
    height: usize,
    width: usize,
    factor: usize,
}

/// The integer factor by which images of H rows and W columns are enlarged.
pub fn factor(height: usize, width: usize) -> usize {
    (SIDE / height.max(width)).clamp(1, MOST)
}

/// Rows, columns and channels of a tile of such an image.
pub fn size((height, width, _): Shape) -> Shape {
    let factor = factor(height, width);
    (factor * height, factor * width, 3)
}

impl Tile {
    /// Enlarges an image \[H, W, C\]; grey becomes RGB.
    pub fn new(image: &[f32], shape: Shape) -> Tile {
        let (rows, columns, channels) = shape;
        let (height, width, _) = size(shape);
        let factor = factor(rows, columns);
        let mut pixels = Vec::with_capacity(height * width * 3);
        for (y, x) in (0..height * width).map(|at| (at / width, at % width)) {
            let from = (y / factor * columns + x / factor) * channels;
            pixels.extend((0..3).map(|c| image[from + c.min(channels - 1)]));
        }
        Tile { pixels, height, width, factor }
    }

    /// Draws the rectangle through the centres of a window's outermost filters, clipped to the tile. Its line is sigma
    /// / 2 wide, but at least a pixel and at most an eighth of the tile.
    pub fn rectangle(self, window: &GlimpseWindow, colour: Colour) -> Tile {
        let factor = self.factor as f32;
        let [left, top, right, bottom] = window.corners().map(|a| (a - 0.5) * factor);
        let most = self.height.min(self.width) as f32 / 8.0;
        let half = 0.5 * (0.5 * window.sigma * factor).clamp(1.0, most.max(1.0));
        // Half the width and height, at least half a pixel.
        let (across, down) = ((0.5 * (right - left)).max(0.5), (0.5 * (bottom - top)).max(0.5));
        let (x, y) = (0.5 * (left + right), 0.5 * (top + bottom));
        self.paint(colour, |row, column| {
            let (dx, dy) = ((column as f32 + 0.5 - x).abs(), (row as f32 + 0.5 - y).abs());
            let outside = (dx - across).max(dy - down);
            -half <= outside && outside < half
        })
    }

    /// Draws a frame along the edge.
    pub fn framed(self, colour: Colour) -> Tile {
        let (height, width) = (self.height, self.width);
        self.paint(colour, |row, column| {
            row.min(height - 1 - row).min(column.min(width - 1 - column)) < FRAME
        })
    }

    fn paint(mut self, colour: Colour, inked: impl Fn(usize, usize) -> bool) -> Tile {
        let width = self.width;
        for (at, pixel) in self.pixels.chunks_exact_mut(3).enumerate() {
            if inked(at / width, at % width) {
                pixel.copy_from_slice(&colour);
            }
        }
        self
    }
}
