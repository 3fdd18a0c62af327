//! The compiled kernels of each instruction set.

use super::super::Isa;
use super::Activation;
use super::blocking::{Product, View};
use super::dots;
use super::kernel::{Kernel, Tile, kernel};
use super::simd::{self, Simd};
use super::sparse::{self, Part, Term};
use super::{pack, peak};

impl Isa {
    /// The compiled kernels.
    #[track_caller]
    pub(super) fn kernels(self) -> &'static Kernels {
        assert!(Isa::available().contains(&self), "gemm: this processor lacks {self:?}");
        self.compiled()
    }

    /// The same without the check that the processor supports them.
    fn compiled(self) -> &'static Kernels {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &AVX2,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &NEON,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Isa::Simd128 => &SIMD128,
            Isa::Portable => &PORTABLE,
            #[allow(unreachable_patterns)]
            other => panic!("gemm: {other:?} is of another architecture"),
        }
    }
}

/// Wide, flat tiles: `tiles[rows - 1]` is `vectors` vectors wide.
pub(super) struct Wide {
    pub tiles: &'static [Kernel],
    pub vectors: usize,
}

/// The functions that are compiled for one instruction set.
///
/// Safety: each one needs the target features, in addition to what the function in its doc comment needs.
pub(super) struct Kernels {
    /// Floats in a vector; a full tile is two vectors wide.
    pub lanes: usize,
    /// Rows of the tallest tile.
    pub mr: usize,
    /// `tiles[A as columns][last vector partial][vectors - 1][rows - 1]`.
    pub tiles: [[[&'static [Kernel]; 2]; 2]; 2],
    /// Wide tiles of whole vectors for products of few rows, A as rows.
    pub few: Wide,
    /// Wide tiles for short sums; empty if there are not enough registers.
    pub short: Wide,
    /// [`pack::b_rows`].
    pub pack_b_rows: unsafe fn(*const f32, usize, usize, usize, *mut f32),
    /// [`pack::b_columns`].
    pub pack_b_columns: unsafe fn(*const f32, usize, usize, usize, *mut f32),
    /// [`pack::a_runs`].
    pub pack_a_runs: unsafe fn(*const f32, usize, usize, usize, *mut f32, usize),
    /// [`pack::prefetch_runs`].
    pub prefetch_runs: fn(*const f32, usize, usize, usize),
    /// [`peak::chains`] with as many vectors as the tallest tile has.
    pub multiply_adds: unsafe fn(*mut f32, f32, f32, usize),
    /// [`dots::dots`].
    pub dots: unsafe fn(&Product),
    /// [`sparse::list_terms`].
    pub list_terms: unsafe fn(View, usize, usize, *mut Term, *mut u32),
    /// [`sparse::add_terms`].
    pub add_terms: unsafe fn(&Part),
    /// [`sparse::transpose`].
    pub transpose: unsafe fn(*const f32, usize, usize, usize, *mut f32, usize),
    /// [`pack::activate`].
    pub activate: unsafe fn(*mut f32, usize, usize, usize, Activation),
}

impl Kernels {
    /// The kernels of the current instruction set, which the processor supports. Call this once per product,
    /// because [`Isa::choose`] may change the answer at any time.
    pub fn current() -> &'static Kernels {
        Isa::current().compiled()
    }

    /// Columns in a panel of B: the width of a full tile.
    pub fn panel(&self) -> usize {
        2 * self.lanes
    }
}

/// Wraps generic functions in functions with the target features, so that they are inlined there and compiled for
/// these features.
macro_rules! compiled {
    ($features:meta: $(fn $name:ident $([$($generics:tt)*])? ($($arg:ident: $type:ty),*) = $call:expr;)*) => {$(
        /// # Safety
        /// The processor has the target features; otherwise as for the function that this one compiles.
        #[$features]
        pub unsafe fn $name $(<$($generics)*>)? ($($arg: $type),*) {
            // SAFETY: the caller guarantees what the function asks for, and the target features are those of
            // the instruction set that it is generic over.
            unsafe { $call($($arg),*) }
        }
    )*};
}

/// Defines the kernels of one instruction set. The first list has the heights of the tiles, up to the number that
/// leaves registers for the vectors of B and one broadcast. The others have the heights and the width in vectors of
/// the two kinds of wide tiles.
macro_rules! kernels {
    ($module:ident, $name:ident, $simd:ty, $features:meta, [$($mr:literal)*],
     [$($few:literal)*] x $few_vectors:literal, [$($short:literal)*] x $short_vectors:literal) => {
        mod $module {
            use super::*;

            compiled! { $features:
                fn tile[const MR: usize, const NV: usize, const COLUMNS: bool, const PART: bool](t: &Tile)
                    = kernel::<$simd, MR, NV, COLUMNS, PART>;
                fn b_rows(src: *const f32, stride: usize, k: usize, n: usize, dst: *mut f32)
                    = pack::b_rows::<$simd>;
                fn b_columns(src: *const f32, stride: usize, k: usize, n: usize, dst: *mut f32)
                    = pack::b_columns::<$simd>;
                fn a_runs(src: *const f32, stride: usize, runs: usize, len: usize, dst: *mut f32, to: usize)
                    = pack::a_runs::<$simd>;
                fn multiply_adds(x: *mut f32, a: f32, b: f32, reps: usize)
                    = peak::chains::<$simd, { 2 * [$($mr),*].len() }>;
                fn dots(p: &Product) = dots::dots::<$simd>;
                fn list_terms(x: View, rows: usize, k: usize, terms: *mut Term, counts: *mut u32)
                    = sparse::list_terms::<$simd>;
                fn add_terms(part: &Part) = sparse::add_terms::<$simd>;
                fn transpose(
                    src: *const f32,
                    stride: usize,
                    rows: usize,
                    cols: usize,
                    dst: *mut f32,
                    to: usize
                ) = sparse::transpose::<$simd>;
                fn activate(c: *mut f32, stride: usize, rows: usize, cols: usize, f: Activation)
                    = pack::activate;
            }
        }

        static $name: Kernels = Kernels {
            lanes: <$simd as Simd>::LANES,
            mr: [$($mr),*].len(),
            tiles: [
                [
                    [&[$($module::tile::<$mr, 1, false, false>),*], &[$($module::tile::<$mr, 2, false, false>),*]],
                    [&[$($module::tile::<$mr, 1, false, true>),*], &[$($module::tile::<$mr, 2, false, true>),*]],
                ],
                [
                    [&[$($module::tile::<$mr, 1, true, false>),*], &[$($module::tile::<$mr, 2, true, false>),*]],
                    [&[$($module::tile::<$mr, 1, true, true>),*], &[$($module::tile::<$mr, 2, true, true>),*]],
                ],
            ],
            few: Wide {
                tiles: &[$($module::tile::<$few, $few_vectors, false, false>),*],
                vectors: $few_vectors,
            },
            short: Wide {
                tiles: &[$($module::tile::<$short, $short_vectors, false, false>),*],
                vectors: $short_vectors,
            },
            pack_b_rows: $module::b_rows,
            pack_b_columns: $module::b_columns,
            pack_a_runs: $module::a_runs,
            prefetch_runs: pack::prefetch_runs::<$simd>,
            multiply_adds: $module::multiply_adds,
            dots: $module::dots,
            list_terms: $module::list_terms,
            add_terms: $module::add_terms,
            transpose: $module::transpose,
            activate: $module::activate,
        };
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512, AVX512, simd::Avx512, target_feature(enable = "avx512f"),
    [1 2 3 4 5 6 7 8 9 10 11 12], [1 2 3] x 8, [1 2 3 4 5 6] x 4);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, AVX2, simd::Avx2, target_feature(enable = "avx2,fma"), [1 2 3 4 5 6], [1 2] x 4, [] x 4);
#[cfg(target_arch = "aarch64")]
kernels!(neon, NEON, simd::Neon, target_feature(enable = "neon"),
    [1 2 3 4 5 6 7 8 9 10 11 12], [1 2 3] x 8, [1 2 3 4 5 6] x 4);
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
kernels!(simd128, SIMD128, simd::Simd128, target_feature(enable = "simd128"), [1 2 3 4 5 6], [1 2] x 4, [] x 4);
kernels!(portable, PORTABLE, simd::Portable, cfg(true), [1 2 3 4 5 6], [1 2] x 4, [] x 4);
