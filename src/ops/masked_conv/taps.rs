//! What the visible taps of a window see of a map, gathered into rows of a matrix.
//!
//! Taps of one row of the window are neighbours in memory, so a pixel's part of the matrix is one run of
//! copies a row of the window. Pixels are gathered a line at a time, a row or a diagonal of the image: of those
//! whose run lies inside, only two addresses change from pixel to pixel.
//!
//! Shapes: map \[H, W, channels\], a line's rows of the matrix \[pixels, taps * channels\].

use std::ops::Range;

use crate::ops::masked_conv::{MaskedConvParams, Window};

/// Taps of one row of a window: `count` of them, `first` in order, at rows `dy` and columns from `dx`.
#[derive(Clone, Copy)]
struct Run {
    dy: isize,
    dx: isize,
    first: usize,
    count: usize,
}

/// Pixels one after another: from (row, column) on, each `step` further; steps are -1, 0 or 1.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub from: (usize, usize),
    pub step: (isize, isize),
    pub pixels: usize,
}

impl Line {
    /// Row `r` of an image.
    pub fn row(r: usize, width: usize) -> Line {
        Line { from: (r, 0), step: (0, 1), pixels: width }
    }

    fn pixel(&self, i: usize) -> (usize, usize) {
        let at = |from: usize, step: isize| from.wrapping_add_signed(step * i as isize);
        (at(self.from.0, self.step.0), at(self.from.1, self.step.1))
    }

    /// The pixels at which a coordinate that starts at `from` is in `range`.
    fn within(&self, from: isize, step: isize, range: Range<isize>) -> Range<isize> {
        let n = self.pixels as isize;
        match step {
            1 => (range.start - from).max(0)..(range.end - from).min(n),
            -1 => (from - range.end + 1).max(0)..(from - range.start + 1).min(n),
            _ if range.contains(&from) => 0..n,
            _ => 0..0,
        }
    }
}

/// A window over maps of `channels` channels.
pub(crate) struct Taps {
    runs: Vec<Run>,
    channels: usize,
    /// Taps.
    count: usize,
    relu: bool,
}

impl Taps {
    /// As the parameters say, over x.
    pub fn forward(p: &MaskedConvParams) -> Taps {
        let window = Window::open((p.top, p.left), p.across as usize, p.taps as usize);
        Taps { relu: p.relu_before != 0, ..Taps::new(&[window], p.inputs as usize) }
    }

    /// The taps of all `windows`, over maps of `channels` channels.
    pub fn new(windows: &[Window], channels: usize) -> Taps {
        let (mut runs, mut count) = (Vec::new(), 0);
        for w in windows {
            for first in (0..w.taps).step_by(w.width) {
                runs.push(Run {
                    dy: w.top as isize + (first / w.width) as isize,
                    dx: w.left as isize,
                    first: count + first,
                    count: w.width.min(w.taps - first),
                });
            }
            count += w.taps;
        }
        Taps { runs, channels, count, relu: false }
    }

    /// The same taps seen from the other end, the last one first: what the gradient of x reads, from
    /// maps of `channels` channels.
    pub fn reversed(&self, channels: usize) -> Taps {
        let turn = |run: &Run| Run {
            dy: -run.dy,
            dx: -(run.dx + run.count as isize - 1),
            first: self.count - run.first - run.count,
            count: run.count,
        };
        let runs = self.runs.iter().rev().map(turn).collect();
        Taps { runs, channels, count: self.count, relu: false }
    }

    /// Channels of the maps.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Columns of the gathered matrix.
    pub fn depth(&self) -> usize {
        self.count * self.channels
    }

    /// Whether the gathered matrix is the map itself.
    pub fn plain(&self) -> bool {
        self.count == 1 && !self.relu && (self.runs[0].dy, self.runs[0].dx) == (0, 0)
    }

    /// What the taps see from the pixels of a line, zeros outside; `to` holds its rows of the matrix.
    #[inline(always)]
    pub fn gather(&self, map: &[f32], (height, width): (usize, usize), line: Line, to: &mut [f32]) {
        let (k, depth) = (self.channels, self.depth());
        let (r, c) = (line.from.0 as isize, line.from.1 as isize);
        for run in &self.runs {
            // Pixels from which the run lies inside, `first..last` of the line.
            let rows = line.within(r + run.dy, line.step.0, 0..height as isize);
            let columns = 0..width as isize - run.count as isize + 1;
            let columns = line.within(c + run.dx, line.step.1, columns);
            let first = rows.start.max(columns.start) as usize;
            let last = (rows.end.min(columns.end).max(first as isize)) as usize;
            for i in (0..first.min(line.pixels)).chain(last..line.pixels) {
                let to = &mut to[i * depth..][..depth];
                self.gather_part(run, map, (height, width), line.pixel(i), to);
            }
            if first == last {
                continue;
            }
            let (row, column) = line.pixel(first);
            let from = row.wrapping_add_signed(run.dy) * width;
            let from = (from + column.wrapping_add_signed(run.dx)) * k;
            let step = (line.step.0 * width as isize + line.step.1) * k as isize;
            let (at, len) = (run.first * k, run.count * k);
            let to = to[first * depth..last * depth].chunks_exact_mut(depth.max(1));
            for (i, to) in to.enumerate() {
                let from = &map[from.wrapping_add_signed(i as isize * step)..][..len];
                let to = &mut to[at..][..len];
                if self.relu { copy_relu(to, from) } else { copy(to, from) }
            }
        }
    }

    /// A run that may lie outside in part, from pixel (r, c); `to` is the pixel's row of the matrix.
    fn gather_part(
        &self,
        run: &Run,
        map: &[f32],
        (height, width): (usize, usize),
        (r, c): (usize, usize),
        to: &mut [f32],
    ) {
        let k = self.channels;
        let to = &mut to[run.first * k..][..run.count * k];
        let row = r as isize + run.dy;
        if row < 0 || row >= height as isize {
            to.fill(0.0);
            return;
        }
        // Taps `low..high` of the run lie inside.
        let start = c as isize + run.dx;
        let low = (-start).clamp(0, run.count as isize) as usize;
        let high = (width as isize - start).clamp(low as isize, run.count as isize) as usize;
        to[..low * k].fill(0.0);
        to[high * k..].fill(0.0);
        if low == high {
            return;
        }
        let from = (row as usize * width + (start + low as isize) as usize) * k;
        let (to, from) = (&mut to[low * k..high * k], &map[from..][..(high - low) * k]);
        if self.relu { copy_relu(to, from) } else { copy(to, from) }
    }
}

/// max(x, 0), a NaN staying one.
#[inline(always)]
fn copy_relu(to: &mut [f32], from: &[f32]) {
    for (to, &x) in to.iter_mut().zip(from) {
        *to = if x < 0.0 { 0.0 } else { x };
    }
}

/// A short copy, without the call of a long one.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    let (to_lines, to_rest) = to.as_chunks_mut::<16>();
    let (from_lines, from_rest) = from.as_chunks::<16>();
    for (to, from) in to_lines.iter_mut().zip(from_lines) {
        *to = *from;
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = *from;
    }
}
