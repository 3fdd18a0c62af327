//! Every kernel on a GPU against its reference implementation: values and gradients of all operations' cases.

use std::collections::{BTreeMap, BTreeSet};

use crate::axes;
use crate::common::{self, Weights};
use crate::reference::{sampled, without_gradient};
use pixelloom::autograd::Tape;
use pixelloom::autograd::case::{Case, Input, distance};
use pixelloom::autograd::gradcheck::gradient_error;
use pixelloom::gpu::GpuOptions;
use pixelloom::nn::{OptimizerConfig, Param, TrainState};
use pixelloom::ops::finite;
use pixelloom::ops::lstm_scan::{Order, lstm_at};
use pixelloom::ops::mask::Mask;
use pixelloom::ops::masked_conv::{Around, Window, conv_at};
use pixelloom::ops::matmul::{Activation, Layout, product};
use pixelloom::ops::optimizer::Rule;
use pixelloom::ops::pick::{Scale, pick};
use pixelloom::ops::random;
use pixelloom::ops::unary::{self, Function};
use pixelloom::rng::Key;
use pixelloom::tiles::Tiles;
use pixelloom::{Device, Tensor, ops};

const POISON: GpuOptions = GpuOptions {
    bounds_checks: false,
    zero_workgroup_memory: false,
    poison: true,
    subgroup: None,
    binding: None,
};

fn check(cases: &[Case], options: GpuOptions) {
    let Some(gpu) = common::gpu(options) else { return };
    let gpu = Device::Gpu(gpu);
    let reference = common::poisoned_reference();
    let failures: Vec<String> =
        cases.iter().flat_map(|case| case.differences(&gpu, &reference).unwrap()).collect();
    assert!(failures.is_empty(), "{options:?}:\n{}", failures.join("\n"));
}

#[test]
fn cases_agree_unchecked() {
    check(&ops::cases(), POISON);
}

#[test]
fn cases_agree_with_bounds_checks() {
    check(&ops::cases(), GpuOptions { bounds_checks: true, ..POISON });
}

#[test]
fn cases_agree_with_zeroed_workgroup_memory() {
    check(&ops::cases(), GpuOptions { zero_workgroup_memory: true, ..POISON });
}

/// Every choice of tiles at both ends of its range: large tiles wherever they fit, with sums in many pieces; small tiles
/// in many pieces; small tiles, whole sums, and a launch per step of a scan.
#[test]
fn cases_agree_with_any_tiles() {
    let Some(gpu) = common::gpu(POISON) else { return };
    let at = |ends: [bool; 7]| {
        let value = |((_, least, most), end)| if end { most } else { least };
        let values = Tiles::LIMITS.into_iter().zip(ends).map(value);
        values.enumerate().fold(Tiles::DISCRETE, |tiles, (i, value)| tiles.with(i, value))
    };
    let large = at([false, true, false, false, true, false, false]);
    let small = at([true, true, false, true, true, false, true]);
    let whole = at([true, false, true, true, false, true, true]);
    let reference = common::poisoned_reference();
    for (tiles, name) in [(large, "large"), (small, "small"), (whole, "whole")] {
        let device = Device::Gpu(gpu.with_tiles(tiles));
        let cases = ops::cases().into_iter();
        let cases = cases.filter(|c| ["matmul", "masked_conv", "lstm_scan"].contains(&c.op));
        let failures: Vec<String> =
            cases.flat_map(|case| case.differences(&device, &reference).unwrap()).collect();
        assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n"));
    }
}

/// Sums over adjacent invocations within subgroups, as far as this adapter has them, and in workgroup memory: they have
/// the same bits.
#[test]
fn subgroups_change_no_bit() {
    let limited = |most| common::gpu(GpuOptions { subgroup: Some(most), ..POISON });
    let Some(plain) = limited(0) else { return };
    assert_eq!(plain.subgroup(), 0);
    let largest = plain.summary().subgroup_size;
    if largest < 4 {
        println!("skipped: this adapter has no subgroup operations");
    }
    let plain = Device::Gpu(plain);
    let all = ops::cases().into_iter();
    let cases: Vec<_> = all.filter(|c| ["attention", "filterbank"].contains(&c.op)).collect();
    let bits = |case: &Case, device: &Device| -> Vec<(String, Vec<u32>)> {
        let results = case.results(device).unwrap().into_iter();
        results.map(|(what, x)| (what, x.into_iter().map(f32::to_bits).collect())).collect()
    };
    for size in [4, 8, 16].into_iter().filter(|&size| size <= largest) {
        let gpu = limited(size).unwrap();
        assert_eq!(gpu.subgroup(), size);
        let gpu = Device::Gpu(gpu);
        for case in &cases {
            for ((what, a), (_, b)) in bits(case, &gpu).into_iter().zip(bits(case, &plain)) {
                assert!(a == b, "subgroups of {size}: {} {what}", case.label);
            }
        }
    }
}

/// Large tiles read operands in vectors where their rows or columns are a multiple of four. A product has the same bits as
/// a part of a larger one, whose rows and columns are not.
#[test]
fn vectors_change_no_bit() {
    let Some(gpu) = common::gpu(POISON) else { return };
    let tiles = Tiles { large_products: 1, product_groups: 1, ..Tiles::DISCRETE };
    let device = Device::Gpu(gpu.with_tiles(tiles));
    let (batch, k) = (2, 37);
    let [small, large] = [[68, 72], [69, 73]].map(|columns| {
        let operand = |n: usize, number| {
            let all = Input::normal("x", &[batch, k, 73]).values(number);
            let rows: Vec<f32> = all.chunks(73).flat_map(|row| &row[..n]).copied().collect();
            Tensor::new(&device, &rows, &[batch, k, n])
        };
        let [a, b] = [operand(columns[0], 0), operand(columns[1], 1)];
        let c = product((&a, Layout::T), (&b, Layout::N), None, Activation::None);
        c.to_vec().unwrap()
    });
    for (i, row) in small.chunks(72).enumerate() {
        let start = (i / 68 * 69 + i % 68) * 73;
        assert_eq!(row, &large[start..start + 72], "row {i}");
    }
}

/// Without terms, all elements of a product are 0.
#[test]
fn a_product_without_terms_in_any_tiles() {
    let Some(gpu) = common::gpu(POISON) else { return };
    for large_products in [1, 65_536] {
        let device = Device::Gpu(gpu.with_tiles(Tiles { large_products, ..Tiles::DISCRETE }));
        let empty = |shape: &[usize]| Tensor::new(&device, &[], shape);
        let (a, b) = (empty(&[64, 0]), empty(&[0, 64]));
        let c = product((&a, Layout::N), (&b, Layout::N), None, Activation::None);
        assert_eq!(c.to_vec().unwrap(), [0.0; 64 * 64]);
    }
}

/// Optimisers, samplers and other kernels that no case runs. On a GPU, one launch updates all parameters.
#[test]
fn kernels_without_gradient_agree() {
    let Some(gpu) = common::poisoned() else { return };
    let pairs =
        without_gradient(&gpu).into_iter().zip(without_gradient(&common::poisoned_reference()));
    let differ = |((name, found), (_, exact)): ((String, Vec<f32>), (String, Vec<f32>))| {
        let d = distance(&found, &exact);
        (!(d <= 2e-5)).then(|| format!("{name}: {d:.1e}"))
    };
    let failures: Vec<String> = pairs.filter_map(differ).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Shapes with 1 to 7 axes.
#[test]
fn shapes_of_any_rank() {
    check(&axes::cases(), POISON);
    check_gradients(&axes::cases());
}

/// On a GPU, finite differences check the gradients of cases with at most this many input elements, and of each
/// op's smallest case, since a software driver would take minutes for all. The other cases are compared with the
/// reference above, and on the CPU finite differences check all of them.
const FEW: usize = 200;

#[test]
fn gradients_agree_with_finite_differences() {
    let numbers = |case: &Case| -> usize {
        case.inputs.iter().map(|input| input.shape.iter().product::<usize>()).sum()
    };
    let all = ops::cases();
    let mut least: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &all {
        let most = least.entry(case.op).or_insert(usize::MAX);
        *most = (*most).min(numbers(case));
    }
    let few: Vec<_> = all.into_iter().filter(|c| numbers(c) <= FEW.max(least[c.op])).collect();
    check_gradients(&few);
}

fn check_gradients(cases: &[Case]) {
    let Some(gpu) = common::poisoned() else { return };
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let error = gradient_error(case, &gpu).unwrap();
            (!(error <= 1e-3)).then(|| format!("{} {}: {error:.1e}", case.op, case.label))
        })
        .collect();
    assert!(failures.is_empty(), "gradients are wrong:\n{}", failures.join("\n"));
}

/// Products of many tiles, plain and, for the gradients, with either operand transposed.
#[test]
fn products_of_many_tiles() {
    let inputs = vec![Input::normal("a", &[130, 65, 67]), Input::normal("b", &[130, 67, 66])];
    check(&[Case::new("matmul", "many tiles", inputs, |x| vec![x[0].matmul(&x[1])])], POISON);
}

/// Rows and elements that need more than 65,535 workgroups, hence a grid of two dimensions.
#[test]
fn grids_in_two_dimensions() {
    let wide = [70_001, 2];
    let normal = |name| Input::normal(name, &wide);
    let targets = Input::index("target", &wide[..1], wide[1]);
    let one = |name| Input::normal(name, &[66_000, 1, 1]);
    check(
        &[
            Case::new("reduce", "rows", vec![normal("x")], |x| vec![x[0].sum_axes(1, 2)]),
            Case::new("reduce", "logsumexp", vec![normal("x")], |x| vec![x[0].logsumexp()]),
            Case::new("likelihood", "kl", vec![normal("mu"), normal("lv")], |x| {
                vec![x[0].gaussian_kl(&x[1])]
            }),
            Case::new("likelihood", "bernoulli", vec![normal("l"), normal("x").constant()], |x| {
                vec![x[0].bernoulli_nll(&x[1])]
            }),
            Case::new("categorical", "rows", vec![normal("l"), targets], |x| {
                vec![x[0].categorical_nll(x[1].value())]
            }),
            Case::new("matmul", "products", vec![one("a"), one("b")], |x| vec![x[0].matmul(&x[1])]),
        ],
        POISON,
    );
}

/// The same for tiles of 64 pixels and of 16 cells. The inputs are ramps, since so much noise would take long.
#[test]
fn tiles_in_two_dimensions() {
    let Some(gpu) = common::gpu(POISON) else { return };
    let ramp = |n: usize| (0..n).map(|i| (i % 8_191) as f32 / 4_096.0 - 1.0).collect::<Vec<f32>>();

    let pixels = ramp(65_536 * 64 + 3);
    let tape = Tape::inference();
    let on_gpu = Device::Gpu(gpu);
    let x = tape.constant(Tensor::new(&on_gpu, &pixels, &[1, 1, pixels.len(), 1]));
    let p = tape.constant(Tensor::full(&on_gpu, 2.0, &[1, 1, 1]));
    let y = x.masked_conv(&p, Window::centred(1, 1, Mask::NONE), Around::default(), None, None);
    let y = y.value().to_vec().unwrap();
    let wrong = y.iter().zip(&pixels).position(|(y, x)| *y != 2.0 * x);
    assert_eq!(wrong, None, "convolution of {} pixels", pixels.len());

    let cells = 65_536 * 16 + 3;
    let scan = |device: &Device| {
        let tape = Tape::new();
        let u = tape.leaf(Tensor::new(device, &ramp(4 * cells), &[1, 1, cells, 4]));
        let s = tape.constant(Tensor::full(device, 0.5, &[3, 1, 4]));
        let c0 = tape.constant(Tensor::full(device, -0.5, &[1]));
        let h = u.lstm_scan(&s, &c0, Order::Rows(3));
        let seed = Tensor::new(device, &ramp(cells), h.shape());
        let du = tape.backward(&[(&h, seed)]).of(&u).unwrap().to_vec().unwrap();
        [h.value().to_vec().unwrap(), du]
    };
    for (a, b) in scan(&on_gpu).iter().zip(scan(&common::poisoned_cpu())) {
        let d = distance(a, &b);
        assert!(d <= 1e-5, "scan of {cells} cells: {d:.1e}");
    }
}

/// Checks every element of 2 x + 1 on n elements.
fn affine_of(n: usize, device: &Device) {
    let values: Vec<f32> = (0..n).map(|i| (i % 8_191) as f32).collect();
    let y = unary::apply(Function::Affine, &Tensor::new(device, &values, &[n]), 2.0, 1.0);
    let wrong = y.to_vec().unwrap().iter().zip(&values).position(|(y, x)| *y != 2.0 * x + 1.0);
    assert_eq!(wrong, None, "of {n} elements");
}

#[test]
fn more_than_65535_workgroups_of_elements() {
    let Some(gpu) = common::gpu(POISON) else { return };
    affine_of(65_535 * 256 + 300, &Device::Gpu(gpu));
}

#[test]
fn a_tensor_over_128_mib() {
    let Some(gpu) = common::gpu(POISON) else { return };
    let n = (128 << 18) + 4_099;
    let most = gpu.summary().max_storage_buffer_binding_size;
    if most < 4 * n as u64 {
        println!("skipped: this adapter binds {most} bytes at most");
        return;
    }
    affine_of(n, &Device::Gpu(gpu));
}

/// The steps of a cached sampler, once each.
fn sample(device: &Device) {
    let zeros = |shape: &[usize]| Tensor::zeros(device, shape);
    let (mut map, window) = (zeros(&[1, 1, 1, 1]), Window::centred(1, 1, Mask::NONE));
    let (x, p) = (zeros(&[1, 1, 1, 1]), zeros(&[1, 1, 1]));
    conv_at((&x, &p), window, Around::default(), (None, None), (0, 0), &mut map);
    pick((&x, &x), Scale { levels: 2, mean: 0.0, std: 1.0 }, (0, 0, 0), &mut map);
    let (u, s, c0) = (zeros(&[1, 1, 1, 4]), zeros(&[2, 1, 4]), zeros(&[1]));
    let mut c = zeros(&[1, 1, 1, 1]);
    lstm_at((&u, &s, &c0), Order::Diagonal, (0, 0), (&mut map, &mut c));
    sampled(device, 2);
}

/// Every entry point of every kernel is run by the cases or by the operations without gradient below, whose
/// results are checked in `numerics.rs` and `sampling_kernels.rs`.
#[test]
fn every_entry_point_is_exercised() {
    // A separate device, so that no other test's kernels are recorded.
    let all = GpuOptions { bounds_checks: true, zero_workgroup_memory: true, ..POISON };
    let Some(gpu) = common::gpu(all) else { return };
    if !gpu.summary().timestamp {
        println!("skipped: without timestamps this adapter does not record kernels");
        return;
    }
    gpu.profile(true).unwrap();
    check(&ops::cases(), all);
    let device = Device::Gpu(gpu.clone());
    for (rule, clip) in [(Rule::Sgd, Some(1.0)), (Rule::Adam, None)] {
        let model = Weights(Param::new(random::normal(&device, Key::new(1, 0, 0), &[10])));
        let tape = Tape::new();
        let loss = tape.param(&model.0).square().sum();
        let gradients = tape.backward_from(&loss);
        let usual = OptimizerConfig::new(rule, 0.1);
        let config = OptimizerConfig { clip, average: Some(0.9), ..usual };
        TrainState::new(config).update(&model, loss.value(), &gradients);
    }
    sample(&device);
    // With an arena, the kernel that copies the gradients checks them.
    finite::mark(&Tensor::zeros(&device, &[3]), &mut Tensor::zeros(&device, &[4]));
    let ran: BTreeSet<_> =
        gpu.profile(false).unwrap().iter().map(|k| (k.program, k.entry)).collect();
    let known: BTreeSet<_> = ops::kernels()
        .iter()
        .flat_map(|k| k.entries().iter().map(|&entry| (k.program().name, entry)))
        .collect();
    let missed: Vec<_> = known.difference(&ran).collect();
    assert!(missed.is_empty(), "never run: {missed:?}");
}
