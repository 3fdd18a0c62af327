//! Names of axes and columns on the pages, and the maximum number of points of a curve.

/// Maximum number of raw training losses in a plot; more would merge into a grey band.
pub const MOST_POINTS: usize = 1500;

/// The unit of scores.
pub const NATS: &str = "nats/image";
/// The unit of scores per dimension, that is, per channel of a pixel.
pub const BITS_PER_DIM: &str = "bits/dim";
/// The key of the bits per dimension in metrics.
pub const BITS: &str = "bits_per_dim";
/// The horizontal axis.
pub const IMAGES: &str = "training images seen";
