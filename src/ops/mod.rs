//! Differentiable operations: one stem a file, holding the kernel, the `Var` method and the gradient
//! rule. The same stem names the CPU functions in `cpu/`; shaders carry their kernels' names.

pub mod attention;
pub mod binary;
pub mod case;
pub mod categorical;
pub mod filterbank;
pub mod finite;
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
pub mod shared;
pub mod unary;

use crate::autograd::accumulate::ACCUMULATE;
use crate::kernel::AnyKernel;

/// Every kernel.
pub fn kernels() -> Vec<Box<dyn AnyKernel>> {
    vec![
        Box::new(&ACCUMULATE),
        Box::new(&unary::UNARY),
        Box::new(&unary::UNARY_GRADIENT),
        Box::new(&binary::BINARY),
        Box::new(&reduce::REDUCE),
        Box::new(&layout::WINDOW),
        Box::new(&layout::CONCAT),
        Box::new(&matmul::MATMUL),
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
        Box::new(&lstm_scan::LSTM_AT),
        Box::new(&lstm_cell::LSTM_CELL),
        Box::new(&lstm_cell::LSTM_CELL_GRADIENT),
        Box::new(&latent::LATENT),
        Box::new(&latent::LATENT_GRADIENT),
        Box::new(&filterbank::FILTERBANK),
        Box::new(&filterbank::FILTERBANK_GRADIENT),
        Box::new(&attention::ATTENTION_READ),
        Box::new(&attention::ATTENTION_READ_GRADIENT),
        Box::new(&attention::ATTENTION_WRITE),
        Box::new(&attention::ATTENTION_WRITE_GRADIENT),
        Box::new(&fold::FOLD),
        Box::new(&fold::UNFOLD),
        Box::new(&pick::PICK),
        Box::new(&random::RANDOM),
        Box::new(&optimizer::ONE_STATE),
        Box::new(&optimizer::ADAM),
        Box::new(&optimizer::AVERAGE),
        Box::new(&finite::FINITE),
        Box::new(&finite::VERDICT),
    ]
}

/// Every case of every differentiable operation.
pub fn cases() -> Vec<case::Case> {
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
