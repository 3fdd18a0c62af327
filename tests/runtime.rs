//! What a training step may cost: the same bits for any number of threads, no growing memory, a known
//! number of GPU dispatches and no read-back.

mod common;

use pixelloom::cpu::Cpu;
use pixelloom::models::Model;
use pixelloom::models::vae::{Vae, VaeConfig};
use pixelloom::nn::{Module, Optimizer, OptimizerConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

/// A model, its optimiser and a batch of made-up binary images.
struct Training {
    model: Vae,
    optimizer: Optimizer,
    x: Vec<f32>,
    device: Device,
}

const ROWS: usize = 33;

impl Training {
    fn new(device: &Device, hidden: usize, rule: Rule) -> Training {
        let config = VaeConfig { hidden, ..VaeConfig::mnist(20) };
        let key = Key::new(1, stream::TEST, 0);
        let x = (0..(ROWS * 784) as u64).map(|i| f32::from(key.uniform(i) < 0.2)).collect();
        let settings =
            OptimizerConfig { clip: Some(100.0), decay: 1e-4, ..OptimizerConfig::new(rule, 1e-3) };
        Training {
            model: Vae::new(device, config, 3),
            optimizer: Optimizer::new(settings),
            x,
            device: device.clone(),
        }
    }

    fn step(&mut self, number: u32) -> Tensor {
        let tape = Tape::new();
        let x = tape.constant(Tensor::new(&self.device, &self.x, &[ROWS, 784]));
        let loss = self.model.loss(&x, &[], Key::new(1, stream::LATENT, number));
        self.optimizer.step(&self.model, &tape.backward_from(&loss));
        loss.value().clone()
    }

    fn weights(&self) -> Vec<u32> {
        let all = self.model.parameters();
        all.iter().flat_map(|(_, p)| p.value().to_vec().unwrap()).map(f32::to_bits).collect()
    }
}

#[test]
fn the_same_bits_with_one_two_and_four_threads() {
    let run = |threads: usize, rule: Rule| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut training = Training::new(&Device::cpu(), 500, rule);
            (0..3).for_each(|step| drop(training.step(step)));
            training.weights()
        })
    };
    for rule in [Rule::Adam, Rule::Adagrad] {
        let one = run(1, rule);
        assert!(one == run(2, rule) && one == run(4, rule), "{rule:?}: bits depend on threads");
        assert_eq!(one, run(1, rule), "{rule:?}: the same run twice differs");
    }
}

#[test]
fn memory_of_a_step_is_constant_on_the_cpu() {
    let cpu = Cpu::new();
    let mut training = Training::new(&Device::Cpu(cpu.clone()), 100, Rule::Adam);
    (0..3).for_each(|step| drop(training.step(step)));
    let settled = cpu.stats();
    for step in 3..30 {
        training.step(step);
        assert_eq!(cpu.stats(), settled, "step {step}");
    }
}

/// Dispatches of one step of the 784-H-20 model with Adam and clipping (10 parameter tensors).
#[cfg(feature = "gpu")]
const DISPATCHES: u64 = 74;

#[cfg(feature = "gpu")]
#[test]
fn a_step_on_the_gpu_has_known_dispatches_no_read_back_and_constant_memory() {
    let Some(gpu) = common::gpu(pixelloom::gpu::GpuOptions::default()) else { return };
    let device = Device::Gpu(gpu.clone());
    let mut training = Training::new(&device, 64, Rule::Adam);
    let mut before = gpu.stats();
    for step in 0..30 {
        drop(training.step(step));
        device.flush().unwrap();
        let now = gpu.stats();
        if step >= 3 {
            assert_eq!(now.dispatches - before.dispatches, DISPATCHES, "dispatches of step {step}");
            assert_eq!(now.live_bytes, before.live_bytes, "live bytes after step {step}");
            assert_eq!(now.pooled_bytes, before.pooled_bytes, "pooled bytes after step {step}");
        }
        assert_eq!(now.readbacks, before.readbacks, "read-backs in step {step}");
        before = now;
    }
    assert!(training.step(30).item().unwrap().is_finite());
}

/// Pitfall 26: one whole training step of the model on both devices, from the same weights and noise.
#[cfg(feature = "gpu")]
#[test]
fn cpu_and_gpu_agree_over_a_training_step() {
    use pixelloom::ops::case::distance;
    // Another device than the test above counts on.
    let options = pixelloom::gpu::GpuOptions { bounds_checks: true, ..Default::default() };
    let Some(gpu) = common::gpu(options) else { return };
    let run = |device: &Device| {
        // SGD: the change of a weight is proportional to its gradient, so nothing is hidden by a division.
        let mut training = Training::new(device, 64, Rule::Sgd);
        let loss = training.step(0).item().unwrap();
        let weights: Vec<(String, Vec<f32>)> = training
            .model
            .parameters()
            .into_iter()
            .map(|(n, p)| (n, p.value().to_vec().unwrap()))
            .collect();
        (loss, weights)
    };
    let ((loss, weights), (loss_gpu, weights_gpu)) = (run(&Device::cpu()), run(&Device::Gpu(gpu)));
    assert!(
        distance(&[loss_gpu], &[loss]) <= 1e-5,
        "loss {loss} on the CPU, {loss_gpu} on the GPU"
    );
    for ((name, cpu), (_, gpu)) in weights.iter().zip(&weights_gpu) {
        let e = distance(gpu, cpu);
        assert!(e <= 2e-4, "{name}: {e}");
    }
}
