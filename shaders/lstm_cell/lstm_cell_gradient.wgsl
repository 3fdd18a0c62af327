// Gradients of the gates before their activation, dz, and of c. CPU: ops/lstm_cell/cpu.rs. dh, c, next, dc
// [batch, hidden], gates, dz [batch, 4 hidden] (stacked o, f, i, g). dc holds the gradient of `next` on entry, if
// p.later is 1. The gradient of h is the sum of p.parts tensors: dh, second, third. One invocation per unit of a row.
struct Params { batch: u32, depth: u32, hidden: u32, bias_stride: u32, panel: u32, parts: u32, later: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dh: array<f32>;
@group(0) @binding(2) var<storage, read> second: array<f32>;
@group(0) @binding(3) var<storage, read> third: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> next: array<f32>;
@group(0) @binding(6) var<storage, read> gates: array<f32>;
@group(0) @binding(7) var<storage, read_write> dz: array<f32>;
@group(0) @binding(8) var<storage, read_write> dc: array<f32>;

@compute @workgroup_size(256)
fn lstm_cell_gradient(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = flat_index(id, groups);
    if i >= p.batch * p.hidden {
        return;
    }
    let gate = i + 3u * (i / p.hidden) * p.hidden;
    let saved = vec4<f32>(
        gates[gate],
        gates[gate + p.hidden],
        gates[gate + 2u * p.hidden],
        gates[gate + 3u * p.hidden],
    );
    var outside = dh[i];
    if p.parts > 1u {
        outside += second[i];
    }
    if p.parts > 2u {
        outside += third[i];
    }
    var later = 0.0;
    if p.later != 0u {
        later = dc[i];
    }
    let d = gradient_of_state(saved, c[i], next[i], outside, later);
    dz[gate] = d.sums.x;
    dz[gate + p.hidden] = d.sums.y;
    dz[gate + 2u * p.hidden] = d.sums.z;
    dz[gate + 3u * p.hidden] = d.sums.w;
    dc[i] = d.before;
}
