// h, c and gates of the cells of one step of the scan. CPU: ops/lstm_scan/cpu.rs. A workgroup computes 16 cells x 16
// channels of one direction, an invocation the four gates of one channel of a cell. They are a product
// [cells, neighbours hidden] [neighbours hidden, 4 hidden], whose left operand is read from the map of h.
override TILE: u32;
fn h_at(cell: Cell, k: u32) -> f32 {
    let n = k / p.hidden;
    if n >= p.neighbours {
        return 0.0;
    }
    let source = seen(cell, offset_of(cell.image, n));
    if source < 0 {
        return 0.0;
    }
    return h_value(u32(source) * p.hidden + k - n * p.hidden);
}

fn s_at(direction: u32, k: u32, channel: u32) -> vec4<f32> {
    if k >= p.neighbours * p.hidden || channel >= p.hidden {
        return vec4<f32>(0.0);
    }
    return s_gates(direction, k, channel);
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
    // Adjacent invocations load and compute channels of one cell.
    let cell = cell_of(direction, tile * TILE + slow, span);
    let channel = flat % across * TILE + fast;
    let depth = p.neighbours * p.hidden;

    var sums = vec4<f32>(0.0);
    var next_h = h_at(cell, fast);
    var next_s = s_at(direction, slow, channel);
    for (var k = 0u; k < depth; k += 16u) {
        row_tile[fast * PITCH + slow] = next_h;
        gate_tile[slow * PITCH + fast] = next_s;
        workgroupBarrier();
        next_h = h_at(cell, k + 16u + fast);
        next_s = s_at(direction, k + 16u + slow, channel);
        sums = add_tile(sums, slow, fast);
        workgroupBarrier();
    }

    let index = seen(cell, vec2<i32>(0, 0));
    if index < 0 || channel >= p.hidden {
        return;
    }
    var before = c0_value(direction, channel);
    let source = seen(cell, offset_before(cell.image));
    if source >= 0 {
        before = c[u32(source) * p.hidden + channel];
    }
    put_state(u32(index), channel, state_of(sums + u_gates(u32(index), channel), before));
}
