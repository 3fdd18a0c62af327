//! Arenas that hold all parameters, moments and moving averages, so that one launch updates all of them.
//!
//! On a GPU, a launch that depends on the previous one takes 4 to 6 us, and a model has dozens of parameters. Therefore
//! the tensors of each kind are ranges of one buffer: all weights, each moment, all averages. They remain tensors with
//! names, in checkpoints and elsewhere. Gradients are copied into an arena of their own and checked on the way
//! ([`crate::ops::flatten`]). Then the kernels of a single tensor ([`crate::ops::optimizer`]) run on whole arenas. The
//! padding between tensors is zero, and updates leave it at zero.
//!
//! On the CPU a launch costs little, so each tensor is updated on its own.

use crate::ops::flatten::{flatten, sums_of};
use crate::tensor::Tensor;

/// Calls its argument with each tensor of one kind and the tensor's number.
type Visit<'a> = &'a mut dyn FnMut(&mut dyn FnMut(usize, &mut Tensor));

/// The arenas of some parameters.
pub(super) struct Arena {
    shapes: Vec<Vec<usize>>,
    /// Index of each tensor's first element in an arena.
    starts: Vec<usize>,
    gradients: Tensor,
    /// Sums over the pieces of the gradients.
    sums: Tensor,
    /// The arenas: weights, each moment, averages.
    wholes: Vec<Tensor>,
    /// The tensors that are ranges of each arena.
    parts: Vec<Vec<Tensor>>,
}

/// Index of the arena of weights; those of the moments follow, then that of the averages.
pub(super) const WEIGHTS: usize = 0;

impl Arena {
    /// The arenas for gradients of these shapes: those that were `kept` if they fit, else new ones. `None` on devices
    /// without arenas.
    pub fn of<'a>(kept: &'a mut Option<Arena>, gradients: &[&Tensor]) -> Option<&'a mut Arena> {
        let fits = |arena: &Arena| {
            let shapes = gradients.iter().map(|g| g.shape());
            arena.shapes.iter().map(Vec::as_slice).eq(shapes)
        };
        if !kept.as_ref().is_some_and(fits) {
            *kept = Arena::new(gradients);
        }
        kept.as_mut()
    }

    fn new(gradients: &[&Tensor]) -> Option<Arena> {
        let device = gradients.first()?.device();
        let shapes: Vec<&[usize]> = gradients.iter().map(|g| g.shape()).collect();
        let (gradients, parts) = Tensor::arena(device, &shapes)?;
        let sums = sums_of(parts.iter().map(|(_, part)| part.len()));
        Some(Arena {
            shapes: shapes.into_iter().map(<[usize]>::to_vec).collect(),
            starts: parts.iter().map(|(start, _)| *start).collect(),
            gradients,
            sums: Tensor::zeros(device, &[sums]),
            wholes: Vec::new(),
            parts: Vec::new(),
        })
    }

    /// Copies the gradients of a step. Returns terms whose sum is the sum of all squares, or the number of non-finite
    /// numbers.
    pub fn take(&mut self, gradients: &[&Tensor], squares: bool) -> &Tensor {
        flatten(gradients, &self.starts, (&mut self.gradients, &mut self.sums), squares);
        &self.sums
    }

    /// Turns the tensors of `visit` into ranges of arena `number`, with their current values. Arenas have to be adopted
    /// in the order of their numbers.
    pub fn adopt(&mut self, number: usize, visit: Visit) {
        // If another tensor shares a range, for example an average that starts as the weights, all move to a new arena.
        let mut own = number < self.parts.len();
        visit(&mut |i, tensor| {
            own = own && tensor.is_shared_with_only(&self.parts[number][i]);
        });
        if own {
            return;
        }
        let device = self.gradients.device().clone();
        let shapes: Vec<&[usize]> = self.shapes.iter().map(Vec::as_slice).collect();
        let (mut whole, parts) = Tensor::arena(&device, &shapes).expect("a device with arenas");
        let mut values = Vec::new();
        visit(&mut |_, tensor| values.push(tensor.clone()));
        let values: Vec<&Tensor> = values.iter().collect();
        let mut sums = Tensor::zeros(&device, &[self.sums.len()]);
        flatten(&values, &self.starts, (&mut whole, &mut sums), true);
        let parts: Vec<Tensor> = parts.into_iter().map(|(_, part)| part).collect();
        visit(&mut |i, tensor| *tensor = parts[i].clone());
        match self.wholes.get_mut(number) {
            Some(kept) => (*kept, self.parts[number]) = (whole, parts),
            None => {
                self.wholes.push(whole);
                self.parts.push(parts);
            }
        }
    }

    /// The gradients, the weights, and the other arenas.
    pub fn wholes(&mut self) -> (&Tensor, &mut Tensor, &mut [Tensor]) {
        let (weights, others) = self.wholes.split_first_mut().expect("adopted weights");
        (&self.gradients, weights, others)
    }
}
