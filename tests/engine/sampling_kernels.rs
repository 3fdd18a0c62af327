//! The steps of a cached sampler on every device: one pixel of a masked convolution, one cell of a scan, one
//! drawn value. Applied pixel by pixel, they must give the results of the full operations, write nothing else,
//! and read nothing that has not been computed yet: the outputs are filled with NaN beforehand.

use crate::common::devices;
use pixelloom::autograd::case::{Input, distance};
use pixelloom::ops::lstm_scan::{Order, lstm_at};
use pixelloom::ops::mask::{Mask, Sight, pack};
use pixelloom::ops::masked_conv::{Around, Window, conv_at};
use pixelloom::ops::pick::{Scale, pick};
use pixelloom::{Device, Tape, Tensor};

const TOLERANCE: f32 = 1e-5;

fn normal(device: &Device, number: usize, shape: &[usize]) -> Tensor {
    Tensor::new(device, &Input::normal("x", shape).values(number), shape)
}

fn nans(device: &Device, shape: &[usize]) -> Tensor {
    Tensor::full(device, f32::NAN, shape)
}

/// Flat indices of the elements whose bits differ.
fn changed(before: &Tensor, after: &Tensor) -> Vec<usize> {
    let (before, after) = (before.to_vec().unwrap(), after.to_vec().unwrap());
    (0..after.len()).filter(|&i| before[i].to_bits() != after[i].to_bits()).collect()
}

/// A copy of a tensor that shares no memory with it.
fn copy(t: &Tensor) -> Tensor {
    Tensor::new(t.device(), &t.to_vec().unwrap(), t.shape())
}

/// Flat indices of the channels of pixel (row, column) in every image of a feature map \[B, H, W, C\].
fn pixel(shape: &[usize], (row, column): (usize, usize)) -> Vec<usize> {
    let [batch, height, width, channels] = *shape else { panic!("{shape:?}") };
    let first = |b| ((b * height + row) * width + column) * channels;
    (0..batch).flat_map(|b| first(b)..first(b) + channels).collect()
}

fn convolution(device: &Device, x: [usize; 4], w: [usize; 4], mask: Mask, around: Around) {
    let what = format!("{x:?} {w:?} {mask:?} {around:?} on {}", device.name());
    let window = Window::centred(w[2], w[3], mask);
    let map = [x[0], x[1], x[2], w[0]];
    let p = pack(&normal(device, 1, &w), mask);
    let (x, bias) = (normal(device, 0, &x), normal(device, 2, &w[..1]));
    let residual = (!around.relu_after).then(|| normal(device, 3, &map));

    let tape = Tape::inference();
    let put = |t: &Tensor| tape.constant(t.clone());
    let r = residual.as_ref().map(put);
    let whole = put(&x).masked_conv(&put(&p), window, around, Some(&put(&bias)), r.as_ref());

    let mut y = nans(device, &map);
    for row in 0..map[1] {
        for column in 0..map[2] {
            let before = copy(&y);
            let additions = (Some(&bias), residual.as_ref());
            conv_at((&x, &p), window, around, additions, (row, column), &mut y);
            let expected = pixel(&map, (row, column));
            assert_eq!(changed(&before, &y), expected, "{what}: ({row}, {column}) writes more");
        }
    }
    let d = distance(&y.to_vec().unwrap(), &whole.value().to_vec().unwrap());
    assert!(d <= TOLERANCE, "{what}: {d:.1e} from the whole");
}

#[test]
fn a_convolution_pixel_by_pixel_equals_the_whole() {
    let (plain, before) = (Around::default(), Around { relu_before: true, relu_after: false });
    let both = Around { relu_before: true, relu_after: true };
    for device in &devices() {
        convolution(device, [2, 4, 3, 1], [5, 1, 7, 7], Mask::new(Sight::A, 1), plain);
        convolution(device, [1, 3, 4, 3], [7, 3, 7, 7], Mask::new(Sight::A, 3), both);
        convolution(device, [2, 3, 5, 7], [8, 7, 3, 3], Mask::new(Sight::B, 3), before);
        convolution(device, [3, 2, 3, 70], [67, 70, 1, 1], Mask::new(Sight::B, 1), both);
        let stacked = Mask { stacks: 4, ..Mask::new(Sight::B, 3) };
        convolution(device, [2, 3, 4, 5], [20, 5, 1, 3], stacked, plain);
        convolution(device, [1, 2, 3, 2], [300, 2, 3, 5], Mask::NONE, plain);
        convolution(device, [1, 1, 1, 1], [1, 1, 1, 1], Mask::new(Sight::B, 1), plain);
    }
}

#[test]
fn a_first_layer_reads_no_pixel_that_is_not_drawn_yet() {
    let (map, mask) = ([2, 4, 5, 1], Mask::new(Sight::A, 1));
    for device in &devices() {
        let p = pack(&normal(device, 1, &[3, 1, 7, 7]), mask);
        let known = Input::normal("x", &map).values(0);
        let window = Window::centred(7, 7, mask);
        let mut y = nans(device, &[2, 4, 5, 3]);
        for at in 0..20 {
            let x: Vec<f32> = known
                .iter()
                .enumerate()
                .map(|(i, &x)| if i % 20 < at { x } else { f32::NAN })
                .collect();
            let x = Tensor::new(device, &x, &map);
            conv_at((&x, &p), window, Around::default(), (None, None), (at / 5, at % 5), &mut y);
        }
        assert!(y.to_vec().unwrap().iter().all(|y| y.is_finite()), "on {}", device.name());
    }
}

fn scan(device: &Device, order: Order, [batch, height, width, hidden]: [usize; 4]) {
    let what = format!("{order:?} {batch}x{height}x{width} h {hidden} on {}", device.name());
    let r = 1.0 / (hidden as f32).sqrt();
    let uniform = |number, shape: &[usize], r: f32| {
        Tensor::new(device, &Input::uniform("x", shape, -r, r).values(number), shape)
    };
    let u = uniform(0, &[batch, height, width, 4 * hidden], 2.0);
    let s = uniform(1, &[order.neighbours(), hidden, 4 * hidden], r);
    let c0 = uniform(2, &[hidden], 1.0);

    let tape = Tape::inference();
    let put = |t: &Tensor| tape.constant(t.clone());
    let whole = put(&u).lstm_scan(&put(&s), &put(&c0), order);

    let map = [batch, height, width, hidden];
    let (mut h, mut c) = (nans(device, &map), nans(device, &map));
    for row in 0..height {
        for i in 0..width {
            let column = if order == Order::MirroredDiagonal { width - 1 - i } else { i };
            let before = (copy(&h), copy(&c));
            lstm_at((&u, &s, &c0), order, (row, column), (&mut h, &mut c));
            let expected = pixel(&map, (row, column));
            for (before, after) in [(&before.0, &h), (&before.1, &c)] {
                let changed = changed(before, after);
                assert_eq!(changed, expected, "{what}: ({row}, {column}) writes more");
            }
        }
    }
    let d = distance(&h.to_vec().unwrap(), &whole.value().to_vec().unwrap());
    assert!(d <= TOLERANCE, "{what}: {d:.1e} from the whole");
    assert!(c.to_vec().unwrap().iter().all(|c| c.is_finite()), "{what}: c");
}

#[test]
fn a_scan_cell_by_cell_equals_the_whole() {
    for device in &devices() {
        for order in [Order::Rows(3), Order::Rows(5), Order::Diagonal, Order::MirroredDiagonal] {
            scan(device, order, [1, 1, 1, 1]);
            scan(device, order, [2, 1, 5, 3]);
            scan(device, order, [2, 5, 1, 3]);
            scan(device, order, [3, 4, 7, 17]);
            scan(device, order, [1, 4, 2, 66]);
        }
    }
}

/// The values that `pick` draws at row 1, column 0, channel 1 of images \[n, 2, 2, 3\], one image per u.
fn drawn(device: &Device, logits: &[f32], scale: Scale, u: &[f32]) -> Vec<f32> {
    let n = u.len();
    let (shape, (row, column, channel)) = ([n, 2, 2, 3], (1, 0, 1));
    let place = (row * 2 + column) * 3 + channel;
    // All other places hold NaN, since `pick` must not read them.
    let (mut all_logits, mut all_u) =
        (vec![f32::NAN; 12 * n * logits.len()], vec![f32::NAN; 12 * n]);
    for (i, &u) in u.iter().enumerate() {
        let at = 12 * i + place;
        all_logits[at * logits.len()..][..logits.len()].copy_from_slice(logits);
        all_u[at] = u;
    }
    let all_logits = Tensor::new(device, &all_logits, &[n, 2, 2, 3 * logits.len()]);
    let mut x = normal(device, 5, &shape);
    let before = copy(&x);
    let places = (row, column, channel);
    pick((&all_logits, &Tensor::new(device, &all_u, &shape)), scale, places, &mut x);
    let others = changed(&before, &x).into_iter().find(|i| i % 12 != place);
    assert_eq!(others, None, "pick writes more");
    x.to_vec().unwrap().into_iter().skip(place).step_by(12).collect()
}

/// The probability of each level, in f64.
fn probabilities(logits: &[f32], levels: usize) -> Vec<f64> {
    if levels == 2 {
        let one = 1.0 / (1.0 + (-f64::from(logits[0])).exp());
        return vec![1.0 - one, one];
    }
    let largest = logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
    let terms: Vec<f64> = logits.iter().map(|&l| (f64::from(l) - largest).exp()).collect();
    let total: f64 = terms.iter().sum();
    terms.iter().map(|t| t / total).collect()
}

/// The largest f32 below 1.
const BELOW_ONE: f32 = 1.0 - f32::EPSILON / 2.0;

fn picks(device: &Device, levels: usize, logits: &[f32], seen: &[usize]) {
    let scale = Scale { levels, mean: 0.4, std: 0.7 };
    let value = |level: usize| (level as f64 / (levels - 1) as f64 - 0.4) / 0.7;
    let p = probabilities(logits, levels);
    // u is the middle of the interval of every level whose interval is wide enough for f32, and both ends of
    // [0, 1). With two levels, level 1 is drawn for u < sigmoid(l) and level 0 above.
    let order: Vec<usize> = if levels == 2 { vec![1, 0] } else { (0..levels).collect() };
    let (mut u, mut expected, mut sum) = (Vec::new(), Vec::new(), 0.0);
    for &level in &order {
        if p[level] > 1e-5 {
            u.push((sum + 0.5 * p[level]) as f32);
            expected.push(level);
        }
        sum += p[level];
    }
    assert_eq!(expected.len(), seen.len(), "levels that can be told apart");
    let possible = |level: &&usize| seen.contains(level);
    u.extend([0.0, BELOW_ONE]);
    expected.push(*order.iter().find(possible).unwrap());
    expected.push(*order.iter().rev().find(possible).unwrap());
    for ((&u, &level), x) in u.iter().zip(&expected).zip(drawn(device, logits, scale, &u)) {
        let near = (f64::from(x) - value(level)).abs() <= 1e-5;
        assert!(near, "{levels} levels, u {u}: {x}, not level {level}, on {}", device.name());
    }
}

#[test]
fn picks_follow_the_distribution() {
    let many = Input::normal("l", &[256]).values(0);
    // Levels of probability 0 at both ends must never be drawn, whatever u is.
    let mut middle = many.clone();
    middle[..7].fill(-300.0);
    middle[250..].fill(-300.0);
    let (all, some): (Vec<usize>, Vec<usize>) = ((0..256).collect(), (7..250).collect());
    for device in &devices() {
        for logit in [0.0, -1.5, 3.0] {
            picks(device, 2, &[logit], &[0, 1]);
        }
        picks(device, 2, &[-300.0], &[0]);
        picks(device, 2, &[300.0], &[1]);
        picks(device, 3, &[0.5, -1.0, 2.0], &[0, 1, 2]);
        picks(device, 3, &[1e4, 1e4, -1e4], &[0, 1]);
        picks(device, 3, &[-1e4, 0.0, -1e4], &[1]);
        picks(device, 256, &many, &all);
        picks(device, 256, &middle, &some);
        // Logits that define no distribution give NaN, not some level.
        for (levels, logits) in
            [(2, &[f32::NAN][..]), (3, &[0.0, f32::NAN, 0.0]), (3, &[f32::INFINITY, 0.0, 0.0])]
        {
            let scale = Scale { levels, mean: 0.4, std: 0.7 };
            let x = drawn(device, logits, scale, &[0.0, 0.5, BELOW_ONE]);
            assert!(x.iter().all(|x| x.is_nan()), "{logits:?}: {x:?} on {}", device.name());
        }
    }
}
