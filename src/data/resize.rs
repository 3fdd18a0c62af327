//! A rectangle of a picture, resized.
//!
//! Bilinear interpolation when it grows, the same triangle as wide as a new pixel when it shrinks, so
//! that no pixel of the old picture is passed over.

use super::picture::Picture;

/// The rectangle of `picture` from row `rows.0` to `rows.1` and column `columns.0` to `columns.1` (in
/// pixels, edges and not centres, fractions allowed), as `height` x `width` pixels of red, green and
/// blue. Grey becomes colour, transparency is ignored; pixels outside the rectangle but near its edge
/// count where the triangle reaches them.
///
/// Panics if the rectangle has no size or does not lie within the picture.
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
    let colours: [usize; 3] = if channels < 3 { [0; 3] } else { [0, 1, 2] };
    // Only rows that some new pixel needs, each shrunk to the new width.
    let first = down.iter().map(|(start, _)| *start).min().unwrap_or(0);
    let last = down.iter().map(|(start, of)| start + of.len()).max().unwrap_or(0);
    let mut narrow = vec![0.0; (last - first) * width * 3];
    for (y, row) in (first..last).zip(narrow.chunks_exact_mut(width * 3)) {
        let old = &picture.bytes[y * picture.width * channels..][..picture.width * channels];
        for ((start, of), new) in across.iter().zip(row.chunks_exact_mut(3)) {
            for (x, weight) in (*start..).zip(of) {
                for (sum, colour) in new.iter_mut().zip(colours) {
                    *sum += weight * f32::from(old[x * channels + colour]);
                }
            }
        }
    }
    let mut pixels = Vec::with_capacity(height * width * 3);
    for (start, of) in &down {
        for e in 0..width * 3 {
            let rows = (start - first..).zip(of);
            let sum: f32 = rows.map(|(y, weight)| weight * narrow[y * width * 3 + e]).sum();
            pixels.push((sum + 0.5) as u8);
        }
    }
    pixels
}

/// For every new pixel, the first of the old ones that it is made of, and their weights, sum 1.
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
