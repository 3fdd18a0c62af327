// Draws the pixels from p.from to before p.to of every image, in raster order: the steps of a network, recorded in
// `table`, at one pixel after another. Barriers separate dependent steps. One workgroup per image.
// `ops/sampling/mod.rs` has the table's layout. Reference: ops/sampling/reference.rs. x, u [batch, pixels, channels],
// known [pixels], given [batch, p.given], maps [batch, p.maps].
override WORDS: u32;
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    channels: u32,
    levels: u32,
    mean: f32,
    std_dev: f32,
    features: u32,
    logits: u32,
    scans: u32,
    from_pixel: u32,
    to_pixel: u32,
    maps: u32,
    given: u32,
    logits_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> given: array<f32>;
@group(0) @binding(4) var<storage, read> u: array<f32>;
@group(0) @binding(5) var<storage, read> known: array<f32>;
@group(0) @binding(6) var<storage, read_write> x: array<f32>;
@group(0) @binding(7) var<storage, read_write> maps: array<f32>;

const CONV: u32 = 0u;
const IN_IMAGE: i32 = 0;
const IN_GIVEN: i32 = 1;
const ROWS: u32 = 0u;
const MIRRORED: u32 = 2u;

// Partial sums of a convolution's outputs.
var<workgroup> parts: array<f32, 256>;

struct Place { image: u32, row: u32, column: u32 }

// Entry `entry` of a step.
fn signed(step: u32, entry: u32) -> i32 {
    return i32(table[step * WORDS + entry]);
}

fn number(step: u32, entry: u32) -> u32 {
    return u32(signed(step, entry));
}

fn value(space: i32, image: u32, at: u32) -> f32 {
    if space == IN_IMAGE {
        return x[image * p.height * p.width * p.channels + at];
    }
    if space == IN_GIVEN {
        return given[image * p.given + at];
    }
    return maps[image * p.maps + at];
}

// Index of the pixel at an offset (rows, columns) in its image; -1 outside the image.
fn seen(place: Place, offset: vec2<i32>) -> i32 {
    let row = i32(place.row) + offset.x;
    let column = i32(place.column) + offset.y;
    if u32(row) < p.height && u32(column) < p.width {
        return row * i32(p.width) + column;
    }
    return -1;
}

fn relu(x: f32) -> f32 {
    return select(0.0, x, x > 0.0 || is_nan(x));
}

// Every `members`-th term of an output's sum.
fn part_of(step: u32, place: Place, output: u32, member: u32, members: u32) -> f32 {
    let space = signed(step, 1u);
    let source = number(step, 2u);
    let inputs = number(step, 3u);
    let outputs = number(step, 5u);
    let taps = number(step, 6u);
    let across = number(step, 7u);
    let top = signed(step, 8u);
    let left = signed(step, 9u);
    let relu_before = number(step, 10u) != 0u;
    let start = number(step, 12u);
    var sum = 0.0;
    for (var term = member; term < taps * inputs; term += members) {
        let tap = term / inputs;
        let down = tap / across;
        let neighbour = seen(place, vec2<i32>(top + i32(down), left + i32(tap - down * across)));
        if neighbour >= 0 {
            let v = value(space, place.image, source + u32(neighbour) * inputs + term - tap * inputs);
            sum = fma(select(v, relu(v), relu_before), weights[start + term * outputs + output], sum);
        }
    }
    return sum;
}

fn convolve(step: u32, place: Place, lane: u32) {
    let outputs = number(step, 5u);
    // `members` invocations share an output.
    let members = number(step, 16u);
    let at_once = 256u / members;
    let member = lane / at_once;
    let pixel = place.row * p.width + place.column;
    for (var first = 0u; first < outputs; first += at_once) {
        let output = first + lane % at_once;
        var sum = 0.0;
        if output < outputs {
            sum = part_of(step, place, output, member, members);
        }
        parts[lane] = sum;
        workgroupBarrier();
        if lane < at_once && output < outputs {
            for (var i = 1u; i < members; i++) {
                sum += parts[lane + i * at_once];
            }
            if signed(step, 13u) >= 0 {
                sum += weights[number(step, 13u) + output];
            }
            if number(step, 11u) != 0u {
                sum = relu(sum);
            }
            if signed(step, 14u) >= 0 {
                sum += value(signed(step, 14u), place.image, number(step, 15u) + pixel * outputs + output);
            }
            maps[place.image * p.maps + number(step, 4u) + pixel * outputs + output] = sum;
        }
        workgroupBarrier();
    }
}

// Offset to neighbour n of a cell.
fn offset_of(order: u32, neighbours: u32, n: u32) -> vec2<i32> {
    if order == ROWS {
        return vec2<i32>(-1, i32(n) - i32(neighbours / 2u));
    }
    if n == 0u {
        return vec2<i32>(-1, 0);
    }
    return vec2<i32>(0, select(-1, 1, order == MIRRORED));
}

// The state of an LSTM's cell, one channel per invocation.
fn remember(step: u32, place: Place, lane: u32) {
    let base = place.image * p.maps;
    let gates = base + number(step, 1u);
    let h = base + number(step, 2u);
    let c = base + number(step, 3u);
    let hidden = number(step, 4u);
    let order = number(step, 5u);
    let neighbours = number(step, 6u);
    let s = number(step, 7u);
    let pixel = place.row * p.width + place.column;
    for (var channel = lane; channel < hidden; channel += 256u) {
        let gate = gates + 4u * pixel * hidden + channel;
        var sums = vec4<f32>(maps[gate], maps[gate + hidden], maps[gate + 2u * hidden], maps[gate + 3u * hidden]);
        for (var n = 0u; n < neighbours; n++) {
            let source = seen(place, offset_of(order, neighbours, n));
            if source < 0 {
                continue;
            }
            for (var k = 0u; k < hidden; k++) {
                let at = s + 4u * (n * hidden + k) * hidden + channel;
                let w = vec4<f32>(weights[at], weights[at + hidden], weights[at + 2u * hidden], weights[at + 3u * hidden]);
                sums = fma(vec4<f32>(maps[h + u32(source) * hidden + k]), w, sums);
            }
        }
        var before = weights[number(step, 8u) + channel];
        let source = seen(place, offset_of(order, neighbours, neighbours / 2u));
        if source >= 0 {
            before = maps[c + u32(source) * hidden + channel];
        }
        let state = state_of(sums, before);
        maps[c + pixel * hidden + channel] = state.c;
        maps[h + pixel * hidden + channel] = state.h;
    }
}

// Steps from `first` to before `end`, at one pixel.
fn run(first: u32, end: u32, place: Place, lane: u32) {
    for (var step = first; step < end; step++) {
        if number(step, 0u) == CONV {
            convolve(step, place, lane);
        } else {
            remember(step, place, lane);
        }
        storageBarrier();
    }
}

fn logit(at: u32) -> f32 {
    return maps[at];
}

fn pick(place: Place, channel: u32) {
    let each = select(p.levels, 1u, p.levels == 2u);
    let pixel = place.row * p.width + place.column;
    let first = place.image * p.maps + p.logits_at + (pixel * p.channels + channel) * each;
    let at = (place.image * p.height * p.width + pixel) * p.channels + channel;
    x[at] = drawn(first, u[at]);
}

@compute @workgroup_size(256)
fn sample_pixels(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = group.x + group.y * groups.x;
    if image >= p.batch {
        return;
    }
    let features = p.features;
    let logits = features + p.logits;
    for (var pixel = p.from_pixel; pixel < p.to_pixel; pixel++) {
        let row = pixel / p.width;
        let place = Place(image, row, pixel - row * p.width);
        if known[pixel] != 0.0 {
            run(0u, features, place, lane);
        } else {
            for (var channel = 0u; channel < p.channels; channel++) {
                run(0u, logits, place, lane);
                if lane == 0u {
                    pick(place, channel);
                }
                storageBarrier();
            }
        }
        if place.column + 1u == p.width {
            for (var column = p.width; column > 0u; column--) {
                run(logits, logits + p.scans, Place(image, row, column - 1u), lane);
            }
        }
    }
}
