// Computes the bank of an image. The shader's `keep` stores an element.
fn weight(grid: Grid, row: Row, a: u32) -> f32 {
    let pixel = f32(a) + 1.0;
    let away = -(pixel - row.nearest) * (pixel + row.nearest - 2.0 * row.mu);
    return exp_of(away * grid.sharpness);
}

fn make_bank(image: u32, lane: u32) {
    let grid = grid_of(image);
    for (var first = 0u; first < 2u * p.filters; first += 16u) {
        let row = row_of(grid, first + lane / 16u);
        var sum = 0.0;
        for (var a = lane % 16u; a < row.length; a += 16u) {
            sum += weight(grid, row, a);
        }
        let total = sum_of_neighbours(vec4<f32>(sum), lane).x;
        for (var a = lane % 16u; a < row.length; a += 16u) {
            keep(image, row.start + a, weight(grid, row, a) / total);
        }
    }
}
