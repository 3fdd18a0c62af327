//! Compiles WGSL to pipelines, once per device, on first use or ahead of time.

use super::context::{Gpu, Shared, lock, may_block};
use super::program::Program;
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

/// Size of a dispatch's parameters in bytes: the limit, and the strictest alignment of dynamic offsets.
pub(super) const PARAMS_BYTES: u64 = 256;

/// An entry point, ready to be dispatched.
pub(super) struct Prepared {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

struct Module {
    shader: wgpu::ShaderModule,
    layout: wgpu::BindGroupLayout,
}

/// Compiled on first use; an error is cached too. With one cell per entry, several threads can compile at once.
type Cell<T> = Arc<OnceLock<std::result::Result<Arc<T>, String>>>;

/// Modules and pipelines. The key is the program's address, which is unique since programs are statics.
#[derive(Default)]
pub(super) struct Pipelines {
    modules: Mutex<HashMap<usize, Cell<Module>>>,
    prepared: Mutex<HashMap<(usize, &'static str), Cell<Prepared>>>,
}

impl Gpu {
    /// Compiles these entry points on all cores and calls `progress(done, total)` after each. In a browser it always
    /// fails: pipelines are compiled on first use there.
    ///
    /// Errors: [`Error::Device`] with the name of the first program that does not compile, and the compiler's
    /// message.
    pub fn compile(
        &self,
        items: &[(&'static Program, &[&'static str])],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<()> {
        may_block()?;
        let work: Vec<(&'static Program, &'static str)> = items
            .iter()
            .flat_map(|(program, entries)| entries.iter().map(|&entry| (*program, entry)))
            .collect();
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..threads.min(work.len()) {
                let (sender, next, work) = (sender.clone(), &next, &work);
                scope.spawn(move || {
                    while let Some((program, entry)) =
                        work.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        // The receiver outlives the scope.
                        let _ = sender.send(self.0.prepare(program, entry).map(|_| ()));
                    }
                });
            }
            drop(sender);
            let mut first = Ok(());
            for (done, outcome) in receiver.iter().enumerate() {
                first = first.and(outcome.map_err(Error::Device));
                progress(done + 1, work.len());
            }
            first
        })
    }
}

impl Shared {
    /// The pipeline of an entry point, compiled on first use.
    pub fn prepare(
        &self,
        program: &'static Program,
        entry: &'static str,
    ) -> std::result::Result<Arc<Prepared>, String> {
        let key = (std::ptr::from_ref(program).addr(), entry);
        let cell = lock(&self.pipelines.prepared).entry(key).or_default().clone();
        cell.get_or_init(|| self.build_pipeline(program, entry)).clone()
    }

    fn build_pipeline(
        &self,
        program: &'static Program,
        entry: &'static str,
    ) -> std::result::Result<Arc<Prepared>, String> {
        let key = std::ptr::from_ref(program).addr();
        let cell = lock(&self.pipelines.modules).entry(key).or_default().clone();
        let module = cell.get_or_init(|| self.build_module(program)).clone()?;
        let (_, overrides) = program.source.with_subgroups(self.subgroup);
        let overrides: Vec<_> =
            overrides.into_iter().map(|(name, value)| (name, f64::from(value))).collect();
        let pipeline = self
            .guarded(|| {
                let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: Some(program.name),
                    bind_group_layouts: &[Some(&module.layout)],
                    immediate_size: 0,
                });
                self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(entry),
                    layout: Some(&layout),
                    module: &module.shader,
                    entry_point: Some(entry),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &overrides,
                        zero_initialize_workgroup_memory: self.options.zero_workgroup_memory,
                    },
                    cache: None,
                })
            })
            .map_err(|error| {
                let name = program.name;
                format!("the GPU program {name} has no usable kernel {entry}: {error}")
            })?;
        Ok(Arc::new(Prepared { pipeline, layout: module.layout.clone() }))
    }

    fn build_module(&self, program: &'static Program) -> std::result::Result<Arc<Module>, String> {
        let storage = |i: usize| wgpu::BufferBindingType::Storage { read_only: i < program.inputs };
        let types = std::iter::once(wgpu::BufferBindingType::Uniform)
            .chain((0..program.inputs + program.outputs).map(storage));
        let entries: Vec<_> = (0..)
            .zip(types)
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: binding == 0,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        self.guarded(|| {
            Arc::new(Module {
                shader: self.shader(program),
                layout: self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: Some(program.name),
                    entries: &entries,
                }),
            })
        })
        .map_err(|error| format!("the GPU program {} does not compile: {error}", program.name))
    }

    #[allow(unsafe_code)] // To omit run-time checks.
    fn shader(&self, program: &'static Program) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(program.name),
            source: wgpu::ShaderSource::Wgsl(program.source.with_subgroups(self.subgroup).0),
        };
        if self.options.bounds_checks {
            return self.device.create_shader_module(descriptor);
        }
        // SAFETY: the source is compiled into the program, never read from a file or a user. In this crate's
        // kernels, indices are within the lengths that their launchers pass, loops are bounded by parameters, and
        // divisors are nonzero; `tests/engine/kernels.rs` also runs each kernel with the checks enabled.
        // Kernels of other crates must guarantee the same (see `Program`).
        unsafe {
            self.device
                .create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    }
}
