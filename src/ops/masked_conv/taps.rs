//! Gathers the pixels that the visible taps of a window read into the rows of a matrix (im2col).
//!
//! The taps in one row of the window read adjacent memory, so each of these rows is one contiguous copy (a run) per
//! pixel. Pixels are gathered a line at a time; a line is a row or a diagonal of the image. For pixels whose run is
//! inside the image, only the source and target addresses change from pixel to pixel.
//!
//! Shapes: map \[H, W, channels\], a line's rows of the matrix \[pixels, taps * channels\].

use std::ops::Range;

use smallvec::SmallVec;

use crate::ops::masked_conv::{MaskedConvParams, Window};

/// The taps in one row of a window.
#[derive(Clone, Copy)]
struct Run {
    /// Row and first column, relative to the pixel that is computed.
    dy: isize,
    dx: isize,
    /// Index of the first tap.
    first: usize,
    /// Number of taps.
    count: usize,
}

/// A line of pixels that starts at `from` (row, column); the distance between pixels is `step`, whose components are
/// -1, 0 or 1.
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

    /// The range of pixels for which a coordinate that starts at `from` and changes by `step` is in `range`.
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
    runs: SmallVec<[Run; 4]>,
    channels: usize,
    /// Number of taps.
    count: usize,
    /// Whether to apply a ReLU to the gathered values.
    relu: bool,
}

impl Taps {
    /// The taps that a forward convolution reads from x.
    pub fn forward(p: &MaskedConvParams) -> Taps {
        let window = Window::open((p.top, p.left), p.across as usize, p.taps as usize);
        Taps { relu: p.relu_before != 0, ..Taps::new(&[window], p.inputs as usize) }
    }

    /// The taps of all `windows`, over maps of `channels` channels.
    pub fn new(windows: &[Window], channels: usize) -> Taps {
        let (mut runs, mut count) = (SmallVec::new(), 0);
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

    /// The taps with negated offsets, in reverse order, over maps of `channels` channels: the gradient of x reads d
    /// through them.
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

    /// Number of columns of the gathered matrix.
    pub fn depth(&self) -> usize {
        self.count * self.channels
    }

    /// Whether the gathered matrix equals the map, so that gathering is unnecessary.
    pub fn plain(&self) -> bool {
        self.count == 1 && !self.relu && (self.runs[0].dy, self.runs[0].dx) == (0, 0)
    }

    /// Gathers the taps of the pixels of a line, with zeros outside the image, into `to`, the matrix rows of the line.
    #[inline(always)]
    pub fn gather(&self, map: &[f32], (height, width): (usize, usize), line: Line, to: &mut [f32]) {
        if line.pixels == 1 {
            return self.gather_pixel(map, (height, width), line.from, to);
        }
        let (k, depth) = (self.channels, self.depth());
        let (r, c) = (line.from.0 as isize, line.from.1 as isize);
        for run in &self.runs {
            // For pixels `first..last` of the line, the run is inside the image.
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

    /// Gathers the taps of a single pixel into `to`, its row of the matrix.
    #[inline(always)]
    pub fn gather_pixel(
        &self,
        map: &[f32],
        size: (usize, usize),
        at: (usize, usize),
        to: &mut [f32],
    ) {
        for run in &self.runs {
            self.gather_part(run, map, size, at, to);
        }
    }

    /// Gathers a run that may be partly outside the image, for pixel (r, c); `to` is the pixel's row of the matrix.
    #[inline(always)]
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
        // Taps `low..high` of the run are inside the image.
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

/// max(x, 0); NaN stays NaN.
#[inline(always)]
fn copy_relu(to: &mut [f32], from: &[f32]) {
    for (to, &x) in to.iter_mut().zip(from) {
        *to = if x < 0.0 { 0.0 } else { x };
    }
}

/// An inlined copy; for short runs, calling `memcpy` would dominate.
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
