// h, c and gates of the cells of one step of the scan. CPU: ops/lstm_scan/cpu.rs. A workgroup computes 16 cells x 16
// channels, an invocation the four gates of one channel of a cell. They are a product [cells, neighbours hidden]
// [neighbours hidden, 4 hidden], whose left operand is read from the map of h.
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read> c0: array<f32>;
@group(0) @binding(4) var<storage, read_write> h: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;

fn h_at(cell: Cell, k: u32) -> f32 {
    let n = k / p.hidden;
    if n >= p.neighbours {
        return 0.0;
    }
    let source = seen(cell, offset_of(n));
    if source < 0 {
        return 0.0;
    }
    return h[u32(source) * p.hidden + k - n * p.hidden];
}

fn s_at(k: u32, channel: u32) -> vec4<f32> {
    if k >= p.neighbours * p.hidden || channel >= p.hidden {
        return vec4<f32>(0.0);
    }
    let at = 4u * k * p.hidden + channel;
    return vec4<f32>(s[at], s[at + p.hidden], s[at + 2u * p.hidden], s[at + 3u * p.hidden]);
}

@compute @workgroup_size(256)
fn lstm_scan(
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
    // Adjacent invocations load and compute channels of one cell.
    let cell = cell_of(tile * TILE + slow, span);
    let channel = (flat - tile * across) * TILE + fast;
    let depth = p.neighbours * p.hidden;

    var sums = vec4<f32>(0.0);
    var next_h = h_at(cell, fast);
    var next_s = s_at(slow, channel);
    for (var k = 0u; k < depth; k += 16u) {
        row_tile[fast * PITCH + slow] = next_h;
        gate_tile[slow * PITCH + fast] = next_s;
        workgroupBarrier();
        next_h = h_at(cell, k + 16u + fast);
        next_s = s_at(k + 16u + slow, channel);
        sums = add_tile(sums, slow, fast);
        workgroupBarrier();
    }

    let index = seen(cell, vec2<i32>(0, 0));
    if index < 0 || channel >= p.hidden {
        return;
    }
    let at = u32(index) * p.hidden + channel;
    let gate = 4u * u32(index) * p.hidden + channel;
    sums += vec4<f32>(u[gate], u[gate + p.hidden], u[gate + 2u * p.hidden], u[gate + 3u * p.hidden]);
    var before = c0[channel];
    let source = seen(cell, offset_before());
    if source >= 0 {
        before = c[u32(source) * p.hidden + channel];
    }
    let state = state_of(sums, before);
    gates[gate] = state.gates.x;
    gates[gate + p.hidden] = state.gates.y;
    gates[gate + 2u * p.hidden] = state.gates.z;
    gates[gate + 3u * p.hidden] = state.gates.w;
    c[at] = state.c;
    h[at] = state.h;
}
