// The fold of `ops/fold/mod.rs`: cols [batch, height, width, side, side, channels],
// y [batch, stride height, stride width, channels].
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    channels: u32,
    side: u32,
    stride: u32,
    pad: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
