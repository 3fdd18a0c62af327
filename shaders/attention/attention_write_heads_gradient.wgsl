// `attention_write_gradient.wgsl` for the rows of `attention_write_heads.wgsl`: the gradient of whole rows. That of the
// next read's parameters, dnext [batch, 5], is copied to its place. CPU: ops/attention/cpu.rs. attention, dattention [batch, row].
@group(0) @binding(1) var<storage, read> dcanvas: array<f32>;
@group(0) @binding(2) var<storage, read> attention: array<f32>;
@group(0) @binding(3) var<storage, read> work: array<f32>;
@group(0) @binding(4) var<storage, read> dnext: array<f32>;
@group(0) @binding(5) var<storage, read_write> dattention: array<f32>;
@group(0) @binding(6) var<storage, read_write> dwork: array<f32>;

fn image_at(at: u32) -> vec2<f32> {
    return vec2<f32>(dcanvas[at], 0.0);
}

fn patch_at(image: u32, at: u32) -> f32 {
    return attention[patch_start(image) + at];
}

fn t_of_patch(image: u32, at: u32) -> f32 {
    return gradient_at(image, t_start() + at);
}

fn t_of_image(image: u32, at: u32) -> f32 {
    return filter_at(image, t_start() + at);
}

fn keep_patch(at: u32, value: f32) {
    dattention[at] = value;
}

@compute @workgroup_size(256)
fn attention_write_heads_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    let inverse = 1.0 / gamma_of(image);
    make_t(image, lane, inverse);
    make_dfy(image, lane, inverse);
    storageBarrier();
    make_patch(image, lane, 1.0);
    make_dfx(image, lane, 1.0);
    storageBarrier();
    let d = gradient_of_grid(image, lane);
    if lane == 0u {
        // The written image is linear in FY and in 1 / gamma.
        keep_gradient(image, d.parameters, -d.products.y);
    }
    if lane < 5u {
        dattention[attention_start(image) + 5u + lane] = dnext[5u * image + lane];
    }
}
