//! Records dispatches into one encoder with one open compute pass, and submits it when it is full.
//!
//! Opening and submitting a pass costs as much as many small kernels, so dispatches are batched. Their parameters are
//! in one uniform buffer with a slot for each dispatch. It is written right before its encoder is submitted; the queue
//! works in order, so earlier submissions have read their parameters by then.

use super::bindings::Bindings;
use super::context::{Gpu, Shared, lock, may_block};
use super::pace::{self, Pace, Sent};
use super::pipelines::{PARAMS_BYTES, Prepared};
use super::pool::GpuBuffer;
use super::profile::Profiler;
use super::program::{Dispatch, Program};
use crate::Result;
use std::collections::VecDeque;
use std::sync::Arc;

/// Largest number of dispatches in a submission.
pub(super) const SLOTS: usize = 64;
/// Submissions that may be in the queue while the next one is recorded.
const IN_FLIGHT: usize = 2;
/// Limit below which llvmpipe's loops are correct: after 65,535 iterations in total it silently leaves all loops of an
/// invocation.
const LLVMPIPE_ITERATIONS: u64 = 60_000;
/// Largest number of workgroups in one dimension, on any GPU.
const GROUPS: u32 = 65_535;

pub(super) struct Recorder {
    open: Option<Open>,
    /// The uniform buffer: `SLOTS` slots of `PARAMS_BYTES`.
    pub params: wgpu::Buffer,
    /// Contents of the slots that the open encoder uses.
    slots: Vec<u8>,
    /// Work of the open encoder, in workgroups times loop iterations.
    work: u64,
    pace: Pace,
    in_flight: VecDeque<(wgpu::SubmissionIndex, Sent)>,
    pub bindings: Bindings,
    pub profiler: Option<Profiler>,
    pub dispatches: u64,
    pub submissions: u64,
}

/// The pass locks its encoder, so it must be dropped first, and is therefore declared first.
struct Open {
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: wgpu::CommandEncoder,
}

impl Recorder {
    pub fn new(device: &wgpu::Device) -> Recorder {
        Recorder {
            open: None,
            params: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("params"),
                size: SLOTS as u64 * PARAMS_BYTES,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
            slots: Vec::with_capacity(SLOTS * PARAMS_BYTES as usize),
            work: 0,
            pace: Pace::default(),
            in_flight: VecDeque::new(),
            bindings: Bindings::default(),
            profiler: None,
            dispatches: 0,
            submissions: 0,
        }
    }

    fn dispatch(
        &mut self,
        shared: &Shared,
        program: &Program,
        prepared: &Prepared,
        bindings: &wgpu::BindGroup,
        dispatch: &Dispatch,
        launch: Option<usize>,
    ) {
        let Open { pass, encoder } = self.open.get_or_insert_with(|| Open {
            pass: None,
            encoder: shared.device.create_command_encoder(&Default::default()),
        });
        let open_pass = pass.get_or_insert_with(|| {
            let profiler = self.profiler.as_mut();
            let timestamps = profiler.map(|p| p.next(program.name, dispatch.entry, launch));
            let descriptor =
                wgpu::ComputePassDescriptor { label: None, timestamp_writes: timestamps };
            encoder.begin_compute_pass(&descriptor).forget_lifetime()
        });
        let slot = self.slots.len();
        self.slots.extend_from_slice(dispatch.params);
        self.slots.resize(slot + PARAMS_BYTES as usize, 0);
        let [x, y, z] = dispatch.groups;
        open_pass.set_pipeline(&prepared.pipeline);
        open_pass.set_bind_group(0, bindings, &[slot as u32]);
        open_pass.dispatch_workgroups(x, y, z);
        if self.profiler.is_some() {
            *pass = None;
        }
        self.dispatches += 1;
        let groups = u64::from(x) * u64::from(y) * u64::from(z);
        let work = groups.saturating_mul(dispatch.loop_iterations.max(1));
        self.work = self.work.saturating_add(work);
        if slot / PARAMS_BYTES as usize + 1 == SLOTS || self.work >= self.pace.budget() {
            self.submit(shared, |_| ());
        }
    }

    /// Ends the open pass, calls `finish` to add commands, submits, and waits if too many submissions are in flight.
    fn submit(
        &mut self,
        shared: &Shared,
        finish: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::SubmissionIndex {
        let mut encoder = match self.open.take() {
            Some(Open { pass, encoder }) => {
                drop(pass);
                encoder
            }
            None => shared.device.create_command_encoder(&Default::default()),
        };
        finish(&mut encoder);
        if let Some(profiler) = &self.profiler {
            profiler.resolve(&mut encoder);
        }
        let commands = encoder.finish();
        if !self.slots.is_empty() {
            shared.queue.write_buffer(&self.params, 0, &self.slots);
        }
        if self.in_flight.len() == IN_FLIGHT {
            let (oldest, sent) = self.in_flight.pop_front().expect("it is full");
            let waited = pace::now();
            shared.wait_for(Some(oldest));
            self.pace.learn(sent, waited, pace::now());
        }
        self.bindings.forget(&lock(&shared.pool).take_forgotten());
        let submission = shared.queue.submit([commands]);
        if let Some(profiler) = &mut self.profiler {
            profiler.collect(shared, &submission);
        }
        self.in_flight.push_back((submission.clone(), Sent::now(self.work)));
        self.slots.clear();
        self.work = 0;
        self.submissions += 1;
        submission
    }
}

impl Gpu {
    /// Records dispatches of one program, in order, on the same buffers. It does not return errors: the next
    /// [`download`](Gpu::download), [`flush`](Gpu::flush) or [`wait`](Gpu::wait) returns the first one.
    ///
    /// # Panics
    ///
    /// If the number of buffers does not match the program, an output is bound a second time, the parameters exceed
    /// 256 bytes, or a dimension exceeds 65,535 workgroups.
    pub fn record(
        &self,
        program: &'static Program,
        dispatches: &[Dispatch],
        inputs: &[&GpuBuffer],
        outputs: &[&GpuBuffer],
    ) {
        self.record_as(None, program, dispatches, inputs, outputs);
    }

    /// As [`Gpu::record`]; a profile has the dispatches' times under the number `launch`.
    pub(crate) fn record_as(
        &self,
        launch: Option<usize>,
        program: &'static Program,
        dispatches: &[Dispatch],
        inputs: &[&GpuBuffer],
        outputs: &[&GpuBuffer],
    ) {
        check(program, dispatches, inputs, outputs);
        let shared = &self.0;
        let mut bindings = None;
        for dispatch in dispatches {
            if dispatch.groups.contains(&0) || shared.failure.is_set() {
                continue;
            }
            if let Err(why) = shared.check_loops(program, dispatch) {
                shared.failure.set(why);
                continue;
            }
            let prepared = match shared.prepare(program, dispatch.entry) {
                Ok(prepared) => prepared,
                Err(why) => {
                    shared.failure.set(why);
                    continue;
                }
            };
            let mut recorder = lock(&shared.recorder);
            let bindings = bindings.get_or_insert_with(|| {
                let Recorder { bindings, params, .. } = &mut *recorder;
                let buffers: Vec<_> = inputs.iter().chain(outputs).copied().collect();
                bindings
                    .get(program, &buffers, || shared.bind(program, &prepared, params, &buffers))
            });
            recorder.dispatch(shared, program, &prepared, bindings, dispatch, launch);
        }
    }

    /// Submits the recorded commands without waiting for them.
    ///
    /// Errors: [`Error::Device`](crate::Error::Device) with the first failure since [`Gpu::open`].
    pub fn flush(&self) -> Result<()> {
        self.0.submit();
        self.0.failure.check()
    }

    /// Submits the recorded commands and waits until the device has finished. Errors as [`Gpu::flush`]; in a browser it
    /// always fails.
    pub fn wait(&self) -> Result<()> {
        may_block()?;
        self.0.submit();
        self.0.wait_for(None);
        self.0.failure.check()
    }
}

impl Shared {
    /// Submits the recorded commands, if there are any.
    pub fn submit(&self) {
        let mut recorder = lock(&self.recorder);
        if recorder.open.is_some() {
            recorder.submit(self, |_| ());
        }
    }

    /// Submits the recorded commands together with those that `finish` adds.
    pub fn submit_with(
        &self,
        finish: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::SubmissionIndex {
        lock(&self.recorder).submit(self, finish)
    }

    fn check_loops(
        &self,
        program: &Program,
        dispatch: &Dispatch,
    ) -> std::result::Result<(), String> {
        let adapter = &self.summary.name;
        if adapter.contains("llvmpipe") && dispatch.loop_iterations > LLVMPIPE_ITERATIONS {
            return Err(format!(
                "{adapter} cannot run {}/{}: it takes {} loop iterations per invocation, and this driver \
                 gives wrong results above {LLVMPIPE_ITERATIONS}; use --device cpu or a GPU",
                program.name, dispatch.entry, dispatch.loop_iterations
            ));
        }
        Ok(())
    }

    fn bind(
        &self,
        program: &Program,
        prepared: &Arc<Prepared>,
        params: &wgpu::Buffer,
        buffers: &[&GpuBuffer],
    ) -> wgpu::BindGroup {
        let storage = buffers.iter().map(|b| (&b.buffer, b.offset, b.binding_bytes()));
        let entries: Vec<_> = (0..)
            .zip(std::iter::once((params, 0, PARAMS_BYTES)).chain(storage))
            .map(|(binding, (buffer, offset, bytes))| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset,
                    size: wgpu::BufferSize::new(bytes),
                }),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(program.name),
            layout: &prepared.layout,
            entries: &entries,
        })
    }
}

/// Panics on mistakes in the caller's code.
fn check(
    program: &Program,
    dispatches: &[Dispatch],
    inputs: &[&GpuBuffer],
    outputs: &[&GpuBuffer],
) {
    let name = program.name;
    assert!(
        inputs.len() == program.inputs && outputs.len() == program.outputs,
        "GPU program {name} takes {} inputs and {} outputs, not {} and {}",
        program.inputs,
        program.outputs,
        inputs.len(),
        outputs.len()
    );
    for (i, output) in outputs.iter().enumerate() {
        let others = inputs.iter().chain(&outputs[..i]);
        assert!(
            others.clone().all(|other| other.id != output.id),
            "GPU program {name}: output {i} is also bound as an input or another output"
        );
    }
    for dispatch in dispatches {
        let entry = dispatch.entry;
        assert!(
            dispatch.params.len() as u64 <= PARAMS_BYTES,
            "GPU kernel {name}/{entry}: {} bytes of parameters, at most {PARAMS_BYTES} fit",
            dispatch.params.len()
        );
        assert!(
            dispatch.groups.iter().all(|&n| n <= GROUPS),
            "GPU kernel {name}/{entry}: {:?} workgroups, but a dimension has at most {GROUPS}; use two \
             dimensions",
            dispatch.groups
        );
    }
}
