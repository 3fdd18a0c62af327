//! Workloads: one optimiser step of each model at the papers' sizes, on synthetic images, and sampling. All benchmarks
//! share this list.

use crate::device::Device;
use crate::error::Result;
use crate::models::ModelConfig;
use crate::models::draw::DrawConfig;
use crate::models::halves::loss_and_gradients;
use crate::models::pixel::{Body, PixelConfig};
use crate::models::vae::VaeConfig;
use crate::nn::{Optimizer, OptimizerConfig};
use crate::ops::optimizer::Rule;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Forward pass, backward pass and update on a newly uploaded batch.
    Train,
    /// Sampling a batch of images.
    Sample,
}

impl Task {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Task::Train => "train",
            Task::Sample => "sample",
        }
    }
}

/// The description of a workload, before its model is built.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Kind, data, batch size and sizes. Training and sampling of the same model share a name.
    pub name: String,
    /// What a step does.
    pub task: Task,
    /// The model.
    pub net: ModelConfig,
    /// The optimiser's update rule.
    pub rule: Rule,
    /// Batch size.
    pub batch: usize,
}

/// A workload built on a device.
pub struct Ready {
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Launches the step of this number and returns the tensor that is read back to check the result.
    step: Box<dyn FnMut(u32) -> Result<Tensor> + Send>,
    /// Largest plausible value of that tensor.
    most: f32,
}

impl Ready {
    /// Launches the steps `numbers` and waits for them.
    ///
    /// Errors: when the device fails. Panics when the loss is NaN, infinite or implausibly large.
    pub fn run(&mut self, numbers: std::ops::Range<u32>) -> Result<()> {
        for number in numbers.clone() {
            let outcome = (self.step)(number)?;
            if number + 1 == numbers.end {
                let found = outcome.to_vec()?[0];
                assert!(found.is_finite() && found < self.most, "a step ended with {found}");
            }
        }
        Ok(())
    }
}

impl Workload {
    /// Floating-point operations per image; see [`Products`](crate::models::family::Products).
    pub fn flops(&self) -> f64 {
        match self.task {
            Task::Train => self.net.training_flops(),
            Task::Sample => self.net.sampling_flops(),
        }
    }

    /// Whether the name, or the name followed by the task, begins with `prefix`.
    pub fn is(&self, prefix: &str) -> bool {
        format!("{} {}", self.name, self.task.name()).starts_with(prefix)
    }

    /// Builds the model, the optimiser and the images on `device`.
    pub fn build(&self, device: &Device) -> Ready {
        let built = self.net.build(device, 0).expect("a workload's sizes are valid");
        let (device, batch, rule) = (device.clone(), self.batch, self.rule);
        let parameters = built.model().parameter_count();
        if self.task == Task::Sample {
            let step = move |number| {
                built.model().sample(&device, batch, Key::new(0, stream::SAMPLE, number))
            };
            return Ready { parameters, step: Box::new(step), most: 1.001 };
        }
        let x = images(&self.net, self.batch);
        let rate = if rule == Rule::Adam { 1e-3 } else { 1e-4 };
        let mut optimizer = Optimizer::new(OptimizerConfig::new(rule, rate));
        let step = move |number| {
            let x = Tensor::new(&device, &x, &[batch, x.len() / batch]);
            let key = Key::new(0, stream::LATENT, number);
            let model = built.model();
            let (loss, gradients) = loss_and_gradients(model, &x, &[], key);
            optimizer.step(model, &gradients);
            device.flush()?;
            Ok(loss)
        };
        Ready { parameters, step: Box::new(step), most: 100_000.0 }
    }
}

/// `batch` synthetic images: bits of which a fifth are 1, or noise with as many levels as the model has.
pub(super) fn images(net: &ModelConfig, batch: usize) -> Vec<f32> {
    let levels = net.levels().unwrap_or(2);
    let key = Key::new(0, stream::TEST, u32::from(levels > 2));
    let top = levels as f32 - 1.0;
    let value = |i| match levels {
        2 => f32::from(u8::from(key.uniform(i) > 0.8)),
        _ => (top * key.uniform(i)).round() / top,
    };
    (0..(batch * net.dims()) as u64).map(value).collect()
}

/// A workload with images of the size of MNIST or CIFAR-10.
fn work(
    kind: &str,
    data: &str,
    sizes: &str,
    task: Task,
    mut net: ModelConfig,
    batch: usize,
) -> Workload {
    let rule = if net.pixel_net().is_some() { Rule::RmsProp } else { Rule::Adam };
    Workload { name: format!("{kind}-{data} b{batch} {sizes}"), task, net, rule, batch }
}

fn vae(task: Task, batch: usize) -> Workload {
    work("vae", "mnist", "h500 z20", task, ModelConfig::Vae(VaeConfig::mnist(20)), batch)
}

/// DRAW with initial states of zero, as in `benches/peer.py`.
fn draw(task: Task, batch: usize, attention: bool) -> Workload {
    let config = DrawConfig { attention, learned_states: false, ..DrawConfig::mnist() };
    let sizes = format!("T64 h256 {}", if attention { "attn" } else { "noattn" });
    work("draw", "mnist", &sizes, task, ModelConfig::Draw(config), batch)
}

fn kind(body: Body) -> &'static str {
    match body {
        Body::PixelCnn => "pixelcnn",
        Body::RowLstm => "rowlstm",
        Body::DiagBilstm => "diagbilstm",
    }
}

fn mnist(task: Task, body: Body, layers: usize, hidden: usize) -> Workload {
    let (net, sizes) = (PixelConfig::mnist(layers, hidden), format!("L{layers} h{hidden}"));
    work(kind(body), "mnist", &sizes, task, ModelConfig::pixel(body, net), 16)
}

fn cifar(body: Body, layers: usize) -> Workload {
    let net = PixelConfig { mean: 0.0, std: 1.0, ..PixelConfig::colour(32, layers, 128) };
    work(
        kind(body),
        "cifar",
        &format!("L{layers} h128"),
        Task::Train,
        ModelConfig::pixel(body, net),
        16,
    )
}

/// The workloads that are compared with PyTorch, in the order of `benches/peer.py`.
pub fn workloads() -> Vec<Workload> {
    vec![
        vae(Task::Train, 100),
        draw(Task::Train, 100, true),
        draw(Task::Train, 100, false),
        mnist(Task::Train, Body::PixelCnn, 7, 32),
        mnist(Task::Sample, Body::PixelCnn, 7, 32),
        mnist(Task::Train, Body::RowLstm, 7, 16),
        mnist(Task::Train, Body::DiagBilstm, 1, 32),
        mnist(Task::Train, Body::DiagBilstm, 7, 16),
        cifar(Body::PixelCnn, 15),
        cifar(Body::RowLstm, 12),
        cifar(Body::DiagBilstm, 12),
    ]
}

/// Sampling 16 digits from each kind of model.
pub fn sampling() -> Vec<Workload> {
    vec![
        vae(Task::Sample, 16),
        draw(Task::Sample, 16, true),
        draw(Task::Sample, 16, false),
        mnist(Task::Sample, Body::PixelCnn, 7, 32),
        mnist(Task::Sample, Body::RowLstm, 7, 16),
        mnist(Task::Sample, Body::DiagBilstm, 1, 32),
        mnist(Task::Sample, Body::DiagBilstm, 7, 16),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Task, workloads};

    /// Values computed by hand, MFLOP/image.
    const KNOWN: [(&str, f64); 11] = [
        ("vae-mnist b100 h500 z20", 4.1),
        ("draw-mnist b100 T64 h256 attn", 370.0),
        ("draw-mnist b100 T64 h256 noattn", 750.0),
        ("pixelcnn-mnist b16 L7 h32", 323.0),
        ("pixelcnn-mnist b16 L7 h32", 108.0),
        ("rowlstm-mnist b16 L7 h16", 266.0),
        ("diagbilstm-mnist b16 L1 h32", 185.0),
        ("diagbilstm-mnist b16 L7 h16", 300.0),
        ("pixelcnn-cifar b16 L15 h128", 19_743.0),
        ("rowlstm-cifar b16 L12 h128", 40_873.0),
        ("diagbilstm-cifar b16 L12 h128", 42_471.0),
    ];

    #[test]
    fn the_arithmetic_is_that_worked_out_by_hand() {
        for (workload, (name, known)) in workloads().iter().zip(KNOWN) {
            let found = workload.flops() / 1e6;
            assert_eq!(workload.name, name);
            assert!((found / known - 1.0).abs() < 0.02, "{name}: {found} MFLOP, not {known}");
        }
        assert_eq!(workloads().iter().filter(|w| w.task == Task::Sample).count(), 1);
    }
}
