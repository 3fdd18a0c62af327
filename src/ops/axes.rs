//! Reduces shapes of any rank to the four axes that kernels support.
//!
//! Adjacent axes are merged if they are contiguous in every operand, and axes of length 1 are dropped. Few shapes need
//! more than four axes after that; for them, the operation takes several launches (`layout/mod.rs`, `binary/mod.rs`).

/// Number of axes that kernels support.
pub(crate) const KERNEL_AXES: usize = 4;

/// An axis of a result, with the stride of each of N operands along it; 0 for an operand that is broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis<const N: usize> {
    pub length: usize,
    pub strides: [usize; N],
}

/// Row-major strides of a shape.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Strides of a tensor of shape `from` broadcast to shape `to`, one for each axis of `to`: 0 if `from` has length 1 or
/// lacks the axis.
pub(crate) fn broadcast(from: &[usize], to: &[usize]) -> Vec<usize> {
    let lead = to.len() - from.len();
    let own = row_major(from);
    let stride = |i: usize| match i.checked_sub(lead) {
        Some(i) if from[i] != 1 => own[i],
        _ => 0,
    };
    (0..to.len()).map(stride).collect()
}

/// The axes after merging, or `None` if more than four remain. If fewer remain, axes of length 1 are added in front.
pub(crate) fn merged<const N: usize>(
    axes: impl IntoIterator<Item = Axis<N>>,
) -> Option<[Axis<N>; KERNEL_AXES]> {
    let mut kept: Vec<Axis<N>> = Vec::new();
    for axis in axes.into_iter().filter(|axis| axis.length != 1) {
        let follows = |outer: &Axis<N>| {
            let mut pairs = outer.strides.iter().zip(&axis.strides);
            pairs.all(|(outer, inner)| *outer == inner * axis.length)
        };
        match kept.last_mut().filter(|outer| follows(outer)) {
            Some(outer) => *outer = Axis { length: outer.length * axis.length, ..axis },
            None => kept.push(axis),
        }
    }
    let lead = KERNEL_AXES.checked_sub(kept.len())?;
    let mut all = [Axis { length: 1, strides: [0; N] }; KERNEL_AXES];
    all[lead..].copy_from_slice(&kept);
    Some(all)
}

/// Lengths of the axes, as a kernel's parameter.
pub(crate) fn lengths<const N: usize>(axes: &[Axis<N>; KERNEL_AXES]) -> [u32; KERNEL_AXES] {
    axes.map(|axis| axis.length as u32)
}

/// Strides of operand `of`, as a kernel's parameter.
pub(crate) fn strides<const N: usize>(
    axes: &[Axis<N>; KERNEL_AXES],
    of: usize,
) -> [u32; KERNEL_AXES] {
    axes.map(|axis| axis.strides[of] as u32)
}
