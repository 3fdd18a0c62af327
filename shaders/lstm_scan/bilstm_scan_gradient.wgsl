// The gradient of a scan in both directions: its buffers, as those of `bilstm_scan.wgsl`.
@group(0) @binding(1) var<storage, read> dh_left: array<f32>;
@group(0) @binding(2) var<storage, read> dh_right: array<f32>;
@group(0) @binding(3) var<storage, read> s_and_c0: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgates_left: array<f32>;
@group(0) @binding(7) var<storage, read_write> dgates_right: array<f32>;
@group(0) @binding(8) var<storage, read_write> dc: array<f32>;

fn s_value(direction: u32, i: u32) -> f32 {
    return s_and_c0[4u * direction * p.neighbours * p.hidden * p.hidden + i];
}

fn c0_value(direction: u32, channel: u32) -> f32 {
    return s_and_c0[(8u * p.neighbours * p.hidden + direction) * p.hidden + channel];
}

// Numbers of one direction's dh.
fn half_of_dh() -> u32 {
    return images() * p.height * p.width * p.hidden;
}

fn dh_value(i: u32) -> f32 {
    if i < half_of_dh() {
        return dh_left[i];
    }
    return dh_right[i - half_of_dh()];
}

fn dgates_value(i: u32) -> f32 {
    if i < 4u * half_of_dh() {
        return dgates_left[i];
    }
    return dgates_right[i - 4u * half_of_dh()];
}

// The four gates of a channel of a cell.
fn put_dgates(cell: u32, channel: u32, sums: vec4<f32>) {
    let at = 4u * cell * p.hidden + channel;
    if at < 4u * half_of_dh() {
        dgates_left[at] = sums.x;
        dgates_left[at + p.hidden] = sums.y;
        dgates_left[at + 2u * p.hidden] = sums.z;
        dgates_left[at + 3u * p.hidden] = sums.w;
        return;
    }
    let i = at - 4u * half_of_dh();
    dgates_right[i] = sums.x;
    dgates_right[i + p.hidden] = sums.y;
    dgates_right[i + 2u * p.hidden] = sums.z;
    dgates_right[i + 3u * p.hidden] = sums.w;
}
