// The number of this invocation in a grid that is two-dimensional, since one dimension holds at most
// 65,535 workgroups (`kernel::grid` on the host).
fn flat_index(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 256u;
}
