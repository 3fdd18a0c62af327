//! Pictures are read back from the PNG or GIF and compared pixel by pixel; masks.
//!
//! The glyph is an F of 5 x 3, which every flip, rotation or transposition changes.

mod film;
mod glimpses;
mod mask;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use pixelloom::data::{Binarization, amat, bits, fill_batch, idx};
use pixelloom::images::sheet::{
    BACKGROUND, bytes_from_unit, pixels_from_bytes, scale, write_sheet,
};
use pixelloom::output::Output;
use pixelloom::{Device, Error, Tensor};
use tempfile::TempDir;

const F: [&[u8; 3]; 5] = [b"###", b"#..", b"##.", b"#..", b"#.."];

/// A decoded PNG: rows, columns, channels, bytes.
struct Png {
    height: usize,
    width: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl Png {
    fn read(path: &Path) -> Png {
        let decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!(info.bit_depth, png::BitDepth::Eight);
        let channels = match info.color_type {
            png::ColorType::Grayscale => 1,
            png::ColorType::Rgb => 3,
            other => panic!("{other:?}"),
        };
        Png { height: info.height as usize, width: info.width as usize, channels, bytes }
    }

    fn at(&self, row: usize, column: usize) -> &[u8] {
        let start = (row * self.width + column) * self.channels;
        &self.bytes[start..start + self.channels]
    }
}

/// The F as 5 x 3 levels, `ink` on 0.
fn glyph(ink: u8) -> Vec<u8> {
    F.iter().flat_map(|row| row.map(|c| if c == b'#' { ink } else { 0 })).collect()
}

/// The F at the top left of a 28 x 28 image, 1 on 0.
fn glyph28() -> Vec<u8> {
    let mut image = vec![0; 28 * 28];
    for (row, line) in glyph(1).chunks_exact(3).enumerate() {
        image[28 * row..28 * row + 3].copy_from_slice(line);
    }
    image
}

/// Panics unless the sheet shows the F, enlarged by `factor`, with its corner at (top, left).
fn assert_shows_f(png: &Png, (top, left): (usize, usize), factor: usize) {
    for y in 0..5 * factor {
        for x in 0..3 * factor {
            let ink = F[y / factor][x / factor] == b'#';
            let want = if ink { 255 } else { 0 };
            assert_eq!(png.at(top + y, left + x), [want], "row {y}, column {x} of the F");
        }
    }
}

#[test]
fn all_256_values_are_restored() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(bytes_from_unit(&pixels_from_bytes(&bytes)).unwrap(), bytes);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("values.png");
    write_sheet(&Output::in_run(&path), &pixels_from_bytes(&bytes), 1, (4, 64, 1), 1).unwrap();
    let png = Png::read(&path);
    assert_eq!((png.height, png.width, png.channels), (4, 64, 1));
    assert_eq!(png.bytes, bytes);
}

#[test]
fn values_outside_the_unit_interval_are_clamped() {
    let bytes = bytes_from_unit(&[-3.0, -0.001, 0.499 / 255.0, 0.501 / 255.0, 1.001, 7.0]).unwrap();
    assert_eq!(bytes, [0, 0, 0, 1, 255, 255]);
}

#[test]
fn small_images_are_enlarged_by_integer_factors() {
    let factors = [(28, 28), (32, 32), (33, 5), (5, 64), (100, 100), (5, 3), (20, 21)];
    assert_eq!(factors.map(|(h, w)| scale(h, w)), [2, 2, 1, 1, 1, 4, 3]);
}

#[test]
fn a_glyph_of_unequal_sides_survives_a_sheet() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f.png");
    write_sheet(&Output::in_run(&path), &pixels_from_bytes(&glyph(255)), 1, (5, 3, 1), 1).unwrap();
    let png = Png::read(&path);
    assert_eq!((png.height, png.width, png.channels), (20, 12, 1));
    assert_shows_f(&png, (0, 0), 4);
}

/// From a data file through its reader, a batch and a tensor to a sheet.
#[test]
fn a_glyph_survives_the_way_from_the_file_to_the_sheet() {
    let mut file = [0x0803_u32, 1, 5, 3].map(u32::to_be_bytes).concat();
    file.extend(glyph(255));
    let mut packed = vec![0; 98];
    for (p, _) in glyph28().iter().enumerate().filter(|(_, v)| **v == 1) {
        packed[p / 8] |= 1 << (7 - p % 8);
    }
    let line: Vec<String> = glyph28().iter().map(u8::to_string).collect();
    let sets = [
        (idx::parse_images(&file, "f.idx").unwrap(), 4),
        (bits::parse(&packed, "f.bits").unwrap(), 2),
        (amat::parse(format!("{}\n", line.join(" ")).as_bytes(), "f.amat").unwrap(), 2),
    ];
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f.png");
    for (images, factor) in sets {
        for mode in [Binarization::Grey, Binarization::Dynamic, Binarization::Threshold] {
            let mut batch = vec![0.0; images.dims()];
            fill_batch(&images, mode, 1, 0, &[0], &mut batch);
            let x = Tensor::new(&Device::cpu(), &batch, &[1, images.dims()]);
            let size = (images.height, images.width, images.channels);
            write_sheet(&Output::in_run(&path), &x.to_vec().unwrap(), 1, size, 1).unwrap();
            let png = Png::read(&path);
            assert_eq!((png.height, png.width), (factor * images.height, factor * images.width));
            assert_shows_f(&png, (0, 0), factor);
        }
    }
}

#[test]
fn tile_i_j_is_image_i_columns_plus_j() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tiles.png");
    // Seven images of 40 x 50, image n of the level 30 n: rows of 3, two tiles unused.
    let images: Vec<u8> = (0..7).flat_map(|n| vec![30 * n; 40 * 50]).collect();
    write_sheet(&Output::in_run(&path), &pixels_from_bytes(&images), 7, (40, 50, 1), 3).unwrap();
    let png = Png::read(&path);
    assert_eq!((png.height, png.width), (3 * 40 + 2 * 2, 3 * 50 + 2 * 2));
    for y in 0..png.height {
        for x in 0..png.width {
            let (i, j) = (y / 42, x / 52);
            let (n, separator) = (3 * i + j, y % 42 >= 40 || x % 52 >= 50);
            let want = if separator || n >= 7 { BACKGROUND } else { 30 * n as u8 };
            assert_eq!(png.at(y, x), [want], "row {y}, column {x}");
        }
    }
}

#[test]
fn one_row_may_have_more_columns_than_images() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("row.png");
    write_sheet(&Output::in_run(&path), &[1.0; 2 * 64 * 33], 2, (33, 64, 1), 5).unwrap();
    let png = Png::read(&path);
    assert_eq!((png.height, png.width), (33, 5 * 66 - 2));
    assert_eq!((png.at(0, 66), png.at(0, 132)), (&[255][..], &[BACKGROUND][..]));
}

#[test]
fn colours_stay_red_green_blue() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("colours.png");
    // One image of 1 x 3: red, green, blue of different strengths; then a grey one.
    let images = [200, 1, 2, 3, 210, 4, 5, 6, 220, 7, 7, 7, 8, 8, 8, 9, 9, 9];
    write_sheet(&Output::in_run(&path), &pixels_from_bytes(&images), 2, (1, 3, 3), 1).unwrap();
    let png = Png::read(&path);
    assert_eq!((png.height, png.width, png.channels), (4 + 2 + 4, 12, 3));
    for x in 0..12 {
        assert_eq!(png.at(3, x), &images[3 * (x / 4)..][..3], "column {x}");
        assert_eq!(png.at(5, x), [BACKGROUND; 3]);
        assert_eq!(png.at(6, x), &images[9 + 3 * (x / 4)..][..3], "column {x}");
    }
}

#[test]
fn a_value_that_is_nan_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nan.png");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut images = vec![0.5; 3 * 4 * 5 * 3];
        // Image 2, row 1, column 3, channel 2.
        images[2 * 60 + (5 + 3) * 3 + 2] = bad;
        let error = write_sheet(&Output::in_run(&path), &images, 3, (4, 5, 3), 2).unwrap_err();
        assert!(matches!(error, Error::NotFinite(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("nan.png"), "{text}");
        assert!(text.contains("image 2 has"), "{text}");
        assert!(text.contains("row 1, column 3, channel 2"), "{text}");
        assert!(matches!(bytes_from_unit(&[0.0, bad]).unwrap_err(), Error::NotFinite(_)));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_failed_write_is_a_disk_error_and_leaves_no_files() {
    let dir = TempDir::new().unwrap();
    // No user can create a file inside a regular file.
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    // With a directory of the picture's name, the temporary file is written but renaming fails.
    let taken = dir.path().join("taken.png");
    std::fs::create_dir(&taken).unwrap();
    for path in [file.join("sheet.png"), dir.path().join("none/sheet.png"), taken] {
        let error = write_sheet(&Output::in_run(&path), &[0.0; 4], 1, (2, 2, 1), 1).unwrap_err();
        assert!(matches!(error, Error::Disk(_)), "{error:?}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["file", "taken.png"]);
}

#[test]
fn a_sheet_replaces_an_older_one_and_leaves_no_other_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sheet.png");
    for level in [0.0, 1.0] {
        write_sheet(&Output::in_run(&path), &[level; 6], 1, (2, 3, 1), 1).unwrap();
    }
    assert_eq!(Png::read(&path).at(0, 0), [255]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
