//! Trains a VAE from random weights on the embedded digits. The same code runs on the CPU and on WebGPU: futures of the
//! CPU are ready at once.

use std::collections::{BTreeMap, VecDeque};

use pixelloom::model_file::{Content, HostTensor};
use pixelloom::models::Model;
use pixelloom::models::vae::{Vae, VaeConfig};
use pixelloom::nn::{Module, Optimizer, OptimizerConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

use super::{Answer, PIXELS, Request, fill};

/// Images per step.
const BATCH: usize = 100;
/// Steps in the queue of the device when the next one is recorded.
const IN_FLIGHT: usize = 2;
/// The text `kind` of a file that holds a training.
const KIND: &str = "training";

/// The first bytes of an image file in MNIST's format. They mean: unsigned bytes, three axes.
const MAGIC: [u8; 4] = [0, 0, 8, 3];
const HEADER: usize = 16;

fn failed(error: pixelloom::Error) -> String {
    error.to_string()
}

/// Images as grey levels, \[count, 784\].
pub struct Digits(Vec<u8>);

impl Digits {
    /// Whether a file starts like an image file.
    pub fn are_in(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads the images of a file.
    pub fn from_bytes(bytes: &[u8]) -> Answer<Digits> {
        let count =
            bytes.get(4..8).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])) as usize;
        if count < BATCH || Some(bytes.len()) != count.checked_mul(PIXELS).map(|n| n + HEADER) {
            return Err(format!(
                "the file of digits is damaged: {} bytes for {count} images",
                bytes.len()
            ));
        }
        Ok(Digits(bytes[HEADER..].to_vec()))
    }

    fn count(&self) -> usize {
        self.0.len() / PIXELS
    }
}

/// The digits and a training on a device.
pub struct Trainer {
    device: Device,
    digits: Option<Digits>,
    training: Option<Training>,
}

impl Trainer {
    /// A trainer without digits and training.
    pub fn on(device: &Device) -> Trainer {
        Trainer { device: device.clone(), digits: None, training: None }
    }

    /// The device that computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Loads a file: the images to train on (in MNIST's format), or a training that [`Trainer::save`] wrote. Returns its
    /// kind.
    pub fn load(&mut self, bytes: &[u8]) -> Answer<String> {
        if Digits::are_in(bytes) {
            self.digits = Some(Digits::from_bytes(bytes)?);
            return Ok("digits".into());
        }
        let content = Content::from_bytes(bytes).map_err(|why| format!("the training {why}"))?;
        self.resume(&content)
    }

    /// Replaces the training by a saved one. Returns the kind of the file.
    pub fn resume(&mut self, content: &Content) -> Answer<String> {
        self.training = Some(Training::from_content(&self.device, content)?);
        Ok(KIND.into())
    }

    /// The training as a file: the weights, the moments of Adam, and the number of steps.
    pub async fn save(&self) -> Answer<Vec<u8>> {
        let training = self.training.as_ref().ok_or("no training was started")?;
        Ok(training.content().await?.to_bytes())
    }

    /// Answers a request about training.
    pub async fn answer(&mut self, request: Request) -> Answer<Vec<f32>> {
        match request {
            Request::TrainStart { hidden, latent, seed } => {
                self.training = Some(Training::new(&self.device, hidden, latent, seed)?);
                Ok(Vec::new())
            }
            Request::TrainSteps { steps } => {
                let digits = self.digits.as_ref().ok_or("the digits are not loaded")?;
                let training = self.training.as_mut().ok_or("no training was started")?;
                training.steps(&self.device, digits, steps).await
            }
            Request::TrainSamples { count } => {
                let training = self.training.as_ref().ok_or("no training was started")?;
                training.samples(&self.device, count.min(100)).await
            }
            _ => Err("this module only trains".into()),
        }
    }

    /// Compiles the kernels of training, on a model that is discarded: calls `progress(done, total)` after each part of a
    /// step and after sampling.
    pub async fn compile(
        &self,
        (hidden, latent): (usize, usize),
        progress: &mut dyn FnMut(usize, usize),
    ) -> Answer<()> {
        let digits = self.digits.as_ref().ok_or("the digits are not loaded")?;
        let mut training = Training::new(&self.device, hidden, latent, 0)?;
        let x = training.batch(digits);
        let tape = Tape::new();
        let x = tape.constant(Tensor::new(&self.device, &x, &[BATCH, PIXELS]));
        let loss = training.model.loss(&x, &[], Key::new(0, stream::LATENT, 0));
        loss.value().to_vec_async().await.map_err(failed)?;
        progress(1, 4);
        let gradients = tape.backward_from(&loss);
        for (_, param) in training.model.parameters() {
            let gradient = gradients.param(param).ok_or("a parameter has no gradient")?;
            gradient.to_vec_async().await.map_err(failed)?;
        }
        progress(2, 4);
        training.optimizer.step(&training.model, &gradients);
        training.content().await?;
        progress(3, 4);
        training.samples(&self.device, 16).await?;
        progress(4, 4);
        Ok(())
    }
}

/// A VAE in training.
pub struct Training {
    model: Vae,
    optimizer: Optimizer,
    seed: u64,
    step: usize,
    /// The order of the images in the current epoch, and the number of the epoch.
    order: (u32, Vec<usize>),
}

/// The images of an epoch in its order.
fn shuffled(count: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let key = Key::new(seed, stream::SHUFFLE, epoch);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| key.uniform(a as u64).total_cmp(&key.uniform(b as u64)));
    order
}

impl Training {
    /// A model with random weights, and Adam.
    pub fn new(device: &Device, hidden: usize, latent: usize, seed: u64) -> Answer<Training> {
        if !(1..=1000).contains(&hidden) || !(1..=100).contains(&latent) {
            return Err(
                "a VAE here has 1 to 1000 hidden units and 1 to 100 latent variables".into()
            );
        }
        let config = VaeConfig { hidden, ..VaeConfig::mnist(latent) };
        let model = Vae::new(device, config, seed);
        let optimizer = Optimizer::new(OptimizerConfig::new(Rule::Adam, 1e-3));
        Ok(Training { model, optimizer, seed, step: 0, order: (u32::MAX, Vec::new()) })
    }

    /// Whether a file holds a training.
    pub fn is_in(content: &Content) -> bool {
        content.texts.get("kind").is_some_and(|kind| kind == KIND)
    }

    /// Steps on the next images. Returns their losses in nats/image. At most [`IN_FLIGHT`] steps are in the device's queue
    /// when another is recorded.
    async fn steps(&mut self, device: &Device, digits: &Digits, steps: usize) -> Answer<Vec<f32>> {
        let mut losses = Vec::with_capacity(steps);
        let mut in_flight = VecDeque::new();
        for _ in 0..steps {
            in_flight.push_back(self.step(device, digits).to_vec_async());
            if in_flight.len() > IN_FLIGHT {
                let oldest = in_flight.pop_front().expect("it holds several");
                losses.extend(oldest.await.map_err(failed)?);
            }
        }
        for loss in in_flight {
            losses.extend(loss.await.map_err(failed)?);
        }
        Ok(losses)
    }

    /// A step on the next images. Returns its loss \[\] in nats/image.
    fn step(&mut self, device: &Device, digits: &Digits) -> Tensor {
        let x = self.batch(digits);
        let tape = Tape::new();
        let x = tape.constant(Tensor::new(device, &x, &[BATCH, PIXELS]));
        let noise = Key::new(self.seed, stream::LATENT, self.step as u32);
        let loss = self.model.loss(&x, &[], noise);
        self.optimizer.step(&self.model, &tape.backward_from(&loss));
        self.step += 1;
        loss.value().clone()
    }

    /// The images of the next step with dynamic binarization, \[100, 784\].
    fn batch(&mut self, digits: &Digits) -> Vec<f32> {
        let steps_an_epoch = digits.count() / BATCH;
        let (epoch, batch) = ((self.step / steps_an_epoch) as u32, self.step % steps_an_epoch);
        if self.order.0 != epoch {
            self.order = (epoch, shuffled(digits.count(), self.seed, epoch));
        }
        let bits = Key::new(self.seed, stream::BINARIZE, epoch);
        let mut x = Vec::with_capacity(BATCH * PIXELS);
        for &image in &self.order.1[batch * BATCH..(batch + 1) * BATCH] {
            x.extend((image * PIXELS..(image + 1) * PIXELS).map(|i| {
                f32::from(u8::from(bits.uniform(i as u64) * 255.0 < f32::from(digits.0[i])))
            }));
        }
        x
    }

    /// Means of images sampled from the model, always for the same z.
    async fn samples(&self, device: &Device, count: usize) -> Answer<Vec<f32>> {
        let images = self.model.sample(device, count, Key::new(self.seed, stream::SAMPLE, 0));
        images.map_err(failed)?.to_vec_async().await.map_err(failed)
    }

    /// The weights by name, then the moments of each weight, which the first step creates.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        let parameters = self.model.parameters();
        let weights = parameters.iter().map(|(name, param)| (name.clone(), param.value().clone()));
        let moments = self.optimizer.states.iter().flat_map(|(name, moments)| {
            let named = move |(i, moment): (usize, &Tensor)| {
                (format!("moments.{i}.{name}"), moment.clone())
            };
            moments.iter().enumerate().map(named)
        });
        weights.chain(moments).collect()
    }

    async fn content(&self) -> Answer<Content> {
        // Copied before anything is awaited. The tensors are dropped here, as the next step updates their memory.
        let copies: Vec<_> = self
            .tensors()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.shape().to_vec(), tensor.to_vec_async()))
            .collect();
        let VaeConfig { hidden, latent, .. } = self.model.config;
        let texts = [
            ("kind", KIND.to_string()),
            ("hidden", hidden.to_string()),
            ("latent", latent.to_string()),
            ("seed", self.seed.to_string()),
            ("step", self.step.to_string()),
        ];
        let texts = texts.map(|(name, text)| (name.to_string(), text)).into();
        let mut tensors = BTreeMap::new();
        for (name, shape, data) in copies {
            let data = data.await.map_err(failed)?;
            tensors.insert(name, HostTensor { shape, data });
        }
        Ok(Content { texts, tensors, half: false })
    }

    fn from_content(device: &Device, content: &Content) -> Answer<Training> {
        let number = |name: &str| {
            let text = content.texts.get(name).map_or("", String::as_str);
            text.parse::<usize>().map_err(|_| format!("the training has no number {name}"))
        };
        let mut training =
            Training::new(device, number("hidden")?, number("latent")?, number("seed")? as u64)?;
        fill(&training.model, content)?;
        training.step = number("step")?;
        training.optimizer.steps = training.step as u64;
        for (name, tensor) in &content.tensors {
            let Some((_, name)) =
                name.strip_prefix("moments.").and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            // Sorted by name, so the moments of a weight come in their order.
            let tensor = Tensor::new(device, &tensor.data, &tensor.shape);
            training.optimizer.states.entry(name.to_string()).or_default().push(tensor);
        }
        Ok(training)
    }
}
