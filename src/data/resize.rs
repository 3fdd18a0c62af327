//! Resizes a rectangle of a picture.
//!
//! Uses bilinear interpolation for enlarging. For shrinking, the triangle filter is scaled to the size of a new pixel,
//! so that every old pixel contributes.

use super::picture::Picture;

/// The largest central square of `picture`, resized to `side` x `side` pixels with the same channels.
pub fn squared(picture: &Picture, side: usize) -> Vec<u8> {
    let (height, width) = (picture.height as f64, picture.width as f64);
    let edge = height.min(width);
    let middle = |length: f64| {
        let start = ((length - edge) / 2.0).floor();
        (start, start + edge)
    };
    resized(picture, middle(height), middle(width), side, side)
}

/// The rectangle of `picture` from row `rows.0` to `rows.1` and column `columns.0` to `columns.1` (in pixels, edges and
/// not centres, fractions allowed), as `height` x `width` pixels of the same channels. Pixels outside the rectangle but
/// near its edge contribute if the filter reaches them. Panics if the rectangle is empty or not inside the picture.
pub fn resized(
    picture: &Picture,
    rows: (f64, f64),
    columns: (f64, f64),
    height: usize,
    width: usize,
) -> Vec<u8> {
    let down = weights(rows, picture.height, height);
    let across = weights(columns, picture.width, width);
    let channels = picture.channels;
    // First resize horizontally, only the rows that some new pixel needs.
    let first = down.iter().map(|(start, _)| *start).min().unwrap_or(0);
    let last = down.iter().map(|(start, of)| start + of.len()).max().unwrap_or(0);
    let line = width * channels;
    let mut narrow = vec![0.0; (last - first) * line];
    for (y, row) in (first..last).zip(narrow.chunks_exact_mut(line)) {
        let old = &picture.bytes[y * picture.width * channels..][..picture.width * channels];
        for ((start, of), new) in across.iter().zip(row.chunks_exact_mut(channels)) {
            for (x, weight) in (*start..).zip(of) {
                for (sum, &number) in new.iter_mut().zip(&old[x * channels..]) {
                    *sum += weight * f32::from(number);
                }
            }
        }
    }
    let mut pixels = Vec::with_capacity(height * line);
    for (start, of) in &down {
        for e in 0..line {
            let rows = (start - first..).zip(of);
            let sum: f32 = rows.map(|(y, weight)| weight * narrow[y * line + e]).sum();
            pixels.push((sum + 0.5) as u8);
        }
    }
    pixels
}

/// For every new pixel, the index of the first old pixel that contributes, and the weights of the contributing pixels,
/// with sum 1.
fn weights((start, end): (f64, f64), old: usize, new: usize) -> Vec<(usize, Vec<f32>)> {
    assert!(0.0 <= start && start < end && end <= old as f64, "{start} to {end} of {old} pixels");
    let scale = (end - start) / new as f64;
    let reach = scale.max(1.0);
    let of = |i: usize| {
        let centre = start + (i as f64 + 0.5) * scale;
        let first = (centre - reach).floor().max(0.0) as usize;
        let last = ((centre + reach).ceil() as usize).min(old);
        let weight = |x: usize| (1.0 - ((x as f64 + 0.5 - centre) / reach).abs()).max(0.0);
        let total: f64 = (first..last).map(weight).sum();
        (first, (first..last).map(|x| (weight(x) / total) as f32).collect())
    };
    (0..new).map(of).collect()
}
