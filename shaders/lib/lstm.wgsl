// The scans of `ops/lstm_scan/mod.rs`. u, gates [batch, height, width, 4 hidden] (gates stacked o, f, i, g),
// h, c [batch, height, width, hidden], s [neighbours, hidden, 4 hidden], c0 [hidden].
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    hidden: u32,
    order: u32,
    neighbours: u32,
    step: u32,
    row: u32,
    column: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

const ROWS: u32 = 0u;
const DIAGONAL: u32 = 1u;

// Offset (rows, columns) from a cell to its neighbour n.
fn offset_of(n: u32) -> vec2<i32> {
    if p.order == ROWS {
        return vec2<i32>(-1, i32(n) - i32(p.neighbours / 2u));
    }
    if n == 0u {
        return vec2<i32>(-1, 0);
    }
    return vec2<i32>(0, select(1, -1, p.order == DIAGONAL));
}

// Offset from a cell to the one whose c is its input: the middle neighbour of a row, or the second of two.
fn offset_before() -> vec2<i32> {
    return offset_of(p.neighbours / 2u);
}

// A cell of image `image`.
struct Cell { image: u32, row: i32, column: i32 }

// Index over all images of the cell at an offset; -1 outside the image.
fn seen(cell: Cell, offset: vec2<i32>) -> i32 {
    let row = cell.row + offset.x;
    let column = cell.column + offset.y;
    if u32(row) < p.height && u32(column) < p.width {
        return (i32(cell.image * p.height) + row) * i32(p.width) + column;
    }
    return -1;
}

// The first row of the step's diagonal (0 for a row), and the number of its cells in an image.
fn step_span() -> vec2<u32> {
    if p.order == ROWS {
        return vec2<u32>(0u, p.width);
    }
    let first = max(p.step + 1u, p.width) - p.width;
    return vec2<u32>(first, min(p.height, p.step + 1u) - first);
}

// Cell i of the step, counted over all images. Beyond the last it is a cell outside the image.
fn cell_of(i: u32, span: vec2<u32>) -> Cell {
    let image = i / span.y;
    if image >= p.batch {
        return Cell(0u, -0x1000000, 0);
    }
    let along = i - image * span.y;
    if p.order == ROWS {
        return Cell(image, i32(p.step), i32(along));
    }
    let row = span.x + along;
    let column = p.step - row;
    return Cell(image, i32(row), i32(select(p.width - 1u - column, column, p.order == DIAGONAL)));
}
