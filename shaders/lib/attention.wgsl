// Attentive reads and writes (`ops/attention/mod.rs`). Images [batch, height, width, channels], patches
// [batch, sources, filters, filters, channels], work [batch, work_size()], which has for each image FX [filters,
// width], FY [filters, height] and t [sources, filters, width, channels].
//
// A workgroup processes an image. A sum over pixels is computed by 16 invocations, for four filters at
// once, so that each pixel is read once for four filters. A sum over filters is computed by one invocation.
//
// The products are in lib/image_to_patch.wgsl, lib/patch_to_image.wgsl and lib/bank_gradient.wgsl. A shader defines
// functions for their operands and results:
// - `image_at`: an element of the images, from one source or two
// - `patch_at`: an element of an image's patches
// - `t_of_image`, `t_of_patch`: an element of the t that is multiplied with the image or the patch
// - `keep`, `keep_image`, `keep_patch`: store a result in work, in the images or in the patches
struct Params {
    batch: u32,
    filters: u32,
    height: u32,
    width: u32,
    channels: u32,
    sources: u32,
    row: u32,
    accumulate: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

// Floats in a row of an image.
fn line() -> u32 {
    return p.width * p.channels;
}

// Floats in the patches of an image.
fn patch_size() -> u32 {
    return p.sources * p.filters * p.filters * p.channels;
}

// Index of an image's patches, which are a tensor of their own or the first part of a row.
fn patch_start(image: u32) -> u32 {
    return image * select(patch_size(), p.row, p.row > 0u);
}

// Offsets of FY and t in an image's work, and its size, in floats.
fn fy_start() -> u32 {
    return p.filters * p.width;
}

fn t_start() -> u32 {
    return p.filters * (p.width + p.height);
}

fn work_size() -> u32 {
    return t_start() + p.sources * p.filters * line();
}

// Number of groups of four filters.
fn fours() -> u32 {
    return (p.filters + 3u) / 4u;
}

// Offsets of rows i..i + 4, which have `length` numbers; rows beyond the last filter are replaced by the last.
fn four_rows(i: u32, length: u32) -> vec4<u32> {
    return min(vec4<u32>(i, i + 1u, i + 2u, i + 3u), vec4<u32>(p.filters - 1u)) * length;
}

fn component(x: vec4<f32>, k: u32) -> f32 {
    return select(select(x.x, x.y, k == 1u), select(x.z, x.w, k == 3u), k >= 2u);
}
