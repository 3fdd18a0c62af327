//! Products that skip zeros, against a plain triple loop in f64: every layout of the sparse operand, shapes with
//! and without remainders, any number of threads; and the effect of skipping on non-finite numbers.

use pixelloom::cpu::gemm::{Activation, Gemm, Mat, Operand, gemm_skipping_zeros};
use pixelloom::rng::{Key, stream};

/// Numbers in [-1, 1), of which only the fraction `share` is nonzero.
fn noise(seed: u64, len: usize, share: f32) -> Vec<f32> {
    let key = Key::new(seed, stream::TEST, 0);
    let value = |i: u64| {
        let x = 2.0 * key.uniform(2 * i) - 1.0;
        if key.uniform(2 * i + 1) < share { x } else { 0.0 }
    };
    (0..len as u64).map(value).collect()
}

/// A product with the sizes \[m, n, k\]; `transposed` tells which of A and B are stored transposed.
#[derive(Clone, Copy, Debug)]
struct Case {
    sizes: [usize; 3],
    operand: Operand,
    transposed: [bool; 2],
    share: f32,
    activation: Activation,
}

impl Case {
    fn operands(&self) -> [Vec<f32>; 3] {
        let [m, n, k] = self.sizes;
        let share = |operand| if operand == self.operand { self.share } else { 1.0 };
        [noise(1, m * k, share(Operand::A)), noise(2, k * n, share(Operand::B)), noise(3, n, 1.0)]
    }

    fn run(&self, [a, b, bias]: &[Vec<f32>; 3], threads: usize) -> Vec<f32> {
        let [m, n, k] = self.sizes;
        let mat = |data, rows, columns, transposed| match transposed {
            false => Mat { data, row_stride: columns, col_stride: 1 },
            true => Mat { data, row_stride: 1, col_stride: rows },
        };
        let g = Gemm {
            m,
            n,
            k,
            a: mat(a, m, k, self.transposed[0]),
            b: mat(b, k, n, self.transposed[1]).into(),
            bias: Some(bias),
            activation: self.activation,
            accumulate: false,
        };
        let mut c = vec![f32::NAN; m * n];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| gemm_skipping_zeros(&g, self.operand, &mut c, n));
        c
    }

    fn check(&self) {
        let [m, n, k] = self.sizes;
        let operands = self.operands();
        let at = |x: &[f32], [i, j]: [usize; 2], [rows, columns]: [usize; 2], transposed: bool| {
            f64::from(if transposed { x[j * rows + i] } else { x[i * columns + j] })
        };
        let c = self.run(&operands, 1);
        for threads in [2, 4] {
            let same = self.run(&operands, threads).iter().zip(&c).all(|(x, y)| x == y);
            assert!(same, "{self:?}: {threads} threads give other bits than one");
        }
        let [a, b, bias] = &operands;
        for (i, row) in c.chunks(n).enumerate() {
            for (j, &got) in row.iter().enumerate() {
                let (mut sum, mut size) = (f64::from(bias[j]), 1.0);
                for p in 0..k {
                    let a = at(a, [i, p], [m, k], self.transposed[0]);
                    let term = a * at(b, [p, j], [k, n], self.transposed[1]);
                    sum += term;
                    size += term.abs();
                }
                let want = if self.activation == Activation::Tanh { sum.tanh() } else { sum };
                let tol = f64::from(f32::EPSILON) * size * (4.0 + (k as f64).sqrt()) / 2.0;
                let got = f64::from(got);
                assert!((got - want).abs() <= tol, "{self:?} at ({i}, {j}): {got}, not {want}");
            }
        }
    }
}

fn cases(sizes: [usize; 3], share: f32) -> impl Iterator<Item = Case> {
    [Operand::A, Operand::B].into_iter().flat_map(move |operand| {
        [[false, false], [false, true], [true, false], [true, true]].map(|transposed| Case {
            sizes,
            operand,
            transposed,
            share,
            activation: if transposed[0] { Activation::Tanh } else { Activation::None },
        })
    })
}

#[test]
fn every_layout_and_remainder() {
    for sizes in [[16, 32, 1], [17, 33, 5], [32, 97, 128], [65, 64, 129], [129, 100, 300]] {
        for share in [0.0, 0.02, 0.2, 0.33] {
            cases(sizes, share).for_each(|case| case.check());
        }
    }
}

/// Large enough to be split among threads: a layer on 100 binarised digits, and the gradient of its weights.
#[test]
fn a_layer_on_digits() {
    let layer = Case {
        sizes: [100, 500, 784],
        operand: Operand::A,
        transposed: [false, true],
        share: 0.2,
        activation: Activation::Tanh,
    };
    layer.check();
    Case { sizes: [500, 784, 100], operand: Operand::B, transposed: [true, false], ..layer }
        .check();
}

/// Products that are too small or have too few zeros take the ordinary path.
#[test]
fn others_are_ordinary_products() {
    for sizes in [[1, 1, 1], [0, 5, 5], [5, 5, 0], [3, 40, 20], [40, 3, 20]] {
        cases(sizes, 0.2).for_each(|case| case.check());
    }
    cases([40, 70, 50], 1.0).for_each(|case| case.check());
}

/// A NaN that meets only zeros has no effect where zeros are skipped, but an effect where they are not. A NaN in
/// the sparse operand is never skipped.
#[test]
fn non_finite_numbers() {
    for mut case in cases([40, 70, 50], 0.2) {
        case.activation = Activation::None;
        let nans = |case: &Case, operands: &[Vec<f32>; 3]| {
            case.run(operands, 1).iter().filter(|x| x.is_nan()).count()
        };
        let [m, n, k] = case.sizes;
        let operand = usize::from(case.operand == Operand::B);
        // Term 7 of every sum: 0 in the sparse operand, NaN in the other.
        let fill = |operands: &mut [Vec<f32>; 3], operand: usize, value: f32| {
            let (outer, transposed) = ([m, n][operand], case.transposed[operand]);
            for i in 0..outer {
                // Whether k is the contiguous axis: A is [m, k] and B is [k, n], unless transposed.
                let along = (operand == 0) != transposed;
                operands[operand][if along { i * k + 7 } else { 7 * outer + i }] = value;
            }
        };
        let mut operands = case.operands();
        fill(&mut operands, operand, 0.0);
        fill(&mut operands, 1 - operand, f32::NAN);
        assert_eq!(nans(&case, &operands), 0, "{case:?}: zeros were not skipped");
        let dense = Case { share: 1.0, ..case };
        let mut operands = dense.operands();
        fill(&mut operands, operand, 0.0);
        fill(&mut operands, 1 - operand, f32::NAN);
        assert_eq!(nans(&dense, &operands), m * n, "{dense:?}: few zeros, but they were skipped");
        let mut operands = case.operands();
        operands[operand][0] = f32::NAN;
        assert!(nans(&case, &operands) > 0, "{case:?}: a NaN was lost");
    }
}
