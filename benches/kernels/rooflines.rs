//! Every kernel as it is launched in the workloads' steps, against what the machine allows.

use std::time::Instant;

use pixelloom::autograd::case::Case;
use pixelloom::bench::{Machine, probe, roofline, sampling, workloads};
use pixelloom::nn::{OptimizerConfig, TrainState};
use pixelloom::ops::optimizer::Rule;
use pixelloom::profile::Profile;
use pixelloom::{Device, Param, Tape, Tensor, ops};

/// Times each case is run: small launches, so their times are mostly of the launch.
const REPEATS: usize = 20;

/// Measures a device and prints its tables. Workloads whose name begins with `only`, each for `seconds`
/// at least and for one step.
pub fn measure(device: &Device, only: &str, seconds: f64) -> (Machine, Profile) {
    let machine = Machine::measure(device).expect("the device works");
    let latency = probe::latency(device).expect("the device works");
    println!("\n{machine}.\n");
    println!(
        "A launch that has nothing to do: {:.2} us in a row, {:.2} us alone and waited for.\n",
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
    println!("In the workloads' steps:\n\n{}", roofline::table(&used, &machine));
    let mut others = small(device);
    others.kernels.retain(|name, _| !used.kernels.contains_key(name));
    println!("In small launches, as no workload asked for uses them:\n");
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

/// Runs `f` profiled. An adapter without timestamps cannot be measured by kernel: that ends the program.
fn profiled(device: &Device, profile: &mut Profile, f: impl FnOnce()) {
    if let Err(error) = device.profiled(profile, f) {
        eprintln!("error: {error}");
        std::process::exit(error.exit_code());
    }
}

/// The cases of all ops, forwards and backwards, and optimisers with clipping and averages.
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

/// A model of one parameter.
struct One(Param);

impl pixelloom::nn::Module for One {
    fn visit<'a>(&'a self, _: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        f("w", &self.0);
    }
}
