// Attentive reads and writes (`ops/attention/mod.rs`). Images [batch, height, width, channels], patches
// [batch, sources, filters, filters, channels], work [batch, work_size()]: of an image FX [filters, width],
// FY [filters, height] and t [sources, filters, width, channels].
//
// A workgroup makes an image. 16 invocations share a sum over pixels, and make it for four filters at
// once, so that a pixel is read once for four; an invocation makes a sum over filters alone.
//
// The products are in lib/image_to_patch.wgsl, lib/patch_to_image.wgsl and lib/bank_gradient.wgsl; a
// shader says by functions what they multiply: `image_at` an element of the images, of one source or
// of two, `patch_at` one of the patches of an image, `t_of_image` and `t_of_patch` one of the t that stands
// beside each; and where results go: `keep` into the work, `keep_image` and `keep_patch`.
struct Params {
    batch: u32,
    filters: u32,
    height: u32,
    width: u32,
    channels: u32,
    sources: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

// Numbers of a row of an image.
fn line() -> u32 {
    return p.width * p.channels;
}

// Of the patches of an image.
fn patch_size() -> u32 {
    return p.sources * p.filters * p.filters * p.channels;
}

// Where FY and t begin in an image's work, and its size.
fn fy_start() -> u32 {
    return p.filters * p.width;
}

fn t_start() -> u32 {
    return p.filters * (p.width + p.height);
}

fn work_size() -> u32 {
    return t_start() + p.sources * p.filters * line();
}

// Sets of four filters.
fn fours() -> u32 {
    return (p.filters + 3u) / 4u;
}

// Where rows i..i + 4 of `length` numbers begin; of those beyond the last filter, where the last one does.
fn four_rows(i: u32, length: u32) -> vec4<u32> {
    return min(vec4<u32>(i, i + 1u, i + 2u, i + 3u), vec4<u32>(p.filters - 1u)) * length;
}

fn component(x: vec4<f32>, k: u32) -> f32 {
    return select(select(x.x, x.y, k == 1u), select(x.z, x.w, k == 3u), k >= 2u);
}
