// The gradient of an image's attention parameters from that of its bank. The shader's `filter_at` and `gradient_at`
// read an element of the bank and of its gradient; the result is stored in `dattention`, in the layout of `attention`.
struct GridGradient {
    // Gradients of the first four parameters.
    parameters: vec4<f32>,
    // <FX, dFX>, <FY, dFY>.
    products: vec2<f32>,
}

fn on_axis(row: Row, value: f32) -> vec2<f32> {
    return select(vec2<f32>(value, 0.0), vec2<f32>(0.0, value), row.down);
}

// All invocations return the same result.
fn gradient_of_grid(image: u32, lane: u32) -> GridGradient {
    let grid = grid_of(image);
    var sums = vec4<f32>(0.0);
    var products = vec2<f32>(0.0);
    for (var first = 0u; first < 2u * p.filters; first += 16u) {
        let row = row_of(grid, first + lane / 16u);
        var part = 0.0;
        for (var a = lane % 16u; a < row.length; a += 16u) {
            part = fma(filter_at(image, row.start + a), gradient_at(image, row.start + a), part);
        }
        let mean = sum_of_neighbours(vec4<f32>(part), lane).x;
        var dmu = 0.0;
        var dlog_variance = 0.0;
        for (var a = lane % 16u; a < row.length; a += 16u) {
            let at = row.start + a;
            let pixel = f32(a) + 1.0;
            let away = filter_at(image, at) * (gradient_at(image, at) - mean) * (pixel - row.nearest);
            dmu += away;
            dlog_variance += away * (pixel + row.nearest - 2.0 * row.mu);
        }
        dmu *= 2.0 * grid.sharpness;
        dlog_variance *= grid.sharpness;
        sums += vec4<f32>(on_axis(row, dmu), dlog_variance, row.offset * dmu);
        products += on_axis(row, part);
    }
    sums = sum_across(sum_of_neighbours(sums, lane), lane);
    let totals = sum_across(sum_of_neighbours(vec4<f32>(products, 0.0, 0.0), lane), lane);
    return GridGradient(sums * vec4<f32>(grid.scale, 1.0, grid.delta), totals.xy);
}

fn keep_gradient(image: u32, parameters: vec4<f32>, dlog_gamma: f32) {
    let at = attention_start(image);
    dattention[at] = parameters.x;
    dattention[at + 1u] = parameters.y;
    dattention[at + 2u] = parameters.z;
    dattention[at + 3u] = parameters.w;
    dattention[at + 4u] = dlog_gamma;
}
