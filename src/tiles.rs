//! How kernels divide their work among the processors of a GPU.
//!
//! Each kernel with a choice has two ways to compute the same result: large tiles or small ones, a sum in one piece or
//! in several, a scan in one launch or in one per step. Which is faster depends on how many workgroups the GPU runs at
//! once. [`Tiles`] holds these choices, and every opened GPU has one: [`Tiles::of`] its type, or the one that was
//! passed to [`Device::with_tiles`](crate::Device::with_tiles). Different choices add the terms of a sum in different
//! orders, so results agree only to rounding errors.

use serde::{Deserialize, Serialize};

/// Choices of a GPU's kernels.
///
/// The rows of the table by type of adapter:
///
/// | type | row | where its numbers come from |
/// | --- | --- | --- |
/// | `discrete` | [`Tiles::DISCRETE`] | measured on an NVIDIA H200, which has 132 multiprocessors |
/// | `virtual` | the same | not measured; usually a share of a discrete GPU |
/// | `cpu` | the same | software drivers are for tests, which then run what a discrete GPU runs |
/// | `integrated` | [`Tiles::INTEGRATED`] | by arithmetic: the numbers of workgroups, for 16 processors |
/// | `other` (browsers) | [`Tiles::OTHER`] | by arithmetic: the numbers of workgroups, for 32 processors |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    /// Smallest number of 64 x 64 tiles with which a matrix product uses them; with fewer, its tiles are 32 x 32.
    pub large_products: u32,
    /// Number of workgroups up to which a matrix product is split into pieces of k (split-K).
    pub product_groups: u32,
    /// Smallest number of terms in such a piece.
    pub product_piece: u32,
    /// Smallest number of 128 x 128 tiles with which a convolution uses them; with fewer, its tiles are 64 x 64.
    pub wide_convolutions: u32,
    /// Number of workgroups up to which the weight gradient of a convolution is split into partial sums.
    pub weight_groups: u32,
    /// Smallest number of pixels in such a partial sum.
    pub weight_piece: u32,
    /// Smallest number of workgroups, one per image and direction, with which an LSTM scan takes one launch, if it fits
    /// into workgroup memory; otherwise each step is a launch.
    pub whole_scans: u32,
}

impl Tiles {
    /// The choices for a discrete GPU. Checkpoints without stored choices were trained with these.
    pub const DISCRETE: Tiles = Tiles {
        large_products: 512,
        product_groups: 128,
        product_piece: 512,
        wide_convolutions: 64,
        weight_groups: 256,
        weight_piece: 256,
        whole_scans: 1,
    };

    /// The choices for an integrated GPU.
    pub const INTEGRATED: Tiles = Tiles::DISCRETE.with_workgroups_over(8);

    /// The choices for an adapter of unknown type.
    pub const OTHER: Tiles = Tiles::DISCRETE.with_workgroups_over(4);

    /// Names of the choices, with the smallest and the largest value that each accepts. The limits of the groups and
    /// pieces keep the partial sums below 128 MiB, the smallest binding that every GPU has.
    pub const LIMITS: [(&'static str, u32, u32); 7] = [
        ("large_products", 1, 65_536),
        ("product_groups", 1, 2048),
        ("product_piece", 32, 65_536),
        ("wide_convolutions", 1, 65_536),
        ("weight_groups", 1, 2048),
        ("weight_piece", 16, 65_536),
        ("whole_scans", 1, 65_536),
    ];

    /// These choices with every number of workgroups divided by `factor`, for a GPU with that much fewer
    /// processors. The sizes of pieces stay: they make up for the launch that adds the pieces.
    const fn with_workgroups_over(self, factor: u32) -> Tiles {
        Tiles {
            large_products: self.large_products / factor,
            product_groups: self.product_groups / factor,
            wide_convolutions: self.wide_convolutions / factor,
            weight_groups: self.weight_groups / factor,
            ..self
        }
    }

    /// The table's row for an adapter of this type, see [`Tiles`].
    pub fn of(device_type: &str) -> Tiles {
        match device_type {
            "discrete" | "virtual" | "cpu" => Tiles::DISCRETE,
            "integrated" => Tiles::INTEGRATED,
            _ => Tiles::OTHER,
        }
    }

    /// The choices in the order of [`Tiles::LIMITS`].
    pub fn values(&self) -> [u32; 7] {
        [
            self.large_products,
            self.product_groups,
            self.product_piece,
            self.wide_convolutions,
            self.weight_groups,
            self.weight_piece,
            self.whole_scans,
        ]
    }

    /// These choices with another value of choice number `index` of [`Tiles::LIMITS`].
    ///
    /// # Panics
    ///
    /// When there is no such choice.
    pub fn with(mut self, index: usize, value: u32) -> Tiles {
        *[
            &mut self.large_products,
            &mut self.product_groups,
            &mut self.product_piece,
            &mut self.wide_convolutions,
            &mut self.weight_groups,
            &mut self.weight_piece,
            &mut self.whole_scans,
        ][index] = value;
        self
    }

    /// What is wrong with the first choice that is out of range, for a message.
    pub fn fault(&self) -> Option<String> {
        let all = Tiles::LIMITS.iter().zip(self.values());
        all.into_iter().find(|((_, least, most), value)| !(least..=most).contains(&value)).map(
            |((name, least, most), value)| {
                format!("{name} is {value}, and must be from {least} to {most}")
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_adapter_has_a_row() {
        let row = |kind: &str| Tiles::of(kind).values();
        // Old runs resume exactly only if these never change.
        for kind in ["discrete", "virtual", "cpu"] {
            assert_eq!(row(kind), [512, 128, 512, 64, 256, 256, 1], "{kind}");
        }
        assert_eq!(row("integrated"), [64, 16, 512, 8, 32, 256, 1]);
        assert_eq!(row("other"), [128, 32, 512, 16, 64, 256, 1]);
        assert_eq!(row("of the future"), row("other"));
    }

    #[test]
    fn values_are_set_and_checked_by_their_index() {
        for (index, (name, least, most)) in Tiles::LIMITS.into_iter().enumerate() {
            for value in [least, most] {
                let tiles = Tiles::DISCRETE.with(index, value);
                assert_eq!((tiles.values()[index], tiles.fault()), (value, None), "{name}");
                let json = serde_json::to_value(tiles).unwrap();
                assert_eq!(json[name], value, "{json}");
            }
            for value in [least - 1, most + 1] {
                let fault = Tiles::DISCRETE.with(index, value).fault().unwrap();
                let said = format!("{name} is {value}, and must be from {least} to {most}");
                assert_eq!(fault, said);
            }
        }
    }
}
