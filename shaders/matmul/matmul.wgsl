// C = act(A B + bias), batched. CPU: ops/matmul/cpu.rs and cpu/gemm/. A [m, k], B [k, n], bias [n],
// C [m, n]. Operands have any strides, so transposed ones are read in place.
//
// A workgroup computes a tile of C. Tiles of A and B, 16 or 32 terms deep, are in workgroup memory while
// the next ones are loaded into registers. If C has few tiles and k is long, k is split into pieces
// of `chunk` (split-K): each workgroup writes the sum over its piece to `partial` [batch, pieces, m, n], and
// a second dispatch adds the pieces in a fixed order.
override LARGE_TILE: u32;
override SMALL_TILE: u32;
struct Params {
    m: u32,
    n: u32,
    k: u32,
    batch: u32,
    stride_a: vec2<u32>,
    stride_b: vec2<u32>,
    batch_a: u32,
    batch_b: u32,
    has_bias: u32,
    activation: u32,
    chunk: u32,
    zeros: u32,
    large: u32,
    unused: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
// A and B again, in vectors; an entry point may not use two views of one binding.
@group(0) @binding(4) var<storage, read> a_fours: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> b_fours: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> c: array<f32>;
@group(0) @binding(7) var<storage, read_write> partial: array<f32>;

fn pieces() -> u32 {
    return (p.k + p.chunk - 1u) / p.chunk;
}

// An element of C from its sum x: act(x + bias).
fn finish(x: f32, column: u32) -> f32 {
    var y = x;
    if p.has_bias != 0u {
        y += bias[column];
    }
    switch p.activation {
        case 1u: { return tanh_of(y); }
        case 2u: { return sigmoid(y); }
        case 3u: { return select(0.0, y, y > 0.0 || is_nan(y)); }
        default: { return y; }
    }
}

// The tile of C (x across, y down) and the layer z (product and piece) that a workgroup computes. The grid is
// two-dimensional only because a dimension is limited to 65,535 workgroups.
fn tile_of(group: vec3<u32>, groups: vec3<u32>, side: u32) -> vec3<u32> {
    let flat = group.x + group.y * groups.x;
    let across = (p.n + side - 1u) / side;
    let down = (p.m + side - 1u) / side;
    let row = flat / across;
    return vec3<u32>(flat - row * across, row % down, row / down);
}

// The work of layer z: k in first..last of one product of the batch.
struct Slice { a: u32, b: u32, first: u32, last: u32 }

fn slice_of(z: u32) -> Slice {
    let product = z / max(pieces(), 1u);
    let first = (z - product * max(pieces(), 1u)) * p.chunk;
    return Slice(product * p.batch_a, product * p.batch_b, first, min(first + p.chunk, p.k));
}

// An element of A, 0 outside.
fn a_at(s: Slice, row: u32, k: u32) -> f32 {
    if row < p.m && k < s.last {
        return a[s.a + row * p.stride_a.x + k * p.stride_a.y];
    }
    return 0.0;
}

// An element of B, 0 outside.
fn b_at(s: Slice, k: u32, column: u32) -> f32 {
    if k < s.last && column < p.n {
        return b[s.b + k * p.stride_b.x + column * p.stride_b.y];
    }
    return 0.0;
}

fn store(z: u32, row: u32, column: u32, value: f32) {
    if row >= p.m || column >= p.n {
        return;
    }
    let at = (z * p.m + row) * p.n + column;
    if pieces() > 1u {
        partial[at] = value;
    } else {
        c[at] = finish(value, column);
    }
}

// For products with many tiles: 64 x 64 (`lib/tile.wgsl`).
fn four_of_a(s: Slice, row: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(a_at(s, row, k), a_at(s, row + 1u, k), a_at(s, row + 2u, k), a_at(s, row + 3u, k));
}

fn four_of_b(s: Slice, k: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(b_at(s, k, column), b_at(s, k, column + 1u), b_at(s, k, column + 2u), b_at(s, k, column + 3u));
}

// Whether four rows of A or four columns of B, starting at a multiple of four, are one vector in memory. `length` is
// the number of rows or columns, `stride` is that of the row or column and that of k, and `next` leads to the next matrix.
fn are_vectors(length: u32, stride: vec2<u32>, next: u32) -> bool {
    return stride.x == 1u && (length | stride.y | next) % 4u == 0u;
}

fn vector_of_a(s: Slice, row: u32, k: u32) -> vec4<f32> {
    if !are_vectors(p.m, p.stride_a, p.batch_a) {
        return four_of_a(s, row, k);
    }
    if row < p.m && k < s.last {
        return a_fours[(s.a + row + k * p.stride_a.y) / 4u];
    }
    return vec4<f32>(0.0);
}

fn vector_of_b(s: Slice, k: u32, column: u32) -> vec4<f32> {
    if !are_vectors(p.n, p.stride_b.yx, p.batch_b) {
        return four_of_b(s, k, column);
    }
    if k < s.last && column < p.n {
        return b_fours[(s.b + k * p.stride_b.x + column) / 4u];
    }
    return vec4<f32>(0.0);
}

fn store_four(z: u32, row: u32, column: u32, values: vec4<f32>) {
    store(z, row, column, values.x);
    store(z, row, column + 1u, values.y);
    store(z, row, column + 2u, values.z);
    store(z, row, column + 3u, values.w);
}

@compute @workgroup_size(256)
fn matmul_64(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = tile_of(id, groups, LARGE_TILE);
    if group.z >= p.batch * max(pieces(), 1u) {
        return;
    }
    let slow = lane / 16u;
    let fast = lane % 16u;
    let s = slice_of(group.z);
    // Adjacent invocations load along k where that is how the operand lies in memory.
    let a_k = select(slow, fast, p.stride_a.y == 1u);
    let a_four = select(fast, slow, p.stride_a.y == 1u);
    let b_k = select(slow, fast, p.stride_b.x == 1u);
    let b_four = select(fast, slow, p.stride_b.x == 1u);
    let row = group.y * LARGE_TILE + 4u * a_four;
    let column = group.x * LARGE_TILE + 4u * b_four;

    var sum = no_sum();
    var next_a = vector_of_a(s, row, s.first + a_k);
    var next_b = vector_of_b(s, s.first + b_k, column);
    for (var k = s.first; k < s.last; k += 16u) {
        a_tile[a_k * PITCH + a_four] = next_a;
        b_tile[b_k * PITCH + b_four] = next_b;
        workgroupBarrier();
        next_a = vector_of_a(s, row, k + 16u + a_k);
        next_b = vector_of_b(s, k + 16u + b_k, column);
        add_tile(&sum, slow, fast);
        workgroupBarrier();
    }
    let top = group.y * LARGE_TILE + 4u * slow;
    let left = group.x * LARGE_TILE + 4u * fast;
    store_four(group.z, top, left, sum.r0);
    store_four(group.z, top + 1u, left, sum.r1);
    store_four(group.z, top + 2u, left, sum.r2);
    store_four(group.z, top + 3u, left, sum.r3);
}

// For products with few tiles: 32 x 32 (`lib/team_tile.wgsl`).
@compute @workgroup_size(256)
fn matmul_32(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = tile_of(id, groups, SMALL_TILE);
    if group.z >= p.batch * max(pieces(), 1u) {
        return;
    }
    let s = slice_of(group.z);
    // Adjacent invocations load along k where that is how the operand lies in memory.
    let a_k = select(lane / 8u, lane % 32u, p.stride_a.y == 1u);
    let a_four = select(lane % 8u, lane / 32u, p.stride_a.y == 1u);
    let b_k = select(lane / 8u, lane % 32u, p.stride_b.x == 1u);
    let b_four = select(lane % 8u, lane / 32u, p.stride_b.x == 1u);
    let row = group.y * SMALL_TILE + 4u * a_four;
    let column = group.x * SMALL_TILE + 4u * b_four;

    var sum = no_team_sum();
    var next_a = four_of_a(s, row, s.first + a_k);
    var next_b = four_of_b(s, s.first + b_k, column);
    for (var k = s.first; k < s.last; k += 32u) {
        team_tile[a_k * TEAM_PITCH + a_four] = next_a;
        team_tile[TEAM_B + b_k * TEAM_PITCH + b_four] = next_b;
        workgroupBarrier();
        next_a = four_of_a(s, row, k + 32u + a_k);
        next_b = four_of_b(s, k + 32u + b_k, column);
        add_team_tile(&sum, lane);
        workgroupBarrier();
    }
    let total = sum_of_teams(&sum, lane);
    store_four(group.z, group.y * SMALL_TILE + lane / 8u, group.x * SMALL_TILE + 4u * (lane % 8u), total);
}

// Adds the pieces of split-K; one invocation per element of C.
@compute @workgroup_size(256)
fn add_pieces(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    let size = p.m * p.n;
    if i >= p.batch * size {
        return;
    }
    let product = i / size;
    let at = product * pieces() * size + (i - product * size);
    var sum = 0.0;
    for (var piece = 0u; piece < pieces(); piece++) {
        sum += partial[at + piece * size];
    }
    c[i] = finish(sum, i % p.n);
}
