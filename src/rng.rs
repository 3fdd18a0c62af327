//! Philox4x32-10: counter-based random numbers (Salmon, Moraes, Dror, Shaw, SC 2011).
//!
//! Every random number is a pure function of (seed, stream, step, element). A resumed run therefore needs no
//! generator state, results do not depend on the number of threads, and the GPU (`shaders/random/random.wgsl`)
//! computes the same integers. Element `e` of a draw is word `e % 4` of block `e / 4`. The counter
//! is `[block, block >> 32, step, stream]`; the key is the seed's low and high word.

mod noise;

pub use noise::{Distribution, fill_from, normal};
pub(crate) use noise::{NUMBERS, numbers};

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Identifies a draw. Two draws of one step must not share a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The run's seed.
    pub seed: u64,
    /// Purpose of the numbers: one of the constants of [`stream`], possibly plus a small offset.
    pub stream: u32,
    /// The training step, or another counter of this stream's draws, such as the epoch.
    pub step: u32,
    /// Rows of the whole batch before and after the rows that this thread or process holds. A row's noise depends
    /// on its index in the whole batch.
    pub elsewhere: (u32, u32),
}

/// The streams in use. A model that draws several times in a step adds small offsets to its stream.
pub mod stream {
    /// Dynamic binarization of grey levels; the step is the epoch.
    pub const BINARIZE: u32 = 0x100;
    /// Contents of scenes and their positions; the step is the epoch.
    pub const SCENE: u32 = 0x110;
    /// Choice of the images of a split or subset; the seed is fixed.
    pub const SPLIT: u32 = 0x180;
    /// Order of the training images; the step is the epoch.
    pub const SHUFFLE: u32 = 0x190;
    /// Latent noise during training.
    pub const LATENT: u32 = 0x200;
    /// Latent noise during evaluation.
    pub const EVALUATE: u32 = 0x300;
    /// Sampling of images.
    pub const SAMPLE: u32 = 0x400;
    /// Momenta and acceptance of Hamiltonian Monte Carlo.
    pub const HMC: u32 = 0x500;
    /// Tests and benchmarks.
    pub const TEST: u32 = 0x600;
    /// Dropout, one stream per layer. In a chain of networks (Multi-Scale), each network has
    /// [`DROPOUT_OF_A_STAGE`] of them.
    pub const DROPOUT: u32 = 0x1000;
    /// Number of dropout streams of each network of a chain.
    pub const DROPOUT_OF_A_STAGE: u32 = 0x400;
}

/// One of Philox's ten rounds.
#[inline(always)]
fn philox_round(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let p0 = u64::from(MULTIPLIER[0]) * u64::from(counter[0]);
    let p1 = u64::from(MULTIPLIER[1]) * u64::from(counter[2]);
    [
        (p1 >> 32) as u32 ^ counter[1] ^ key[0],
        p1 as u32,
        (p0 >> 32) as u32 ^ counter[3] ^ key[1],
        p0 as u32,
    ]
}

/// The key of the next round.
#[inline(always)]
fn next_key(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])]
}

/// The block of four 32-bit words for a counter and a key.
#[inline(always)]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        counter = philox_round(counter, key);
        key = next_key(key);
    }
    counter
}

impl Key {
    /// The key for draws of `stream` at `step` under `seed`, for a whole batch.
    pub fn new(seed: u64, stream: u32, step: u32) -> Key {
        Key { seed, stream, step, elsewhere: (0, 0) }
    }

    /// The key for a range of `rows`, where this key covers `total` rows.
    pub fn of_rows(self, rows: &std::ops::Range<usize>, total: usize) -> Key {
        let (before, after) = self.elsewhere;
        let elsewhere = (before + rows.start as u32, after + (total - rows.end) as u32);
        Key { elsewhere, ..self }
    }

    /// Block number `block` of this draw.
    #[inline(always)]
    pub fn block(self, block: u64) -> [u32; 4] {
        let counter = [block as u32, (block >> 32) as u32, self.step, self.stream];
        philox(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// Word number `element` of this draw.
    pub fn word(self, element: u64) -> u32 {
        self.block(element / 4)[(element % 4) as usize]
    }

    /// Uniform number `element` of this draw, in [0, 1), a multiple of 2^-24.
    pub fn uniform(self, element: u64) -> f32 {
        uniform(self.word(element))
    }
}

/// The upper 24 bits of a word as a number in [0, 1).
#[inline(always)]
pub fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Test vectors of the authors' reference implementation (Random123, kat_vectors).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_stays_below_one() {
        assert_eq!(uniform(0), 0.0);
        assert!(uniform(u32::MAX) < 1.0);
    }
}
