// sum_of_neighbours of lib/neighbours.wgsl for devices with subgroups of at least SUBGROUP adjacent invocations: 4, 8 or
// 16. It adds in the same order, so its results have the same bits. Groups of SUBGROUP invocations add within their
// subgroup, then the sums of smaller groups in workgroup memory.
override SUBGROUP: u32;

fn sum_of_neighbours(value: vec4<f32>, lane: u32) -> vec4<f32> {
    var sum = value + subgroupShuffleXor(value, 1u);
    sum += subgroupShuffleXor(sum, 2u);
    if SUBGROUP >= 8u {
        sum += subgroupShuffleXor(sum, 4u);
    }
    if SUBGROUP >= 16u {
        return sum + subgroupShuffleXor(sum, 8u);
    }
    let first = lane & 240u;
    parts[lane] = sum;
    workgroupBarrier();
    if SUBGROUP >= 8u {
        sum = parts[first] + parts[first + 8u];
    } else {
        sum = sum_of_four(first, 4u);
    }
    // Keep `parts` until all invocations have read them.
    workgroupBarrier();
    return sum;
}
