//! Sheets of images as PNG files.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `count` images ([count, H, W, C] in \[0, 1\]) side by side: tile i at row i / columns, column
/// i % columns.
pub fn write_sheet(
    path: &Path,
    images: &[f32],
    count: usize,
    (height, width, channels): (usize, usize, usize),
    columns: usize,
) -> Result<()> {
    let rows = count.div_ceil(columns);
    let line = columns * width * channels;
    let mut pixels = vec![0u8; rows * height * line];
    for (i, image) in images.chunks_exact(height * width * channels).take(count).enumerate() {
        for (y, row) in image.chunks_exact(width * channels).enumerate() {
            let start = (i / columns * height + y) * line + i % columns * width * channels;
            for (to, from) in pixels[start..].iter_mut().zip(row) {
                *to = (from * 255.0).round() as u8;
            }
        }
    }
    let file = File::create(path).map_err(|e| Error::disk("write", path, e))?;
    let mut encoder = png::Encoder::new(file, (columns * width) as u32, (rows * height) as u32);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels))
        .map_err(|e| Error::disk("write", path, e))
}
