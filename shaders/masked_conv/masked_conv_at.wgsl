// y at pixel (row, column) of every image, in place; the rest of y is unchanged. CPU: ops/masked_conv/cpu.rs; one
// invocation per output channel of an image.
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn masked_conv_at(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = flat_index(id, groups);
    if n >= p.batch * p.outputs {
        return;
    }
    let image = n / p.outputs;
    let output = n - image * p.outputs;
    let pixel = (image * p.height + p.row) * p.width + p.column;
    let at = place_of(pixel);
    var sum = 0.0;
    for (var tap = 0u; tap < p.taps; tap++) {
        let neighbour = seen(at, offset_of(tap));
        if neighbour < 0 {
            continue;
        }
        let source = u32(neighbour) * p.inputs;
        let weight = tap * p.inputs * p.outputs + output;
        for (var i = 0u; i < p.inputs; i++) {
            sum = fma(shown(x[source + i]), weights[weight + i * p.outputs], sum);
        }
    }
    if p.has_bias != 0u {
        sum += bias[output];
    }
    if p.relu_after != 0u {
        sum = relu(sum);
    }
    if p.has_residual != 0u {
        sum += residual[pixel * p.outputs + output];
    }
    y[pixel * p.outputs + output] = sum;
}
