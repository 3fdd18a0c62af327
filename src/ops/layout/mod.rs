//! Moving data: permute, slice, pad and expand (one kernel, a strided window), concat and split. Reshape copies
//! nothing.
//!
//! A window reads y\[i\] = x\[start + i\] along permuted axes, and 0 outside x. A slice has start >= 0, padding has
//! start < 0, and each is the gradient of the other. The gradient of a permutation is the inverse permutation; that of
//! an expansion is a sum over the repeated axes.

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::ops::axes::{self, Axis, KERNEL_AXES, broadcast, lengths, merged, row_major};
use crate::ops::binary::broadcast_shape;
use crate::ops::reduce::sum_to;
use crate::tensor::Tensor;
use params::PARTS;
pub use params::{ConcatParams, WindowParams};

/// The strided window.
pub static WINDOW: Kernel<WindowParams, 1, 1> = Kernel {
    program: Program {
        name: "window",
        source: shader!("lib/index", "layout/window"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::window,
    reference: reference::window,
    stages: |p| elementwise("window", p.n as usize, p),
    cost: |p| Cost { flops: 0, bytes: 8 * u64::from(p.n), loop_iterations: 0 },
    entries: &["window"],
};

/// Concatenates rows. Inputs: the parts; any tensor in place of an absent one.
pub static CONCAT: Kernel<ConcatParams, PARTS, 1> = Kernel {
    program: Program {
        name: "concat",
        source: shader!("lib/index", "lib/parts", "layout/concat"),
        inputs: PARTS,
        outputs: 1,
    },
    cpu: cpu::concat,
    reference: reference::concat,
    stages: |p| elementwise("concat", p.n as usize, p),
    cost: |p| Cost { flops: 0, bytes: 8 * u64::from(p.n), loop_iterations: 0 },
    entries: &["concat"],
};

/// Splits rows. Outputs: the parts.
pub static SPLIT: Kernel<ConcatParams, 1, PARTS> = Kernel {
    program: Program {
        name: "split",
        source: shader!("lib/index", "lib/parts", "layout/split"),
        inputs: 1,
        outputs: PARTS,
    },
    cpu: cpu::split,
    reference: reference::split,
    stages: |p| elementwise("split", p.n as usize, p),
    cost: |p| Cost { flops: 0, bytes: 8 * u64::from(p.n), loop_iterations: 0 },
    entries: &["split"],
};

/// Reads x along `axes` into a tensor of `shape`. `cut` has the number of elements of x along each axis, and the index
/// of the first that is read; without it, all of x is read.
fn window(
    x: &Tensor,
    shape: &[usize],
    axes: &[Axis<1>; KERNEL_AXES],
    cut: Option<([u32; KERNEL_AXES], [i32; KERNEL_AXES])>,
) -> Tensor {
    let n = shape.iter().product::<usize>() as u32;
    let whole = lengths(axes);
    let (limit, start) = cut.unwrap_or((whole, [0; KERNEL_AXES]));
    let stride = axes::strides(axes, 0);
    let params = WindowParams { shape: whole, stride, limit, start, n, unused: [0; 3] };
    let [y] = WINDOW.launch(params, [x], [shape]);
    y
}

/// `x` repeated along axes of length 1 and missing leading axes, to `shape`. Panics if x does not broadcast to it.
#[track_caller]
pub fn expand(x: &Tensor, shape: &[usize]) -> Tensor {
    if x.shape() == shape {
        return x.clone();
    }
    let fits = broadcast_shape(x.shape(), shape).as_deref() == Some(shape);
    assert!(fits, "expand: {:?} cannot be repeated to {shape:?}", x.shape());
    let strides = broadcast(x.shape(), shape);
    let axis = |(&length, &stride): (&usize, &usize)| Axis { length, strides: [stride] };
    if let Some(axes) = merged(shape.iter().zip(&strides).map(axis)) {
        return window(x, shape, &axes, None);
    }
    // Too many axes for one launch: repeat the last of them first, then the others.
    let mut partly = vec![1; shape.len() - x.shape().len()];
    partly.extend(x.shape());
    let repeated = (0..shape.len()).rfind(|&i| partly[i] != shape[i]).expect("a repeated axis");
    let x = x.reshape(&partly);
    partly[repeated] = shape[repeated];
    expand(&expand(&x, &partly), shape)
}

/// The transpose in which axis i of the result is axis `axes[i]` of x. Panics if `axes` is not a permutation.
#[track_caller]
pub fn permute(x: &Tensor, axes: &[usize]) -> Tensor {
    let rank = x.shape().len();
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..rank), "permute: axes {axes:?} of {:?}", x.shape());
    let (shape, from) = (permuted(x.shape(), axes), row_major(x.shape()));
    let axis = |&a: &usize| Axis { length: x.shape()[a], strides: [from[a]] };
    if let Some(merged) = merged(axes.iter().map(axis)) {
        return window(x, &shape, &merged, None);
    }
    // Too many axes for one launch: first move the axis that comes first among those that move.
    let still = (0..rank).take_while(|&i| axes[i] == i).count();
    let mut first: Vec<usize> = (0..rank).filter(|&a| a != axes[still]).collect();
    first.insert(still, axes[still]);
    let place = |&a: &usize| first.iter().position(|&b| b == a).expect("an axis of x");
    let rest: Vec<usize> = axes.iter().map(place).collect();
    permute(&permute(x, &first), &rest)
}

fn permuted(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    axes.iter().map(|&a| shape[a]).collect()
}

/// Elements `start..start + len` along `axis`. Elements outside x are 0, so a negative `start` or a large `len` pads.
/// Panics if x has no such axis, or if the result is too large.
#[track_caller]
pub fn slice(x: &Tensor, axis: usize, start: i64, len: usize) -> Tensor {
    let mut shape = x.shape().to_vec();
    assert!(axis < shape.len(), "slice: axis {axis} of {shape:?}");
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    let (own, new) = (shape[axis] * inner, len.saturating_mul(inner));
    let first = start.saturating_mul(inner as i64);
    let fits = i32::try_from(first).is_ok() && u32::try_from(new).is_ok();
    assert!(fits, "slice: {len} elements from {start} along axis {axis} of {shape:?}: too far");
    shape[axis] = len;
    // Treat x as a matrix whose rows hold `axis` and all later axes.
    let axis = |length, stride| Axis { length, strides: [stride] };
    let axes = [axis(1, 0), axis(1, 0), axis(outer, own), axis(new, 1)];
    let limit = [1, 1, outer as u32, own as u32];
    window(x, &shape, &axes, Some((limit, [0, 0, 0, first as i32])))
}

/// Parameters to split the shape `whole` along `axis` into parts of these lengths.
fn parts(whole: &[usize], axis: usize, lengths: impl Iterator<Item = usize>) -> ConcatParams {
    let inner: usize = whole[axis + 1..].iter().product();
    let mut widths = [0; PARTS];
    widths.iter_mut().zip(lengths).for_each(|(width, length)| *width = (length * inner) as u32);
    ConcatParams { n: whole.iter().product::<usize>() as u32, widths }
}

/// Concatenates at least one tensor along `axis`. Panics if another axis differs in length.
#[track_caller]
pub fn concat(tensors: &[&Tensor], axis: usize) -> Tensor {
    let first = tensors[0];
    let mut shape = first.shape().to_vec();
    for other in &tensors[1..] {
        let fits = axis < shape.len()
            && shape.len() == other.shape().len()
            && (0..shape.len()).all(|i| i == axis || shape[i] == other.shape()[i]);
        assert!(fits, "concat on axis {axis}: {:?} and {:?}", first.shape(), other.shape());
    }
    if tensors.len() == 1 {
        return first.clone();
    }
    let (now, later) = tensors.split_at(tensors.len().min(PARTS));
    let lengths = || now.iter().map(|t| t.shape()[axis]);
    shape[axis] = lengths().sum();
    let inputs = std::array::from_fn(|i| *now.get(i).unwrap_or(&first));
    let [y] = CONCAT.launch(parts(&shape, axis, lengths()), inputs, [&shape]);
    if later.is_empty() { y } else { concat(&[&[&y], later].concat(), axis) }
}

/// Splits x along `axis` into at most [`PARTS`] parts of these lengths.
pub(super) fn split(x: &Tensor, axis: usize, lengths: &[usize]) -> Vec<Tensor> {
    let shape = |i: usize| match lengths.get(i) {
        Some(&length) => [&x.shape()[..axis], &[length], &x.shape()[axis + 1..]].concat(),
        None => vec![0],
    };
    let shapes: [Vec<usize>; PARTS] = std::array::from_fn(shape);
    let params = parts(x.shape(), axis, lengths.iter().copied());
    let all = SPLIT.launch(params, [x], shapes.each_ref().map(Vec::as_slice));
    all.into_iter().take(lengths.len()).collect()
}

/// Copies the data of `t` if other tensors share its memory, so that it can be updated in place.
pub fn unshare(t: &mut Tensor) {
    if t.buffer_mut().is_none() {
        let flat = t.reshape(&[t.len()]);
        *t = slice(&flat, 0, 0, t.len()).reshape(t.shape());
    }
}

enum Rule {
    Reshape(Vec<usize>),
    Expand(Vec<usize>),
    Permute(Vec<usize>),
    Slice { axis: usize, start: i64, len: usize },
    Concat { axis: usize, lengths: Vec<usize> },
    Split { axis: usize },
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "layout"
    }

    fn backward(self: Box<Self>, all: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let dy = &all[0];
        match *self {
            Rule::Reshape(shape) => vec![Some(dy.reshape(&shape))],
            Rule::Expand(shape) => vec![Some(sum_to(dy, &shape))],
            Rule::Permute(axes) => {
                let mut inverse = vec![0; axes.len()];
                axes.iter().enumerate().for_each(|(i, &a)| inverse[a] = i);
                vec![Some(permute(dy, &inverse))]
            }
            Rule::Slice { axis, start, len } => vec![Some(slice(dy, axis, -start, len))],
            Rule::Split { axis } => vec![Some(concat(&all.iter().collect::<Vec<_>>(), axis))],
            Rule::Concat { axis, lengths } => {
                if lengths.len() <= PARTS && need.iter().all(|&need| need) {
                    return split(dy, axis, &lengths).into_iter().map(Some).collect();
                }
                let mut start = 0;
                let one = |(length, &need): (usize, &bool)| {
                    start += length;
                    need.then(|| slice(dy, axis, (start - length) as i64, length))
                };
                lengths.into_iter().zip(need).map(one).collect()
            }
        }
    }
}

impl<'t> Var<'t> {
    fn moved(&self, y: Tensor, rule: Rule) -> Var<'t> {
        let [y] = self.tape().record(&[self], [y], || Box::new(rule));
        y
    }

    /// The same data with another shape. Copies nothing. Panics if the number of elements differs.
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Var<'t> {
        self.moved(self.value().reshape(shape), Rule::Reshape(self.shape().to_vec()))
    }

    /// Repeats the tensor along axes of length 1 and missing leading axes, to `shape`. Panics if it does not broadcast
    /// to `shape`. The gradient is summed over the repeated axes.
    #[track_caller]
    pub fn expand(&self, shape: &[usize]) -> Var<'t> {
        self.moved(expand(self.value(), shape), Rule::Expand(self.shape().to_vec()))
    }

    /// The transpose in which axis i of the result is axis `axes[i]`. Panics if `axes` is not a permutation of all
    /// axes.
    #[track_caller]
    pub fn permute(&self, axes: &[usize]) -> Var<'t> {
        self.moved(permute(self.value(), axes), Rule::Permute(axes.to_vec()))
    }

    /// Elements `start..start + len` along `axis`. Elements outside the tensor are 0: a negative `start` pads in front,
    /// a `len` beyond the end pads behind. Panics if there is no such axis, or if the result is too large.
    #[track_caller]
    pub fn slice(&self, axis: usize, start: i64, len: usize) -> Var<'t> {
        let y = slice(self.value(), axis, start, len);
        self.moved(y, Rule::Slice { axis, start, len: self.shape()[axis] })
    }

    /// Concatenates `self` and `others` along `axis`. Panics if another axis differs in length.
    #[track_caller]
    pub fn concat(&self, others: &[&Var<'t>], axis: usize) -> Var<'t> {
        if others.is_empty() {
            return self.clone();
        }
        let all: Vec<&Var> = std::iter::once(self).chain(others.iter().copied()).collect();
        let values: Vec<&Tensor> = all.iter().map(|v| v.value()).collect();
        let y = concat(&values, axis);
        let lengths = values.iter().map(|v| v.shape()[axis]).collect();
        let rule = || Box::new(Rule::Concat { axis, lengths }) as Box<dyn Backward>;
        let [y] = self.tape().record(&all, [y], rule);
        y
    }

    /// Splits the tensor along `axis` into at most three parts of these lengths. Panics if they do not add up to the
    /// length of the axis.
    #[track_caller]
    pub fn split<const N: usize>(&self, axis: usize, lengths: [usize; N]) -> [Var<'t>; N] {
        const { assert!(N <= PARTS) };
        let fits = self.shape().get(axis) == Some(&lengths.iter().sum());
        assert!(fits, "split on axis {axis}: {:?} into {lengths:?}", self.shape());
        let mut parts = split(self.value(), axis, &lengths).into_iter();
        let parts = std::array::from_fn(|_| parts.next().expect("a part"));
        self.tape().record(&[self], parts, || Box::new(Rule::Split { axis }))
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let one = |label: &str, shape: &[usize], f: for<'t> fn(&Var<'t>) -> Var<'t>| {
        Case::new("layout", label, vec![Input::normal("x", shape)], move |x| vec![f(&x[0])])
    };
    // `lengths` are those of the inputs along the axis.
    let concat = |shape: &[usize], axis: usize, lengths: &[usize]| {
        let part = |(&length, name): (&usize, &'static str)| {
            let mut shape = shape.to_vec();
            shape[axis] = length;
            Input::normal(name, &shape)
        };
        let inputs = lengths.iter().zip(["a", "b", "c", "d", "e", "f"]).map(part).collect();
        let label = format!("concat {lengths:?} along axis {axis} of {shape:?}");
        Case::new("layout", &label, inputs, move |x| {
            vec![x[0].concat(&x[1..].iter().collect::<Vec<_>>(), axis)]
        })
    };
    vec![
        one("reshape 3x5", &[3, 5], |x| x.reshape(&[5, 3])),
        one("transpose 17x65", &[17, 65], |x| x.permute(&[1, 0])),
        one("NCHW to NHWC 2x3x5x7", &[2, 3, 5, 7], |x| x.permute(&[0, 2, 3, 1])),
        one("rotate 3x5x2", &[3, 5, 2], |x| x.permute(&[2, 0, 1])),
        one("expand row 65 to 3x65", &[65], |x| x.expand(&[3, 65])),
        one("expand column 3x1 to 3x17", &[3, 1], |x| x.expand(&[3, 17])),
        one("expand [] to 2x3x4", &[], |x| x.expand(&[2, 3, 4])),
        one("slice columns 3x17", &[3, 17], |x| x.slice(1, 4, 9)),
        one("slice rows 17x3", &[17, 3], |x| x.slice(0, 16, 1)),
        one("pad rows 3x5 by 2 and 1", &[3, 5], |x| x.slice(0, -2, 6)),
        one("shift down 1x4x3x2", &[1, 4, 3, 2], |x| x.slice(1, -1, 4)),
        one("slice beyond both ends 7", &[7], |x| x.slice(0, -3, 13)),
        Case::new("layout", "split rows", vec![Input::normal("x", &[9, 5])], |x| {
            x[0].split(0, [2, 6, 1]).to_vec()
        }),
        Case::new("layout", "split columns", vec![Input::normal("x", &[17, 70])], |x| {
            x[0].split(1, [5, 65]).to_vec()
        }),
        concat(&[17, 0], 1, &[3, 65]),
        concat(&[0, 5], 0, &[3, 1]),
        concat(&[2, 0, 5], 1, &[3, 1]),
        concat(&[17, 0], 1, &[65, 3, 7]),
        concat(&[2, 0, 3], 1, &[1, 4, 2]),
        concat(&[5, 0], 1, &[2, 1, 3, 1, 4, 2]),
    ]
}
