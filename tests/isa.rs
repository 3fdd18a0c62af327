//! Every instruction set that this processor supports gives the same values and gradients, up to rounding.
//!
//! A separate test program, since the choice of an instruction set applies to the whole process.

use pixelloom::autograd::case::{Case, distance};
use pixelloom::autograd::{Tape, Var};
use pixelloom::cpu::Isa;
use pixelloom::{Device, Tensor, ops};

/// The outputs, and the gradients of the inputs that have one.
fn run(case: &Case) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let cpu = pixelloom::cpu::Cpu::new();
    cpu.poison(true);
    let device = Device::Cpu(cpu);
    let tape = Tape::new();
    let x = case.vars(&tape, &case.tensors(&device));
    let y = (case.call)(&x);
    let host = |t: &Tensor| t.to_vec().unwrap();
    let values = y.iter().map(|y| host(y.value())).collect();
    let seeds: Vec<(&Var, Tensor)> = y.iter().zip(case.seeds(&y)).collect();
    let gradients = tape.backward(&seeds);
    (values, x.iter().filter_map(|x| gradients.of(x)).map(host).collect())
}

#[test]
fn all_instruction_sets_agree() {
    let isas = Isa::available();
    println!("instruction sets: {isas:?}");
    assert_eq!(Isa::current(), isas[0], "the default is not the fastest");
    let cases = ops::cases();
    let of = |isa: Isa| -> Vec<_> {
        isa.choose();
        assert_eq!(Isa::current(), isa, "the choice had no effect");
        cases.iter().map(run).collect()
    };
    let reference = of(Isa::Portable);
    for &isa in isas {
        let results = of(isa);
        // Each set adds in another order, so some bits must differ; otherwise the choice had no effect.
        assert_eq!(results == reference, isa == Isa::Portable, "{isa:?} and the portable kernels");
        for ((case, got), want) in cases.iter().zip(results).zip(&reference) {
            let pairs = [(&got.0, &want.0, case.tolerance), (&got.1, &want.1, 5e-5)];
            for (got, want, tolerance) in pairs {
                assert_eq!(got.len(), want.len());
                for (got, want) in got.iter().zip(want) {
                    let e = distance(got, want);
                    assert!(e <= tolerance, "{isa:?}: {} {}: {e}", case.op, case.label);
                }
            }
        }
    }
}
