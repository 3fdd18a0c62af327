// Patches of x and, with two sources, of x - sigmoid(canvas). CPU: ops/attention/cpu.rs. x, canvas
// [batch, height, width, channels], attention [batch, 5], patches and work as in lib/attention.wgsl; one
// workgroup per image.
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> canvas: array<f32>;
@group(0) @binding(3) var<storage, read> attention: array<f32>;
@group(0) @binding(4) var<storage, read_write> patches: array<f32>;
@group(0) @binding(5) var<storage, read_write> work: array<f32>;

fn image_at(at: u32) -> vec2<f32> {
    if p.sources == 1u {
        return vec2<f32>(x[at], 0.0);
    }
    return vec2<f32>(x[at], x[at] - sigmoid(canvas[at]));
}

fn t_of_patch(image: u32, at: u32) -> f32 {
    return work[image * work_size() + t_start() + at];
}

fn keep(image: u32, at: u32, value: f32) {
    work[image * work_size() + at] = value;
}

fn keep_patch(at: u32, value: f32) {
    patches[at] = value;
}

@compute @workgroup_size(256)
fn attention_read(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    make_bank(image, lane);
    storageBarrier();
    make_t(image, lane, 1.0);
    storageBarrier();
    make_patch(image, lane, gamma_of(image));
}
