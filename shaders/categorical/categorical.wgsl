// -log softmax(l)[t]: nll = largest + ln sum e^(l - largest) - l[t]; NaN if t is out of range.
// CPU: ops/categorical/cpu.rs. l [rows, classes], t [rows] (class indices), nll [rows]; one workgroup per row.
struct Params { rows: u32, classes: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> l: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> nll: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= p.rows {
        return;
    }
    let first = row * p.classes;
    var largest = from_bits(INFINITY_BITS | 0x80000000u);
    for (var i = lane; i < p.classes; i += 256u) {
        largest = larger(largest, l[first + i]);
    }
    largest = row_max(largest, lane);
    var sum = 0.0;
    for (var i = lane; i < p.classes; i += 256u) {
        sum += exp_of(l[first + i] - largest);
    }
    sum = row_sum(sum, lane);
    if lane == 0u {
        var at_target = from_bits(NAN_BITS);
        if names_a_class(t[row], p.classes) {
            at_target = l[first + u32(t[row])];
        }
        nll[row] = (largest - at_target) + log_of(sum);
    }
}
