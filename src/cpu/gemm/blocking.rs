//! The loops around the micro-kernel, for one thread.

use super::Activation;
use super::isa::{Kernels, Wide};
use super::kernel::Tile;
use super::pack::Scratch;

/// Length of a k-block. A micro-panel of A, MR x KC, then is 12 KiB, and a panel of B, KC x NR, 32 KiB (AVX-512).
pub(super) const KC: usize = 256;
/// The same for a product of few rows: rows of B that are read side by side.
const KC_FEW: usize = 8;
/// Floats in a block of B, KC x NC: 512 KiB, half of a common L2 cache.
const B_BLOCK: usize = 128 * 1024;
/// Largest A, M x KC in floats, that stays in L2 while a packed B streams past it.
const A_BLOCK: usize = 32 * 1024;

/// A matrix by pointer. Its rows are contiguous and `stride` apart; if `columns`, its columns are. If `panel` is not
/// 0, it is packed: panels of `panel` columns, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub data: *const f32,
    pub stride: usize,
    pub columns: bool,
    pub panel: usize,
}

impl View {
    /// The part that starts at (i, j). In a packed matrix, j must be the first column of a panel.
    pub fn at(self, i: usize, j: usize) -> View {
        let offset = match j.checked_div(self.panel) {
            Some(panel) => panel * self.stride + i * self.panel,
            None if self.columns => j * self.stride + i,
            None => i * self.stride + j,
        };
        View { data: self.data.wrapping_add(offset), ..self }
    }
}

/// A matrix product by pointers, checked against the slices. Parts of it are products too.
///
/// Invariant, on which the safety of all functions with a `Product` rests: while it is in use, A\[i, p\], B\[p, j\] and
/// bias\[j\] can be read, and C\[i, j\] can be read and written, for all i < m, j < n and p < k; C shares no memory
/// with the others.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: View,
    pub b: View,
    pub c: *mut f32,
    pub c_stride: usize,
    /// n floats or null.
    pub bias: *const f32,
    pub activation: Activation,
    pub accumulate: bool,
}

// SAFETY: a pointer into a borrowed slice that is only read.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}
// SAFETY: parts handed to different threads write disjoint parts of C and only read A, B and bias.
unsafe impl Send for Product {}
// SAFETY: as above.
unsafe impl Sync for Product {}

impl Product {
    /// The part of C of `m` x `n` elements at (i, j).
    pub fn part(self, i: usize, m: usize, j: usize, n: usize) -> Product {
        Product {
            m,
            n,
            a: self.a.at(i, 0),
            b: self.b.at(0, j),
            c: self.c.wrapping_add(i * self.c_stride + j),
            bias: if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(j) },
            ..self
        }
    }

    /// The product over the terms `from..from + k` of the sum, with C moved by `offset` elements.
    pub fn terms(self, from: usize, k: usize, offset: usize) -> Product {
        Product {
            k,
            a: self.a.at(0, from),
            b: self.b.at(from, 0),
            c: self.c.wrapping_add(offset),
            ..self
        }
    }

    /// Number of floating-point operations; saturates instead of overflowing.
    #[inline]
    pub fn flops(&self) -> usize {
        2usize.saturating_mul(self.m).saturating_mul(self.n).saturating_mul(self.k)
    }

    /// Applies bias and activation to C, which holds the sum if `add`, and otherwise counts as 0.
    ///
    /// # Safety
    /// As for [`multiply`], whatever A, B and k are.
    pub unsafe fn finish(&self, kernels: &Kernels, add: bool) {
        for i in 0..self.m {
            // SAFETY: row i < m of C, which nobody else uses.
            let row =
                unsafe { std::slice::from_raw_parts_mut(self.c.add(i * self.c_stride), self.n) };
            if !add {
                row.fill(0.0);
            }
            if !self.bias.is_null() {
                // SAFETY: n floats of bias.
                let bias = unsafe { std::slice::from_raw_parts(self.bias, self.n) };
                for (x, b) in row.iter_mut().zip(bias) {
                    *x += b;
                }
            }
        }
        // SAFETY: all of C; the features are there.
        unsafe { (kernels.activate)(self.c, self.c_stride, self.m, self.n, self.activation) }
    }
}

thread_local! {
    static PACKED: Scratch = const { Scratch::new() };
}

/// Cuts `total` into the fewest pieces of at most `most`, as evenly as possible: (start, length) of each.
pub(super) fn even(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    cut(total, total.div_ceil(most))
}

/// Cuts `total` into `pieces`, as evenly as possible.
fn cut(total: usize, pieces: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..pieces).map(move |i| {
        let (from, to) = (i * total / pieces, (i + 1) * total / pieces);
        (from, to - from)
    })
}

/// Whether a B[k, n] with rows `stride` apart fits into L1 unpacked.
pub(super) fn stays_in_l1(k: usize, n: usize, stride: usize) -> bool {
    k * n <= 8192 && stride <= 256
}

/// The whole product on this thread.
///
/// # Safety
/// The pointers of `p` are valid for its shape (see [`Product`]), B is in panels of these kernels if it is
/// packed, no other thread uses this C, and the processor has the kernels' features.
pub(super) unsafe fn multiply(kernels: &Kernels, p: &Product) {
    if p.m == 0 || p.n == 0 {
        return;
    }
    if p.k == 0 {
        if !p.accumulate {
            // SAFETY: as promised by the caller.
            unsafe { p.finish(kernels, false) };
        }
        return;
    }
    let nr = 2 * kernels.lanes;
    let b_near = p.b.columns || stays_in_l1(p.k, p.n, p.b.stride);
    if p.n <= nr && p.k <= KC && p.b.panel == 0 && b_near {
        // SAFETY: as promised by the caller; there is a row, a column and a term, and n <= NR.
        return unsafe { one_panel(kernels, p) };
    }
    let plan = Plan::of(kernels, p);
    let b_far = p.k * p.n > 2 * B_BLOCK;
    if p.b.panel != 0 && b_far && !p.a.columns && p.m * plan.kc_most <= A_BLOCK {
        // SAFETY: as promised by the caller; B is packed, A is in rows, and no block of k is longer than
        // `kc_most`.
        return unsafe { pass_panels(kernels, p, plan.kc_most, plan.pack_a) };
    }
    // SAFETY: as promised by the caller; the plan is for this product.
    unsafe { blocks(kernels, p, &plan) }
}

/// The plan of a product: what is packed, the sizes of the blocks, and the tiles.
struct Plan<'k> {
    /// Number of blocks of k.
    k_blocks: usize,
    /// Longest block of k.
    kc_most: usize,
    /// Widest block of B.
    nc_most: usize,
    pack_a: bool,
    pack_b: bool,
    /// Tiles that are wider than a panel, where they pay off.
    wide: Option<&'k Wide>,
}

impl Plan<'_> {
    fn of<'k>(kernels: &'k Kernels, p: &Product) -> Plan<'k> {
        let nr = kernels.panel();
        // Packing B costs one more pass over it and pays off if many rows of C use it. It is not worth it if B fits
        // into L1 as it is, or if its rows are so close together that packing would reproduce the same layout.
        let in_panels = p.b.panel != 0;
        let b_in_l1 = stays_in_l1(p.k, p.n, p.b.stride) && !in_panels;
        let compact = p.b.stride <= 2 * nr;
        let pack_b = !in_panels && (p.b.columns || !(p.m <= 3 * kernels.mr || b_in_l1 || compact));
        // A micro-panel of A is read once for every NR columns. A packed copy avoids strides that map many cache
        // lines to the same few sets.
        let aliased = p.a.stride.is_multiple_of(256);
        let pack_a = p.n > if aliased { nr } else { 4 * nr };

        // A product of few rows uses wide tiles: they have enough independent sums to keep the multiply-add units
        // busy, and read B, which is used only once, in long runs. So does a short sum, where C is most of the
        // traffic: a wide tile writes long runs of C.
        let direct = !p.a.columns && !pack_b && !in_panels;
        let few = p.m <= kernels.few.tiles.len();
        let wide = [(&kernels.few, few), (&kernels.short, b_in_l1)]
            .into_iter()
            .find(|(wide, fit)| {
                *fit && direct && !wide.tiles.is_empty() && p.n >= wide.vectors * kernels.lanes
            })
            .map(|(wide, _)| wide);
        // With few rows, C stays in L1, and B is read about in the order in which it lies in memory.
        let stream = few && wide.is_some() && !b_in_l1;
        let k_blocks = if stream { p.k.div_ceil(KC_FEW) } else { p.k.div_ceil(KC) };
        let kc_most = p.k.div_ceil(k_blocks);
        let nc_most = (B_BLOCK / kc_most / nr * nr).max(nr);
        Plan { k_blocks, kc_most, nc_most, pack_a, pack_b, wide }
    }
}

/// Loops 1 to 3: the blocks of a product.
///
/// # Safety
/// As for [`multiply`]; and `plan` is for this product.
unsafe fn blocks(kernels: &Kernels, p: &Product, plan: &Plan) {
    let Plan { k_blocks, kc_most, nc_most, pack_a, pack_b, wide } = *plan;
    let nr = kernels.panel();
    let mr_most = wide.map_or(kernels.mr, |wide| wide.tiles.len());
    let b_len = if pack_b { kc_most * nc_most.min(p.n.next_multiple_of(nr)) } else { 0 };
    let mr_wide = kernels.mr.next_multiple_of(kernels.lanes);
    let kc_wide = kc_most.next_multiple_of(kernels.lanes) + kernels.lanes;
    let a_len = match (pack_a, p.a.columns) {
        (false, _) => 0,
        (true, true) => kc_most * mr_wide,
        (true, false) => kernels.mr * kc_wide,
    };
    PACKED.with(|packed| {
        // SAFETY: `even` and the steps cut m, n and k into ranges that are inside them, so the views begin
        // at elements of the operands, and `mr`, `nc` and `kc` reach no further than these. A packed
        // block of B has at most `nc_most` columns, and no more than all panels of n have, of `kc_most`
        // floats each; a micro-panel of A has `mr` <= MR runs or columns, padded by `mr_wide` and `kc_wide`
        // to whole vectors. So both fit the buffer. `jc` is a multiple of NR.
        packed.with(b_len.next_multiple_of(16) + a_len, |buffer| unsafe {
            let (b_block, a_panel) = (buffer, buffer.add(b_len.next_multiple_of(16)));
            // Loop 1, over n by NC: the columns of one block of B.
            for jc in (0..p.n).step_by(nc_most) {
                let nc = nc_most.min(p.n - jc);
                // Loop 2, over k by KC: the block of B, KC x NC, lives in L2.
                for (block, (pc, kc)) in cut(p.k, k_blocks).enumerate() {
                    let mut b = p.b.at(pc, jc);
                    if pack_b {
                        let pack =
                            if b.columns { kernels.pack_b_columns } else { kernels.pack_b_rows };
                        pack(b.data, b.stride, kc, nc, b_block);
                        b = View { data: b_block, stride: nr * kc, columns: false, panel: nr };
                    }
                    // Loop 3, over m by MR: the micro-panel of A, MR x KC, lives in L1.
                    for (ir, mr) in even(p.m, mr_most) {
                        let mut a = p.a.at(ir, pc);
                        if pack_a {
                            let (runs, len, stride) =
                                if a.columns { (kc, mr, mr_wide) } else { (mr, kc, kc_wide) };
                            (kernels.pack_a_runs)(a.data, a.stride, runs, len, a_panel, stride);
                            a = View { data: a_panel, stride, ..a };
                        }
                        if !a.columns && ir + 2 * mr <= p.m {
                            let next = p.a.at(ir + mr, pc);
                            (kernels.prefetch_runs)(next.data, next.stride, mr, kc);
                        }
                        let (first, last) = (block == 0, block + 1 == k_blocks);
                        let rows = Product { m: mr, k: kc, a, b, ..p.part(ir, mr, jc, nc) };
                        row_of_tiles(kernels, &rows, wide, (first, last));
                    }
                }
            }
        });
    });
}

/// Loop 4, over NC by NR: panels of B stream from L2 past the panel of A. `p` is at most MR rows of one block of k,
/// which is the `first` or the `last` one or neither.
///
/// # Safety
/// As for [`multiply`]; there is a kernel for m rows.
#[inline]
unsafe fn row_of_tiles(
    kernels: &Kernels,
    p: &Product,
    wide: Option<&Wide>,
    (first, last): (bool, bool),
) {
    let mut jr = 0;
    while jr < p.n {
        let wide = wide.filter(|wide| p.n - jr >= wide.vectors * kernels.lanes);
        let vectors =
            wide.map_or_else(|| (p.n - jr).div_ceil(kernels.lanes).min(2), |wide| wide.vectors);
        let cols = (vectors * kernels.lanes).min(p.n - jr);
        let run = if let Some(wide) = wide {
            wide.tiles[p.m - 1]
        } else {
            let part = !cols.is_multiple_of(kernels.lanes);
            kernels.tiles[usize::from(p.a.columns)][usize::from(part)][vectors - 1][p.m - 1]
        };
        let b = p.b.at(0, jr).data;
        // SAFETY: `cols` columns from `jr` on are part of the product. There is a kernel for each number of vectors,
        // and a wide one only runs with as many whole vectors of columns, on a B in rows. In a packed B, `jr` is
        // a multiple of NR, since all tiles but the last are two vectors wide. The rows were just written when they
        // are activated, and are still in L1.
        unsafe {
            // Loop 5, over KC, is the micro-kernel: the tile of C, MR x NR, lives in registers.
            run(&Tile {
                a: p.a.data,
                a_stride: p.a.stride,
                b,
                b_stride: if p.b.panel == 0 { p.b.stride } else { p.b.panel },
                c: p.c.add(jr),
                c_stride: p.c_stride,
                k: p.k,
                cols,
                add: p.accumulate || !first,
                bias: if p.bias.is_null() || !last { std::ptr::null() } else { p.bias.add(jr) },
                ahead: (b, 0),
            });
        }
        jr += cols;
    }
    if last && p.activation != Activation::None {
        // SAFETY: as promised by the caller.
        unsafe { (kernels.activate)(p.c, p.c_stride, p.m, p.n, p.activation) };
    }
}

/// The whole product if B is a single panel and a single k-block. For products this small, planning would take longer
/// than the arithmetic.
///
/// # Safety
/// As for [`multiply`]; and 0 < n <= NR, m > 0, k > 0, and B is not packed.
unsafe fn one_panel(kernels: &Kernels, p: &Product) {
    let part = usize::from(!p.n.is_multiple_of(kernels.lanes));
    let tiles = &kernels.tiles[usize::from(p.a.columns)][part][p.n.div_ceil(kernels.lanes) - 1];
    let run = |b: *const f32, b_stride: usize| {
        for (i, mr) in even(p.m, kernels.mr) {
            let c = p.c.wrapping_add(i * p.c_stride);
            // SAFETY: rows i..i + `mr` of the product with all its columns, for which `tiles` has as many
            // vectors; b is B or its copy.
            unsafe {
                tiles[mr - 1](&Tile {
                    a: p.a.at(i, 0).data,
                    a_stride: p.a.stride,
                    b,
                    b_stride,
                    c,
                    c_stride: p.c_stride,
                    k: p.k,
                    cols: p.n,
                    add: p.accumulate,
                    bias: p.bias,
                    // The rows of the next tile, which nothing has read yet, at an even pace.
                    ahead: (p.a.at(i + mr, 0).data, mr * p.a.stride / p.k),
                });
                if p.activation != Activation::None {
                    (kernels.activate)(c, p.c_stride, mr, p.n, p.activation);
                }
            }
        }
    };
    if !p.b.columns {
        return run(p.b.data, p.b.stride);
    }
    let nr = 2 * kernels.lanes;
    PACKED.with(|packed| {
        packed.with(p.k * nr, |b| {
            // SAFETY: B as the caller guarantees, into a buffer of a panel of k rows.
            unsafe { (kernels.pack_b_columns)(p.b.data, p.b.stride, p.k, p.n, b) };
            run(b, nr);
        });
    });
}

/// The whole product for few rows and a packed B that is larger than L2: a weight that every product fetches from L3
/// or memory. Loops 3 and 4 are exchanged, so that all rows use a panel before the next one, and each panel is fetched
/// once. The tiles of one panel prefetch the next at an even pace.
///
/// # Safety
/// As for [`multiply`]; and B is packed, A is in rows, and `kc_most` is the longest block of k.
unsafe fn pass_panels(kernels: &Kernels, p: &Product, kc_most: usize, pack_a: bool) {
    let nr = 2 * kernels.lanes;
    let kc_wide = kc_most.next_multiple_of(kernels.lanes) + kernels.lanes;
    let tiles = p.m.div_ceil(kernels.mr);
    // Floats of the next panel to prefetch in each step of a tile's sum.
    let pace = nr.div_ceil(tiles);
    PACKED.with(|packed| {
        // SAFETY: as in `multiply`; the copy of A has m rows of `kc` <= `kc_most` floats, padded to whole
        // vectors by `kc_wide`. What is fetched ahead is not read.
        packed.with(if pack_a { p.m * kc_wide } else { 0 }, |a_block| unsafe {
            for (pc, kc) in even(p.k, KC) {
                let (first, last) = (pc == 0, pc + kc == p.k);
                let mut a = p.a.at(0, pc);
                if pack_a {
                    (kernels.pack_a_runs)(a.data, a.stride, p.m, kc, a_block, kc_wide);
                    a = View { data: a_block, stride: kc_wide, ..a };
                }
                for jr in (0..p.n).step_by(nr) {
                    let cols = nr.min(p.n - jr);
                    let vectors = cols.div_ceil(kernels.lanes);
                    let part = usize::from(!cols.is_multiple_of(kernels.lanes));
                    let next = match (jr + nr < p.n, last) {
                        (true, _) => p.b.at(pc, jr + nr),
                        (false, false) => p.b.at(pc + kc, 0),
                        (false, true) => p.b.at(pc, jr),
                    };
                    for (i, (ir, mr)) in even(p.m, kernels.mr).enumerate() {
                        let c = p.c.add(ir * p.c_stride + jr);
                        let bias = !p.bias.is_null() && last;
                        kernels.tiles[0][part][vectors - 1][mr - 1](&Tile {
                            a: a.at(ir, 0).data,
                            a_stride: a.stride,
                            b: p.b.at(pc, jr).data,
                            b_stride: nr,
                            c,
                            c_stride: p.c_stride,
                            k: kc,
                            cols,
                            add: p.accumulate || !first,
                            bias: if bias { p.bias.add(jr) } else { std::ptr::null() },
                            ahead: (next.data.wrapping_add(i * kc * pace), pace),
                        });
                        if last && p.activation != Activation::None {
                            (kernels.activate)(c, p.c_stride, mr, cols, p.activation);
                        }
                    }
                }
            }
        });
    });
}
