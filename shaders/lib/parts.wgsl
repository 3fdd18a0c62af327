// Rows [outer, sum of the widths], n elements, and the parts a, b and c that stand side by side in them, [outer, width_a]
// and likewise (`ops/layout/mod.rs`); a part that is absent has a width of 0.
struct Params { n: u32, width_a: u32, width_b: u32, width_c: u32 }
@group(0) @binding(0) var<uniform> p: Params;

// The part that has element i of the whole (0, 1 or 2), and where in it.
fn place_of(i: u32) -> vec2<u32> {
    let two = p.width_a + p.width_b;
    let row = i / (two + p.width_c);
    let column = i - row * (two + p.width_c);
    if column < p.width_a {
        return vec2<u32>(0u, row * p.width_a + column);
    }
    if column < two {
        return vec2<u32>(1u, row * p.width_b + column - p.width_a);
    }
    return vec2<u32>(2u, row * p.width_c + column - two);
}
