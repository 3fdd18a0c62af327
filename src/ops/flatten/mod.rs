//! Copies tensors to their places in an arena, a single long tensor, and checks them on the way: for each piece of
//! 1,024 numbers, it sums their squares or counts the non-finite ones.
//!
//! If all gradients lie in one buffer, a GPU updates all parameters in one launch (`nn/arena.rs`). A kernel binds at
//! most eight buffers: the arena, the sums, and six gradients. Therefore a launch copies six gradients.
//!
//! On the CPU, optimisers update each tensor on its own and do not use this operation.

mod cpu;
mod params;
mod reference;

use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, shader, tile_sizes, workgroup_each};
use crate::tensor::Tensor;
pub use params::FlattenParams;
use params::PARTS;

tile_sizes! {
    /// Numbers that a workgroup copies and adds up, four per invocation.
    PIECE = 1024;
}

/// Pieces of a tensor of this many numbers.
fn pieces(width: usize) -> usize {
    width.div_ceil(PIECE)
}

impl FlattenParams {
    fn pieces(&self) -> usize {
        self.widths.iter().map(|&width| pieces(width as usize)).sum()
    }
}

/// Inputs: the parts (any tensor for those that are absent). States: the arena, the sums.
pub static FLATTEN: Kernel<FlattenParams, PARTS, 2> = Kernel {
    program: Program {
        name: "flatten",
        source: shader!(SIZES; "lib/row_sum", "lib/math", "flatten/flatten"),
        inputs: PARTS,
        outputs: 2,
    },
    cpu: cpu::flatten,
    reference: reference::flatten,
    stages: |p| workgroup_each("flatten", p.pieces(), p),
    cost: |p| {
        let n: u64 = p.widths.iter().map(|&width| u64::from(width)).sum();
        Cost { flops: 2 * n, bytes: 8 * n + 4 * p.pieces() as u64, loop_iterations: 4 }
    },
    entries: &["flatten"],
};

/// The number of sums that [`flatten`] makes of tensors of these lengths.
pub fn sums_of(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.map(pieces).sum()
}

/// Copies each of the `tensors` into `arena`, beginning at its element of `starts`. For each piece of a tensor, `sums`
/// receives the sum of the squares, or the number of non-finite numbers.
#[track_caller]
pub fn flatten(
    tensors: &[&Tensor],
    starts: &[usize],
    (arena, sums): (&mut Tensor, &mut Tensor),
    squares: bool,
) {
    let of_all = sums_of(tensors.iter().map(|t| t.len()));
    assert!(tensors.len() == starts.len() && sums.len() >= of_all, "flatten: {of_all} sums");
    let mut first = 0;
    for (tensors, starts) in tensors.chunks(PARTS).zip(starts.chunks(PARTS)) {
        let mut params = FlattenParams {
            widths: [0; PARTS],
            starts: [0; PARTS],
            first,
            squares: squares.into(),
        };
        for (i, (tensor, start)) in tensors.iter().zip(starts).enumerate() {
            assert!(start + tensor.len() <= arena.len(), "flatten: part {i} leaves the arena");
            (params.widths[i], params.starts[i]) = (tensor.len() as u32, *start as u32);
        }
        first += params.pieces() as u32;
        let inputs = std::array::from_fn(|i| *tensors.get(i).unwrap_or(&tensors[0]));
        FLATTEN.update(params, inputs, [&mut *arena, &mut *sums]);
    }
}
