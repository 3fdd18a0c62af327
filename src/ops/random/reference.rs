//! Philox4x32-10 noise (Salmon, Moraes, Dror, Shaw, SC 2011), a block of four numbers at a time. Shape: y \[n\].

use super::params::RandomParams;
use crate::rng::Distribution;

/// The words of a block: ten rounds over the counter \[block, 0, step, stream\]. Each round multiplies words 0 and 2,
/// mixes the halves of the products with the other words and the key, and adds a constant to the key.
fn philox(p: &RandomParams, block: u32) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = [block, 0, p.step, p.stream];
    let [mut k0, mut k1] = [p.seed_low, p.seed_high];
    for _ in 0..10 {
        let product0 = u64::from(c0) * 0xD251_1F53;
        let product2 = u64::from(c2) * 0xCD9E_8D57;
        c0 = (product2 >> 32) as u32 ^ c1 ^ k0;
        c1 = product2 as u32;
        c2 = (product0 >> 32) as u32 ^ c3 ^ k1;
        c3 = product0 as u32;
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// Uniform on \[0, 1): the upper 24 bits of a word.
fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 / (1 << 24) as f32
}

/// Two standard normal numbers (Box & Muller 1958): r cos and r sin of 2 pi v, r = sqrt(-2 ln(1 - u)).
fn normals(u: f32, v: f32) -> [f32; 2] {
    let radius = (-2.0 * (1.0 - f64::from(u)).ln()).sqrt();
    let angle = 2.0 * std::f64::consts::PI * f64::from(v);
    [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
}

/// y\[i\] = number i of the draw.
pub fn fill(p: &RandomParams, []: [&[f32]; 0], [y]: [&mut [f32]; 1]) {
    for (block, y) in y.chunks_mut(4).enumerate() {
        let [a, b, c, d] = philox(p, block as u32).map(uniform);
        let numbers = match p.distribution() {
            Distribution::Uniform => [a, b, c, d],
            Distribution::Normal => {
                let ([a, b], [c, d]) = (normals(a, b), normals(c, d));
                [a, b, c, d]
            }
            Distribution::Dropout { keep } => {
                [a, b, c, d].map(|u| if u < keep { 1.0 / keep } else { 0.0 })
            }
        };
        y.copy_from_slice(&numbers[..y.len()]);
    }
}
