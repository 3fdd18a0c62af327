// y: each element sums its contributions over (i, u) and (j, v). CPU: ops/fold/cpu.rs; one invocation per element of y.
@group(0) @binding(1) var<storage, read> cols: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn fold(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = flat_index(id, groups);
    let tall = p.stride * p.height;
    let wide = p.stride * p.width;
    if n >= p.batch * tall * wide * p.channels {
        return;
    }
    let at = coordinates(n, vec4<u32>(p.batch, tall, wide, p.channels));
    let r = at.y + p.pad;
    let c = at.z + p.pad;
    var first_i = 0u;
    if r + 1u > p.side {
        first_i = (r + p.stride - p.side) / p.stride;
    }
    var first_j = 0u;
    if c + 1u > p.side {
        first_j = (c + p.stride - p.side) / p.stride;
    }
    let last_i = min(r / p.stride, p.height - 1u);
    let last_j = min(c / p.stride, p.width - 1u);
    var sum = 0.0;
    for (var i = first_i; i <= last_i; i++) {
        for (var j = first_j; j <= last_j; j++) {
            let pixel = (at.x * p.height + i) * p.width + j;
            let tap = (pixel * p.side + r - i * p.stride) * p.side + c - j * p.stride;
            sum += cols[tap * p.channels + at.w];
        }
    }
    y[n] = sum;
}
