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

// The first level at which the cumulative probability exceeds u; NaN if the logits define no distribution.
fn first_above(first: u32, u: f32) -> f32 {
    var largest = logits[first];
    for (var i = 1u; i < p.levels; i++) {
        largest = larger(largest, logits[first + i]);
    }
    var total = 0.0;
    for (var i = 0u; i < p.levels; i++) {
        total += exp_of(logits[first + i] - largest);
    }
    let threshold = u * total;
    var sum = 0.0;
    var level = p.levels - 1u;
    for (var i = 0u; i < p.levels; i++) {
        sum += exp_of(logits[first + i] - largest);
        if sum > threshold {
            level = i;
            break;
        }
    }
    return select(f32(level), total, is_nan(total));
}

@compute @workgroup_size(256)
fn pick(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let b = flat_index(id, groups);
    if b >= p.batch {
        return;
    }
    let at = (b * p.pixels + p.pixel) * p.channels + p.channel;
    var level = 0.0;
    if p.levels == 2u {
        level = select(select(0.0, 1.0, u[at] < sigmoid(logits[at])), logits[at], is_nan(logits[at]));
    } else {
        level = first_above(at * p.levels, u[at]);
    }
    x[at] = (level / f32(p.levels - 1u) - p.mean) / p.std_dev;
}
