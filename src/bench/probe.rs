//! A device's peak rates of arithmetic, memory bandwidth and launches, measured with two probe kernels, the same on CPU
//! and GPU.

use crate::uniform;
use std::time::Instant;

use crate::cpu::gemm::peak::{block, multiply_adds};
use crate::cpu::simd::map2;
use crate::device::Device;
use crate::error::Result;
use crate::gpu::Program;
use crate::kernel::{AnyKernel, Cost, Kernel, elementwise, shader};
use crate::tensor::Tensor;

uniform! {
    /// Parameters of [`MULTIPLY_ADDS`]: number of elements, rounds, and a and b of x = a x + b.
    pub struct Chains {
        n: u32,
        reps: u32,
        a: f32,
        b: f32,
    }
}

uniform! {
    /// Parameters of [`TRIAD`]: number of elements, and s.
    pub struct Triad {
        n: u32,
        s: f32,
    }
}

/// Repeats x = a x + b on every element. Input: x; output: y.
pub static MULTIPLY_ADDS: Kernel<Chains, 1, 1> = Kernel {
    program: Program {
        name: "multiply_adds",
        source: shader!("lib/index", "probe/multiply_adds"),
        inputs: 1,
        outputs: 1,
    },
    cpu: |p, [x], [y]| multiply_adds(x, (p.a, p.b), p.reps as usize, y),
    reference: |p, [x], [y]| {
        for (y, x) in y.iter_mut().zip(x) {
            *y = (0..p.reps).fold(*x, |x, _| p.a * x + p.b);
        }
    },
    stages: |p| elementwise("multiply_adds", (p.n as usize).div_ceil(16), p),
    cost: |p| Cost {
        flops: 2 * u64::from(p.n) * u64::from(p.reps),
        bytes: 8 * u64::from(p.n),
        loop_iterations: u64::from(p.reps) + 32,
    },
    entries: &["multiply_adds"],
};

/// y = a + s b. Inputs: a, b.
pub static TRIAD: Kernel<Triad, 2, 1> = Kernel {
    program: Program {
        name: "triad",
        source: shader!("lib/index", "probe/triad"),
        inputs: 2,
        outputs: 1,
    },
    cpu: |p, [a, b], [y]| {
        let s = p.s;
        map2(
            y,
            a,
            b,
            #[inline(always)]
            move |a, b| a + s * b,
        )
    },
    reference: |p, [a, b], [y]| {
        for i in 0..y.len() {
            y[i] = a[i] + p.s * b[i];
        }
    },
    stages: |p| elementwise("triad", p.n as usize, p),
    cost: |p| Cost { flops: 2 * u64::from(p.n), bytes: 12 * u64::from(p.n), loop_iterations: 0 },
    entries: &["triad"],
};

/// The probes, for the tests of shaders.
pub fn kernels() -> Vec<Box<dyn AnyKernel>> {
    vec![Box::new(&MULTIPLY_ADDS), Box::new(&TRIAD)]
}

/// Elements of each of the triad's three arrays: 384 MiB together, far more than any cache.
const TRIAD_NUMBERS: usize = 32 << 20;
/// Blocks per CPU thread: enough that a thread that wakes up late still gets work.
const CPU_BLOCKS: usize = 128;
/// Elements that fill a large GPU, sixteen per invocation.
const GPU_CHAINS: usize = 4 << 20;
/// Maximum rounds per launch: software drivers abort loops after 65,535 iterations.
const MOST_REPS: u32 = 1 << 15;
/// Seconds after which a launch is long enough to be measured accurately.
const LONG: f64 = 0.02;
/// Number of repeats, of which the fastest, the least disturbed one, counts.
const TRIES: usize = 7;

fn timed(device: &Device, mut launch: impl FnMut()) -> Result<f64> {
    device.synchronize()?;
    let begin = Instant::now();
    launch();
    device.synchronize()?;
    Ok(begin.elapsed().as_secs_f64())
}

fn fastest(device: &Device, mut launch: impl FnMut()) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        best = best.min(timed(device, &mut launch)?);
    }
    Ok(best)
}

/// y of `x` after `reps` rounds of x / 2 + 1 / 4.
pub fn chains(x: &Tensor, reps: u32) -> Tensor {
    let params = Chains { n: x.len() as u32, reps, a: 0.5, b: 0.25 };
    let [y] = MULTIPLY_ADDS.launch(params, [x], [x.shape()]);
    y
}

/// a + 3 b, both of one shape.
pub fn triad(a: &Tensor, b: &Tensor) -> Tensor {
    let [y] = TRIAD.launch(Triad { n: a.len() as u32, s: 3.0 }, [a, b], [a.shape()]);
    y
}

/// Peak GFLOP/s of multiply-adds on registers, on all threads of the current pool or on the GPU.
///
/// Errors: when the device fails.
pub fn peak(device: &Device) -> Result<f64> {
    let cpu = CPU_BLOCKS * rayon::current_num_threads() * block();
    let x = Tensor::full(device, 0.5, &[if device.is_cpu() { cpu } else { GPU_CHAINS }]);
    let (mut reps, mut seconds) = (16, 0.0);
    // Take the fastest of several here too: an interrupted launch would look long enough, and in a short launch half of
    // the threads are still asleep.
    while reps < MOST_REPS && seconds < LONG {
        reps *= 2;
        seconds = fastest(device, || drop(chains(&x, reps)))?;
    }
    Ok(2.0 * x.len() as f64 * f64::from(reps) / seconds / 1e9)
}

/// Peak GB/s from and to memory: a triad over arrays that exceed every cache, 12 bytes per element. Reads that a
/// processor does before a write (write-allocate) are not counted. Errors: when the device fails, or has less
/// than 384 MiB of memory.
pub fn bandwidth(device: &Device) -> Result<f64> {
    let [a, b] = [1.0, 2.0].map(|v| Tensor::full(device, v, &[TRIAD_NUMBERS]));
    let seconds = fastest(device, || drop(triad(&a, &b)))?;
    Ok(12.0 * TRIAD_NUMBERS as f64 / seconds / 1e9)
}

/// Bytes of a triad's three arrays that fit into the L1 and the L2 cache of today's processors.
pub const CACHES: [(&str, usize); 2] = [("L1", 24 << 10), ("L2", 384 << 10)];

/// GB/s of the triad on arrays that stay in a cache of the CPU, the sum over all threads of the current pool. Every
/// thread repeats its own triad of `bytes`, a few KiB or more, in three arrays.
pub fn cached_bandwidth(bytes: usize) -> f64 {
    /// Bytes that a thread moves per try: about 10 ms from L2.
    const MOVED: usize = 256 << 20;
    /// Numbers per call, few enough that it runs on the calling thread.
    const PIECE: usize = 1 << 12;
    let numbers = bytes / 12;
    let alone = |_: rayon::BroadcastContext<'_>| {
        let (a, b, mut y) = (vec![1.0_f32; numbers], vec![2.0_f32; numbers], vec![0.0; numbers]);
        let (mut rounds, mut begin) = (0, Instant::now());
        while rounds <= MOVED / bytes {
            for ((y, a), b) in y.chunks_mut(PIECE).zip(a.chunks(PIECE)).zip(b.chunks(PIECE)) {
                map2(
                    y,
                    a,
                    b,
                    #[inline(always)]
                    |a, b| a + 3.0 * b,
                );
            }
            std::hint::black_box(&mut y);
            // The first round fills the cache.
            if rounds == 0 {
                begin = Instant::now();
            }
            rounds += 1;
        }
        (12 * numbers * (rounds - 1)) as f64 / begin.elapsed().as_secs_f64() / 1e9
    };
    (0..TRIES).map(|_| rayon::broadcast(alone).iter().sum()).fold(0.0, f64::max)
}

/// Seconds of an empty launch: within a sequence, and alone.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Per launch in a sequence of many.
    pub in_a_row: f64,
    /// For a single launch, until the device reports its end.
    pub alone: f64,
}

/// See [`Latency`]. Errors: when the device fails.
pub fn latency(device: &Device) -> Result<Latency> {
    const MANY: usize = 1024;
    let b = Tensor::zeros(device, &[1]);
    let in_a_row = fastest(device, || {
        let last = (0..MANY).fold(b.clone(), |a, _| triad(&a, &b));
        drop(last);
    })?;
    let mut alone: Vec<f64> = Vec::new();
    for _ in 0..64 {
        alone.push(timed(device, || drop(triad(&b, &b)))?);
    }
    alone.sort_by(f64::total_cmp);
    Ok(Latency { in_a_row: in_a_row / MANY as f64, alone: alone[alone.len() / 2] })
}
