//! How a matrix product gets fast: the same product from three loops to five, step by step. The guide's chapter on the
//! matrix product explains each step.
//!
//!     cargo bench --bench loops -- [--threads N] [--seconds S] [SIZE]
//!
//! Prints GFLOP/s of C = A B with square matrices. All steps compute the same sums; a step that does not is an error.

mod common;

use std::time::Instant;

use common::Arguments;
use pixelloom::bench::probe;
use pixelloom::cpu::gemm::{Activation, Gemm, Mat, gemm};
use pixelloom::cpu::simd::vectorize;
use pixelloom::{Device, cpu::Isa};
use rayon::prelude::*;

/// Rows of a tile of C that stays in registers.
const MR: usize = 6;
/// Rows of B in a block.
const KC: usize = 256;
/// Columns of B in a block. A block of B, 512 KiB, fits into L2.
const NC: usize = 512;

/// Row-major n x n matrices.
type Step = fn(&[f32], &[f32], &mut [f32], usize);

/// 1. The definition: C[i][j] is the sum over k of A[i][k] B[k][j].
fn definition(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    for i in 0..n {
        for j in 0..n {
            let mut sum = 0.0;
            for k in 0..n {
                sum += a[i * n + k] * b[k * n + j];
            }
            c[i * n + j] = sum;
        }
    }
}

/// 2. The same three loops in another order: the innermost walks along rows of B and C.
fn rows(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    c.fill(0.0);
    for i in 0..n {
        let c = &mut c[i * n..(i + 1) * n];
        for k in 0..n {
            let (a, b) = (a[i * n + k], &b[k * n..(k + 1) * n]);
            for (c, b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}

/// 3. Step 2 with vectors as wide as the processor's.
fn vectors(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    vectorize(
        #[inline(always)]
        || {
            c.fill(0.0);
            for i in 0..n {
                let c = &mut c[i * n..(i + 1) * n];
                for k in 0..n {
                    let (a, b) = (a[i * n + k], &b[k * n..(k + 1) * n]);
                    for (c, &b) in c.iter_mut().zip(b) {
                        *c = a.mul_add(b, *c);
                    }
                }
            }
        },
    );
}

/// A tile of C in registers: adds the product of MR rows of A, from column `k` on, and the rows of a panel of B.
#[inline(always)]
fn tile<'b, const NR: usize>(
    a: [&[f32]; MR],
    panel: impl Iterator<Item = &'b [f32]>,
    c: &mut [f32],
    n: usize,
) {
    let mut sums = [[0.0f32; NR]; MR];
    for (k, b) in panel.enumerate() {
        let b: &[f32; NR] = b.try_into().unwrap();
        for i in 0..MR {
            let a = a[i][k];
            for j in 0..NR {
                sums[i][j] = a.mul_add(b[j], sums[i][j]);
            }
        }
    }
    for i in 0..MR {
        for j in 0..NR {
            c[i * n + j] += sums[i][j];
        }
    }
}

/// MR rows of A, from row `i` and column `k` on, `len` columns.
#[inline(always)]
fn strip(a: &[f32], n: usize, i: usize, k: usize, len: usize) -> [&[f32]; MR] {
    std::array::from_fn(|r| &a[(i + r) * n + k..][..len])
}

/// 4. Five loops, but no copies: C in tiles that stay in registers while k runs.
fn tiles<const NR: usize>(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    vectorize(
        #[inline(always)]
        || {
            c.fill(0.0);
            for i in (0..n).step_by(MR) {
                for j in (0..n).step_by(NR) {
                    let panel = b.chunks_exact(n).map(|row| &row[j..j + NR]);
                    tile::<NR>(strip(a, n, i, 0, n), panel, &mut c[i * n + j..], n);
                }
            }
        },
    );
}

/// 5. Blocks of B that fit into L2, copied so that the tile reads them in order.
fn blocks<const NR: usize>(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    let mut packed = vec![0.0; KC * NC];
    vectorize(
        #[inline(always)]
        || {
            c.fill(0.0);
            let rows = c.len() / n;
            for jc in (0..n).step_by(NC) {
                let columns = NC.min(n - jc);
                for kc in (0..n).step_by(KC) {
                    let depth = KC.min(n - kc);
                    pack::<NR>(b, n, (kc, depth), (jc, columns), &mut packed);
                    for i in (0..rows).step_by(MR) {
                        for j in (0..columns).step_by(NR) {
                            let panel = packed[j * depth..][..NR * depth].chunks_exact(NR);
                            let a = strip(a, n, i, kc, depth);
                            tile::<NR>(a, panel, &mut c[i * n + jc + j..], n);
                        }
                    }
                }
            }
        },
    );
}

/// Copies a block of B into panels of NR columns, one after another, each row by row.
#[inline(always)]
fn pack<const NR: usize>(
    b: &[f32],
    n: usize,
    (kc, depth): (usize, usize),
    (jc, columns): (usize, usize),
    packed: &mut [f32],
) {
    for j in (0..columns).step_by(NR) {
        let panel = &mut packed[j * depth..][..NR * depth];
        for (k, row) in panel.chunks_exact_mut(NR).enumerate() {
            row.copy_from_slice(&b[(kc + k) * n + jc + j..][..NR]);
        }
    }
}

/// 6. Step 5 on all threads, each with its own rows of C.
fn threads<const NR: usize>(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    let rows = (n / rayon::current_num_threads()).next_multiple_of(MR);
    let strips = c.par_chunks_mut(rows * n).zip(a.par_chunks(rows * n));
    strips.for_each(|(c, a)| blocks::<NR>(a, b, c, n));
}

/// 7. The library's product: the same loops, with a tile, blocks and packing for each shape and instruction set.
fn library(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    let (a, b) = (Mat::row_major(a, n), Mat::row_major(b, n).into());
    let (m, k, activation) = (n, n, Activation::None);
    gemm(&Gemm { m, n, k, a, b, bias: None, activation, accumulate: false }, c, n);
}

/// The steps with tiles of NR columns.
fn steps<const NR: usize>() -> [(&'static str, Step); 7] {
    [
        ("1 definition", definition),
        ("2 along rows", rows),
        ("3 wide vectors", vectors),
        ("4 tiles in registers", tiles::<NR>),
        ("5 packed blocks", blocks::<NR>),
        ("6 threads", threads::<NR>),
        ("7 library", library),
    ]
}

/// Seconds of the fastest of several calls, since other load on the machine only adds time.
fn fastest(seconds: f64, mut call: impl FnMut()) -> f64 {
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while best.is_infinite() || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        call();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// Numbers in [-1, 1).
fn noise(len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

fn main() {
    let arguments = Arguments::read();
    let n: usize = arguments.plain().first().map_or(768, |text| text.parse().unwrap_or(0));
    if n == 0 || !n.is_multiple_of(96) {
        eprintln!("error: the size must be a positive multiple of 96");
        std::process::exit(2);
    }
    let (isa, steps) = match Isa::current() {
        Isa::Avx512 => (Isa::Avx512, steps::<32>()),
        Isa::Avx2 => (Isa::Avx2, steps::<16>()),
        isa => (isa, steps::<8>()),
    };
    arguments.pool().install(|| {
        let peak = probe::peak(&Device::cpu()).expect("the CPU works");
        let threads = rayon::current_num_threads();
        println!("{n} x {n} x {n}, {}, {threads} threads: peak {peak:.0} GFLOP/s", isa.name());
        let (a, b) = (noise(n * n), noise(n * n)[..].iter().rev().copied().collect::<Vec<_>>());
        let (mut expected, mut before) = (vec![0.0; n * n], None);
        definition(&a, &b, &mut expected, n);
        for (name, step) in steps {
            let mut c = vec![f32::NAN; n * n];
            let seconds = fastest(arguments.number("--seconds", 1.0), || step(&a, &b, &mut c, n));
            for (found, expected) in c.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-3, "{name}: {found}, not {expected}");
            }
            let gflops = 2.0 * (n as f64).powi(3) / seconds / 1e9;
            let times =
                before.map_or(String::new(), |before| format!("{:.1} times", gflops / before));
            println!(
                "{name:22} {gflops:8.2} GFLOP/s {:5.1} % of peak  {times}",
                100.0 * gflops / peak
            );
            before = Some(gflops);
        }
    });
}
