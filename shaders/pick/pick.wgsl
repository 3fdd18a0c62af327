// Samples one value of a pixel of every image from its logits, in place. CPU: ops/pick/cpu.rs. logits [batch,
// pixels, channels levels] ([batch, pixels, channels] if there are two levels), u, x [batch, pixels, channels]; one
// invocation per image.
struct Params {
    batch: u32,
    pixels: u32,
    channels: u32,
    levels: u32,
    pixel: u32,
    channel: u32,
    mean: f32,
    std_dev: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

fn logit(at: u32) -> f32 {
    return logits[at];
}

@compute @workgroup_size(256)
fn pick(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let b = flat_index(id, groups);
    if b >= p.batch {
        return;
    }
    let at = (b * p.pixels + p.pixel) * p.channels + p.channel;
    let each = select(p.levels, 1u, p.levels == 2u);
    x[at] = drawn(at * each, u[at]);
}
