//! The kernel of the gates' gradient adds the parts of the gradient of h'.

use super::*;
use crate::Device;
use crate::autograd::case::distance;
use crate::ops::random;
use crate::rng::Key;

#[test]
fn the_gradient_of_parts_is_that_of_their_sum() {
    for device in [Device::cpu(), Device::reference()] {
        let noise = |stream: u32, columns: usize| {
            random::normal(&device, Key::new(7, stream, 0), &[5, columns])
        };
        let [a, b, c, before, next, dnext] = [0, 1, 2, 3, 4, 5].map(|stream| noise(stream, 19));
        let gates = noise(6, 4 * 19);
        let gradient_after = |later: u32, dnext: &Tensor, parts: u32, dh: [&Tensor; 3]| {
            let params = LstmCellParams {
                batch: 5,
                depth: 0,
                hidden: 19,
                bias_stride: 0,
                panel: 0,
                parts,
                later,
            };
            let (mut dz, mut dc) = (Tensor::zeros(&device, &[5, 4 * 19]), dnext.clone());
            unshare(&mut dc);
            let [first, second, third] = dh;
            let inputs = [first, second, third, &before, &next, &gates];
            LSTM_CELL_GRADIENT.update(params, inputs, [&mut dz, &mut dc]);
            [dz, dc].map(|t| t.to_vec().unwrap())
        };
        let gradient = |parts: u32, dh: [&Tensor; 3]| gradient_after(1, &dnext, parts, dh);
        let copies = |t: &Tensor| {
            let mut copy = t.clone();
            unshare(&mut copy);
            copy
        };
        let two = sum(copies(&a), b.clone());
        let three = sum(copies(&two), c.clone());
        for (parts, whole) in [(1, &a), (2, &two), (3, &three)] {
            let (parts, whole) = (gradient(parts, [&a, &b, &c]), gradient(1, [whole; 3]));
            for (parts, whole) in parts.iter().zip(&whole) {
                assert!(distance(parts, whole) < 1e-6);
            }
        }
        let zeros = Tensor::zeros(&device, dnext.shape());
        let without = gradient_after(0, &dnext, 1, [&a; 3]);
        assert_eq!(without, gradient_after(1, &zeros, 1, [&a; 3]));
        assert_ne!(without, gradient(1, [&a; 3]));
    }
}
