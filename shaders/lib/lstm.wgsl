// The scans of `ops/lstm_scan.rs`. u, gates [batch, height, width, 4 hidden] (gates stacked o, f, i, g),
// h, c [batch, height, width, hidden], s [neighbours, hidden, 4 hidden], c0 [hidden].
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    hidden: u32,
    order: u32,
    step: u32,
    row: u32,
    column: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

const ROWS: u32 = 0u;
const DIAGONAL: u32 = 1u;
