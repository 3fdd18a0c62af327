//! Whole training steps: one optimiser step of each model at the papers' sizes, on made-up images.
//!
//!     cargo bench --bench steps -- [--only PREFIX] [--threads N] [--seconds S]
//!
//! Prints one line a workload: name, images/s and ms of the median step. What was measured beside
//! PyTorch stands in `benches/RESULTS.md`.

use std::time::Instant;

use pixelloom::models::Model;
use pixelloom::models::vae::{Vae, VaeConfig};
use pixelloom::nn::{Module, Optimizer, OptimizerConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

/// A workload: its name, its batch, and how to make one step of it.
struct Workload {
    name: &'static str,
    batch: usize,
    parameters: usize,
    step: Box<dyn FnMut(u32) + Send>,
}

/// 784-500-20, Adam, batch 100: forward, backward, update; the batch is uploaded anew each step.
fn vae_mnist() -> Workload {
    let (device, batch) = (Device::cpu(), 100);
    let model = Vae::new(&device, VaeConfig::mnist(20), 0);
    let parameters = model.parameter_count();
    let mut optimizer = Optimizer::new(OptimizerConfig::new(Rule::Adam, 1e-3));
    let key = Key::new(0, stream::TEST, 0);
    let x: Vec<f32> =
        (0..(batch * 784) as u64).map(|i| f32::from(u8::from(key.uniform(i) > 0.8))).collect();
    let step = move |number| {
        let tape = Tape::new();
        let x = tape.constant(Tensor::new(&device, &x, &[batch, 784]));
        let loss = model.loss(&x, &[], Key::new(0, stream::LATENT, number));
        optimizer.step(&model, &tape.backward_from(&loss));
        let loss = loss.value().item().expect("the CPU does not fail");
        assert!(loss.is_finite() && loss < 1000.0, "the loss is {loss}");
    };
    Workload { name: "vae-mnist b100 h500 z20", batch, parameters, step: Box::new(step) }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|a| a == flag)?;
        arguments.get(at + 1).cloned()
    };
    let number = |flag: &str, default: f64| {
        value(flag).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{flag} {v}")))
    };
    let (threads, seconds) = (number("--threads", 2.0) as usize, number("--seconds", 8.0));
    let only = value("--only").unwrap_or_default();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let workloads: &[fn() -> Workload] = &[vae_mnist];
    for make in workloads {
        pool.install(|| {
            let mut workload = make();
            if !workload.name.starts_with(&only) {
                return;
            }
            let (mut times, start) = (Vec::new(), Instant::now());
            (workload.step)(0);
            while start.elapsed().as_secs_f64() < seconds || times.len() < 3 {
                let begin = Instant::now();
                (workload.step)(times.len() as u32 + 1);
                times.push(begin.elapsed().as_secs_f64());
            }
            times.sort_by(f64::total_cmp);
            let t = times[times.len() / 2];
            println!(
                "{:36} train {:10.1} images/s {:10.2} ms/step  params {}  threads {threads} cpu",
                workload.name,
                workload.batch as f64 / t,
                t * 1e3,
                workload.parameters
            );
        });
    }
}
