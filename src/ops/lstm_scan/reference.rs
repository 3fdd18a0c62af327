//! The scans of the Row and the Diagonal LSTM. Pixel Recurrent Neural Networks, sections 3.1, 3.2 and equation 3.
//!
//! ```text
//! [o, f, i, g] = act(u + sum_n S_n h[n]),   c = f c[before] + i g,   h = o tanh(c)
//! ```
//!
//! The other implementations compute all cells of a row or of a diagonal in parallel. Here the cells are visited one by
//! one, row by row from the top, and within a row from the left (in the mirrored order from the right), so that the
//! neighbours of a cell come before it.
//!
//! Shapes: u, gates, dgates \[B, H, W, 4h\], h, c, dh \[B, H, W, h\], S \[neighbours, h, 4h\], c0 \[h\], dc0 \[B,
//! edge, h\].

use super::params::{LstmScanParams, Order};
use crate::ops::lstm_cell::reference::{gates, gates_gradient};

/// Row and column.
type Place = (i64, i64);

/// Offsets of the neighbours, in the order of the weights.
fn neighbours(order: Order) -> Vec<Place> {
    match order {
        Order::Rows(k) => (0..k as i64).map(|j| (-1, j - k as i64 / 2)).collect(),
        Order::Diagonal => vec![(-1, 0), (0, -1)],
        Order::MirroredDiagonal => vec![(-1, 0), (0, 1)],
    }
}

/// Offset of the cell whose c is a cell's input.
fn before(order: Order) -> Place {
    match order {
        Order::Rows(_) => (-1, 0),
        Order::Diagonal => (0, -1),
        Order::MirroredDiagonal => (0, 1),
    }
}

/// Index of the cell at an offset from cell (r, c) of image b; `None` if it is outside the image.
fn cell(p: &LstmScanParams, b: usize, (r, c): Place, (dy, dx): Place) -> Option<usize> {
    let (height, width, row, column) = (i64::from(p.height), i64::from(p.width), r + dy, c + dx);
    let inside = 0 <= row && row < height && 0 <= column && column < width;
    inside.then_some(((b as i64 * height + row) * width + column) as usize)
}

/// All cells of an image, each after its neighbours.
fn visits(p: &LstmScanParams) -> Vec<Place> {
    let (height, width) = (i64::from(p.height), i64::from(p.width));
    let column = |c| if p.order() == Order::MirroredDiagonal { width - 1 - c } else { c };
    (0..height).flat_map(|r| (0..width).map(move |c| (r, column(c)))).collect()
}

/// Computes h and c of one cell from those of its neighbours. Returns its gates.
fn visit(
    p: &LstmScanParams,
    (b, place): (usize, Place),
    [u, s, c0]: [&[f32]; 3],
    (h, c): (&mut [f32], &mut [f32]),
) -> Vec<[f64; 4]> {
    let n = p.hidden as usize;
    let own = cell(p, b, place, (0, 0)).expect("a cell of the image");
    let mut all = Vec::new();
    for unit in 0..n {
        let sums = [0, 1, 2, 3].map(|gate| {
            let column = gate * n + unit;
            let mut sum = f64::from(u[own * 4 * n + column]);
            for (number, offset) in neighbours(p.order()).into_iter().enumerate() {
                let Some(from) = cell(p, b, place, offset) else { continue };
                for i in 0..n {
                    let weight = s[(number * n + i) * 4 * n + column];
                    sum += f64::from(h[from * n + i]) * f64::from(weight);
                }
            }
            sum
        });
        all.push(gates(sums));
    }
    for (unit, [o, f, i, g]) in all.iter().enumerate() {
        let was = match cell(p, b, place, before(p.order())) {
            Some(from) => c[from * n + unit],
            None => c0[unit],
        };
        let new = f * f64::from(was) + i * g;
        c[own * n + unit] = new as f32;
        h[own * n + unit] = (o * new.tanh()) as f32;
    }
    all
}

/// h, c and the gates of all cells.
pub fn forward(p: &LstmScanParams, inputs: [&[f32]; 3], [h, c, saved]: [&mut [f32]; 3]) {
    let n = p.hidden as usize;
    for b in 0..p.batch as usize {
        for place in visits(p) {
            let all = visit(p, (b, place), inputs, (&mut *h, &mut *c));
            let own = cell(p, b, place, (0, 0)).expect("a cell of the image");
            for (unit, gates) in all.iter().enumerate() {
                for (gate, value) in gates.iter().enumerate() {
                    saved[(4 * own + gate) * n + unit] = *value as f32;
                }
            }
        }
    }
}

/// h and c of cell (row, column) of every image; the rest of both maps is unchanged.
pub fn at_cell(p: &LstmScanParams, inputs: [&[f32]; 3], [h, c]: [&mut [f32]; 2]) {
    for b in 0..p.batch as usize {
        let place = (i64::from(p.row), i64::from(p.column));
        visit(p, (b, place), inputs, (&mut *h, &mut *c));
    }
}

/// dgates, which is the gradient of u, and dc0 of every lane. The cells are visited from the last to the
/// first, and each adds to the gradients of its neighbours: dh\[n\] += S_n^T dgates, dc\[before\] += dc f.
pub fn gradient(
    p: &LstmScanParams,
    [dh, s, c0, c, saved]: [&[f32]; 5],
    [dgates, dc0]: [&mut [f32]; 2],
) {
    let n = p.hidden as usize;
    let mut dh: Vec<f64> = dh.iter().map(|&d| f64::from(d)).collect();
    let mut dc = vec![0.0_f64; c.len()];
    for b in 0..p.batch as usize {
        for place in visits(p).into_iter().rev() {
            let own = cell(p, b, place, (0, 0)).expect("a cell of the image");
            let from = cell(p, b, place, before(p.order()));
            for unit in 0..n {
                let gates = [0, 1, 2, 3].map(|gate| f64::from(saved[(4 * own + gate) * n + unit]));
                let was = from.map_or(c0[unit], |from| c[from * n + unit]);
                let states = (f64::from(was), f64::from(c[own * n + unit]));
                let outside = (dh[own * n + unit], dc[own * n + unit]);
                let (dz, dwas) = gates_gradient(gates, states, outside);
                for (gate, dz) in dz.into_iter().enumerate() {
                    let column = gate * n + unit;
                    dgates[own * 4 * n + column] = dz as f32;
                    for (number, offset) in neighbours(p.order()).into_iter().enumerate() {
                        let Some(to) = cell(p, b, place, offset) else { continue };
                        for i in 0..n {
                            let weight = s[(number * n + i) * 4 * n + column];
                            dh[to * n + i] += f64::from(weight) * dz;
                        }
                    }
                }
                // c is passed down the columns in the Row LSTM, and along the rows otherwise.
                let lane = if matches!(p.order(), Order::Rows(_)) { place.1 } else { place.0 };
                match from {
                    Some(from) => dc[from * n + unit] += dwas,
                    None => dc0[(b * p.edge() + lane as usize) * n + unit] = dwas as f32,
                }
            }
        }
    }
}
