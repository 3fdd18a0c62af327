//! A new op outside the crate, softsign y = x / (1 + |x|): its kernels for CPU and GPU, its gradient rule and
//! its gradient check. Run it with `cargo run --release --example new_op`, and its test with `cargo test
//! --release --example new_op`.
//!
//! Gradient: dL/dx = dL/dy / (1 + |x|)^2. All tensors have the same shape, which may be any.

use pixelloom::autograd::Backward;
use pixelloom::autograd::case::{Case, Input};
use pixelloom::autograd::gradcheck::gradient_error;
use pixelloom::gpu::{Program, Wgsl};
use pixelloom::kernel::{Cost, Kernel, elementwise};
use pixelloom::{Device, Result, Tape, Tensor, Var};

// Binding 0 holds the kernel's parameter, here the number of elements; inputs and outputs follow. Each
// invocation computes one element. The grid has two dimensions because each is limited to 65,535 workgroups.
const FORWARD: &str = "
    @group(0) @binding(0) var<uniform> n: u32;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(256)
    fn softsign(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) g: vec3<u32>) {
        let i = id.x + id.y * g.x * 256u;
        if i < n { y[i] = x[i] / (1.0 + abs(x[i])); }
    }";
const GRADIENT: &str = "
    @group(0) @binding(0) var<uniform> n: u32;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read> dy: array<f32>;
    @group(0) @binding(3) var<storage, read_write> dx: array<f32>;
    @compute @workgroup_size(256)
    fn softsign_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) g: vec3<u32>) {
        let i = id.x + id.y * g.x * 256u;
        if i < n { let s = 1.0 + abs(x[i]); dx[i] = dy[i] / (s * s); }
    }";

/// y = x / (1 + |x|). The loop is simple enough to be the reference implementation as well.
fn forward(_: &u32, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x / (1.0 + x.abs()));
}

/// dx = dy / (1 + |x|)^2.
fn gradient(_: &u32, [x, dy]: [&[f32]; 2], [dx]: [&mut [f32]; 1]) {
    for i in 0..dx.len() {
        dx[i] = dy[i] / (1.0 + x[i].abs()).powi(2);
    }
}

static SOFTSIGN: Kernel<u32, 1, 1> = Kernel {
    program: Program { name: "softsign", source: Wgsl::new(FORWARD), inputs: 1, outputs: 1 },
    cpu: forward,
    reference: forward,
    stages: |n| elementwise("softsign", *n as usize, n),
    cost: |n| Cost { flops: 2 * u64::from(*n), bytes: 8 * u64::from(*n), loop_iterations: 0 },
    entries: &["softsign"],
};

static SOFTSIGN_GRADIENT: Kernel<u32, 2, 1> = Kernel {
    program: Program {
        name: "softsign_gradient",
        source: Wgsl::new(GRADIENT),
        inputs: 2,
        outputs: 1,
    },
    cpu: gradient,
    reference: gradient,
    stages: |n| elementwise("softsign_gradient", *n as usize, n),
    cost: |n| Cost { flops: 4 * u64::from(*n), bytes: 12 * u64::from(*n), loop_iterations: 0 },
    entries: &["softsign_gradient"],
};

/// The gradient rule, with the tensor that it needs: x.
struct Rule(Tensor);

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "softsign"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        let x = &self.0;
        let [dx] = SOFTSIGN_GRADIENT.launch(x.len() as u32, [x, &dy[0]], [x.shape()]);
        vec![Some(dx)]
    }
}

/// x / (1 + |x|), elementwise.
fn softsign<'t>(x: &Var<'t>) -> Var<'t> {
    let value = x.value();
    let [y] = SOFTSIGN.launch(value.len() as u32, [value], [value.shape()]);
    let [y] = x.tape().record(&[x], [y], || Box::new(Rule(value.clone())));
    y
}

/// The largest relative error of the rule compared with central differences; at most 1e-3 passes.
fn check(device: &Device) -> Result<f64> {
    // The second derivative jumps at 0, where central differences are inaccurate, so the inputs avoid it.
    let case = |x| Case::new("softsign", "", vec![x], |x| vec![softsign(&x[0])]);
    let sizes: [&[usize]; 3] = [&[1], &[5, 7], &[3, 257]];
    let errors = sizes.map(|shape| gradient_error(&case(Input::off_zero("x", shape)), device));
    errors.into_iter().try_fold(0.0, |worst: f64, error| Ok(worst.max(error?)))
}

fn main() -> Result<()> {
    let (device, why) = pixelloom::machine::choose("auto", 0, &mut |_, _| ())?;
    let tape = Tape::new();
    let x = tape.leaf(Tensor::new(&device, &[-3.0, 0.0, 1.0], &[3]));
    let y = softsign(&x);
    println!("softsign(-3, 0, 1) = {:?} on {} ({why})", y.value().to_vec()?, device.name());
    let gradients = tape.backward_from(&y.sum());
    println!("its derivative = {:?}", gradients.of(&x).map(Tensor::to_vec).transpose()?);
    println!("gradient check: relative error {:.1e}", check(&device)?);
    Ok(())
}

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_the_derivative_on_every_device() {
        for device in common::devices() {
            let error = check(&device).unwrap();
            assert!(error <= 1e-3, "relative error {error} on {}", device.name());
        }
        main().unwrap();
    }
}
