// The four gates of an LSTM in tiles of 16 rows x 16 units, 16 terms at a time; an invocation computes the four gates
// of one unit of a row. For each k, the tiles hold 16 rows and the weights of 16 units, padded by one to avoid bank
// conflicts.
const PITCH: u32 = 17u;
var<workgroup> row_tile: array<f32, 272>;
var<workgroup> gate_tile: array<vec4<f32>, 272>;

fn add_four(sums: vec4<f32>, k: u32, row: u32, unit: u32) -> vec4<f32> {
    var total = fma(vec4<f32>(row_tile[k * PITCH + row]), gate_tile[k * PITCH + unit], sums);
    total = fma(vec4<f32>(row_tile[(k + 1u) * PITCH + row]), gate_tile[(k + 1u) * PITCH + unit], total);
    total = fma(vec4<f32>(row_tile[(k + 2u) * PITCH + row]), gate_tile[(k + 2u) * PITCH + unit], total);
    return fma(vec4<f32>(row_tile[(k + 3u) * PITCH + row]), gate_tile[(k + 3u) * PITCH + unit], total);
}

// Adds the product of the two tiles.
fn add_tile(sums: vec4<f32>, row: u32, unit: u32) -> vec4<f32> {
    var total = add_four(sums, 0u, row, unit);
    total = add_four(total, 4u, row, unit);
    total = add_four(total, 8u, row, unit);
    return add_four(total, 12u, row, unit);
}
