// h, c and gates of all cells in one launch. A workgroup computes one direction of one image. It keeps S and the
// states h of two steps in workgroup memory, so a barrier replaces the next launch. CPU: ops/lstm_scan/cpu.rs.
//
// A lane is a row of the image (a column if the order is by rows); c is passed on along it. In step t a lane has one
// cell or none. Neighbour n of the cell was computed in step t - 1 by lane + n - neighbours / 2. An invocation computes
// one channel of at most two lanes and keeps their c in registers.
override WHOLE_WEIGHTS: u32;
override WHOLE_FRONTIER: u32;
var<workgroup> weights: array<vec4<f32>, WHOLE_WEIGHTS>;
// Two steps of [lanes + neighbours - 1, hidden]: the lanes beyond either end are zeros.
var<workgroup> frontier: array<f32, WHOLE_FRONTIER>;

// Computes the state of a cell from the products of its neighbours, and returns its c. Without a cell (below 0), returns
// `before`.
fn visit(cell: i32, channel: u32, sums: vec4<f32>, before: f32, place: u32) -> f32 {
    if cell < 0 {
        return before;
    }
    let state = state_of(sums + u_gates(u32(cell), channel), before);
    put_state(u32(cell), channel, state);
    frontier[place] = state.h;
    return state.c;
}

@compute @workgroup_size(256)
fn whole(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let image = id.x + id.y * groups.x;
    if image >= p.batch {
        return;
    }
    let direction = direction_of(image);
    let depth = p.neighbours * p.hidden;
    for (var i = local; i < depth * p.hidden; i += 256u) {
        weights[i] = s_gates(direction, i / p.hidden, i % p.hidden);
    }
    for (var i = local; i < WHOLE_FRONTIER; i += 256u) {
        frontier[i] = 0.0;
    }
    workgroupBarrier();

    let own = lanes_of(local);
    let channel = local % p.hidden;
    var before = vec2<f32>(c0_value(direction, channel));
    for (var t = 0u; t < steps(); t++) {
        let side = t % 2u * (WHOLE_FRONTIER / 2u);
        let first = side + own.place.x;
        let second = side + own.place.y;
        var sums_first = vec4<f32>(0.0);
        var sums_second = vec4<f32>(0.0);
        for (var k = 0u; k < depth; k++) {
            let w = weights[k * p.hidden + channel];
            sums_first = fma(vec4<f32>(frontier[first + k]), w, sums_first);
            sums_second = fma(vec4<f32>(frontier[second + k]), w, sums_second);
        }
        let to = WHOLE_FRONTIER / 2u - side + p.neighbours / 2u * p.hidden + channel;
        let cell_first = cell_of_lane(image, t, own.lane.x);
        let cell_second = cell_of_lane(image, t, own.lane.y);
        before = vec2<f32>(
            visit(cell_first, channel, sums_first, before.x, to + own.place.x),
            visit(cell_second, channel, sums_second, before.y, to + own.place.y),
        );
        workgroupBarrier();
    }
}
