// Products in tiles of 64 x 64, 16 deep, of which each of 256 invocations makes 4 x 4, or of 128 x 128,
// 8 deep, of which each makes four times 4 x 4: twice the products for each number read from workgroup
// memory. A tile holds, for each k, 16 (32) vectors of four neighbours along a side; one more keeps
// invocations side by side off each other's banks.
const PITCH: u32 = 17u;
const WIDE_PITCH: u32 = 33u;
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

// Adds the product of the tiles to rows 4 row.. and columns 4 column...
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

// The sums of an invocation of a wide tile: at rows 4 row.. and, below, 64 + 4 row.., of columns 4 column..
// and, to the right, 64 + 4 column...
fn add_wide_product(
    top_left: ptr<function, Block>,
    top_right: ptr<function, Block>,
    below_left: ptr<function, Block>,
    below_right: ptr<function, Block>,
    k: u32,
    row: u32,
    column: u32,
) {
    let top = a_tile[k * WIDE_PITCH + row];
    let below = a_tile[k * WIDE_PITCH + 16u + row];
    let left = b_tile[k * WIDE_PITCH + column];
    let right = b_tile[k * WIDE_PITCH + 16u + column];
    add_outer(top_left, top, left);
    add_outer(top_right, top, right);
    add_outer(below_left, below, left);
    add_outer(below_right, below, right);
}

fn add_wide_tile(
    top_left: ptr<function, Block>,
    top_right: ptr<function, Block>,
    below_left: ptr<function, Block>,
    below_right: ptr<function, Block>,
    row: u32,
    column: u32,
) {
    add_wide_product(top_left, top_right, below_left, below_right, 0u, row, column);
    add_wide_product(top_left, top_right, below_left, below_right, 1u, row, column);
    add_wide_product(top_left, top_right, below_left, below_right, 2u, row, column);
    add_wide_product(top_left, top_right, below_left, below_right, 3u, row, column);
    add_wide_product(top_left, top_right, below_left, below_right, 4u, row, column);
    add_wide_product(top_left, top_right, below_left, below_right, 5u, row, column);
    add_wide_product(top_left, top_right, below_left, below_right, 6u, row, column);
    add_wide_product(top_left, top_right, below_left, below_right, 7u, row, column);
}
