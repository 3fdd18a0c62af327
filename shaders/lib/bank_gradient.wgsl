// dFX = scale patch^T t and dFY = scale t v^T, summed over all sources. The first three functions access an image's
// `work` and `dwork`.
fn filter_at(image: u32, at: u32) -> f32 {
    return work[image * work_size() + at];
}

fn gradient_at(image: u32, at: u32) -> f32 {
    return dwork[image * work_size() + at];
}

fn keep(image: u32, at: u32, value: f32) {
    dwork[image * work_size() + at] = value;
}

fn make_dfx(image: u32, lane: u32, scale: f32) {
    for (var at = lane; at < p.filters * p.width; at += 256u) {
        let j = at / p.width;
        let a = at - j * p.width;
        var sum = 0.0;
        for (var row = 0u; row < p.sources * p.filters; row++) {
            for (var c = 0u; c < p.channels; c++) {
                let t = t_of_patch(image, row * line() + a * p.channels + c);
                sum = fma(patch_at(image, (row * p.filters + j) * p.channels + c), t, sum);
            }
        }
        keep(image, at, scale * sum);
    }
}

fn four_of_t(image: u32, at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(
        t_of_image(image, at.x),
        t_of_image(image, at.y),
        t_of_image(image, at.z),
        t_of_image(image, at.w),
    );
}

// A team of 16 invocations computes each sum over a row of the image.
fn make_dfy(image: u32, lane: u32, scale: f32) {
    let rank = lane % 16u;
    for (var first = 0u; first < fours() * p.height; first += 16u) {
        let item = first + lane / 16u;
        let i = 4u * (item / p.height);
        let b = item % p.height;
        let t = four_rows(i, line());
        var sum = vec4<f32>(0.0);
        for (var column = rank; column < line(); column += 16u) {
            let v = image_at((image * p.height + b) * line() + column);
            sum = fma(four_of_t(image, t + column), vec4<f32>(v.x), sum);
            if p.sources == 2u {
                sum = fma(four_of_t(image, t + p.filters * line() + column), vec4<f32>(v.y), sum);
            }
        }
        sum = sum_of_neighbours(sum, lane);
        if rank < 4u && i + rank < p.filters {
            keep(image, fy_start() + (i + rank) * p.height + b, scale * component(sum, rank));
        }
    }
}
