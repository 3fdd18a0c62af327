// The scans of `ops/lstm_scan/mod.rs`. u, gates [batch, height, width, 4 hidden] (gates stacked o, f, i, g),
// h, c [batch, height, width, hidden], s [neighbours, hidden, 4 hidden], c0 [hidden]. In a scan in both
// directions, batch counts each image twice: first for the left-to-right direction, then for the mirrored one. Each
// direction has its own s and c0.
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
    plain: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

const ROWS: u32 = 0u;
const MIRRORED: u32 = 2u;
const BOTH: u32 = 3u;

// Number of images per direction.
fn images() -> u32 {
    return select(p.batch, p.batch / 2u, p.order == BOTH);
}

// Direction of an image: 0, or 1 for the mirrored one of two.
fn direction_of(image: u32) -> u32 {
    return select(0u, 1u, image >= images());
}

fn is_mirrored(image: u32) -> bool {
    return p.order == MIRRORED || direction_of(image) == 1u;
}

// Number of lanes along which c is passed on.
fn edge() -> u32 {
    return select(p.height, p.width, p.order == ROWS);
}

// Offset (rows, columns) from a cell of an image to its neighbour n.
fn offset_of(image: u32, n: u32) -> vec2<i32> {
    if p.order == ROWS {
        return vec2<i32>(-1, i32(n) - i32(p.neighbours / 2u));
    }
    if n == 0u {
        return vec2<i32>(-1, 0);
    }
    return vec2<i32>(0, select(-1, 1, is_mirrored(image)));
}

// Offset from a cell to the one whose c is its input: the middle neighbour of a row, or the second of two.
fn offset_before(image: u32) -> vec2<i32> {
    return offset_of(image, p.neighbours / 2u);
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

// Cell i of the step, counted over all images of a direction. Beyond the last it is a cell outside the image.
fn cell_of(direction: u32, i: u32, span: vec2<u32>) -> Cell {
    let number = i / span.y;
    if number >= images() {
        return Cell(0u, -0x1000000, 0);
    }
    let along = i - number * span.y;
    let image = direction * images() + number;
    if p.order == ROWS {
        return Cell(image, i32(p.step), i32(along));
    }
    let row = span.x + along;
    let column = p.step - row;
    return Cell(image, i32(row), i32(select(column, p.width - 1u - column, is_mirrored(image))));
}
