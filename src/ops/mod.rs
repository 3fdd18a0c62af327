//! Differentiable operations: one stem a file, holding the kernel, the `Var` method and the gradient
//! rule. The same stem names the CPU functions in `cpu/` and the shaders in `shaders/`.

pub mod binary;
pub mod case;
pub mod categorical;
pub mod layout;
pub mod likelihood;
pub mod matmul;
pub mod optimizer;
pub mod random;
pub mod reduce;
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
        Box::new(&random::RANDOM),
        Box::new(&optimizer::ONE_STATE),
        Box::new(&optimizer::ADAM),
        Box::new(&optimizer::CLIP),
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
    all
}
