//! y = a op b with broadcasting. y has shape `shape`, four axes. Each operand has a stride along each of them, which is
//! 0 if the operand is repeated.

use super::params::{BinaryParams, Operation};

/// y\[i, j, k, l\] = a\[i, j, k, l\] op b\[i, j, k, l\].
pub fn forward(p: &BinaryParams, [a, b]: [&[f32]; 2], [y]: [&mut [f32]; 1]) {
    let [d0, d1, d2, d3] = p.shape;
    let offset = |stride: [u32; 4], at: [u32; 4]| -> usize {
        (0..4).map(|axis| stride[axis] as usize * at[axis] as usize).sum()
    };
    let mut number = 0;
    for i in 0..d0 {
        for j in 0..d1 {
            for k in 0..d2 {
                for l in 0..d3 {
                    let at = [i, j, k, l];
                    let (a, b) = (a[offset(p.stride_a, at)], b[offset(p.stride_b, at)]);
                    y[number] = match p.operation() {
                        Operation::Add => a + b,
                        Operation::Sub => a - b,
                        Operation::Mul => a * b,
                        Operation::Div => a / b,
                        Operation::Less => f32::from(u8::from(a < b)),
                    };
                    number += 1;
                }
            }
        }
    }
}
