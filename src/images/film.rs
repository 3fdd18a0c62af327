//! Films: sheets of images, one after the other, as an animated GIF. A GIF shows at most 256 colours at a time. Grey
//! levels are all kept. The colours of a film are kept if there are few enough; otherwise 256 are chosen for the whole
//! film, because frames with their own palettes would flicker. They are chosen by repeatedly splitting the group of
//! pixels with the largest spread in a channel at the mean of that channel.

use gif::{AnyExtension, Encoder, EncodingError, Extension, Frame, Repeat};
use std::collections::{BTreeSet, HashMap};

use super::sheet::{BACKGROUND, byte, sheet, sheet_size};
use crate::error::{Error, Result};
use crate::output::{MARK, Output};

type Color = [u8; 3];

/// Number of colours in a palette.
const COLORS: usize = 256;

/// Number of pixels from which a palette is chosen if there are too many colours.
const SAMPLE: usize = 1 << 17;

/// Writes `frames`, each of them `count` images ([count, H, W, C], values in \[0, 1\], clamped), as an animated GIF
/// that loops forever, with each frame laid out as by [`write_sheet`](super::sheet::write_sheet). A frame is shown for
/// `delay_ms` milliseconds, the last one for `last_ms`, both rounded up to hundredths of a second; most viewers treat
/// less than 20 ms as 100 ms. The file is written atomically. Fails with [`Error::NotFinite`], which names frame, image
/// and pixel, with [`Error::Config`] on a sheet of more than 65535 rows or columns, and as [`Output::put`] does. Panics
/// if there is no frame, the sizes do not match, one of them is 0, or C is neither 1 nor 3.
pub fn write_film(
    out: &Output,
    frames: &[Vec<f32>],
    count: usize,
    (height, width, channels): (usize, usize, usize),
    columns: usize,
    delay_ms: u16,
    last_ms: u16,
) -> Result<()> {
    assert!(!frames.is_empty(), "a film without frames");
    assert!(count * columns * height * width > 0, "a film of {count} images in {columns} columns");
    let size = sheet_size(count, (height, width), columns);
    let (Ok(rows), Ok(row)) = (u16::try_from(size.0), u16::try_from(size.1)) else {
        return Err(Error::Config(format!(
            "cannot write {}: frames of {} x {} pixels (height x width) are too large, since a GIF has at \
             most 65535 each way; use fewer images or another number of columns",
            out.path().display(),
            size.0,
            size.1
        )));
    };
    let failed = |e: EncodingError| Error::disk("write the film", out.path(), e);
    let mut palette = (channels == 3).then(|| Palette::new(frames));
    let colors = match &palette {
        None => (0..=255).flat_map(|level| [level; 3]).collect(),
        Some(palette) => palette.colors.concat(),
    };
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, row, rows, &colors).map_err(failed)?;
    let comment = AnyExtension::from(Extension::Comment);
    encoder.write_raw_extension(comment, &[MARK.as_bytes()]).map_err(failed)?;
    encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
    for (n, images) in frames.iter().enumerate() {
        let place = format!("frame {n}, ");
        let bytes = sheet(out, &place, images, count, (height, width, channels), columns)?;
        let indices: Vec<u8> = match &mut palette {
            None => bytes,
            Some(palette) => {
                bytes.chunks_exact(3).map(|c| palette.index([c[0], c[1], c[2]])).collect()
            }
        };
        let shown = if n + 1 == frames.len() { last_ms } else { delay_ms };
        let frame = Frame {
            delay: shown.div_ceil(10),
            width: row,
            height: rows,
            buffer: indices.into(),
            ..Frame::default()
        };
        encoder.write_frame(&frame).map_err(failed)?;
    }
    encoder.into_inner().map_err(failed)?;
    out.put(&file)
}

/// The colours of a film, and the index of each.
struct Palette {
    colors: Vec<Color>,
    known: HashMap<Color, u8>,
}

impl Palette {
    /// A palette for frames of colour images, including the colour of separators.
    fn new(frames: &[Vec<f32>]) -> Palette {
        let pixels = || {
            let all = frames.iter().flat_map(|frame| frame.chunks_exact(3));
            all.map(|c| [byte(c[0]), byte(c[1]), byte(c[2])])
        };
        let mut exact = BTreeSet::from([[BACKGROUND; 3]]);
        for color in pixels() {
            exact.insert(color);
            if exact.len() > COLORS {
                return Palette::chosen(&pixels);
            }
        }
        Palette { colors: exact.into_iter().collect(), known: HashMap::new() }
    }

    /// A palette that approximates pixels with too many colours.
    fn chosen<P: Iterator<Item = Color>>(pixels: &impl Fn() -> P) -> Palette {
        // With an odd step, the sample is not confined to a few columns of images whose width is a power of two.
        let step = pixels().count().div_ceil(SAMPLE) | 1;
        let mut groups = vec![Group::new(pixels().step_by(step).collect())];
        while groups.len() < COLORS - 1 {
            let widest = (0..groups.len()).max_by_key(|&i| groups[i].spread);
            let Some(i) = widest.filter(|&i| groups[i].spread > 0) else { break };
            let [low, high] = groups.swap_remove(i).halves();
            groups.extend([low, high]);
        }
        let mut colors: Vec<Color> = groups.iter().map(|group| group.mean).collect();
        colors.push([BACKGROUND; 3]);
        Palette { colors, known: HashMap::new() }
    }

    fn index(&mut self, color: Color) -> u8 {
        if let Some(&index) = self.known.get(&color) {
            return index;
        }
        let index = self.nearest(color).unwrap_or(0) as u8;
        self.known.insert(color, index);
        index
    }

    /// The index of the colour with the smallest sum of squared differences to `color`.
    fn nearest(&self, color: Color) -> Option<usize> {
        let distance = |other: &Color| -> u32 {
            color.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
        };
        (0..self.colors.len()).min_by_key(|&i| distance(&self.colors[i]))
    }
}

/// Pixels that one colour of a palette represents.
struct Group {
    pixels: Vec<Color>,
    /// Their mean, rounded down.
    mean: Color,
    /// The channel in which they differ most.
    channel: usize,
    /// The sum of squared differences to the mean in that channel.
    spread: u64,
}

impl Group {
    fn new(pixels: Vec<Color>) -> Group {
        let n = pixels.len().max(1) as u64;
        let sum = |of: &dyn Fn(u64) -> u64, c: usize| -> u64 {
            pixels.iter().map(|p| of(u64::from(p[c]))).sum()
        };
        let sums: [u64; 3] = std::array::from_fn(|c| sum(&|v| v, c));
        // n times the spread, in integers, so that the palette is the same on every machine.
        let spreads: [u64; 3] = std::array::from_fn(|c| n * sum(&|v| v * v, c) - sums[c] * sums[c]);
        let channel = (0..3).max_by_key(|&c| spreads[c]).unwrap_or(0);
        let mean = sums.map(|sum| (sum / n) as u8);
        Group { mean, channel, spread: spreads[channel] / n, pixels }
    }

    /// The pixels up to the mean and those above it.
    fn halves(self) -> [Group; 2] {
        let (c, mean) = (self.channel, self.mean);
        let (low, high) = self.pixels.into_iter().partition(|p| p[c] <= mean[c]);
        [Group::new(low), Group::new(high)]
    }
}
