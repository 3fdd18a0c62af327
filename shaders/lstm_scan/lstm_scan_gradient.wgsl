// dgates of the cells of one step of the scan; steps run from last to first. CPU: ops/lstm_scan/cpu.rs. A workgroup
// computes 16 cells x 16 channels, a product [cells, neighbours 4 hidden] [neighbours 4 hidden, hidden], whose left
// operand is read from the dgates of the cells that have this one as a neighbour. `dc` [batch, edge, hidden]
// is the gradient of c of the current cell of each row (each column in the Row LSTM).
@group(0) @binding(1) var<storage, read> dh: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read> c0: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgates: array<f32>;
@group(0) @binding(7) var<storage, read_write> dc: array<f32>;

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
    let source = seen(cell, -offset_of(n));
    if source < 0 {
        return vec4<f32>(0.0);
    }
    let at = u32(source) * stacked + k - n * stacked;
    return vec4<f32>(dgates[at], dgates[at + 1u], dgates[at + 2u], dgates[at + 3u]);
}

fn s_at(k: u32, channel: u32) -> vec4<f32> {
    let stacked = 4u * p.hidden;
    let n = k / stacked;
    if n >= p.neighbours || channel >= p.hidden {
        return vec4<f32>(0.0);
    }
    let at = (n * p.hidden + channel) * stacked + k - n * stacked;
    return vec4<f32>(s[at], s[at + 1u], s[at + 2u], s[at + 3u]);
}

fn add_four(sum: vec4<f32>, k: u32, cell: u32, channel: u32) -> vec4<f32> {
    var total = fma(d_tile[k * PITCH + cell], s_tile[k * PITCH + channel], sum);
    total = fma(d_tile[(k + 1u) * PITCH + cell], s_tile[(k + 1u) * PITCH + channel], total);
    total = fma(d_tile[(k + 2u) * PITCH + cell], s_tile[(k + 2u) * PITCH + channel], total);
    return fma(d_tile[(k + 3u) * PITCH + cell], s_tile[(k + 3u) * PITCH + channel], total);
}

@compute @workgroup_size(256)
fn lstm_scan_gradient(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = id.x + id.y * groups.x;
    let across = (p.hidden + TILE - 1u) / TILE;
    let tile = flat / across;
    let span = step_span();
    if tile * TILE >= p.batch * span.y {
        return;
    }
    let slow = lane / 16u;
    let fast = lane % 16u;
    // Adjacent invocations load along k, and compute channels of one cell.
    let cell = cell_of(tile * TILE + slow, span);
    let left = (flat - tile * across) * TILE;
    let depth = 4u * p.neighbours * p.hidden;

    var sum = vec4<f32>(0.0);
    var next_d = d_at(cell, 4u * fast);
    var next_s = s_at(4u * fast, left + slow);
    for (var k = 0u; k < depth; k += 64u) {
        d_tile[fast * PITCH + slow] = next_d;
        s_tile[fast * PITCH + slow] = next_s;
        workgroupBarrier();
        next_d = d_at(cell, k + 64u + 4u * fast);
        next_s = s_at(k + 64u + 4u * fast, left + slow);
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
    let at = u32(index) * p.hidden + channel;
    let gate = 4u * u32(index) * p.hidden + channel;
    var before = c0[channel];
    let source = seen(cell, offset_before());
    if source >= 0 {
        before = c[u32(source) * p.hidden + channel];
    }
    let edge = select(p.height, p.width, p.order == ROWS);
    let along = select(u32(cell.row), u32(cell.column), p.order == ROWS);
    let carried = (cell.image * edge + along) * p.hidden + channel;
    // The last cell of a lane receives no gradient of c from a later one.
    var later = 0.0;
    if seen(cell, -offset_before()) >= 0 {
        later = dc[carried];
    }
    let saved = vec4<f32>(
        gates[gate],
        gates[gate + p.hidden],
        gates[gate + 2u * p.hidden],
        gates[gate + 3u * p.hidden],
    );
    let d = gradient_of_state(saved, before, c[at], dh[at] + sum.x + sum.y + sum.z + sum.w, later);
    dgates[gate] = d.sums.x;
    dgates[gate + p.hidden] = d.sums.y;
    dgates[gate + 2u * p.hidden] = d.sums.z;
    dgates[gate + 3u * p.hidden] = d.sums.w;
    dc[carried] = d.before;
}
