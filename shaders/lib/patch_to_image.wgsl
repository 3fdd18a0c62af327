// t = scale patch FX, and v = scale FY^T t for the last source, for a write and the gradient of a read.
fn make_t(image: u32, lane: u32, scale: f32) {
    for (var at = lane; at < p.sources * p.filters * line(); at += 256u) {
        let row = at / line();
        let channel = at % p.channels;
        let a = (at - row * line()) / p.channels;
        var sum = 0.0;
        for (var j = 0u; j < p.filters; j++) {
            let f = work[image * work_size() + j * p.width + a];
            sum = fma(patch_at(image, (row * p.filters + j) * p.channels + channel), f, sum);
        }
        keep(image, t_start() + at, scale * sum);
    }
}

fn make_image(image: u32, lane: u32, scale: f32) {
    let first = (p.sources - 1u) * p.filters;
    for (var at = lane; at < p.height * line(); at += 256u) {
        let b = at / line();
        let column = at - b * line();
        var sum = 0.0;
        for (var i = 0u; i < p.filters; i++) {
            let f = work[image * work_size() + fy_start() + i * p.height + b];
            sum = fma(f, t_of_image(image, (first + i) * line() + column), sum);
        }
        keep_image(image * p.height * line() + at, scale * sum);
    }
}
