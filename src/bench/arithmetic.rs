//! Networks and the arithmetic of an image: the sums of products that a layer needs at least. Of a
//! masked convolution visible weights count; activations, likelihoods and the optimiser do not. Zeros of an image count,
//! though a layer may skip them ([`crate::Var::sparse_linear`]).

use crate::models::draw::DrawConfig;
use crate::models::pixel::{Body, PixelConfig};
use crate::models::vae::{Method, VaeConfig};
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::window;

/// A network of the papers with its sizes.
#[derive(Clone, Copy, Debug)]
pub enum Net {
    /// A variational auto-encoder.
    Vae(VaeConfig),
    /// DRAW.
    Draw(DrawConfig),
    /// A pixel model.
    Pixel(Body, PixelConfig),
}

/// Multiply-adds of an image.
struct Products {
    /// Forwards, all layers.
    all: usize,
    /// Of these, in layers whose input is the image, which has no gradient.
    first: usize,
    /// Forwards, what drawing an image needs.
    drawing: usize,
}

impl Net {
    /// Numbers of an image.
    pub fn dims(&self) -> usize {
        match self {
            Net::Vae(config) => config.dims(),
            Net::Draw(config) => config.dims(),
            Net::Pixel(_, config) => config.dims(),
        }
    }

    /// Floating-point operations of an image in a training step: forwards, and as many again for the
    /// gradient of the weights and for that of the inputs, where these have one.
    pub fn training_flops(&self) -> f64 {
        let Products { all, first, .. } = self.products();
        2.0 * (3 * all - first) as f64
    }

    /// Floating-point operations of drawing an image, a pixel model's with what was computed for the
    /// pixels before at hand.
    pub fn sampling_flops(&self) -> f64 {
        2.0 * self.products().drawing as f64
    }

    fn products(&self) -> Products {
        match self {
            Net::Vae(config) => vae(config),
            Net::Draw(config) => draw(config),
            Net::Pixel(body, config) => pixel(*body, config),
        }
    }
}

fn vae(config: &VaeConfig) -> Products {
    let (dims, hidden, latent) = (config.dims(), config.hidden, config.latent);
    let samples = match config.method {
        Method::Sgvb { samples, .. } => samples,
        _ => 1,
    };
    let (first, decoder) = (dims * hidden, latent * hidden + hidden * dims);
    Products { all: first + 2 * hidden * latent + samples * decoder, first, drawing: decoder }
}

fn draw(config: &DrawConfig) -> Products {
    let (hidden, latent, dims) = (config.hidden, config.latent, config.dims());
    let gates = 4 * hidden;
    let decoder = (latent + hidden) * gates + hidden * config.write_dims();
    let encoder = 2 * hidden * gates + 2 * hidden * latent;
    let line = config.width * config.channels;
    // t = F_Y image, then t F_X^T, or the other way round.
    let attended = |n: usize, images: usize| 5 * hidden + n * line * images * (config.height + n);
    let glimpses = config.glimpses;
    if config.attention {
        let write = decoder + attended(config.write, 1);
        let read = encoder + config.read_dims() * gates + attended(config.read, 2);
        return Products { all: glimpses * (read + write), first: 0, drawing: glimpses * write };
    }
    // The image's own part of the gates' sums is the same at every glimpse, and made once.
    let first = dims * gates;
    let glimpse = encoder + dims * gates + decoder;
    Products { all: first + glimpses * glimpse, first, drawing: glimpses * decoder }
}

fn pixel(body: Body, config: &PixelConfig) -> Products {
    let (c, h) = (config.channels, config.hidden);
    let masked = |sight, (height, width), (inputs, outputs), stacks| {
        let mask = Mask { stacks, ..Mask::new(sight, config.groups()) };
        window::Products::new(mask.taps(height, width), (inputs, outputs), mask).count()
    };
    let conv = |side, channels| masked(Sight::B, side, channels, 1);
    let (one, side) = ((1, 1), (config.kernel, config.kernel));
    let gates = |side| masked(Sight::B, side, (2 * h, 4 * h), 4);
    let core = match body {
        Body::PixelCnn => conv(one, (2 * h, h)) + conv(side, (h, h)),
        Body::RowLstm => gates((1, config.kernel)) + config.kernel * h * 4 * h,
        Body::DiagBilstm => 2 * (gates(one) + 2 * h * 4 * h),
    };
    let skip = if config.skip { conv(one, (2 * h, 2 * h)) } else { 0 };
    let (width, levels) = (config.head, config.outputs());
    let head = conv(one, (2 * h, width)) + conv(one, (width, width)) + conv(one, (width, levels));
    let first = masked(Sight::A, (7, 7), (c, 2 * h), 1);
    let pixels = config.height * config.width;
    let all = pixels * (first + config.layers * (core + conv(one, (h, 2 * h)) + skip) + head);
    Products { all, first: pixels * first, drawing: all }
}

#[cfg(test)]
mod tests {
    use crate::bench::{Task, workloads};

    /// Figures worked out by hand, MFLOP an image.
    const KNOWN: [(&str, f64); 11] = [
        ("vae-mnist b100 h500 z20", 4.1),
        ("draw-mnist b100 T64 h256 attn", 370.0),
        ("draw-mnist b100 T64 h256 noattn", 750.0),
        ("pixelcnn-mnist b16 L7 h32", 323.0),
        ("pixelcnn-mnist b16 L7 h32", 108.0),
        ("rowlstm-mnist b16 L7 h16", 266.0),
        ("diagbilstm-mnist b16 L1 h32", 185.0),
        ("diagbilstm-mnist b16 L7 h16", 300.0),
        ("pixelcnn-cifar b16 L15 h128", 19_743.0),
        ("rowlstm-cifar b16 L12 h128", 40_873.0),
        ("diagbilstm-cifar b16 L12 h128", 42_471.0),
    ];

    #[test]
    fn the_arithmetic_is_that_worked_out_by_hand() {
        for (workload, (name, known)) in workloads().iter().zip(KNOWN) {
            let found = workload.flops() / 1e6;
            assert_eq!(workload.name, name);
            assert!((found / known - 1.0).abs() < 0.02, "{name}: {found} MFLOP, not {known}");
        }
        assert_eq!(workloads().iter().filter(|w| w.task == Task::Sample).count(), 1);
    }
}
