//! Strips and films of glimpses: rectangles are at the positions of attention, and tiles are in the right places.

use pixelloom::images::glimpses::{Glimpses, chosen};
use pixelloom::images::sheet::{BACKGROUND, SEPARATOR};
use pixelloom::images::tile::{GREEN, RED, factor};
use pixelloom::models::draw::{Frame, GlimpseWindow};
use pixelloom::output::Output;
use tempfile::TempDir;

use super::Png;
use super::film::Gif;

/// Rows and columns of images that are enlarged three times.
const SIZE: (usize, usize) = (20, 40);
const FACTOR: usize = 3;

fn bytes(colour: [f32; 3]) -> [u8; 3] {
    colour.map(|c| (255.0 * c).round() as u8)
}

fn window(centre: [f32; 2], filters: usize, delta: f32, sigma: f32) -> GlimpseWindow {
    GlimpseWindow { centre, delta, sigma, gamma: 1.0, filters }
}

/// A canvas of one level with the window that was written to.
fn frame(level: u8, write: Option<GlimpseWindow>) -> Frame {
    let canvas = vec![f32::from(level) / 255.0; SIZE.0 * SIZE.1];
    Frame { canvas, read: None, write: write.map(|window| vec![window]) }
}

fn strip(frames: &[Frame], read: Option<&[f32]>, wrong: &[bool]) -> Png {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("strip.png");
    let shape = (SIZE.0, SIZE.1, 1);
    Glimpses { frames, shape, read, wrong }.write_strip(&Output::in_run(&path)).unwrap();
    Png::read(&path)
}

/// Rows and columns of the red pixels.
fn red(png: &Png) -> Vec<(usize, usize)> {
    let all = (0..png.height).flat_map(|row| (0..png.width).map(move |column| (row, column)));
    all.filter(|&(row, column)| png.at(row, column) == bytes(RED)).collect()
}

#[test]
fn a_rectangle_lies_at_its_pixels_counted_from_one() {
    assert_eq!(factor(SIZE.0, SIZE.1), FACTOR);
    // Columns 8 to 12, rows 3 to 7 of the image; the middle of column a is 3 (a - 1) + 1.
    let png = strip(&[frame(50, Some(window([10.0, 5.0], 3, 2.0, 0.1)))], None, &[]);
    assert_eq!((png.height, png.width, png.channels), (60, 120, 3));
    let middle = |a: usize| FACTOR * (a - 1) + 1;
    let (columns, rows) = ([8, 12].map(middle), [3, 7].map(middle));
    for row in 0..png.height {
        for column in 0..png.width {
            let within =
                (rows[0]..=rows[1]).contains(&row) && (columns[0]..=columns[1]).contains(&column);
            let edge = within && (rows.contains(&row) || columns.contains(&column));
            let want = if edge { bytes(RED) } else { [50; 3] };
            assert_eq!(png.at(row, column), want, "row {row}, column {column}");
        }
    }
}

#[test]
fn the_line_grows_with_sigma() {
    // Width of the left side in the row through the middle.
    let width = |sigma: f32| {
        let png = strip(&[frame(0, Some(window([20.5, 10.5], 2, 14.0, sigma)))], None, &[]);
        red(&png).iter().filter(|(row, column)| *row == 30 && *column < 60).count()
    };
    assert_eq!([0.01, 0.6, 1.4, 2.0, 4.0].map(width), [1, 1, 2, 3, 6]);
    assert_eq!(width(1e9), 8, "about an eighth of the tile");
}

#[test]
fn rectangles_are_clipped() {
    // Only the right and lower sides of a rectangle around the upper left corner are visible.
    let corner = strip(&[frame(0, Some(window([1.0, 1.0], 2, 8.0, 0.1)))], None, &[]);
    let found = red(&corner);
    assert!(!found.is_empty() && found.iter().all(|&(row, column)| row <= 13 && column <= 13));
    assert!(found.contains(&(13, 0)) && found.contains(&(0, 13)), "{found:?}");
    assert!(
        red(&strip(&[frame(0, Some(window([900.0, 5.0], 3, 2.0, 0.1)))], None, &[])).is_empty()
    );
    for odd in [f32::INFINITY, f32::NAN] {
        strip(&[frame(0, Some(window([odd, 5.0], 3, 2.0, 1.0)))], None, &[]);
        strip(&[frame(0, Some(window([5.0, 5.0], 3, odd, odd)))], None, &[]);
    }
    // A single filter is a dot at column 7, row 4.
    let dot = red(&strip(&[frame(0, Some(window([7.0, 4.0], 1, 0.0, 0.1)))], None, &[]));
    assert!(dot.contains(&(10, 19)) && dot.len() <= 4, "{dot:?}");
}

#[test]
fn glimpses_are_thinned_out_evenly_up_to_the_last() {
    assert_eq!(chosen(3, 12), [0, 1, 2]);
    assert_eq!(chosen(64, 12), [4, 9, 15, 20, 25, 31, 36, 41, 47, 52, 57, 63]);
    assert_eq!(chosen(13, 12).last(), Some(&12));
}

/// Three images and thirty glimpses; canvas (image, glimpse) has the level 60 image + 2 glimpse.
fn thirty() -> (Vec<Frame>, Vec<f32>) {
    let level = |v: usize| vec![v as f32 / 255.0; SIZE.0 * SIZE.1];
    let outside = || Some(vec![window([500.0, 500.0], 2, 1.0, 0.1); 3]);
    let at = |glimpse: usize| Frame {
        canvas: (0..3).flat_map(|image| level(60 * image + 2 * glimpse)).collect(),
        read: Some(vec![window([1.0, 1.0], 1, 0.0, 0.1); 3]),
        write: outside(),
    };
    ((0..30).map(at).collect(), (0..3).flat_map(|image| level(200 + image)).collect())
}

#[test]
fn tile_i_j_is_image_i_at_glimpse_j() {
    let (frames, images) = thirty();
    let (tile_height, tile_width) = (60 + SEPARATOR, 120 + SEPARATOR);
    let shown = chosen(30, 12);
    let drawn = strip(&frames, None, &[]);
    assert_eq!((drawn.height, drawn.width), (3 * tile_height - 2, 12 * tile_width - 2));
    let read = strip(&frames, Some(&images), &[false, true, false]);
    assert_eq!((read.height, read.width), (6 * tile_height - 2, 12 * tile_width - 2));
    for image in 0..3 {
        for (j, glimpse) in shown.iter().enumerate() {
            let canvas = [60 * image as u8 + 2 * *glimpse as u8; 3];
            let middle = |row: usize| (row * tile_height + 30, j * tile_width + 60);
            let corner = |row: usize| (row * tile_height, j * tile_width);
            let of = |png: &Png, (row, column): (usize, usize)| png.at(row, column).to_vec();
            assert_eq!(of(&drawn, middle(image)), canvas);
            assert_eq!(of(&read, middle(2 * image)), [200 + image as u8; 3], "what was read");
            assert_eq!(of(&read, middle(2 * image + 1)), canvas, "below it what was written");
            // The first pixel was read; the second image has its frame there instead.
            let mark = if image == 1 { RED } else { GREEN };
            let (row, column) = corner(2 * image);
            assert_eq!(of(&read, (row + 1, column + 1)), bytes(mark));
        }
    }
}

#[test]
fn a_film_shows_every_glimpse_and_ends_without_rectangles() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("film.gif");
    let write = Some(window([10.0, 5.0], 3, 2.0, 0.1));
    let frames: Vec<Frame> = (0..5).map(|glimpse| frame(40 * glimpse, write)).collect();
    let shape = (SIZE.0, SIZE.1, 1);
    Glimpses { frames: &frames, shape, read: None, wrong: &[] }
        .write_film(&Output::in_run(&path))
        .unwrap();
    let gif = Gif::read(&path);
    assert_eq!((gif.height, gif.width, gif.frames.len()), (60, 120, 6));
    for n in 0..6 {
        let level = 40 * n.min(4) as u8;
        assert_eq!(gif.at(n, 50, 100), [level; 3], "frame {n}");
        let edge = if n < 5 { bytes(RED) } else { [level; 3] };
        assert_eq!(gif.at(n, 7, 25), edge, "frame {n}");
    }
    let delays: Vec<u16> = gif.frames.iter().map(|frame| frame.0).collect();
    assert_eq!(delays, [40, 40, 40, 40, 40, 300]);
    // Images that were read are to the left of their canvases.
    let (frames, images) = thirty();
    let pairs = Glimpses { frames: &frames, shape, read: Some(&images), wrong: &[] };
    pairs.write_film(&Output::in_run(&path)).unwrap();
    let gif = Gif::read(&path);
    let tile = |i: usize| (i / 4 * 62 + 30, i % 4 * 122 + 60);
    for image in 0..3 {
        let [(row, left), (_, right)] = [tile(2 * image), tile(2 * image + 1)];
        assert_eq!(gif.at(30, row, left), [200 + image as u8; 3]);
        assert_eq!(gif.at(30, row, right), [60 * image as u8 + 58; 3]);
    }
    assert_eq!(gif.at(0, 92, 300), [BACKGROUND; 3], "no fourth image");
}
