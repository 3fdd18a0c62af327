// Convolution over the taps of a window (`ops/masked_conv/mod.rs`). Maps [batch, height, width, channels],
// weights [taps, inputs, outputs]; tap t is t / across rows below `top`, t % across columns right of
// `left`, relative to the pixel that is computed.
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    inputs: u32,
    outputs: u32,
    taps: u32,
    across: u32,
    top: i32,
    left: i32,
    relu_before: u32,
    relu_after: u32,
    has_bias: u32,
    has_residual: u32,
    row: u32,
    column: u32,
    chunk: u32,
    groups: u32,
    stack: u32,
    own: u32,
    wide_tiles: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

fn pixels() -> u32 {
    return p.batch * p.height * p.width;
}

// A pixel: its index over all images, and its position in its image. Pixels beyond the last are outside every image.
struct Place { index: i32, row: i32, column: i32 }

fn place_of(pixel: u32) -> Place {
    if pixel >= pixels() {
        return Place(0, -0x1000000, 0);
    }
    let row = pixel / p.width;
    return Place(i32(pixel), i32(row % p.height), i32(pixel - row * p.width));
}

// Offset (rows, columns) from a pixel to the one that tap t reads.
fn offset_of(t: u32) -> vec2<i32> {
    let row = t / p.across;
    return vec2<i32>(p.top + i32(row), p.left + i32(t - row * p.across));
}

// Index over all images of the pixel at an offset; -1 outside the image.
fn seen(at: Place, offset: vec2<i32>) -> i32 {
    if u32(at.row + offset.x) < p.height && u32(at.column + offset.y) < p.width {
        return at.index + offset.x * i32(p.width) + offset.y;
    }
    return -1;
}

// max(x, 0); NaN stays NaN.
fn relu(x: f32) -> f32 {
    return select(0.0, x, x > 0.0 || is_nan(x));
}

fn relu_fours(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(relu(x.x), relu(x.y), relu(x.z), relu(x.w));
}

// x after the ReLU that precedes the convolution, if there is one.
fn shown(x: f32) -> f32 {
    return select(x, relu(x), p.relu_before != 0u);
}

fn shown_fours(x: vec4<f32>) -> vec4<f32> {
    return select(x, relu_fours(x), p.relu_before != 0u);
}

// Number of leading inputs of the last tap that any output of a tile from `start` reads. The mask hides the others,
// whose weights are 0 (`ops/masked_conv/window.rs`).
fn inputs_seen(start: u32, side: u32) -> u32 {
    if p.groups <= 1u {
        return p.inputs;
    }
    let last = min(start + side, p.outputs) - 1u;
    // A tile that spans several stacked maps includes channels of the last group.
    let whole = start / p.stack == last / p.stack;
    let group = select(p.groups - 1u, last % p.stack * p.groups / p.stack, whole);
    return min(((group + p.own) * p.inputs + p.groups - 1u) / p.groups, p.inputs);
}

// Number of leading outputs that read none of the inputs from `start` on in the last tap.
fn outputs_blind(start: u32) -> u32 {
    if p.groups <= 1u || p.stack < p.outputs {
        return 0u;
    }
    let group = start * p.groups / p.inputs + 1u - p.own;
    return min((group * p.outputs + p.groups - 1u) / p.groups, p.outputs);
}

// The tile (x across, y down) of side x side that a workgroup computes, of a matrix with this number of columns. The
// grid of workgroups is two-dimensional only because a dimension is limited.
fn tile_of(group: vec3<u32>, groups: vec3<u32>, columns: u32, side: u32) -> vec2<u32> {
    let flat = group.x + group.y * groups.x;
    let across = (columns + side - 1u) / side;
    let down = flat / across;
    return vec2<u32>(flat - down * across, down);
}
