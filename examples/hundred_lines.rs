//! An autodiff engine in a hundred lines (matrices, a tape, five operations, one reverse loop), and a small
//! network that it trains on exclusive or. The first chapter of the guide explains it.
//! Run it with `cargo run --example hundred_lines`, and its tests with `cargo test --example hundred_lines`.

/// A matrix in row-major order.
#[derive(Clone, Debug)]
struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    fn new(rows: usize, cols: usize, f: impl FnMut(usize) -> f64) -> Matrix {
        Matrix { rows, cols, data: (0..rows * cols).map(f).collect() }
    }
    fn map(&self, f: impl Fn(f64) -> f64) -> Matrix {
        Matrix::new(self.rows, self.cols, |i| f(self.data[i]))
    }
    fn zip(&self, other: &Matrix, f: impl Fn(f64, f64) -> f64) -> Matrix {
        assert_eq!((self.rows, self.cols), (other.rows, other.cols), "shapes differ");
        Matrix::new(self.rows, self.cols, |i| f(self.data[i], other.data[i]))
    }
    fn transposed(&self) -> Matrix {
        Matrix::new(self.cols, self.rows, |i| self.data[i % self.rows * self.cols + i / self.rows])
    }
    fn times(&self, other: &Matrix) -> Matrix {
        assert_eq!(self.cols, other.rows, "shapes do not fit");
        let term = |r, c, k| self.data[r * self.cols + k] * other.data[k * other.cols + c];
        let dot = |i: usize| (0..self.cols).map(|k| term(i / other.cols, i % other.cols, k)).sum();
        Matrix::new(self.rows, other.cols, dot)
    }
}

/// The gradients of the parents, from the gradient dy of the output, the output y and the parents x.
type Rule = fn(dy: &Matrix, y: &Matrix, x: &[&Matrix]) -> Vec<Matrix>;

struct Node {
    value: Matrix,
    parents: Vec<Var>,
    rule: Rule,
}

/// A value on the tape: the index of its node.
#[derive(Clone, Copy)]
struct Var(usize);

#[derive(Default)]
struct Tape(Vec<Node>);

impl Tape {
    fn record(&mut self, value: Matrix, parents: &[Var], rule: Rule) -> Var {
        self.0.push(Node { value, parents: parents.to_vec(), rule });
        Var(self.0.len() - 1)
    }
    fn value(&self, x: Var) -> &Matrix {
        &self.0[x.0].value
    }
    fn leaf(&mut self, value: &Matrix) -> Var {
        self.record(value.clone(), &[], |_, _, _| vec![])
    }
    fn add(&mut self, a: Var, b: Var) -> Var {
        let y = self.value(a).zip(self.value(b), |a, b| a + b);
        self.record(y, &[a, b], |dy, _, _| vec![dy.clone(), dy.clone()])
    }
    fn mul(&mut self, a: Var, b: Var) -> Var {
        let y = self.value(a).zip(self.value(b), |a, b| a * b);
        let rule: Rule = |dy, _, x| vec![dy.zip(x[1], |d, b| d * b), dy.zip(x[0], |d, a| d * a)];
        self.record(y, &[a, b], rule)
    }
    fn matmul(&mut self, a: Var, b: Var) -> Var {
        let y = self.value(a).times(self.value(b));
        let rule: Rule = |dy, _, x| vec![dy.times(&x[1].transposed()), x[0].transposed().times(dy)];
        self.record(y, &[a, b], rule)
    }
    fn tanh(&mut self, x: Var) -> Var {
        let y = self.value(x).map(f64::tanh);
        self.record(y, &[x], |dy, y, _| vec![dy.zip(y, |d, y| d * (1.0 - y * y))])
    }
    fn sum(&mut self, x: Var) -> Var {
        let total = self.value(x).data.iter().sum();
        self.record(Matrix::new(1, 1, |_| total), &[x], |dy, _, x| vec![x[0].map(|_| dy.data[0])])
    }

    /// d loss / d value of every node. A node comes after its parents, so a reversed loop is enough.
    fn backward(&self, loss: Var) -> Vec<Matrix> {
        let zeros = |node: &Node| node.value.map(|_| 0.0);
        let mut gradients: Vec<Matrix> = self.0.iter().map(zeros).collect();
        gradients[loss.0] = self.value(loss).map(|_| 1.0);
        for (i, node) in self.0.iter().enumerate().rev() {
            let x: Vec<&Matrix> = node.parents.iter().map(|&p| self.value(p)).collect();
            let dx = (node.rule)(&gradients[i], &node.value, &x);
            for (parent, dx) in node.parents.iter().zip(dx) {
                gradients[parent.0] = gradients[parent.0].zip(&dx, |sum, d| sum + d);
            }
        }
        gradients
    }
}

/// The summed squared error of y = tanh(x W1 + 1 b1) W2 + 1 b2, and the variables of the weights.
fn loss(tape: &mut Tape, weights: &[Matrix], x: &Matrix, target: &Matrix) -> (Var, Vec<Var>) {
    let w: Vec<Var> = weights.iter().map(|w| tape.leaf(w)).collect();
    let (x, minus_target) = (tape.leaf(x), tape.leaf(&target.map(|t| -t)));
    let ones = tape.leaf(&Matrix::new(target.rows, 1, |_| 1.0)); // a column, so 1 b repeats the row b
    let (product, bias) = (tape.matmul(x, w[0]), tape.matmul(ones, w[1]));
    let hidden = tape.add(product, bias);
    let hidden = tape.tanh(hidden);
    let (product, bias) = (tape.matmul(hidden, w[2]), tape.matmul(ones, w[3]));
    let y = tape.add(product, bias);
    let error = tape.add(y, minus_target);
    let squares = tape.mul(error, error);
    (tape.sum(squares), w)
}

/// Weights of a network with 2 inputs, 4 hidden units and 1 output, and the data of exclusive or.
fn start() -> (Vec<Matrix>, Matrix, Matrix) {
    let shapes = [(2, 4), (1, 4), (4, 1), (1, 1)];
    let weights =
        shapes.map(|(r, c)| Matrix::new(r, c, |i| 0.5 * (3.0 * i as f64 + r as f64).sin()));
    let x = Matrix { rows: 4, cols: 2, data: vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0] };
    (weights.to_vec(), x, Matrix { rows: 4, cols: 1, data: vec![0.0, 1.0, 1.0, 0.0] })
}

/// The loss before each of `steps` steps of gradient descent.
fn train(steps: usize) -> Vec<f64> {
    let (mut weights, x, target) = start();
    let step = |_| {
        let mut tape = Tape::default();
        let (loss, variables) = loss(&mut tape, &weights, &x, &target);
        let gradients = tape.backward(loss);
        for (w, variable) in weights.iter_mut().zip(variables) {
            *w = w.zip(&gradients[variable.0], |w, d| w - 0.05 * d);
        }
        tape.value(loss).data[0]
    };
    (0..steps).map(step).collect()
}

fn main() {
    for (step, loss) in train(501).into_iter().enumerate().step_by(100) {
        println!("step {step}: loss {loss:.6}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest difference between the gradients of `f` and central differences.
    fn error(inputs: &[Matrix], f: impl Fn(&mut Tape, &[Var]) -> Var) -> f64 {
        let run = |inputs: &[Matrix]| {
            let mut tape = Tape::default();
            let x: Vec<Var> = inputs.iter().map(|x| tape.leaf(x)).collect();
            let y = f(&mut tape, &x);
            (tape.value(y).data[0], tape.backward(y))
        };
        let (_, gradients) = run(inputs);
        let mut worst = 0.0_f64;
        for (n, input) in inputs.iter().enumerate() {
            for i in 0..input.data.len() {
                let at = |step: f64| {
                    let mut moved = inputs.to_vec();
                    moved[n].data[i] += step;
                    run(&moved).0
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                let off = (gradients[n].data[i] - difference).abs();
                // f64::max would drop a NaN.
                worst = if off.is_nan() { f64::INFINITY } else { worst.max(off) };
            }
        }
        worst
    }

    fn matrix(rows: usize, cols: usize) -> Matrix {
        Matrix::new(rows, cols, |i| (1.7 * i as f64 + cols as f64).sin())
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (a, b, c) = (matrix(3, 4), matrix(4, 2), matrix(3, 2));
        let every_operation = |tape: &mut Tape, x: &[Var]| {
            let product = tape.matmul(x[0], x[1]);
            let y = tape.add(product, x[2]);
            let y = tape.tanh(y);
            let y = tape.mul(y, x[2]);
            tape.sum(y)
        };
        let worst = error(&[a, b, c], every_operation);
        assert!(worst < 1e-8, "{worst}");
    }

    #[test]
    fn gradients_of_a_value_that_is_used_twice_add_up() {
        let cube = |tape: &mut Tape, x: &[Var]| {
            let square = tape.mul(x[0], x[0]);
            let cube = tape.mul(square, x[0]);
            tape.sum(cube)
        };
        let worst = error(&[matrix(2, 3)], cube);
        assert!(worst < 1e-8, "{worst}");
    }

    #[test]
    fn a_wrong_rule_is_found() {
        let wrong = |tape: &mut Tape, x: &[Var]| {
            let y = tape.value(x[0]).map(f64::tanh);
            let y = tape.record(y, &[x[0]], |dy, y, _| vec![dy.zip(y, |d, y| d * (1.0 - y))]);
            tape.sum(y)
        };
        assert!(error(&[matrix(2, 3)], wrong) > 0.1);
    }

    #[test]
    fn it_learns_exclusive_or() {
        let losses = train(501);
        assert!(losses[0] > 1.0 && losses[500] < 0.01, "{} to {}", losses[0], losses[500]);
    }
}
