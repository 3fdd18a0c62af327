//! Pictures: sheets of images as PNG files, masks, and the conversion between bytes and numbers in \[0, 1\].
//!
//! A byte v becomes v / 255, and a number x becomes the byte round(255 x). Rounding restores all 256 values; truncation
//! would lose some.
//!
//! Notation: N images of H rows, W columns and C channels are [N, H, W, C], rows from the top, with C = 1 for grey or 3
//! for red, green, blue. Tile (i, j) of a sheet with `columns` columns is image i * columns + j.

use std::path::Path;

use crate::data::picture;
use crate::error::{Error, Result};
use crate::output::{MARK, Output};

/// Pixels between two tiles of a sheet.
pub const SEPARATOR: usize = 2;

/// The level of separators and unused tiles, visible next to both black and white.
pub const BACKGROUND: u8 = 112;

/// The numbers v / 255 of bytes v, same shape.
pub fn pixels_from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&v| f32::from(v) / 255.0).collect()
}

/// The bytes round(255 x) of numbers x, same shape; below 0 is 0, above 1 is 255. Fails with
/// [`Error::NotFinite`] at the first value that is infinite or NaN.
pub fn bytes_from_unit(values: &[f32]) -> Result<Vec<u8>> {
    if let Some(i) = values.iter().position(|x| !x.is_finite()) {
        return Err(Error::NotFinite(format!("value {i} of a picture is {}", values[i])));
    }
    Ok(values.iter().map(|&x| byte(x)).collect())
}

/// The byte of a number; 0 for NaN.
pub(super) fn byte(x: f32) -> u8 {
    (255.0 * x).round() as u8
}

/// The integer factor by which images of H rows and W columns are enlarged on a sheet: 2 for 28 x 28, at most 4, and 1
/// from 33 pixels on.
pub fn scale(height: usize, width: usize) -> usize {
    (64 / height.max(width)).clamp(1, 4)
}

/// Rows and columns of a sheet of `count` images of H rows and W columns.
pub(super) fn sheet_size(
    count: usize,
    (height, width): (usize, usize),
    columns: usize,
) -> (usize, usize) {
    let side =
        |tiles: usize, side: usize| tiles * (scale(height, width) * side + SEPARATOR) - SEPARATOR;
    (side(count.div_ceil(columns), height), side(columns, width))
}

/// The bytes of a sheet, [rows, columns, C] of [`sheet_size`], for the file `out`. `place` precedes
/// "image" in the error about NaN. Panics as [`write_sheet`] does.
pub(super) fn sheet(
    out: &Output,
    place: &str,
    images: &[f32],
    count: usize,
    (height, width, channels): (usize, usize, usize),
    columns: usize,
) -> Result<Vec<u8>> {
    let dims = height * width * channels;
    assert!(count * columns * dims > 0, "a sheet of {count} images in {columns} columns");
    assert_eq!(images.len(), count * dims, "{count} images of {height} x {width} x {channels}");
    assert!(
        matches!(channels, 1 | 3),
        "a picture of {channels} channels; only grey (1) and RGB (3) are supported"
    );
    if let Some(at) = images.iter().position(|x| !x.is_finite()) {
        let (image, pixel) = (at / dims, at % dims / channels);
        return Err(Error::NotFinite(format!(
            "cannot write {}: {place}image {image} has the value {} at row {}, column {}, channel {}; the \
             training has probably diverged: sample from an earlier checkpoint, or train again with a \
             lower --rate",
            out.path().display(),
            images[at],
            pixel / width,
            pixel % width,
            at % channels
        )));
    }
    let factor = scale(height, width);
    let (tile_height, tile_width) = (factor * height, factor * width);
    let (rows, row) = sheet_size(count, (height, width), columns);
    let mut sheet = vec![BACKGROUND; rows * row * channels];
    for (n, image) in images.chunks_exact(dims).enumerate() {
        let top = (n / columns) * (tile_height + SEPARATOR);
        let left = (n % columns) * (tile_width + SEPARATOR);
        for y in 0..tile_height {
            for x in 0..tile_width {
                let from = (y / factor * width + x / factor) * channels;
                let to = ((top + y) * row + left + x) * channels;
                for c in 0..channels {
                    sheet[to + c] = byte(image[from + c]);
                }
            }
        }
    }
    Ok(sheet)
}

/// Writes `count` images ([count, H, W, C], values in \[0, 1\], clamped) as one PNG sheet.
///
/// Every pixel becomes a square of [`scale`] pixels; tiles are [`SEPARATOR`] pixels apart; unused tiles of the last row
/// have the colour [`BACKGROUND`]. The file is written atomically. Fails with [`Error::NotFinite`], which names image
/// and pixel, and as [`Output::put`] does. Panics if the sizes do not match, one of them is 0, or C is neither 1 nor 3.
pub fn write_sheet(
    out: &Output,
    images: &[f32],
    count: usize,
    (height, width, channels): (usize, usize, usize),
    columns: usize,
) -> Result<()> {
    let bytes = sheet(out, "", images, count, (height, width, channels), columns)?;
    let size = sheet_size(count, (height, width), columns);
    let file = png(&bytes, size, channels);
    out.put(&file.map_err(|e| Error::disk("write the picture", out.path(), e))?)
}

/// A PNG file of bytes \[rows, columns, C\].
pub fn png(
    bytes: &[u8],
    (rows, row): (usize, usize),
    channels: usize,
) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, row as u32, rows as u32);
    let color = if channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb };
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_text_chunk("Software".into(), MARK.into())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(file)
}

/// Reads a mask of H rows and W columns from a PNG of that size: \[H * W\], true where it is white, for pixels that are
/// known, false where it is black, for those to be filled in. White is a luma (Rec. 601) of 128 or more. Transparent
/// pixels count as black, as if they had been cut out. Fails with [`Error::Data`] if the file is not a PNG or has
/// another size.
pub fn read_mask(path: &Path, height: usize, width: usize) -> Result<Vec<bool>> {
    let mask = picture::read(path)?;
    if (mask.height, mask.width) != (height, width) {
        return Err(Error::Data(format!(
            "{}: the mask is {} x {}, but the images are {height} x {width} (height x width); make it the \
             size of the images, white where pixels are known and black where they are to be filled in",
            path.display(),
            mask.height,
            mask.width
        )));
    }
    let white = |pixel: &[u8]| {
        let (luma, alpha) = match *pixel {
            [grey] => (1000 * u32::from(grey), 255),
            [grey, alpha] => (1000 * u32::from(grey), u32::from(alpha)),
            [red, green, blue, ref alpha @ ..] => {
                let luma = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
                (luma, alpha.first().map_or(255, |&alpha| u32::from(alpha)))
            }
            [] => (0, 255),
        };
        luma * alpha >= 128 * 1000 * 255
    };
    Ok(mask.bytes.chunks_exact(mask.channels).map(white).collect())
}
