// Decides whether to skip a step. If everything is finite, scale = min(1, limit / norm) with norm^2 = squares, and the
// loss is added to the sum. Otherwise scale = -1, which skips the step, and the tally counts it. One workgroup adds up
// the n terms of `squares`; without a limit they count non-finite gradients.
// CPU: ops/finite/cpu.rs; ops/finite/mod.rs describes the tally [4]. squares [n], loss, scale, sum [1].
struct Params { limit: f32, number: f32, latch: u32, n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> squares: array<f32>;
@group(0) @binding(2) var<storage, read> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> tally: array<f32>;
@group(0) @binding(5) var<storage, read_write> sum: array<f32>;

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn judge(total: f32) {
    let clips = p.limit > 0.0;
    let broken = tally[0] != 0.0 || tally[3] != 0.0 || (!clips && total != 0.0);
    let bad = broken || !is_finite(loss[0]) || (clips && !is_finite(total));
    if bad {
        scale[0] = -1.0;
        tally[1] = tally[1] + 1.0;
        if tally[2] == 0.0 {
            tally[2] = p.number;
        }
        tally[0] = select(0.0, 1.0, p.latch != 0u);
        return;
    }
    sum[0] = sum[0] + loss[0];
    let norm = sqrt(total);
    scale[0] = select(1.0, p.limit / norm, clips && norm > p.limit);
}

@compute @workgroup_size(256)
fn verdict(@builtin(local_invocation_index) lane: u32) {
    var part = 0.0;
    for (var i = lane; i < p.n; i += 256u) {
        part += squares[i];
    }
    let total = row_sum(part, lane);
    if lane == 0u {
        judge(total);
    }
}
