//! Training on the browser's GPU, as a WebAssembly module with bindings that wasm-bindgen generates, because wgpu needs
//! them. A module of its own, so that pages without WebGPU do not load it, and a failure here leaves the CPU's engine as it
//! is.

use js_sys::Function;
use pixelloom::Device;
use pixelloom::gpu::{Gpu, GpuOptions};
use pixelloom_web_engine::training::Trainer;
use wasm_bindgen::prelude::*;

fn error(message: String) -> JsError {
    JsError::new(&message)
}

/// The trainer on the GPU. JavaScript makes one call at a time.
#[wasm_bindgen]
pub struct WebGpu {
    gpu: Gpu,
    trainer: Trainer,
}

#[wasm_bindgen]
impl WebGpu {
    /// Opens the GPU that the browser offers.
    pub async fn open() -> Result<WebGpu, JsError> {
        std::panic::set_hook(Box::new(|info| wasm_bindgen::throw_str(&info.to_string())));
        let gpu = Gpu::open_async(0, GpuOptions::default()).await;
        let gpu = gpu.map_err(|e| error(e.to_string()))?;
        Ok(WebGpu { trainer: Trainer::on(&Device::Gpu(gpu.clone())), gpu })
    }

    /// Loads the digits or a saved training. Returns its kind.
    pub fn load(&mut self, bytes: &[u8]) -> Result<String, JsError> {
        self.trainer.load(bytes).map_err(error)
    }

    /// The training as a file.
    pub async fn save(&self) -> Result<Vec<u8>, JsError> {
        self.trainer.save().await.map_err(error)
    }

    /// Compiles the kernels that a VAE of these sizes needs, and calls `progress(done, total)`.
    pub async fn compile(
        &self,
        hidden: usize,
        latent: usize,
        progress: Function,
    ) -> Result<(), JsError> {
        let mut report = |done: usize, total: usize| {
            // What the page does with the report changes nothing here.
            let _ = progress.call2(&JsValue::NULL, &done.into(), &total.into());
        };
        self.trainer.compile((hidden, latent), &mut report).await.map_err(error)
    }

    /// Answers a request (JSON) about training.
    pub async fn answer(&mut self, request: String) -> Result<Vec<f32>, JsError> {
        let request =
            serde_json::from_str(&request).map_err(|e| error(format!("not a request: {e}")))?;
        self.trainer.answer(request).await.map_err(error)
    }

    /// Destroys the device, as when its driver is reset; for tests.
    pub fn destroy(&self) {
        self.gpu.destroy();
    }
}
