// The sum over the 16 adjacent invocations of a team, which share a row.
fn sum_of_neighbours(value: vec4<f32>, lane: u32) -> vec4<f32> {
    return sum_of_16(value, lane, lane & 240u, 1u);
}
