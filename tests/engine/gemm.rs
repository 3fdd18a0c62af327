//! The CPU matrix product against a plain triple loop in f64, for every instruction set that the machine
//! supports, every layout and every epilogue (bias, activation, accumulation).

use pixelloom::cpu::Isa;
use pixelloom::cpu::gemm::{Activation, Gemm, Mat, Right, gemm, gemm_with, pack, packed_len};
use pixelloom::rng::{Key, stream};

/// Numbers in [-1, 1).
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let key = Key::new(seed, stream::TEST, 0);
    (0..len as u64).map(|i| 2.0 * key.uniform(i) - 1.0).collect()
}

/// A rows x cols matrix in a slice, with `gap` unused elements (NaN) after every row, or after every column if it
/// is stored transposed.
struct Stored {
    data: Vec<f32>,
    row_stride: usize,
    col_stride: usize,
}

impl Stored {
    fn new(seed: u64, rows: usize, cols: usize, transposed: bool, gap: usize) -> Stored {
        let (runs, len) = if transposed { (cols, rows) } else { (rows, cols) };
        let values = noise(seed, runs * len);
        let mut data = vec![f32::NAN; (runs * (len + gap)).saturating_sub(gap)];
        for r in 0..runs {
            data[r * (len + gap)..][..len].copy_from_slice(&values[r * len..][..len]);
        }
        let (row_stride, col_stride) = if transposed { (1, len + gap) } else { (len + gap, 1) };
        Stored { data, row_stride, col_stride }
    }

    fn mat(&self) -> Mat<'_> {
        Mat { data: &self.data, row_stride: self.row_stride, col_stride: self.col_stride }
    }

    fn get(&self, i: usize, j: usize) -> f64 {
        f64::from(self.data[i * self.row_stride + j * self.col_stride])
    }
}

/// A product to check. C is filled with NaN beforehand unless the product accumulates.
#[derive(Clone, Copy, Debug)]
struct Case {
    m: usize,
    n: usize,
    k: usize,
    a_transposed: bool,
    b_transposed: bool,
    bias: bool,
    activation: Activation,
    accumulate: bool,
    gap: usize,
}

const PLAIN: Case = Case {
    m: 0,
    n: 0,
    k: 0,
    a_transposed: false,
    b_transposed: false,
    bias: false,
    activation: Activation::None,
    accumulate: false,
    gap: 0,
};

impl Case {
    fn check(self, isa: Isa) {
        let Case { m, n, k, .. } = self;
        let a = Stored::new(1, m, k, self.a_transposed, self.gap);
        let b = Stored::new(2, k, n, self.b_transposed, self.gap);
        let bias = noise(3, n);
        let c_stride = n + self.gap;
        let before =
            if self.accumulate { noise(4, m * c_stride) } else { vec![f32::NAN; m * c_stride] };
        let mut c = before.clone();
        let g = Gemm {
            m,
            n,
            k,
            a: a.mat(),
            b: b.mat().into(),
            bias: self.bias.then_some(&bias),
            activation: self.activation,
            accumulate: self.accumulate,
        };
        gemm_with(isa, &g, &mut c, c_stride);
        // A row times a transposed B is added in another order.
        let dots = m == 1 && self.b_transposed;
        if isa == Isa::current() && !dots {
            // With B packed in advance, the same terms are added in the same order: the bits must agree.
            let (mut packed, mut same) = (vec![f32::NAN; packed_len(k, n)], before.clone());
            // B is packed from two parts, one above the other.
            let (top, whole) = (k / 3, b.mat());
            let from = (top * whole.row_stride).min(whole.data.len());
            let below = Mat { data: &whole.data[from..], ..whole };
            let packed = pack(&[(whole, top), (below, k - top)], n, &mut packed);
            gemm(&Gemm { b: packed.into(), ..g }, &mut same, c_stride);
            let same = same.iter().zip(&c).all(|(x, y)| x.to_bits() == y.to_bits());
            assert!(same, "{self:?} {isa:?}: packing B in advance changes the result");
        }

        for i in 0..m {
            for j in 0..n {
                let (mut sum, mut size) = (0.0, 1.0);
                for p in 0..k {
                    let term = a.get(i, p) * b.get(p, j);
                    sum += term;
                    size += term.abs();
                }
                if self.bias {
                    sum += f64::from(bias[j]);
                }
                if self.accumulate {
                    sum += f64::from(before[i * c_stride + j]);
                }
                let want = match self.activation {
                    Activation::None => sum,
                    Activation::Tanh => sum.tanh(),
                    Activation::Sigmoid => 1.0 / (1.0 + (-sum).exp()),
                    Activation::Relu => sum.max(0.0),
                };
                let got = f64::from(c[i * c_stride + j]);
                // The rounding error of a sum of k terms grows like sqrt(k), in any order of summation.
                let tol = f64::from(f32::EPSILON) * size * (4.0 + (k as f64).sqrt()) / 2.0;
                let err = (got - want).abs();
                assert!(err <= tol, "{self:?} {isa:?} at ({i}, {j}): {got}, not {want}");
            }
            for j in n..c_stride {
                let (x, y) = (c[i * c_stride + j], before[i * c_stride + j]);
                assert!(x.to_bits() == y.to_bits(), "{self:?} {isa:?} wrote beyond row {i}");
            }
        }
    }

    fn check_layouts(self) {
        for &isa in Isa::available() {
            for (a_transposed, b_transposed) in [(false, false), (false, true), (true, false)] {
                Case { a_transposed, b_transposed, ..self }.check(isa);
            }
        }
    }
}

#[test]
fn every_size_in_every_layout() {
    let sizes = [1, 3, 17, 63, 64, 65, 129];
    for m in sizes {
        for n in sizes {
            for k in sizes {
                Case { m, n, k, ..PLAIN }.check_layouts();
            }
        }
    }
}

#[test]
fn every_height_and_width_of_a_tile() {
    for m in 1..=30 {
        for n in 1..=34 {
            Case { m, n, k: 5, bias: true, gap: 3, ..PLAIN }.check_layouts();
        }
    }
}

#[test]
fn several_blocks_of_every_loop() {
    for (m, n, k) in [(257, 257, 257), (257, 65, 1030), (17, 700, 500), (129, 1030, 400)] {
        Case { m, n, k, bias: true, activation: Activation::Tanh, gap: 5, ..PLAIN }.check_layouts();
        Case { m, n, k, accumulate: true, ..PLAIN }.check_layouts();
    }
}

#[test]
fn strides_that_alias_in_the_cache() {
    Case { m: 40, n: 100, k: 512, gap: 512, ..PLAIN }.check_layouts();
    Case { m: 256, n: 256, k: 256, ..PLAIN }.check_layouts();
}

#[test]
fn every_epilogue() {
    for (m, n, k) in [(1, 1, 1), (3, 17, 63), (65, 63, 17), (29, 65, 129), (17, 40, 900)] {
        for gap in [0, 7] {
            let case = Case { m, n, k, gap, ..PLAIN };
            Case { accumulate: true, ..case }.check_layouts();
            for bias in [false, true] {
                for activation in
                    [Activation::None, Activation::Tanh, Activation::Sigmoid, Activation::Relu]
                {
                    Case { bias, activation, ..case }.check_layouts();
                }
            }
        }
    }
}

#[test]
fn long_sums_for_few_elements() {
    for (m, n, k) in [(32, 64, 12544), (5, 3, 2049), (33, 17, 4100)] {
        let case = Case { m, n, k, gap: 1, ..PLAIN };
        case.check_layouts();
        Case { accumulate: true, ..case }.check_layouts();
        Case { bias: true, activation: Activation::Sigmoid, ..case }.check_layouts();
    }
}

#[test]
fn nothing_to_add_or_nothing_to_write() {
    for (m, n, k) in [(0, 5, 5), (5, 0, 5), (5, 5, 0), (0, 0, 0), (1, 33, 0), (0, 3, 4000)] {
        let case = Case { m, n, k, gap: 2, ..PLAIN };
        case.check_layouts();
        Case { accumulate: true, ..case }.check_layouts();
        Case { bias: true, activation: Activation::Tanh, ..case }.check_layouts();
    }
}

/// Shapes of the models, large enough to be split among threads.
#[test]
fn same_bits_for_any_number_of_threads() {
    let shapes = [
        (100, 500, 784, false, true),
        (100, 784, 500, false, false),
        (500, 784, 100, true, false),
        (12544, 64, 32, false, false),
        (32, 64, 12544, true, false),
        (448, 128, 64, false, false),
        (129, 1030, 400, false, true),
        (1, 1030, 1025, false, true),
    ];
    for (m, n, k, a_transposed, b_transposed) in shapes {
        let a = Stored::new(1, m, k, a_transposed, 0);
        let b = Stored::new(2, k, n, b_transposed, 0);
        let bias = noise(3, n);
        let g = Gemm {
            m,
            n,
            k,
            a: a.mat(),
            b: b.mat().into(),
            bias: Some(&bias),
            activation: Activation::Tanh,
            accumulate: false,
        };
        for &isa in Isa::available() {
            let results: Vec<Vec<u32>> = [1, 2, 4]
                .into_iter()
                .map(|threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let mut c = vec![f32::NAN; m * n];
                    pool.unwrap().install(|| gemm_with(isa, &g, &mut c, n));
                    c.into_iter().map(f32::to_bits).collect()
                })
                .collect();
            assert!(results[0] == results[1], "{isa:?} {m} x {n} x {k}: 1 and 2 threads differ");
            assert!(results[0] == results[2], "{isa:?} {m} x {n} x {k}: 1 and 4 threads differ");
            let finite = results[0].iter().all(|&x| f32::from_bits(x).is_finite());
            assert!(finite, "{isa:?} {m} x {n} x {k}: elements were not written");
        }
    }
}

/// A NaN in an operand reaches C, also through ReLU.
#[test]
fn nan_comes_through() {
    let (a, b) = ([f32::NAN], [1.0]);
    for activation in [Activation::None, Activation::Relu] {
        let a = Mat { data: &a, row_stride: 1, col_stride: 1 };
        let b = Mat { data: &b, row_stride: 1, col_stride: 1 };
        let mut c = [0.0];
        let g =
            Gemm { m: 1, n: 1, k: 1, a, b: b.into(), bias: None, activation, accumulate: false };
        gemm(&g, &mut c, 1);
        assert!(c[0].is_nan(), "{activation:?} hid a NaN");
    }
}

#[test]
#[should_panic(expected = "A[3, 4] with strides 4 and 1 does not fit a slice of 11")]
fn short_operand() {
    let (a, b) = (vec![0.0; 11], vec![0.0; 20]);
    let a = Mat { data: &a, row_stride: 4, col_stride: 1 };
    let b = Mat { data: &b, row_stride: 5, col_stride: 1 };
    let activation = Activation::None;
    let g = Gemm { m: 3, n: 5, k: 4, a, b: b.into(), bias: None, activation, accumulate: false };
    gemm(&g, &mut [0.0; 15], 5);
}

#[test]
#[should_panic(expected = "C[3, 5] with rows 5 apart does not fit a slice of 14")]
fn short_result() {
    let (a, b) = (vec![0.0; 12], vec![0.0; 20]);
    let a = Mat { data: &a, row_stride: 4, col_stride: 1 };
    let b = Mat { data: &b, row_stride: 5, col_stride: 1 };
    let activation = Activation::None;
    let g = Gemm { m: 3, n: 5, k: 4, a, b: b.into(), bias: None, activation, accumulate: false };
    gemm(&g, &mut [0.0; 14], 5);
}

/// On one thread, a packed B larger than L2 is read in another order, and with few rows B is cut into other blocks if it
/// is not packed; the bits of the result are the same.
#[test]
fn large_packed_operands() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for (n, k) in [(520, 1024), (1024, 356), (1030, 300)] {
        let b = noise(2, k * n);
        let whole = Mat { data: &b, row_stride: n, col_stride: 1 };
        let mut packed = vec![f32::NAN; packed_len(k, n)];
        let packed = pack(&[(whole, k)], n, &mut packed);
        for m in [1, 2, 3, 5, 37, 50, 100, 128, 150] {
            let (a, bias, before) = (noise(1, m * k), noise(3, n), noise(4, m * n));
            for (accumulate, activation) in
                [(true, Activation::None), (false, Activation::None), (false, Activation::Tanh)]
            {
                let product = |b: Right| {
                    let a = Mat { data: &a, row_stride: k, col_stride: 1 };
                    let bias = (!accumulate).then_some(&bias[..]);
                    let mut c = before.clone();
                    gemm(&Gemm { m, n, k, a, b, bias, activation, accumulate }, &mut c, n);
                    c.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                let same = one.install(|| product(packed.into())) == product(whole.into());
                assert!(same, "[{m}, {n}, {k}], {activation:?}, added {accumulate}");
            }
        }
    }
}
