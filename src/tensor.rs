//! `Tensor`: f32, contiguous, immutable, cheap to clone, on one device. Row-major: the last axis varies fastest.
//!
//! `reshape` is free; everything else that moves data is a kernel (`ops/layout/mod.rs`).

use std::sync::{Arc, OnceLock};

use crate::device::{Buffer, Device};
use crate::error::Result;

/// An array of f32 of any rank. Clones share the memory.
#[derive(Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    storage: Arc<Storage>,
    device: Device,
}

/// Memory of a tensor, and caches of the packed matrix and its packed transpose (`cpu/gemm/pack.rs`).
struct Storage {
    buffer: Buffer,
    /// Filled on first use. `None` inside: this device's products read the matrix as it is.
    packed: [OnceLock<Option<Box<Packed>>>; 2],
}

struct Packed {
    /// Columns of the matrix before it was packed (reshaped tensors share this cache).
    columns: usize,
    /// Columns in a panel.
    panel: usize,
    tensor: Tensor,
}

/// Number of elements of a tensor of this shape. Panics if it does not fit into a u32, which kernels count with.
#[track_caller]
pub(crate) fn elements(shape: &[usize]) -> usize {
    let len = shape.iter().try_fold(1u32, |len, &n| len.checked_mul(u32::try_from(n).ok()?));
    len.unwrap_or_else(|| panic!("a tensor of {shape:?}: kernels count to 2^32 - 1")) as usize
}

impl Tensor {
    /// A tensor of `shape` that holds `data` in row-major order. `[]` is the shape of a scalar.
    ///
    /// # Panics
    ///
    /// When `data` has another length, or 2^32 elements or more.
    #[track_caller]
    pub fn new(device: &Device, data: &[f32], shape: &[usize]) -> Tensor {
        let len = elements(shape);
        assert_eq!(data.len(), len, "Tensor::new: {} values for shape {shape:?}", data.len());
        Tensor::from_buffer(device, device.upload(data), shape)
    }

    /// A tensor with every element equal to `value`.
    #[track_caller]
    pub fn full(device: &Device, value: f32, shape: &[usize]) -> Tensor {
        if device.is_meta() {
            return Tensor::unwritten(device, shape);
        }
        Tensor::new(device, &vec![value; elements(shape)], shape)
    }

    /// A tensor of zeros.
    #[track_caller]
    pub fn zeros(device: &Device, shape: &[usize]) -> Tensor {
        Tensor::full(device, 0.0, shape)
    }

    /// An uninitialised tensor: its elements are unspecified until kernels have written all of them.
    pub(crate) fn unwritten(device: &Device, shape: &[usize]) -> Tensor {
        Tensor::from_buffer(device, device.alloc(elements(shape)), shape)
    }

    /// A zeroed arena and tensors of these shapes that are ranges of it, each with the index of its first element. `None`
    /// if [`Device::ranges`] has none.
    pub(crate) fn arena(
        device: &Device,
        shapes: &[&[usize]],
    ) -> Option<(Tensor, Vec<(usize, Tensor)>)> {
        let lengths: Vec<usize> = shapes.iter().map(|shape| elements(shape)).collect();
        let (whole, parts) = device.ranges(&lengths)?;
        let parts = parts
            .into_iter()
            .zip(shapes)
            .map(|((start, buffer), shape)| (start, Tensor::from_buffer(device, buffer, shape)));
        let parts: Vec<_> = parts.collect();
        let end = parts.last().map_or(0, |(start, part)| start + part.len());
        Some((Tensor::from_buffer(device, whole, &[end]), parts))
    }

    /// Whether these two, and no other tensor, share memory.
    pub(crate) fn is_shared_with_only(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage) && Arc::strong_count(&self.storage) == 2
    }

    #[track_caller]
    pub(crate) fn from_buffer(device: &Device, buffer: Buffer, shape: &[usize]) -> Tensor {
        elements(shape); // Panics if there are too many.
        let storage = Arc::new(Storage { buffer, packed: Default::default() });
        Tensor { shape: shape.to_vec(), storage, device: device.clone() }
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The device that holds the data.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Downloads all elements in row-major order. On a GPU this waits for the work that computes them.
    ///
    /// Errors: [`crate::Error::Device`] if the GPU failed, now or earlier, and for a GPU in a browser, where nothing can
    /// wait: see [`Tensor::to_vec_async`].
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        self.device.download(self.buffer())
    }

    /// As [`Tensor::to_vec`], without blocking the thread in a browser: submits the work, and the future waits for it. It
    /// holds the elements as they are at this call.
    ///
    /// Errors: [`crate::Error::Device`] if the GPU failed, now or earlier.
    pub fn to_vec_async(&self) -> impl Future<Output = Result<Vec<f32>>> + use<> {
        self.device.download_async(self.buffer())
    }

    /// Downloads the only element of a tensor of length 1. Panics on other lengths; fails as [`Tensor::to_vec`] does.
    #[track_caller]
    pub fn item(&self) -> Result<f32> {
        assert_eq!(self.len(), 1, "Tensor::item: shape {:?} has more than one element", self.shape);
        Ok(self.to_vec()?[0])
    }

    /// The same data with another shape. Copies nothing. Panics if the number of elements differs.
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Tensor {
        assert_eq!(elements(shape), self.len(), "reshape: {:?} to {shape:?}", self.shape);
        Tensor { shape: shape.to_vec(), ..self.clone() }
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.storage.buffer
    }

    /// This matrix, or its transpose, packed as the right operand of the device's matrix products, with the number
    /// of columns in a panel. `None` if the device reads such operands unpacked. The result is cached until the
    /// matrix changes, and tapes on several threads share it.
    #[track_caller]
    pub(crate) fn packed(&self, transposed: bool) -> Option<(Tensor, u32)> {
        let [rows, columns] = *self.shape() else { panic!("{:?} is no matrix", self.shape) };
        let (shape, strides) = match transposed {
            false => ((rows, columns), [columns, 1]),
            true => ((columns, rows), [1, columns]),
        };
        let pack = || {
            let (packed, len, panel) = self.device.pack(self.buffer(), shape, strides)?;
            let tensor = Tensor::from_buffer(&self.device, packed, &[len]);
            Some(Packed { columns, panel, tensor })
        };
        let kept = self.storage.packed[usize::from(transposed)]
            .get_or_init(|| pack().map(Box::new))
            .as_deref()?;
        // The cache is of another shape, or of another instruction set than the one in use.
        if kept.columns != columns || !self.device.reads_panels_of(kept.panel) {
            return pack().map(|made| (made.tensor, made.panel as u32));
        }
        Some((kept.tensor.clone(), kept.panel as u32))
    }

    /// Mutable access to the buffer, or `None` if another tensor shares it.
    pub(crate) fn buffer_mut(&mut self) -> Option<&mut Buffer> {
        let storage = Arc::get_mut(&mut self.storage)?;
        storage.packed = Default::default();
        Some(&mut storage.buffer)
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Tensor{:?} on {}", self.shape, self.device.name())
    }
}
