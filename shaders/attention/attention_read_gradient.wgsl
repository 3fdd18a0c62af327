// Gradients of a read with respect to the attention parameters, and to the canvas (two sources) or x (one source).
// CPU: ops/attention/cpu.rs. x, canvas, dimage [batch, height, width, channels], attention, dattention
// [batch, 5], dpatches, work and dwork as in lib/attention.wgsl; one workgroup per image.
@group(0) @binding(1) var<storage, read> dpatches: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> canvas: array<f32>;
@group(0) @binding(4) var<storage, read> attention: array<f32>;
@group(0) @binding(5) var<storage, read> work: array<f32>;
@group(0) @binding(6) var<storage, read_write> dattention: array<f32>;
@group(0) @binding(7) var<storage, read_write> dimage: array<f32>;
@group(0) @binding(8) var<storage, read_write> dwork: array<f32>;

fn image_at(at: u32) -> vec2<f32> {
    if p.sources == 1u {
        return vec2<f32>(x[at], 0.0);
    }
    return vec2<f32>(x[at], x[at] - sigmoid(canvas[at]));
}

fn patch_at(image: u32, at: u32) -> f32 {
    return dpatches[patch_start(image) + at];
}

fn t_of_patch(image: u32, at: u32) -> f32 {
    return filter_at(image, t_start() + at);
}

fn t_of_image(image: u32, at: u32) -> f32 {
    return gradient_at(image, t_start() + at);
}

// With two sources, the gradient passes through x - sigmoid(canvas).
fn keep_image(at: u32, value: f32) {
    var d = value;
    if p.sources == 2u {
        let y = sigmoid(canvas[at]);
        d = value * y * (y - 1.0);
    }
    if p.accumulate != 0u {
        d += dimage[at];
    }
    dimage[at] = d;
}

@compute @workgroup_size(256)
fn attention_read_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    let gamma = gamma_of(image);
    make_t(image, lane, gamma);
    make_dfx(image, lane, gamma);
    storageBarrier();
    make_dfy(image, lane, 1.0);
    make_image(image, lane, 1.0);
    storageBarrier();
    let d = gradient_of_grid(image, lane);
    if lane == 0u {
        // The patches are linear in FX and in gamma, so dlog gamma = <FX, dFX>.
        keep_gradient(image, d.parameters, d.products.x);
    }
}
