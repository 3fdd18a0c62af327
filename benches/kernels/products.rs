//! The matrix product on the models' shapes, compared with the crates `gemm` and `matrixmultiply`.
//!
//! Measured on one thread and on two, each in its own process. Criterion chooses the number of iterations. In every
//! sample the three contenders alternate in many short turns and in all orders, so that other load on the machine
//! affects all of them equally. Such load can only add time, so the table compares the 10th percentiles of the turns.

#![allow(unsafe_code)] // The other crates take pointers.

use criterion::Criterion;
use gemm_common::Parallelism;
use pixelloom::Device;
use pixelloom::bench::probe;
use pixelloom::cpu::gemm::{Activation, Gemm, Mat, gemm};
use std::cell::RefCell;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Environment variable that holds the number of threads of a measuring process.
const THREADS: &str = "PIXELLOOM_BENCH_THREADS";

/// How the operands of C[m, n] = A[m, k] B[k, n] are stored. TN: A is stored [k, m]. NT: B is stored [n, k].
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    NN,
    NT,
    TN,
}
use Layout::{NN, NT, TN};

const SHAPES: &[(usize, usize, usize, Layout)] = &[
    (100, 500, 784, NN),
    (100, 784, 500, NN),
    (784, 500, 100, TN),
    (500, 784, 100, TN),
    (100, 1024, 776, NN),
    (776, 1024, 100, TN),
    (12544, 64, 32, NN),
    (12544, 32, 64, NN),
    (32, 64, 12544, TN),
    (448, 128, 64, NN),
    (448, 64, 32, NN),
    (28, 64, 32, NN),
    (28, 128, 64, NN),
    (16, 64, 64, NN),
    (16384, 256, 128, NN),
    (128, 256, 16384, TN),
    (1024, 1024, 1024, NN),
    (100, 500, 784, NT),
    (100, 784, 500, NT),
    (100, 20, 500, NT),
    (100, 500, 20, NT),
    (100, 500, 20, NN),
    (100, 20, 500, NN),
    (500, 20, 100, TN),
    (16, 64, 64, NT),
    (16, 500, 784, NT),
    (1, 500, 784, NT),
    (8, 1024, 256, NN),
    (100, 256, 256, NT),
    (1, 64, 32, NN),
    (1, 1024, 1024, NN),
];

const CONTENDERS: usize = 3;

/// All orders of the contenders, so that none always finds the caches and threads as the same other one leaves them.
const ORDERS: [[usize; CONTENDERS]; 6] =
    [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [0, 2, 1], [1, 0, 2]];

/// Computes C.
type Contender<'a> = dyn Fn(&mut [f32]) + 'a;

/// GFLOP/s of pixelloom, gemm, matrixmultiply.
type Row = [f64; CONTENDERS];

fn name(&(m, n, k, layout): &(usize, usize, usize, Layout)) -> String {
    let layout = match layout {
        NN => "",
        NT => " NT",
        TN => " TN",
    };
    format!("{m}x{n}x{k}{layout}")
}

/// The 10th percentile.
fn fastest_tenth(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

fn noise(len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

fn measure(
    criterion: &mut Criterion,
    threads: usize,
    shape: &(usize, usize, usize, Layout),
) -> Option<Row> {
    let &(m, n, k, layout) = shape;
    let (a, b) = (noise(m * k), noise(k * n));
    let (ars, acs) = if layout == TN { (1, m) } else { (k, 1) };
    let (brs, bcs) = if layout == NT { (1, k) } else { (n, 1) };
    let ours = |c: &mut [f32]| {
        let a = Mat { data: &a, row_stride: ars, col_stride: acs };
        let b = Mat { data: &b, row_stride: brs, col_stride: bcs };
        let activation = Activation::None;
        gemm(&Gemm { m, n, k, a, b: b.into(), bias: None, activation, accumulate: false }, c, n);
    };
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    // SAFETY: `a`, `b` and `c` hold m k, k n and m n floats, and the strides of `layout` stay inside them; `c`
    // does not alias an operand.
    // The crate wants columns that are contiguous: the transposed product, C^T = B^T A^T.
    let theirs = |c: &mut [f32]| unsafe {
        (gemm_f32::gemm::f32::get_gemm_fn())(
            n,
            m,
            k,
            c.as_mut_ptr(),
            n as isize,
            1,
            false,
            b.as_ptr(),
            brs as isize,
            bcs as isize,
            a.as_ptr(),
            ars as isize,
            acs as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    };
    // SAFETY: as above.
    let others = |c: &mut [f32]| unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr(),
            ars as isize,
            acs as isize,
            b.as_ptr(),
            brs as isize,
            bcs as isize,
            0.0,
            c.as_mut_ptr(),
            n as isize,
            1,
        );
    };
    let contenders: [&Contender; CONTENDERS] = [&ours, &theirs, &others];

    let mut c = [vec![f32::NAN; m * n], vec![f32::NAN; m * n], vec![0.0; m * n]];
    for (run, c) in contenders.iter().zip(&mut c) {
        run(c);
    }
    let [ours, theirs, others] = &c;
    for (i, x) in ours.iter().enumerate() {
        for y in [theirs[i], others[i]] {
            let difference = (x - y).abs();
            assert!(difference <= 1e-5 * k as f32, "{}: results differ at {i}", name(shape));
        }
    }

    let times = RefCell::new([const { Vec::new() }; CONTENDERS]);
    criterion.bench_function(&format!("{} {threads}t", name(shape)), |bencher| {
        bencher.iter_custom(|iters| {
            let mut spent = Duration::ZERO;
            let turns = iters.min(16);
            let mut done = 0;
            for turn in 1..=turns {
                let reps = turn * iters / turns - done;
                done += reps;
                for i in ORDERS[turn as usize % ORDERS.len()] {
                    let start = Instant::now();
                    for _ in 0..reps {
                        contenders[i](black_box(&mut c[i]));
                    }
                    let elapsed = start.elapsed();
                    times.borrow_mut()[i].push(elapsed.as_secs_f64() / reps as f64);
                    if i == 0 {
                        spent += elapsed;
                    }
                }
            }
            spent
        });
    });
    let flops = 2.0 * m as f64 * n as f64 * k as f64;
    let mut times = times.into_inner();
    (!times[0].is_empty()).then(|| times.each_mut().map(|times| flops / fastest_tenth(times) / 1e9))
}

/// Body of a measuring process: prints rows to standard output for the parent.
fn child(threads: usize) {
    let mut criterion = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .without_plots()
        .configure_from_args();
    let peak = || probe::peak(&Device::cpu()).expect("the CPU does not fail");
    // The fastest of several measurements is the one least disturbed.
    let mut fastest = peak();
    for (index, shape) in SHAPES.iter().enumerate() {
        if let Some([x, y, z]) = measure(&mut criterion, threads, shape) {
            println!("ROW\t{index}\t{x}\t{y}\t{z}");
            fastest = fastest.max(peak());
        }
    }
    println!("PEAK\t{fastest}");
}

/// Runs this program again as a measuring process.
fn spawn(threads: usize, names: &[String]) -> (f64, Vec<Option<Row>>) {
    let output = Command::new(std::env::current_exe().expect("the path of this program"))
        .arg("--bench")
        // Criterion takes a single filter, a regular expression.
        .args((!names.is_empty()).then(|| names.join("|")))
        .env(THREADS, threads.to_string())
        .env("RAYON_NUM_THREADS", threads.to_string())
        .env("MATMUL_NUM_THREADS", threads.to_string())
        .stderr(Stdio::inherit())
        .output()
        .expect("cannot start a measuring process");
    assert!(output.status.success(), "measuring on {threads} threads failed");
    let (mut peak, mut rows) = (f64::NAN, vec![None; SHAPES.len()]);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut fields = line.split('\t');
        let kind = fields.next();
        let numbers: Vec<f64> = fields.filter_map(|x| x.parse().ok()).collect();
        match (kind, &numbers[..]) {
            (Some("PEAK"), &[x]) => peak = x,
            (Some("ROW"), &[index, x, y, z]) => rows[index as usize] = Some([x, y, z]),
            _ => {}
        }
    }
    (peak, rows)
}

/// Whether [`table`] started this process to measure; if so, measures.
pub fn is_child() -> bool {
    let Some(threads) = std::env::var(THREADS).ok().and_then(|x| x.parse().ok()) else {
        return false;
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("a thread pool").install(|| child(threads));
    true
}

/// Prints the table for the shapes whose names contain one of `names`, or for all shapes if it is empty.
pub fn table(names: &[String]) {
    let (peak1, rows1) = spawn(1, names);
    let (peak2, rows2) = spawn(2, names);
    println!("\nMultiply-add peak: {peak1:.0} GFLOP/s on one thread, {peak2:.0} on two.\n");
    println!(
        "| m x n x k | pixelloom | gemm | matrixmultiply | ratio | of peak | \
         2t pixelloom | gemm | matrixmultiply | ratio | of peak | 2t / 1t |"
    );
    println!("|{}", " --- |".repeat(12));
    for ((shape, one), two) in SHAPES.iter().zip(rows1).zip(rows2) {
        let (Some(one), Some(two)) = (one, two) else { continue };
        let half = |[x, y, z]: Row, peak: f64| {
            let (ratio, share) = (x / y.max(z), 100.0 * x / peak);
            format!("{x:.0} | {y:.0} | {z:.0} | {ratio:.2} | {share:.0} %")
        };
        let gain = two[0] / one[0];
        println!("| {} | {} | {} | {gain:.2} |", name(shape), half(one, peak1), half(two, peak2));
    }
}
