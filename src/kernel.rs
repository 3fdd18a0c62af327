//! A kernel is a static that holds its CPU function, its reference, its shader, the workgroups that a launch
//! dispatches, and its cost.
//!
//! With statics instead of a trait per back end, the compiler checks the number of input and output tensors, and
//! tests and benchmarks can iterate over all kernels ([`crate::ops::kernels`]).

use crate::device::{Buffer, Launch};
#[cfg(feature = "gpu")]
use crate::gpu::Dispatch;
use crate::gpu::Program;
use crate::profile::Sum;
use crate::tensor::{Tensor, elements};

mod uniform;

pub use uniform::{Field, Numbers, Uniform};

/// Declares tile sizes that the host and the shader share: Rust constants, and `SIZES`, which sets the shader's
/// `override` constants of the same names.
macro_rules! tile_sizes {
    ($($(#[$meta:meta])* $name:ident = $value:literal;)+) => {
        $($(#[$meta])* const $name: usize = $value;)+

        const SIZES: &[(&str, u32)] = &[$((stringify!($name), $value)),+];
    };
}
pub(crate) use tile_sizes;

/// Concatenates the WGSL of a kernel: optional overrides, then files of `shaders/`, named by their paths without the
/// extension.
macro_rules! shader {
    ($overrides:expr; $($file:expr),+) => {
        $crate::gpu::Wgsl { overrides: $overrides, ..$crate::kernel::shader!($($file),+) }
    };
    ($($file:expr),+) => {
        // Left out where nothing reads it and downloads have to be small: on the CPU in a browser.
        $crate::gpu::Wgsl::new(match cfg!(all(target_family = "wasm", not(feature = "gpu"))) {
            true => "",
            false => concat!(
                $(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file, ".wgsl"))),+
            ),
        })
    };
}
pub(crate) use shader;

/// One dispatch of a kernel's shader.
pub struct Stage<P> {
    /// Entry point of the module.
    pub entry: &'static str,
    /// Workgroups in x, y, z.
    pub groups: [u32; 3],
    /// Parameters of this dispatch (usually the launch's own).
    pub params: P,
}

/// Arithmetic and memory traffic of one launch, for rooflines and for the limit at which the GPU recorder flushes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Floating-point operations, a fused multiply-add counted as two.
    pub flops: u64,
    /// Compulsory traffic: every byte that is read or written counts once, however often it is.
    pub bytes: u64,
    /// Loop iterations of one GPU invocation, all loops together.
    pub loop_iterations: u64,
}

/// Host code of a kernel (CPU function or reference): takes parameters, inputs, outputs.
pub type CpuFn<P, const I: usize, const O: usize> = fn(&P, [&[f32]; I], [&mut [f32]; O]);

/// A kernel with parameters `P` (`#[repr(C)]`, at most 256 bytes, laid out as the shader's uniform struct),
/// `I` inputs and `O` outputs. Kernels overwrite their outputs and never read the old contents, except when
/// they are launched by [`Kernel::update`].
pub struct Kernel<P: Uniform, const I: usize, const O: usize> {
    /// The WGSL module; its name is the kernel's.
    pub program: Program,
    /// The CPU function.
    pub cpu: CpuFn<P, I, O>,
    /// The reference implementation in plain loops: read it first; tests compare the others with it.
    pub reference: CpuFn<P, I, O>,
    /// Dispatches of one launch; empty if there is no work.
    pub stages: fn(&P) -> Vec<Stage<P>>,
    /// Cost of one launch.
    pub cost: fn(&P) -> Cost,
    /// The entry points that `stages` may name.
    pub entries: &'static [&'static str],
}

/// A kernel with its types erased, for lists.
pub trait AnyKernel: Sync {
    /// The shader.
    fn program(&self) -> &'static Program;
    /// The shader's entry points.
    fn entries(&self) -> &'static [&'static str];
    /// Size of the parameters in bytes.
    fn params_size(&self) -> usize;
    /// Fields of the parameters.
    fn fields(&self) -> &'static [Field];
}

impl<P: Uniform, const I: usize, const O: usize> AnyKernel for &'static Kernel<P, I, O> {
    fn program(&self) -> &'static Program {
        &self.program
    }

    fn entries(&self) -> &'static [&'static str] {
        self.entries
    }

    fn params_size(&self) -> usize {
        size_of::<P>()
    }

    fn fields(&self) -> &'static [Field] {
        P::FIELDS
    }
}

struct Call<'a, P: Uniform, const I: usize, const O: usize> {
    kernel: &'static Kernel<P, I, O>,
    params: P,
    inputs: [&'a Tensor; I],
    /// Shapes of new tensors; none of a launch in place, whose inputs have the same.
    shapes: &'a [&'a [usize]],
}

impl<P: Uniform, const I: usize, const O: usize> Call<'_, P, I, O> {
    fn call(&self, f: CpuFn<P, I, O>, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        let mut outputs = outputs.iter_mut();
        let outputs = std::array::from_fn(|_| outputs.next().expect("arity").host_mut());
        f(&self.params, std::array::from_fn(|i| inputs[i].host()), outputs);
    }
}

impl<P: Uniform, const I: usize, const O: usize> Launch for Call<'_, P, I, O> {
    fn on_cpu(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        self.call(self.kernel.cpu, inputs, outputs);
    }

    fn on_reference(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) {
        self.call(self.kernel.reference, inputs, outputs);
    }

    fn program(&self) -> &'static Program {
        &self.kernel.program
    }

    fn work(&self) -> Sum {
        let Cost { flops, bytes, .. } = (self.kernel.cost)(&self.params);
        let stages = (self.kernel.stages)(&self.params);
        let groups = |stage: &Stage<P>| stage.groups.iter().map(|&n| u64::from(n)).product::<u64>();
        let workgroups = stages.iter().map(groups).sum();
        Sum { calls: 1, dispatches: stages.len() as u64, workgroups, seconds: 0.0, flops, bytes }
    }

    fn shapes(&self) -> String {
        let inputs: Vec<&[usize]> = distinct(&self.inputs).map(Tensor::shape).collect();
        let all = [list(&inputs), list(self.shapes)];
        all.into_iter().filter(|list| !list.is_empty()).collect::<Vec<_>>().join(" -> ")
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self, record: &mut dyn FnMut(&[Dispatch])) {
        let stages = (self.kernel.stages)(&self.params);
        let loop_iterations = (self.kernel.cost)(&self.params).loop_iterations;
        let dispatches: Vec<Dispatch> = stages
            .iter()
            .map(|s| Dispatch {
                entry: s.entry,
                groups: s.groups,
                params: bytemuck::bytes_of(&s.params),
                loop_iterations,
            })
            .collect();
        record(&dispatches);
    }
}

impl<P: Uniform, const I: usize, const O: usize> Kernel<P, I, O> {
    /// Runs the kernel and returns new tensors of the given shapes, on the device of the first input.
    ///
    /// # Panics
    ///
    /// When the inputs are on different kinds of device, or an output has 2^32 elements or more.
    #[track_caller]
    pub fn launch(
        &'static self,
        params: P,
        inputs: [&Tensor; I],
        shapes: [&[usize]; O],
    ) -> [Tensor; O] {
        const { assert!(I > 0, "a kernel without inputs is launched by `launch_on`") };
        self.launch_on(&inputs[0].device().clone(), params, inputs, shapes)
    }

    /// Like [`Kernel::launch`], but on a given device, for kernels without inputs.
    #[track_caller]
    pub fn launch_on(
        &'static self,
        device: &crate::Device,
        params: P,
        inputs: [&Tensor; I],
        shapes: [&[usize]; O],
    ) -> [Tensor; O] {
        #[cfg(test)]
        {
            let groups = (self.stages)(&params).iter().map(|stage| stage.groups).collect();
            let stated = (self.cost)(&params).bytes;
            traffic::record(self.program.name, stated, groups, &inputs, &shapes);
        }
        let mut buffers = shapes.map(|s| device.alloc(elements(s)));
        let mut outputs: Vec<&mut Buffer> = buffers.iter_mut().collect();
        let call = Call { kernel: self, params, inputs, shapes: &shapes };
        device.run(&call, &inputs.map(Tensor::buffer), &mut outputs);
        let mut shapes = shapes.iter();
        buffers.map(|b| Tensor::from_buffer(device, b, shapes.next().expect("arity")))
    }

    /// Runs the kernel in place: it reads and writes `states`.
    ///
    /// # Panics
    ///
    /// When a state shares its memory with another tensor; [`unshare`](crate::ops::layout::unshare) copies it if so.
    #[track_caller]
    pub fn update(&'static self, params: P, inputs: [&Tensor; I], states: [&mut Tensor; O]) {
        let device = states[0].device().clone();
        let name = self.program.name;
        let mut outputs: [&mut Buffer; O] = states.map(|t| {
            t.buffer_mut().unwrap_or_else(|| panic!("{name}: a state's memory is shared"))
        });
        let call = Call { kernel: self, params, inputs, shapes: &[] };
        device.run(&call, &inputs.map(Tensor::buffer), &mut outputs);
    }
}

/// Inputs without repeats: an absent optional input is filled with another input's tensor.
fn distinct<'a>(inputs: &'a [&'a Tensor]) -> impl Iterator<Item = &'a Tensor> {
    let same = |a: &Tensor, b: &Tensor| std::ptr::eq(a.buffer(), b.buffer());
    let first = move |i: &usize| !inputs[..*i].iter().any(|before| same(before, inputs[*i]));
    (0..inputs.len()).filter(first).map(|i| inputs[i])
}

/// Shapes for a profile, such as `16x28x28, 1`, without those of absent outputs, which have no elements.
fn list(shapes: &[&[usize]]) -> String {
    let by = |shape: &&&[usize]| {
        let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
        if lengths.is_empty() { "1".into() } else { lengths.join("x") }
    };
    shapes
        .iter()
        .filter(|shape| elements(shape) > 0)
        .map(|shape| by(&shape))
        .collect::<Vec<String>>()
        .join(", ")
}

/// Invocations in a one-dimensional workgroup; all shaders use the same number.
pub const WORKGROUP: u32 = 256;

/// A two-dimensional grid of at least `groups` workgroups; one dimension is limited to 65,535. The shader
/// computes its index as `id.x + id.y * num_workgroups.x` and returns if that is out of range.
pub fn grid(groups: usize) -> [u32; 3] {
    let x = groups.min(65_535);
    let y = groups.div_ceil(x.max(1));
    // Spread evenly over the rows, so that fewer than `y` workgroups are idle.
    [groups.div_ceil(y.max(1)) as u32, y as u32, 1]
}

/// One dispatch with a workgroup for each of `n` rows or images.
pub fn workgroup_each<P: Copy>(entry: &'static str, n: usize, params: &P) -> Vec<Stage<P>> {
    if n == 0 {
        return Vec::new();
    }
    vec![Stage { entry, groups: grid(n), params: *params }]
}

/// One dispatch with an invocation for each of `n` elements.
pub fn elementwise<P: Copy>(entry: &'static str, n: usize, params: &P) -> Vec<Stage<P>> {
    workgroup_each(entry, n.div_ceil(WORKGROUP as usize), params)
}

/// Records, for tests, each launch's stated traffic, its workgroups and the size of its tensors.
#[cfg(test)]
pub(crate) mod traffic {
    use std::cell::RefCell;

    use crate::tensor::Tensor;

    /// A launch: the bytes that the kernel states, those of its tensors, the workgroups of its dispatches, and the
    /// number of elements that it writes.
    pub struct Launched {
        pub name: &'static str,
        pub stated: u64,
        pub tensors: u64,
        pub groups: Vec<[u32; 3]>,
        pub written: u64,
    }

    thread_local! {
        pub static LAUNCHES: RefCell<Vec<Launched>> = const { RefCell::new(Vec::new()) };
    }

    pub fn record(
        name: &'static str,
        stated: u64,
        groups: Vec<[u32; 3]>,
        inputs: &[&Tensor],
        shapes: &[&[usize]],
    ) {
        let read: usize = super::distinct(inputs).map(Tensor::len).sum();
        let written: usize = shapes.iter().map(|s| s.iter().product::<usize>()).sum();
        let tensors = 4 * (read + written) as u64;
        let launched = Launched { name, stated, tensors, groups, written: written as u64 };
        LAUNCHES.with(|l| l.borrow_mut().push(launched));
    }
}
