//! Numerics on every back end: functions at extreme arguments, noise, optimiser steps. The expected values are
//! computed here in f64.

use crate::common::{Weights, devices, poisoned_cpu};
use pixelloom::autograd::Tape;
use pixelloom::autograd::case::distance;
use pixelloom::nn::{Decay, Faults, OnNonfinite, Optimizer, OptimizerConfig, Param, TrainState};
use pixelloom::ops::optimizer::Rule;
use pixelloom::ops::random;
use pixelloom::rng::Key;
use pixelloom::{Device, Tensor, Var};

const ENDS: [f32; 11] = [0.0, 1e-8, -1e-8, 15.0, -15.0, 88.0, -88.0, 89.0, -89.0, 1e4, -1e4];

/// The smallest normal number.
const TINY: f64 = f32::MIN_POSITIVE as f64;

type Exact = fn(f64) -> f64;
type Function = for<'t> fn(&Var<'t>) -> Var<'t>;

/// Asserts that every element has a relative error of at most 2e-6 or an absolute error of at most `absolute`.
fn expect(what: &str, device: &Device, got: &[f32], exact: &[f64], absolute: f64) {
    assert_eq!(got.len(), exact.len());
    for (i, (&got, &exact)) in got.iter().zip(exact).enumerate() {
        let near = (f64::from(got) - exact).abs() <= (2e-6 * exact.abs()).max(absolute);
        // Where f32 overflows, both must be infinite.
        let same = got == exact as f32;
        assert!(near || same, "{what}, {i}: {got} instead of {exact} on {}", device.name());
    }
}

fn apply(f: Function, x: &[f32], device: &Device) -> Vec<f32> {
    let tape = Tape::inference();
    f(&tape.constant(Tensor::new(device, x, &[x.len()]))).value().to_vec().unwrap()
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn logsumexp(x: &[f64]) -> f64 {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

#[test]
fn functions_at_their_ends() {
    let functions: [(&str, Function, Exact); 4] = [
        ("exp", |x| x.exp(), f64::exp),
        ("tanh", |x| x.tanh(), f64::tanh),
        ("sigmoid", |x| x.sigmoid(), |x| 1.0 / (1.0 + (-x).exp())),
        ("softplus", |x| x.softplus(), softplus),
    ];
    // Normal numbers only, since drivers may flush subnormal ones to 0.
    let positive = [1.2e-38, 1e-8, 0.1, 0.99999, 1.0, 1.00001, 15.0, 89.0, 1e4, 3e38];
    let above_minus_one = [-0.99, -0.3, -0.28, -1e-8, 0.0, 1e-8, 1e-3, 0.4, 0.42, 15.0, 1e4, 3e38];
    let f64s = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
    for device in devices() {
        for (name, f, exact) in functions {
            let exact: Vec<f64> = f64s(&ENDS).into_iter().map(exact).collect();
            expect(name, &device, &apply(f, &ENDS, &device), &exact, TINY);
        }
        let exact: Vec<f64> = f64s(&positive).into_iter().map(f64::ln).collect();
        expect("log", &device, &apply(|x| x.log(), &positive, &device), &exact, TINY);
        let exact: Vec<f64> = f64s(&above_minus_one).into_iter().map(f64::ln_1p).collect();
        expect("log1p", &device, &apply(|x| x.log1p(), &above_minus_one, &device), &exact, TINY);
        assert_eq!(apply(|x| x.log(), &[0.0], &device), [f32::NEG_INFINITY]);
    }
}

#[test]
fn losses_at_their_ends() {
    for device in devices() {
        let tape = Tape::new();
        for &a in &ENDS {
            let rows: Vec<f32> = ENDS.iter().flat_map(|&b| [a, b]).collect();
            let exact: Vec<f64> =
                ENDS.iter().map(|&b| logsumexp(&[f64::from(a), f64::from(b)])).collect();
            let y = tape.constant(Tensor::new(&device, &rows, &[ENDS.len(), 2])).logsumexp();
            // The tolerance allows for the rounding of 1 + e^(b - a).
            expect("logsumexp", &device, &y.value().to_vec().unwrap(), &exact, 1.2e-7);
        }
        for x in [0.0, 0.25, 1.0] {
            let shape = [ENDS.len(), 1];
            let l = tape.leaf(Tensor::new(&device, &ENDS, &shape));
            let y = l.bernoulli_nll(&tape.constant(Tensor::full(&device, x, &shape)));
            let exact: Vec<f64> = ENDS
                .iter()
                .map(|&l| {
                    let (l, x) = (f64::from(l), f64::from(x));
                    l.max(0.0) - x * l + (-l.abs()).exp().ln_1p()
                })
                .collect();
            expect("bernoulli", &device, &y.value().to_vec().unwrap(), &exact, TINY);
        }
        let logits =
            Tensor::new(&device, &[1e4, -1e4, 0.0, 1e4, -1e4, 0.0, 88.0, 89.0, -89.0], &[3, 3]);
        let y = tape.leaf(logits).categorical_nll(&Tensor::new(&device, &[0.0, 1.0, 0.0], &[3]));
        let exact = [0.0, 2e4, logsumexp(&[88.0, 89.0, -89.0]) - 88.0];
        expect("categorical", &device, &y.value().to_vec().unwrap(), &exact, TINY);
    }
}

#[test]
fn a_nan_propagates() {
    let functions: [(&str, Function); 12] = [
        ("affine", |x| x.affine(2.0, 1.0)),
        ("exp", |x| x.exp()),
        ("log", |x| x.log()),
        ("log1p", |x| x.log1p()),
        ("tanh", |x| x.tanh()),
        ("sigmoid", |x| x.sigmoid()),
        ("softplus", |x| x.softplus()),
        ("relu", |x| x.relu()),
        ("square", |x| x.square()),
        ("sqrt", |x| x.sqrt()),
        ("clamp", |x| x.clamp(-1.0, 1.0)),
        ("logsumexp", |x| x.logsumexp()),
    ];
    for device in devices() {
        for (name, f) in functions {
            assert!(apply(f, &[f32::NAN], &device)[0].is_nan(), "{name} on {}", device.name());
        }
    }
}

#[test]
fn a_target_that_is_no_class_gives_nan() {
    for device in devices() {
        let tape = Tape::new();
        let logits = tape.leaf(Tensor::new(&device, &[0.5; 15], &[5, 3]));
        let targets = Tensor::new(&device, &[0.0, 3.0, -1.0, f32::NAN, 2.0], &[5]);
        let y = logits.categorical_nll(&targets);
        let wrong = [false, true, true, true, false];
        let nan: Vec<bool> = y.value().to_vec().unwrap().iter().map(|y| y.is_nan()).collect();
        assert_eq!(nan, wrong, "{}", device.name());
        let gradients = tape.backward_from(&y.sum());
        let dl = gradients.of(&logits).unwrap().to_vec().unwrap();
        let nan: Vec<bool> = dl.iter().map(|d| d.is_nan()).collect();
        assert_eq!(nan, wrong.map(|w| [w; 3]).concat(), "{}", device.name());
    }
}

#[test]
fn noise_is_the_same_everywhere() {
    for key in [Key::new(1, 2, 3), Key::new(u64::MAX - 5, 0x8000_0001, u32::MAX)] {
        for n in [1, 3, 4, 5, 1023, 100_003] {
            let expected: Vec<f32> = (0..n as u64).map(|i| key.uniform(i)).collect();
            let normals = random::normal(&Device::cpu(), key, &[n]).to_vec().unwrap();
            for device in devices() {
                let got = random::uniform(&device, key, &[n]).to_vec().unwrap();
                assert_eq!(got, expected, "{n} on {}", device.name());
                let got = random::normal(&device, key, &[n]).to_vec().unwrap();
                let d = distance(&got, &normals);
                assert!(d <= 1e-5, "{n} normals on {}: {d}", device.name());
                let tape = Tape::inference();
                let ones = tape.constant(Tensor::full(&device, 1.0, &[n]));
                let got = ones.dropout(0.3, key).value().to_vec().unwrap();
                let kept = |u: &f32| if *u < 0.7 { 1.0 / 0.7 } else { 0.0 };
                let expected: Vec<f32> = expected.iter().map(kept).collect();
                let d = distance(&got, &expected);
                assert!(d <= 1e-6, "{n} kept on {}: {d}", device.name());
            }
        }
    }
}

#[test]
fn noise_has_the_right_moments() {
    let (n, key) = (1_000_000, Key::new(3, 0x600, 9));
    for device in devices() {
        let moments = |x: Tensor, mean: f64| -> [f64; 4] {
            let x: Vec<f64> = x.to_vec().unwrap().iter().map(|&x| f64::from(x) - mean).collect();
            [1, 2, 3, 4].map(|p| x.iter().map(|x| x.powi(p)).sum::<f64>() / f64::from(n))
        };
        // The limits are four standard deviations of each estimate, sqrt((E x^2p - (E x^p)^2) / n).
        let normal = moments(random::normal(&device, key, &[n as usize]), 0.0);
        let uniform = moments(random::uniform(&device, key, &[n as usize]), 0.5);
        for (got, exact, limit) in [
            (normal, [0.0, 1.0, 0.0, 3.0], [4.0e-3, 5.7e-3, 15.5e-3, 39.2e-3]),
            (uniform, [0.0, 1.0 / 12.0, 0.0, 0.0125], [1.2e-3, 3.0e-4, 1.9e-4, 6.7e-5]),
        ] {
            for p in 0..4 {
                let error = (got[p] - exact[p]).abs();
                assert!(error <= limit[p], "moment {}: {got:?} on {}", p + 1, device.name());
            }
        }
    }
}

const N: usize = 300;

fn numbers(stream: u32, step: u32) -> Vec<f32> {
    let key = Key::new(5, stream, step);
    random::normal(&Device::cpu(), key, &[N]).to_vec().unwrap()
}

/// Weights after three steps; the gradient of step t is `numbers(1, t)`.
fn three_steps(config: OptimizerConfig, device: &Device) -> Vec<f32> {
    let model = Weights(Param::new(Tensor::new(device, &numbers(0, 0), &[N])));
    let mut optimizer = Optimizer::new(config);
    for t in 1..=3 {
        let tape = Tape::new();
        let g = tape.constant(Tensor::new(device, &numbers(1, t), &[N]));
        let gradients = tape.backward_from(&tape.param(&model.0).mul(&g).sum());
        optimizer.step(&model, &gradients);
    }
    model.0.value().to_vec().unwrap()
}

/// The same in f64, following the formulas of the papers.
fn three_steps_by_hand(c: OptimizerConfig) -> Vec<f32> {
    let [rate, b1, b2, eps, decay] = [c.rate, c.beta1, c.beta2, c.epsilon, c.decay].map(f64::from);
    let f64s = |x: Vec<f32>| -> Vec<f64> { x.into_iter().map(f64::from).collect() };
    let (mut w, mut s, mut v) = (f64s(numbers(0, 0)), vec![0.0; N], vec![0.0; N]);
    for t in 1..=3 {
        let g = f64s(numbers(1, t));
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = c.clip.map_or(1.0, |limit| (f64::from(limit) / norm).min(1.0));
        for i in 0..N {
            let mut g = g[i] * scale;
            let before = w[i];
            match c.decay_kind {
                Decay::Coupled => g += decay * before,
                Decay::Decoupled => w[i] -= rate * decay * before,
            }
            match c.rule {
                Rule::Sgd => {
                    s[i] = b1 * s[i] + g;
                    w[i] -= rate * s[i];
                }
                Rule::Adagrad => {
                    s[i] += g * g;
                    w[i] -= rate * g / (s[i].sqrt() + eps);
                }
                Rule::RmsProp => {
                    s[i] = b1 * s[i] + (1.0 - b1) * g * g;
                    w[i] -= rate * g / (s[i].sqrt() + eps);
                }
                Rule::Adam => {
                    s[i] = b1 * s[i] + (1.0 - b1) * g;
                    v[i] = b2 * v[i] + (1.0 - b2) * g * g;
                    let (m, v) =
                        (s[i] / (1.0 - b1.powi(t as i32)), v[i] / (1.0 - b2.powi(t as i32)));
                    w[i] -= rate * m / (v.sqrt() + eps);
                }
            }
        }
    }
    w.into_iter().map(|w| w as f32).collect()
}

#[test]
fn three_optimizer_steps_by_hand() {
    for rule in [Rule::Sgd, Rule::Adagrad, Rule::RmsProp, Rule::Adam] {
        let plain = OptimizerConfig::new(rule, 0.1);
        let decay = OptimizerConfig { decay: 0.2, ..plain };
        let decoupled = OptimizerConfig { decay_kind: Decay::Decoupled, ..decay };
        // The norms are about sqrt(300) = 17: the first limit clips, the second does not.
        let clipped = OptimizerConfig { clip: Some(3.0), ..plain };
        let unclipped = OptimizerConfig { clip: Some(100.0), ..plain };
        for config in [plain, decay, decoupled, clipped, unclipped] {
            let exact = three_steps_by_hand(config);
            for device in devices() {
                let d = distance(&three_steps(config, &device), &exact);
                assert!(d <= 1e-5, "{config:?} on {}: {d}", device.name());
            }
        }
        // The comparison is sensitive enough to detect a wrong momentum.
        let wrong = OptimizerConfig { beta1: plain.beta1 * 0.9 + 0.01, ..plain };
        let d = distance(&three_steps(wrong, &poisoned_cpu()), &three_steps_by_hand(plain));
        assert!(d > 1e-4 || rule == Rule::Adagrad, "{rule:?}: {d}");
    }
}

/// One optimiser step with the gradient `g`.
fn step_with(state: &mut TrainState, model: &Weights, g: &[f32], loss: f32) {
    let device = model.0.value().device().clone();
    let tape = Tape::new();
    let g = tape.constant(Tensor::new(&device, g, &[N]));
    let gradients = tape.backward_from(&tape.param(&model.0).mul(&g).sum());
    state.update(model, &Tensor::new(&device, &[loss], &[]), &gradients);
}

#[test]
fn a_moving_average_by_hand() {
    for decay in [0.3, 0.999] {
        // The average starts as the initial weights; the decay in step t is min(d, (1 + t) / (10 + t)).
        let (mut w, mut a) = (numbers(0, 0), numbers(0, 0));
        for t in 0..5_u16 {
            let d = f32::min(decay, (1.0 + f32::from(t)) / (10.0 + f32::from(t)));
            for ((w, a), g) in w.iter_mut().zip(&mut a).zip(numbers(1, t.into())) {
                *w -= 0.1 * g;
                *a = d * *a + (1.0 - d) * *w;
            }
        }
        for device in devices() {
            let usual = OptimizerConfig::new(Rule::Sgd, 0.1);
            let config = OptimizerConfig { average: Some(decay), beta1: 0.0, ..usual };
            let mut state = TrainState::new(config);
            let model = Weights(Param::new(Tensor::new(&device, &numbers(0, 0), &[N])));
            (0..5).for_each(|t| step_with(&mut state, &model, &numbers(1, t), 1.0));
            let value = || model.0.value().to_vec().unwrap();
            let raw = value();
            state.ema.swap(&model);
            assert!(distance(&value(), &a) < 1e-6, "{}: {decay}", device.name());
            assert!(distance(&raw, &w) < 1e-6 && distance(&raw, &a) > 1e-3);
            state.ema.swap(&model);
            assert_eq!(value(), raw);
        }
    }
}

/// Bits of the weights, moments, averages and sum of losses.
fn bits(state: &TrainState, model: &Weights) -> Vec<u32> {
    let value = model.0.value();
    let tensors =
        state.optimizer.states["w"].iter().chain(state.ema.averages.get("w")).chain([&value]);
    let tensors = tensors.chain(&state.loss_sum);
    tensors.flat_map(|t| t.to_vec().unwrap()).map(f32::to_bits).collect()
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    for device in devices() {
        for rule in [Rule::Sgd, Rule::Adagrad, Rule::RmsProp, Rule::Adam] {
            for (clip, on_nonfinite) in [
                (None, OnNonfinite::Skip),
                (Some(1.0), OnNonfinite::Skip),
                (None, OnNonfinite::Stop),
                (Some(1.0), OnNonfinite::Stop),
            ] {
                let usual = OptimizerConfig::new(rule, 0.1);
                let config = OptimizerConfig { average: Some(0.9), clip, on_nonfinite, ..usual };
                let what = format!("{}, {config:?}", device.name());
                let mut state = TrainState::new(config);
                let model = Weights(Param::new(Tensor::new(&device, &numbers(0, 0), &[N])));
                step_with(&mut state, &model, &numbers(1, 0), 1.0);
                assert_eq!(state.faults().unwrap(), Faults::default(), "{what}");
                let before = bits(&state, &model);
                for (at, bad) in [(0, f32::NAN), (17, f32::INFINITY), (N - 1, f32::NEG_INFINITY)] {
                    let mut g = numbers(1, 1);
                    g[at] = bad;
                    step_with(&mut state, &model, &g, 1.0);
                }
                step_with(&mut state, &model, &numbers(1, 2), f32::NAN);
                assert!(bits(&state, &model) == before, "{what}");
                step_with(&mut state, &model, &numbers(1, 3), 1.0);
                let after = bits(&state, &model);
                let faults = state.faults().unwrap();
                assert_eq!((faults.first, faults.overflow), (Some(1), None), "{what}");
                assert_eq!(state.optimizer.steps, 6);
                if on_nonfinite == OnNonfinite::Stop {
                    assert!(faults.skipped == 5 && after == before, "{what}");
                    assert_eq!(state.faults().unwrap().first, Some(1), "{what}");
                } else {
                    assert!(faults.skipped == 4 && after != before, "{what}");
                    assert_eq!(state.loss_sum.as_ref().unwrap().to_vec().unwrap(), [2.0]);
                    assert_eq!(state.faults().unwrap(), Faults::default(), "{what}");
                }
            }
        }
    }
}

/// A finite gradient can cause a weight or a moment to overflow.
#[test]
fn an_update_that_overflows_is_found() {
    for device in devices() {
        for (rule, rate) in [(Rule::Sgd, 1e30), (Rule::Adagrad, 0.1), (Rule::Adam, 0.1)] {
            let mut state = TrainState::new(OptimizerConfig::new(rule, rate));
            let model = Weights(Param::new(Tensor::new(&device, &numbers(0, 0), &[N])));
            let mut g = numbers(1, 0);
            step_with(&mut state, &model, &vec![0.0; N], 1.0);
            assert_eq!(state.faults().unwrap(), Faults::default());
            g[5] = 1e25;
            step_with(&mut state, &model, &g, 1.0);
            step_with(&mut state, &model, &vec![0.0; N], 1.0);
            let faults = state.faults().unwrap();
            assert_eq!(
                (faults.overflow, faults.first),
                (Some(1), None),
                "{} {rule:?}",
                device.name()
            );
        }
    }
}

#[test]
fn a_checked_tape_names_the_first_operation() {
    for device in devices() {
        let value = |x: f32| Param::new(Tensor::new(&device, &[1.0, x], &[2]));
        let fault = |x: f32, f: for<'t> fn(Var<'t>) -> Var<'t>| {
            let (tape, param) = (Tape::checked(), value(x));
            let y = f(tape.param(&param));
            tape.backward_from(&y.sum());
            tape.fault()
        };
        assert_eq!(fault(2.0, |x| x.mul(&x).exp()), None);
        // e^1000 overflows, and then everything computed from it.
        assert_eq!(fault(1000.0, |x| x.exp().square()).as_deref(), Some("the output of exp"));
        // The square of ln 1e-37 and its gradient are finite, but 2 ln(1e-37) 1e37 overflows. (GPUs may flush
        // numbers below 1e-38 to 0.)
        let found = fault(1e-37, |x| x.log().square());
        assert_eq!(found.as_deref(), Some("a gradient of log"), "{}", device.name());
    }
}
