// The canvas plus the written patch w. CPU: ops/attention/cpu.rs. w [batch, filters, filters, channels],
// attention [batch, 5], canvas, y [batch, height, width, channels], work as in lib/attention.wgsl; one
// workgroup per image.
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> attention: array<f32>;
@group(0) @binding(3) var<storage, read> canvas: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> work: array<f32>;

fn patch_at(image: u32, at: u32) -> f32 {
    return w[patch_start(image) + at];
}

fn t_of_image(image: u32, at: u32) -> f32 {
    return work[image * work_size() + t_start() + at];
}

fn keep(image: u32, at: u32, value: f32) {
    work[image * work_size() + at] = value;
}

fn keep_image(at: u32, value: f32) {
    y[at] = canvas[at] + value;
}

@compute @workgroup_size(256)
fn attention_write(
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
    make_image(image, lane, 1.0 / gamma_of(image));
}
