// h', c' and gates of one step of an LSTM. CPU: cpu/lstm_cell.rs. x [batch, depth], w [4 hidden, depth]
// (gates stacked o, f, i, g), b [4 hidden] or [batch, 4 hidden], c, h, next [batch, hidden], gates
// [batch, 4 hidden]; a workgroup makes 16 rows x 16 units.
struct Params { batch: u32, depth: u32, hidden: u32, bias_stride: u32, packed: u32 }
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
    let across = (p.hidden + 15u) / 16u;
    let tile = flat / across;
    if tile * 16u >= p.batch {
        return;
    }
    let slow = lane / 16u;
    let fast = lane % 16u;
    // Invocations side by side load along k, and make units of one row.
    let row = tile * 16u + slow;
    let left = (flat - tile * across) * 16u;

    var sums = vec4<f32>(0.0);
    var next_x = x_at(row, fast);
    var next_w = w_at(left + slow, fast);
    for (var k = 0u; k < p.depth; k += 16u) {
        row_tile[fast * PITCH + slow] = next_x;
        gate_tile[fast * PITCH + slow] = next_w;
        workgroupBarrier();
        next_x = x_at(row, k + 16u + fast);
        next_w = w_at(left + slow, k + 16u + fast);
        sums = add_tile(sums, slow, fast);
        workgroupBarrier();
    }

    let unit = left + fast;
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
