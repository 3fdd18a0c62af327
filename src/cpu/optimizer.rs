//! Optimiser steps in place. Shaders: `shaders/optimizer.wgsl`, `shaders/adam.wgsl`,
//! `shaders/clip.wgsl`. All tensors \[n\]; `scale` holds the clipping factor.

use rayon::prelude::*;

use super::simd::vectorize;
use crate::ops::optimizer::{ClipParams, Params, Rule};

const CHUNK: usize = 16 * 1024;

/// SGD with momentum, Adagrad, RMSProp: weights w and one state s.
pub fn one_state(p: &Params, [g, scale]: [&[f32]; 2], [w, s]: [&mut [f32]; 2]) {
    let (scale, lr, a, eps) = (scale[0], p.rate, p.beta1, p.epsilon);
    let (coupled, shrink) = p.decay_terms();
    let step = |g: &[f32], w: &mut [f32], s: &mut [f32]| {
        #[inline(always)]
        fn each(g: &[f32], w: &mut [f32], s: &mut [f32], f: impl Fn(f32, f32, f32) -> (f32, f32)) {
            vectorize(
                #[inline(always)]
                || {
                    for ((&g, w), s) in g.iter().zip(w.iter_mut()).zip(s.iter_mut()) {
                        (*w, *s) = f(g, *w, *s);
                    }
                },
            );
        }
        let gradient = |g: f32, w: f32| coupled.mul_add(w, g * scale);
        match p.rule() {
            Rule::Sgd => each(
                g,
                w,
                s,
                #[inline(always)]
                |g, w, s| {
                    let s = a.mul_add(s, gradient(g, w));
                    (shrink * w - lr * s, s)
                },
            ),
            Rule::Adagrad => each(
                g,
                w,
                s,
                #[inline(always)]
                |g, w, s| {
                    let g = gradient(g, w);
                    let s = g.mul_add(g, s);
                    (shrink * w - lr * g / (s.sqrt() + eps), s)
                },
            ),
            Rule::RmsProp | Rule::Adam => each(
                g,
                w,
                s,
                #[inline(always)]
                |g, w, s| {
                    let g = gradient(g, w);
                    let s = a.mul_add(s, (1.0 - a) * g * g);
                    (shrink * w - lr * g / (s.sqrt() + eps), s)
                },
            ),
        }
    };
    if w.len() <= CHUNK {
        return step(g, w, s);
    }
    g.par_chunks(CHUNK)
        .zip(w.par_chunks_mut(CHUNK))
        .zip(s.par_chunks_mut(CHUNK))
        .for_each(|((g, w), s)| step(g, w, s));
}

/// Adam: weights w, first moment m, second moment v.
pub fn adam(p: &Params, [g, scale]: [&[f32]; 2], [w, m, v]: [&mut [f32]; 3]) {
    let (scale, b1, b2, eps) = (scale[0], p.beta1, p.beta2, p.epsilon);
    let (coupled, shrink) = p.decay_terms();
    // w -= lr (m / c1) / (sqrt(v / c2) + eps), with the divisions taken out of the loop.
    let rate = p.rate / p.correction1;
    let root = p.correction2.sqrt().recip();
    let step = |g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]| {
        vectorize(
            #[inline(always)]
            || {
                for (((&g, w), m), v) in
                    g.iter().zip(w.iter_mut()).zip(m.iter_mut()).zip(v.iter_mut())
                {
                    let g = coupled.mul_add(*w, g * scale);
                    *m = b1.mul_add(*m, (1.0 - b1) * g);
                    *v = b2.mul_add(*v, (1.0 - b2) * g * g);
                    *w = shrink * *w - rate * *m / v.sqrt().mul_add(root, eps);
                }
            },
        );
    };
    if w.len() <= CHUNK {
        return step(g, w, m, v);
    }
    g.par_chunks(CHUNK)
        .zip(w.par_chunks_mut(CHUNK))
        .zip(m.par_chunks_mut(CHUNK))
        .zip(v.par_chunks_mut(CHUNK))
        .for_each(|(((g, w), m), v)| step(g, w, m, v));
}

/// min(1, limit / norm) from the sum of squares.
pub fn clip(p: &ClipParams, [squares]: [&[f32]; 1], [scale]: [&mut [f32]; 1]) {
    let norm = squares[0].sqrt();
    scale[0] = if norm > p.limit { p.limit / norm } else { 1.0 };
    if norm.is_nan() {
        scale[0] = norm;
    }
}
