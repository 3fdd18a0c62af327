// Gradient with respect to the attention parameters. CPU: ops/filterbank/cpu.rs. attention, dattention [batch, 5], fx,
// dfx [batch, filters, width], fy, dfy [batch, filters, height], dgamma [batch]; one workgroup per image.
struct Params { batch: u32, filters: u32, height: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> attention: array<f32>;
@group(0) @binding(2) var<storage, read> fx: array<f32>;
@group(0) @binding(3) var<storage, read> fy: array<f32>;
@group(0) @binding(4) var<storage, read> dfx: array<f32>;
@group(0) @binding(5) var<storage, read> dfy: array<f32>;
@group(0) @binding(6) var<storage, read> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read_write> dattention: array<f32>;

fn filter_at(image: u32, at: u32) -> f32 {
    let size = p.filters * p.width;
    if at < size {
        return fx[image * size + at];
    }
    return fy[image * p.filters * p.height + at - size];
}

fn gradient_at(image: u32, at: u32) -> f32 {
    let size = p.filters * p.width;
    if at < size {
        return dfx[image * size + at];
    }
    return dfy[image * p.filters * p.height + at - size];
}

@compute @workgroup_size(256)
fn filterbank_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    let d = gradient_of_grid(image, lane);
    if lane == 0u {
        keep_gradient(image, d.parameters, dgamma[image] * gamma_of(image));
    }
}
