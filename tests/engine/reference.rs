//! Every CPU kernel against its reference implementation (`ops/STEM/reference.rs`): values and gradients of every
//! case of every operation, and kernels without gradient. `kernels.rs` compares a GPU with the same reference.

use std::collections::BTreeSet;

use crate::axes;
use crate::common::{Weights, poisoned_cpu, poisoned_reference};
use pixelloom::autograd::Tape;
use pixelloom::autograd::case::{Case, Input, distance};
use pixelloom::gpu::{Program, Wgsl};
use pixelloom::kernel::{Cost, Kernel};
use pixelloom::nn::{Decay, OptimizerConfig, Param, TrainState};
use pixelloom::ops::flatten::{flatten, sums_of};
use pixelloom::ops::lstm_scan::{Order, lstm_at};
use pixelloom::ops::mask::{Mask, Sight};
use pixelloom::ops::masked_conv::{Around, Window, conv_at};
use pixelloom::ops::optimizer::Rule;
use pixelloom::ops::pick::{Scale, pick};
use pixelloom::ops::random;
use pixelloom::ops::sampling::{Map, Network, Step, sample_pixels};
use pixelloom::profile::Profile;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tensor, ops};

/// Named results of a computation on a device.
type Results = Vec<(String, Vec<f32>)>;

fn check(cases: &[Case], reference: &Device) -> Vec<String> {
    let cpu = poisoned_cpu();
    cases.iter().flat_map(|case| case.differences(&cpu, reference).unwrap()).collect()
}

#[test]
fn shapes_of_any_rank_agree() {
    let failures = check(&axes::cases(), &poisoned_reference());
    assert!(failures.is_empty(), "the CPU and the reference differ:\n{}", failures.join("\n"));
}

/// Images \[2, 3, 4, 1\] of which all pixels but one are drawn, and their maps, for a network of a convolution, two LSTMs
/// and a convolution.
pub fn sampled(device: &Device, levels: usize) -> (Tensor, Tensor) {
    let input = |number: usize, shape: &[usize]| {
        Tensor::new(device, &Input::uniform("x", shape, -1.0, 1.0).values(number), shape)
    };
    let each = if levels == 2 { 1 } else { levels };
    // Places of the gates, the states of both LSTMs, and the logits.
    let (gates, left, right, logits) = (0, [240, 300], [360, 420], 480);
    let lstm = |[h, c]: [usize; 2], order: Order, s: usize| Step::Lstm {
        maps: [gates, h, c],
        hidden: 5,
        order,
        weights: [s, 80],
    };
    let first = Step::Conv {
        x: (Map::Image, 1),
        y: (gates, 20),
        window: Window::centred(3, 3, Mask::new(Sight::A, 1)),
        around: Around { relu_before: true, relu_after: false },
        weights: (0, Some(80)),
        residual: None,
    };
    let last = Step::Conv {
        x: (Map::Computed(left[0]), 5),
        y: (logits, each),
        window: Window::centred(1, 1, Mask::NONE),
        around: Around::default(),
        weights: (600, None),
        residual: Some(Map::Given(0)),
    };
    let network = Network {
        steps: [
            vec![first, lstm(left, Order::Rows(3), 100)],
            vec![last],
            vec![lstm(right, Order::MirroredDiagonal, 400)],
        ],
        weights: 600 + 5 * each,
        maps: [logits + 12 * each, logits],
        scale: Scale { levels, mean: 0.4, std: 0.7 },
    };
    let u = random::uniform(device, Key::new(3, stream::TEST, 9), &[2, 3, 4, 1]);
    let known: Vec<f32> = (0..12).map(|pixel| f32::from(u8::from(pixel == 5))).collect();
    let inputs = [
        &network.table(device),
        &input(0, &[network.weights]),
        &input(1, &[2, 12 * each]),
        &u,
        &Tensor::new(device, &known, &[12]),
    ];
    let (mut x, mut maps) = (input(2, &[2, 3, 4, 1]), Tensor::zeros(device, &[2, network.maps[0]]));
    for range in [(0, 7), (7, 12)] {
        sample_pixels(&network, inputs, range, &mut x, &mut maps);
    }
    (x, maps)
}

/// Results of the kernels that no case runs.
pub fn without_gradient(device: &Device) -> Results {
    let mut all = Vec::new();
    let key = |step| Key::new(3, stream::TEST, step);
    let mut add = |name: &str, t: &Tensor| all.push((name.to_string(), t.to_vec().unwrap()));
    for n in [1, 2, 63, 257, 1000] {
        add(&format!("uniform {n}"), &random::uniform(device, key(0), &[n]));
        add(&format!("normal {n}"), &random::normal(device, key(1), &[n]));
    }
    for rule in [Rule::Sgd, Rule::Adagrad, Rule::RmsProp, Rule::Adam] {
        for decay_kind in [Decay::Coupled, Decay::Decoupled] {
            let usual = OptimizerConfig::new(rule, 0.1);
            let config = OptimizerConfig {
                decay: 0.2,
                decay_kind,
                // Without clipping, a separate kernel checks that the gradients are finite.
                clip: (decay_kind == Decay::Coupled).then_some(3.0),
                average: Some(0.9),
                ..usual
            };
            let model = Weights(Param::new(random::normal(device, key(2), &[300])));
            let mut state = TrainState::new(config);
            for t in 0..3 {
                let tape = Tape::new();
                let g = tape.constant(random::normal(device, key(3 + t), &[300]));
                let loss = tape.param(&model.0).mul(&g).sum();
                state.update(&model, loss.value(), &tape.backward_from(&loss));
            }
            let name = format!("{rule:?} {decay_kind:?}");
            add(&name, &model.0.value());
            add(&format!("average of {name}"), &state.ema.averages["w"]);
        }
    }
    let input = |number: usize, shape: &[usize]| {
        Tensor::new(device, &Input::uniform("x", shape, -1.0, 1.0).values(number), shape)
    };
    // More tensors than a launch copies, one of them longer than a piece.
    let lengths = [3, 1, 1025, 64, 2, 700, 5, 1];
    let parts: Vec<Tensor> = (0..8).map(|i| input(i, &lengths[i..=i])).collect();
    let starts: Vec<usize> = (0..8).map(|i| 4 + lengths[..i].iter().sum::<usize>()).collect();
    for squares in [true, false] {
        let (mut arena, mut sums) = (
            Tensor::zeros(device, &[1900]),
            Tensor::zeros(device, &[sums_of(lengths.into_iter())]),
        );
        let parts: Vec<&Tensor> = parts.iter().collect();
        flatten(&parts, &starts, (&mut arena, &mut sums), squares);
        add("flatten", &arena);
        add(&format!("sums of flatten, squares {squares}"), &sums);
    }
    for levels in [2, 3, 256] {
        let each = if levels == 2 { 1 } else { levels };
        let (logits, u) =
            (input(0, &[5, 2, 3, 3 * each]), random::uniform(device, key(9), &[5, 2, 3, 3]));
        let mut x = input(2, &[5, 2, 3, 3]);
        pick((&logits, &u), Scale { levels, mean: 0.4, std: 0.7 }, (1, 2, 1), &mut x);
        add(&format!("pick of {levels}"), &x);
    }
    for levels in [2, 3] {
        let (x, maps) = sampled(device, levels);
        add(&format!("sampled {levels}"), &x);
        add(&format!("maps of {levels}"), &maps);
    }
    let window = Window::centred(3, 5, Mask::NONE);
    for around in [(false, false), (true, false), (true, true)] {
        let around = Around { relu_before: around.0, relu_after: around.1 };
        let (x, p, bias) = (input(0, &[2, 4, 5, 3]), input(1, &[15, 3, 20]), input(2, &[20]));
        let residual = (!around.relu_after).then(|| input(3, &[2, 4, 5, 20]));
        let mut y = input(4, &[2, 4, 5, 20]);
        for place in [(0, 0), (3, 2)] {
            conv_at((&x, &p), window, around, (Some(&bias), residual.as_ref()), place, &mut y);
        }
        add(&format!("{around:?}"), &y);
    }
    for order in [Order::Rows(3), Order::Diagonal, Order::MirroredDiagonal] {
        let (u, s) = (input(0, &[2, 3, 4, 20]), input(1, &[order.neighbours(), 5, 20]));
        let (mut h, mut c) = (input(2, &[2, 3, 4, 5]), input(3, &[2, 3, 4, 5]));
        for place in [(0, 0), (0, 3), (2, 1)] {
            lstm_at((&u, &s, &input(4, &[5])), order, place, (&mut h, &mut c));
        }
        add(&format!("h, {order:?}"), &h);
        add(&format!("c, {order:?}"), &c);
    }
    all
}

fn check_without_gradient(reference: &Device) -> Vec<String> {
    let pairs = without_gradient(&poisoned_cpu()).into_iter().zip(without_gradient(reference));
    let differ = |((name, found), (_, exact)): ((String, Vec<f32>), (String, Vec<f32>))| {
        // The generator computes with integers, so uniform numbers agree exactly.
        let limit = if name.starts_with("uniform") { 0.0 } else { 1e-5 };
        let d = distance(&found, &exact);
        (!(d <= limit)).then(|| format!("{name}: {d:.1e}"))
    };
    pairs.filter_map(differ).collect()
}

/// All cases, and all kernels without one. Together they must run the reference of every kernel.
#[test]
fn every_kernel_agrees() {
    let reference = poisoned_reference();
    let mut profile = Profile::default();
    let mut failures = Vec::new();
    let work = || {
        failures.extend(check_without_gradient(&reference));
        failures.extend(check(&ops::cases(), &reference));
    };
    reference.profiled(&mut profile, work).unwrap();
    assert!(failures.is_empty(), "the CPU and the reference differ:\n{}", failures.join("\n"));
    let ran: BTreeSet<&str> = profile.kernels.keys().copied().collect();
    let known: BTreeSet<&str> = ops::kernels().iter().map(|k| k.program().name).collect();
    let missed: Vec<_> = known.difference(&ran).collect();
    assert!(missed.is_empty(), "never run: {missed:?}");
}

/// A kernel whose CPU function or reference gives one of 100 numbers wrong by a thousandth.
const fn scale(wrong_cpu: bool, wrong_reference: bool) -> Kernel<u32, 1, 1> {
    fn right(_: &u32, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = 3.0 * x);
    }
    fn wrong(n: &u32, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
        right(n, [x], [y]);
        y[57] *= 1.001;
    }
    Kernel {
        program: Program { name: "scale", source: Wgsl::new(""), inputs: 1, outputs: 1 },
        cpu: if wrong_cpu { wrong } else { right },
        reference: if wrong_reference { wrong } else { right },
        stages: |_| Vec::new(),
        cost: |_| Cost { flops: 0, bytes: 0, loop_iterations: 0 },
        entries: &[],
    }
}

static RIGHT: Kernel<u32, 1, 1> = scale(false, false);
static WRONG_CPU: Kernel<u32, 1, 1> = scale(true, false);
static WRONG_REFERENCE: Kernel<u32, 1, 1> = scale(false, true);

#[test]
fn a_fault_on_either_side_is_found() {
    let case = |kernel: &'static Kernel<u32, 1, 1>| {
        Case::new("scale", "planted", vec![Input::uniform("x", &[100], 1.0, 2.0)], move |x| {
            let [y] = kernel.launch(100, [x[0].value()], [&[100]]);
            vec![x[0].add(&x[0].tape().constant(y))]
        })
    };
    let found = |kernel| case(kernel).differences(&poisoned_cpu(), &poisoned_reference()).unwrap();
    assert!(found(&RIGHT).is_empty());
    assert_eq!(found(&WRONG_CPU).len(), 1);
    assert_eq!(found(&WRONG_REFERENCE).len(), 1);
}
