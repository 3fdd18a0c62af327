// h', c' and gates of one time step of an LSTM. CPU: ops/lstm_cell/cpu.rs. x [batch, depth], w [4 hidden, depth]
// (gates stacked o, f, i, g), b [4 hidden] or [batch, 4 hidden], c, h, next [batch, hidden], gates
// [batch, 4 hidden]. A workgroup computes 32 rows x 8 units, whose gates are the 32 columns of a tile
// (`lib/team_tile.wgsl`).
override TILE_ROWS: u32;
override TILE_UNITS: u32;
struct Params { batch: u32, depth: u32, hidden: u32, bias_stride: u32, panel: u32, parts: u32, later: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read_write> h: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<f32>;
@group(0) @binding(7) var<storage, read_write> gates: array<f32>;

fn x_at(row: u32, k: u32) -> f32 {
    if row >= p.batch || k >= p.depth {
        return 0.0;
    }
    return x[row * p.depth + k];
}

fn four_of_x(row: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(x_at(row, k), x_at(row + 1u, k), x_at(row + 2u, k), x_at(row + 3u, k));
}

fn w_at(unit: u32, k: u32) -> vec4<f32> {
    if unit >= p.hidden || k >= p.depth {
        return vec4<f32>(0.0);
    }
    let at = unit * p.depth + k;
    let gate = p.hidden * p.depth;
    return vec4<f32>(w[at], w[at + gate], w[at + 2u * gate], w[at + 3u * gate]);
}

@compute @workgroup_size(256)
fn lstm_cell(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = id.x + id.y * groups.x;
    let across = (p.hidden + TILE_UNITS - 1u) / TILE_UNITS;
    let down = flat / across;
    if down * TILE_ROWS >= p.batch {
        return;
    }
    let top = down * TILE_ROWS;
    let left = (flat - down * across) * TILE_UNITS;
    // Adjacent invocations load along k.
    let fast = lane % 32u;
    let slow = lane / 32u;

    var sum = no_team_sum();
    var next_x = four_of_x(top + 4u * slow, fast);
    var next_w = w_at(left + slow, fast);
    for (var k = 0u; k < p.depth; k += 32u) {
        team_tile[fast * TEAM_PITCH + slow] = next_x;
        team_tile[TEAM_B + fast * TEAM_PITCH + slow] = next_w;
        workgroupBarrier();
        next_x = four_of_x(top + 4u * slow, k + 32u + fast);
        next_w = w_at(left + slow, k + 32u + fast);
        add_team_tile(&sum, lane);
        workgroupBarrier();
    }
    var sums = sum_of_teams(&sum, lane);

    let row = top + lane / 8u;
    let unit = left + lane % 8u;
    if row >= p.batch || unit >= p.hidden {
        return;
    }
    let known = row * p.bias_stride + unit;
    sums += vec4<f32>(b[known], b[known + p.hidden], b[known + 2u * p.hidden], b[known + 3u * p.hidden]);
    let at = row * p.hidden + unit;
    let gate = 4u * row * p.hidden + unit;
    let state = state_of(sums, c[at]);
    gates[gate] = state.gates.x;
    gates[gate + p.hidden] = state.gates.y;
    gates[gate + 2u * p.hidden] = state.gates.z;
    gates[gate + 3u * p.hidden] = state.gates.w;
    next[at] = state.c;
    h[at] = state.h;
}
