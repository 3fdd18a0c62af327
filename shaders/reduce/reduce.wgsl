// Sum, sum of squares or logsumexp over one axis. CPU: ops/reduce/cpu.rs. x [outer, n, inner],
// y [outer, chunks, inner]: each result reduces `chunk` consecutive elements, the last one the rest.
// y = scale sum x, y = scale sum x^2, or y = largest + ln sum e^(x - largest).
struct Params {
    outer: u32,
    n: u32,
    inner: u32,
    chunk: u32,
    reduction: u32,
    scale: f32,
    accumulate: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const SQUARES: u32 = 1u;
const LOGSUMEXP: u32 = 2u;

// Result i reduces `count` elements of x from `first` on, `inner` apart.
struct Part { first: u32, count: u32 }

fn part_of(i: u32) -> Part {
    let row = i / p.inner;
    let chunks = max((p.n + p.chunk - 1u) / p.chunk, 1u);
    let outer = row / chunks;
    let begin = (row - outer * chunks) * p.chunk;
    let first = (outer * p.n + begin) * p.inner + i - row * p.inner;
    return Part(first, min(p.chunk, p.n - begin));
}

// The terms of sums and of sums of squares.
fn term(x: f32) -> f32 {
    return select(x, x * x, p.reduction == SQUARES);
}

fn store(i: u32, value: f32) {
    y[i] = select(value, y[i] + value, p.accumulate != 0u);
}

// All invocations of the workgroup must call this together.
fn log_sum_exp(part: Part, lane: u32) -> f32 {
    var largest = from_bits(INFINITY_BITS | 0x80000000u);
    for (var at = lane; at < part.count; at += 256u) {
        largest = larger(largest, x[part.first + at]);
    }
    largest = row_max(largest, lane);
    var sum = 0.0;
    for (var at = lane; at < part.count; at += 256u) {
        sum += exp_of(x[part.first + at] - largest);
    }
    sum = row_sum(sum, lane);
    return select(largest + log_of(sum), largest, is_infinite(largest));
}

// One workgroup per result, for contiguous elements (inner = 1).
@compute @workgroup_size(256)
fn reduce_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x + group.y * groups.x;
    let chunks = max((p.n + p.chunk - 1u) / p.chunk, 1u);
    if i >= p.outer * chunks {
        return;
    }
    let part = part_of(i);
    var value = 0.0;
    if p.reduction == LOGSUMEXP {
        value = log_sum_exp(part, lane);
    } else {
        var sum = 0.0;
        for (var at = lane; at < part.count; at += 256u) {
            sum += term(x[part.first + at]);
        }
        value = p.scale * row_sum(sum, lane);
    }
    if lane == 0u {
        store(i, value);
    }
}

// An invocation a result, for neighbours `inner` apart: adjacent invocations read side by side. Sums alone.
@compute @workgroup_size(256)
fn reduce_columns(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    let chunks = max((p.n + p.chunk - 1u) / p.chunk, 1u);
    if i >= p.outer * chunks * p.inner {
        return;
    }
    let part = part_of(i);
    // Four sums, so that four loads are in flight.
    var sums = vec4<f32>(0.0);
    let whole = part.count & ~3u;
    for (var k = 0u; k < whole; k += 4u) {
        let at = part.first + k * p.inner;
        sums += vec4<f32>(
            term(x[at]),
            term(x[at + p.inner]),
            term(x[at + 2u * p.inner]),
            term(x[at + 3u * p.inner]),
        );
    }
    var sum = (sums.x + sums.y) + (sums.z + sums.w);
    for (var k = whole; k < part.count; k++) {
        sum += term(x[part.first + k * p.inner]);
    }
    store(i, p.scale * sum);
}
