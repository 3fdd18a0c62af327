//! The loss of a batch and its gradients; of some models, on the CPU, of two parts of the rows at a time.
//!
//! DRAW's step is thousands of small operations, each waiting for the one before. Shared out one by one,
//! two threads wait for each other at the end of each, and every operation moves half of its operands
//! from one core's cache to the other's. With half of the rows each, on a tape of its own, they meet once a
//! step, to add up the gradients. What is a part depends on the rows alone, so threads change no bit.

use std::ops::Range;

use rayon::prelude::*;

use super::Model;
use crate::Tape;
use crate::autograd::Gradients;
use crate::cpu::gemm::in_share;
use crate::ops::binary::{self, Operation};
use crate::ops::layout::slice;
use crate::rng::Key;
use crate::tensor::Tensor;

/// Rows from which on a part is worth its own products.
const WORTH: usize = 16;

/// [`Model::loss`] of the rows of x, \[\], and its gradients.
pub fn loss_and_gradients(
    model: &dyn Model,
    x: &Tensor,
    prepared: &[Tensor],
    key: Key,
) -> (Tensor, Gradients) {
    let rows = x.shape()[0];
    let shared = model.in_parts().filter(|_| x.device().is_cpu() && prepared.is_empty());
    let Some(shared) = shared.filter(|_| rows >= 2 * WORTH) else {
        let tape = Tape::new();
        let loss = model.loss(&tape.constant(x.clone()), prepared, key);
        return (loss.value().clone(), tape.backward_from(&loss));
    };
    // Now, as later one part would wait for the other to do it.
    let orders: Vec<_> = shared.into_iter().flat_map(|w| [(w, true), (w, false)]).collect();
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
