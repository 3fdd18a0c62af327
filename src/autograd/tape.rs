//! The tape: an indexed list of nodes, one tape a step.
//!
//! Every differentiable value has a slot. A node names the slots of its parents and the range of
//! slots that it fills; nodes stand in the order in which they were made, so the backward pass is
//! one loop over the list in reverse. Nodes are taken by value: what they saved is freed on the way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Param, accumulate};
use crate::device::Device;
use crate::tensor::Tensor;

/// Number of the next tape.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The gradient rule of one operation.
pub trait Backward {
    /// The operation's name, for messages.
    fn name(&self) -> &'static str;

    /// Gradients with respect to the parents, from the gradients `dy` of the outputs (zeros where
    /// none arrived). Only those with `need` are asked for; the others may be `None`.
    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>>;
}

struct Node {
    rule: Box<dyn Backward>,
    parents: Vec<Option<usize>>,
    first: usize,
    outputs: usize,
}

#[derive(Default)]
struct State {
    /// The backward pass is over.
    spent: bool,
    nodes: Vec<Node>,
    shapes: Vec<Vec<usize>>,
    params: HashMap<u64, usize>,
    /// Of a checked tape, what was not finite first.
    fault: Option<String>,
}

/// What has a gradient on a tape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    All,
    Leaves,
    Nothing,
}

/// Records operations for one backward pass.
///
/// Values of different tapes do not mix, and after its backward pass a tape records no more: both
/// panic.
pub struct Tape {
    record: Record,
    /// Looks at every value and every gradient.
    checked: bool,
    id: u64,
    state: RefCell<State>,
}

/// A value on a tape. Without a slot it is a constant and records nothing, so sampling and
/// evaluation are the same code as training.
#[derive(Clone)]
pub struct Var<'t> {
    tape: &'t Tape,
    slot: Option<usize>,
    value: Tensor,
}

/// What a backward pass leaves: gradients by variable and by parameter.
pub struct Gradients {
    tape: u64,
    slots: Vec<Option<Tensor>>,
    params: HashMap<u64, usize>,
}

impl Tape {
    /// A tape that records.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Tape {
        Tape::with(Record::All)
    }

    /// A tape on which parameters are constants and only leaves have gradients: the derivative of a
    /// model with respect to its input or its latent variables.
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

    /// A tape that records and looks at every number, fetching it from the device: slow, for
    /// [`Tape::fault`].
    pub fn checked() -> Tape {
        Tape { checked: true, ..Tape::new() }
    }

    /// Of a checked tape: the first operation whose output, or whose gradient, was not finite.
    pub fn fault(&self) -> Option<String> {
        self.state.borrow().fault.clone()
    }

    /// A value without gradient.
    pub fn constant(&self, value: Tensor) -> Var<'_> {
        Var { tape: self, slot: None, value }
    }

    /// An input with a gradient (a constant on an inference tape).
    pub fn leaf(&self, value: Tensor) -> Var<'_> {
        let recorded = self.record != Record::Nothing;
        let slot = recorded.then(|| self.state.borrow_mut().slot(value.shape()));
        Var { tape: self, slot, value }
    }

    /// A parameter; the same slot whenever it is asked for on this tape, so shared weights add up.
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

    /// Puts the outputs of an operation on the tape. Constants if no parent has a slot.
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

    /// Gradients of sum over `seeds` of <output, dy>. Takes the nodes off the tape.
    #[track_caller]
    pub fn backward(&self, seeds: &[(&Var, Tensor)]) -> Gradients {
        let fault = self.state.borrow().fault.clone();
        let fresh = State { spent: true, fault, ..State::default() };
        let state = std::mem::replace(&mut *self.state.borrow_mut(), fresh);
        assert!(!state.spent, "backward: this tape's pass is over");
        let mut slots: Vec<Option<Tensor>> = vec![None; state.shapes.len()];
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
            let dy: Vec<Tensor> = range
                .map(|s| {
                    slots[s].take().unwrap_or_else(|| Tensor::zeros(&device, &state.shapes[s]))
                })
                .collect();
            let need: Vec<bool> = node.parents.iter().map(Option::is_some).collect();
            let name = node.rule.name();
            let gradients = node.rule.backward(&dy, &need);
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
                add(&mut slots[slot], gradient);
            }
        }
        // What nodes made has been taken; leaves and parameters are left.
        Gradients { tape: self.id, slots, params: state.params }
    }

    /// Gradients of one number.
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

    /// Keeps what is not finite, if it is the first. A failure of the device shows elsewhere.
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
    /// The value.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tape it stands on.
    pub fn tape(&self) -> &'t Tape {
        self.tape
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.value.device()
    }

    /// The same value as a constant: no gradient flows through.
    pub fn detach(&self) -> Var<'t> {
        Var { tape: self.tape, slot: None, value: self.value.clone() }
    }
}

impl Gradients {
    /// Gradient with respect to a leaf; `None` if nothing reached it.
    pub fn of(&self, var: &Var) -> Option<&Tensor> {
        assert_eq!(var.tape.id, self.tape, "a value of another tape");
        self.slots[var.slot?].as_ref()
    }

    /// No gradients: those of a loss over no images.
    pub fn none() -> Gradients {
        Tape::new().backward(&[])
    }

    /// Adds the parameters' gradients of another tape: those of the same model on other rows.
    pub fn add(&mut self, other: &Gradients) {
        for (&id, &slot) in &other.params {
            let Some(more) = &other.slots[slot] else { continue };
            let own = *self.params.entry(id).or_insert(self.slots.len());
            self.slots.resize(self.slots.len().max(own + 1), None);
            add(&mut self.slots[own], more.clone());
        }
    }

    /// Puts `gradient` in the place of a parameter's, such as the sum over all processes.
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
