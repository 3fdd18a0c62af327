// The sum or the maximum of one value from each of a workgroup's 256 invocations; all of them get the result. The order
// of additions is fixed. All invocations must call these functions together.
var<workgroup> lanes: array<f32, 256>;

fn add_half(lane: u32, width: u32) {
    if lane < width {
        lanes[lane] += lanes[lane + width];
    }
    workgroupBarrier();
}

fn max_half(lane: u32, width: u32) {
    if lane < width {
        lanes[lane] = larger(lanes[lane], lanes[lane + width]);
    }
    workgroupBarrier();
}

fn row_sum(value: f32, lane: u32) -> f32 {
    lanes[lane] = value;
    workgroupBarrier();
    add_half(lane, 128u);
    add_half(lane, 64u);
    add_half(lane, 32u);
    add_half(lane, 16u);
    add_half(lane, 8u);
    add_half(lane, 4u);
    add_half(lane, 2u);
    add_half(lane, 1u);
    let total = lanes[0];
    // Keep `lanes[0]` until all invocations have read it.
    workgroupBarrier();
    return total;
}

fn row_max(value: f32, lane: u32) -> f32 {
    lanes[lane] = value;
    workgroupBarrier();
    max_half(lane, 128u);
    max_half(lane, 64u);
    max_half(lane, 32u);
    max_half(lane, 16u);
    max_half(lane, 8u);
    max_half(lane, 4u);
    max_half(lane, 2u);
    max_half(lane, 1u);
    let largest = lanes[0];
    workgroupBarrier();
    return largest;
}
