// A scan in both directions: its buffers. `s_and_c0` holds S and c0 [2 neighbours, hidden, 4 hidden], [2, hidden];
// c and gates [2 batch, height, width, ...] have the left-to-right direction in front.
@group(0) @binding(1) var<storage, read> u_left: array<f32>;
@group(0) @binding(2) var<storage, read> u_right: array<f32>;
@group(0) @binding(3) var<storage, read> s_and_c0: array<f32>;
@group(0) @binding(4) var<storage, read_write> h_left: array<f32>;
@group(0) @binding(5) var<storage, read_write> h_right: array<f32>;
@group(0) @binding(6) var<storage, read_write> c: array<f32>;
@group(0) @binding(7) var<storage, read_write> gates: array<f32>;

// The four gates of a channel in row k of a direction's S.
fn s_gates(direction: u32, k: u32, channel: u32) -> vec4<f32> {
    let at = 4u * (direction * p.neighbours * p.hidden + k) * p.hidden + channel;
    return vec4<f32>(s_and_c0[at], s_and_c0[at + p.hidden], s_and_c0[at + 2u * p.hidden], s_and_c0[at + 3u * p.hidden]);
}

fn c0_value(direction: u32, channel: u32) -> f32 {
    return s_and_c0[(8u * p.neighbours * p.hidden + direction) * p.hidden + channel];
}

// Numbers of one direction's h.
fn half_of_h() -> u32 {
    return images() * p.height * p.width * p.hidden;
}

fn h_value(i: u32) -> f32 {
    if i < half_of_h() {
        return h_left[i];
    }
    return h_right[i - half_of_h()];
}

// u of a channel of a cell.
fn u_gates(cell: u32, channel: u32) -> vec4<f32> {
    let at = 4u * cell * p.hidden + channel;
    if at < 4u * half_of_h() {
        return vec4<f32>(u_left[at], u_left[at + p.hidden], u_left[at + 2u * p.hidden], u_left[at + 3u * p.hidden]);
    }
    let i = at - 4u * half_of_h();
    return vec4<f32>(u_right[i], u_right[i + p.hidden], u_right[i + 2u * p.hidden], u_right[i + 3u * p.hidden]);
}

fn put_state(cell: u32, channel: u32, state: State) {
    let gate = 4u * cell * p.hidden + channel;
    gates[gate] = state.gates.x;
    gates[gate + p.hidden] = state.gates.y;
    gates[gate + 2u * p.hidden] = state.gates.z;
    gates[gate + 3u * p.hidden] = state.gates.w;
    let at = cell * p.hidden + channel;
    c[at] = state.c;
    if at < half_of_h() {
        h_left[at] = state.h;
    } else {
        h_right[at - half_of_h()] = state.h;
    }
}
