//! Compares every kernel of this build with its reference implementation, as `tests/engine/reference.rs` does natively.

use pixelloom::autograd::case::{Case, distance};
use pixelloom::{Device, Tape, ops};

use super::Answer;

/// Outputs and gradients of a case.
fn results(case: &Case, device: &Device) -> Vec<(f32, Vec<f32>)> {
    let tape = Tape::new();
    let x = case.vars(&tape, &case.tensors(device));
    let y = (case.call)(&x);
    let seeds = case.seeds(&y);
    let pairs: Vec<_> = y.iter().zip(seeds).collect();
    let numbers = |t: &pixelloom::Tensor| t.to_vec().expect("on the CPU");
    let mut all: Vec<_> = y.iter().map(|y| (1.0, numbers(y.value()))).collect();
    let gradients = tape.backward(&pairs);
    for (x, _) in x.iter().zip(&case.inputs).filter(|(_, input)| input.differentiable) {
        // The tolerance of gradients is five times that of values.
        all.extend(gradients.of(x).map(|dx| (5.0, numbers(dx))));
    }
    all
}

/// Returns \[0, the number of cases\], or an error that lists the cases that differ.
pub fn kernels() -> Answer<Vec<f32>> {
    let (cpu, reference) = (Device::cpu(), Device::reference());
    let cases = ops::cases();
    let differs = |case: &&Case| {
        let pairs = results(case, &cpu).into_iter().zip(results(case, &reference));
        pairs.into_iter().any(|((factor, found), (_, exact))| {
            !(distance(&found, &exact) <= factor * case.tolerance)
        })
    };
    let wrong: Vec<String> =
        cases.iter().filter(differs).map(|case| format!("{} {}", case.op, case.label)).collect();
    match wrong.is_empty() {
        true => Ok(vec![0.0, cases.len() as f32]),
        false => Err(format!("differ from the reference: {}", wrong.join(", "))),
    }
}
