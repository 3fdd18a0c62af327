//! The wgpu back end: adapters, buffers, pipelines and the queue. No other module uses `wgpu`.
//!
//! A kernel is an entry point of a [`Program`], a WGSL module with fixed bindings in group 0:
//!
//! ```wgsl
//! struct Params { n: u32, scale: f32 }                          // at most 256 bytes
//! @group(0) @binding(0) var<uniform> params: Params;
//! @group(0) @binding(1) var<storage, read> x: array<f32>;       // the inputs, in order,
//! @group(0) @binding(2) var<storage, read_write> y: array<f32>; // then the outputs
//!
//! @compute @workgroup_size(256)
//! fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
//!     if (id.x < params.n) { y[id.x] = params.scale * x[id.x]; }
//! }
//! ```
//!
//! A buffer can also be declared a second time as an array of vectors, under another name:
//! `@binding(1) var<storage, read> x_fours: array<vec4<f32>>`. A buffer in which several invocations may store to the
//! same element is declared as an array of atomic bits:
//! `@binding(2) var<storage, read_write> y_atomics: array<atomic<u32>>`.
//!
//! `Gpu::record` appends dispatches to an open compute pass and returns immediately. Only `Gpu::download` and
//! `Gpu::wait` wait for the device. They also return the first error that has occurred, so a training step needs no
//! error handling of its own.
//!
//! In a browser nothing can wait, so blocking calls fail there. `Gpu::open_async` and `Gpu::download_async` are awaited
//! instead; on other targets the blocking calls run them to their end.

// The CPU-only build includes the shaders' source too, because its tests check them.
mod program;
pub use program::{Dispatch, Program, Wgsl};

#[cfg(feature = "gpu")]
mod adapters;
#[cfg(feature = "gpu")]
mod bindings;
#[cfg(feature = "gpu")]
mod context;
#[cfg(feature = "gpu")]
mod pace;
#[cfg(feature = "gpu")]
mod pipelines;
#[cfg(feature = "gpu")]
mod pool;
#[cfg(feature = "gpu")]
mod profile;
#[cfg(feature = "gpu")]
mod recorder;
#[cfg(feature = "gpu")]
mod subgroups;
#[cfg(feature = "gpu")]
mod transfer;

#[cfg(feature = "gpu")]
pub use adapters::AdapterSummary;
#[cfg(all(feature = "gpu", not(target_family = "wasm")))]
pub use adapters::adapters;
#[cfg(feature = "gpu")]
pub use context::{Gpu, GpuOptions, Stats};
#[cfg(feature = "gpu")]
pub use pool::GpuBuffer;
#[cfg(feature = "gpu")]
pub use profile::KernelTime;
