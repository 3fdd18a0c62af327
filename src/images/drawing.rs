//! Drawing images from a model: samples, completions of given images, and films of both. All commands use this module.
//!
//! Images are \[count, height * width * channels\] with values in \[0, 1\], one after the other.

use std::ops::Range;

use super::Shape;
use super::samples::{COLUMNS, HUNDRED, check_film, sample_key};
use super::{film, sheet};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::pixel::{Known, Watch};
use crate::models::{Autoregressive, Model};
use crate::output::Output;
use crate::rng::Key;
use crate::tensor::Tensor;

/// Approximate number of frames of a film.
const FRAMES: usize = 100;
/// Maximum number of frames of a film.
const MOST_FRAMES: usize = 120;
/// How long a film shows each frame, and the last one, in milliseconds.
const SHOWN: (u16, u16) = (60, 3000);

/// Draws the images of a range, given their known pixels and their noise.
type RowsOf<'a> = dyn Fn(Range<usize>, Option<Known>, Key, &mut Watch) -> Result<Tensor> + 'a;

/// Receives finished images, \[some, H W C\], in order.
pub type Take<'a> = dyn FnMut(&[f32]) -> Result<()> + 'a;

/// How images are drawn.
pub struct Drawing<'a> {
    /// The device of the model.
    pub device: &'a Device,
    /// The images' size.
    pub shape: Shape,
    /// Seed of the samples.
    pub seed: u64,
    /// Called with (done, total) from any thread, in pixels, or in images for models that do not draw pixel by pixel; its
    /// error stops the work.
    pub progress: &'a (dyn Fn(usize, usize) -> Result<()> + Sync),
    /// Keep the frames of a film, of at most 100 images.
    pub film: bool,
    /// For a model with classes, the class of all samples; if absent, each row of ten samples has a class.
    pub class: Option<usize>,
}

/// A sheet of finished images, and the frames of the film if there is one.
pub struct Drawn {
    /// The finished images, \[count, H W C\]; for completions, all tiles of the sheet.
    pub images: Vec<f32>,
    frames: Vec<Vec<f32>>,
    shape: Shape,
    columns: usize,
}

/// The task of a completion.
pub struct Completion<'a> {
    /// Images whose given pixels are kept.
    pub originals: &'a [f32],
    /// \[height * width\], true where a pixel is given.
    pub mask: &'a [bool],
    /// Completions per image.
    pub samples: usize,
    /// For a model with classes, the class of each image to complete.
    pub classes: &'a [usize],
}

/// A mask with the upper half given: rows 0 up to height / 2, rounded up.
pub fn lower_half((height, width, _): Shape) -> Vec<bool> {
    (0..height * width).map(|pixel| pixel / width < height.div_ceil(2)).collect()
}

/// A mask with everything given except a rectangle: top, left, height and width. Fails with [`Error::Config`] if the
/// rectangle is empty or not inside the image.
pub fn without_rectangle((height, width, _): Shape, rectangle: [usize; 4]) -> Result<Vec<bool>> {
    let [top, left, rows, columns] = rectangle;
    let inside = |start: usize, length: usize, all: usize| {
        length > 0 && start.checked_add(length).is_some_and(|end| end <= all)
    };
    if !inside(top, rows, height) || !inside(left, columns, width) {
        return Err(Error::Config(format!(
            "a rectangle of {rows} x {columns} pixels (height x width) at row {top} and column {left} does \
             not lie inside an image of {height} x {width}; rows and columns are counted from 0"
        )));
    }
    let hidden = |pixel: usize| {
        (top..top + rows).contains(&(pixel / width))
            && (left..left + columns).contains(&(pixel % width))
    };
    Ok((0..height * width).map(|pixel| !hidden(pixel)).collect())
}

impl Drawing<'_> {
    /// A sheet of `count` samples, with a film if the model draws pixel by pixel. Fails if the model cannot sample or
    /// the device fails, and with [`Error::Config`] for a film of more than 100 images.
    pub fn samples(&self, model: &dyn Model, count: usize) -> Result<Drawn> {
        let mut images = Vec::with_capacity(count * self.dims());
        let frames = self.stream(model, count, &mut |some| {
            images.extend_from_slice(some);
            Ok(())
        })?;
        Ok(Drawn { images, frames, shape: self.shape, columns: COLUMNS.min(count) })
    }

    /// Draws `count` samples and hands them to `take`, a hundred at a time, so that memory does not grow with
    /// `count`; returns the frames of a film. Fails as [`Drawing::samples`] does, and where `take` fails.
    pub fn stream(
        &self,
        model: &dyn Model,
        count: usize,
        take: &mut Take,
    ) -> Result<Vec<Vec<f32>>> {
        match model.autoregressive() {
            Some(model) => {
                let row = |i: usize| i / COLUMNS % model.classes().max(1);
                let class_of = |i| self.class.unwrap_or_else(|| row(i));
                self.pixel_by_pixel((model, &class_of), count, None, take)
            }
            None => self.draw(
                count,
                None,
                &|rows, _, key, watch| {
                    let images = model.sample(self.device, rows.len(), key)?;
                    (watch.progress)(1, 1).map(|()| images)
                },
                take,
            ),
        }
    }

    /// A sheet with a row for each image: what is given of it, the rest in the colour of the
    /// background, then its completions, then the original. Fails as [`Drawing::samples`] does.
    pub fn completions(&self, model: &dyn Autoregressive, what: &Completion) -> Result<Drawn> {
        let dims = self.dims();
        let repeated: Vec<f32> =
            what.originals.chunks(dims).flat_map(|image| image.repeat(what.samples)).collect();
        let count = repeated.len() / dims;
        let given = Some((repeated.as_slice(), what.mask));
        let mut images = Vec::with_capacity(repeated.len());
        let class_of = |i: usize| what.classes[i / what.samples];
        let frames = self.pixel_by_pixel((model, &class_of), count, given, &mut |some| {
            images.extend_from_slice(some);
            Ok(())
        })?;
        let sheet = |completed: &[f32]| self.rows(completed, what);
        Ok(Drawn {
            images: sheet(&images),
            frames: frames.iter().map(|frame| sheet(frame)).collect(),
            shape: self.shape,
            columns: what.samples + 2,
        })
    }

    /// The tiles of a sheet of completions.
    fn rows(&self, completed: &[f32], what: &Completion) -> Vec<f32> {
        let (dims, channels) = (self.dims(), self.shape.2);
        let blank = f32::from(sheet::BACKGROUND) / 255.0;
        let mut tiles = Vec::with_capacity(completed.len() + 2 * what.originals.len());
        let rows = what.originals.chunks(dims).zip(completed.chunks(what.samples * dims));
        for (original, completed) in rows {
            let given = |i: usize| if what.mask[i / channels] { original[i] } else { blank };
            tiles.extend((0..dims).map(given));
            tiles.extend_from_slice(completed);
            tiles.extend_from_slice(original);
        }
        tiles
    }

    fn pixel_by_pixel(
        &self,
        (model, class_of): (&dyn Autoregressive, &dyn Fn(usize) -> usize),
        count: usize,
        given: Option<(&[f32], &[bool])>,
        take: &mut Take,
    ) -> Result<Vec<Vec<f32>>> {
        let rows_of = |rows: Range<usize>, known: Option<Known>, key, watch: &mut Watch| {
            let count = rows.len();
            let classes: Vec<usize> = rows.filter(|_| model.classes() > 0).map(class_of).collect();
            model.draw(self.device, count, &classes, known, key, watch)
        };
        self.draw(count, given, &rows_of, take)
    }

    /// Hands `count` images by `rows_of` to `take`, a hundred at a time, and returns, for a film, what they were
    /// like on the way; `given` are the images and the mask of what is given.
    fn draw(
        &self,
        count: usize,
        given: Option<(&[f32], &[bool])>,
        rows_of: &RowsOf,
        take: &mut Take,
    ) -> Result<Vec<Vec<f32>>> {
        if self.film {
            check_film(count)?;
        }
        let dims = self.dims();
        let pixels = self.shape.0 * self.shape.1;
        let unknown = given.map_or(pixels, |(_, mask)| mask.iter().filter(|&&g| !g).count());
        let mut frames: Vec<Vec<f32>> = Vec::new();
        for start in (0..count).step_by(HUNDRED) {
            let rows = HUNDRED.min(count - start);
            let given = given.map(|(images, mask)| {
                let part = &images[start * dims..(start + rows) * dims];
                // Hidden pixels of the originals are replaced by 0, so that they cannot leak.
                let of = |(i, &x)| if mask[i % dims / self.shape.2] { x } else { 0.0 };
                let part: Vec<f32> = part.iter().enumerate().map(of).collect();
                (Tensor::new(self.device, &part, &[rows, dims]), mask)
            });
            let known = given.as_ref().map(|(images, mask)| Known { images, mask });
            let key = sample_key(self.seed, start..start + rows);
            let progress =
                |done: usize, of: usize| (self.progress)(start * of + rows * done, count * of);
            let mut keep = |frame: Vec<f32>| {
                // Frames do not change while given pixels are passed; skip these.
                if frames.last() != Some(&frame) {
                    frames.push(frame);
                }
            };
            let every = unknown.div_ceil(FRAMES).max(1);
            let film = self.film.then_some((every, &mut keep as &mut dyn FnMut(Vec<f32>)));
            let mut watch = Watch { progress: &progress, film };
            take(&rows_of(start..start + rows, known, key, &mut watch)?.to_vec()?)?;
        }
        // A multiscale model adds the frames of each of its stages, so thin them out.
        let (last, stride) = (frames.len().saturating_sub(1), frames.len().div_ceil(MOST_FRAMES));
        let mut place = 0..;
        frames.retain(|_| place.next().is_some_and(|i: usize| (last - i).is_multiple_of(stride)));
        Ok(frames)
    }

    fn dims(&self) -> usize {
        self.shape.0 * self.shape.1 * self.shape.2
    }
}

impl Drawn {
    /// Writes the sheet as a PNG. Fails as [`sheet::write_sheet`] does.
    pub fn write_sheet(&self, out: &Output) -> Result<()> {
        sheet::write_sheet(out, &self.images, self.count(), self.shape, self.columns)
    }

    /// Writes the film of a drawing with [`Drawing::film`] as a GIF. Fails as [`film::write_film`] does.
    pub fn write_film(&self, out: &Output) -> Result<()> {
        let (count, columns) = (self.count(), self.columns);
        film::write_film(out, &self.frames, count, self.shape, columns, SHOWN.0, SHOWN.1)
    }

    fn count(&self) -> usize {
        self.images.len() / (self.shape.0 * self.shape.1 * self.shape.2)
    }
}
