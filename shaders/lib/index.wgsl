// Index of this invocation in a two-dimensional grid; one dimension is limited to 65,535 workgroups (`kernel::grid`
// on the host).
fn flat_index(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 256u;
}

// Coordinates of element i along four axes; the last axis varies fastest.
fn coordinates(i: u32, shape: vec4<u32>) -> vec4<u32> {
    let row = i / shape.w;
    let plane = row / shape.z;
    let volume = plane / shape.y;
    return vec4<u32>(volume, plane - volume * shape.y, row - plane * shape.z, i - row * shape.w);
}
