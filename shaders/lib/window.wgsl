// Convolution over the taps of a window (`ops/masked_conv.rs`). Maps [batch, height, width, channels],
// weights [taps, inputs, outputs]; tap t is t / across rows below `top`, t % across columns right of
// `left`, relative to the pixel that is computed.
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    inputs: u32,
    outputs: u32,
    taps: u32,
    across: u32,
    top: i32,
    left: i32,
    relu_before: u32,
    relu_after: u32,
    has_bias: u32,
    has_residual: u32,
    row: u32,
    column: u32,
    chunk: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
