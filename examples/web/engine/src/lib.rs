//! The engine of the page: trained models in memory, and the requests of the stations. A request is JSON, an answer is
//! a list of floats. The crates `cpu` and `webgpu` export it to JavaScript; the program `native` answers the same requests
//! natively.

#[cfg(feature = "check")]
mod check;
pub mod stations;
pub mod training;

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pixelloom::cpu::Isa;
use pixelloom::model_file::Content;
use pixelloom::models::draw::Draw;
use pixelloom::models::vae::Vae;
use pixelloom::models::{AnyModel, ModelConfig};
use pixelloom::nn::Module;
use pixelloom::{Device, Tensor};
use serde::Deserialize;
use training::{Digits, Trainer, Training};

/// Pixels of an image: all models draw 28 x 28.
pub const PIXELS: usize = 28 * 28;

/// An error message, which the page shows.
pub type Answer<T> = Result<T, String>;

/// A request of a station. Images are 784 numbers, 0 or 1, in row-major order; `seed` selects the noise.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// \[2, 784\]: the probability of ink at every pixel given the previous pixels, then -log p of the actual value of
    /// each pixel in nats.
    Pixels { model: String, image: Vec<f32> },
    /// `count` completions of an image in which `given` marks the pixels that are kept: \[count, 784\].
    Complete { model: String, image: Vec<f32>, given: Vec<u8>, count: usize, seed: u64 },
    /// A digit drawn by DRAW: [`stations::GLIMPSE`] numbers per glimpse.
    Imagine { seed: u64 },
    /// An image reconstructed by DRAW: the nats of the reconstruction, then the glimpses in order.
    Read { image: Vec<f32>, seed: u64 },
    /// An image encoded by the VAE: mean and log variance of q(z|x) \[2 Z\], the two parts of the bound (reconstruction
    /// and KL, in nats), then the decoder's means at the mean of q(z|x) \[784\].
    Encode { image: Vec<f32> },
    /// Means of p(x|z) for points z \[n, Z\]: \[n, 784\].
    Decode { z: Vec<f32> },
    /// Starts training a VAE with random weights; it replaces the one in training. No numbers.
    TrainStart { hidden: usize, latent: usize, seed: u64 },
    /// Training steps on 100 images each: their losses in nats/image.
    TrainSteps { steps: usize },
    /// Images from the VAE in training: \[count, 784\].
    TrainSamples { count: usize },
    /// The number of cases whose results differ from the reference, then the number of cases.
    #[cfg(feature = "check")]
    Check,
}

/// A trained model.
enum Loaded {
    Pixel(AnyModel),
    Draw(Draw),
    Vae(Vae),
}

/// Trained models and the device that they are on.
pub struct Engine {
    device: Device,
    models: BTreeMap<String, Loaded>,
    trainer: Trainer,
}

impl Default for Engine {
    fn default() -> Engine {
        let device = Device::cpu();
        Engine { trainer: Trainer::on(&device), device, models: BTreeMap::new() }
    }
}

impl Engine {
    /// The instruction set of the kernels.
    pub fn instructions() -> &'static str {
        Isa::current().name()
    }

    /// Loads a file: a model (`.safetensors`), or one of the trainer. Returns the kind of the model, by which requests name
    /// it.
    pub fn load(&mut self, bytes: &[u8]) -> Answer<String> {
        if Digits::are_in(bytes) {
            return self.trainer.load(bytes);
        }
        let content = Content::from_bytes(bytes).map_err(|why| format!("the model file {why}"))?;
        if Training::is_in(&content) {
            return self.trainer.resume(&content);
        }
        let text = content.texts.get("config").map_or("", String::as_str);
        let config: ModelConfig = serde_json::from_str(text)
            .map_err(|e| format!("the model file describes no model of this program: {e}"))?;
        config.check().map_err(|e| e.to_string())?;
        let kind = config.kind().to_string();
        let model = match config {
            ModelConfig::Vae(config) => Loaded::Vae(Vae::new(&self.device, config, 0)),
            ModelConfig::Draw(config) => Loaded::Draw(Draw::new(&self.device, config, 0)),
            other => Loaded::Pixel(other.build(&self.device, 0).map_err(|e| e.to_string())?),
        };
        fill(model.module(), &content)?;
        self.models.insert(kind.clone(), model);
        Ok(kind)
    }

    /// Answers a request; `frame` receives the number of finished pixels and the images while they are drawn.
    pub fn answer(
        &mut self,
        request: Request,
        frame: &mut dyn FnMut(usize, &[f32]),
    ) -> Answer<Vec<f32>> {
        match request {
            Request::Pixels { model, image } => self.pixels(&model, &image),
            Request::Complete { model, image, given, count, seed } => {
                self.complete(&model, &image, &given, (count, seed), frame)
            }
            Request::Imagine { seed } => self.imagine(seed),
            Request::Read { image, seed } => self.read(&image, seed),
            Request::Encode { image } => self.encode(&image),
            Request::Decode { z } => self.decode(&z),
            Request::TrainStart { .. }
            | Request::TrainSteps { .. }
            | Request::TrainSamples { .. } => now(self.trainer.answer(request)),
            #[cfg(feature = "check")]
            Request::Check => check::kernels(),
        }
    }

    /// The training as a file, which [`Engine::load`] resumes.
    pub fn save(&self) -> Answer<Vec<u8>> {
        now(self.trainer.save())
    }

    fn model(&self, name: &str) -> Answer<&Loaded> {
        self.models.get(name).ok_or_else(|| format!("the model {name} is not loaded"))
    }

    /// An image as a batch of one, \[1, 784\].
    fn image(&self, image: &[f32]) -> Answer<Tensor> {
        if image.len() != PIXELS {
            return Err(format!("an image has {PIXELS} numbers, not {}", image.len()));
        }
        Ok(Tensor::new(&self.device, image, &[1, PIXELS]))
    }
}

impl Loaded {
    fn module(&self) -> &dyn Module {
        match self {
            Loaded::Pixel(model) => model.model(),
            Loaded::Draw(model) => model,
            Loaded::Vae(model) => model,
        }
    }
}

/// The result of a future on the CPU, where nothing has to be waited for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the CPU computes at once"),
    }
}

/// Loads the weights of a file into a model with the same configuration.
fn fill(model: &dyn Module, content: &Content) -> Answer<()> {
    for (name, param) in model.parameters() {
        let value = param.value();
        let tensor = content.tensors.get(&name).filter(|tensor| tensor.shape == value.shape());
        let tensor = tensor
            .ok_or_else(|| format!("the model file has no tensor {name} of {:?}", value.shape()))?;
        param.set(Tensor::new(value.device(), &tensor.data, &tensor.shape));
    }
    Ok(())
}
