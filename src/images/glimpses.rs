//! Pictures of a network that reads and writes by glimpses: film strips and films. As in Gregor and others, arXiv
//! 1502.04623, Figures 1, 5 and 7: a row of canvases, one after each glimpse, with the rectangle that was written to in
//! red, and above it the images with the rectangle that was read in green. A rectangle passes through the centres of
//! the outermost filters; the more they blur, the thicker it is. Without attention there are no rectangles.

use super::Shape;
use super::tile::{self, Colour, GREEN, RED, Tile};
use super::{film, sheet};
use crate::error::{Error, Result};
use crate::models::draw::{Frame, GlimpseWindow};
use crate::output::Output;

/// Maximum number of images, because all canvases are kept in memory.
pub const MOST_IMAGES: usize = 100;

/// Maximum number of glimpses on a strip.
const COLUMNS: usize = 12;
/// Approximate maximum of values in all frames of a film (256 MiB).
const FILMED: usize = 1 << 26;
/// Approximate duration of a film, and duration of its last frame, in milliseconds.
const LASTS: (usize, u16) = (4000, 3000);

/// The trace of a network over its glimpses.
pub struct Glimpses<'a> {
    /// The glimpses in order; at least one.
    pub frames: &'a [Frame],
    /// The images' size.
    pub shape: Shape,
    /// The images that were read, \[count, H W C\]; `None` for images that were sampled from the model.
    pub read: Option<&'a [f32]>,
    /// \[count\], which images get a red frame; may be empty.
    pub wrong: &'a [bool],
}

/// Indices of at most `most` evenly spaced glimpses out of `total`, always including the last.
pub fn chosen(total: usize, most: usize) -> Vec<usize> {
    let count = total.min(most);
    (1..=count).map(|i| i * total / count - 1).collect()
}

impl Glimpses<'_> {
    /// Writes a strip (PNG) with a row per image and a column per glimpse; images that were read have an extra row
    /// above the canvases. Fails as [`sheet::write_sheet`] does.
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

    /// Writes a film (GIF) of all glimpses; images that were read are shown next to the canvases. The last frame has no
    /// rectangles and stays for a while. Fails as [`film::write_film`] does.
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
        // Make it roughly square.
        let count = self.count() * parts;
        let columns = parts * ((count as f64).sqrt() / parts as f64).ceil() as usize;
        let delay = (LASTS.0 / shown.len()).clamp(60, 400) as u16;
        film::write_film(out, &frames, count, tile::size(self.shape), columns, delay, LASTS.1)
    }

    /// The tiles of an image at a glimpse: what was read, and what was written.
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

/// Rejects more than [`MOST_IMAGES`] images with [`Error::Config`].
pub fn check_count(count: usize) -> Result<()> {
    if count > MOST_IMAGES {
        return Err(Error::Config(format!(
            "the glimpses of {count} images are too many; at most {MOST_IMAGES} images can be shown; ask for fewer"
        )));
    }
    Ok(())
}
