// Philox4x32-10 noise: uniform on [0, 1), standard normal (Box and Muller), or a dropout mask, which is 1 / keep with
// probability keep, else 0. CPU: ops/random/cpu.rs; rng.rs explains the counter and the key. y [n]; one invocation per
// block of four.
struct Params {
    n: u32,
    distribution: u32,
    seed_low: u32,
    seed_high: u32,
    stream: u32,
    step: u32,
    keep: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const NORMAL: u32 = 1u;
const DROPOUT: u32 = 2u;
const MULTIPLIER_0: u32 = 0xd2511f53u;
const MULTIPLIER_1: u32 = 0xcd9e8d57u;
const WEYL_0: u32 = 0x9e3779b9u;
const WEYL_1: u32 = 0xbb67ae85u;

// The upper word of a 64-bit product, from the products of 16-bit halves.
fn high_product(a: u32, b: u32) -> u32 {
    let low_low = (a & 0xffffu) * (b & 0xffffu);
    let low_high = (a & 0xffffu) * (b >> 16u);
    let high_low = (a >> 16u) * (b & 0xffffu);
    let high_high = (a >> 16u) * (b >> 16u);
    let middle = (low_low >> 16u) + (low_high & 0xffffu) + (high_low & 0xffffu);
    return high_high + (low_high >> 16u) + (high_low >> 16u) + (middle >> 16u);
}

// One round; the key of round r is the seed plus r times the Weyl constants.
fn mix(c: vec4<u32>, r: u32) -> vec4<u32> {
    return vec4<u32>(
        high_product(MULTIPLIER_1, c.z) ^ c.y ^ (p.seed_low + r * WEYL_0),
        MULTIPLIER_1 * c.z,
        high_product(MULTIPLIER_0, c.x) ^ c.w ^ (p.seed_high + r * WEYL_1),
        MULTIPLIER_0 * c.x,
    );
}

fn philox(counter: vec4<u32>) -> vec4<u32> {
    var c = mix(counter, 0u);
    c = mix(c, 1u);
    c = mix(c, 2u);
    c = mix(c, 3u);
    c = mix(c, 4u);
    c = mix(c, 5u);
    c = mix(c, 6u);
    c = mix(c, 7u);
    c = mix(c, 8u);
    return mix(c, 9u);
}

// (cos 2 pi u, sin 2 pi u) for u in [0, 1). The reduction to an eighth of a turn is exact.
fn cos_sin_turn(u: f32) -> vec2<f32> {
    let quarter = round(4.0 * u);
    let q = u32(quarter) & 3u;
    let x = (u - 0.25 * quarter) * 6.2831855;
    let z = x * x;
    let s = fma(fma(fma(-1.9515296e-4, z, 8.332161e-3), z, -1.6666655e-1), z * x, x);
    let c = fma(fma(fma(2.4433157e-5, z, -1.3887316e-3), z, 4.1666646e-2), z * z, fma(-0.5, z, 1.0));
    let turned = select(vec2<f32>(c, s), vec2<f32>(s, c), (q & 1u) == 1u);
    return turned * vec2<f32>(select(1.0, -1.0, q == 1u || q == 2u), select(1.0, -1.0, q >= 2u));
}

// Two normals from two uniform numbers: radius sqrt(-2 ln(1 - u)), where 1 - u is in (0, 1].
fn normals(u: f32, turn: f32) -> vec2<f32> {
    return sqrt(-2.0 * log_of(1.0 - u)) * cos_sin_turn(turn);
}

@compute @workgroup_size(256)
fn random(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let block = flat_index(id, groups);
    let first = 4u * block;
    // Return first if the block is past the end: 4 * block could wrap around to a valid index.
    if block > (p.n - 1u) / 4u {
        return;
    }
    let words = philox(vec4<u32>(block, 0u, p.step, p.stream));
    // The upper 24 bits.
    var values = vec4<f32>(words >> vec4<u32>(8u)) * (1.0 / 16777216.0);
    if p.distribution == NORMAL {
        values = vec4<f32>(normals(values.x, values.y), normals(values.z, values.w));
    }
    if p.distribution == DROPOUT {
        values = select(vec4<f32>(0.0), vec4<f32>(1.0 / p.keep), values < vec4<f32>(p.keep));
    }
    y[first] = values.x;
    if first + 1u < p.n { y[first + 1u] = values.y; }
    if first + 2u < p.n { y[first + 2u] = values.z; }
    if first + 3u < p.n { y[first + 3u] = values.w; }
}
