// `attention_read.wgsl` with two sources, whose patches are the first part of an LSTM's input: rows [patches, h, state].
// The other parts are copied, so no other launch has to concatenate them. CPU: ops/attention/cpu.rs. h and state
// [batch, (row - patches) / 2], input [batch, row].
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> canvas: array<f32>;
@group(0) @binding(3) var<storage, read> attention: array<f32>;
@group(0) @binding(4) var<storage, read> h: array<f32>;
@group(0) @binding(5) var<storage, read> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> input: array<f32>;
@group(0) @binding(7) var<storage, read_write> work: array<f32>;

fn image_at(at: u32) -> vec2<f32> {
    return vec2<f32>(x[at], x[at] - sigmoid(canvas[at]));
}

fn t_of_patch(image: u32, at: u32) -> f32 {
    return work[image * work_size() + t_start() + at];
}

fn keep(image: u32, at: u32, value: f32) {
    work[image * work_size() + at] = value;
}

fn keep_patch(at: u32, value: f32) {
    input[at] = value;
}

@compute @workgroup_size(256)
fn attention_read_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    let units = (p.row - patch_size()) / 2u;
    let beside = patch_start(image) + patch_size();
    for (var i = lane; i < units; i += 256u) {
        input[beside + i] = h[image * units + i];
        input[beside + units + i] = state[image * units + i];
    }
    make_bank(image, lane);
    storageBarrier();
    make_t(image, lane, 1.0);
    storageBarrier();
    make_patch(image, lane, gamma_of(image));
}
