//! Noise on the device: uniform on \[0, 1) and standard normal, a pure function of a [`Key`].

use bytemuck::{Pod, Zeroable};

use super::binary::{self, Operation};
use crate::cpu;
use crate::device::Device;
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise};
use crate::rng::Key;
use crate::tensor::Tensor;

/// What is drawn; the numbers are the shader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Distribution {
    /// Uniform on \[0, 1).
    Uniform = 0,
    /// Standard normal.
    Normal = 1,
}

/// The key in words, and the number of elements.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Params {
    n: u32,
    distribution: u32,
    seed_low: u32,
    seed_high: u32,
    stream: u32,
    step: u32,
}

impl Params {
    pub(crate) fn key(&self) -> Key {
        let seed = u64::from(self.seed_low) | u64::from(self.seed_high) << 32;
        Key::new(seed, self.stream, self.step)
    }

    pub(crate) fn distribution(&self) -> Distribution {
        [Distribution::Uniform, Distribution::Normal][self.distribution as usize]
    }
}

/// One invocation draws a block of four numbers.
pub static RANDOM: Kernel<Params, 0, 1> = Kernel {
    program: Program {
        name: "random",
        source: concat!(
            include_str!("../../shaders/lib/index.wgsl"),
            include_str!("../../shaders/lib/math.wgsl"),
            include_str!("../../shaders/random.wgsl")
        ),
        inputs: 0,
        outputs: 1,
    },
    cpu: cpu::random::fill,
    stages: |p| elementwise("random", (p.n as usize).div_ceil(4), p),
    cost: |p| Cost { flops: 30 * u64::from(p.n), bytes: 4 * u64::from(p.n), loop_iterations: 0 },
    entries: &["random"],
};

fn draw(device: &Device, key: Key, shape: &[usize], distribution: Distribution) -> Tensor {
    let params = Params {
        n: shape.iter().product::<usize>() as u32,
        distribution: distribution as u32,
        seed_low: key.seed as u32,
        seed_high: (key.seed >> 32) as u32,
        stream: key.stream,
        step: key.step,
    };
    let [y] = RANDOM.launch_on(device, params, [], [shape]);
    y
}

/// Uniform numbers on \[0, 1).
pub fn uniform(device: &Device, key: Key, shape: &[usize]) -> Tensor {
    draw(device, key, shape, Distribution::Uniform)
}

/// Standard normal numbers.
pub fn normal(device: &Device, key: Key, shape: &[usize]) -> Tensor {
    draw(device, key, shape, Distribution::Normal)
}

/// 1 where u < p, else 0: Bernoulli draws from uniform numbers `u` and probabilities `p` of one shape.
pub fn below(u: &Tensor, p: &Tensor) -> Tensor {
    binary::apply(Operation::Less, u, p)
}
