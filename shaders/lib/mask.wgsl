// Masked weights (`ops/mask/mod.rs`): w (outputs, inputs, area), packed as [taps, inputs, outputs].
struct Params {
    outputs: u32,
    inputs: u32,
    area: u32,
    taps: u32,
    centre: u32,
    groups: u32,
    stack: u32,
    own: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

// Whether output o reads input i of tap t.
fn shows(t: u32, i: u32, o: u32) -> bool {
    let origin = i * p.groups / p.inputs;
    let target_group = (o % p.stack) * p.groups / p.stack;
    return t != p.centre || origin < target_group + p.own;
}
