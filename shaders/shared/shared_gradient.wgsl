// dW (+)= d_1^T x_1 + d_2^T x_2 + d_3^T x_3 for up to three uses of a weight, and db (+)= the column sums of their d.
// Shapes of each use: d [rows, m], x [rows, n]; W [m, n], b [m]. CPU: ops/shared/cpu.rs. A workgroup computes a tile of
// 32 x 32 (`lib/team_tile.wgsl`) of dW, extended by one column for db, in which x counts as 1.
override TILE: u32;
struct Params {
    m: u32,
    n: u32,
    rows_0: u32,
    rows_1: u32,
    rows_2: u32,
    accumulate: u32,
    has_bias: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> d1: array<f32>;
@group(0) @binding(2) var<storage, read> x1: array<f32>;
@group(0) @binding(3) var<storage, read> d2: array<f32>;
@group(0) @binding(4) var<storage, read> x2: array<f32>;
@group(0) @binding(5) var<storage, read> d3: array<f32>;
@group(0) @binding(6) var<storage, read> x3: array<f32>;
@group(0) @binding(7) var<storage, read_write> dw: array<f32>;
@group(0) @binding(8) var<storage, read_write> db: array<f32>;

// A row of a use.
struct Place { source: u32, row: u32 }

// Number of rows of a use; 0 beyond the third.
fn rows_of(source: u32) -> u32 {
    switch source {
        case 0u: { return p.rows_0; }
        case 1u: { return p.rows_1; }
        case 2u: { return p.rows_2; }
        default: { return 0u; }
    }
}

// Advances by 32 rows, or to the start of the next use that has rows.
fn after(at: Place) -> Place {
    var next = Place(at.source, at.row + 32u);
    while next.source < 3u && next.row >= rows_of(next.source) {
        next = Place(next.source + 1u, 0u);
    }
    return next;
}

// An element of d, 0 outside.
fn d_at(at: Place, row: u32, column: u32) -> f32 {
    let i = (at.row + row) * p.m + column;
    if at.row + row >= rows_of(at.source) || column >= p.m {
        return 0.0;
    }
    switch at.source {
        case 0u: { return d1[i]; }
        case 1u: { return d2[i]; }
        default: { return d3[i]; }
    }
}

// An element of x; 1 to the right of its columns. Rows that do not exist need no check, since their d is 0.
fn x_at(at: Place, row: u32, column: u32) -> f32 {
    let i = (at.row + row) * p.n + column;
    if at.row + row >= rows_of(at.source) {
        return 0.0;
    }
    if column >= p.n {
        return 1.0;
    }
    switch at.source {
        case 0u: { return x1[i]; }
        case 1u: { return x2[i]; }
        default: { return x3[i]; }
    }
}

// Four adjacent elements of a row.
fn four_of_d(at: Place, row: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        d_at(at, row, column),
        d_at(at, row, column + 1u),
        d_at(at, row, column + 2u),
        d_at(at, row, column + 3u),
    );
}

fn four_of_x(at: Place, row: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        x_at(at, row, column),
        x_at(at, row, column + 1u),
        x_at(at, row, column + 2u),
        x_at(at, row, column + 3u),
    );
}

fn store(row: u32, column: u32, value: f32) {
    if row >= p.m {
        return;
    }
    if column < p.n {
        let at = row * p.n + column;
        dw[at] = select(value, dw[at] + value, p.accumulate != 0u);
    } else if column == p.n && p.has_bias != 0u {
        db[row] = select(value, db[row] + value, p.accumulate != 0u);
    }
}

@compute @workgroup_size(256)
fn shared_gradient(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = id.x + id.y * groups.x;
    let across = (p.n + p.has_bias + TILE - 1u) / TILE;
    let down = flat / across;
    let top = down * TILE;
    let left = (flat - down * across) * TILE;
    if top >= p.m {
        return;
    }
    // Adjacent invocations load along a row.
    let fast = lane % 8u;
    let slow = lane / 8u;

    var sum = no_team_sum();
    var at = after(Place(0u, 0xffffffe0u));
    var next_d = four_of_d(at, slow, top + 4u * fast);
    var next_x = four_of_x(at, slow, left + 4u * fast);
    while at.source < 3u {
        team_tile[slow * TEAM_PITCH + fast] = next_d;
        team_tile[TEAM_B + slow * TEAM_PITCH + fast] = next_x;
        workgroupBarrier();
        at = after(at);
        next_d = four_of_d(at, slow, top + 4u * fast);
        next_x = four_of_x(at, slow, left + 4u * fast);
        add_team_tile(&sum, lane);
        workgroupBarrier();
    }
    let total = sum_of_teams(&sum, lane);
    let row = top + slow;
    let column = left + 4u * fast;
    store(row, column, total.x);
    store(row, column + 1u, total.y);
    store(row, column + 2u, total.z);
    store(row, column + 3u, total.w);
}
