//! Where tensors live and kernels run. This is the one file that knows what devices there are: others ask
//! [`Device::is_cpu`] at most, where a device gains by another way of working.

use std::time::Instant;

use crate::cpu::gemm::{Mat, at_once, in_share, pack, packed_len, panel};
use crate::cpu::{Cpu, CpuBuffer, Meta};
use crate::error::Result;
use crate::gpu::Program;
#[cfg(feature = "gpu")]
use crate::gpu::{Dispatch, Gpu, GpuBuffer};
use crate::profile::{Ledger, Profile, Sum};

/// The CPU, a GPU adapter, or the reference. Clones are handles of the same device.
#[derive(Clone)]
pub enum Device {
    /// The processor; kernels run in the current rayon pool.
    Cpu(Cpu),
    /// Each kernel's reference, plain loops on one thread: slow, for reading and debugging.
    Reference(Cpu),
    /// A wgpu adapter.
    #[cfg(feature = "gpu")]
    Gpu(Gpu),
}

/// Memory of a device, `len` floats; it returns to the device's pool when dropped.
pub enum Buffer {
    /// Host memory.
    Cpu(CpuBuffer),
    /// A storage buffer.
    #[cfg(feature = "gpu")]
    Gpu(GpuBuffer),
}

/// A kernel with its parameters, ready to run on either kind of device.
pub trait Launch {
    /// Runs on host slices.
    fn on_cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]]);
    /// Runs the reference on host slices.
    fn on_reference(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]]);
    /// The shader.
    fn program(&self) -> &'static Program;
    /// This one launch for a profile; its time is not known yet.
    fn work(&self) -> Sum;
    /// Hands the dispatches, in order, to `record`.
    #[cfg(feature = "gpu")]
    fn on_gpu(&self, record: &mut dyn FnMut(&[Dispatch]));
}

#[cfg(feature = "gpu")]
const MIXED: &str =
    "tensors of different kinds of device in one operation; move them to one device first";

impl Device {
    /// The CPU with a pool of its own.
    pub fn cpu() -> Device {
        Device::Cpu(Cpu::new())
    }

    /// The reference: every kernel as its equation is written, in plain loops (`ops/STEM/reference.rs`).
    pub fn reference() -> Device {
        Device::Reference(Cpu::new())
    }

    /// A device that stands for `of` and holds no numbers, as PyTorch's meta device: tensors have shapes,
    /// kernels do nothing, and [`Device::most_bytes`] counts what they would take. Numbers read from it
    /// are zeros.
    pub fn meta(of: &Device) -> Device {
        Device::Cpu(Cpu::meta(match of {
            Device::Cpu(cpu) => cpu.stands_for().unwrap_or(Meta::Cpu),
            Device::Reference(_) => Meta::Other,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => Meta::Other,
        }))
    }

    /// Whether this is a [`Device::meta`].
    pub(crate) fn is_meta(&self) -> bool {
        self.stands_for().is_some()
    }

    fn stands_for(&self) -> Option<Meta> {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => cpu.stands_for(),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => None,
        }
    }

    /// Of a meta device: bytes of the largest output of a kernel so far, and the kernel's name.
    pub fn largest_output(&self) -> Option<(u64, &'static str)> {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => {
                cpu.largest().map(|(floats, kernel)| (4 * floats as u64, kernel))
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => None,
        }
    }

    /// Bytes that a tensor may have at most, where the device sets a limit: what a GPU can bind to a kernel.
    pub fn largest_tensor(&self) -> Option<u64> {
        match self {
            Device::Cpu(_) | Device::Reference(_) => None,
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Some(gpu.largest_tensor()),
        }
    }

    /// "cpu", "reference", "meta", or the adapter's name and back end.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu(cpu) if cpu.stands_for().is_some() => "meta".into(),
            Device::Cpu(_) => "cpu".into(),
            Device::Reference(_) => "reference".into(),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => {
                let s = gpu.summary();
                format!("gpu:{} ({}, {})", s.index, s.name, s.backend)
            }
        }
    }

    /// Whether this is the CPU, or stands for it.
    pub fn is_cpu(&self) -> bool {
        match self {
            Device::Cpu(cpu) => cpu.stands_for().is_none_or(|of| of == Meta::Cpu),
            Device::Reference(_) => false,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => false,
        }
    }

    /// Bytes in use by live tensors.
    pub fn live_bytes(&self) -> usize {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => cpu.stats().live_bytes,
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.stats().live_bytes as usize,
        }
    }

    /// Runs `f` and returns the most bytes that live tensors had at once meanwhile, those that lived before
    /// included.
    pub fn most_bytes<T>(&self, f: impl FnOnce() -> T) -> (T, usize) {
        let watch = || match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => cpu.watch(),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.watch() as usize,
        };
        watch();
        (f(), watch())
    }

    /// Waits until everything launched so far is done, and returns the first fault, if there was
    /// one. A device that failed stays failed.
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Device::Cpu(_) | Device::Reference(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.wait(),
        }
    }

    /// Hands recorded work to the device without waiting for it.
    pub fn flush(&self) -> Result<()> {
        match self {
            Device::Cpu(_) | Device::Reference(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.flush(),
        }
    }

    /// Runs `f` and waits for what it launched on this device, each launch timed, and adds that to
    /// `profile` as one run. On a GPU every dispatch has a pass of its own then, so the run takes longer
    /// than usual, but its kernels do not.
    ///
    /// Errors: [`crate::Error::Device`] when this adapter has no timestamps, or when it failed.
    ///
    /// # Panics
    ///
    /// When `f`, or another thread, profiles the same device.
    pub fn profiled<T>(&self, profile: &mut Profile, f: impl FnOnce() -> T) -> Result<T> {
        #[cfg(feature = "gpu")]
        if let Device::Gpu(gpu) = self {
            gpu.profile(true)?;
        }
        self.ledger().start();
        let begin = Instant::now();
        let value = f();
        let waited = self.synchronize();
        let seconds = begin.elapsed().as_secs_f64();
        #[allow(unused_mut)] // Without a GPU the times are in it.
        let mut kernels = self.ledger().stop();
        waited?;
        #[cfg(feature = "gpu")]
        if let Device::Gpu(gpu) = self {
            for time in gpu.profile(false)? {
                kernels.entry(time.program).or_default().seconds += time.ns as f64 / 1e9;
            }
        }
        profile.runs += 1;
        profile.seconds += seconds;
        kernels.iter().for_each(|(name, sum)| profile.kernels.entry(name).or_default().add(sum));
        Ok(value)
    }

    fn ledger(&self) -> &Ledger {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => cpu.ledger(),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.ledger(),
        }
    }

    pub(crate) fn alloc(&self, len: usize) -> Buffer {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => Buffer::Cpu(cpu.alloc(len)),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Buffer::Gpu(gpu.alloc(len)),
        }
    }

    pub(crate) fn upload(&self, data: &[f32]) -> Buffer {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => {
                let mut buffer = cpu.alloc(data.len());
                if !self.is_meta() {
                    buffer.as_mut_slice().copy_from_slice(data);
                }
                Buffer::Cpu(buffer)
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Buffer::Gpu(gpu.upload(data)),
        }
    }

    pub(crate) fn download(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        match (self, buffer) {
            (Device::Cpu(_), Buffer::Cpu(b)) if self.is_meta() => Ok(vec![0.0; b.len()]),
            (Device::Cpu(_) | Device::Reference(_), Buffer::Cpu(b)) => Ok(b.as_slice().to_vec()),
            #[cfg(feature = "gpu")]
            (Device::Gpu(gpu), Buffer::Gpu(b)) => gpu.download(b),
            #[cfg(feature = "gpu")]
            _ => panic!("{MIXED}"),
        }
    }

    /// B\[k, n\] with these strides in the order in which this device's products read it, for a B of many
    /// products, its length, and the columns of a panel; none where they read it as it lies.
    pub(crate) fn pack(
        &self,
        b: &Buffer,
        (k, n): (usize, usize),
        [row_stride, col_stride]: [usize; 2],
    ) -> Option<(Buffer, usize, usize)> {
        match self {
            Device::Cpu(cpu) => {
                let len = packed_len(k, n);
                let mut packed = cpu.alloc(len);
                if self.is_meta() {
                    return Some((Buffer::Cpu(packed), len, panel()));
                }
                let b = Mat { data: b.host(), row_stride, col_stride };
                // Single-threaded: other callers block on the `OnceLock`, not in rayon.
                let panel =
                    in_share(usize::MAX, || pack(&[(b, k)], n, packed.as_mut_slice()).panel());
                Some((Buffer::Cpu(packed), len, panel))
            }
            Device::Reference(_) => None,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => None,
        }
    }

    /// Whether this device's products read what was packed into panels of this many columns.
    pub(crate) fn reads_panels_of(&self, columns: usize) -> bool {
        self.is_cpu() && columns == panel()
    }

    /// Runs a kernel. Inputs and outputs are different buffers.
    #[track_caller]
    pub(crate) fn run(&self, launch: &dyn Launch, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        match self {
            Device::Cpu(cpu) if self.is_meta() => {
                for output in outputs {
                    cpu.note(launch.program().name, output.len());
                }
            }
            Device::Cpu(cpu) | Device::Reference(cpu) => {
                let inputs: Vec<&[f32]> = inputs.iter().map(|b| b.host()).collect();
                let mut outputs: Vec<&mut [f32]> =
                    outputs.iter_mut().map(|b| b.host_mut()).collect();
                let mut run = || match self {
                    Device::Reference(_) => launch.on_reference(&inputs, &mut outputs),
                    _ => launch.on_cpu(&inputs, &mut outputs),
                };
                if !cpu.ledger().is_on() {
                    return run();
                }
                let begin = Instant::now();
                run();
                let seconds = begin.elapsed().as_secs_f64() / at_once() as f64;
                cpu.ledger().add(launch.program().name, &Sum { seconds, ..launch.work() });
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => {
                let inputs: Vec<&GpuBuffer> = inputs.iter().map(|b| b.gpu()).collect();
                let outputs: Vec<&GpuBuffer> = outputs.iter().map(|b| b.gpu()).collect();
                if gpu.ledger().is_on() {
                    gpu.ledger().add(launch.program().name, &launch.work());
                }
                launch.on_gpu(&mut |dispatches| {
                    gpu.record(launch.program(), dispatches, &inputs, &outputs);
                });
            }
        }
    }
}

impl Buffer {
    /// Number of floats.
    fn len(&self) -> usize {
        match self {
            Buffer::Cpu(b) => b.len(),
            #[cfg(feature = "gpu")]
            Buffer::Gpu(b) => b.len(),
        }
    }

    #[track_caller]
    fn host(&self) -> &[f32] {
        match self {
            Buffer::Cpu(b) => b.as_slice(),
            #[cfg(feature = "gpu")]
            Buffer::Gpu(_) => panic!("{MIXED}"),
        }
    }

    #[track_caller]
    fn host_mut(&mut self) -> &mut [f32] {
        match self {
            Buffer::Cpu(b) => b.as_mut_slice(),
            #[cfg(feature = "gpu")]
            Buffer::Gpu(_) => panic!("{MIXED}"),
        }
    }

    #[cfg(feature = "gpu")]
    #[track_caller]
    fn gpu(&self) -> &GpuBuffer {
        match self {
            Buffer::Gpu(b) => b,
            Buffer::Cpu(_) => panic!("{MIXED}"),
        }
    }
}
