//! Cases of operations on shapes of every rank from 1 to 7.

use pixelloom::Var;
use pixelloom::autograd::case::{Case, Input};

/// Lengths of the axes; a case of rank r uses the first r. One of them is 1.
const LENGTHS: [usize; 7] = [3, 2, 2, 1, 3, 2, 2];

type Function = Box<dyn for<'t> Fn(&Var<'t>) -> Var<'t> + Send + Sync>;

/// Reductions, layout operations and broadcasts on shapes of each rank from 1 to 7.
pub fn cases() -> Vec<Case> {
    (1..=LENGTHS.len()).flat_map(|rank| of_rank(&LENGTHS[..rank])).collect()
}

fn of_rank(shape: &[usize]) -> Vec<Case> {
    let (rank, last) = (shape.len(), shape.len() - 1);
    let one = |what: &str, input: &[usize], f: Function| {
        let label = format!("{what}, {rank} axes");
        Case::new("axes", &label, vec![Input::normal("x", input)], move |x| vec![f(&x[0])])
    };
    let middle = rank / 2;
    // Every second axis has length 1, so that no two neighbours can be merged.
    let thin = |first: usize| -> Vec<usize> {
        let length = |i: usize| if i % 2 == first { 1 } else { shape[i].max(2) };
        (0..rank).map(length).collect()
    };
    let full: Vec<usize> = shape.iter().map(|&n| n.max(2)).collect();
    let reversed: Vec<usize> = (0..rank).rev().collect();
    let rotated: Vec<usize> = (0..rank).map(|i| (i + 1) % rank).collect();
    let whole_of_thin = full.clone();
    let mut all = vec![
        one("sum of the first axis", shape, Box::new(|x| x.sum_axes(0, 1))),
        one("sum of the last axis", shape, Box::new(move |x| x.sum_axes(last, last + 1))),
        one("sum of middle axes", shape, Box::new(move |x| x.sum_axes(middle, last + 1))),
        one("mean", shape, Box::new(|x| x.mean())),
        one("logsumexp", shape, Box::new(|x| x.logsumexp())),
        one("reshape", shape, Box::new(|x| x.reshape(&[x.value().len()]))),
        one("reverse the axes", &full, Box::new(move |x| x.permute(&reversed))),
        one("rotate the axes", &full, Box::new(move |x| x.permute(&rotated))),
        one("expand", &thin(0), Box::new(move |x| x.expand(&whole_of_thin))),
        one("slice", shape, Box::new(move |x| x.slice(middle, 1, x.shape()[middle].max(2) - 1))),
        one("pad", shape, Box::new(move |x| x.slice(middle, -1, x.shape()[middle] + 3))),
        one("split", &full, {
            let first = full[middle] - 1;
            Box::new(move |x| {
                let [a, b] = x.split(middle, [first, 1]);
                b.concat(&[&a], middle)
            })
        }),
    ];
    let pair = |what: &str, a: &[usize], b: &[usize], f: for<'t> fn(&[Var<'t>]) -> Var<'t>| {
        let inputs = vec![Input::normal("a", a), Input::uniform("b", b, 0.5, 2.0)];
        Case::new("axes", &format!("{what}, {rank} axes"), inputs, move |x| vec![f(x)])
    };
    all.push(pair("div, each repeated", &thin(0), &thin(1), |x| x[0].div(&x[1])));
    all.push(pair("mul, one repeated", &full, &thin(1), |x| x[0].mul(&x[1])));
    let inputs = vec![Input::normal("a", shape), Input::normal("b", shape)];
    let label = format!("concat, {rank} axes");
    all.push(Case::new("axes", &label, inputs, move |x| vec![x[0].concat(&[&x[1]], middle)]));
    all
}
