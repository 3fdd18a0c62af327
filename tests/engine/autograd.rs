//! Gradient check of every case of every operation on the CPU (`kernels.rs` does it on a GPU), and the rules
//! of the tape.

use crate::axes;
use pixelloom::autograd::case::{Case, Input};
use pixelloom::autograd::gradcheck::gradient_error;
use pixelloom::autograd::{Backward, Tape};
use pixelloom::nn::{Linear, Optimizer, OptimizerConfig, Param};
use pixelloom::ops::matmul::Activation;
use pixelloom::ops::optimizer::Rule;
use pixelloom::ops::random;
use pixelloom::ops::shared::Shared;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tensor, ops};

const LIMIT: f64 = 1e-3;

fn check_all(cases: Vec<Case>, device: &Device) {
    let mut failures = Vec::new();
    for case in cases {
        let error = gradient_error(&case, device).unwrap();
        if !(error <= LIMIT) {
            failures.push(format!("{} {}: {error:.1e}", case.op, case.label));
        }
    }
    assert!(failures.is_empty(), "gradients are wrong:\n{}", failures.join("\n"));
}

fn poisoned() -> Device {
    let cpu = pixelloom::cpu::Cpu::new();
    cpu.poison(true);
    Device::Cpu(cpu)
}

#[test]
fn gradients_on_the_cpu() {
    check_all(ops::cases(), &poisoned());
}

/// Shapes with 1 to 7 axes.
#[test]
fn gradients_of_shapes_of_any_rank() {
    check_all(axes::cases(), &poisoned());
}

/// A rule for x^2 with the gradient `factor` x dy; the right factor is 2.
struct Planted {
    x: Tensor,
    factor: f32,
}

impl Backward for Planted {
    fn name(&self) -> &'static str {
        "planted"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        let tape = Tape::inference();
        let dx = tape.constant(self.x.clone()).mul(&tape.constant(dy[0].clone()));
        vec![Some(dx.affine(self.factor, 0.0).value().clone())]
    }
}

fn planted(factor: f32) -> f64 {
    let case = Case::new("planted", "square", vec![Input::normal("x", &[17])], move |x| {
        let y = x[0].square().value().clone();
        let saved = x[0].value().clone();
        let [y] = x[0].tape().record(&[&x[0]], [y], || Box::new(Planted { x: saved, factor }));
        vec![y]
    });
    gradient_error(&case, &Device::cpu()).unwrap()
}

#[test]
fn a_planted_wrong_gradient_fails() {
    assert!(planted(2.0) <= LIMIT);
    for wrong in [-2.0, 1.0, 2.02, 0.0, f32::NAN] {
        let error = planted(wrong);
        assert!(!(error <= LIMIT), "factor {wrong} passed with {error}");
    }
}

#[test]
fn gradients_of_a_value_that_is_used_twice_add_up() {
    let device = Device::cpu();
    let tape = Tape::new();
    let x = tape.leaf(Tensor::new(&device, &[3.0, -2.0], &[2]));
    // d(x^2 + 5 x)/dx = 2 x + 5.
    let y = x.mul(&x).add(&x.affine(5.0, 0.0)).sum();
    let gradients = tape.backward_from(&y);
    assert_eq!(gradients.of(&x).unwrap().to_vec().unwrap(), [11.0, 1.0]);
}

#[test]
fn constants_record_nothing() {
    let device = Device::cpu();
    let tape = Tape::inference();
    let x = tape.leaf(Tensor::zeros(&device, &[3]));
    let _ = x.tanh().mul(&x).sum();
    assert_eq!(tape.nodes(), 0);
    let recording = Tape::new();
    let _ = recording.constant(Tensor::zeros(&device, &[3])).tanh();
    assert_eq!(recording.nodes(), 0);
}

#[test]
#[should_panic(expected = "Mul: shapes [3] and [4] do not broadcast")]
fn shape_mistakes_name_op_and_shapes() {
    let device = Device::cpu();
    let tape = Tape::new();
    let a = tape.leaf(Tensor::zeros(&device, &[3]));
    let b = tape.leaf(Tensor::zeros(&device, &[4]));
    let _ = a.mul(&b);
}

#[test]
#[should_panic(expected = "a value of another tape")]
fn values_of_two_tapes_do_not_mix() {
    let device = Device::cpu();
    let (one, two) = (Tape::new(), Tape::new());
    let (a, b) = (one.leaf(Tensor::zeros(&device, &[3])), two.leaf(Tensor::zeros(&device, &[3])));
    let _ = a.add(&b);
}

#[test]
#[should_panic(expected = "a tape records no more after its backward pass")]
fn a_tape_is_used_once() {
    let tape = Tape::new();
    let x = tape.leaf(Tensor::zeros(&Device::cpu(), &[3]));
    let _ = tape.backward_from(&x.sum());
    let _ = x.tanh();
}

#[test]
#[should_panic(expected = "expand: [3] cannot be repeated to [5]")]
fn a_shape_that_does_not_broadcast_is_refused() {
    let tape = Tape::inference();
    let _ = tape.constant(Tensor::zeros(&Device::cpu(), &[3])).expand(&[5]);
}

/// Products read a packed copy of a weight. The copy must follow every update of the weight, and its shape.
#[test]
fn a_changed_weight_is_packed_anew() {
    let device = Device::cpu();
    let normal =
        |seed, shape: &[usize]| random::normal(&device, Key::new(seed, stream::TEST, 0), shape);
    let layer =
        Linear { weight: Param::new(normal(1, &[70, 40])), bias: Param::new(normal(2, &[70])) };
    let far = |a: &Tensor, b: &Tensor| {
        let (a, b) = (a.to_vec().unwrap(), b.to_vec().unwrap());
        assert_eq!(a.len(), b.len());
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let mut optimizer = Optimizer::new(OptimizerConfig::new(Rule::Sgd, 1.0));
    let mut before = None;
    for _ in 0..3 {
        let run = |shared: bool| {
            let tape = Tape::new();
            let x = tape.leaf(normal(3, &[50, 40]));
            let y = match shared {
                true => layer.shared(&x).linear(&x),
                false => layer.forward(&x, Activation::None),
            };
            let gradients = tape.backward_from(&y.square().mean());
            let dx = gradients.of(&x).unwrap().clone();
            (y.value().clone(), dx, gradients)
        };
        let ((y, dx, gradients), (want, dwant, _)) = (run(true), run(false));
        assert!(far(&y, &want) < 1e-4 && far(&dx, &dwant) < 1e-4, "an old weight was read");
        if let Some(before) = before.replace(y.clone()) {
            assert!(far(&y, &before) > 1e-2, "the weight has not changed");
        }
        optimizer.step(&layer, &gradients);
    }
    // The same memory, viewed as a matrix of another shape.
    let tape = Tape::inference();
    let w = tape.constant(layer.weight.value()).reshape(&[40, 70]);
    let x = tape.constant(normal(4, &[50, 70]));
    let y = Shared::new(&w, None).linear(&x);
    assert!(far(y.value(), x.linear(&w, None, Activation::None).value()) < 1e-4);
}
