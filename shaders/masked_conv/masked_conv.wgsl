// y = act(conv(x) + bias) + residual. CPU: ops/masked_conv/cpu.rs. One product [pixels, taps inputs]
// [taps inputs, outputs], whose left operand is read directly from x; one tile per workgroup.
override TILE: u32;
override WIDE: u32;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> x_fours: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight_fours: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias_fours: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> residual_fours: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y_fours: array<vec4<f32>>;

fn x_at(at: Place, offset: vec2<i32>, channel: u32) -> f32 {
    let pixel = seen(at, offset);
    if pixel < 0 {
        return 0.0;
    }
    return shown(x[u32(pixel) * p.inputs + channel]);
}

// Column k of the left operand for four pixels.
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

@compute @workgroup_size(256)
fn masked_conv(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.outputs, TILE);
    if tile.y * TILE >= pixels() {
        return;
    }
    let slow = lane / 16u;
    let fast = lane % 16u;
    // Adjacent invocations load channels of one pixel, and weights of one channel.
    let pixel = tile.y * TILE + 4u * slow;
    let column = tile.x * TILE + 4u * fast;
    let a = place_of(pixel);
    let b = place_of(pixel + 1u);
    let c = place_of(pixel + 2u);
    let d = place_of(pixel + 3u);
    let depth = p.taps * p.inputs - (p.inputs - inputs_seen(tile.x * TILE, TILE));

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
    store_four(pixel, column, sum.r0);
    store_four(pixel + 1u, column, sum.r1);
    store_four(pixel + 2u, column, sum.r2);
    store_four(pixel + 3u, column, sum.r3);
}

// Wide tiles of 128 x 128, if the channels are multiples of eight: buffers are read and written in vectors of four.

// Four channels of the pixel with an index from `seen`.
fn channels_of(pixel: i32, channel: u32) -> vec4<f32> {
    if pixel < 0 {
        return vec4<f32>(0.0);
    }
    return shown_fours(x_fours[(u32(pixel) * p.inputs + channel) / 4u]);
}

fn weights_of(k: u32, column: u32) -> vec4<f32> {
    if k >= p.taps * p.inputs || column >= p.outputs {
        return vec4<f32>(0.0);
    }
    return weight_fours[(k * p.outputs + column) / 4u];
}

fn store_fours(pixel: u32, column: u32, sums: vec4<f32>) {
    if pixel >= pixels() || column >= p.outputs {
        return;
    }
    let at = (pixel * p.outputs + column) / 4u;
    var values = sums;
    if p.has_bias != 0u {
        values += bias_fours[column / 4u];
    }
    if p.relu_after != 0u {
        values = relu_fours(values);
    }
    if p.has_residual != 0u {
        values += residual_fours[at];
    }
    y_fours[at] = values;
}

fn store_wide(pixel: u32, column: u32, sums: Block) {
    store_fours(pixel, column, sums.r0);
    store_fours(pixel + 16u, column, sums.r1);
    store_fours(pixel + 32u, column, sums.r2);
    store_fours(pixel + 48u, column, sums.r3);
}

@compute @workgroup_size(256)
fn masked_conv_wide(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.outputs, WIDE);
    if tile.y * WIDE >= pixels() {
        return;
    }
    // Two adjacent invocations load eight channels of a pixel; 32 load the weights of a channel.
    let half = lane % 2u;
    let x_slot = half * FOURS_PITCH + lane / 2u;
    let w_k = lane / 32u;
    let w_slot = w_k * WIDE_PITCH + lane % 32u;
    let place = place_of(tile.y * WIDE + lane / 2u);
    let w_column = tile.x * WIDE + 4u * (lane % 32u);
    let depth = p.taps * p.inputs - (p.inputs - inputs_seen(tile.x * WIDE, WIDE));
    let spot = spot_of(lane);

    var top_left = no_sum();
    var top_right = no_sum();
    var below_left = no_sum();
    var below_right = no_sum();
    var tap = 0u;
    var channel = 0u;
    var source = seen(place, offset_of(0u));
    var next_x = channels_of(source, 4u * half);
    var next_w = weights_of(w_k, w_column);
    for (var k = 0u; k < depth; k += 8u) {
        a_tile[x_slot] = next_x;
        b_tile[w_slot] = next_w;
        workgroupBarrier();
        channel += 8u;
        if channel >= p.inputs {
            channel = 0u;
            tap += 1u;
            source = select(-1, seen(place, offset_of(tap)), tap < p.taps);
        }
        next_x = channels_of(source, channel + 4u * half);
        next_w = weights_of(k + 8u + w_k, w_column);
        add_wide_fours(&top_left, &top_right, &below_left, &below_right, 0u, spot.x, spot.y);
        add_wide_fours(&top_left, &top_right, &below_left, &below_right, 1u, spot.x, spot.y);
        workgroupBarrier();
    }
    let pixel = tile.y * WIDE + spot.x;
    let column = tile.x * WIDE + 4u * spot.y;
    store_wide(pixel, column, top_left);
    store_wide(pixel, column + 64u, top_right);
    store_wide(pixel + 64u, column, below_left);
    store_wide(pixel + 64u, column + 64u, below_right);
}
