//! Masked convolutions of many channels in colour groups, where products with hidden weights are skipped: the
//! output and all gradients against plain loops in f64, on every device.

use crate::common::fast_devices;
use pixelloom::autograd::case::{Input, distance};
use pixelloom::ops::mask::{Mask, Sight};
use pixelloom::ops::masked_conv::{Around, Window, conv_at};
use pixelloom::{Device, Tape, Tensor};

const TOLERANCE: f32 = 1e-5;

fn uniform(number: usize, shape: &[usize], r: f32) -> Vec<f32> {
    Input::uniform("x", shape, -r, r).values(number)
}

/// Shapes of x \[B, H, W, I\] and of the weights (O, I, kh, kw).
struct Sizes {
    x: [usize; 4],
    w: [usize; 4],
    mask: Mask,
}

impl Sizes {
    /// Calls `f(index in x, index in w, index in y)` for every product that the mask allows (PixelRNN, section 3.4).
    fn products(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ([batch, height, width, inputs], [outputs, _, kh, kw]) = (self.x, self.w);
        let (stack, groups) = (outputs / self.mask.stacks, self.mask.groups);
        for pixel in 0..batch * height * width {
            let (row, column) = (pixel / width % height, pixel % width);
            for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                let (r, c) =
                    ((row + ky) as i64 - kh as i64 / 2, (column + kx) as i64 - kw as i64 / 2);
                let inside = (0..height as i64).contains(&r) && (0..width as i64).contains(&c);
                let (past, centre) = ((ky, kx) < (kh / 2, kw / 2), (ky, kx) == (kh / 2, kw / 2));
                if !inside || !(past || centre) {
                    continue;
                }
                let seen = pixel - row * width - column + r as usize * width + c as usize;
                for (i, o) in (0..inputs).flat_map(|i| (0..outputs).map(move |o| (i, o))) {
                    let (from, to) = (i * groups / inputs, o % stack * groups / stack);
                    let shown = from < to || self.mask.sight == Sight::B && from == to;
                    if past || shown {
                        let weight = ((o * inputs + i) * kh + ky) * kw + kx;
                        f(seen * inputs + i, weight, pixel * outputs + o);
                    }
                }
            }
        }
    }
}

fn floats(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

fn check(device: &Device, sizes: &Sizes, around: Around) {
    let Sizes { x: shape, w, mask } = sizes;
    let map = [shape[0], shape[1], shape[2], w[0]];
    let (x, weights, bias) = (uniform(0, shape, 1.0), uniform(1, w, 1.0), uniform(2, &w[..1], 1.0));
    let dy = uniform(3, &map, 1.0);
    let relu = |on: bool, x: f64| if on { x.max(0.0) } else { x };
    let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let seen: Vec<f64> = wide(&x).iter().map(|&x| relu(around.relu_before, x)).collect();
    let mut y: Vec<f64> = (0..dy.len()).map(|n| f64::from(bias[n % w[0]])).collect();
    sizes.products(|i, k, o| y[o] += seen[i] * f64::from(weights[k]));
    let d: Vec<f64> = wide(&dy)
        .iter()
        .zip(&y)
        .map(|(&dy, &y)| if around.relu_after && y <= 0.0 { 0.0 } else { dy })
        .collect();
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; weights.len()]);
    sizes.products(|i, k, o| {
        dx[i] += if around.relu_before && x[i] <= 0.0 { 0.0 } else { d[o] * f64::from(weights[k]) };
        dw[k] += d[o] * seen[i];
    });
    let mut dbias = vec![0.0; w[0]];
    d.iter().enumerate().for_each(|(n, d)| dbias[n % w[0]] += d);
    y.iter_mut().for_each(|y| *y = relu(around.relu_after, *y));

    let tape = Tape::new();
    let put = |data: &[f32], shape: &[usize]| tape.leaf(Tensor::new(device, data, shape));
    let window = Window::centred(w[2], w[3], *mask);
    let leaves = [put(&x, shape), put(&weights, w), put(&bias, &w[..1])];
    let packed = leaves[1].masked(*mask);
    let found = leaves[0].masked_conv(&packed, window, around, Some(&leaves[2]), None);
    let gradients = tape.backward(&[(&found, Tensor::new(device, &dy, &map))]);
    let what = format!("{shape:?} {w:?} {mask:?} {around:?} on {}", device.name());
    let near = |name: &str, found: Vec<f32>, exact: &[f64]| {
        let d = distance(&found, &floats(exact));
        assert!(d <= TOLERANCE, "{what}: {name} {d:.1e}");
    };
    near("y", found.value().to_vec().unwrap(), &y);
    for (leaf, (name, exact)) in leaves.iter().zip([("dx", &dx), ("dw", &dw), ("dbias", &dbias)]) {
        near(name, gradients.of(leaf).unwrap().to_vec().unwrap(), exact);
    }
    // The last pixel alone, written into an output filled with NaN.
    let at = (shape[1] - 1, shape[2] - 1);
    let mut one = Tensor::full(device, f32::NAN, &map);
    let (x, packed) = (leaves[0].value(), packed.value());
    conv_at((x, packed), window, around, (Some(leaves[2].value()), None), at, &mut one);
    let one = one.to_vec().unwrap();
    let pixels = shape[1] * shape[2];
    let last = |y: &[f64]| -> Vec<f64> {
        y.chunks_exact(w[0]).skip(pixels - 1).step_by(pixels).flatten().copied().collect()
    };
    let one: Vec<f32> =
        one.chunks_exact(w[0]).skip(pixels - 1).step_by(pixels).flatten().copied().collect();
    near("one pixel", one, &last(&y));
}

#[test]
fn convolutions_of_many_channels_in_groups_equal_plain_loops() {
    let none = Around::default();
    let both = Around { relu_before: true, relu_after: true };
    let after = Around { relu_before: false, relu_after: true };
    let mask = |sight, groups, stacks| Mask { stacks, ..Mask::new(sight, groups) };
    let sizes = |x, w, mask| Sizes { x, w, mask };
    let (a, b) = (mask(Sight::A, 3, 1), mask(Sight::B, 3, 1));
    for device in &fast_devices() {
        // The convolutions of a residual block (PixelRNN, table 1) with h = 50, which 3 does not divide.
        check(device, &sizes([2, 9, 8, 100], [50, 100, 1, 1], b), both);
        check(device, &sizes([2, 5, 8, 50], [50, 50, 3, 3], b), after);
        check(device, &sizes([1, 9, 8, 50], [100, 50, 1, 1], b), none);
        check(device, &sizes([2, 5, 8, 36], [66, 36, 3, 5], a), both);
        check(device, &sizes([1, 6, 5, 40], [66, 40, 1, 1], a), none);
        check(device, &sizes([1, 6, 5, 96], [64, 96, 1, 1], mask(Sight::B, 2, 1)), none);
        // The gates of an LSTM.
        check(device, &sizes([2, 5, 6, 80], [160, 80, 1, 3], mask(Sight::B, 3, 4)), none);
        check(device, &sizes([1, 3, 6, 70], [4 * 70, 70, 1, 1], mask(Sight::B, 3, 4)), none);
        // Wide tiles on a GPU; some of them skip hidden inputs.
        check(device, &sizes([1, 64, 45, 264], [264, 264, 1, 1], a), none);
        check(device, &sizes([1, 64, 45, 264], [264, 264, 1, 3], b), both);
        // The first outputs see nothing, but have a bias.
        check(device, &sizes([1, 4, 5, 136], [392, 136, 1, 1], a), none);
        // Enough weights that threads split the weights rather than the images.
        check(device, &sizes([2, 3, 4, 380], [360, 380, 1, 1], b), after);
    }
}
