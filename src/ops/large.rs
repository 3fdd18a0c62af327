//! Launches with tensors of 2^31 elements, more than a signed 32-bit number can count. A meta device runs them without
//! allocating. The stated traffic and the workgroups of a kernel are computed from its parameters, so a product that
//! overflows, or a size that is truncated to 32 bits, gives wrong ones.

use super::lstm_scan::Order;
use super::mask::{Mask, Sight};
use super::masked_conv::{Around, Window};
use super::random;
use super::shared::Shared;
use crate::autograd::{Tape, Var};
use crate::kernel::traffic::{LAUNCHES, Launched};
use crate::rng::{Key, stream};
use crate::{Device, Tensor};

/// Maximum number of elements that a workgroup writes: two tiles of 128 x 128.
const MOST: u64 = 2 * 128 * 128;
/// Maximum number of workgroups in one dimension.
const GROUPS: u32 = 65_535;

/// The launches of an operation, forwards and backwards.
fn launched(shapes: &[&[usize]], call: impl Fn(&[Var]) -> Vec<Tensor>) -> Vec<Launched> {
    // It imitates a GPU: unlike the CPU, it packs no operands.
    let device = Device::meta(&Device::reference());
    LAUNCHES.take();
    let tape = Tape::new();
    let x: Vec<Var> = shapes.iter().map(|s| tape.leaf(Tensor::unwritten(&device, s))).collect();
    call(&x);
    LAUNCHES.take()
}

fn differentiate(y: &[Var]) -> Vec<Tensor> {
    let seeds = y.iter().map(|y| (y, Tensor::unwritten(y.device(), y.shape())));
    y[0].tape().backward(&seeds.collect::<Vec<_>>());
    y.iter().map(|y| y.value().clone()).collect()
}

/// Launches whose workgroups or declared traffic are inconsistent with their tensors.
fn faults(launches: &[Launched]) -> Vec<String> {
    let mut found = Vec::new();
    for Launched { name, stated, tensors, groups, written } in launches {
        let all: u64 =
            groups.iter().map(|g| g.iter().map(|&n| u64::from(n)).product::<u64>()).sum();
        if groups.iter().flatten().any(|&n| n > GROUPS) {
            found.push(format!("{name}: workgroups {groups:?}"));
        }
        if all * MOST < *written {
            found.push(format!("{name}: {all} workgroups for {written} elements"));
        }
        // A count that overflows loses a multiple of 2^32 bytes.
        let share = *stated as f64 / *tensors as f64;
        if *tensors > 1 << 32 && !(0.5..=4.0).contains(&share) {
            found.push(format!("{name}: {stated} bytes stated of {tensors}"));
        }
    }
    found
}

#[test]
fn launches_over_two_to_the_31_elements_fit_their_tensors() {
    const SIDE: usize = 1 << 16;
    let half = SIDE / 2;
    let mask = Mask::new(Sight::B, 1);
    let window = Window::centred(1, 1, mask);
    let all = [
        launched(&[&[SIDE * half]], |x| differentiate(&[x[0].tanh()])),
        launched(&[&[SIDE, half], &[half]], |x| differentiate(&[x[0].mul(&x[1])])),
        launched(&[&[SIDE, half]], |x| differentiate(&[x[0].sum_axes(0, 1)])),
        launched(&[&[SIDE, half]], |x| differentiate(&[x[0].logsumexp()])),
        launched(&[&[half, half], &[half, half]], |x| differentiate(&[x[0].concat(&[&x[1]], 1)])),
        launched(&[&[SIDE, half]], |x| differentiate(&[x[0].slice(1, 1, half - 1)])),
        launched(&[&[SIDE, 8], &[8, half]], |x| differentiate(&[x[0].matmul(&x[1])])),
        launched(&[&[1024, 1 << 21], &[1 << 21, 8]], |x| differentiate(&[x[0].matmul(&x[1])])),
        launched(&[&[SIDE, half], &[SIDE, half]], |x| differentiate(&[x[0].bernoulli_nll(&x[1])])),
        launched(&[&[SIDE, half], &[SIDE, half]], |x| differentiate(&[x[0].gaussian_kl(&x[1])])),
        launched(&[&[1 << 23, 256], &[1 << 23]], |x| {
            differentiate(&[x[0].categorical_nll(x[1].value())])
        }),
        launched(&[&[SIDE, half], &[SIDE, half / 2]], |x| {
            differentiate(&x[0].latent(&x[1].value().reshape(&[1, SIDE, half / 2]), 0))
        }),
        launched(&[&[half, SIDE, 1, 1]], |x| differentiate(&[x[0].masked(mask)])),
        launched(&[&[2048, 32, 32, 1024], &[1, 1024, 8]], |x| {
            differentiate(&[x[0].masked_conv(&x[1], window, Around::default(), None, None)])
        }),
        launched(&[&[2048, 32, 32, 1024], &[2, 256, 1024], &[256]], |x| {
            differentiate(&[x[0].lstm_scan(&x[1], &x[2], Order::Diagonal)])
        }),
        launched(&[&[1 << 19, 64], &[4096, 64], &[1 << 19, 1024], &[4096]], |x| {
            differentiate(&Shared::new(&x[1], Some(&x[3])).lstm_cell(&x[0], &x[2], None))
        }),
        launched(&[&[1 << 21, 5], &[1 << 21, 32, 32, 1]], |x| {
            differentiate(&[x[0].attention_read(2, &x[1], None)])
        }),
        launched(&[&[1]], |x| {
            let key = Key::new(1, stream::TEST, 0);
            vec![random::normal(x[0].device(), key, &[SIDE * half])]
        }),
    ];
    let faults: Vec<String> = all.iter().flat_map(|launches| faults(launches)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for launches in &all {
        assert!(launches.iter().any(|l| l.tensors >= 1 << 33), "nothing large was launched");
    }
}

#[test]
fn planted_overflows_are_found() {
    let right = || launched(&[&[1 << 31]], |x| differentiate(&[x[0].tanh()]));
    assert!(faults(&right()).is_empty());
    let with = |change: fn(&mut Launched)| {
        let mut all = right();
        change(&mut all[0]);
        faults(&all)
    };
    // The low 32 bits of 2^34 bytes are 0.
    assert_eq!(with(|l| l.stated = u64::from(l.stated as u32)).len(), 1);
    assert_eq!(with(|l| l.groups = vec![[1, 1, 1]]).len(), 1);
    assert_eq!(with(|l| l.groups = vec![[1 << 23, 1, 1]]).len(), 1);
}
