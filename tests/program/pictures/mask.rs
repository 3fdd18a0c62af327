//! Masks: which pixels of a PNG count as known.

use std::path::PathBuf;

use pixelloom::Error;
use pixelloom::images::sheet::{pixels_from_bytes, read_mask, write_sheet};
use pixelloom::output::Output;
use tempfile::TempDir;

use super::{F, glyph};

/// An 8-bit PNG with these samples.
fn file(dir: &TempDir, (height, width): (u32, u32), color: png::ColorType, data: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    let path = dir.path().join("mask.png");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_glyph_masks_its_own_pixels() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, (5, 3), png::ColorType::Grayscale, &glyph(255));
    let expected: Vec<bool> = F.iter().flat_map(|row| row.map(|c| c == b'#')).collect();
    assert_eq!(read_mask(&path, 5, 3).unwrap(), expected);
    // A sheet of a single image of more than 32 pixels can serve as a mask of its size.
    let path = dir.path().join("sheet.png");
    let half: Vec<u8> = (0..64 * 40).map(|p| if p < 64 * 20 { 255 } else { 0 }).collect();
    write_sheet(&Output::in_run(&path), &pixels_from_bytes(&half), 1, (40, 64, 1), 1).unwrap();
    let mask = read_mask(&path, 40, 64).unwrap();
    assert_eq!(mask, half.iter().map(|&v| v == 255).collect::<Vec<_>>());
}

#[test]
fn white_is_luma_from_128() {
    let dir = TempDir::new().unwrap();
    let mask = |color, data: &[u8], width: usize| {
        read_mask(&file(&dir, (1, width as u32), color, data), 1, width).unwrap()
    };
    use png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    assert_eq!(mask(Grayscale, &[0, 127, 128, 255], 4), [false, false, true, true]);
    // Green is bright, red and blue are dark.
    let colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 127, 127, 127, 128, 128, 128];
    assert_eq!(mask(Rgb, &colours, 5), [false, true, false, false, true]);
    assert_eq!(
        mask(GrayscaleAlpha, &[255, 255, 255, 0, 128, 254, 0, 255], 4),
        [true, false, false, false]
    );
    let cut_out = [255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 255];
    assert_eq!(mask(Rgba, &cut_out, 3), [true, false, false]);
}

#[test]
fn masks_of_the_wrong_size_or_format() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, (5, 3), png::ColorType::Grayscale, &glyph(255));
    let says = |path: &PathBuf, height, width, what: &str| match read_mask(path, height, width) {
        Err(Error::Data(message)) => {
            assert!(message.starts_with(&path.display().to_string()), "{message}");
            assert!(message.contains(what) && !message.contains('\n'), "{message}");
        }
        other => panic!("{other:?}"),
    };
    says(&path, 3, 5, "the mask is 5 x 3, but the images are 3 x 5 (height x width); make it");
    says(&path, 28, 28, "the images are 28 x 28");
    says(&dir.path().join("none.png"), 5, 3, "cannot be read");
    says(&dir.path().to_path_buf(), 5, 3, "is a directory");
    std::fs::write(&path, b"P1 3 5").unwrap();
    says(&path, 5, 3, "is neither a PNG file");
}
