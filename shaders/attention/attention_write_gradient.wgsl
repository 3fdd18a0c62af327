// Gradients of a write with respect to the patch w and the attention parameters. CPU: ops/attention/cpu.rs. dcanvas
// [batch, height, width, channels], w, dw [batch, filters, filters, channels], attention, dattention
// [batch, 5], work and dwork as in lib/attention.wgsl; one workgroup per image.
@group(0) @binding(1) var<storage, read> dcanvas: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> attention: array<f32>;
@group(0) @binding(4) var<storage, read> work: array<f32>;
@group(0) @binding(5) var<storage, read_write> dw: array<f32>;
@group(0) @binding(6) var<storage, read_write> dattention: array<f32>;
@group(0) @binding(7) var<storage, read_write> dwork: array<f32>;

fn image_at(at: u32) -> vec2<f32> {
    return vec2<f32>(dcanvas[at], 0.0);
}

fn patch_at(image: u32, at: u32) -> f32 {
    return w[patch_start(image) + at];
}

fn t_of_patch(image: u32, at: u32) -> f32 {
    return gradient_at(image, t_start() + at);
}

fn t_of_image(image: u32, at: u32) -> f32 {
    return filter_at(image, t_start() + at);
}

fn keep_patch(at: u32, value: f32) {
    dw[at] = value;
}

@compute @workgroup_size(256)
fn attention_write_gradient(
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
        // The written image is linear in FY and in 1 / gamma, so dlog gamma = -<FY, dFY>.
        keep_gradient(image, d.parameters, -d.products.y);
    }
}
