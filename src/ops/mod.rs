//! Differentiable operations. Each one is a folder:
//!
//! | file | content |
//! | --- | --- |
//! | `reference.rs` | the kernels as plain loops; read it first |
//! | `mod.rs` | the kernels' statics, the method of `Var`, the gradient rule, the cases |
//! | `params.rs` | the kernels' parameters |
//! | `cpu.rs` | the CPU functions |
//!
//! The shaders are in the folder of the same name under `shaders/`, in files named after the kernels.
//! [`unary`] and [`latent`] are the simplest operations, [`masked_conv`] is the largest.

pub mod attention;
mod axes;
pub mod binary;
pub mod categorical;
pub mod filterbank;
pub mod finite;
pub mod flatten;
pub mod fold;
pub mod latent;
pub mod layout;
pub mod likelihood;
pub mod lstm_cell;
pub mod lstm_scan;
pub mod mask;
pub mod masked_conv;
pub mod matmul;
pub mod optimizer;
pub mod pick;
pub mod random;
pub mod reduce;
pub mod sampling;
pub mod shared;
pub mod unary;

use crate::autograd::accumulate::ACCUMULATE;
use crate::autograd::case::Case;
use crate::kernel::AnyKernel;

/// All kernels; tests and the GPU's ahead-of-time compilation iterate over them.
pub fn kernels() -> Vec<Box<dyn AnyKernel>> {
    vec![
        Box::new(&ACCUMULATE),
        Box::new(&unary::UNARY),
        Box::new(&unary::UNARY_GRADIENT),
        Box::new(&binary::BINARY),
        Box::new(&reduce::REDUCE),
        Box::new(&layout::WINDOW),
        Box::new(&layout::CONCAT),
        Box::new(&layout::SPLIT),
        Box::new(&matmul::MATMUL),
        Box::new(shared::SharedGradient),
        Box::new(&likelihood::BERNOULLI),
        Box::new(&likelihood::BERNOULLI_GRADIENT),
        Box::new(&likelihood::GAUSSIAN),
        Box::new(&likelihood::GAUSSIAN_GRADIENT),
        Box::new(&likelihood::GAUSSIAN_KL),
        Box::new(&likelihood::GAUSSIAN_KL_GRADIENT),
        Box::new(&categorical::CATEGORICAL),
        Box::new(&categorical::CATEGORICAL_GRADIENT),
        Box::new(&mask::MASK),
        Box::new(&mask::MASK_GRADIENT),
        Box::new(&masked_conv::MASKED_CONV),
        Box::new(&masked_conv::MASKED_CONV_INPUT),
        Box::new(&masked_conv::MASKED_CONV_WEIGHT),
        Box::new(&masked_conv::MASKED_CONV_AT),
        Box::new(&lstm_scan::LSTM_SCAN),
        Box::new(&lstm_scan::LSTM_SCAN_GRADIENT),
        Box::new(&lstm_scan::BILSTM_SCAN),
        Box::new(&lstm_scan::BILSTM_SCAN_GRADIENT),
        Box::new(&lstm_scan::LSTM_AT),
        Box::new(&lstm_cell::LSTM_CELL),
        Box::new(&lstm_cell::LSTM_CELL_GRADIENT),
        Box::new(&latent::LATENT),
        Box::new(&latent::LATENT_GRADIENT),
        Box::new(&latent::LATENT_INPUT),
        Box::new(&latent::LATENT_INPUT_GRADIENT),
        Box::new(&filterbank::FILTERBANK),
        Box::new(&filterbank::FILTERBANK_GRADIENT),
        Box::new(&attention::ATTENTION_READ),
        Box::new(&attention::ATTENTION_READ_INPUT),
        Box::new(&attention::ATTENTION_READ_GRADIENT),
        Box::new(&attention::ATTENTION_WRITE),
        Box::new(&attention::ATTENTION_WRITE_GRADIENT),
        Box::new(&attention::ATTENTION_WRITE_HEADS),
        Box::new(&attention::ATTENTION_WRITE_HEADS_GRADIENT),
        Box::new(&fold::FOLD),
        Box::new(&fold::UNFOLD),
        Box::new(&pick::PICK),
        Box::new(&sampling::SAMPLE_PIXELS),
        Box::new(&random::RANDOM),
        Box::new(&optimizer::ONE_STATE),
        Box::new(&optimizer::ADAM),
        Box::new(&optimizer::AVERAGE),
        Box::new(&flatten::FLATTEN),
        Box::new(&finite::FINITE),
        Box::new(&finite::VERDICT),
    ]
}

/// All cases of all differentiable operations.
pub fn cases() -> Vec<Case> {
    let mut all = unary::cases();
    all.extend(binary::cases());
    all.extend(reduce::cases());
    all.extend(layout::cases());
    all.extend(matmul::cases());
    all.extend(likelihood::cases());
    all.extend(categorical::cases());
    all.extend(mask::cases());
    all.extend(masked_conv::cases());
    all.extend(lstm_scan::cases());
    all.extend(lstm_cell::cases());
    all.extend(shared::cases());
    all.extend(latent::cases());
    all.extend(filterbank::cases());
    all.extend(attention::cases());
    all.extend(fold::cases());
    all.extend(random::cases());
    all
}

#[cfg(test)]
mod large;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::autograd::{Tape, Var};
    use crate::kernel::traffic::{LAUNCHES, Launched};
    use crate::{Device, Tensor};

    /// Rooflines are computed from these numbers.
    #[test]
    fn kernels_state_the_bytes_of_their_tensors() {
        let device = Device::cpu();
        for case in cases() {
            let tape = Tape::new();
            let x = case.vars(&tape, &case.tensors(&device));
            let y = (case.call)(&x);
            let seeds: Vec<(&Var, Tensor)> = y.iter().zip(case.seeds(&y)).collect();
            tape.backward(&seeds);
        }
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for Launched { name, stated, tensors, .. } in LAUNCHES.take() {
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + stated, sum.1 + tensors);
        }
        assert!(sums.len() > 30, "{} kernels", sums.len());
        for (name, (stated, tensors)) in sums {
            let share = stated as f64 / tensors as f64;
            let right = match name {
                // A broadcast reads a number many times, and a slice leaves some out.
                "binary" | "window" => 0.9..=2.0,
                // It reads the noise of one glimpse only.
                "latent" | "latent_gradient" | "latent_input" | "latent_input_gradient" => {
                    0.7..=1.0
                }
                // Masked taps are read or written in one of the two layouts only.
                "mask" | "mask_gradient" => 0.8..=1.2,
                // x is read only if a ReLU precedes the convolution.
                "masked_conv_input" => 0.6..=1.0,
                _ => 0.95..=1.02,
            };
            assert!(
                right.contains(&share),
                "{name}: {stated} stated of {tensors} bytes: {share:.3}"
            );
        }
    }
}
