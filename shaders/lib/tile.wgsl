// Products in tiles of 64 x 64, 16 terms at a time, where each of 256 invocations computes 4 x 4 elements; or in wide
// tiles of 128 x 128, 8 terms at a time, where each computes four blocks of 4 x 4, with twice the products per number
// read from workgroup memory. For each k, a tile has 16 (32) vectors of four adjacent elements, padded by one vector to
// avoid bank conflicts.
const PITCH: u32 = 17u;
const WIDE_PITCH: u32 = 33u;
const FOURS_PITCH: u32 = 132u;
var<workgroup> a_tile: array<vec4<f32>, 272>;
var<workgroup> b_tile: array<vec4<f32>, 272>;

struct Block { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }

fn no_sum() -> Block {
    return Block(vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0));
}

// Adds the outer product of four elements of a column of A and four of a row of B.
fn add_outer(sum: ptr<function, Block>, x: vec4<f32>, y: vec4<f32>) {
    (*sum).r0 = fma(vec4<f32>(x.x), y, (*sum).r0);
    (*sum).r1 = fma(vec4<f32>(x.y), y, (*sum).r1);
    (*sum).r2 = fma(vec4<f32>(x.z), y, (*sum).r2);
    (*sum).r3 = fma(vec4<f32>(x.w), y, (*sum).r3);
}

fn add_product(sum: ptr<function, Block>, k: u32, row: u32, column: u32) {
    add_outer(sum, a_tile[k * PITCH + row], b_tile[k * PITCH + column]);
}

// Adds the product of the tiles to the block of rows from 4 row and columns from 4 column.
fn add_tile(sum: ptr<function, Block>, row: u32, column: u32) {
    add_product(sum, 0u, row, column);
    add_product(sum, 1u, row, column);
    add_product(sum, 2u, row, column);
    add_product(sum, 3u, row, column);
    add_product(sum, 4u, row, column);
    add_product(sum, 5u, row, column);
    add_product(sum, 6u, row, column);
    add_product(sum, 7u, row, column);
    add_product(sum, 8u, row, column);
    add_product(sum, 9u, row, column);
    add_product(sum, 10u, row, column);
    add_product(sum, 11u, row, column);
    add_product(sum, 12u, row, column);
    add_product(sum, 13u, row, column);
    add_product(sum, 14u, row, column);
    add_product(sum, 15u, row, column);
}

// The row and column of an invocation among 16 x 16, chosen so that 32 invocations that run together (a warp) read only
// 4 vectors of one tile and 8 of the other.
fn spot_of(lane: u32) -> vec2<u32> {
    return vec2<u32>(lane / 64u * 4u + lane / 8u % 4u, lane / 32u % 2u * 8u + lane % 8u);
}

// Adds the products of column k of a wide A, given as two vectors of rows, with row k of B: columns from 4 column and,
// to the right, from 64 + 4 column.
fn add_wide_product(
    top_left: ptr<function, Block>,
    top_right: ptr<function, Block>,
    below_left: ptr<function, Block>,
    below_right: ptr<function, Block>,
    top: vec4<f32>,
    below: vec4<f32>,
    k: u32,
    column: u32,
) {
    let left = b_tile[k * WIDE_PITCH + column];
    let right = b_tile[k * WIDE_PITCH + 16u + column];
    add_outer(top_left, top, left);
    add_outer(top_right, top, right);
    add_outer(below_left, below, left);
    add_outer(below_right, below, right);
}

// For an A stored like B, in vectors of four adjacent rows: rows from 4 row and, below, from 64 + 4 row.
fn add_wide_tile(
    top_left: ptr<function, Block>,
    top_right: ptr<function, Block>,
    below_left: ptr<function, Block>,
    below_right: ptr<function, Block>,
    row: u32,
    column: u32,
) {
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[0u * WIDE_PITCH + row], a_tile[0u * WIDE_PITCH + 16u + row], 0u, column);
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[1u * WIDE_PITCH + row], a_tile[1u * WIDE_PITCH + 16u + row], 1u, column);
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[2u * WIDE_PITCH + row], a_tile[2u * WIDE_PITCH + 16u + row], 2u, column);
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[3u * WIDE_PITCH + row], a_tile[3u * WIDE_PITCH + 16u + row], 3u, column);
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[4u * WIDE_PITCH + row], a_tile[4u * WIDE_PITCH + 16u + row], 4u, column);
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[5u * WIDE_PITCH + row], a_tile[5u * WIDE_PITCH + 16u + row], 5u, column);
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[6u * WIDE_PITCH + row], a_tile[6u * WIDE_PITCH + 16u + row], 6u, column);
    add_wide_product(top_left, top_right, below_left, below_right, a_tile[7u * WIDE_PITCH + row], a_tile[7u * WIDE_PITCH + 16u + row], 7u, column);
}

// For an A in vectors of four adjacent k, as in memory, with 128 rows for each half of the eight k: rows row,
// 16 + row, 32 + row, 48 + row and, below, the same plus 64.
fn add_wide_fours(
    top_left: ptr<function, Block>,
    top_right: ptr<function, Block>,
    below_left: ptr<function, Block>,
    below_right: ptr<function, Block>,
    half: u32,
    row: u32,
    column: u32,
) {
    let first = half * FOURS_PITCH + row;
    let a = a_tile[first];
    let b = a_tile[first + 16u];
    let c = a_tile[first + 32u];
    let d = a_tile[first + 48u];
    let e = a_tile[first + 64u];
    let f = a_tile[first + 80u];
    let g = a_tile[first + 96u];
    let h = a_tile[first + 112u];
    let k = 4u * half;
    add_wide_product(
        top_left, top_right, below_left, below_right,
        vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(e.x, f.x, g.x, h.x), k + 0u, column,
    );
    add_wide_product(
        top_left, top_right, below_left, below_right,
        vec4<f32>(a.y, b.y, c.y, d.y), vec4<f32>(e.y, f.y, g.y, h.y), k + 1u, column,
    );
    add_wide_product(
        top_left, top_right, below_left, below_right,
        vec4<f32>(a.z, b.z, c.z, d.z), vec4<f32>(e.z, f.z, g.z, h.z), k + 2u, column,
    );
    add_wide_product(
        top_left, top_right, below_left, below_right,
        vec4<f32>(a.w, b.w, c.w, d.w), vec4<f32>(e.w, f.w, g.w, h.w), k + 3u, column,
    );
}
