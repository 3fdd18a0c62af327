// The lanes of an invocation and the cell of a lane, for scans in one launch.

// The two lanes of an invocation, and where their states start among those of a step. A lane that does not exist has a
// number above all others and the place of the last one.
struct Lanes { lane: vec2<u32>, place: vec2<u32> }

fn lanes_of(local: u32) -> Lanes {
    let slots = 256u / p.hidden;
    let slot = local / p.hidden;
    let all = vec2<u32>(slot, slot + slots);
    let has = vec2<bool>(slot < slots && all.x < edge(), slot < slots && all.y < edge());
    let lane = select(vec2<u32>(0xffffffu), all, has);
    return Lanes(lane, min(lane, vec2<u32>(edge() - 1u)) * p.hidden);
}

fn steps() -> u32 {
    return select(p.height + p.width - 1u, p.height, p.order == ROWS);
}

// The index of a lane's cell in step t, over all images; -1 if it has none.
fn cell_of_lane(image: u32, t: u32, lane: u32) -> i32 {
    if p.order == ROWS {
        return select(-1, i32((image * p.height + t) * p.width + lane), t < p.height && lane < p.width);
    }
    // Before the first column this wraps around, to beyond the last one.
    let along = t - lane;
    let column = select(along, p.width - 1u - along, is_mirrored(image));
    return select(-1, i32((image * p.height + lane) * p.width + column), lane < p.height && along < p.width);
}
