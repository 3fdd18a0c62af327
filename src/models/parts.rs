//! The loss of a batch and its gradients; of some models, on the CPU, of two parts of the rows at a time.
//!
//! A step of DRAW is thousands of small operations, one of a pixel model hundreds, each waiting for the one
//! before. Shared out one by one, two threads wait for each other at the end of each, and an operation
//! finds part of its operands in the other core's cache. With half of the rows each, on a tape of its own,
//! they meet once a step, to add up the gradients; and the pool gives a thread the buffers that it gave back
//! itself. What is a part depends on the rows alone, so threads change no bit.

use std::ops::Range;

use rayon::prelude::*;

use super::Model;
use crate::Tape;
use crate::autograd::{Gradients, Param};
use crate::cpu::gemm::in_share;
use crate::device::Device;
use crate::ops::binary::{self, Operation};
use crate::ops::layout::slice;
use crate::rng::Key;
use crate::tensor::Tensor;

/// How a model's step is cut in two (see [`Model::in_parts`]).
pub struct Parts<'a> {
    /// Rows from which on a part is worth its own products.
    pub rows: usize,
    /// Large weights \[out, in\] that both parts use many times.
    pub packed: Vec<&'a Param>,
}

/// What both parts use, where a step of so many rows is cut in two.
fn cut<'a>(model: &'a dyn Model, rows: usize, device: &Device) -> Option<Vec<&'a Param>> {
    let parts = model.in_parts().filter(|parts| device.is_cpu() && rows >= 2 * parts.rows)?;
    Some(parts.packed)
}

/// Rows whose values are in memory at once in a step of so many: a part's, where one thread makes both.
pub fn rows_at_once(model: &dyn Model, rows: usize, device: &Device) -> usize {
    let one_by_one = rayon::current_num_threads() == 1 && cut(model, rows, device).is_some();
    if one_by_one { rows.div_ceil(2) } else { rows }
}

/// [`loss_and_gradients`] of all rows at once.
pub fn on_one_tape(
    model: &dyn Model,
    x: &Tensor,
    prepared: &[Tensor],
    key: Key,
) -> (Tensor, Gradients) {
    let tape = Tape::new();
    let loss = model.loss(&tape.constant(x.clone()), prepared, key);
    (loss.value().clone(), tape.backward_from(&loss))
}

/// [`Model::loss`] of the rows of x, \[\], and its gradients.
pub fn loss_and_gradients(
    model: &dyn Model,
    x: &Tensor,
    prepared: &[Tensor],
    key: Key,
) -> (Tensor, Gradients) {
    let rows = x.shape()[0];
    let Some(packed) = cut(model, rows, x.device()).filter(|_| prepared.is_empty()) else {
        return on_one_tape(model, x, prepared, key);
    };
    // Now, as later one part would wait for the other to do it.
    let orders: Vec<_> = packed.into_iter().flat_map(|w| [(w, true), (w, false)]).collect();
    orders.into_par_iter().for_each(|(w, transposed)| drop(w.value().packed(transposed)));
    let part = |range: Range<usize>| {
        let tape = Tape::new();
        let x = tape.constant(slice(x, 0, range.start as i64, range.len()));
        let loss = model.loss(&x, &[], key.of_rows(&range, rows));
        // The mean over all rows is the sum of these.
        let loss = loss.affine(range.len() as f32 / rows as f32, 0.0);
        (loss.value().clone(), tape.backward_from(&loss))
    };
    let ((loss, mut gradients), (more, rest)) =
        rayon::join(|| in_share(2, || part(0..rows / 2)), || in_share(2, || part(rows / 2..rows)));
    gradients.add(&rest);
    (binary::apply(Operation::Add, &loss, &more), gradients)
}
