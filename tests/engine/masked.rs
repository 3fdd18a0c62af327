//! Masked convolutions and scans against plain loops in f64 on every device, and properties of masks and gates
//! that hold for any numbers.

use crate::common::{Weights, devices};
use pixelloom::autograd::case::{Input, distance};
use pixelloom::nn::{Decay, Optimizer, OptimizerConfig, Param};
use pixelloom::ops::lstm_scan::{Order, lstm_at};
use pixelloom::ops::mask::{Mask, Sight, pack};
use pixelloom::ops::masked_conv::{Around, Window};
use pixelloom::ops::optimizer::Rule;
use pixelloom::{Device, Tape, Tensor};

const TOLERANCE: f32 = 1e-5;
const ORDERS: [Order; 4] =
    [Order::Rows(3), Order::Rows(5), Order::Diagonal, Order::MirroredDiagonal];
/// Heights and widths: a pixel, a row, a column, and rectangles wider and higher than a square.
const SIZES: [(usize, usize); 5] = [(1, 1), (1, 5), (5, 1), (4, 7), (7, 4)];

fn uniform(number: usize, shape: &[usize], r: f32) -> Vec<f32> {
    Input::uniform("x", shape, -r, r).values(number)
}

/// Section 3.4: whether weight (o, i) at (dy, dx) from the centre exists.
fn visible(
    mask: Mask,
    (o, outputs): (usize, usize),
    (i, inputs): (usize, usize),
    d: (i64, i64),
) -> bool {
    let stack = outputs / mask.stacks;
    let (from, to) = (i * mask.groups / inputs, o % stack * mask.groups / stack);
    match (mask.sight, d) {
        (Sight::Everything, _) => true,
        (_, (dy, dx)) if dy < 0 || dy == 0 && dx < 0 => true,
        (_, (dy, dx)) if dy > 0 || dx > 0 => false,
        (Sight::A, _) => from < to,
        (Sight::B, _) => from <= to,
    }
}

/// Weight (o, i, ky, kx) of a kernel (outputs, inputs, kh, kw) at each flat index.
fn weights([outputs, inputs, kh, kw]: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    (0..outputs * inputs * kh * kw)
        .map(move |n| [n / (inputs * kh * kw), n / (kh * kw) % inputs, n / kw % kh, n % kw])
}

fn is_visible(mask: Mask, shape: [usize; 4], [o, i, ky, kx]: [usize; 4]) -> bool {
    let d = (ky as i64 - shape[2] as i64 / 2, kx as i64 - shape[3] as i64 / 2);
    visible(mask, (o, shape[0]), (i, shape[1]), d)
}

/// The convolution of x \[B, H, W, I\] with masked weights (O, I, kh, kw), plus bias, in f64.
fn naive_convolution(
    (x, [batch, height, width, inputs]): (&[f32], [usize; 4]),
    (w, shape): (&[f32], [usize; 4]),
    mask: Mask,
    bias: &[f32],
) -> Vec<f64> {
    let outputs = shape[0];
    let mut y = Vec::new();
    for n in 0..batch * height * width * outputs {
        let (o, c, r) = (n % outputs, n / outputs % width, n / (outputs * width) % height);
        let b = n / (outputs * width * height);
        let mut sum = f64::from(bias[o]);
        for (at, [to, i, ky, kx]) in weights(shape).enumerate() {
            let row = (r + ky).checked_sub(shape[2] / 2).filter(|&r| r < height);
            let column = (c + kx).checked_sub(shape[3] / 2).filter(|&c| c < width);
            if let (true, Some(r), Some(c)) =
                (to == o && is_visible(mask, shape, [o, i, ky, kx]), row, column)
            {
                sum += f64::from(w[at])
                    * f64::from(
                        x[b * height * width * inputs + r * width * inputs + c * inputs + i],
                    );
            }
        }
        y.push(sum);
    }
    y
}

fn convolution(device: &Device, x: [usize; 4], w: [usize; 4], mask: Mask) {
    let (image, kernel) = (uniform(0, &x, 1.0), uniform(1, &w, 1.0));
    let bias = uniform(2, &w[..1], 1.0);
    let map = [x[0], x[1], x[2], w[0]];
    let residual = uniform(3, &map, 1.0);
    let tape = Tape::inference();
    let put = |data: &[f32], shape: &[usize]| tape.constant(Tensor::new(device, data, shape));
    let window = Window::centred(w[2], w[3], mask);
    let packed = put(&kernel, &w).masked(mask);
    let relu = |x: f64| x.max(0.0);
    for (relu_before, relu_after, with_residual) in
        [(false, false, false), (true, false, true), (true, true, false)]
    {
        let around = Around { relu_before, relu_after };
        let r = with_residual.then(|| put(&residual, &map));
        let b = put(&bias, &w[..1]);
        let y = put(&image, &x).masked_conv(&packed, window, around, Some(&b), r.as_ref());
        let seen: Vec<f32> =
            image.iter().map(|&x| if relu_before { x.max(0.0) } else { x }).collect();
        let exact: Vec<f32> = naive_convolution((&seen, x), (&kernel, w), mask, &bias)
            .iter()
            .zip(&residual)
            .map(|(&y, &r)| if relu_after { relu(y) } else { y } + if with_residual { f64::from(r) } else { 0.0 })
            .map(|y| y as f32)
            .collect();
        let d = distance(&y.value().to_vec().unwrap(), &exact);
        let what = format!("{x:?} {w:?} {mask:?} {around:?} on {}", device.name());
        assert!(d <= TOLERANCE, "{what}: {d:.1e}");
    }
}

#[test]
fn convolutions_equal_plain_loops() {
    let kernels = [(1, 1), (1, 3), (3, 1), (3, 3), (5, 3), (5, 5), (7, 7)];
    for device in &devices() {
        for (kh, kw) in kernels {
            for (groups, channels) in [(1, (2, 5)), (2, (5, 4)), (3, (4, 8)), (3, (3, 7))] {
                for sight in [Sight::A, Sight::B] {
                    // Mask A with one group hides all of a 1 x 1 kernel.
                    if sight == Sight::A && groups == 1 && kh * kw == 1 {
                        continue;
                    }
                    let w = [channels.1, channels.0, kh, kw];
                    convolution(device, [2, 5, 3, channels.0], w, Mask::new(sight, groups));
                }
            }
            convolution(
                device,
                [1, 3, 6, 3],
                [12, 3, kh, kw],
                Mask { stacks: 4, ..Mask::new(Sight::B, 3) },
            );
            convolution(device, [1, 3, 6, 3], [4, 3, kh, kw], Mask::NONE);
        }
        for (height, width) in SIZES {
            convolution(device, [2, height, width, 3], [6, 3, 7, 7], Mask::new(Sight::A, 3));
        }
    }
}

/// The neighbours that the cell at (r, c) reads h from, and the one that it reads c from.
fn neighbours(order: Order, (r, c): (i64, i64)) -> (Vec<(i64, i64)>, (i64, i64)) {
    match order {
        Order::Rows(3) => (vec![(r - 1, c - 1), (r - 1, c), (r - 1, c + 1)], (r - 1, c)),
        Order::Rows(5) => ((c - 2..=c + 2).map(|c| (r - 1, c)).collect(), (r - 1, c)),
        Order::Rows(k) => panic!("Rows({k}) is not tested here"),
        Order::Diagonal => (vec![(r - 1, c), (r, c - 1)], (r, c - 1)),
        Order::MirroredDiagonal => (vec![(r - 1, c), (r, c + 1)], (r, c + 1)),
    }
}

/// h and c of a scan, computed cell by cell in f64.
fn naive_scan(
    order: Order,
    [batch, height, width, n]: [usize; 4],
    (u, s, c0): (&[f32], &[f32], &[f32]),
) -> (Vec<f64>, Vec<f64>) {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut h, mut c) =
        (vec![0.0; batch * height * width * n], vec![0.0; batch * height * width * n]);
    for b in 0..batch {
        for r in 0..height {
            for i in 0..width {
                let mirrored = order == Order::MirroredDiagonal;
                let column = if mirrored { width - 1 - i } else { i };
                let (r, column) = (r as i64, column as i64);
                let (seen, before) = neighbours(order, (r, column));
                let at = |(r, c): (i64, i64)| {
                    let inside = r >= 0 && c >= 0 && c < width as i64;
                    inside.then(|| ((b * height + r as usize) * width + c as usize) * n)
                };
                let here = at((r, column)).unwrap();
                for j in 0..n {
                    let gate = |k: usize| {
                        let mut sum = f64::from(u[4 * here + k * n + j]);
                        for (m, &cell) in seen.iter().enumerate() {
                            let Some(there) = at(cell) else { continue };
                            for i in 0..n {
                                sum += h[there + i] * f64::from(s[(m * n + i) * 4 * n + k * n + j]);
                            }
                        }
                        sum
                    };
                    let before = at(before).map_or(f64::from(c0[j]), |there| c[there + j]);
                    let new = sigmoid(gate(1)) * before + sigmoid(gate(2)) * gate(3).tanh();
                    let out = sigmoid(gate(0)) * new.tanh();
                    (c[here + j], h[here + j]) = (new, out);
                }
            }
        }
    }
    (h, c)
}

#[test]
fn scans_equal_plain_loops() {
    let floats = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    for device in &devices() {
        for order in ORDERS {
            for (height, width) in SIZES {
                // The last case is wide enough that the recurrent weights are packed.
                for (batch, n) in [(2, 1), (3, 5), (1, 18), (2, 72)] {
                    let map = [batch, height, width, n];
                    let what = format!("{order:?} {map:?} on {}", device.name());
                    let shapes: [&[usize]; 3] =
                        [&[batch, height, width, 4 * n], &[order.neighbours(), n, 4 * n], &[n]];
                    let r = 1.5 / (n as f32).sqrt();
                    let [u, s, c0] =
                        [0, 1, 2].map(|i| uniform(i, shapes[i], if i == 1 { r } else { 2.0 }));
                    let (h, c) = naive_scan(order, map, (&u, &s, &c0));
                    let [u, s, c0] =
                        [(u, 0), (s, 1), (c0, 2)].map(|(x, i)| Tensor::new(device, &x, shapes[i]));
                    let tape = Tape::inference();
                    let put = |t: &Tensor| tape.constant(t.clone());
                    let y = put(&u).lstm_scan(&put(&s), &put(&c0), order);
                    let d = distance(&y.value().to_vec().unwrap(), &floats(&h));
                    assert!(d <= TOLERANCE, "{what}: h {d:.1e}");
                    // The last cell alone, from the states of the others.
                    let (mut h, mut all) = (y.value().to_vec().unwrap(), floats(&c));
                    let column = if order == Order::MirroredDiagonal { 0 } else { width - 1 };
                    for b in 0..batch {
                        let last = ((b * height + height - 1) * width + column) * n;
                        h[last..last + n].fill(f32::NAN);
                        all[last..last + n].fill(f32::NAN);
                    }
                    let (mut h, mut all) =
                        (Tensor::new(device, &h, &map), Tensor::new(device, &all, &map));
                    lstm_at((&u, &s, &c0), order, (height - 1, column), (&mut h, &mut all));
                    let d = distance(&all.to_vec().unwrap(), &floats(&c));
                    assert!(d <= TOLERANCE, "{what}: c {d:.1e}");
                }
            }
        }
    }
}

/// Which cells the cell `from` depends on, over any number of steps; it includes itself.
fn reached(order: Order, (height, width): (usize, usize), from: (usize, usize)) -> Vec<bool> {
    let mut seen = vec![false; height * width];
    let mut open = vec![(from.0 as i64, from.1 as i64)];
    while let Some((r, c)) = open.pop() {
        if r < 0
            || c < 0
            || c >= width as i64
            || std::mem::replace(&mut seen[r as usize * width + c as usize], true)
        {
            continue;
        }
        open.extend(neighbours(order, (r, c)).0);
    }
    seen
}

#[test]
fn a_cell_is_reached_by_its_past_in_its_own_image_and_by_nothing_else() {
    let (batch, n) = (3, 2);
    for device in &devices() {
        for order in ORDERS {
            for (height, width) in SIZES {
                let map = [batch, height, width, n];
                let u = uniform(0, &[batch, height, width, 4 * n], 1.0);
                let s: Vec<f32> = uniform(1, &[order.neighbours(), n, 4 * n], 1.0)
                    .iter()
                    .map(|x| x.abs() + 0.1)
                    .collect();
                for cell in 0..height * width {
                    let tape = Tape::new();
                    let put =
                        |data: &[f32], shape: &[usize]| tape.leaf(Tensor::new(device, data, shape));
                    let u = put(&u, &[batch, height, width, 4 * n]);
                    let s = put(&s, &[order.neighbours(), n, 4 * n]);
                    let y = u.lstm_scan(&s, &put(&[0.5; 2], &[n]), order);
                    // The gradient of this cell's channel 0 in the middle image.
                    let mut seed = vec![0.0; map.iter().product()];
                    seed[(height * width + cell) * n] = 1.0;
                    let gradients = tape.backward(&[(&y, Tensor::new(device, &seed, &map))]);
                    let du = gradients.of(&u).unwrap().to_vec().unwrap();
                    let reached = reached(order, (height, width), (cell / width, cell % width));
                    for (i, du) in du.chunks_exact(4 * n).enumerate() {
                        let expected = i / (height * width) == 1 && reached[i % (height * width)];
                        let what = format!(
                            "{order:?} {map:?}, cell {cell} from {i}, on {}",
                            device.name()
                        );
                        // Every path passes through gate i of channel 0.
                        assert_eq!(du[2 * n] != 0.0, expected, "{what}");
                        assert!(expected || du.iter().all(|&d| d == 0.0), "{what}: {du:?}");
                    }
                    let ds = gradients.of(&s).unwrap().to_vec().unwrap();
                    let alone = reached.iter().filter(|&&r| r).count() == 1;
                    assert_eq!(ds.iter().all(|&d| d == 0.0), alone, "{order:?} {map:?}: weights");
                }
            }
        }
    }
}

#[test]
fn the_content_gate_is_a_tanh() {
    // Gates o, f, i, g. The forget gate is closed, so c0 does not matter.
    let u = [10.0, -10.0, 10.0, -10.0];
    for device in &devices() {
        for order in ORDERS {
            let u = Tensor::new(device, &u, &[1, 1, 1, 4]);
            let s = Tensor::full(device, 0.3, &[order.neighbours(), 1, 4]);
            let c0 = Tensor::full(device, 0.7, &[1]);
            let (mut h, mut c) =
                (Tensor::zeros(device, &[1, 1, 1, 1]), Tensor::zeros(device, &[1, 1, 1, 1]));
            lstm_at((&u, &s, &c0), order, (0, 0), (&mut h, &mut c));
            let (h, c) = (h.item().unwrap(), c.item().unwrap());
            assert!((c + 1.0).abs() < 2e-4, "{order:?}: c {c} on {}", device.name());
            assert!((h - (-1.0_f32).tanh()).abs() < 2e-4, "{order:?}: h {h} on {}", device.name());
            let tape = Tape::inference();
            let put = |t: &Tensor| tape.constant(t.clone());
            let y = put(&u).lstm_scan(&put(&s), &put(&c0), order).value().item().unwrap();
            assert!((y - h).abs() < 1e-6, "{order:?}: scan {y}, cell {h}, on {}", device.name());
        }
    }
}

#[test]
fn colour_groups_are_aligned_in_every_stacked_gate() {
    let (inputs, groups) = (7, 3);
    for device in &devices() {
        for sight in [Sight::A, Sight::B] {
            for hidden in [3, 4, 5, 6] {
                let (outputs, mask) = (4 * hidden, Mask { stacks: 4, ..Mask::new(sight, groups) });
                let w: Vec<f32> = uniform(0, &[outputs, inputs, 1, 1], 1.0)
                    .iter()
                    .map(|w| w.abs() + 0.1)
                    .collect();
                let window = Window::centred(1, 1, Mask::NONE);
                for o in 0..outputs {
                    let tape = Tape::new();
                    let x = tape.leaf(Tensor::full(device, 1.0, &[1, 1, 1, inputs]));
                    let w = tape.constant(Tensor::new(device, &w, &[outputs, inputs, 1, 1]));
                    let y = x.masked_conv(&w.masked(mask), window, Around::default(), None, None);
                    let seed: Vec<f32> = (0..outputs).map(|i| f32::from(i == o)).collect();
                    let gradients =
                        tape.backward(&[(&y, Tensor::new(device, &seed, &[1, 1, 1, outputs]))]);
                    let dx = gradients.of(&x).unwrap().to_vec().unwrap();
                    // The group of the output within its own gate.
                    let own = o % hidden * groups / hidden;
                    for (i, dx) in dx.iter().enumerate() {
                        let group = i * groups / inputs;
                        let shown = group < own || sight == Sight::B && group == own;
                        assert_eq!(
                            *dx != 0.0,
                            shown,
                            "{mask:?} hidden {hidden}: {i} to {o} on {}",
                            device.name()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn hidden_weights_do_not_matter_and_do_not_move() {
    let x_shape = [2, 4, 3, 5];
    let image = uniform(0, &x_shape, 1.0);
    let masks = [
        (Mask::new(Sight::A, 3), [7, 5, 3, 3]),
        (Mask::new(Sight::B, 3), [7, 5, 3, 3]),
        (Mask::new(Sight::A, 1), [3, 5, 5, 3]),
        (Mask { stacks: 4, ..Mask::new(Sight::B, 2) }, [8, 5, 1, 3]),
    ];
    for device in &devices() {
        for (mask, shape) in masks {
            let what = format!("{mask:?} {shape:?} on {}", device.name());
            let shown: Vec<bool> = weights(shape).map(|at| is_visible(mask, shape, at)).collect();
            assert!(shown.contains(&false) && shown.contains(&true), "{what}");
            let with = |hidden: f32| -> Vec<f32> {
                let w = uniform(1, &shape, 1.0);
                w.iter().zip(&shown).map(|(&w, &shown)| if shown { w } else { hidden }).collect()
            };
            let packed =
                |hidden| pack(&Tensor::new(device, &with(hidden), &shape), mask).to_vec().unwrap();
            assert_eq!(packed(0.0), packed(f32::NAN), "{what}: a hidden weight is read");
            for rule in [Rule::Sgd, Rule::Adagrad, Rule::RmsProp, Rule::Adam] {
                for decay_kind in [Decay::Coupled, Decay::Decoupled] {
                    let model = Weights(Param::new(Tensor::new(device, &with(0.0), &shape)));
                    let config = OptimizerConfig {
                        decay: 0.1,
                        decay_kind,
                        ..OptimizerConfig::new(rule, 0.01)
                    };
                    let mut optimizer = Optimizer::new(config);
                    for _ in 0..3 {
                        let tape = Tape::new();
                        let x = tape.constant(Tensor::new(device, &image, &x_shape));
                        let w = tape.param(&model.0);
                        let window = Window::centred(shape[2], shape[3], mask);
                        let y =
                            x.masked_conv(&w.masked(mask), window, Around::default(), None, None);
                        let gradients = tape.backward_from(&y.square().sum());
                        let dw = gradients.param(&model.0).unwrap().to_vec().unwrap();
                        assert!(
                            dw.iter().zip(&shown).all(|(&d, &shown)| (d != 0.0) == shown),
                            "{what}: gradient"
                        );
                        optimizer.step(&model, &gradients);
                    }
                    let zero = |t: &Tensor| {
                        let t = t.to_vec().unwrap();
                        t.iter()
                            .zip(&shown)
                            .all(|(&v, &shown)| shown || v.to_bits() & 0x7fff_ffff == 0)
                    };
                    let what = format!("{what}, {rule:?} {decay_kind:?}");
                    assert!(
                        optimizer.states["w"].iter().all(zero),
                        "{what}: states of hidden weights"
                    );
                    let w = model.0.value();
                    assert!(zero(&w), "{what}: a hidden weight is no longer 0");
                    let (w, start) = (w.to_vec().unwrap(), with(0.0));
                    assert!(
                        (0..w.len()).all(|i| !shown[i] || w[i] != start[i]),
                        "{what}: a visible weight did not move"
                    );
                }
            }
        }
    }
}

#[test]
fn a_nan_goes_through_both_relus_to_all_who_see_it() {
    let (x, w, mask) = ([2, 3, 4, 2], [3, 2, 3, 3], Mask::new(Sight::B, 1));
    let mut image = uniform(0, &x, 1.0);
    // Channel 1 of pixel (1, 2) of the second image.
    image[(12 + 6) * 2 + 1] = f32::NAN;
    let around = Around { relu_before: true, relu_after: true };
    for device in &devices() {
        let tape = Tape::inference();
        let put = |data: &[f32], shape: &[usize]| tape.constant(Tensor::new(device, data, shape));
        let p = put(&uniform(1, &w, 1.0), &w).masked(mask);
        let y = put(&image, &x).masked_conv(
            &p,
            Window::centred(3, 3, Mask::new(Sight::B, 1)),
            around,
            None,
            None,
        );
        let y = y.value().to_vec().unwrap();
        for (pixel, y) in y.chunks_exact(3).enumerate() {
            // The pixel itself, the one to its right, and three below.
            let sees = [18, 19, 21, 22, 23].contains(&pixel);
            let what = format!("{y:?} at pixel {pixel} on {}", device.name());
            assert!(y.iter().all(|y| y.is_nan() == sees), "{what}");
        }
    }
}
