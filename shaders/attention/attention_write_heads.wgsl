// `attention_write.wgsl` for rows that hold the patch, the parameters of the write, and those of the next read. The last
// are copied to a tensor of their own, so no other launch has to split the rows.
// CPU: ops/attention/cpu.rs. attention [batch, row], next [batch, 5].
@group(0) @binding(1) var<storage, read> attention: array<f32>;
@group(0) @binding(2) var<storage, read> canvas: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> work: array<f32>;
@group(0) @binding(5) var<storage, read_write> next: array<f32>;

fn patch_at(image: u32, at: u32) -> f32 {
    return attention[patch_start(image) + at];
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
fn attention_write_heads(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    if lane < 5u {
        next[5u * image + lane] = attention[attention_start(image) + 5u + lane];
    }
    make_bank(image, lane);
    storageBarrier();
    make_t(image, lane, 1.0);
    storageBarrier();
    make_image(image, lane, 1.0 / gamma_of(image));
}
