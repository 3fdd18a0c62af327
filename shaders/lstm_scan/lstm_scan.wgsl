// A scan in one direction: its buffers.
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read> c0: array<f32>;
@group(0) @binding(4) var<storage, read_write> h: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;

// The four gates of a channel in row k of S.
fn s_gates(direction: u32, k: u32, channel: u32) -> vec4<f32> {
    let at = 4u * k * p.hidden + channel;
    return vec4<f32>(s[at], s[at + p.hidden], s[at + 2u * p.hidden], s[at + 3u * p.hidden]);
}

fn c0_value(direction: u32, channel: u32) -> f32 {
    return c0[channel];
}

fn h_value(i: u32) -> f32 {
    return h[i];
}

// u of a channel of a cell.
fn u_gates(cell: u32, channel: u32) -> vec4<f32> {
    let at = 4u * cell * p.hidden + channel;
    return vec4<f32>(u[at], u[at + p.hidden], u[at + 2u * p.hidden], u[at + 3u * p.hidden]);
}

fn put_state(cell: u32, channel: u32, state: State) {
    let gate = 4u * cell * p.hidden + channel;
    gates[gate] = state.gates.x;
    gates[gate + p.hidden] = state.gates.y;
    gates[gate + 2u * p.hidden] = state.gates.z;
    gates[gate + 3u * p.hidden] = state.gates.w;
    c[cell * p.hidden + channel] = state.c;
    h[cell * p.hidden + channel] = state.h;
}
