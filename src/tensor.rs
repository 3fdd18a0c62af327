//! `Tensor`: f32, contiguous, immutable, cheap to clone, on one device. Row-major, last axis fastest.
//!
//! Reshape is free; everything else that moves data is a kernel (`ops/layout/mod.rs`).

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

/// Memory, and the matrix in it and its transpose in the order of many products, if they were asked for.
struct Storage {
    buffer: Buffer,
    packed: [OnceLock<Option<Box<Packed>>>; 2],
}

struct Packed {
    columns: usize,
    /// Columns of a panel.
    panel: usize,
    tensor: Tensor,
}

/// Elements of a tensor of this shape. Panics where an axis or their product is more than kernels count to.
#[track_caller]
pub(crate) fn elements(shape: &[usize]) -> usize {
    let len = shape.iter().try_fold(1u32, |len, &n| len.checked_mul(u32::try_from(n).ok()?));
    len.unwrap_or_else(|| panic!("a tensor of {shape:?}: kernels count to 2^32 - 1")) as usize
}

impl Tensor {
    /// A tensor of `shape` holding `data` in row-major order. Panics if the lengths differ.
    #[track_caller]
    pub fn new(device: &Device, data: &[f32], shape: &[usize]) -> Tensor {
        let len = elements(shape);
        assert_eq!(data.len(), len, "Tensor::new: {} values for shape {shape:?}", data.len());
        Tensor::from_buffer(device, device.upload(data), shape)
    }

    /// A tensor full of `value`.
    #[track_caller]
    pub fn full(device: &Device, value: f32, shape: &[usize]) -> Tensor {
        if device.is_meta() {
            return Tensor::unwritten(device, shape);
        }
        Tensor::new(device, &vec![value; elements(shape)], shape)
    }

    /// A tensor full of zeros.
    #[track_caller]
    pub fn zeros(device: &Device, shape: &[usize]) -> Tensor {
        Tensor::full(device, 0.0, shape)
    }

    /// A tensor whose elements are unspecified until kernels that update it have written all of them.
    pub(crate) fn unwritten(device: &Device, shape: &[usize]) -> Tensor {
        Tensor::from_buffer(device, device.alloc(elements(shape)), shape)
    }

    #[track_caller]
    pub(crate) fn from_buffer(device: &Device, buffer: Buffer, shape: &[usize]) -> Tensor {
        elements(shape); // Panics where these are too many.
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

    /// All elements in row-major order. On a GPU this waits for the work that makes them.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        self.device.download(self.buffer())
    }

    /// The one element of a tensor of length 1.
    #[track_caller]
    pub fn item(&self) -> Result<f32> {
        assert_eq!(self.len(), 1, "Tensor::item: shape {:?} has more than one element", self.shape);
        Ok(self.to_vec()?[0])
    }

    /// The same data under another shape of the same length.
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Tensor {
        assert_eq!(elements(shape), self.len(), "reshape: {:?} to {shape:?}", self.shape);
        Tensor { shape: shape.to_vec(), ..self.clone() }
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.storage.buffer
    }

    /// This matrix, or its transpose, in the order in which the device's products read a right operand, if they
    /// read it in another than it has, and the columns of a panel there. It is made once, and again when the
    /// matrix has changed; tapes on several threads share it.
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
        // Kept for another number of columns, or another instruction set than is in use now.
        if kept.columns != columns || !self.device.reads_panels_of(kept.panel) {
            return pack().map(|made| (made.tensor, made.panel as u32));
        }
        Some((kept.tensor.clone(), kept.panel as u32))
    }

    /// The buffer, to be written, when no other tensor shares it.
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
