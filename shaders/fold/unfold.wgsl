// cols: each (i, j, u, v) reads the pixel that `fold` adds it to; 0 outside the image. CPU: ops/fold/cpu.rs; one
// invocation per element of cols.
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> cols: array<f32>;

@compute @workgroup_size(256)
fn unfold(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = flat_index(id, groups);
    let area = p.side * p.side;
    if n >= p.batch * p.height * p.width * area * p.channels {
        return;
    }
    let tap = n / p.channels;
    let pixel = tap / area;
    let u = (tap - pixel * area) / p.side;
    let v = tap % p.side;
    let at = coordinates(pixel, vec4<u32>(1u, p.batch, p.height, p.width));
    // Negative positions wrap around to large numbers, which are outside too.
    let r = at.z * p.stride + u - p.pad;
    let c = at.w * p.stride + v - p.pad;
    let tall = p.stride * p.height;
    let wide = p.stride * p.width;
    var value = 0.0;
    if r < tall && c < wide {
        value = y[((at.y * tall + r) * wide + c) * p.channels + n - tap * p.channels];
    }
    cols[n] = value;
}
