//! The CPU gives the same bits for any number of threads: in all cases, in larger ones, and in an optimiser step.

use crate::common::{Weights, poisoned_cpu};
use pixelloom::autograd::Tape;
use pixelloom::autograd::case::{Case, Input};
use pixelloom::nn::{Optimizer, OptimizerConfig, Param};
use pixelloom::ops::optimizer::Rule;
use pixelloom::ops::{self, random};
use pixelloom::rng::Key;
use pixelloom::{Device, Tensor};

/// Bits of all outputs and gradients.
fn bits(case: &Case) -> Vec<Vec<u32>> {
    let tape = Tape::new();
    let x = case.vars(&tape, &case.tensors(&poisoned_cpu()));
    let y = (case.call)(&x);
    let seeds = case.seeds(&y);
    let mut tensors: Vec<Tensor> = y.iter().map(|y| y.value().clone()).collect();
    let gradients = tape.backward(&y.iter().zip(seeds).collect::<Vec<_>>());
    tensors.extend(x.iter().filter_map(|x| gradients.of(x).cloned()));
    let bits = |t: &Tensor| t.to_vec().unwrap().iter().map(|x| x.to_bits()).collect();
    tensors.iter().map(bits).collect()
}

#[test]
fn the_cpu_gives_the_same_bits_for_any_number_of_threads() {
    let mut cases = ops::cases();
    // Large enough to be split among threads.
    let input = |name, shape: &[usize]| Input::normal(name, shape);
    cases.push(Case::new(
        "matmul",
        "linear 700x900 to 300",
        vec![input("x", &[700, 900]), input("w", &[300, 900]), input("b", &[300])],
        |x| vec![x[0].linear(&x[1], Some(&x[2]), ops::matmul::Activation::Tanh)],
    ));
    cases.push(Case::new(
        "matmul",
        "9 of 65x70x129",
        vec![input("a", &[9, 65, 70]), input("b", &[9, 70, 129])],
        |x| vec![x[0].matmul(&x[1])],
    ));
    cases.push(Case::new(
        "likelihood",
        "bernoulli 200x784",
        vec![input("l", &[200, 784]), Input::uniform("x", &[200, 784], 0.0, 1.0)],
        |x| vec![x[0].bernoulli_nll(&x[1])],
    ));
    cases.push(Case::new("reduce", "all of 70000x9", vec![input("x", &[70_000, 9])], |x| {
        vec![x[0].sum(), x[0].sum_axes(0, 1), x[0].logsumexp()]
    }));
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let [one, two, four] = [1, 2, 4].map(pool);
    for case in &cases {
        let expected = one.install(|| bits(case));
        for pool in [&two, &four] {
            let same = pool.install(|| bits(case)) == expected;
            let threads = pool.current_num_threads();
            assert!(same, "{} {}: other bits with {threads} threads", case.op, case.label);
        }
    }
    let steps = |pool: &rayon::ThreadPool| {
        let draw = |t| random::normal(&Device::cpu(), Key::new(1, 2, t), &[100_000]);
        pool.install(|| {
            let model = Weights(Param::new(draw(0)));
            let tape = Tape::new();
            let y = tape.param(&model.0).mul(&tape.constant(draw(1))).sum();
            let config =
                OptimizerConfig { clip: Some(1.0), ..OptimizerConfig::new(Rule::Adam, 0.1) };
            Optimizer::new(config).step(&model, &tape.backward_from(&y));
            model.0.value().to_vec().unwrap()
        })
    };
    let expected = steps(&one);
    assert!(steps(&two) == expected && steps(&four) == expected, "the optimiser");
}
