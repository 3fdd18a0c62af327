// A whole [outer, sum of the widths] of n elements, and its parts a, b and c, [outer, widths_0] and so on
// (`ops/layout/mod.rs`). An absent part has width 0.
struct Params { n: u32, widths_0: u32, widths_1: u32, widths_2: u32 }
@group(0) @binding(0) var<uniform> p: Params;

// The part (0, 1 or 2) that has element i of the whole, and the element's index in it.
fn place_of(i: u32) -> vec2<u32> {
    let two = p.widths_0 + p.widths_1;
    let row = i / (two + p.widths_2);
    let column = i - row * (two + p.widths_2);
    if column < p.widths_0 {
        return vec2<u32>(0u, row * p.widths_0 + column);
    }
    if column < two {
        return vec2<u32>(1u, row * p.widths_1 + column - p.widths_0);
    }
    return vec2<u32>(2u, row * p.widths_2 + column - two);
}
