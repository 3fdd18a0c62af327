//! How far a training step on the CPU is from its matrix products: its time over the time of these products alone, each in
//! the crate `gemm` or `matrixmultiply`, whichever is faster for its size. The rest of the step is divided by kind of
//! kernel.

#![allow(unsafe_code)] // The other crates take pointers.

use std::collections::BTreeMap;
use std::time::Instant;

use gemm_common::Parallelism;
use serde::Serialize;

use super::table::{digits, percent};
use super::timing::Timing;
use crate::profile::{Profile, Sum};

/// A product C[m, n] = A[m, k] B[k, n].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Product {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
}

impl Product {
    /// Floating-point operations.
    pub fn flops(self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }
}

/// The dimensions of a list of tensors in a profile, such as `100x784, 784x500`.
fn dims(list: &str) -> Vec<Vec<usize>> {
    let shape = |text: &str| text.split('x').filter_map(|n| n.trim().parse().ok()).collect();
    list.split(", ").map(shape).collect()
}

/// The product that a launch of `kernel` on tensors of these shapes computes, and how many of them one after the other;
/// `None` if the kernel is not one of products. A masked convolution counts as one product of all pixels, an LSTM scan as
/// one product per row or diagonal and direction; all diagonals count as equally long.
pub fn product(kernel: &str, shapes: &str) -> Option<(Product, usize)> {
    let (inputs, outputs) = shapes.split_once(" -> ")?;
    let (inputs, outputs) = (dims(inputs), dims(outputs));
    let (first, out) = (inputs.first()?, outputs.first()?);
    let len = |dims: &[usize]| dims.iter().product::<usize>();
    let rows = |dims: &[usize]| len(&dims[..dims.len() - 1]);
    let once = |m, n, k| Some((Product { m, n, k }, 1));
    match kernel {
        "matmul" | "shared_gradient" => {
            let (m, n) = (rows(out), *out.last()?);
            once(m, n, len(first) / m)
        }
        "lstm_cell" => once(rows(first), *outputs.last()?.last()?, *first.last()?),
        // Weights: taps, inputs, outputs.
        "masked_conv" => once(rows(out), *out.last()?, len(inputs.get(1)?) / out.last()?),
        "masked_conv_input" => {
            let (weights, gradient) = (inputs.get(1)?, inputs.get(2)?);
            once(rows(out), *out.last()?, weights.first()? * gradient.last()?)
        }
        "masked_conv_weight" => once(rows(out), *out.last()?, rows(first)),
        "lstm_scan" | "bilstm_scan" | "lstm_scan_gradient" | "bilstm_scan_gradient" => {
            let directions = if kernel.starts_with("bi") { 2 } else { 1 };
            let gates = inputs.iter().chain(&outputs).filter(|t| t.len() >= 4);
            let [.., batch, height, width, gates] = gates.max_by_key(|t| t.last())?[..] else {
                return None;
            };
            let hidden = gates / 4;
            // S of one direction: neighbours, h, 4 h. Both directions have the two neighbours of a diagonal.
            let weights = inputs.iter().find(|t| t.len() == 3 && t[1] == hidden && t[2] == gates);
            let neighbours = weights.map_or(2, |t| t[0]);
            let steps = if neighbours == 2 { height + width - 1 } else { height };
            let cells = (batch * height * width).div_ceil(steps);
            let inner = neighbours * hidden;
            let (n, k) = if kernel.ends_with("gradient") { (inner, gates) } else { (gates, inner) };
            Some((Product { m: cells, n, k }, steps * directions))
        }
        _ => None,
    }
}

/// Products of a profile with their number per run. Masked weights are not multiplied, so the products of a masked
/// convolution count in proportion to the operations that the kernel states.
pub fn products(profile: &Profile) -> Vec<(Product, f64)> {
    let mut all: BTreeMap<Product, f64> = BTreeMap::new();
    for (kernel, launches) in &profile.shapes {
        for (shapes, sum) in launches {
            let Some((product, times)) = product(kernel, shapes) else { continue };
            let times = (times as u64 * sum.calls) as f64;
            let visible = (sum.flops as f64 / (times * product.flops())).min(1.0);
            *all.entry(product).or_default() += times * visible / profile.runs as f64;
        }
    }
    all.into_iter().collect()
}

/// Turns of each crate, and seconds of a turn. Other load can only add time, so the fastest turn counts.
const TURNS: usize = 7;
const TURN: f64 = 0.004;

/// C of a product by another crate, with row-major operands of the product's sizes.
type Contender = fn(Product, &[f32], &[f32], &mut [f32]);

fn with_gemm(Product { m, n, k }: Product, a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n);
    let threads = match rayon::current_num_threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let [rows_a, rows] = [k as isize, n as isize];
    let product = gemm_f32::gemm::f32::get_gemm_fn();
    // The crate wants columns that are contiguous: the transposed product, C^T = B^T A^T.
    // SAFETY: `a`, `b` and `c` hold m k, k n and m n floats, row by row; `c` is not an operand.
    unsafe {
        product(
            n, m, k, c, rows, 1, false, b, rows, 1, a, rows_a, 1, 0.0, 1.0, false, false, false,
            threads,
        );
    }
}

fn with_matrixmultiply(Product { m, n, k }: Product, a: &[f32], b: &[f32], c: &mut [f32]) {
    assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n);
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let [rows_a, rows] = [k as isize, n as isize];
    // SAFETY: as above.
    unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, rows_a, 1, b, rows, 1, 0.0, c, rows, 1) }
}

/// Seconds of a product in the faster of the two crates, on the threads of the current pool.
pub fn seconds(product: Product) -> f64 {
    let Product { m, n, k } = product;
    let (a, b, mut c) = (vec![0.5; m * k], vec![0.25; k * n], vec![0.0; m * n]);
    let contenders: [Contender; 2] = [with_gemm, with_matrixmultiply];
    let mut best = f64::INFINITY;
    for run in contenders.repeat(TURNS) {
        let (begin, mut calls) = (Instant::now(), 0);
        while calls == 0 || begin.elapsed().as_secs_f64() < TURN {
            run(product, &a, &b, &mut c);
            calls += 1;
        }
        best = best.min(begin.elapsed().as_secs_f64() / f64::from(calls));
    }
    best
}

/// What a kernel mainly does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Products,
    Gates,
    Attention,
    Gathers,
    Memory,
}

fn kind(kernel: &str) -> Kind {
    match kernel {
        _ if kernel.starts_with("attention") || kernel.starts_with("filterbank") => Kind::Attention,
        "lstm_cell_gradient" => Kind::Gates,
        "window" | "concat" | "split" | "fold" | "unfold" | "mask" | "mask_gradient" => {
            Kind::Gathers
        }
        "matmul" | "shared_gradient" | "lstm_cell" => Kind::Products,
        _ if kernel.starts_with("masked_conv") || kernel.contains("lstm_scan") => Kind::Products,
        _ => Kind::Memory,
    }
}

/// Where a step's time goes. Shares are of a profiled step.
#[derive(Clone, Debug, Serialize)]
pub struct Split {
    /// Name of the workload.
    pub workload: String,
    /// Threads.
    pub threads: usize,
    /// Seconds of the median step.
    pub step: f64,
    /// Distance between the quartiles of the steps as a share of the median.
    pub spread: f64,
    /// Seconds of the step's matrix products alone; see [`seconds`].
    pub products_alone: f64,
    /// `step` over `products_alone`.
    pub quotient: f64,
    /// Share of kernels with products. Convolutions gather their inputs in it, and scans and LSTM cells compute their
    /// gates.
    pub products: f64,
    /// Share of the gradients of LSTM cells' gates.
    pub gates: f64,
    /// Share of attention: many small products per image.
    pub attention: f64,
    /// Share of kernels that only copy: windows, concatenation, masks.
    pub gathers: f64,
    /// Share of all other kernels: passes over memory, such as updates, activations, likelihoods and random numbers.
    pub memory: f64,
    /// Share that these passes would take at the machine's memory bandwidth.
    pub memory_at_bandwidth: f64,
    /// Share outside of kernels: recording, allocation, uploads, and threads that wait for others.
    pub outside: f64,
}

impl Split {
    /// Divides the time of a step. `bandwidth`: GB/s of memory.
    pub fn new(workload: &str, timing: &Timing, profile: &Profile, bandwidth: f64) -> Split {
        let products_alone =
            products(profile).into_iter().map(|(product, times)| times * seconds(product)).sum();
        let total = |wanted: Kind| {
            let mut total = Sum::default();
            let all = profile.kernels.iter().filter(|(kernel, _)| kind(kernel) == wanted);
            all.for_each(|(_, sum)| total.add(sum));
            total
        };
        let share = |wanted| total(wanted).seconds / profile.seconds;
        Split {
            workload: workload.into(),
            threads: rayon::current_num_threads(),
            step: timing.median,
            spread: timing.spread(),
            products_alone,
            quotient: timing.median / products_alone,
            products: share(Kind::Products),
            gates: share(Kind::Gates),
            attention: share(Kind::Attention),
            gathers: share(Kind::Gathers),
            memory: share(Kind::Memory),
            memory_at_bandwidth: total(Kind::Memory).bytes as f64
                / 1e9
                / bandwidth
                / profile.seconds,
            outside: (1.0 - profile.total().seconds / profile.seconds).max(0.0),
        }
    }
}

/// The header of a table of [`Split::cells`].
pub const HEAD: [&str; 12] = [
    "workload",
    "threads",
    "ms/step",
    "spread",
    "products alone",
    "quotient",
    "product kernels",
    "gates",
    "attention",
    "gathers",
    "memory (at bandwidth)",
    "outside",
];

impl Split {
    /// The cells of its row in a table.
    pub fn cells(&self) -> Vec<String> {
        let share = |x: f64| if x < 5e-4 { String::new() } else { percent(x) };
        vec![
            self.workload.clone(),
            self.threads.to_string(),
            digits(1e3 * self.step),
            percent(self.spread),
            digits(1e3 * self.products_alone),
            digits(self.quotient),
            share(self.products),
            share(self.gates),
            share(self.attention),
            share(self.gathers),
            format!("{} ({})", percent(self.memory), percent(self.memory_at_bandwidth)),
            share(self.outside),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shapes as profiles have them, and the products that the papers' equations need.
    #[test]
    fn the_products_of_kernels_on_known_shapes() {
        let found = |kernel, shapes| {
            product(kernel, shapes).map(|(Product { m, n, k }, times)| ([m, n, k], times))
        };
        for (kernel, shapes, product, times) in [
            ("matmul", "100x500, 784x500, 784 -> 100x784", [100, 784, 500], 1),
            ("matmul", "100x784, 100x500 -> 784x500", [784, 500, 100], 1),
            ("shared_gradient", "250x512, 250x274 -> 512x274", [512, 274, 250], 1),
            (
                "lstm_cell",
                "25x274, 140288, 512, 25x128 -> 25x128, 25x128, 25x512",
                [25, 512, 274],
                1,
            ),
            ("masked_conv", "8x28x28x1, 24x1x32, 32 -> 8x28x28x32", [8 * 784, 32, 24], 1),
            (
                "masked_conv_input",
                "8x28x28x32, 1x32x64, 8x28x28x64 -> 8x28x28x32",
                [8 * 784, 32, 64],
                1,
            ),
            ("masked_conv_weight", "8x28x28x1, 8x28x28x32 -> 24x1x32, 32", [24, 32, 8 * 784], 1),
            // Two directions of 55 diagonals.
            (
                "bilstm_scan",
                "8x28x28x64, 8x28x28x64, 4128 -> 8x28x28x16, 8x28x28x16, 2x8x28x28x16, 2x8x28x28x64",
                [115, 64, 32],
                110,
            ),
            (
                "lstm_scan_gradient",
                "8x28x28x16, 3x16x64, 8x28x28x16, 8x28x28x64 -> 8x28x28x64",
                [8 * 28, 48, 64],
                28,
            ),
        ] {
            assert_eq!(found(kernel, shapes), Some((product, times)), "{kernel} {shapes}");
        }
        assert_eq!(found("adam", "500x784, 1"), None);
    }

    #[test]
    fn both_crates_compute_the_product() {
        let product = Product { m: 2, n: 3, k: 2 };
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 2.0, 0.0, 1.0, 3.0]);
        for run in [with_gemm as Contender, with_matrixmultiply] {
            let mut c = [f32::NAN; 6];
            run(product, &a, &b, &mut c);
            assert_eq!(c, [1.0, 2.0, 8.0, 3.0, 4.0, 18.0]);
        }
    }

    #[test]
    fn a_product_is_timed() {
        let (small, large) = (Product { m: 8, n: 8, k: 8 }, Product { m: 256, n: 256, k: 256 });
        assert!(0.0 < seconds(small) && seconds(small) < seconds(large));
    }
}
