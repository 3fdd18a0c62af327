// tally[0] = 1 if a number of x [n] is infinite or NaN. Its exponent bits tell, because compilers may assume
// that comparisons never see such numbers. Several invocations may store, so the store is atomic: it stores the bits of
// 1.0. CPU: ops/finite/cpu.rs. tally [4].
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> tally_atomics: array<atomic<u32>>;

const ONE_BITS: u32 = 0x3f800000u;

@compute @workgroup_size(256)
fn mark(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i < p.n && (bitcast<u32>(x[i]) & 0x7f800000u) == 0x7f800000u {
        atomicStore(&tally_atomics[0], ONE_BITS);
    }
}
