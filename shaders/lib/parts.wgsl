// Rows [outer, sum of the widths], n elements, and the parts a, b and c that stand side by side in them, [outer, widths_0]
// and likewise (`ops/layout/mod.rs`); a part that is absent has a width of 0.
struct Params { n: u32, widths_0: u32, widths_1: u32, widths_2: u32 }
@group(0) @binding(0) var<uniform> p: Params;

// The part that has element i of the whole (0, 1 or 2), and where in it.
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
