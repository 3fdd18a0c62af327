// dx = a'(x) times the sum of d w^T over the taps. CPU: ops/masked_conv/cpu.rs. One product [pixels, taps outputs]
// [taps outputs, inputs], whose left operand is read from d through the reversed taps.
override TILE: u32;
override WIDE: u32;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> d: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(1) var<storage, read> x_fours: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_fours: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dx_fours: array<vec4<f32>>;

fn d_at(at: Place, offset: vec2<i32>, channel: u32) -> f32 {
    let pixel = seen(at, -offset);
    if pixel < 0 {
        return 0.0;
    }
    return d[u32(pixel) * p.outputs + channel];
}

// Column k of the left operand for four pixels.
fn four_of_d(a: Place, b: Place, c: Place, e: Place, k: u32) -> vec4<f32> {
    let tap = k / p.outputs;
    if tap >= p.taps {
        return vec4<f32>(0.0);
    }
    let channel = k - tap * p.outputs;
    let offset = offset_of(tap);
    return vec4<f32>(d_at(a, offset, channel), d_at(b, offset, channel), d_at(c, offset, channel), d_at(e, offset, channel));
}

fn weight_at(tap: u32, input: u32, output: u32) -> f32 {
    if tap < p.taps && input < p.inputs {
        return weights[(tap * p.inputs + input) * p.outputs + output];
    }
    return 0.0;
}

fn four_of_weights(k: u32, column: u32) -> vec4<f32> {
    let tap = k / p.outputs;
    let output = k - tap * p.outputs;
    return vec4<f32>(
        weight_at(tap, column, output),
        weight_at(tap, column + 1u, output),
        weight_at(tap, column + 2u, output),
        weight_at(tap, column + 3u, output),
    );
}

// The index of term k when the first `blind` outputs of the last tap are skipped.
fn term(k: u32, blind: u32) -> u32 {
    return select(k, k + blind, k >= (p.taps - 1u) * p.outputs);
}

fn store(pixel: u32, column: u32, sum: f32) {
    if pixel >= pixels() || column >= p.inputs {
        return;
    }
    let at = pixel * p.inputs + column;
    var value = sum;
    if p.relu_before != 0u && !(x[at] > 0.0) {
        value = 0.0;
    }
    dx[at] = value;
}

fn store_four(pixel: u32, column: u32, sums: vec4<f32>) {
    store(pixel, column, sums.x);
    store(pixel, column + 1u, sums.y);
    store(pixel, column + 2u, sums.z);
    store(pixel, column + 3u, sums.w);
}

@compute @workgroup_size(256)
fn masked_conv_input(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.inputs, TILE);
    if tile.y * TILE >= pixels() {
        return;
    }
    let slow = lane / 16u;
    let fast = lane % 16u;
    // Both operands are contiguous along the outputs, so adjacent invocations load along k.
    let pixel = tile.y * TILE + 4u * slow;
    let origin = tile.x * TILE + 4u * slow;
    let a = place_of(pixel);
    let b = place_of(pixel + 1u);
    let c = place_of(pixel + 2u);
    let e = place_of(pixel + 3u);
    let blind = outputs_blind(tile.x * TILE);
    let depth = p.taps * p.outputs - blind;

    var sum = no_sum();
    var k_own = term(fast, blind);
    var next_a = four_of_d(a, b, c, e, k_own);
    var next_b = four_of_weights(k_own, origin);
    for (var k = 0u; k < depth; k += 16u) {
        a_tile[fast * PITCH + slow] = next_a;
        b_tile[fast * PITCH + slow] = next_b;
        workgroupBarrier();
        k_own = term(k + 16u + fast, blind);
        next_a = four_of_d(a, b, c, e, k_own);
        next_b = four_of_weights(k_own, origin);
        add_tile(&sum, slow, fast);
        workgroupBarrier();
    }
    let column = tile.x * TILE + 4u * fast;
    store_four(pixel, column, sum.r0);
    store_four(pixel + 1u, column, sum.r1);
    store_four(pixel + 2u, column, sum.r2);
    store_four(pixel + 3u, column, sum.r3);
}

// For at most four inputs, of which a tile would use only its first columns: one invocation per pixel.
@compute @workgroup_size(256)
fn masked_conv_input_narrow(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let pixel = flat_index(id, groups);
    if pixel >= pixels() {
        return;
    }
    let place = place_of(pixel);
    let blind = outputs_blind(0u);
    var sum = vec4<f32>(0.0);
    for (var tap = 0u; tap < p.taps; tap++) {
        let source = seen(place, -offset_of(tap));
        if source < 0 {
            continue;
        }
        for (var output = select(0u, blind, tap + 1u == p.taps); output < p.outputs; output++) {
            sum += d[u32(source) * p.outputs + output] * four_of_weights(tap * p.outputs + output, 0u);
        }
    }
    store_four(pixel, 0u, sum);
}

// Wide tiles of 128 x 128, if the channels are multiples of eight: d and dx are read and written in vectors of four.

// Four channels of the pixel with an index from `seen`.
fn channels_of(pixel: i32, channel: u32) -> vec4<f32> {
    if pixel < 0 {
        return vec4<f32>(0.0);
    }
    return d_fours[(u32(pixel) * p.outputs + channel) / 4u];
}

// The weights of a tap's output for four inputs; either all or none of the four exist.
fn weights_of(tap: u32, input: u32, output: u32) -> vec4<f32> {
    if tap >= p.taps || input >= p.inputs {
        return vec4<f32>(0.0);
    }
    let at = (tap * p.inputs + input) * p.outputs + output;
    return vec4<f32>(
        weights[at],
        weights[at + p.outputs],
        weights[at + 2u * p.outputs],
        weights[at + 3u * p.outputs],
    );
}

fn store_fours(pixel: u32, column: u32, sums: vec4<f32>) {
    if pixel >= pixels() || column >= p.inputs {
        return;
    }
    let at = (pixel * p.inputs + column) / 4u;
    var values = sums;
    if p.relu_before != 0u {
        values = select(vec4<f32>(0.0), values, x_fours[at] > vec4<f32>(0.0));
    }
    dx_fours[at] = values;
}

fn store_wide(pixel: u32, column: u32, sums: Block) {
    store_fours(pixel, column, sums.r0);
    store_fours(pixel + 16u, column, sums.r1);
    store_fours(pixel + 32u, column, sums.r2);
    store_fours(pixel + 48u, column, sums.r3);
}

@compute @workgroup_size(256)
fn masked_conv_input_wide(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.inputs, WIDE);
    if tile.y * WIDE >= pixels() {
        return;
    }
    // Two adjacent invocations load eight outputs of a pixel; eight load the outputs of an input.
    let half = lane % 2u;
    let d_slot = half * FOURS_PITCH + lane / 2u;
    let w_k = lane % 8u;
    let w_slot = w_k * WIDE_PITCH + lane / 8u;
    let place = place_of(tile.y * WIDE + lane / 2u);
    let w_input = tile.x * WIDE + 4u * (lane / 8u);
    let blind = outputs_blind(tile.x * WIDE) / 8u * 8u;
    let depth = p.taps * p.outputs - blind;
    let spot = spot_of(lane);

    var top_left = no_sum();
    var top_right = no_sum();
    var below_left = no_sum();
    var below_right = no_sum();
    var tap = 0u;
    var channel = select(0u, blind, p.taps == 1u);
    var source = seen(place, -offset_of(0u));
    var next_d = channels_of(source, channel + 4u * half);
    var next_w = weights_of(0u, w_input, channel + w_k);
    for (var k = 0u; k < depth; k += 8u) {
        a_tile[d_slot] = next_d;
        b_tile[w_slot] = next_w;
        workgroupBarrier();
        channel += 8u;
        if channel >= p.outputs {
            tap += 1u;
            channel = select(0u, blind, tap + 1u == p.taps);
            source = select(-1, seen(place, -offset_of(tap)), tap < p.taps);
        }
        next_d = channels_of(source, channel + 4u * half);
        next_w = weights_of(tap, w_input, channel + w_k);
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
