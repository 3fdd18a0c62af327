//! Where the taps of a convolution lie, and which of its products a mask leaves.
//!
//! A mask with colour groups (`mask.rs`) makes the centre tap's matrix \[in, out\] a staircase: outputs of
//! the first group see the first inputs only, those of the last all of them. A third of a 1 x 1 kernel's products
//! with three colours are with weights that are 0 by definition. As groups lie side by side, each run of columns of the
//! product is a smaller product of its own, with fewer terms.

use std::ops::Range;

use crate::ops::mask::{Mask, Sight};

/// Offsets of taps: tap t is `t / width` rows below `top` and `t % width` columns right of `left`,
/// relative to the pixel that is computed. And what of the last one is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Row of the first tap.
    pub top: i32,
    /// Column of the first tap.
    pub left: i32,
    /// Taps of a row.
    pub width: usize,
    /// Number of taps; the last row may be incomplete.
    pub taps: usize,
    /// The mask that the weights were packed with: if it has several colour groups, the last tap is the
    /// centre, and what it hides there may be left out.
    pub mask: Mask,
}

impl Window {
    /// What `mask` shows of a centred kernel of `height` x `width`.
    pub fn centred(height: usize, width: usize, mask: Mask) -> Window {
        let taps = mask.taps(height, width);
        Window { top: -((height / 2) as i32), left: -((width / 2) as i32), width, taps, mask }
    }

    /// Taps that see everything.
    pub fn open((top, left): (i32, i32), width: usize, taps: usize) -> Window {
        Window { top, left, width, taps, mask: Mask::NONE }
    }
}

/// Columns of a matrix product whose sums have the same terms, in ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub columns: Range<usize>,
    pub terms: Vec<Range<usize>>,
}

/// Borders between runs of columns are multiples of this, the widest vector: a run may have a few columns whose
/// last terms are 0.
const VECTOR: usize = 16;
/// Fewest channels of either side for which runs pay.
const FEWEST: usize = 2 * VECTOR;

/// The products of a convolution with weights \[taps, inputs, outputs\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct VisibleProducts {
    pub taps: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// Colour groups; 1 if the last tap shows everything.
    pub groups: usize,
    /// Outputs of one of the stacked maps, among which groups are counted.
    pub stack: usize,
    /// 1 if a channel sees its own group in the last tap, else 0.
    pub own: usize,
}

/// The first channel of a group.
fn first(group: usize, channels: usize, groups: usize) -> usize {
    (group * channels).div_ceil(groups).min(channels)
}

impl VisibleProducts {
    /// Those that `mask` leaves of a kernel with this number of taps.
    pub fn new(taps: usize, (inputs, outputs): (usize, usize), mask: Mask) -> VisibleProducts {
        let groups = if mask.sight == Sight::Everything { 1 } else { mask.groups };
        let own = usize::from(mask.sight != Sight::A || groups == 1);
        VisibleProducts { taps, inputs, outputs, groups, stack: outputs / mask.stacks, own }
    }

    /// Number of leading input channels of the last tap that outputs of a group see.
    fn seen(&self, group: usize) -> usize {
        first(group + self.own, self.inputs, self.groups)
    }

    /// Multiply-adds of a pixel, none with a hidden weight.
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

    /// The runs of the product \[pixels, taps * inputs\] \[taps * inputs, outputs\]; each has one range of terms,
    /// from 0.
    pub fn by_output(&self) -> Vec<Columns> {
        if self.dense() {
            return vec![Columns::whole(self.outputs, self.taps * self.inputs)];
        }
        let before = (self.taps - 1) * self.inputs;
        let border = |g| match g == self.groups {
            true => self.stack,
            false => first(g, self.stack, self.groups) / VECTOR * VECTOR,
        };
        let mut runs = Vec::new();
        for stack in (0..self.outputs).step_by(self.stack) {
            for g in 0..self.groups {
                let columns = stack + border(g)..stack + border(g + 1);
                push(&mut runs, columns, one(0..before + self.seen(g)));
            }
        }
        runs
    }

    /// The runs of the product \[pixels, taps * outputs\] \[taps * outputs, inputs\], the last tap first: that of the
    /// gradient of x.
    pub fn by_input(&self) -> Vec<Columns> {
        if self.dense() {
            return vec![Columns::whole(self.inputs, self.taps * self.outputs)];
        }
        let border =
            |g| first(g, self.inputs, self.groups).next_multiple_of(VECTOR).min(self.inputs);
        let mut runs = Vec::new();
        for g in 0..self.groups {
            // Outputs of this group, or of the next one, are the first to see it.
            let from = first(g + 1 - self.own, self.stack, self.groups);
            let mut terms: Vec<Range<usize>> = Vec::new();
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
    /// All of a product's columns, with all of its terms.
    pub fn whole(columns: usize, terms: usize) -> Columns {
        Columns { columns: 0..columns, terms: one(0..terms) }
    }
}

fn one(range: Range<usize>) -> Vec<Range<usize>> {
    std::iter::once(range).collect()
}

/// Adds a run, to the one before if that has the same terms.
fn push(runs: &mut Vec<Columns>, columns: Range<usize>, terms: Vec<Range<usize>>) {
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

    /// Whether input i of the last tap is seen by output o: section 3.4, written out.
    fn shown(p: &VisibleProducts, i: usize, o: usize) -> bool {
        let (from, to) = (i * p.groups / p.inputs, o % p.stack * p.groups / p.stack);
        from < to || p.own == 1 && from == to
    }

    #[test]
    fn every_visible_product_is_in_just_one_run_and_most_others_in_none() {
        for p in shapes() {
            let (taps, inputs, outputs) = (p.taps, p.inputs, p.outputs);
            let mut visible = 0;
            // By tap, input and output: how often the two products have it.
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
