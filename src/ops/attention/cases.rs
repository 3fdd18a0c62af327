//! Cases of attentive reads and writes: sizes below, at and above a workgroup's, several channels, wide windows.

use crate::autograd::case::{Case, Input};
use crate::ops::filterbank::parameters;

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let sizes: [[usize; 5]; 6] = [
        // Images, N, height, width, channels.
        [1, 1, 1, 1, 1],
        [2, 2, 28, 28, 1],
        [3, 5, 9, 17, 1],
        [2, 3, 6, 4, 3],
        [1, 12, 11, 18, 3],
        [2, 17, 5, 2, 2],
    ];
    let mut cases = Vec::new();
    for [batch, n, height, width, channels] in sizes {
        let label =
            |what: &str| format!("{what} {batch} images of {height}x{width}x{channels}, N {n}");
        let image = |name| Input::normal(name, &[batch, height, width, channels]);
        let p = || parameters(batch);
        cases.push(Case::new("attention", &label("read"), vec![p(), image("x")], move |x| {
            vec![x[0].attention_read(n, &x[1], None)]
        }));
        let inputs = vec![p(), image("x"), image("canvas")];
        cases.push(Case::new("attention", &label("read both"), inputs, move |x| {
            vec![x[0].attention_read(n, &x[1], Some(&x[2]))]
        }));
        let w = Input::normal("w", &[batch, n, n, channels]);
        let inputs = vec![p(), w, image("canvas")];
        cases.push(Case::new("attention", &label("write"), inputs, |x| {
            vec![x[0].attention_write(&x[1], &x[2])]
        }));
        let state = |name| Input::normal(name, &[batch, 2 * n + 1]);
        let inputs = vec![p(), image("x"), image("canvas"), state("h"), state("state")];
        cases.push(Case::new("attention", &label("read input"), inputs, move |x| {
            x[0].attention_read_input(n, &x[1], &x[2], [&x[3], &x[4]]).to_vec()
        }));
        let w = Input::normal("w", &[batch, n * n * channels]);
        let inputs = vec![w, p(), Input::normal("next", &[batch, 5]), image("canvas")];
        cases.push(Case::new("attention", &label("write heads"), inputs, move |x| {
            x[0].concat(&[&x[1], &x[2]], 1).attention_write_heads(n, &x[3]).to_vec()
        }));
    }
    cases
}
