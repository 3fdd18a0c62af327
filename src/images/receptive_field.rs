//! The receptive field of a pixel model's prediction, computed from the gradients d logits / d x.
//!
//! See Figures 2 and 4 of Pixel Recurrent Neural Networks. The field of the PixelCNN has a blind spot on the right,
//! that of the Row LSTM is a triangle, and that of the Diagonal BiLSTM covers all preceding pixels except one: the last
//! pixel of the previous row. Mask A hides a pixel from the first layer at its own position, so only positions to the
//! right of that pixel would see it, and these are outside the image.

use super::{glyphs, sheet};
use crate::Tape;
use crate::autograd::Param;
use crate::error::{Error, Result};
use crate::models::Autoregressive;
use crate::nn::Module;
use crate::output::Output;
use crate::tensor::Tensor;

/// Initial gradient of the backward pass, 2^60: gradients shrink with every cell of a scan, and in f32 those from far
/// away would otherwise underflow to 0.
const SEED: f32 = (1_u64 << 60) as f32;
/// Approximate side of the picture in pixels.
const SIDE: usize = 280;
/// Rows of pixels of the colour scale below a tile.
const SCALE: usize = 32;
const BACKGROUND: [f32; 3] = [sheet::BACKGROUND as f32 / 255.0; 3];
/// Number of rows of the blind spot that the text describes.
const ROWS: usize = 6;

/// A prediction: one channel of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Row, from the top.
    pub row: usize,
    /// Column, from the left.
    pub column: usize,
    /// Colour.
    pub channel: usize,
}

/// How much a prediction depends on every value of the image.
#[derive(Clone, Debug)]
pub struct ReceptiveField {
    /// The prediction.
    pub at: Place,
    /// Height, width, channels.
    pub shape: (usize, usize, usize),
    /// \[H, W, C\]: sums over images and levels of |d logit / d x|.
    pub gradient: Vec<f64>,
}

/// The receptive field of a prediction, summed over images x \[B, H, W, C\] in \[0, 1\]. Fails with [`Error::Config`]
/// if `at` is outside the images.
pub fn receptive_field(
    model: &dyn Autoregressive,
    x: &Tensor,
    at: Place,
) -> Result<ReceptiveField> {
    let [batch, height, width, channels] = *x.shape() else {
        panic!("receptive_field: {:?} is not [B, H, W, C]", x.shape())
    };
    let Place { row, column, channel } = at;
    if row >= height || column >= width || channel >= channels {
        return Err(Error::Config(format!(
            "row {row}, column {column}, channel {channel} is outside images of {height} x {width} x \
             {channels}; all are counted from 0"
        )));
    }
    let tape = Tape::for_leaves();
    let leaf = tape.leaf(x.clone());
    let logits = model.logits(&leaf);
    let outputs = logits.shape()[3];
    let levels = outputs / channels;
    let mut seed = vec![0.0; batch * height * width * outputs];
    for image in 0..batch {
        let first = ((image * height + row) * width + column) * outputs + channel * levels;
        seed[first..first + levels].fill(SEED);
    }
    let seed = Tensor::new(x.device(), &seed, logits.shape());
    let gradients = tape.backward(&[(&logits, seed)]);
    let dims = height * width * channels;
    let mut gradient = vec![0.0; dims];
    if let Some(dx) = gradients.of(&leaf) {
        for (i, g) in dx.to_vec()?.into_iter().enumerate() {
            gradient[i % dims] += f64::from(g.abs()) / f64::from(SEED);
        }
    }
    Ok(ReceptiveField { at, shape: (height, width, channels), gradient })
}

/// Makes all weights positive with a sum of 1 for each output, and all biases 0. Then gradients show exactly the
/// connections: they cannot cancel each other, and no ReLU cuts them off. Hidden weights stay 0.
pub fn make_positive(model: &dyn Module) -> Result<()> {
    for (_, param) in model.parameters() {
        positive(param)?;
    }
    Ok(())
}

fn positive(param: &Param) -> Result<()> {
    let value = param.value();
    let mut weights = value.to_vec()?;
    let inputs = weights.len() / value.shape()[0].max(1);
    if value.shape().len() < 2 {
        weights.fill(0.0);
    }
    for row in weights.chunks_mut(inputs.max(1)) {
        let sum: f32 = row.iter().map(|w| w.abs()).sum();
        row.iter_mut().for_each(|w| *w = if sum > 0.0 { w.abs() / sum } else { 0.0 });
    }
    param.set(Tensor::new(value.device(), &weights, value.shape()));
    Ok(())
}

impl ReceptiveField {
    /// Whether the prediction depends on any colour of a pixel.
    pub fn sees(&self, row: usize, column: usize) -> bool {
        let first = (row * self.shape.1 + column) * self.shape.2;
        self.gradient[first..first + self.shape.2].iter().any(|&g| g > 0.0)
    }

    /// The number of pixels before the predicted one in raster order, and how many of them are seen.
    pub fn past(&self) -> (usize, usize) {
        let width = self.shape.1;
        let before = self.at.row * width + self.at.column;
        let seen = (0..before).filter(|&i| self.sees(i / width, i % width)).count();
        (before, seen)
    }

    /// Whether the prediction depends on a value that does not precede it, which would be a bug in the model.
    pub fn sees_the_future(&self) -> bool {
        let Place { row, column, channel } = self.at;
        let own = (row * self.shape.1 + column) * self.shape.2 + channel;
        self.gradient[own..].iter().any(|&g| g > 0.0)
    }

    /// The unseen columns before the pixel, for every row that has some, from the pixel's own row upwards, as runs
    /// (first, last).
    pub fn blind_spot(&self) -> Vec<(usize, Vec<(usize, usize)>)> {
        let row_of = |row: usize| {
            let end = if row == self.at.row { self.at.column } else { self.shape.1 };
            let mut runs: Vec<(usize, usize)> = Vec::new();
            for column in (0..end).filter(|&column| !self.sees(row, column)) {
                match runs.last_mut() {
                    Some((_, last)) if *last + 1 == column => *last = column,
                    _ => runs.push((column, column)),
                }
            }
            (row, runs)
        };
        (0..=self.at.row).rev().map(row_of).filter(|(_, runs)| !runs.is_empty()).collect()
    }

    /// Describes the field in a few lines.
    pub fn text(&self) -> String {
        let Place { row, column, channel } = self.at;
        let (before, seen) = self.past();
        let mut text = format!(
            "row {row}, column {column}, channel {channel}: {seen} of the {before} pixels before it \
             are seen, {} are not",
            before - seen
        );
        if self.sees_the_future() {
            text += "\nit also sees values that do not precede it, which is a bug in the model";
        }
        let blind = self.blind_spot();
        for (row, runs) in blind.iter().take(ROWS) {
            let columns = runs.iter().map(|(first, last)| match first == last {
                true => format!("{first}"),
                false => format!("{first} to {last}"),
            });
            let columns = columns.collect::<Vec<_>>().join(", ");
            text += &format!("\nrow {row}: does not see column {columns}");
        }
        if blind.len() > ROWS {
            text += &format!("\nand so on, {} rows in total", blind.len());
        }
        text
    }

    /// Writes a picture with a tile for each channel of the image. Grey pixels are not seen; from blue to yellow, the
    /// dependence grows (on a logarithmic scale, the same for all tiles and drawn below each); the pixel itself is red.
    /// Fails as [`Output::put`] does.
    pub fn write(&self, out: &Output) -> Result<()> {
        let (height, width, channels) = self.shape;
        let seen = || self.gradient.iter().copied().filter(|&g| g > 0.0).map(f64::ln);
        let (low, high) = (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::MIN, f64::max));
        let factor = (SIDE / height.max(width)).max(1);
        let (rows, columns) = (height * factor, width * factor);
        let scale = scale(columns, low, high);
        let mut tiles = Vec::with_capacity(channels * (rows * columns * 3 + scale.len()));
        for channel in 0..channels {
            for pixel in 0..rows * columns {
                let (row, column) = (pixel / columns / factor, pixel % columns / factor);
                let own = (row, column) == (self.at.row, self.at.column);
                let g = self.gradient[(row * width + column) * channels + channel];
                tiles.extend(match g > 0.0 {
                    _ if own => [0.9, 0.1, 0.1],
                    false => BACKGROUND,
                    true => colour(((g.ln() - low) / (high - low).max(1e-9)) as f32),
                });
            }
            tiles.extend_from_slice(&scale);
        }
        sheet::write_sheet(out, &tiles, channels, (rows + SCALE, columns, 3), channels)
    }
}

/// The colour scale, RGB, [`SCALE`] x `columns` pixels: a bar, and below its ends the gradients e^low and e^high. All
/// background where nothing is seen.
fn scale(columns: usize, low: f64, high: f64) -> Vec<f32> {
    let mut pixels = vec![BACKGROUND; SCALE * columns];
    if low <= high {
        for row in 4..14 {
            for column in 0..columns {
                let part = column as f32 / (columns - 1).max(1) as f32;
                pixels[row * columns + column] = colour(part);
            }
        }
        let mut write = |text: &str, left: usize| {
            for (row, column) in glyphs::pixels(text) {
                if left + column < columns {
                    pixels[(18 + row) * columns + left + column] = [1.0; 3];
                }
            }
        };
        let [low, high] = [low, high].map(|ln| format!("{:.0e}", ln.exp()));
        write(&low, 0);
        write(&high, columns.saturating_sub(glyphs::width(&high)));
    }
    pixels.concat()
}

/// A colour from dark blue (0) over green to yellow (1).
fn colour(t: f32) -> [f32; 3] {
    const STOPS: [[f32; 3]; 3] = [[0.16, 0.10, 0.42], [0.13, 0.57, 0.55], [0.99, 0.91, 0.15]];
    let t = (t * 2.0).clamp(0.0, 2.0);
    let low = (t as usize).min(1);
    let part = t - low as f32;
    std::array::from_fn(|c| STOPS[low][c] * (1.0 - part) + STOPS[low + 1][c] * part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::models::pixel::{Body, PixelConfig, PixelModel};

    fn field(body: Body, layers: usize, channels: usize, at: Place) -> ReceptiveField {
        let size = PixelConfig { height: 12, width: 16, channels, ..PixelConfig::mnist(layers, 3) };
        let device = Device::cpu();
        let model = PixelModel::new(&device, body, PixelConfig { head: 3, ..size }, 1);
        make_positive(&model).unwrap();
        let x = Tensor::full(&device, 0.5, &model.net.images(1));
        receptive_field(&model, &x, at).unwrap()
    }

    /// The bar runs from blue to yellow, and its ends are written below it.
    #[test]
    fn the_colour_scale_has_a_bar_and_its_ends() {
        let (low, high) = (1e-9_f64.ln(), 0.3_f64.ln());
        let scale = scale(100, low, high);
        let pixel = |row: usize, column: usize| &scale[(row * 100 + column) * 3..][..3];
        assert_eq!((pixel(9, 0), pixel(9, 99)), (&colour(0.0)[..], &colour(1.0)[..]));
        let written = |columns: std::ops::Range<usize>| {
            columns
                .flat_map(|c| (18..28).map(move |r| (r, c)))
                .filter(|&(r, c)| pixel(r, c) == [1.0; 3])
                .count()
        };
        // "1e-9" and "3e-1", every pixel of a glyph four times.
        assert_eq!(written(0..50), 4 * (8 + 12 + 3 + 12));
        assert_eq!(written(50..100), 4 * (11 + 12 + 3 + 8));
        assert!(super::scale(100, f64::INFINITY, f64::MIN).iter().all(|v| *v == BACKGROUND[0]));
    }

    const AT: Place = Place { row: 9, column: 5, channel: 0 };

    /// Mask A reaches three columns to the right in the row above; every layer adds a row and, there, a column.
    #[test]
    fn the_pixelcnn_has_a_blind_spot() {
        let field = field(Body::PixelCnn, 2, 1, AT);
        assert!(!field.sees_the_future());
        assert!(field.sees(9, 4) && field.sees(8, 8) && field.sees(5, 5));
        assert!(!field.sees(8, 13) && !field.sees(3, 5), "too far");
        let (before, seen) = field.past();
        assert!(before == 9 * 16 + 5 && seen < before / 2, "{seen} of {before}");
        let blind = field.blind_spot();
        assert_eq!(blind[0].0, 8, "the own row is all in reach");
        assert!(field.text().contains(&format!("{seen} of the 149 pixels before it are seen")));
        assert!(field.text().contains("row 8: does not see column"));
    }

    #[test]
    fn the_row_lstm_sees_a_triangle() {
        let field = field(Body::RowLstm, 1, 1, AT);
        let widths: Vec<usize> =
            (0..9).rev().map(|row| (0..16).filter(|&c| field.sees(row, c)).count()).collect();
        assert!(widths.windows(2).all(|w| w[0] <= w[1]), "wider upwards: {widths:?}");
        assert!(widths[0] < 16 && widths[8] == 16, "{widths:?}");
        assert!(!field.sees_the_future());
    }

    #[test]
    fn the_diagonal_bilstm_sees_nearly_everything() {
        for layers in [1, 2] {
            let field = field(Body::DiagBilstm, layers, 1, AT);
            assert_eq!(field.past(), (149, 148));
            assert_eq!(
                field.blind_spot(),
                [(8, vec![(15, 15)])],
                "the last pixel of the row above"
            );
            assert!(!field.sees_the_future());
        }
    }

    #[test]
    fn colours_see_the_colours_before_them() {
        for channel in 0..3 {
            let field = field(Body::PixelCnn, 1, 3, Place { channel, ..AT });
            let own = (9 * 16 + 5) * 3;
            let seen: Vec<bool> = field.gradient[own..own + 3].iter().map(|&g| g > 0.0).collect();
            assert_eq!(seen, [channel > 0, channel > 1, false]);
        }
        let model = PixelModel::new(&Device::cpu(), Body::RowLstm, PixelConfig::mnist(1, 2), 1);
        let x = Tensor::zeros(&Device::cpu(), &model.net.images(1));
        let outside = Place { row: 28, column: 0, channel: 0 };
        let Err(Error::Config(message)) = receptive_field(&model, &x, outside) else { panic!() };
        assert!(message.contains("row 28") && message.contains("28 x 28"), "{message}");
    }
}
