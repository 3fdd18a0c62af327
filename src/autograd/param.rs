//! A trainable tensor that outlives the tape of a step.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tensor::Tensor;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A parameter. It is named by its path in the model (`nn::Module`); checkpoints use the same name.
pub struct Param {
    id: u64,
    value: Mutex<Tensor>,
}

impl Param {
    /// A parameter with this initial value.
    pub fn new(value: Tensor) -> Param {
        Param { id: NEXT.fetch_add(1, Ordering::Relaxed), value: Mutex::new(value) }
    }

    /// The current value. The tensor is another handle to the same memory, not a copy; while it lives,
    /// [`Kernel::update`](crate::kernel::Kernel::update) cannot change the parameter in place.
    pub fn value(&self) -> Tensor {
        self.lock().clone()
    }

    /// Replaces the value. Panics if the shape changes.
    #[track_caller]
    pub fn set(&self, value: Tensor) {
        let mut current = self.lock();
        assert_eq!(current.shape(), value.shape(), "Param::set: another shape");
        *current = value;
    }

    /// Calls `f` with exclusive access to the value; optimisers change it in place this way.
    pub fn update<R>(&self, f: impl FnOnce(&mut Tensor) -> R) -> R {
        f(&mut self.lock())
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    fn lock(&self) -> MutexGuard<'_, Tensor> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
