//! Every kernel, as launched in steps of the workloads, compared with the roofline of the machine.

use std::time::Instant;

use pixelloom::autograd::case::Case;
use pixelloom::bench::{Machine, probe, roofline, sampling, workloads};
use pixelloom::nn::{OptimizerConfig, TrainState};
use pixelloom::ops::optimizer::Rule;
use pixelloom::profile::Profile;
use pixelloom::{Device, Param, Tape, Tensor, ops};

/// Number of runs per test case. The launches are small, so most of their time is launch overhead.
const REPEATS: usize = 20;

/// Measures a device and prints its tables: the workloads whose name begins with `only`, each for at least
/// `seconds` and at least one step.
pub fn measure(device: &Device, only: &str, seconds: f64) -> (Machine, Profile) {
    let machine = Machine::measure(device).expect("the device works");
    let latency = probe::latency(device).expect("the device works");
    println!("\n{machine}.\n");
    println!(
        "Launch of an empty kernel: {:.2} us back to back, {:.2} us for a single launch including the wait.\n",
        1e6 * latency.in_a_row,
        1e6 * latency.alone
    );
    let mut used = Profile::default();
    let draws = sampling();
    for workload in workloads().iter().chain(&draws).filter(|w| w.is(only)) {
        eprintln!("{} {}", workload.name, workload.task.name());
        let mut ready = workload.build(device);
        ready.run(0..1).expect("the device works");
        let (begin, mut number) = (Instant::now(), 1);
        while number == 1 || begin.elapsed().as_secs_f64() < seconds {
            profiled(device, &mut used, || ready.run(number..number + 1).expect("it works"));
            number += 1;
        }
    }
    println!("Kernels in steps of the workloads:\n\n{}", roofline::table(&used, &machine));
    let mut others = small(device);
    others.kernels.retain(|name, _| !used.kernels.contains_key(name));
    println!("Kernels that no workload uses, measured on the small test cases:\n");
    println!("{}", roofline::table(&others, &machine));
    let known = ops::kernels();
    let names = known.iter().map(|k| k.program().name);
    let missing: Vec<_> = names
        .filter(|n| !used.kernels.contains_key(n) && !others.kernels.contains_key(n))
        .collect();
    if !missing.is_empty() {
        println!("Not launched: {}.", missing.join(", "));
    }
    (machine, used)
}

/// Runs `f` with profiling. Exits on an adapter without timestamps, which cannot time single kernels.
fn profiled(device: &Device, profile: &mut Profile, f: impl FnOnce()) {
    if let Err(error) = device.profiled(profile, f) {
        eprintln!("error: {error}");
        std::process::exit(error.exit_code());
    }
}

/// Profiles the test cases of all ops, forward and backward, and the optimisers with clipping and averaging.
fn small(device: &Device) -> Profile {
    let mut profile = Profile::default();
    for case in ops::cases() {
        let tensors = case.tensors(device);
        run(&case, &tensors);
        profiled(device, &mut profile, || (0..REPEATS).for_each(|_| run(&case, &tensors)));
    }
    for rule in [Rule::Sgd, Rule::Adagrad, Rule::RmsProp, Rule::Adam] {
        let model = One(Param::new(Tensor::full(device, 1.0, &[1 << 16])));
        let plain = OptimizerConfig::new(rule, 1e-3);
        let config = OptimizerConfig { clip: Some(1.0), average: Some(0.9), ..plain };
        let mut state = TrainState::new(config);
        profiled(device, &mut profile, || {
            for _ in 0..REPEATS {
                let tape = Tape::new();
                let w = tape.param(&model.0);
                let loss = w.mul(&w).sum();
                state.update(&model, loss.value(), &tape.backward_from(&loss));
            }
        });
    }
    profile
}

fn run(case: &Case, tensors: &[Tensor]) {
    let tape = Tape::new();
    let y = (case.call)(&case.vars(&tape, tensors));
    let seeds: Vec<_> = y.iter().zip(case.seeds(&y)).collect();
    tape.backward(&seeds);
}

/// A model with one parameter.
struct One(Param);

impl pixelloom::nn::Module for One {
    fn visit<'a>(&'a self, _: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        f("w", &self.0);
    }
}
