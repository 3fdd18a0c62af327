// Products in tiles of 32 x 32, 32 terms at a time, for matrices with too few larger tiles to keep a GPU busy. The
// 256 invocations form eight teams of 32. A team takes four of the 32 k and computes the whole tile, 8 x 4 elements per
// invocation: three vectors are read for 32 products. At the end, the teams' sums are added in a fixed order.
// For each k, a tile has eight vectors of four adjacent elements, padded by one vector to avoid bank conflicts.
// Vectors are stored whole: by WGSL's rules, invocations that store to components of one vector race.
const TEAM_PITCH: u32 = 9u;
// Offset of the tile of B, after that of A.
const TEAM_B: u32 = 288u;
var<workgroup> team_tile: array<vec4<f32>, 576>;

// An invocation's sums: rows 4 row.. and 16 + 4 row.., four columns each.
struct TeamSum {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
    r4: vec4<f32>,
    r5: vec4<f32>,
    r6: vec4<f32>,
    r7: vec4<f32>,
}

fn no_team_sum() -> TeamSum {
    let zero = vec4<f32>(0.0);
    return TeamSum(zero, zero, zero, zero, zero, zero, zero, zero);
}

fn add_team_product(sum: ptr<function, TeamSum>, k: u32, row: u32, column: u32) {
    let top = team_tile[k * TEAM_PITCH + row];
    let below = team_tile[k * TEAM_PITCH + 4u + row];
    let y = team_tile[TEAM_B + k * TEAM_PITCH + column];
    (*sum).r0 = fma(vec4<f32>(top.x), y, (*sum).r0);
    (*sum).r1 = fma(vec4<f32>(top.y), y, (*sum).r1);
    (*sum).r2 = fma(vec4<f32>(top.z), y, (*sum).r2);
    (*sum).r3 = fma(vec4<f32>(top.w), y, (*sum).r3);
    (*sum).r4 = fma(vec4<f32>(below.x), y, (*sum).r4);
    (*sum).r5 = fma(vec4<f32>(below.y), y, (*sum).r5);
    (*sum).r6 = fma(vec4<f32>(below.z), y, (*sum).r6);
    (*sum).r7 = fma(vec4<f32>(below.w), y, (*sum).r7);
}

// Adds the products of the four k of an invocation's team.
fn add_team_tile(sum: ptr<function, TeamSum>, lane: u32) {
    let k = lane / 32u * 4u;
    let row = lane % 32u / 8u;
    let column = lane % 8u;
    add_team_product(sum, k, row, column);
    add_team_product(sum, k + 1u, row, column);
    add_team_product(sum, k + 2u, row, column);
    add_team_product(sum, k + 3u, row, column);
}

// Offset at which a team stores its sums: in one half of the tile's memory, with eight vectors per row.
fn team_place(half: u32, lane: u32) -> u32 {
    return half * TEAM_B + lane % 32u / 8u * 32u + lane % 8u;
}

fn leave_team_sum(sum: ptr<function, TeamSum>, half: u32, lane: u32) {
    let at = team_place(half, lane);
    team_tile[at] = (*sum).r0;
    team_tile[at + 8u] = (*sum).r1;
    team_tile[at + 16u] = (*sum).r2;
    team_tile[at + 24u] = (*sum).r3;
    team_tile[at + 128u] = (*sum).r4;
    team_tile[at + 136u] = (*sum).r5;
    team_tile[at + 144u] = (*sum).r6;
    team_tile[at + 152u] = (*sum).r7;
}

fn take_team_sum(sum: ptr<function, TeamSum>, half: u32, lane: u32) {
    let at = team_place(half, lane);
    (*sum).r0 += team_tile[at];
    (*sum).r1 += team_tile[at + 8u];
    (*sum).r2 += team_tile[at + 16u];
    (*sum).r3 += team_tile[at + 24u];
    (*sum).r4 += team_tile[at + 128u];
    (*sum).r5 += team_tile[at + 136u];
    (*sum).r6 += team_tile[at + 144u];
    (*sum).r7 += team_tile[at + 152u];
}

// Adds the sums of teams `giver` and `giver` + 1 to those of teams `taker` and `taker` + 1. All invocations
// must call this together.
fn hand_team_sums(sum: ptr<function, TeamSum>, giver: u32, taker: u32, lane: u32) {
    let team = lane / 32u;
    if team / 2u == giver / 2u {
        leave_team_sum(sum, team % 2u, lane);
    }
    workgroupBarrier();
    if team / 2u == taker / 2u {
        take_team_sum(sum, team % 2u, lane);
    }
    workgroupBarrier();
}

// The sum over all teams, for row lane / 8 and the four columns from 4 (lane % 8). All reads of the tiles must be
// finished. All invocations must call this together.
fn sum_of_teams(sum: ptr<function, TeamSum>, lane: u32) -> vec4<f32> {
    hand_team_sums(sum, 4u, 0u, lane);
    hand_team_sums(sum, 6u, 2u, lane);
    hand_team_sums(sum, 2u, 0u, lane);
    if lane < 64u {
        leave_team_sum(sum, lane / 32u, lane);
    }
    workgroupBarrier();
    return team_tile[lane] + team_tile[TEAM_B + lane];
}
