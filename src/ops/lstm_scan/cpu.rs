//! The scans of the Row and the Diagonal LSTM. Shaders: `shaders/lstm_scan/lstm_scan.wgsl`,
//! `shaders/lstm_scan/lstm_scan_gradient.wgsl`, `shaders/lstm_scan/lstm_at.wgsl`.
//!
//! A task processes a few images. At each step of the scan it gathers the h of all neighbours of the step's cells into
//! a matrix \[cells, neighbours * h\], multiplies it by the recurrent weights, and computes the gates, all in
//! L1 and L2. The state is the map of h itself: nothing is copied into a skewed map. The gradient does the
//! same from the last step to the first, with gate gradients gathered through the reversed taps.
//!
//! Shapes: u, gates, dgates \[B, H, W, 4h\], h, c \[B, H, W, h\], s \[neighbours, h, 4h\], c0 \[h\].

use rayon::prelude::*;

use super::params::{LstmScanParams, Order};
use crate::cpu::gemm::{Activation, Mat, Scratch, prefetch};
use crate::cpu::simd::vectorize;
use crate::ops::lstm_cell::cpu::{activate, by_lanes, four, put_four, state, step_gradient, take};
use crate::ops::masked_conv::taps::{Line, Taps};
use crate::ops::masked_conv::weights::{Rows, Weights, turned, with_weights};
use crate::ops::masked_conv::window::Columns;

thread_local! {
    static SCRATCH: Scratch = const { Scratch::new() };
}

/// Images per task: enough for products of a useful size, few enough to keep all threads busy.
fn group(batch: usize) -> usize {
    (batch / 4).clamp(1, 4)
}

/// The sizes of a map, and the order in which a scan visits its cells.
struct Walk {
    order: Order,
    height: usize,
    width: usize,
    hidden: usize,
}

impl Walk {
    fn new(p: &LstmScanParams) -> Walk {
        let [height, width, hidden] = [p.height, p.width, p.hidden].map(|n| n as usize);
        Walk { order: p.order(), height, width, hidden }
    }

    /// Number of cells in an image.
    fn cells(&self) -> usize {
        self.height * self.width
    }

    /// The cell at (row, column) in lane `lane` (see [`Cell::lane`]).
    fn cell(&self, (r, c): (usize, usize), lane: usize) -> Cell {
        let left = c.checked_sub(1).map(|c| (r, c));
        let right = (c + 1 < self.width).then_some((r, c + 1));
        let [before, after] = match self.order {
            Order::Rows(_) => {
                [r.checked_sub(1).map(|r| (r, c)), (r + 1 < self.height).then_some((r + 1, c))]
            }
            Order::Diagonal => [left, right],
            Order::MirroredDiagonal => [right, left],
        };
        let index = |(r, c): (usize, usize)| r * self.width + c;
        let [before, after] = [before, after].map(|at| at.map(index));
        Cell { at: (r, c), index: index((r, c)), before, after, lane }
    }

    /// Replaces `cells` by those of step `t`.
    fn step(&self, t: usize, cells: &mut Vec<Cell>) {
        let range = match self.order {
            Order::Rows(_) => 0..self.width,
            _ => (t + 1).saturating_sub(self.width)..self.height.min(t + 1),
        };
        cells.clear();
        cells.extend(range.map(|i| match self.order {
            Order::Rows(_) => self.cell((t, i), i),
            Order::Diagonal => self.cell((i, t - i), i),
            Order::MirroredDiagonal => self.cell((i, self.width - 1 - (t - i)), i),
        }));
    }

    /// The positions of a step's cells, as a line of pixels.
    fn line(&self, cells: &[Cell]) -> Line {
        let step = match self.order {
            Order::Rows(_) => (0, 1),
            Order::Diagonal => (1, -1),
            Order::MirroredDiagonal => (1, 1),
        };
        Line { from: cells[0].at, step, pixels: cells.len() }
    }
}

/// A cell of the image.
struct Cell {
    /// Row and column.
    at: (usize, usize),
    /// row * width + column.
    index: usize,
    /// Index of the cell whose c is this cell's input; `None` if it is outside the image.
    before: Option<usize>,
    /// Index of the cell that reads this cell's c, one step later; `None` if it is outside the image.
    after: Option<usize>,
    /// The column (Row LSTM) or row (Diagonal LSTM) along which c is passed on.
    lane: usize,
}

/// The matrix products of a step with the recurrent weights.
struct Recurrence<'a, 'w> {
    walk: &'a Walk,
    /// The neighbours, in maps of `taps.channels()` channels.
    taps: Taps,
    /// \[taps.depth(), columns\].
    weights: &'a Weights<'w>,
    columns: usize,
}

impl Recurrence<'_, '_> {
    /// Floats of scratch memory for one step of this number of images.
    fn scratch(&self, images: usize) -> usize {
        // A row or a diagonal has at most this many cells.
        let cells = self.walk.width.max(self.walk.height);
        images * cells * (self.taps.depth() + self.columns)
    }

    /// The products \[images * cells, columns\] for the cells of a step.
    fn of<'s>(&self, map: &[f32], cells: &[Cell], scratch: &'s mut [f32]) -> &'s [f32] {
        let (depth, image) = (self.taps.depth(), self.walk.cells() * self.taps.channels());
        let rows = map.len() / image * cells.len();
        let line = self.walk.line(cells);
        let (a, product) = scratch.split_at_mut(rows * depth);
        vectorize(
            #[inline(always)]
            || {
                let size = (self.walk.height, self.walk.width);
                let lines = a.chunks_exact_mut(cells.len() * depth);
                for (map, to) in map.chunks_exact(image).zip(lines) {
                    self.taps.gather(map, size, line, to);
                }
            },
        );
        let rows = Rows { count: rows, a, depth, stride: self.columns };
        self.weights.multiply(&rows, (None, Activation::None), product);
        &product[..rows.count * self.columns]
    }
}

/// Computes channels `j..j + N` of c and h, maps of one image, at the cell with index `cell`. Its input c is that of the
/// cell with index `before`, or c0; its gates \[4h\] are activated.
#[inline(always)]
fn forward_lanes<const N: usize>(
    (n, j): (usize, usize),
    [gates, c0]: [&[f32]; 2],
    (cell, before): (usize, Option<usize>),
    (h, c): (&mut [f32], &mut [f32]),
) {
    let was = before.map_or_else(|| take::<N>(c0, j), |b| take::<N>(c, b * n + j));
    let [new, y] = state(four(gates, (n, j)), was);
    c[cell * n + j..][..N].copy_from_slice(&new);
    h[cell * n + j..][..N].copy_from_slice(&y);
}

/// Computes a cell of one image from its product and its u \[4h\]: its gates \[4h\], and c and h in their maps.
#[inline(always)]
fn forward_cell(
    n: usize,
    [product, u, c0]: [&[f32]; 3],
    cell: &Cell,
    (h, c, gates): (&mut [f32], &mut [f32], &mut [f32]),
) {
    for ((gate, x), y) in gates.iter_mut().zip(product).zip(u) {
        *gate = x + y;
    }
    activate(n, gates);
    by_lanes!(n, |j| forward_lanes((n, j), [gates, c0], (cell.index, cell.before), (h, c)));
}

/// Computes h, c and the gates.
pub fn forward(p: &LstmScanParams, [u, s, c0]: [&[f32]; 3], [h, c, gates]: [&mut [f32]; 3]) {
    let walk = &Walk::new(p);
    let (n, image) = (walk.hidden, walk.cells() * walk.hidden);
    if h.is_empty() {
        return;
    }
    let images = group(p.batch as usize);
    let taps = Taps::new(&walk.order.windows(), n);
    let (depth, columns) = (taps.depth(), 4 * n);
    let run = Columns::whole(columns, depth);
    with_weights(&[(Mat::row_major(s, columns), depth)], columns, &[run], |weights| {
        let recurrence = &Recurrence { walk, taps, weights, columns };
        let maps = h
            .par_chunks_mut(images * image)
            .zip(c.par_chunks_mut(images * image))
            .zip(gates.par_chunks_mut(4 * images * image));
        maps.zip(u.par_chunks(4 * images * image)).for_each(|(((h, c), gates), u)| {
            let mut cells = Vec::new();
            SCRATCH.with(|scratch| {
                scratch.slice(recurrence.scratch(images), |scratch| {
                    for t in 0..p.steps() {
                        walk.step(t, &mut cells);
                        let products = recurrence.of(h, &cells, scratch);
                        vectorize(
                            #[inline(always)]
                            || {
                                let maps = h.chunks_exact_mut(image).zip(c.chunks_exact_mut(image));
                                let maps = maps.zip(gates.chunks_exact_mut(4 * image));
                                let mut products = products.chunks_exact(4 * n);
                                for (((h, c), gates), u) in maps.zip(u.chunks_exact(4 * image)) {
                                    for cell in &cells {
                                        let Some(product) = products.next() else { return };
                                        // The cells of a step lie in different rows: more runs through memory than
                                        // the processor foresees.
                                        if let Some(after) = cell.after {
                                            prefetch(&u[4 * after * n..][..4 * n]);
                                            prefetch(&gates[4 * after * n..][..4 * n]);
                                        }
                                        let u = &u[4 * cell.index * n..][..4 * n];
                                        let gates = &mut gates[4 * cell.index * n..][..4 * n];
                                        forward_cell(n, [product, u, c0], cell, (h, c, gates));
                                    }
                                }
                            },
                        );
                    }
                })
            })
        });
    });
}

/// Computes channels `j..j + N` of a cell's gate gradients. The gradient of its h is the sum of `dh`, from the loss,
/// and `product`, from later cells. `dc` holds the gradient of its c and is replaced by the gradient of its input c.
#[inline(always)]
fn gradient_lanes<const N: usize>(
    (n, j): (usize, usize),
    (product, dh, c0): (&[f32], &[f32], &[f32]),
    (c, gates): (&[f32], &[f32]),
    (cell, before, last): (usize, Option<usize>, bool),
    (dgates, dc): (&mut [f32], &mut [f32]),
) {
    let (now, was) = (
        take::<N>(c, cell * n + j),
        before.map_or_else(|| take::<N>(c0, j), |b| take::<N>(c, b * n + j)),
    );
    let (outside, later) = (take::<N>(dh, cell * n + j), take::<N>(product, j));
    let dh = std::array::from_fn(|i| outside[i] + later[i]);
    let dcell = if last { [0.0; N] } else { take::<N>(dc, j) };
    let gates = four(&gates[4 * cell * n..], (n, j));
    let (d, dwas) = step_gradient(gates, (was, now), (dh, dcell));
    put_four(&mut dgates[4 * cell * n..], (n, j), &d);
    dc[j..j + N].copy_from_slice(&dwas);
}

/// Computes dgates, and the gradient of the c0 of every lane.
pub fn gradient(
    p: &LstmScanParams,
    [dh, s, c0, c, gates]: [&[f32]; 5],
    [dgates, dc]: [&mut [f32]; 2],
) {
    let walk = &Walk::new(p);
    let (n, image) = (walk.hidden, walk.cells() * walk.hidden);
    if dgates.is_empty() {
        return;
    }
    let images = group(p.batch as usize);
    let taps = Taps::new(&walk.order.windows(), n).reversed(4 * n);
    let (b, run) =
        (turned(s, walk.order.neighbours(), (n, 4 * n)), Columns::whole(n, taps.depth()));
    with_weights(&b, n, &[run], |weights| {
        let recurrence = &Recurrence { walk, taps, weights, columns: n };
        let lanes = p.edge() * n;
        let maps = dgates
            .par_chunks_mut(4 * images * image)
            .zip(dc.par_chunks_mut(images * lanes))
            .zip(gates.par_chunks(4 * images * image));
        let maps = maps.zip(c.par_chunks(images * image)).zip(dh.par_chunks(images * image));
        maps.for_each(|((((dgates, dc), gates), c), dh)| {
            // Steps run from last to first, so an earlier iteration has written every gradient that a step
            // reads. Neighbours outside the image count as 0.
            let mut cells = Vec::new();
            SCRATCH.with(|scratch| {
                scratch.slice(recurrence.scratch(images), |scratch| {
                    for t in (0..p.steps()).rev() {
                        walk.step(t, &mut cells);
                        let products = recurrence.of(dgates, &cells, scratch);
                        vectorize(
                            #[inline(always)]
                            || {
                                let maps = dgates.chunks_exact_mut(4 * image);
                                let maps = maps.zip(dc.chunks_exact_mut(lanes));
                                let maps = maps.zip(gates.chunks_exact(4 * image));
                                let maps =
                                    maps.zip(c.chunks_exact(image)).zip(dh.chunks_exact(image));
                                let mut products = products.chunks_exact(n);
                                for ((((dgates, dc), gates), c), dh) in maps {
                                    for cell in &cells {
                                        let Some(product) = products.next() else { return };
                                        // As in `forward`, but towards the first step.
                                        if let Some(before) = cell.before {
                                            prefetch(&gates[4 * before * n..][..4 * n]);
                                            prefetch(&dh[before * n..][..n]);
                                        }
                                        let dc = &mut dc[cell.lane * n..][..n];
                                        by_lanes!(n, |j| gradient_lanes(
                                            (n, j),
                                            (product, dh, c0),
                                            (c, gates),
                                            (cell.index, cell.before, cell.after.is_none()),
                                            (dgates, dc)
                                        ));
                                    }
                                }
                            },
                        );
                    }
                })
            })
        });
    });
}

/// Computes h and c at one cell of every image; the rest of both maps is unchanged.
pub fn at_cell(p: &LstmScanParams, [u, s, c0]: [&[f32]; 3], [h, c]: [&mut [f32]; 2]) {
    let walk = &Walk::new(p);
    let (n, image) = (walk.hidden, walk.cells() * walk.hidden);
    if h.is_empty() {
        return;
    }
    let taps = Taps::new(&walk.order.windows(), n);
    let run = Columns::whole(4 * n, taps.depth());
    let weights = &Weights::lying(s, 4 * n, &[run]);
    let recurrence = Recurrence { walk, taps, weights, columns: 4 * n };
    let at = (p.row as usize, p.column as usize);
    let cell = walk.cell(at, 0);
    SCRATCH.with(|scratch| {
        scratch.slice(4 * n + recurrence.scratch(p.batch as usize), |scratch| {
            // The gates are not an output, because there is no gradient.
            let (gates, scratch) = scratch.split_at_mut(4 * n);
            let products = recurrence.of(h, std::slice::from_ref(&cell), scratch);
            vectorize(
                #[inline(always)]
                || {
                    let maps = h.chunks_exact_mut(image).zip(c.chunks_exact_mut(image));
                    let maps = maps.zip(u.chunks_exact(4 * image));
                    for (((h, c), u), product) in maps.zip(products.chunks_exact(4 * n)) {
                        let u = &u[4 * cell.index * n..][..4 * n];
                        forward_cell(n, [product, u, c0], &cell, (h, c, gates));
                    }
                },
            );
        })
    });
}
