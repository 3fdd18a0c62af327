// dgates of all cells in one launch, from the last step to the first; `scan_whole.wgsl` explains lanes. A workgroup
// computes one direction of one image. CPU: ops/lstm_scan/cpu.rs.
//
// dh of a cell is a sum over the gate gradients of the cells that have it as a neighbour, which the previous iteration
// computed. The four gates of a step do not fit beside S, so the lanes exchange one gate after the other, with a
// barrier each. The halves of `frontier` alternate, so that none is written while it is read.
// S by [gate, neighbours (last first), gate channel, channel of h].
override WHOLE_WEIGHTS: u32;
override WHOLE_FRONTIER: u32;
var<workgroup> weights: array<f32, 4u * WHOLE_WEIGHTS>;
// Twice [lanes + neighbours - 1, hidden]: the lanes beyond either end are zeros.
var<workgroup> frontier: array<f32, WHOLE_FRONTIER>;

// The gradients of a cell's sums and of its previous c; without a cell, zeros and `later`.
fn visit(cell: i32, before: i32, direction: u32, channel: u32, dh: f32, later: f32) -> StateGradient {
    if cell < 0 {
        return StateGradient(vec4<f32>(0.0), later);
    }
    var was = c0_value(direction, channel);
    if before >= 0 {
        was = c[u32(before) * p.hidden + channel];
    }
    let d = gradient_at(u32(cell), channel, was, dh, later);
    put_dgates(u32(cell), channel, d.sums);
    return d;
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
    for (var i = local; i < 4u * depth * p.hidden; i += 256u) {
        let row = i / p.hidden;
        let gate = row / depth;
        let k = row - gate * depth;
        let n = p.neighbours - 1u - k / p.hidden;
        let to = n * p.hidden + i % p.hidden;
        weights[i] = s_value(direction, (4u * to + gate) * p.hidden + k % p.hidden);
    }
    for (var i = local; i < WHOLE_FRONTIER; i += 256u) {
        frontier[i] = 0.0;
    }
    workgroupBarrier();

    let own = lanes_of(local);
    let channel = local % p.hidden;
    let shift = (p.neighbours - 1u - p.neighbours / 2u) * p.hidden + channel;
    var dh = vec2<f32>(0.0);
    var later = vec2<f32>(0.0);
    for (var done = 0u; done < steps(); done++) {
        let t = steps() - 1u - done;
        let cells = vec2<i32>(cell_of_lane(image, t, own.lane.x), cell_of_lane(image, t, own.lane.y));
        let before = vec2<i32>(cell_of_lane(image, t - 1u, own.lane.x), cell_of_lane(image, t - 1u, own.lane.y));
        let first = visit(cells.x, before.x, direction, channel, dh.x, later.x);
        let second = visit(cells.y, before.y, direction, channel, dh.y, later.y);
        later = vec2<f32>(first.before, second.before);
        dh = vec2<f32>(0.0);
        for (var gate = 0u; gate < 4u; gate++) {
            let side = gate % 2u * (WHOLE_FRONTIER / 2u);
            if own.lane.x < edge() {
                frontier[side + own.place.x + shift] = first.sums[gate];
            }
            if own.lane.y < edge() {
                frontier[side + own.place.y + shift] = second.sums[gate];
            }
            workgroupBarrier();
            for (var k = 0u; k < depth; k++) {
                let w = weights[(gate * depth + k) * p.hidden + channel];
                let d = vec2<f32>(frontier[side + own.place.x + k], frontier[side + own.place.y + k]);
                dh = fma(d, vec2<f32>(w), dh);
            }
        }
    }
    let at = image * edge() * p.hidden + channel;
    if own.lane.x < edge() {
        dc[at + own.place.x] = later.x;
    }
    if own.lane.y < edge() {
        dc[at + own.place.y] = later.y;
    }
}
