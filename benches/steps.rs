//! Whole training steps: one optimiser step of each model at the papers' sizes, on made-up images; and
//! drawing digits pixel by pixel.
//!
//!     cargo bench --bench steps -- [--only PREFIX] [--threads N] [--seconds S]
//!
//! Prints one line a workload: name, images/s and ms of the median step. What was measured beside
//! PyTorch stands in `benches/RESULTS.md`.

use std::time::Instant;

use pixelloom::models::Model;
use pixelloom::models::draw::{Draw, DrawConfig};
use pixelloom::models::pixel::{Body, PixelConfig, PixelModel};
use pixelloom::models::vae::{Vae, VaeConfig};
use pixelloom::nn::{Optimizer, OptimizerConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

/// A workload: its name, its batch, and how to make one step of it.
struct Workload {
    name: &'static str,
    what: &'static str,
    batch: usize,
    parameters: usize,
    step: Box<dyn FnMut(u32) + Send>,
}

/// One step of `model` on `x` \[batch, dims\]: forward, backward, update; the batch is uploaded anew
/// each step.
fn training(
    name: &'static str,
    model: impl Model + Send + 'static,
    rule: Rule,
    x: Vec<f32>,
    batch: usize,
) -> Workload {
    let device = Device::cpu();
    let parameters = model.parameter_count();
    let rate = if rule == Rule::Adam { 1e-3 } else { 1e-4 };
    let mut optimizer = Optimizer::new(OptimizerConfig::new(rule, rate));
    let step = move |number| {
        let tape = Tape::new();
        let x = tape.constant(Tensor::new(&device, &x, &[batch, x.len() / batch]));
        let loss = model.loss(&x, &[], Key::new(0, stream::LATENT, number));
        optimizer.step(&model, &tape.backward_from(&loss));
        let loss = loss.value().item().expect("the CPU does not fail");
        assert!(loss.is_finite() && loss < 100_000.0, "the loss is {loss}");
    };
    Workload { name, what: "train", batch, parameters, step: Box::new(step) }
}

/// Images of bits, a fifth of them 1.
fn bits(batch: usize) -> Vec<f32> {
    let key = Key::new(0, stream::TEST, 0);
    (0..(batch * 784) as u64).map(|i| f32::from(u8::from(key.uniform(i) > 0.8))).collect()
}

/// Colour images of noise.
fn colours(batch: usize) -> Vec<f32> {
    let key = Key::new(0, stream::TEST, 1);
    (0..(batch * 3072) as u64).map(|i| (255.0 * key.uniform(i)).round() / 255.0).collect()
}

/// 784-500-20, Adam, batch 100.
fn vae_mnist() -> Workload {
    let model = Vae::new(&Device::cpu(), VaeConfig::mnist(20), 0);
    training("vae-mnist b100 h500 z20", model, Rule::Adam, bits(100), 100)
}

/// 64 glimpses, Adam, batch 100; zero first states, as the peer has.
fn draw_mnist(name: &'static str, attention: bool) -> Workload {
    let config = DrawConfig { attention, learned_states: false, ..DrawConfig::mnist() };
    training(name, Draw::new(&Device::cpu(), config, 0), Rule::Adam, bits(100), 100)
}

fn pixel(name: &'static str, body: Body, config: PixelConfig) -> Workload {
    let model = PixelModel::new(&Device::cpu(), body, config, 0);
    let x = if config.channels == 1 { bits(16) } else { colours(16) };
    training(name, model, Rule::RmsProp, x, 16)
}

fn mnist(name: &'static str, body: Body, layers: usize, hidden: usize) -> Workload {
    pixel(name, body, PixelConfig::mnist(layers, hidden))
}

fn cifar(name: &'static str, body: Body, layers: usize) -> Workload {
    pixel(
        name,
        body,
        PixelConfig { mean: 0.0, deviation: 1.0, ..PixelConfig::colour(32, layers, 128) },
    )
}

/// Drawing 16 digits, pixel by pixel.
fn sampling() -> Workload {
    let device = Device::cpu();
    let model = PixelModel::new(&device, Body::PixelCnn, PixelConfig::mnist(7, 32), 0);
    let step = move |number| {
        let key = Key::new(0, stream::SAMPLE, number);
        let x = model.sample(&device, 16, key).expect("the CPU does not fail");
        assert_eq!(x.shape(), [16, 784]);
    };
    Workload {
        name: "pixelcnn-mnist b16 L7 h32",
        what: "sample",
        batch: 16,
        parameters: 0,
        step: Box::new(step),
    }
}

/// The peer's workloads under its names, in its order.
const WORKLOADS: [fn() -> Workload; 11] = [
    vae_mnist,
    || draw_mnist("draw-mnist b100 T64 h256 attn", true),
    || draw_mnist("draw-mnist b100 T64 h256 noattn", false),
    || mnist("pixelcnn-mnist b16 L7 h32", Body::PixelCnn, 7, 32),
    sampling,
    || mnist("rowlstm-mnist b16 L7 h16", Body::RowLstm, 7, 16),
    || mnist("diagbilstm-mnist b16 L1 h32", Body::DiagBilstm, 1, 32),
    || mnist("diagbilstm-mnist b16 L7 h16", Body::DiagBilstm, 7, 16),
    || cifar("pixelcnn-cifar b16 L15 h128", Body::PixelCnn, 15),
    || cifar("rowlstm-cifar b16 L12 h128", Body::RowLstm, 12),
    || cifar("diagbilstm-cifar b16 L12 h128", Body::DiagBilstm, 12),
];

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
    for make in WORKLOADS {
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
                "{:36} {:6} {:10.1} images/s {:10.2} ms/step  params {}  threads {threads} cpu",
                workload.name,
                workload.what,
                workload.batch as f64 / t,
                t * 1e3,
                workload.parameters
            );
        });
    }
}
