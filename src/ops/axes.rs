//! Shapes of any rank in the four axes that the kernels take.
//!
//! Neighbouring axes that every operand walks through as through one long axis are merged, and axes of
//! length 1 are left out. Most shapes need fewer than four axes after that; an operation on one that needs
//! more is done in several launches (`layout.rs`, `binary.rs`).

use super::case::{Case, Input};
use crate::autograd::Var;

/// Axes of a kernel.
pub(crate) const KERNEL_AXES: usize = 4;

/// An axis of a result, and the stride of each of N operands along it: 0 where it is repeated.
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

/// Strides of `from` read as `to`, one for each axis of `to`: 0 where `from` has length 1, or no such axis.
pub(crate) fn broadcast(from: &[usize], to: &[usize]) -> Vec<usize> {
    let lead = to.len() - from.len();
    let own = row_major(from);
    let stride = |i: usize| match i.checked_sub(lead) {
        Some(i) if from[i] != 1 => own[i],
        _ => 0,
    };
    (0..to.len()).map(stride).collect()
}

/// The axes after merging, or `None` if more than four remain. Short ones get axes of length 1 in front.
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

/// Lengths of axes, as a kernel's parameter.
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

/// The length of every axis in the cases: ranks 1 to 7, an axis of length 1 among them.
const LENGTHS: [usize; 7] = [3, 2, 2, 1, 3, 2, 2];

type Function = Box<dyn for<'t> Fn(&Var<'t>) -> Var<'t> + Send + Sync>;

/// Every reduction and layout operation, and broadcasts, on shapes of each rank from 1 to 7. They are no part of
/// [`super::cases`], whose sizes are those of a benchmark.
pub fn cases() -> Vec<Case> {
    (1..=LENGTHS.len()).flat_map(|rank| of_rank(&LENGTHS[..rank])).collect()
}

fn of_rank(shape: &[usize]) -> Vec<Case> {
    let (rank, last) = (shape.len(), shape.len() - 1);
    let one = |what: &str, input: &[usize], f: Function| {
        let label = format!("{what}, {rank} axes");
        Case::new("axes", &label, vec![Input::normal("x", input)], move |x| vec![f(&x[0])])
    };
    let middle = rank / 2;
    // Every second axis has length 1, so that no two neighbours can be merged.
    let thin = |first: usize| -> Vec<usize> {
        let length = |i: usize| if i % 2 == first { 1 } else { shape[i].max(2) };
        (0..rank).map(length).collect()
    };
    let full: Vec<usize> = shape.iter().map(|&n| n.max(2)).collect();
    let reversed: Vec<usize> = (0..rank).rev().collect();
    let rotated: Vec<usize> = (0..rank).map(|i| (i + 1) % rank).collect();
    let whole_of_thin = full.clone();
    let mut all = vec![
        one("sum of the first axis", shape, Box::new(|x| x.sum_axes(0, 1))),
        one("sum of the last axis", shape, Box::new(move |x| x.sum_axes(last, last + 1))),
        one("sum of middle axes", shape, Box::new(move |x| x.sum_axes(middle, last + 1))),
        one("mean", shape, Box::new(|x| x.mean())),
        one("logsumexp", shape, Box::new(|x| x.logsumexp())),
        one("reshape", shape, Box::new(|x| x.reshape(&[x.value().len()]))),
        one("reverse the axes", &full, Box::new(move |x| x.permute(&reversed))),
        one("rotate the axes", &full, Box::new(move |x| x.permute(&rotated))),
        one("expand", &thin(0), Box::new(move |x| x.expand(&whole_of_thin))),
        one("slice", shape, Box::new(move |x| x.slice(middle, 1, x.shape()[middle].max(2) - 1))),
        one("pad", shape, Box::new(move |x| x.slice(middle, -1, x.shape()[middle] + 3))),
        one("split", &full, {
            let first = full[middle] - 1;
            Box::new(move |x| {
                let [a, b] = x.split(middle, [first, 1]);
                b.concat(&[&a], middle)
            })
        }),
    ];
    let pair = |what: &str, a: &[usize], b: &[usize], f: for<'t> fn(&[Var<'t>]) -> Var<'t>| {
        let inputs = vec![Input::normal("a", a), Input::uniform("b", b, 0.5, 2.0)];
        Case::new("axes", &format!("{what}, {rank} axes"), inputs, move |x| vec![f(x)])
    };
    all.push(pair("div, each repeated", &thin(0), &thin(1), |x| x[0].div(&x[1])));
    all.push(pair("mul, one repeated", &full, &thin(1), |x| x[0].mul(&x[1])));
    let inputs = vec![Input::normal("a", shape), Input::normal("b", shape)];
    let label = format!("concat, {rank} axes");
    all.push(Case::new("axes", &label, inputs, move |x| vec![x[0].concat(&[&x[1]], middle)]));
    all
}
