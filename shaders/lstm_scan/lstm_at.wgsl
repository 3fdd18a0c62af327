// h and c of cell (row, column) of every image, in place; the rest of both is unchanged. CPU: ops/lstm_scan/cpu.rs;
// one invocation per channel of an image.
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read> c0: array<f32>;
@group(0) @binding(4) var<storage, read_write> h: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(256)
fn lstm_at(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.batch * p.hidden {
        return;
    }
    let image = i / p.hidden;
    let channel = i - image * p.hidden;
    let cell = Cell(image, i32(p.row), i32(p.column));
    let index = u32(seen(cell, vec2<i32>(0, 0)));
    let gate = 4u * index * p.hidden + channel;
    var sums = vec4<f32>(u[gate], u[gate + p.hidden], u[gate + 2u * p.hidden], u[gate + 3u * p.hidden]);
    for (var n = 0u; n < p.neighbours; n++) {
        let source = seen(cell, offset_of(image, n));
        if source < 0 {
            continue;
        }
        for (var k = 0u; k < p.hidden; k++) {
            let at = 4u * (n * p.hidden + k) * p.hidden + channel;
            let weights = vec4<f32>(s[at], s[at + p.hidden], s[at + 2u * p.hidden], s[at + 3u * p.hidden]);
            sums = fma(vec4<f32>(h[u32(source) * p.hidden + k]), weights, sums);
        }
    }
    var before = c0[channel];
    let source = seen(cell, offset_before(image));
    if source >= 0 {
        before = c[u32(source) * p.hidden + channel];
    }
    let state = state_of(sums, before);
    c[index * p.hidden + channel] = state.c;
    h[index * p.hidden + channel] = state.h;
}
