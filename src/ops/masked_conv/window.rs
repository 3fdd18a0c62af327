//! The positions of a convolution's taps, and which of its multiplications are visible through the mask.
//!
//! With colour groups (`mask/mod.rs`), the nonzero part of the centre tap's matrix \[in, out\] is a staircase: outputs
//! of the first group read only the first inputs, outputs of the last group read all. With three colours, a third
//! of a 1 x 1 kernel's weights are hidden. Since the channels of a group are adjacent, each run of columns
//! can be computed as a smaller product with fewer terms.

use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use crate::ops::mask::{Mask, Sight};

/// Offsets of the taps: relative to the pixel that is computed, tap t is at row `top + t / width` and column
/// `left + t % width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Row of the first tap.
    pub top: i32,
    /// Column of the first tap.
    pub left: i32,
    /// Number of taps in a row.
    pub width: usize,
    /// Number of taps; the last row may be incomplete.
    pub taps: usize,
    /// The mask that the weights were packed with. If it has several colour groups, the last tap is the
    /// centre, and kernels may skip its hidden weights.
    pub mask: Mask,
}

impl Window {
    /// The visible taps of a centred `height` x `width` kernel with this mask.
    pub fn centred(height: usize, width: usize, mask: Mask) -> Window {
        let taps = mask.taps(height, width);
        Window { top: -((height / 2) as i32), left: -((width / 2) as i32), width, taps, mask }
    }

    /// A window without a mask: `taps` taps in rows of `width`, the first at (top, left).
    pub fn open((top, left): (i32, i32), width: usize, taps: usize) -> Window {
        Window { top, left, width, taps, mask: Mask::NONE }
    }
}

/// Ranges of terms of a sum, mostly one, which then needs no allocation.
pub(crate) type Terms = SmallVec<[Range<usize>; 1]>;
/// Runs of columns, one if nothing is masked.
pub(crate) type Runs = SmallVec<[Columns; 1]>;

/// A run of columns of a matrix product whose sums have the same terms, given as ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub columns: Range<usize>,
    pub terms: Terms,
}

/// Borders between runs are multiples of this, the widest vector. A run may therefore include a few columns for which
/// the last weights are hidden (stored as 0).
const VECTOR: usize = 16;
/// Smallest number of channels, inputs and outputs, for which runs are faster than one dense product.
const FEWEST: usize = 2 * VECTOR;

/// The visible multiplications of a convolution with weights \[taps, inputs, outputs\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct VisibleProducts {
    pub taps: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// Number of colour groups; 1 if the last tap is not masked.
    pub groups: usize,
    /// Outputs of each of the stacked maps, within which groups are counted.
    pub stack: usize,
    /// 1 if an output reads its own colour group in the last tap, else 0.
    pub own: usize,
}

/// The first channel of a group.
fn first(group: usize, channels: usize, groups: usize) -> usize {
    (group * channels).div_ceil(groups).min(channels)
}

impl VisibleProducts {
    /// The visible multiplications of a kernel with this number of taps and this mask.
    pub fn new(taps: usize, (inputs, outputs): (usize, usize), mask: Mask) -> VisibleProducts {
        let groups = if mask.sight == Sight::Everything { 1 } else { mask.groups };
        let own = usize::from(mask.sight != Sight::A || groups == 1);
        VisibleProducts { taps, inputs, outputs, groups, stack: outputs / mask.stacks, own }
    }

    /// Number of leading input channels of the last tap that outputs of this group read.
    fn seen(&self, group: usize) -> usize {
        first(group + self.own, self.inputs, self.groups)
    }

    /// Number of multiply-adds per pixel, without those with hidden weights.
    pub fn count(&self) -> usize {
        let size = |g| first(g + 1, self.stack, self.groups) - first(g, self.stack, self.groups);
        let centre: usize = (0..self.groups).map(|g| size(g) * self.seen(g)).sum();
        let stacks = self.outputs / self.stack.max(1);
        self.taps.saturating_sub(1) * self.inputs * self.outputs
            + if self.taps > 0 { stacks * centre } else { 0 }
    }

    fn dense(&self) -> bool {
        self.groups == 1 || self.taps == 0 || self.inputs.min(self.stack) < FEWEST
    }

    /// The runs of the forward product \[pixels, taps * inputs\] \[taps * inputs, outputs\]. Each has one range of
    /// terms, which starts at 0.
    pub fn by_output(&self) -> Runs {
        if self.dense() {
            return smallvec![Columns::whole(self.outputs, self.taps * self.inputs)];
        }
        let before = (self.taps - 1) * self.inputs;
        let border = |g| match g == self.groups {
            true => self.stack,
            false => first(g, self.stack, self.groups) / VECTOR * VECTOR,
        };
        let mut runs = Runs::new();
        for stack in (0..self.outputs).step_by(self.stack) {
            for g in 0..self.groups {
                let columns = stack + border(g)..stack + border(g + 1);
                push(&mut runs, columns, one(0..before + self.seen(g)));
            }
        }
        runs
    }

    /// The runs of the product for the gradient of x, \[pixels, taps * outputs\] \[taps * outputs, inputs\], in which
    /// the last tap comes first.
    pub fn by_input(&self) -> Runs {
        if self.dense() {
            return smallvec![Columns::whole(self.inputs, self.taps * self.outputs)];
        }
        let border =
            |g| first(g, self.inputs, self.groups).next_multiple_of(VECTOR).min(self.inputs);
        let mut runs = Runs::new();
        for g in 0..self.groups {
            // The first outputs that read this group: its own outputs (mask B) or those of the next group (mask A).
            let from = first(g + 1 - self.own, self.stack, self.groups);
            let mut terms = Terms::new();
            let stacks = (0..self.outputs).step_by(self.stack).map(|s| s + from..s + self.stack);
            for range in stacks.chain(one(self.outputs..self.taps * self.outputs)) {
                match terms.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ if range.is_empty() => {}
                    _ => terms.push(range),
                }
            }
            if terms.is_empty() {
                terms.push(0..0);
            }
            push(&mut runs, border(g)..border(g + 1), terms);
        }
        runs
    }
}

impl Columns {
    /// One run of all columns with all terms.
    pub fn whole(columns: usize, terms: usize) -> Columns {
        Columns { columns: 0..columns, terms: one(0..terms) }
    }
}

fn one(range: Range<usize>) -> Terms {
    smallvec![range]
}

/// Adds a run, merging it with the previous one if that has the same terms.
fn push(runs: &mut Runs, columns: Range<usize>, terms: Terms) {
    match runs.last_mut() {
        _ if columns.is_empty() => {}
        Some(last) if last.terms == terms => last.columns.end = columns.end,
        _ => runs.push(Columns { columns, terms }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> impl Iterator<Item = VisibleProducts> {
        let sizes = [(3, 16), (40, 72), (64, 64), (72, 40), (129, 128), (256, 384), (33, 90)];
        let masks = [Sight::A, Sight::B].into_iter().flat_map(|sight| {
            [1, 2, 3].into_iter().flat_map(move |groups| {
                [1, 2].map(|stacks| Mask { stacks, ..Mask::new(sight, groups) })
            })
        });
        masks.flat_map(move |mask| {
            sizes.into_iter().flat_map(move |size| {
                [1, 5].map(|taps| VisibleProducts::new(mask.taps(1, 1).max(taps), size, mask))
            })
        })
    }

    /// Whether output o reads input i of the last tap, straight from section 3.4.
    fn shown(p: &VisibleProducts, i: usize, o: usize) -> bool {
        let (from, to) = (i * p.groups / p.inputs, o % p.stack * p.groups / p.stack);
        from < to || p.own == 1 && from == to
    }

    #[test]
    fn every_visible_product_is_in_just_one_run_and_most_others_in_none() {
        for p in shapes() {
            let (taps, inputs, outputs) = (p.taps, p.inputs, p.outputs);
            let mut visible = 0;
            // For each tap, input and output: how often it is in the runs of the two products.
            let mut found = vec![[0, 0]; taps * inputs * outputs];
            for (way, runs) in [p.by_output(), p.by_input()].into_iter().enumerate() {
                for Columns { columns, terms } in runs {
                    for (column, term) in columns
                        .flat_map(|c| terms.iter().cloned().flatten().map(move |term| (c, term)))
                    {
                        let (t, i, o) = match way {
                            0 => (term / inputs, term % inputs, column),
                            _ => (taps - 1 - term / outputs, column, term % outputs),
                        };
                        found[(t * inputs + i) * outputs + o][way] += 1;
                    }
                }
            }
            for (at, found) in found.iter().enumerate() {
                let (t, i, o) = (at / (inputs * outputs), at / outputs % inputs, at % outputs);
                assert!(found.iter().all(|&n| n <= 1), "{p:?}: {t} {i} {o} {found:?}");
                if t + 1 < taps || shown(&p, i, o) {
                    visible += 1;
                    assert_eq!(*found, [1, 1], "{p:?}: tap {t}, {i} to {o}");
                }
            }
            assert_eq!(p.count(), visible, "{p:?}");
            if p.inputs.min(p.stack) >= 128 {
                let all = [0, 1].map(|way| found.iter().map(|n| n[way]).sum::<usize>());
                let spare = taps * inputs * outputs - visible;
                assert!(all.iter().all(|&n| n - visible <= spare / 2), "{p:?}: {all:?} {visible}");
            }
        }
    }
}
