// Copies six tensors to their places in an arena. For each piece of PIECE numbers, it sums their squares (squares = 1)
// or counts the non-finite ones by their exponents, because compilers may assume that comparisons never see them. One
// workgroup per piece. Reference: ops/flatten/reference.rs.
override PIECE: u32;
struct Params {
    widths_0: u32,
    widths_1: u32,
    widths_2: u32,
    widths_3: u32,
    widths_4: u32,
    widths_5: u32,
    starts_0: u32,
    starts_1: u32,
    starts_2: u32,
    starts_3: u32,
    starts_4: u32,
    starts_5: u32,
    first: u32,
    squares: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x0: array<f32>;
@group(0) @binding(2) var<storage, read> x1: array<f32>;
@group(0) @binding(3) var<storage, read> x2: array<f32>;
@group(0) @binding(4) var<storage, read> x3: array<f32>;
@group(0) @binding(5) var<storage, read> x4: array<f32>;
@group(0) @binding(6) var<storage, read> x5: array<f32>;
@group(0) @binding(7) var<storage, read_write> arena: array<f32>;
@group(0) @binding(8) var<storage, read_write> sums: array<f32>;

fn width_of(part: u32) -> u32 {
    switch part {
        case 0u: { return p.widths_0; }
        case 1u: { return p.widths_1; }
        case 2u: { return p.widths_2; }
        case 3u: { return p.widths_3; }
        case 4u: { return p.widths_4; }
        default: { return p.widths_5; }
    }
}

fn start_of(part: u32) -> u32 {
    switch part {
        case 0u: { return p.starts_0; }
        case 1u: { return p.starts_1; }
        case 2u: { return p.starts_2; }
        case 3u: { return p.starts_3; }
        case 4u: { return p.starts_4; }
        default: { return p.starts_5; }
    }
}

fn value_of(part: u32, i: u32) -> f32 {
    switch part {
        case 0u: { return x0[i]; }
        case 1u: { return x1[i]; }
        case 2u: { return x2[i]; }
        case 3u: { return x3[i]; }
        case 4u: { return x4[i]; }
        default: { return x5[i]; }
    }
}

@compute @workgroup_size(256)
fn flatten(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = id.x + id.y * groups.x;
    // The part that has this piece, and the number of the piece within it.
    var part = 0u;
    var piece = number;
    for (; part < 6u; part++) {
        let pieces = (width_of(part) + PIECE - 1u) / PIECE;
        if piece < pieces {
            break;
        }
        piece -= pieces;
    }
    if part == 6u {
        return;
    }
    let width = width_of(part);
    let start = start_of(part);
    var sum = 0.0;
    for (var j = 0u; j < PIECE; j += 256u) {
        let i = piece * PIECE + j + lane;
        if i < width {
            let x = value_of(part, i);
            arena[start + i] = x;
            let broken = (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u;
            sum += select(select(0.0, 1.0, broken), x * x, p.squares != 0u);
        }
    }
    let total = row_sum(sum, lane);
    if lane == 0u {
        sums[p.first + number] = total;
    }
}
