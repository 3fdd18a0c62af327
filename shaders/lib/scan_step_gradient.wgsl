// dgates of the cells of one step of the scan; steps run from last to first. CPU: ops/lstm_scan/cpu.rs. A workgroup
// computes 16 cells x 16 channels of one direction, a product [cells, neighbours 4 hidden]
// [neighbours 4 hidden, hidden], whose left operand is read from the dgates of the cells that have this one as a
// neighbour. `dc` [batch, edge, hidden] is the gradient of c of the current cell of each row (each column in the Row
// LSTM).
override TILE: u32;
// Tiles of 16 cells and 16 channels, in vectors of four k.
const PITCH: u32 = 17u;
var<workgroup> d_tile: array<vec4<f32>, 272>;
var<workgroup> s_tile: array<vec4<f32>, 272>;

// Rows k..k + 4 of the right operand. They belong to one neighbour, since each has a multiple of four rows.
fn d_at(cell: Cell, k: u32) -> vec4<f32> {
    let stacked = 4u * p.hidden;
    let n = k / stacked;
    if n >= p.neighbours {
        return vec4<f32>(0.0);
    }
    let source = seen(cell, -offset_of(cell.image, n));
    if source < 0 {
        return vec4<f32>(0.0);
    }
    let at = u32(source) * stacked + k - n * stacked;
    return vec4<f32>(dgates_value(at), dgates_value(at + 1u), dgates_value(at + 2u), dgates_value(at + 3u));
}

fn s_at(direction: u32, k: u32, channel: u32) -> vec4<f32> {
    let stacked = 4u * p.hidden;
    let n = k / stacked;
    if n >= p.neighbours || channel >= p.hidden {
        return vec4<f32>(0.0);
    }
    let at = (n * p.hidden + channel) * stacked + k - n * stacked;
    return vec4<f32>(
        s_value(direction, at),
        s_value(direction, at + 1u),
        s_value(direction, at + 2u),
        s_value(direction, at + 3u),
    );
}

fn add_four(sum: vec4<f32>, k: u32, cell: u32, channel: u32) -> vec4<f32> {
    var total = fma(d_tile[k * PITCH + cell], s_tile[k * PITCH + channel], sum);
    total = fma(d_tile[(k + 1u) * PITCH + cell], s_tile[(k + 1u) * PITCH + channel], total);
    total = fma(d_tile[(k + 2u) * PITCH + cell], s_tile[(k + 2u) * PITCH + channel], total);
    return fma(d_tile[(k + 3u) * PITCH + cell], s_tile[(k + 3u) * PITCH + channel], total);
}

@compute @workgroup_size(256)
fn one_step(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = id.x + id.y * groups.x;
    let across = (p.hidden + TILE - 1u) / TILE;
    let span = step_span();
    let tiles = (images() * span.y + TILE - 1u) / TILE;
    let direction = flat / across / tiles;
    if direction * images() >= p.batch {
        return;
    }
    let tile = flat / across - direction * tiles;
    let slow = lane / 16u;
    let fast = lane % 16u;
    // Adjacent invocations load along k, and compute channels of one cell.
    let cell = cell_of(direction, tile * TILE + slow, span);
    let left = flat % across * TILE;
    let depth = 4u * p.neighbours * p.hidden;

    var sum = vec4<f32>(0.0);
    var next_d = d_at(cell, 4u * fast);
    var next_s = s_at(direction, 4u * fast, left + slow);
    for (var k = 0u; k < depth; k += 64u) {
        d_tile[fast * PITCH + slow] = next_d;
        s_tile[fast * PITCH + slow] = next_s;
        workgroupBarrier();
        next_d = d_at(cell, k + 64u + 4u * fast);
        next_s = s_at(direction, k + 64u + 4u * fast, left + slow);
        sum = add_four(sum, 0u, slow, fast);
        sum = add_four(sum, 4u, slow, fast);
        sum = add_four(sum, 8u, slow, fast);
        sum = add_four(sum, 12u, slow, fast);
        workgroupBarrier();
    }

    let index = seen(cell, vec2<i32>(0, 0));
    let channel = left + fast;
    if index < 0 || channel >= p.hidden {
        return;
    }
    var before = c0_value(direction, channel);
    let source = seen(cell, offset_before(cell.image));
    if source >= 0 {
        before = c[u32(source) * p.hidden + channel];
    }
    let along = select(u32(cell.row), u32(cell.column), p.order == ROWS);
    let carried = (cell.image * edge() + along) * p.hidden + channel;
    // The last cell of a lane receives no gradient of c from a later one.
    var later = 0.0;
    if seen(cell, -offset_before(cell.image)) >= 0 {
        later = dc[carried];
    }
    let d = gradient_at(u32(index), channel, before, sum.x + sum.y + sum.z + sum.w, later);
    put_dgates(u32(index), channel, d.sums);
    dc[carried] = d.before;
}
