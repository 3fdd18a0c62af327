//! Where tensors live and kernels run. No other file knows which devices exist. At most, others ask
//! [`Device::is_cpu`], to choose an algorithm that is faster there.

use std::future::ready;
use std::pin::Pin;
use std::time::Instant;

use crate::cpu::gemm::{Mat, at_once, in_share, pack, packed_len, panel};
use crate::cpu::{Cpu, CpuBuffer, Meta};
use crate::error::{Error, Result};
use crate::gpu::Program;
#[cfg(feature = "gpu")]
use crate::gpu::{Dispatch, Gpu, GpuBuffer};
#[cfg(feature = "gpu")]
use crate::profile::Launches;
use crate::profile::{Ledger, Profile, Sum};
use crate::tiles::Tiles;

/// The CPU, a GPU, or the reference. Clones are handles of the same device.
#[derive(Clone)]
pub enum Device {
    /// The processor; kernels run in the current rayon pool.
    Cpu(Cpu),
    /// Runs each kernel's reference, plain loops on one thread: slow, for debugging.
    Reference(Cpu),
    /// A wgpu adapter.
    #[cfg(feature = "gpu")]
    Gpu(Gpu),
}

/// Memory for `len` floats on a device. Dropping it returns the memory to the device's pool.
pub enum Buffer {
    /// Host memory.
    Cpu(CpuBuffer),
    /// A storage buffer.
    #[cfg(feature = "gpu")]
    Gpu(GpuBuffer),
}

/// A kernel with its parameters, ready to run on any device.
pub trait Launch {
    /// Runs the CPU function on buffers in host memory.
    fn on_cpu(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]);
    /// Runs the reference on buffers in host memory.
    fn on_reference(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]);
    /// The shader.
    fn program(&self) -> &'static Program;
    /// Counts of this launch for a profile, with a time of 0.
    fn work(&self) -> Sum;
    /// Shapes of its tensors for a profile, such as `100x784, 784x500 -> 100x500`.
    fn shapes(&self) -> String;
    /// Passes the dispatches, in order, to `record`.
    #[cfg(feature = "gpu")]
    fn on_gpu(&self, record: &mut dyn FnMut(&[Dispatch]));
}

#[cfg(feature = "gpu")]
const MIXED: &str =
    "tensors of different kinds of device in one operation; move them to one device first";

impl Device {
    /// The CPU, with a new memory pool.
    pub fn cpu() -> Device {
        Device::Cpu(Cpu::new())
    }

    /// The reference: runs every kernel's equation as plain loops (`ops/STEM/reference.rs`).
    pub fn reference() -> Device {
        Device::Reference(Cpu::new())
    }

    /// A device that imitates `of` without data, like PyTorch's meta device. Its tensors have shapes but no memory,
    /// and its kernels do nothing, but [`Device::most_bytes`] counts the bytes that `of` would need. Downloads
    /// return zeros.
    pub fn meta(of: &Device) -> Device {
        Device::Cpu(Cpu::meta(match of {
            Device::Cpu(cpu) => cpu.stands_for().unwrap_or(Meta::Cpu),
            Device::Reference(_) => Meta::Other(of.tiles()),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => Meta::Other(of.tiles()),
        }))
    }

    /// How kernels divide their work on this device; [`Tiles::DISCRETE`] on the CPU, which does not use it.
    pub fn tiles(&self) -> Tiles {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => match cpu.stands_for() {
                Some(Meta::Other(tiles)) => tiles,
                Some(Meta::Cpu) | None => Tiles::DISCRETE,
            },
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.tiles(),
        }
    }

    /// The same device with other tiles, which kernels use for tensors that are created on it from now on. The tiles
    /// must be in their [limits](Tiles::LIMITS). No effect on the CPU and the reference. For a meta device, a new one.
    pub fn with_tiles(&self, tiles: Tiles) -> Device {
        match self {
            Device::Cpu(cpu) if matches!(cpu.stands_for(), Some(Meta::Other(_))) => {
                Device::Cpu(Cpu::meta(Meta::Other(tiles)))
            }
            Device::Cpu(_) | Device::Reference(_) => self.clone(),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Device::Gpu(gpu.with_tiles(tiles)),
        }
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

    /// On a meta device: size in bytes of the largest kernel output so far, and the kernel's name. `None` elsewhere.
    pub fn largest_output(&self) -> Option<(u64, &'static str)> {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => {
                cpu.largest().map(|(floats, kernel)| (4 * floats as u64, kernel))
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => None,
        }
    }

    /// Maximum size of a tensor in bytes, if the device has a limit: a GPU's largest storage binding.
    pub fn largest_tensor(&self) -> Option<u64> {
        match self {
            Device::Cpu(_) | Device::Reference(_) => None,
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Some(gpu.largest_tensor()),
        }
    }

    /// "cpu", "reference", "meta", or a GPU's index, adapter name and back end.
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

    /// Whether this is the CPU, or a meta device that imitates it.
    pub fn is_cpu(&self) -> bool {
        match self {
            Device::Cpu(cpu) => cpu.stands_for().is_none_or(|of| of == Meta::Cpu),
            Device::Reference(_) => false,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => false,
        }
    }

    /// Bytes that live tensors occupy.
    pub fn live_bytes(&self) -> usize {
        match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => cpu.stats().live_bytes,
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.stats().live_bytes as usize,
        }
    }

    /// Runs `f` and returns its result with the peak number of bytes that live tensors occupied meanwhile. Tensors
    /// that were already alive count.
    pub fn most_bytes<T>(&self, f: impl FnOnce() -> T) -> (T, usize) {
        let watch = || match self {
            Device::Cpu(cpu) | Device::Reference(cpu) => cpu.watch(),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.watch() as usize,
        };
        watch();
        (f(), watch())
    }

    /// Waits for all launched work.
    ///
    /// Errors: [`crate::Error::Device`] with the first failure of the GPU. A GPU that has failed does not recover.
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Device::Cpu(_) | Device::Reference(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.wait(),
        }
    }

    /// Submits recorded work to the GPU without waiting for it. Does nothing on the CPU. Errors as
    /// [`Device::synchronize`].
    pub fn flush(&self) -> Result<()> {
        match self {
            Device::Cpu(_) | Device::Reference(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.flush(),
        }
    }

    /// Runs `f`, waits for the work it launched on this device, and adds the time of each kernel to `profile` as
    /// one run. On a GPU every dispatch then gets a compute pass of its own: the run takes longer than usual, but
    /// its kernels do not. On a meta device, the profile has the work of each kernel but no times.
    ///
    /// Errors: [`crate::Error::Device`] if the adapter has no timestamps, if it failed, or in a browser, where the
    /// standard library has no clock.
    ///
    /// # Panics
    ///
    /// When this device is already being profiled, by `f` itself or by another thread.
    pub fn profiled<T>(&self, profile: &mut Profile, f: impl FnOnce() -> T) -> Result<T> {
        if cfg!(all(target_family = "wasm", target_os = "unknown")) {
            return Err(Error::Device(
                "there is no clock here; time the work from JavaScript".into(),
            ));
        }
        #[cfg(feature = "gpu")]
        if let Device::Gpu(gpu) = self {
            gpu.profile(true)?;
        }
        self.ledger().start();
        let begin = Instant::now();
        let value = f();
        let waited = self.synchronize();
        let seconds = begin.elapsed().as_secs_f64();
        #[allow(unused_mut)] // Mutated only for GPUs, whose times arrive later.
        let mut launches = self.ledger().stop();
        waited?;
        #[cfg(feature = "gpu")]
        if let Device::Gpu(gpu) = self {
            for time in gpu.profile(false)? {
                let seconds = time.ns as f64 / 1e9;
                match time.launch {
                    Some(number) => launches[number].sum.seconds += seconds,
                    None => launches.push(Launches::unlisted(time.program, seconds)),
                }
            }
        }
        profile.runs += 1;
        profile.seconds += seconds;
        launches.into_iter().for_each(|launches| profile.add(launches));
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

    /// A zeroed buffer and ranges of it with these lengths, each with the index of its first element. `None` on devices
    /// that gain nothing from one launch over many tensors, and if the buffer is larger than a launch can bind.
    pub(crate) fn ranges(&self, lengths: &[usize]) -> Option<(Buffer, Vec<(usize, Buffer)>)> {
        match self {
            Device::Cpu(_) | Device::Reference(_) => {
                let _ = lengths;
                None
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => {
                // Every GPU can bind ranges that start at multiples of 256 bytes.
                let most: usize = lengths.iter().map(|length| length + 64).sum();
                if 4 * most as u64 > gpu.largest_tensor() {
                    return None;
                }
                let (whole, parts) = gpu.ranges(lengths);
                let parts = parts.into_iter().map(|(start, part)| (start, Buffer::Gpu(part)));
                Some((Buffer::Gpu(whole), parts.collect()))
            }
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

    /// As [`Device::download`]. The future yields the data as they are at this call.
    pub(crate) fn download_async(
        &self,
        buffer: &Buffer,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<f32>>> + Send>> {
        match (self, buffer) {
            #[cfg(feature = "gpu")]
            (Device::Gpu(gpu), Buffer::Gpu(b)) => Box::pin(gpu.download_async(b)),
            _ => Box::pin(ready(self.download(buffer))),
        }
    }

    /// Packs B\[k, n\], given with its strides, as the right operand of matrix products, so that several products can
    /// share it. Returns the buffer, its length and the number of columns in a panel, or `None` if this device
    /// reads B unpacked.
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

    /// Whether this device's matrix products read panels of this many columns.
    pub(crate) fn reads_panels_of(&self, columns: usize) -> bool {
        self.is_cpu() && columns == panel()
    }

    /// Runs a kernel. No buffer may be both an input and an output.
    #[track_caller]
    pub(crate) fn run(&self, launch: &dyn Launch, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        match self {
            Device::Cpu(cpu) if self.is_meta() => {
                for output in outputs {
                    cpu.note(launch.program().name, output.len());
                }
                if cpu.ledger().is_on() {
                    cpu.ledger().add(launch.program().name, launch.shapes(), &launch.work());
                }
            }
            Device::Cpu(cpu) | Device::Reference(cpu) => {
                let mut run = || match self {
                    Device::Reference(_) => launch.on_reference(inputs, outputs),
                    _ => launch.on_cpu(inputs, outputs),
                };
                if !cpu.ledger().is_on() {
                    return run();
                }
                let begin = Instant::now();
                run();
                let seconds = begin.elapsed().as_secs_f64() / at_once() as f64;
                let sum = Sum { seconds, ..launch.work() };
                cpu.ledger().add(launch.program().name, launch.shapes(), &sum);
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => {
                let inputs: Vec<&GpuBuffer> = inputs.iter().map(|b| b.gpu()).collect();
                let outputs: Vec<&GpuBuffer> = outputs.iter().map(|b| b.gpu()).collect();
                let ledger = Some(gpu.ledger()).filter(|ledger| ledger.is_on());
                let number = ledger.map(|ledger| {
                    ledger.add(launch.program().name, launch.shapes(), &launch.work())
                });
                launch.on_gpu(&mut |dispatches| {
                    gpu.record_as(number, launch.program(), dispatches, &inputs, &outputs);
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

    /// The floats. Panics if they are on a GPU.
    #[track_caller]
    pub(crate) fn host(&self) -> &[f32] {
        match self {
            Buffer::Cpu(b) => b.as_slice(),
            #[cfg(feature = "gpu")]
            Buffer::Gpu(_) => panic!("{MIXED}"),
        }
    }

    /// The floats, to be written. Panics if they are on a GPU.
    #[track_caller]
    pub(crate) fn host_mut(&mut self) -> &mut [f32] {
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
