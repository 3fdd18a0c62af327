//! Films: the GIF is decoded, with each frame drawn over the previous one.

use std::fs::File;
use std::path::Path;

use pixelloom::Error;
use pixelloom::images::film::write_film;
use pixelloom::images::sheet::{BACKGROUND, pixels_from_bytes};
use pixelloom::output::Output;
use tempfile::TempDir;

use super::{F, glyph};

/// A decoded GIF.
pub struct Gif {
    pub height: usize,
    pub width: usize,
    repeat: gif::Repeat,
    /// Each frame's delay in hundredths of a second and the resulting screen, [height, width, 3].
    pub frames: Vec<(u16, Vec<u8>)>,
}

impl Gif {
    pub fn read(path: &Path) -> Gif {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(File::open(path).unwrap()).unwrap();
        let (height, width) = (usize::from(decoder.height()), usize::from(decoder.width()));
        let mut screen = vec![0; height * width * 3];
        let mut frames = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            for (p, rgba) in frame.buffer.chunks_exact(4).enumerate() {
                let (y, x) = (p / usize::from(frame.width), p % usize::from(frame.width));
                let at = (usize::from(frame.top) + y) * width + usize::from(frame.left) + x;
                if rgba[3] == 255 {
                    screen[3 * at..3 * at + 3].copy_from_slice(&rgba[..3]);
                }
            }
            frames.push((frame.delay, screen.clone()));
        }
        Gif { height, width, repeat: decoder.repeat(), frames }
    }

    pub fn at(&self, frame: usize, row: usize, column: usize) -> &[u8] {
        let start = 3 * (row * self.width + column);
        &self.frames[frame].1[start..start + 3]
    }
}

/// Writes a film and reads it back.
fn film(
    frames: &[Vec<f32>],
    count: usize,
    size: (usize, usize, usize),
    columns: usize,
    delays: (u16, u16),
) -> Gif {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("film.gif");
    write_film(&Output::in_run(&path), frames, count, size, columns, delays.0, delays.1).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "another file is left");
    Gif::read(&path)
}

#[test]
fn a_glyph_is_drawn_frame_by_frame() {
    // Frame n shows the first n rows of an F on the left and of one half as bright on the right.
    let frames: Vec<Vec<f32>> = (0..=5)
        .map(|rows| {
            let shown = |ink: u8| {
                let mut image = glyph(ink);
                image[3 * rows..].fill(0);
                image
            };
            pixels_from_bytes(&[shown(255), shown(128)].concat())
        })
        .collect();
    let gif = film(&frames, 2, (5, 3, 1), 2, (70, 1505));
    assert_eq!((gif.height, gif.width, gif.repeat), (20, 26, gif::Repeat::Infinite));
    let delays: Vec<u16> = gif.frames.iter().map(|frame| frame.0).collect();
    assert_eq!(delays, [7, 7, 7, 7, 7, 151]);
    for n in 0..=5 {
        for y in 0..20 {
            for x in 0..26 {
                let ink = |x: usize| y / 4 < n && F[y / 4][x / 4] == b'#';
                let want = match x {
                    0..12 => 255 * u8::from(ink(x)),
                    12..14 => BACKGROUND,
                    _ => 128 * u8::from(ink(x - 14)),
                };
                assert_eq!(gif.at(n, y, x), [want; 3], "frame {n}, row {y}, column {x}");
            }
        }
    }
}

#[test]
fn every_grey_level_and_few_colours_are_exact() {
    let bytes: Vec<u8> = (0..=255).collect();
    let gif = film(&[pixels_from_bytes(&bytes)], 1, (4, 64, 1), 1, (0, 0));
    let expected: Vec<u8> = bytes.iter().flat_map(|&v| [v; 3]).collect();
    assert_eq!(gif.frames, [(0, expected)]);

    // 255 colours over two frames plus the colour of the unused tile make 256.
    let frame = |n: usize| -> Vec<u8> {
        (128 * n..128 * n + 128).flat_map(|i| [i.min(254) as u8, 255 - i as u8 / 2, 7]).collect()
    };
    let frames = [pixels_from_bytes(&frame(0)), pixels_from_bytes(&frame(1))];
    let gif = film(&frames, 2, (1, 64, 3), 3, (1, 10));
    assert_eq!((gif.height, gif.width), (1, 3 * 66 - 2));
    for n in 0..2 {
        assert_eq!(gif.frames[n].0, 1);
        for x in 0..128 {
            assert_eq!(gif.at(n, 0, x + 2 * (x / 64)), &frame(n)[3 * x..3 * x + 3], "{n}, {x}");
        }
        assert_eq!(gif.at(n, 0, 150), [BACKGROUND; 3]);
    }
}

#[test]
fn many_colours_are_close_and_do_not_flicker() {
    // Red grows downwards, green to the right, and blue from frame to frame except in the upper half.
    let image = |frame: usize| -> Vec<u8> {
        let pixel = |p: usize| {
            let (y, x) = (p / 64, p % 64);
            [4 * y as u8, 4 * x as u8, if y < 32 { 90 } else { 80 * frame as u8 }]
        };
        (0..64 * 64).flat_map(pixel).collect()
    };
    let frames: Vec<Vec<f32>> = (0..3).map(|n| pixels_from_bytes(&image(n))).collect();
    let gif = film(&frames, 1, (64, 64, 3), 2, (20, 20));
    assert_eq!((gif.height, gif.width), (64, 130));
    let (mut sum, mut worst) = (0.0, 0);
    for (n, frame) in (0..3).map(|n| (n, image(n))) {
        for p in 0..64 * 64 {
            let (y, x) = (p / 64, p % 64);
            for (got, want) in gif.at(n, y, x).iter().zip(&frame[3 * p..3 * p + 3]) {
                sum += f64::from(got.abs_diff(*want)).powi(2);
                worst = worst.max(got.abs_diff(*want));
            }
            assert!(y >= 32 || gif.at(n, y, x) == gif.at(0, y, x), "row {y}, column {x} flickers");
        }
        assert_eq!(gif.at(n, 9, 100), [BACKGROUND; 3]);
    }
    let error = (sum / (3.0 * 3.0 * 4096.0)).sqrt();
    assert!(error < 7.0 && worst < 32, "{error}, {worst}");
}

#[test]
fn errors_are_named_and_leave_no_files() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("film.gif");
    for channels in [1, 3] {
        let mut frames = vec![vec![0.5; 3 * 4 * 5 * channels]; 4];
        // Frame 2, image 1, row 1, column 3, the last channel.
        frames[2][((20 + 5 + 3) * channels) + channels - 1] = f32::NAN;
        let error = write_film(&Output::in_run(&path), &frames, 3, (4, 5, channels), 2, 10, 10)
            .unwrap_err();
        assert!(matches!(error, Error::NotFinite(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("film.gif: frame 2, image 1 has the value NaN"), "{text}");
        assert!(text.contains(&format!("row 1, column 3, channel {}", channels - 1)), "{text}");
    }
    let long = vec![vec![0.0; 1100 * 64]];
    let error = write_film(&Output::in_run(&path), &long, 1100, (64, 1, 1), 1, 10, 10).unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error:?}");
    assert!(error.to_string().contains("frames of 72598 x 1 pixels"), "{error}");
    let error = write_film(
        &Output::in_run(dir.path().join("none/f.gif")),
        &[vec![0.0]],
        1,
        (1, 1, 1),
        1,
        0,
        0,
    );
    assert!(matches!(error, Err(Error::Disk(_))), "{error:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something was written");
}
