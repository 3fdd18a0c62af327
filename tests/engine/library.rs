//! What users of the library need first: operators, softmax and cross entropy, the gradient check, messages about
//! shapes.

use pixelloom::autograd::Backward;
use pixelloom::autograd::case::{Case, Input};
use pixelloom::autograd::gradcheck::{PASS, gradcheck, gradient_error, worst_element};
use pixelloom::{Device, Tape, Tensor, Var};

use crate::common::fast_devices;

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn operators_are_the_methods() {
    for device in fast_devices() {
        let tape = Tape::new();
        let a = tape.leaf(Tensor::new(&device, &[1.0, 2.0, 3.0, 4.0], &[2, 2]));
        let b = tape.leaf(Tensor::new(&device, &[0.5, -1.0], &[2]));
        let y = (&a + &b) * (&a - &b) / (&a * &a + &b);
        let by_hand = |a: f32, b: f32| (a + b) * (a - b) / (a * a + b);
        let expected =
            [(1.0, 0.5), (2.0, -1.0), (3.0, 0.5), (4.0, -1.0)].map(|(a, b)| by_hand(a, b));
        close(&y.value().to_vec().unwrap(), &expected);
        let gradients = tape.backward_from(&(y - &a).sum());
        assert_eq!(gradients.of(&b).unwrap().shape(), [2]);
    }
    let x = Tensor::new(&Device::cpu(), &[1.5, 2.0, 3.0, 4.0], &[2, 2]);
    let y = Tensor::new(&Device::cpu(), &[0.5, 1.0], &[2]);
    let worst = gradcheck(|x| (&x[0] + &x[1]) * (&x[0] - &x[1]) / &x[0], &[x, y]).unwrap();
    assert!(worst.error < 1e-3, "{worst}");
}

#[test]
fn softmax_and_cross_entropy() {
    let logits = [1.0, 2.0, 3.0, 40.0, 40.0, 38.0];
    let e = |x: f32| x.exp();
    let first = e(1.0) + e(2.0) + e(3.0);
    let second = 2.0 + e(-2.0);
    let p = [
        e(1.0) / first,
        e(2.0) / first,
        e(3.0) / first,
        1.0 / second,
        1.0 / second,
        e(-2.0) / second,
    ];
    for device in fast_devices() {
        let tape = Tape::new();
        let x = tape.leaf(Tensor::new(&device, &logits, &[2, 3]));
        close(&x.softmax().value().to_vec().unwrap(), &p);
        close(&x.log_softmax().value().to_vec().unwrap(), &p.map(f32::ln));
        // e^1000 is infinite, but its softmax is not.
        let large = tape.constant(Tensor::new(&device, &[1000.0, 0.0, -1000.0], &[1, 3]));
        assert_eq!(large.softmax().value().to_vec().unwrap(), [1.0, 0.0, 0.0]);
        let labels = Tensor::new(&device, &[2.0, 0.0], &[2]);
        let loss = x.cross_entropy(&labels);
        close(&[loss.value().item().unwrap()], &[-(p[2].ln() + p[3].ln()) / 2.0]);
        // (softmax - onehot) / rows.
        let gradient = tape.backward_from(&loss).of(&x).unwrap().to_vec().unwrap();
        let expected = [p[0], p[1], p[2] - 1.0, p[3] - 1.0, p[4], p[5]].map(|x| x / 2.0);
        close(&gradient, &expected);
    }
    let x = Tensor::new(&Device::cpu(), &[0.1, 0.7, -0.3, 1.0, 0.2, 0.4], &[2, 3]);
    let worst = gradcheck(|x| x[0].softmax() * x[0].log_softmax(), &[x]).unwrap();
    assert!(worst.error < 1e-3, "{worst}");
}

/// Twice x, with a gradient that is wrong at one element.
struct Wrong;

impl Backward for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _: &[bool]) -> Vec<Option<Tensor>> {
        let mut dx: Vec<f32> = dy[0].to_vec().unwrap().iter().map(|dy| 2.0 * dy).collect();
        dx[5] = 1.5;
        vec![Some(Tensor::new(dy[0].device(), &dx, dy[0].shape()))]
    }
}

#[test]
fn the_gradient_check_names_the_wrong_element() {
    let device = Device::cpu();
    let numbers: Vec<f32> = (0..6).map(|i| 0.3 * i as f32).collect();
    let [a, b] = [0, 1].map(|_| Tensor::new(&device, &numbers, &[2, 3]));
    fn doubled<'t>(x: &Var<'t>) -> Var<'t> {
        let y =
            Tensor::new(x.device(), &x.value().to_vec().unwrap().map_each(|x| 2.0 * x), x.shape());
        let [y] = x.tape().record(&[x], [y], || Box::new(Wrong));
        y
    }
    let worst = gradcheck(|x| &x[0] * &x[0] + doubled(&x[1]), &[a.clone(), b.clone()]).unwrap();
    assert_eq!((worst.input, &worst.index[..]), (1, &[1, 2][..]));
    assert!((worst.gradient - 1.5).abs() < 1e-6 && (worst.expected - 2.0).abs() < 1e-3, "{worst}");
    assert!(worst.error > 0.2, "{worst}");
    let said = worst.to_string();
    assert!(
        said.starts_with("input 1, element [1, 2]: the gradient is 1.500000, finite"),
        "{said}"
    );
    let right = gradcheck(|x| &x[0] * &x[0] + &x[1], &[a, b]).unwrap();
    assert!(right.error < 1e-3, "{right}");
}

/// An input of 1,200 elements is checked along random directions; which element is wrong is known nevertheless.
#[test]
fn the_wrong_element_of_a_large_case_is_found() {
    let doubled = |x: &Var| {
        Tensor::new(x.device(), &x.value().to_vec().unwrap().map_each(|x| 2.0 * x), x.shape())
    };
    let inputs = vec![Input::normal("a", &[3]), Input::normal("b", &[40, 30])];
    let case = Case::new("wrong", "40 x 30", inputs, move |x| {
        let [y] = x[1].tape().record(&[&x[1]], [doubled(&x[1])], || Box::new(Wrong));
        vec![x[0].square(), y]
    });
    let worst = worst_element(&case, &Device::cpu()).unwrap().expect("two inputs are checked");
    assert_eq!((worst.input, &worst.index[..]), (1, &[0, 5][..]), "{worst}");
    assert!((worst.gradient - 1.5).abs() < 1e-6, "{worst}");
    assert_eq!(worst.error, gradient_error(&case, &Device::cpu()).unwrap());
    assert!(worst.error > PASS, "{worst}");
    let constant = Case::new("none", "", vec![Input::binary("x", &[3])], |x| vec![x[0].square()]);
    assert_eq!(worst_element(&constant, &Device::cpu()).unwrap(), None);
}

trait MapEach {
    fn map_each(self, f: impl Fn(f32) -> f32) -> Vec<f32>;
}

impl MapEach for Vec<f32> {
    fn map_each(self, f: impl Fn(f32) -> f32) -> Vec<f32> {
        self.into_iter().map(f).collect()
    }
}

/// The message of a panic.
fn panics(f: impl Fn(&Tape, &dyn Fn(&[usize]) -> Tensor)) -> String {
    let zeros = |shape: &[usize]| Tensor::zeros(&Device::cpu(), shape);
    let run = std::panic::AssertUnwindSafe(|| f(&Tape::new(), &zeros));
    let panic = std::panic::catch_unwind(run).expect_err("it fits");
    panic.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn shapes_that_do_not_fit_are_explained() {
    let matmul = |a: &'static [usize], b: &'static [usize]| {
        panics(move |tape, zeros| drop(tape.constant(zeros(a)).matmul(&tape.constant(zeros(b)))))
    };
    assert_eq!(
        matmul(&[2, 3], &[4, 5]),
        "matmul: inner sizes differ, 3 and 4: [2, 3] times [4, 5]"
    );
    assert!(matmul(&[2, 2, 3], &[5, 3, 2]).starts_with("matmul: batches differ, 2 and 5"));
    assert!(matmul(&[2, 3], &[1, 3, 2]).contains("one is a matrix, the other a batch of them"));
    let linear = panics(|tape, zeros| {
        let [x, w] = [&[2, 3], &[5, 4]].map(|shape| tape.constant(zeros(shape)));
        drop(x.linear(&w, None, pixelloom::ops::matmul::Activation::None));
    });
    assert_eq!(linear, "matmul: inner sizes differ, 3 and 4: [2, 3] times [5, 4] transposed");
    let bias = panics(|tape, zeros| {
        let [x, w] = [&[2, 3], &[5, 3]].map(|shape| tape.constant(zeros(shape)));
        let b = tape.constant(zeros(&[4]));
        drop(x.linear(&w, Some(&b), pixelloom::ops::matmul::Activation::None));
    });
    assert_eq!(bias, "matmul: the bias is [4], the result has 5 columns");
    let sum = panics(|tape, zeros| {
        drop(&tape.constant(zeros(&[2, 3])) + &tape.constant(zeros(&[2])));
    });
    assert!(sum.contains("Add: shapes [2, 3] and [2] do not broadcast"), "{sum}");
    let targets =
        panics(|tape, zeros| drop(tape.constant(zeros(&[2, 3])).cross_entropy(&zeros(&[3]))));
    assert!(targets.contains("logits [2, 3] need one target per row, [2], not [3]"), "{targets}");
}
