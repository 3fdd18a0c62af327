//! Records where a network reads and what it writes, glimpse by glimpse, on the host, for pictures.

use crate::Tape;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Position and size of a grid of filters on an image, from its attention parameters (DRAW, equations 21 to 24).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlimpseWindow {
    /// Centre (gX, gY) in pixels, counted from 1.
    pub centre: [f32; 2],
    /// Distance between neighbouring filters in pixels.
    pub delta: f32,
    /// Standard deviation of a filter in pixels.
    pub sigma: f32,
    /// Intensity gamma.
    pub gamma: f32,
    /// N, the number of filters per side.
    pub filters: usize,
}

/// All images of a batch after one glimpse.
pub struct Frame {
    /// sigmoid(c_t), \[B, H W C\]; empty if the network does not write.
    pub canvas: Vec<f32>,
    /// Where the network read each image; `None` without attention, or if images are generated.
    pub read: Option<Vec<GlimpseWindow>>,
    /// Where the network wrote to each canvas; `None` without attention.
    pub write: Option<Vec<GlimpseWindow>>,
}

/// The glimpses, in order.
pub struct Trace {
    /// One frame per glimpse.
    pub frames: Vec<Frame>,
    read: usize,
    write: usize,
    size: (usize, usize),
    /// The first error of a download.
    failed: Option<Error>,
}

impl GlimpseWindow {
    /// From g~X, g~Y, log sigma^2, log delta~, log gamma, on an image of this height and width.
    pub fn new(p: &[f32], filters: usize, (height, width): (usize, usize)) -> GlimpseWindow {
        let apart = (height.max(width) as f32 - 1.0) / (filters.max(2) as f32 - 1.0);
        GlimpseWindow {
            centre: [
                (width as f32 + 1.0) / 2.0 * (p[0] + 1.0),
                (height as f32 + 1.0) / 2.0 * (p[1] + 1.0),
            ],
            sigma: (0.5 * p[2]).exp(),
            delta: apart * p[3].exp(),
            gamma: p[4].exp(),
            filters,
        }
    }

    /// Left, top, right and bottom of the outermost filters' centres, in pixels counted from 1.
    pub fn corners(&self) -> [f32; 4] {
        let half = 0.5 * (self.filters as f32 - 1.0) * self.delta;
        let [x, y] = self.centre;
        [x - half, y - half, x + half, y + half]
    }
}

impl Trace {
    /// An empty trace, given N of the reads and of the writes, and the (height, width) of the images.
    pub(super) fn new((read, write): (usize, usize), size: (usize, usize)) -> Trace {
        Trace { frames: Vec::new(), read, write, size, failed: None }
    }

    /// Adds a glimpse, given the canvas (logits \[B, H, W, C\]) and the attention parameters \[B, 5\].
    pub(super) fn push(&mut self, canvas: &Tensor, read: Option<&Tensor>, write: Option<&Tensor>) {
        let tape = Tape::inference();
        let canvas = tape.constant(canvas.clone()).sigmoid().value().to_vec();
        self.add(canvas, read, write);
    }

    /// Adds a glimpse that only reads.
    pub(super) fn push_read(&mut self, read: &Tensor) {
        self.add(Ok(Vec::new()), Some(read), None);
    }

    fn add(&mut self, canvas: Result<Vec<f32>>, read: Option<&Tensor>, write: Option<&Tensor>) {
        let windows = |p, filters| self.windows(p, filters);
        let frame = canvas.and_then(|canvas| {
            let (read, write) = (windows(read, self.read)?, windows(write, self.write)?);
            Ok(Frame { canvas, read, write })
        });
        match frame {
            Ok(frame) => self.frames.push(frame),
            Err(e) => _ = self.failed.get_or_insert(e),
        }
    }

    /// The trace, or the first error of a download.
    pub(super) fn finish(self) -> Result<Trace> {
        match self.failed {
            Some(e) => Err(e),
            None => Ok(self),
        }
    }

    fn windows(&self, p: Option<&Tensor>, filters: usize) -> Result<Option<Vec<GlimpseWindow>>> {
        let of = |p: Vec<f32>| {
            p.chunks_exact(5).map(|p| GlimpseWindow::new(p, filters, self.size)).collect()
        };
        p.map(|p| p.to_vec().map(of)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_grid_reaches_the_first_and_the_last_pixel() {
        let window = |filters| GlimpseWindow::new(&[0.0; 5], filters, (28, 20));
        assert_eq!(window(5).corners(), [10.5 - 13.5, 1.0, 10.5 + 13.5, 28.0]);
        assert_eq!(window(1).corners(), [10.5, 14.5, 10.5, 14.5]);
        let w =
            GlimpseWindow::new(&[1.0, -1.0, 2.0_f32.ln() * 2.0, 0.0, 3.0_f32.ln()], 2, (28, 28));
        assert!((w.sigma - 2.0).abs() < 1e-6 && (w.gamma - 3.0).abs() < 1e-6);
        assert_eq!((w.centre, w.delta), ([29.0, 0.0], 27.0));
    }
}
