//! Workloads: one optimiser step of each model at the papers' sizes, on made-up images, and drawing
//! images. One list for everything that measures.

use super::arithmetic::Net;
use crate::device::Device;
use crate::error::Result;
use crate::models::Model;
use crate::models::draw::{Draw, DrawConfig};
use crate::models::halves::loss_and_gradients;
use crate::models::pixel::{Body, PixelConfig, PixelModel};
use crate::models::vae::{Vae, VaeConfig};
use crate::nn::{Optimizer, OptimizerConfig};
use crate::ops::optimizer::Rule;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Forwards, backwards, update, on a batch that is uploaded anew.
    Train,
    /// Drawing a batch of images.
    Sample,
}

impl Task {
    /// As tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Task::Train => "train",
            Task::Sample => "sample",
        }
    }
}

/// What is measured; nothing of it is built yet.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Kind, data, batch and sizes. Training and sampling of one model share a name.
    pub name: String,
    /// What a step does.
    pub task: Task,
    /// The network.
    pub net: Net,
    /// Images of a step.
    pub batch: usize,
}

/// A workload built on a device.
pub struct Ready {
    /// Trainable numbers.
    pub parameters: usize,
    /// Launches a step, by its number, and returns what is read back to know that it went well.
    step: Box<dyn FnMut(u32) -> Result<Tensor> + Send>,
    /// Largest number that is no fault.
    most: f32,
}

impl Ready {
    /// Launches steps `numbers` and waits for them.
    ///
    /// Errors: when the device fails. Panics when the loss is not finite or beyond reason.
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
    /// Floating-point operations of an image; see [`Net`].
    pub fn flops(&self) -> f64 {
        match self.task {
            Task::Train => self.net.training_flops(),
            Task::Sample => self.net.sampling_flops(),
        }
    }

    /// Whether the name, or the name with the task behind it, begins with `prefix`.
    pub fn is(&self, prefix: &str) -> bool {
        format!("{} {}", self.name, self.task.name()).starts_with(prefix)
    }

    /// Model, optimiser and images on `device`.
    pub fn build(&self, device: &Device) -> Ready {
        match self.net {
            Net::Vae(config) => self.ready(device, Vae::new(device, config, 0), Rule::Adam),
            Net::Draw(config) => self.ready(device, Draw::new(device, config, 0), Rule::Adam),
            Net::Pixel(body, config) => {
                self.ready(device, PixelModel::new(device, body, config, 0), Rule::RmsProp)
            }
        }
    }

    fn ready(&self, device: &Device, model: impl Model + Send + 'static, rule: Rule) -> Ready {
        let (device, batch) = (device.clone(), self.batch);
        let parameters = model.parameter_count();
        if self.task == Task::Sample {
            let step =
                move |number| model.sample(&device, batch, Key::new(0, stream::SAMPLE, number));
            return Ready { parameters, step: Box::new(step), most: 1.001 };
        }
        let x = self.images();
        let rate = if rule == Rule::Adam { 1e-3 } else { 1e-4 };
        let mut optimizer = Optimizer::new(OptimizerConfig::new(rule, rate));
        let step = move |number| {
            let x = Tensor::new(&device, &x, &[batch, x.len() / batch]);
            let key = Key::new(0, stream::LATENT, number);
            let (loss, gradients) = loss_and_gradients(&model, &x, &[], key);
            optimizer.step(&model, &gradients);
            device.flush()?;
            Ok(loss)
        };
        Ready { parameters, step: Box::new(step), most: 100_000.0 }
    }

    /// Bits, a fifth of them 1, or noise of 256 levels.
    fn images(&self) -> Vec<f32> {
        let levels = match self.net {
            Net::Pixel(_, config) => config.levels,
            Net::Vae(_) | Net::Draw(_) => 2,
        };
        let key = Key::new(0, stream::TEST, u32::from(levels > 2));
        let value = |i| match levels {
            2 => f32::from(u8::from(key.uniform(i) > 0.8)),
            _ => (255.0 * key.uniform(i)).round() / 255.0,
        };
        (0..(self.batch * self.net.dims()) as u64).map(value).collect()
    }
}

/// A workload of MNIST's or CIFAR-10's size.
fn work(kind: &str, data: &str, sizes: &str, task: Task, net: Net, batch: usize) -> Workload {
    Workload { name: format!("{kind}-{data} b{batch} {sizes}"), task, net, batch }
}

fn vae(task: Task, batch: usize) -> Workload {
    work("vae", "mnist", "h500 z20", task, Net::Vae(VaeConfig::mnist(20)), batch)
}

/// First states are zeros, as in `benches/peer.py`.
fn draw(task: Task, batch: usize, attention: bool) -> Workload {
    let config = DrawConfig { attention, learned_states: false, ..DrawConfig::mnist() };
    let sizes = format!("T64 h256 {}", if attention { "attn" } else { "noattn" });
    work("draw", "mnist", &sizes, task, Net::Draw(config), batch)
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
    work(kind(body), "mnist", &sizes, task, Net::Pixel(body, net), 16)
}

fn cifar(body: Body, layers: usize) -> Workload {
    let net = PixelConfig { mean: 0.0, deviation: 1.0, ..PixelConfig::colour(32, layers, 128) };
    work(kind(body), "cifar", &format!("L{layers} h128"), Task::Train, Net::Pixel(body, net), 16)
}

/// Those that are measured beside PyTorch, in the order of `benches/peer.py`.
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

/// Drawing 16 digits with each kind of model.
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
