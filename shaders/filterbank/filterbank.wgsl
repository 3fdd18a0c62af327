// FX, FY and gamma. CPU: ops/filterbank/cpu.rs. attention [batch, 5], fx [batch, filters, width], fy
// [batch, filters, height], gamma [batch]; one workgroup per image.
struct Params { batch: u32, filters: u32, height: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> attention: array<f32>;
@group(0) @binding(2) var<storage, read_write> fx: array<f32>;
@group(0) @binding(3) var<storage, read_write> fy: array<f32>;
@group(0) @binding(4) var<storage, read_write> gamma: array<f32>;

fn keep(image: u32, at: u32, value: f32) {
    let size = p.filters * p.width;
    if at < size {
        fx[image * size + at] = value;
    } else {
        fy[image * p.filters * p.height + at - size] = value;
    }
}

@compute @workgroup_size(256)
fn filterbank(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    make_bank(image, lane);
    if lane == 0u {
        gamma[image] = gamma_of(image);
    }
}
