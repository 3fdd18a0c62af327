// dw and dbias. CPU: ops/masked_conv/cpu.rs. One product [taps inputs + 1, pixels] [pixels, outputs]; the last
// row of the left operand is 1, for dbias. The pixels are split into pieces of `chunk` (split-K): the first
// dispatch writes the partial sums to `partial` [pieces, taps inputs + 1, outputs], and the second adds
// them in a fixed order.
override TILE: u32;
override WIDE: u32;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> d: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(5) var<storage, read_write> partial: array<f32>;
@group(0) @binding(1) var<storage, read> x_fours: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> d_fours: array<vec4<f32>>;

fn rows() -> u32 {
    return p.taps * p.inputs + 1u;
}

fn pieces() -> u32 {
    return max((pixels() + p.chunk - 1u) / p.chunk, 1u);
}

// A row of the left operand: the offset of its tap, and the channel that it reads.
struct Row { offset: vec2<i32>, channel: u32, number: u32 }

// End of the pixels that the tile of weights at row `top` and column `column` sums over: `last`, or none if the mask
// hides the whole tile (except in the first rows, which also compute dbias).
fn end_of(first: u32, top: u32, column: u32, side: u32) -> u32 {
    let all = p.taps * p.inputs;
    let seen = all - (p.inputs - inputs_seen(column, side));
    return select(min(first + p.chunk, pixels()), first, top > 0u && top >= seen && top + side <= all);
}

fn row_of(number: u32) -> Row {
    let tap = number / p.inputs;
    return Row(offset_of(tap), number - tap * p.inputs, number);
}

fn x_at(row: Row, at: Place) -> f32 {
    if row.number + 1u >= rows() {
        return select(0.0, 1.0, row.number + 1u == rows());
    }
    let pixel = seen(at, row.offset);
    if pixel < 0 {
        return 0.0;
    }
    return shown(x[u32(pixel) * p.inputs + row.channel]);
}

// Column `pixel` of the left operand, for four rows.
fn four_of_x(a: Row, b: Row, c: Row, e: Row, pixel: u32, last: u32) -> vec4<f32> {
    if pixel >= last {
        return vec4<f32>(0.0);
    }
    let at = place_of(pixel);
    return vec4<f32>(x_at(a, at), x_at(b, at), x_at(c, at), x_at(e, at));
}

fn d_at(pixel: u32, last: u32, column: u32) -> f32 {
    if pixel < last && column < p.outputs {
        return d[pixel * p.outputs + column];
    }
    return 0.0;
}

fn four_of_d(pixel: u32, last: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        d_at(pixel, last, column),
        d_at(pixel, last, column + 1u),
        d_at(pixel, last, column + 2u),
        d_at(pixel, last, column + 3u),
    );
}

fn store(piece: u32, row: u32, column: u32, sum: f32) {
    if row < rows() && column < p.outputs {
        partial[(piece * rows() + row) * p.outputs + column] = sum;
    }
}

fn store_block(piece: u32, row: u32, column: u32, sums: Block) {
    store_four(piece, row, column, sums.r0);
    store_four(piece, row + 1u, column, sums.r1);
    store_four(piece, row + 2u, column, sums.r2);
    store_four(piece, row + 3u, column, sums.r3);
}

fn store_four(piece: u32, row: u32, column: u32, sums: vec4<f32>) {
    store(piece, row, column, sums.x);
    store(piece, row, column + 1u, sums.y);
    store(piece, row, column + 2u, sums.z);
    store(piece, row, column + 3u, sums.w);
}

@compute @workgroup_size(256)
fn weight_pieces(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.outputs, TILE);
    let down = (rows() + TILE - 1u) / TILE;
    let piece = tile.y / down;
    if piece >= pieces() {
        return;
    }
    let slow = lane / 16u;
    let fast = lane % 16u;
    // Adjacent invocations load channels of one pixel.
    let top = (tile.y - piece * down) * TILE;
    let column = tile.x * TILE + 4u * fast;
    let a = row_of(top + 4u * fast);
    let b = row_of(top + 4u * fast + 1u);
    let c = row_of(top + 4u * fast + 2u);
    let e = row_of(top + 4u * fast + 3u);
    let first = piece * p.chunk;
    let last = end_of(first, top, tile.x * TILE, TILE);

    var sum = no_sum();
    var next_a = four_of_x(a, b, c, e, first + slow, last);
    var next_b = four_of_d(first + slow, last, column);
    for (var pixel = first; pixel < last; pixel += 16u) {
        a_tile[slow * PITCH + fast] = next_a;
        b_tile[slow * PITCH + fast] = next_b;
        workgroupBarrier();
        next_a = four_of_x(a, b, c, e, pixel + 16u + slow, last);
        next_b = four_of_d(pixel + 16u + slow, last, column);
        add_tile(&sum, slow, fast);
        workgroupBarrier();
    }
    store_block(piece, top + 4u * slow, column, sum);
}

// Four channels of the pixel that the tap reads for pixel `at`.
fn four_channels(at: Place, row: Row) -> vec4<f32> {
    let pixel = seen(at, row.offset);
    if pixel < 0 || row.number + 1u >= rows() {
        return vec4<f32>(0.0);
    }
    return shown_fours(x_fours[(u32(pixel) * p.inputs + row.channel) / 4u]);
}

// Like `four_of_d`, if all four exist.
fn four_outputs(pixel: u32, last: u32, column: u32) -> vec4<f32> {
    if pixel >= last || column >= p.outputs {
        return vec4<f32>(0.0);
    }
    return d_fours[(pixel * p.outputs + column) / 4u];
}

// Wide tiles of 128 x 128, if the channels are multiples of eight. The row of dbias has no tile of its own: workgroups
// of the first row of tiles sum the d that they load.
@compute @workgroup_size(256)
fn weight_pieces_wide(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(id, groups, p.outputs, WIDE);
    let down = (p.taps * p.inputs + WIDE - 1u) / WIDE;
    let piece = tile.y / down;
    if piece >= pieces() {
        return;
    }
    let top = (tile.y - piece * down) * WIDE;
    // 32 adjacent invocations load channels of one pixel.
    let load_k = lane / 32u;
    let load_four = lane % 32u;
    let row = row_of(top + 4u * load_four);
    let load_column = tile.x * WIDE + 4u * load_four;
    let first = piece * p.chunk;
    let last = end_of(first, top, tile.x * WIDE, WIDE);
    let spot = spot_of(lane);

    var top_left = no_sum();
    var top_right = no_sum();
    var below_left = no_sum();
    var below_right = no_sum();
    var bias_sum = vec4<f32>(0.0);
    var pixel = first + load_k;
    var next_a = four_channels(place_before(pixel, last), row);
    var next_b = four_outputs(pixel, last, load_column);
    for (var k = first; k < last; k += 8u) {
        a_tile[load_k * WIDE_PITCH + load_four] = next_a;
        b_tile[load_k * WIDE_PITCH + load_four] = next_b;
        bias_sum += next_b;
        workgroupBarrier();
        pixel += 8u;
        next_a = four_channels(place_before(pixel, last), row);
        next_b = four_outputs(pixel, last, load_column);
        add_wide_tile(&top_left, &top_right, &below_left, &below_right, spot.x, spot.y);
        workgroupBarrier();
    }
    let down_row = top + 4u * spot.x;
    let column = tile.x * WIDE + 4u * spot.y;
    store_weights(piece, down_row, column, top_left);
    store_weights(piece, down_row, column + 64u, top_right);
    store_weights(piece, down_row + 64u, column, below_left);
    store_weights(piece, down_row + 64u, column + 64u, below_right);

    b_tile[load_k * WIDE_PITCH + load_four] = bias_sum;
    workgroupBarrier();
    if top == 0u && load_k == 0u {
        var total = bias_sum;
        for (var k = 1u; k < 8u; k++) {
            total += b_tile[k * WIDE_PITCH + load_four];
        }
        store_four(piece, rows() - 1u, load_column, total);
    }
}

// The place of a pixel; from `last` on, a place outside every image.
fn place_before(pixel: u32, last: u32) -> Place {
    return place_of(select(pixel, pixels(), pixel >= last));
}

// Whether a row belongs to dw, not to dbias.
fn store_weights(piece: u32, row: u32, column: u32, sums: Block) {
    if row + 1u < rows() {
        store_block(piece, row, column, sums);
    }
}

// One invocation per element of dw and dbias.
@compute @workgroup_size(256)
fn add_pieces(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    let size = rows() * p.outputs;
    if i >= size {
        return;
    }
    var sum = 0.0;
    for (var piece = 0u; piece < pieces(); piece++) {
        sum += partial[piece * size + i];
    }
    let weights = size - p.outputs;
    if i < weights {
        dw[i] = sum;
    } else {
        dbias[i - weights] = sum;
    }
}
