// y = act(conv(x) + bias) + residual. CPU: cpu/masked_conv.rs. One product [pixels, taps inputs]
// [taps inputs, outputs], whose left side is read from x where it lies: a tile a workgroup.
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

// A channel of a pixel, numbered as `seen` does.
fn x_of(pixel: i32, channel: u32) -> f32 {
    if pixel < 0 {
        return 0.0;
    }
    return shown(x[u32(pixel) * p.inputs + channel]);
}

fn x_at(at: Place, offset: vec2<i32>, channel: u32) -> f32 {
    return x_of(seen(at, offset), channel);
}

// Column k of the left side for four pixels.
fn four_of_x(a: Place, b: Place, c: Place, d: Place, k: u32) -> vec4<f32> {
    let tap = k / p.inputs;
    if tap >= p.taps {
        return vec4<f32>(0.0);
    }
    let channel = k - tap * p.inputs;
    let offset = offset_of(tap);
    return vec4<f32>(x_at(a, offset, channel), x_at(b, offset, channel), x_at(c, offset, channel), x_at(d, offset, channel));
}

fn weight_at(k: u32, column: u32) -> f32 {
    if k < p.taps * p.inputs && column < p.outputs {
        return weights[k * p.outputs + column];
    }
    return 0.0;
}

fn four_of_weights(k: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(weight_at(k, column), weight_at(k, column + 1u), weight_at(k, column + 2u), weight_at(k, column + 3u));
}

fn store(pixel: u32, column: u32, sum: f32) {
    if pixel >= pixels() || column >= p.outputs {
        return;
    }
    let at = pixel * p.outputs + column;
    var value = sum;
    if p.has_bias != 0u {
        value += bias[column];
    }
    if p.relu_after != 0u {
        value = relu(value);
    }
    if p.has_residual != 0u {
        value += residual[at];
    }
    y[at] = value;
}

fn store_four(pixel: u32, column: u32, sums: vec4<f32>) {
    store(pixel, column, sums.x);
    store(pixel, column + 1u, sums.y);
    store(pixel, column + 2u, sums.z);
    store(pixel, column + 3u, sums.w);
}

fn store_block(pixel: u32, column: u32, sums: Block) {
    store_four(pixel, column, sums.r0);
    store_four(pixel + 1u, column, sums.r1);
    store_four(pixel + 2u, column, sums.r2);
    store_four(pixel + 3u, column, sums.r3);
}

@compute @workgroup_size(256)
fn masked_conv(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.outputs, 64u);
    if tile.y * 64u >= pixels() {
        return;
    }
    let slow = lane / 16u;
    let fast = lane % 16u;
    // Invocations side by side load channels of one pixel, and weights of one channel.
    let pixel = tile.y * 64u + 4u * slow;
    let column = tile.x * 64u + 4u * fast;
    let a = place_of(pixel);
    let b = place_of(pixel + 1u);
    let c = place_of(pixel + 2u);
    let d = place_of(pixel + 3u);
    let depth = p.taps * p.inputs;

    var sum = no_sum();
    var next_a = four_of_x(a, b, c, d, fast);
    var next_b = four_of_weights(slow, column);
    for (var k = 0u; k < depth; k += 16u) {
        a_tile[fast * PITCH + slow] = next_a;
        b_tile[slow * PITCH + fast] = next_b;
        workgroupBarrier();
        next_a = four_of_x(a, b, c, d, k + 16u + fast);
        next_b = four_of_weights(k + 16u + slow, column);
        add_tile(&sum, slow, fast);
        workgroupBarrier();
    }
    store_block(pixel, column, sum);
}

// A channel of four pixels, numbered as `four_seen` does.
fn channel_of_x(pixels: vec4<i32>, channel: u32) -> vec4<f32> {
    return vec4<f32>(
        x_of(pixels.x, channel),
        x_of(pixels.y, channel),
        x_of(pixels.z, channel),
        x_of(pixels.w, channel),
    );
}

// As `four_of_weights`, of whole fours.
fn four_weights(k: u32, column: u32) -> vec4<f32> {
    if k >= p.taps * p.inputs || column >= p.outputs {
        return vec4<f32>(0.0);
    }
    let at = k * p.outputs + column;
    return vec4<f32>(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]);
}

// Tiles of 128 x 128, for channels in eights.
@compute @workgroup_size(256)
fn masked_conv_wide(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.outputs, 128u);
    if tile.y * 128u >= pixels() {
        return;
    }
    // Loading: eight invocations side by side take channels of one pixel, 32 weights of one channel.
    let x_k = lane % 8u;
    let x_four = lane / 8u;
    let w_k = lane / 32u;
    let w_four = lane % 32u;
    let first = tile.y * 128u + 4u * x_four;
    let a = place_of(first);
    let b = place_of(first + 1u);
    let c = place_of(first + 2u);
    let d = place_of(first + 3u);
    let w_column = tile.x * 128u + 4u * w_four;
    let depth = p.taps * p.inputs;

    var top_left = no_sum();
    var top_right = no_sum();
    var below_left = no_sum();
    var below_right = no_sum();
    var tap = 0u;
    var channel = x_k;
    var sources = four_seen(a, b, c, d, offset_of(0u));
    var next_a = channel_of_x(sources, channel);
    var next_b = four_weights(w_k, w_column);
    for (var k = 0u; k < depth; k += 8u) {
        a_tile[x_k * WIDE_PITCH + x_four] = next_a;
        b_tile[w_k * WIDE_PITCH + w_four] = next_b;
        workgroupBarrier();
        channel += 8u;
        if channel >= p.inputs {
            channel -= p.inputs;
            tap += 1u;
            sources = select(vec4<i32>(-1), four_seen(a, b, c, d, offset_of(tap)), tap < p.taps);
        }
        next_a = channel_of_x(sources, channel);
        next_b = four_weights(k + 8u + w_k, w_column);
        add_wide_tile(&top_left, &top_right, &below_left, &below_right, lane / 16u, lane % 16u);
        workgroupBarrier();
    }
    let pixel = tile.y * 128u + 4u * (lane / 16u);
    let column = tile.x * 128u + 4u * (lane % 16u);
    store_block(pixel, column, top_left);
    store_block(pixel, column + 64u, top_right);
    store_block(pixel + 64u, column, below_left);
    store_block(pixel + 64u, column + 64u, below_right);
}
