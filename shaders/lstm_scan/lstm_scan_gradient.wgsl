// The gradient of a scan in one direction: its buffers.
@group(0) @binding(1) var<storage, read> dh: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read> c0: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgates: array<f32>;
@group(0) @binding(7) var<storage, read_write> dc: array<f32>;

fn s_value(direction: u32, i: u32) -> f32 {
    return s[i];
}

fn c0_value(direction: u32, channel: u32) -> f32 {
    return c0[channel];
}

fn dh_value(i: u32) -> f32 {
    return dh[i];
}

fn dgates_value(i: u32) -> f32 {
    return dgates[i];
}

// The four gates of a channel of a cell.
fn put_dgates(cell: u32, channel: u32, sums: vec4<f32>) {
    let gate = 4u * cell * p.hidden + channel;
    dgates[gate] = sums.x;
    dgates[gate + p.hidden] = sums.y;
    dgates[gate + 2u * p.hidden] = sums.z;
    dgates[gate + 3u * p.hidden] = sums.w;
}
