//! y = a op b with broadcasting. Shader: `shaders/binary/binary.wgsl`.
//!
//! y has shape `shape`, at most four axes. A stride of 0 repeats an operand along an axis; along the last axis, strides
//! are 0 or 1.

use super::params::{BinaryParams, Operation};
use crate::cpu::simd::{map1, map2, rows};

/// y = a op b.
pub fn forward(p: &BinaryParams, [a, b]: [&[f32]; 2], [y]: [&mut [f32]; 1]) {
    match p.operation() {
        Operation::Add => run(
            p,
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a + b,
        ),
        Operation::Sub => run(
            p,
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a - b,
        ),
        Operation::Mul => run(
            p,
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a * b,
        ),
        Operation::Div => run(
            p,
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a / b,
        ),
        Operation::Less => run(
            p,
            a,
            b,
            y,
            #[inline(always)]
            |a, b| f32::from(u8::from(a < b)),
        ),
    }
}

#[inline(always)]
fn run(
    p: &BinaryParams,
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
    f: impl Fn(f32, f32) -> f32 + Sync + Copy + 'static,
) {
    if a.len() == y.len() && b.len() == y.len() {
        return map2(y, a, b, f);
    }
    if b.len() == 1 && a.len() == y.len() {
        let b = b[0];
        return map1(
            y,
            a,
            #[inline(always)]
            move |a| f(a, b),
        );
    }
    let width = p.shape[3] as usize;
    rows(
        y,
        width,
        width,
        #[inline(always)]
        |row, y| {
            let (mut rest, mut at_a, mut at_b) = (row, 0, 0);
            for axis in (0..3).rev() {
                let i = rest % p.shape[axis] as usize;
                rest /= p.shape[axis] as usize;
                at_a += i * p.stride_a[axis] as usize;
                at_b += i * p.stride_b[axis] as usize;
            }
            match (p.stride_a[3], p.stride_b[3]) {
                (1, 1) => {
                    let (a, b) = (&a[at_a..at_a + width], &b[at_b..at_b + width]);
                    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                        *y = f(a, b);
                    }
                }
                (1, _) => {
                    let (a, b) = (&a[at_a..at_a + width], b[at_b]);
                    for (y, &a) in y.iter_mut().zip(a) {
                        *y = f(a, b);
                    }
                }
                (_, 1) => {
                    let (a, b) = (a[at_a], &b[at_b..at_b + width]);
                    for (y, &b) in y.iter_mut().zip(b) {
                        *y = f(a, b);
                    }
                }
                _ => y.fill(f(a[at_a], b[at_b])),
            }
        },
    );
}
