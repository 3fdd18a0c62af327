//! Pictures of a network that reads and writes by glimpses: film strips and films.
//!
//! Gregor and others, arXiv 1502.04623, figures 1, 5 and 7: a row of canvases, one after each glimpse, each
//! with the rectangle that was written to (red); of images that are read, the rectangle that was looked at
//! (green). A rectangle passes through the centres of the outermost filters, the thicker the more they blur.
//! Without attention there are no rectangles.

use super::Shape;
use super::tile::{self, Colour, GREEN, RED, Tile};
use super::{film, sheet};
use crate::error::{Error, Result};
use crate::models::draw::{Frame, GlimpseWindow};
use crate::output::Output;

/// Images of a trace at most: all its canvases are in memory.
pub const MOST_IMAGES: usize = 100;

/// Glimpses of a strip at most.
const COLUMNS: usize = 12;
/// Numbers of a film's frames together, at most about as many (256 MiB).
const FILMED: usize = 1 << 26;
/// How long a film of all glimpses lasts, about, and how long its last frame is shown, milliseconds.
const LASTS: (usize, u16) = (4000, 3000);

/// What was done, image by image and glimpse by glimpse.
pub struct Glimpses<'a> {
    /// The glimpses, in order; not none.
    pub frames: &'a [Frame],
    /// The images' size.
    pub shape: Shape,
    /// The images that were read, \[count, H W C\]; none of images that were drawn from the model.
    pub read: Option<&'a [f32]>,
    /// \[count\], images to put a red frame around; may be empty.
    pub wrong: &'a [bool],
}

/// Which of `total` glimpses are shown if there is room for `most`: evenly chosen, always the last.
pub fn chosen(total: usize, most: usize) -> Vec<usize> {
    let count = total.min(most);
    (1..=count).map(|i| i * total / count - 1).collect()
}

impl Glimpses<'_> {
    /// Writes a strip (PNG): a row an image, a column a glimpse, of images that were read a row of these
    /// above the row of canvases. Fails as [`sheet::write_sheet`] does.
    pub fn write_strip(&self, out: &Output) -> Result<()> {
        let shown = chosen(self.frames.len(), COLUMNS);
        let mut tiles = Vec::new();
        for image in 0..self.count() {
            let columns: Vec<Vec<Tile>> =
                shown.iter().map(|&glimpse| self.tiles(image, glimpse, true)).collect();
            for part in 0..columns[0].len() {
                columns.iter().for_each(|column| tiles.extend_from_slice(&column[part].pixels));
            }
        }
        let count = tiles.len() / self.tile_numbers();
        sheet::write_sheet(out, &tiles, count, tile::size(self.shape), shown.len())
    }

    /// Writes a film (GIF) of all glimpses, of images that were read with these beside the canvases; a last
    /// frame without rectangles stays for a while. Fails as [`film::write_film`] does.
    pub fn write_film(&self, out: &Output) -> Result<()> {
        let (total, parts) = (self.frames.len(), self.tiles(0, 0, false).len());
        let numbers = self.count() * parts * self.tile_numbers();
        let shown = chosen(total, (FILMED / numbers).max(2));
        let frame = |glimpse: usize, attention: bool| -> Vec<f32> {
            let tiles = (0..self.count()).flat_map(|image| self.tiles(image, glimpse, attention));
            tiles.flat_map(|tile| tile.pixels).collect()
        };
        let mut frames: Vec<Vec<f32>> = shown.iter().map(|&glimpse| frame(glimpse, true)).collect();
        frames.push(frame(total - 1, false));
        // As wide as it is high, about.
        let count = self.count() * parts;
        let columns = parts * ((count as f64).sqrt() / parts as f64).ceil() as usize;
        let delay = (LASTS.0 / shown.len()).clamp(60, 400) as u16;
        film::write_film(out, &frames, count, tile::size(self.shape), columns, delay, LASTS.1)
    }

    /// What is shown of an image at a glimpse: what was read, what was written.
    fn tiles(&self, image: usize, glimpse: usize, attention: bool) -> Vec<Tile> {
        let (frame, dims) = (&self.frames[glimpse], self.dims());
        let of = |images: &[f32], windows: &Option<Vec<GlimpseWindow>>, colour: Colour| {
            let tile = Tile::new(&images[image * dims..(image + 1) * dims], self.shape);
            let tile = match windows {
                Some(windows) if attention => tile.rectangle(&windows[image], colour),
                _ => tile,
            };
            let wrong = self.wrong.get(image) == Some(&true);
            if wrong { tile.framed(RED) } else { tile }
        };
        let read = self.read.map(|images| of(images, &frame.read, GREEN));
        let written = (!frame.canvas.is_empty()).then(|| of(&frame.canvas, &frame.write, RED));
        read.into_iter().chain(written).collect()
    }

    fn count(&self) -> usize {
        self.read.map_or(self.frames[0].canvas.len(), <[f32]>::len) / self.dims()
    }

    fn dims(&self) -> usize {
        self.shape.0 * self.shape.1 * self.shape.2
    }

    fn tile_numbers(&self) -> usize {
        let (height, width, channels) = tile::size(self.shape);
        height * width * channels
    }
}

/// Rejects more images than a trace may have. Fails with [`Error::Config`].
pub fn check_count(count: usize) -> Result<()> {
    if count > MOST_IMAGES {
        return Err(Error::Config(format!(
            "the glimpses of {count} images; {MOST_IMAGES} may be shown, ask for fewer"
        )));
    }
    Ok(())
}
