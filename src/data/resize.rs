//! Resizes a rectangle of a picture.
//!
//! Uses bilinear interpolation for enlarging. For shrinking, the triangle filter is scaled to the size of a new pixel,
//! so that every old pixel contributes.

use super::picture::Picture;

/// The rectangle of `picture` from row `rows.0` to `rows.1` and column `columns.0` to `columns.1` (in pixels, edges and
/// not centres, fractions allowed), as `height` x `width` pixels of red, green and blue. Grey becomes colour and
/// transparency is ignored. Pixels outside the rectangle but near its edge contribute if the filter reaches them.
/// Panics if the rectangle is empty or not inside the picture.
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
    // First resize horizontally, only the rows that some new pixel needs.
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
