// t = scale FY v and patch = scale t FX^T, for a read and the gradient of a write.
fn four_filters(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(work[at.x], work[at.y], work[at.z], work[at.w]);
}

// The invocations of a team compute adjacent columns; each team of 16 sums over different rows of the image.
fn make_t(image: u32, lane: u32, scale: f32) {
    let team = lane / 16u;
    for (var first = 0u; first < fours() * line(); first += 16u) {
        let item = first + lane % 16u;
        let i = 4u * (item / line());
        let column = item % line();
        let fy = image * work_size() + fy_start() + four_rows(i, p.height);
        var sum = vec4<f32>(0.0);
        var other = vec4<f32>(0.0);
        for (var b = team; b < p.height; b += 16u) {
            let filters = four_filters(fy + b);
            let v = image_at((image * p.height + b) * line() + column);
            sum = fma(filters, vec4<f32>(v.x), sum);
            other = fma(filters, vec4<f32>(v.y), other);
        }
        for (var source = 0u; source < p.sources; source++) {
            let t = sum_across(select(sum, other, source == 1u), lane);
            if team < 4u && i + team < p.filters {
                let row = source * p.filters + i + team;
                keep(image, t_start() + row * line() + column, scale * component(t, team));
            }
        }
    }
}

// A team of 16 invocations computes each sum over a row of t.
fn make_patch(image: u32, lane: u32, scale: f32) {
    let rank = lane % 16u;
    let count = p.sources * p.filters * fours() * p.channels;
    for (var first = 0u; first < count; first += 16u) {
        let item = first + lane / 16u;
        let channel = item % p.channels;
        let block = item / p.channels;
        let row = block / fours();
        let j = 4u * (block - row * fours());
        let fx = image * work_size() + four_rows(j, p.width);
        let length = select(0u, p.width, item < count);
        var sum = vec4<f32>(0.0);
        for (var a = rank; a < length; a += 16u) {
            let t = t_of_patch(image, row * line() + a * p.channels + channel);
            sum = fma(four_filters(fx + a), vec4<f32>(t), sum);
        }
        sum = sum_of_neighbours(sum, lane);
        if item < count && rank < 4u && j + rank < p.filters {
            let at = (row * p.filters + j + rank) * p.channels + channel;
            keep_patch(patch_start(image) + at, scale * component(sum, rank));
        }
    }
}
