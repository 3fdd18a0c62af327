// Gaussian filterbanks (`ops/filterbank/mod.rs`), with the formulas of ops/filterbank/cpu.rs. The bank of an image
// has 2 N rows, FX [filters, width], then FY [filters, height]; 16 invocations compute a row. The shader
// defines filters, height and width in `p`, and `attention`, where `attention_start` is the index of an image's five
// parameters.

// Limit of centres and distances, in pixels: far outside any image, but its square fits single precision.
const FAR: f32 = 1e9;
// Limit of 1 / sigma^2; such a filter selects one pixel.
const SHARP: f32 = 1e18;

// clamp; NaN stays NaN.
fn limited(x: f32, low: f32, high: f32) -> f32 {
    return select(clamp(x, low, high), x, is_nan(x));
}

// The filter grid of an image, computed from its five parameters.
struct Grid {
    // gX, gY, in pixels counted from 1.
    centre: vec2<f32>,
    // (A + 1) / 2, (B + 1) / 2.
    scale: vec2<f32>,
    delta: f32,
    // 1 / 2 sigma^2.
    sharpness: f32,
}

fn grid_of(image: u32) -> Grid {
    let at = attention_start(image);
    let scale = vec2<f32>((f32(p.width) + 1.0) / 2.0, (f32(p.height) + 1.0) / 2.0);
    let steps = f32(max(p.filters, 2u)) - 1.0;
    let apart = (f32(max(p.height, p.width)) - 1.0) / steps;
    return Grid(
        vec2<f32>(
            limited(scale.x * (attention[at] + 1.0), -FAR, FAR),
            limited(scale.y * (attention[at + 1u] + 1.0), -FAR, FAR),
        ),
        scale,
        limited(apart * limited(exp_of(attention[at + 3u]), 0.0, FAR), 0.0, FAR),
        0.5 * limited(exp_of(-attention[at + 2u]), 0.0, SHARP),
    );
}

fn gamma_of(image: u32) -> f32 {
    return exp_of(attention[attention_start(image) + 4u]);
}

// A row of the bank: a filter of FX, or of FY if `down`.
struct Row {
    down: bool,
    length: u32,
    // Offset in the bank.
    start: u32,
    // i - N / 2 - 1/2 of equations 19 and 20.
    offset: f32,
    mu: f32,
    // The pixel nearest to mu.
    nearest: f32,
}

// Row `number` of a bank; beyond the last row, its length is 0.
fn row_of(grid: Grid, number: u32) -> Row {
    let down = number >= p.filters;
    let i = select(number, number - p.filters, down);
    let pixels = select(p.width, p.height, down);
    let offset = f32(i) - 0.5 * (f32(p.filters) - 1.0);
    let mu = limited(select(grid.centre.x, grid.centre.y, down) + offset * grid.delta, -FAR, FAR);
    return Row(
        down,
        select(0u, pixels, number < 2u * p.filters),
        select(0u, p.filters * p.width, down) + i * pixels,
        offset,
        mu,
        limited(round(mu), 1.0, f32(pixels)),
    );
}

var<workgroup> parts: array<vec4<f32>, 256>;

fn sum_of_four(first: u32, step: u32) -> vec4<f32> {
    return (parts[first] + parts[first + step]) + (parts[first + 2u * step] + parts[first + 3u * step]);
}

// The sum over the 16 invocations first, first + step, ... of the workgroup, in a fixed order. All invocations of the
// workgroup must call this together.
fn sum_of_16(value: vec4<f32>, lane: u32, first: u32, step: u32) -> vec4<f32> {
    parts[lane] = value;
    workgroupBarrier();
    let total = (sum_of_four(first, step) + sum_of_four(first + 4u * step, step))
        + (sum_of_four(first + 8u * step, step) + sum_of_four(first + 12u * step, step));
    // Keep `parts` until all invocations have read them.
    workgroupBarrier();
    return total;
}

// The sum over the invocations of equal rank in the 16 teams.
fn sum_across(value: vec4<f32>, lane: u32) -> vec4<f32> {
    return sum_of_16(value, lane, lane & 15u, 16u);
}
