//! The tape: an indexed list of nodes. Every training step uses a new tape.
//!
//! Every differentiable value has a slot. A node stores the slots of its parents and the range of slots of its
//! outputs. Nodes are in the order of execution, so the backward pass is one loop over the list in reverse. It
//! consumes each node, which frees the tensors that the node saved.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Param, accumulate};
use crate::device::Device;
use crate::tensor::Tensor;

/// Id of the next tape.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The gradient rule of one operation.
pub trait Backward {
    /// Name of the operation in messages.
    fn name(&self) -> &'static str;

    /// Gradients with respect to the parents, given the gradients `dy` of the outputs (zeros for an output that
    /// the loss does not depend on). Returns one entry per parent, in order and of the parent's shape. It may be
    /// `None` where `need` is false.
    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>>;

    /// Largest number of parts, tensors to be added, in which [`Backward::backward_of_parts`] accepts the gradient of an
    /// output.
    fn most_parts(&self) -> usize {
        1
    }

    /// [`Backward::backward`] with gradients that the rule may update in place. `parts` holds, for each output, the
    /// tensors whose sum is its gradient: none if the loss does not depend on the output, for which `zeros` returns a
    /// tensor, else up to [`Backward::most_parts`]. A rule that adds the parts in its own kernel saves launches.
    fn backward_of_parts(
        self: Box<Self>,
        parts: Vec<Vec<Tensor>>,
        zeros: &dyn Fn(usize) -> Tensor,
        need: &[bool],
    ) -> Vec<Option<Tensor>> {
        self.backward(&whole(parts, zeros), need)
    }
}

/// The gradients of outputs that arrive in one part at most.
pub(crate) fn whole(parts: Vec<Vec<Tensor>>, zeros: &dyn Fn(usize) -> Tensor) -> Vec<Tensor> {
    let one = |(i, part): (usize, Vec<Tensor>)| part.into_iter().next().unwrap_or_else(|| zeros(i));
    parts.into_iter().enumerate().map(one).collect()
}

struct Node {
    rule: Box<dyn Backward>,
    /// Slots of the parents; `None` for a constant.
    parents: Vec<Option<usize>>,
    /// Slot of the first output; the others follow it.
    first: usize,
    /// Number of outputs.
    outputs: usize,
}

#[derive(Default)]
struct State {
    /// Whether the backward pass has run.
    spent: bool,
    nodes: Vec<Node>,
    /// Shape of each slot's value.
    shapes: Vec<Vec<usize>>,
    /// Slots of the parameters by their ids.
    params: HashMap<u64, usize>,
    /// Description of the first non-finite tensor; only on a checked tape.
    fault: Option<String>,
}

/// Which values have gradients on a tape: leaves and parameters, leaves alone, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    All,
    Leaves,
    Nothing,
}

/// Records operations for one backward pass.
///
/// # Panics
///
/// Operations panic when they mix values of different tapes, or when their tape has already run its backward pass.
pub struct Tape {
    record: Record,
    /// Whether to search every output and every gradient for non-finite numbers.
    checked: bool,
    id: u64,
    state: RefCell<State>,
}

/// A value on a tape. A value without a slot is a constant: operations on constants record nothing, so sampling
/// and evaluation run the same code as training.
#[derive(Clone)]
pub struct Var<'t> {
    tape: &'t Tape,
    slot: Option<usize>,
    value: Tensor,
}

/// The result of a backward pass: gradients of leaves and of parameters.
pub struct Gradients {
    tape: u64,
    slots: Vec<Option<Tensor>>,
    params: HashMap<u64, usize>,
}

impl Tape {
    /// A tape for training: leaves and parameters have gradients.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Tape {
        Tape::with(Record::All)
    }

    /// A tape on which parameters are constants and only leaves have gradients, to differentiate a model with
    /// respect to its input or its latent variables.
    pub fn for_leaves() -> Tape {
        Tape::with(Record::Leaves)
    }

    /// A tape on which everything is constant: nothing is recorded.
    pub fn inference() -> Tape {
        Tape::with(Record::Nothing)
    }

    fn with(record: Record) -> Tape {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Tape { record, checked: false, id, state: RefCell::default() }
    }

    /// A tape for training that downloads every output and every gradient and searches it for NaN and infinity.
    /// Slow; [`Tape::fault`] reports the finding.
    pub fn checked() -> Tape {
        Tape { checked: true, ..Tape::new() }
    }

    /// The first operation of a [checked](Tape::checked) tape whose output or gradient was not finite, in words
    /// for a message ("the output of matmul"); `None` if all were finite.
    pub fn fault(&self) -> Option<String> {
        self.state.borrow().fault.clone()
    }

    /// A value without a gradient.
    pub fn constant(&self, value: Tensor) -> Var<'_> {
        Var { tape: self, slot: None, value }
    }

    /// An input with a gradient; on an inference tape it is a constant.
    pub fn leaf(&self, value: Tensor) -> Var<'_> {
        let recorded = self.record != Record::Nothing;
        let slot = recorded.then(|| self.state.borrow_mut().slot(value.shape()));
        Var { tape: self, slot, value }
    }

    /// A parameter. All uses of it on this tape share one slot, so their gradients are summed.
    pub fn param(&self, param: &Param) -> Var<'_> {
        let value = param.value();
        let slot = (self.record == Record::All).then(|| {
            let state = &mut *self.state.borrow_mut();
            let known = state.params.get(&param.id()).copied();
            known.unwrap_or_else(|| {
                let slot = state.slot(value.shape());
                state.params.insert(param.id(), slot);
                slot
            })
        });
        Var { tape: self, slot, value }
    }

    /// Records an operation: its parents, outputs and gradient rule. If all parents are constants, the outputs
    /// are constants too, and `rule` is not called.
    ///
    /// # Panics
    ///
    /// When a parent belongs to another tape, or when the backward pass of this one has run.
    #[track_caller]
    pub fn record<'t, const N: usize>(
        &'t self,
        parents: &[&Var<'t>],
        outputs: [Tensor; N],
        rule: impl FnOnce() -> Box<dyn Backward>,
    ) -> [Var<'t>; N] {
        let own = parents.iter().all(|p| p.slot.is_none() || p.tape.id == self.id);
        assert!(own, "a value of another tape");
        if parents.iter().all(|p| p.slot.is_none()) {
            return outputs.map(|value| Var { tape: self, slot: None, value });
        }
        let state = &mut *self.state.borrow_mut();
        let first = state.shapes.len();
        let rule = rule();
        if self.checked {
            state.check("the output", rule.name(), outputs.iter());
        }
        state.nodes.push(Node {
            rule,
            parents: parents.iter().map(|p| p.slot).collect(),
            first,
            outputs: N,
        });
        outputs.map(|value| Var { tape: self, slot: Some(state.slot(value.shape())), value })
    }

    /// Number of nodes recorded so far.
    pub fn nodes(&self) -> usize {
        self.state.borrow().nodes.len()
    }

    /// Gradients of L = the sum of <y, dy> over the pairs (y, dy) in `seeds`. Consumes the nodes.
    ///
    /// # Panics
    ///
    /// When the backward pass has already run, or when a y is a constant, is of another tape, or differs from its dy
    /// in shape.
    #[track_caller]
    pub fn backward(&self, seeds: &[(&Var, Tensor)]) -> Gradients {
        let fault = self.state.borrow().fault.clone();
        let fresh = State { spent: true, fault, ..State::default() };
        let state = std::mem::replace(&mut *self.state.borrow_mut(), fresh);
        assert!(!state.spent, "backward: this tape's pass is over");
        let mut slots: Vec<Option<Tensor>> = vec![None; state.shapes.len()];
        // Further parts of gradients, and how many there may be. On a CPU, gradients are added at once, while they are
        // in the caches.
        let mut further: Vec<Vec<Tensor>> = vec![Vec::new(); state.shapes.len()];
        let mut room = vec![0; state.shapes.len()];
        for node in &state.nodes {
            room[node.first..node.first + node.outputs].fill(node.rule.most_parts() - 1);
        }
        for (var, dy) in seeds {
            assert_eq!(var.shape(), dy.shape(), "backward: value and seed differ in shape");
            assert_eq!(var.tape.id, self.id, "backward: a value of another tape");
            let slot = var.slot.expect("backward: the value is a constant");
            add(&mut slots[slot], dy.clone());
        }
        for node in state.nodes.into_iter().rev() {
            let range = node.first..node.first + node.outputs;
            let Some(device) =
                slots[range.clone()].iter().flatten().map(|t| t.device().clone()).next()
            else {
                continue;
            };
            let parts = |s: usize| {
                slots[s].take().into_iter().chain(std::mem::take(&mut further[s])).collect()
            };
            let parts = range.map(parts).collect();
            let zeros = |output: usize| Tensor::zeros(&device, &state.shapes[node.first + output]);
            let need: Vec<bool> = node.parents.iter().map(Option::is_some).collect();
            let name = node.rule.name();
            let gradients = node.rule.backward_of_parts(parts, &zeros, &need);
            assert_eq!(gradients.len(), node.parents.len(), "{name}: wrong number of gradients");
            if self.checked {
                self.state.borrow_mut().check("a gradient", name, gradients.iter().flatten());
            }
            for (gradient, parent) in gradients.into_iter().zip(&node.parents) {
                let Some(slot) = *parent else { continue };
                let gradient =
                    gradient.unwrap_or_else(|| panic!("{name}: a needed gradient is missing"));
                assert_eq!(
                    gradient.shape(),
                    state.shapes[slot],
                    "{name}: gradient of another shape"
                );
                let is_further = slots[slot].is_some() && !device.is_cpu();
                if is_further && further[slot].len() < room[slot] {
                    further[slot].push(gradient);
                } else {
                    add(&mut slots[slot], gradient);
                }
            }
        }
        // The loop took the gradients of all operations' outputs, so only leaves and parameters are left.
        Gradients { tape: self.id, slots, params: state.params }
    }

    /// Gradients of a loss, which has one element. Panics if it has another number, and as [`Tape::backward`] does.
    #[track_caller]
    pub fn backward_from(&self, loss: &Var) -> Gradients {
        let one = Tensor::full(loss.value.device(), 1.0, loss.shape());
        assert_eq!(
            one.len(),
            1,
            "backward_from: the loss is not one number but {:?}",
            loss.shape()
        );
        self.backward(&[(loss, one)])
    }
}

impl State {
    fn slot(&mut self, shape: &[usize]) -> usize {
        assert!(!self.spent, "a tape records no more after its backward pass");
        self.shapes.push(shape.to_vec());
        self.shapes.len() - 1
    }

    /// Records the first non-finite tensor. Device errors are reported by the next download.
    fn check<'a>(&mut self, what: &str, name: &str, tensors: impl Iterator<Item = &'a Tensor>) {
        let finite = |t: &Tensor| t.to_vec().map_or(true, |all| all.iter().all(|x| x.is_finite()));
        for tensor in tensors {
            if self.fault.is_none() && !finite(tensor) {
                self.fault = Some(format!("{what} of {name}"));
            }
        }
    }
}

fn add(slot: &mut Option<Tensor>, gradient: Tensor) {
    *slot = Some(match slot.take() {
        None => gradient,
        Some(sum) => accumulate::sum(sum, gradient),
    });
}

impl<'t> Var<'t> {
    /// The tensor that it holds.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tape that it belongs to.
    pub fn tape(&self) -> &'t Tape {
        self.tape
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    /// The device of its tensor.
    pub fn device(&self) -> &Device {
        self.value.device()
    }

    /// The same value as a constant: no gradient flows through it. Named as in PyTorch.
    pub fn detach(&self) -> Var<'t> {
        Var { tape: self.tape, slot: None, value: self.value.clone() }
    }
}

impl Gradients {
    /// Gradient with respect to a leaf, or `None` if the loss does not depend on it. Outputs of operations have
    /// none either: the backward pass frees their gradients. Panics if the leaf is of another tape.
    pub fn of(&self, var: &Var) -> Option<&Tensor> {
        assert_eq!(var.tape.id, self.tape, "a value of another tape");
        self.slots[var.slot?].as_ref()
    }

    /// No gradients at all, as of a loss over zero images.
    pub fn none() -> Gradients {
        Tape::new().backward(&[])
    }

    /// Adds the parameters' gradients of another tape, which the same model computed on other rows of the batch.
    pub fn add(&mut self, other: &Gradients) {
        for (&id, &slot) in &other.params {
            let Some(more) = &other.slots[slot] else { continue };
            let own = *self.params.entry(id).or_insert(self.slots.len());
            self.slots.resize(self.slots.len().max(own + 1), None);
            add(&mut self.slots[own], more.clone());
        }
    }

    /// Replaces the gradient of a parameter, for example by its sum over all processes.
    pub fn set_param(&mut self, param: &Param, gradient: Tensor) {
        let slot = *self.params.entry(param.id()).or_insert(self.slots.len());
        self.slots.resize(self.slots.len().max(slot + 1), None);
        self.slots[slot] = Some(gradient);
    }

    /// Gradient with respect to a parameter; `None` if the loss does not depend on it.
    pub fn param(&self, param: &Param) -> Option<&Tensor> {
        self.slots[*self.params.get(&param.id())?].as_ref()
    }
}
