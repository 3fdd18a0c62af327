//! One time step of an LSTM. DRAW, equations 5 and 7; Pixel Recurrent Neural Networks, equation 3.
//!
//! ```text
//! z = x W^T + b,   [o, f, i, g] = [sigmoid, sigmoid, sigmoid, tanh](z)
//! c' = f c + i g,   h' = o tanh(c')
//! ```
//!
//! Shapes: x \[B, k\], W \[4h, k\], b \[4h\] or \[B, 4h\], h', c, c' \[B, h\], gates, dz \[B, 4h\], stacked o, f, i, g.

use super::params::LstmCellParams;

/// The gates \[o, f, i, g\] of a unit from their values z before the activation.
pub(in crate::ops) fn gates([o, f, i, g]: [f64; 4]) -> [f64; 4] {
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    [sigmoid(o), sigmoid(f), sigmoid(i), g.tanh()]
}

/// The gradients of a unit's four z and of its c, from its gates, c and c', and the gradients of h' and c'. The total
/// gradient of c' is dc'' = dc' + dh' o (1 - tanh^2 c'). For a gate y, dz = dy y (1 - y); for g, dz = dy (1 - g^2).
pub(in crate::ops) fn gates_gradient(
    [o, f, i, g]: [f64; 4],
    (c, next): (f64, f64),
    (dh, dnext): (f64, f64),
) -> ([f64; 4], f64) {
    let t = next.tanh();
    let dnext = dnext + dh * o * (1.0 - t * t);
    let (do_, df, di, dg) = (dh * t, dnext * c, dnext * g, dnext * i);
    let dz = [do_ * o * (1.0 - o), df * f * (1.0 - f), di * i * (1.0 - i), dg * (1.0 - g * g)];
    (dz, dnext * f)
}

/// h', c' and the gates.
pub fn forward(p: &LstmCellParams, [x, w, b, c]: [&[f32]; 4], [h, next, saved]: [&mut [f32]; 3]) {
    let [batch, depth, n] = [p.batch, p.depth, p.hidden].map(|n| n as usize);
    for r in 0..batch {
        for unit in 0..n {
            let sums = [0, 1, 2, 3].map(|gate| {
                let row = gate * n + unit;
                let mut sum = f64::from(b[r * p.bias_stride as usize + row]);
                for l in 0..depth {
                    sum += f64::from(x[r * depth + l]) * f64::from(w[row * depth + l]);
                }
                sum
            });
            let [o, f, i, g] = gates(sums);
            let new = f * f64::from(c[r * n + unit]) + i * g;
            next[r * n + unit] = new as f32;
            h[r * n + unit] = (o * new.tanh()) as f32;
            for (gate, value) in [o, f, i, g].into_iter().enumerate() {
                saved[(4 * r + gate) * n + unit] = value as f32;
            }
        }
    }
}

/// dz, and dc from dc' in place. The gradient of h' is the sum of its parts.
pub fn gradient(
    p: &LstmCellParams,
    [first, second, third, c, next, saved]: [&[f32]; 6],
    [dz, dc]: [&mut [f32]; 2],
) {
    let (batch, n) = (p.batch as usize, p.hidden as usize);
    for r in 0..batch {
        for unit in 0..n {
            let at = r * n + unit;
            let gates = [0, 1, 2, 3].map(|gate| f64::from(saved[(4 * r + gate) * n + unit]));
            let [c, next] = [c, next].map(|x| f64::from(x[at]));
            let dnext = if p.later == 0 { 0.0 } else { f64::from(dc[at]) };
            let parts = &[first, second, third][..p.parts as usize];
            let dh = parts.iter().map(|part| f64::from(part[at])).sum();
            let (d, before) = gates_gradient(gates, (c, next), (dh, dnext));
            for (gate, d) in d.into_iter().enumerate() {
                dz[(4 * r + gate) * n + unit] = d as f32;
            }
            dc[at] = before as f32;
        }
    }
}
