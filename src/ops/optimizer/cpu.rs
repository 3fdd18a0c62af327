//! Optimiser steps in place. Shaders: `shaders/optimizer/optimizer.wgsl`, `shaders/optimizer/adam.wgsl`,
//! `shaders/optimizer/average.wgsl`. All tensors are \[n\], except `scale` \[1\], the factor of the gradient (negative
//! to skip the step), and `tally` \[4\], which records a step that makes a value non-finite ([`crate::ops::finite`]).

use rayon::prelude::*;

use super::params::{AverageParams, OptimizerParams, Rule};
use crate::cpu::math::Madd;
use crate::cpu::simd::vectorize;
use crate::ops::finite::cpu::{is_bad, worse};

const CHUNK: usize = 16 * 1024;

/// SGD with momentum, Adagrad, RMSProp: weights w and one state s.
pub fn one_state(p: &OptimizerParams, [g, scale]: [&[f32]; 2], [w, s, tally]: [&mut [f32]; 3]) {
    if scale[0] < 0.0 {
        return;
    }
    let (scale, lr, a, eps) = (scale[0], p.rate, p.beta1, p.epsilon);
    let (coupled, shrink) = p.decay_terms();
    let step = |g: &[f32], w: &mut [f32], s: &mut [f32]| -> bool {
        #[inline(always)]
        fn each(
            g: &[f32],
            w: &mut [f32],
            s: &mut [f32],
            f: impl Fn(f32, f32, f32) -> (f32, f32),
        ) -> bool {
            // `move` captures numbers by value: read through a reference, they might alias the stores to w.
            vectorize(
                #[inline(always)]
                move || {
                    let mut worst = 0;
                    for ((&g, w), s) in g.iter().zip(w.iter_mut()).zip(s.iter_mut()) {
                        (*w, *s) = f(g, *w, *s);
                        worst = worse(worse(worst, *w), *s);
                    }
                    is_bad(worst)
                },
            )
        }
        // Functions that the loops call must be inlined, see `cpu/simd.rs`.
        #[inline(always)]
        fn gradient(g: f32, w: f32, scale: f32, coupled: f32) -> f32 {
            coupled.madd(w, g * scale)
        }
        match p.rule() {
            Rule::Sgd => each(
                g,
                w,
                s,
                #[inline(always)]
                move |g, w, s| {
                    let s = a.madd(s, gradient(g, w, scale, coupled));
                    (shrink * w - lr * s, s)
                },
            ),
            Rule::Adagrad => each(
                g,
                w,
                s,
                #[inline(always)]
                move |g, w, s| {
                    let g = gradient(g, w, scale, coupled);
                    let s = g.madd(g, s);
                    (shrink * w - lr * g / (s.sqrt() + eps), s)
                },
            ),
            Rule::RmsProp | Rule::Adam => each(
                g,
                w,
                s,
                #[inline(always)]
                move |g, w, s| {
                    let g = gradient(g, w, scale, coupled);
                    let s = a.madd(s, (1.0 - a) * g * g);
                    (shrink * w - lr * g / (s.sqrt() + eps), s)
                },
            ),
        }
    };
    let bad = if w.len() <= CHUNK {
        step(g, w, s)
    } else {
        let parts = g.par_chunks(CHUNK).zip(w.par_chunks_mut(CHUNK)).zip(s.par_chunks_mut(CHUNK));
        parts.map(|((g, w), s)| step(g, w, s)).reduce(|| false, |a, b| a | b)
    };
    if bad {
        tally[3] = p.number;
    }
}

/// Adam: weights w, first moment m, second moment v.
pub fn adam(p: &OptimizerParams, [g, scale]: [&[f32]; 2], [w, m, v, tally]: [&mut [f32]; 4]) {
    if scale[0] < 0.0 {
        return;
    }
    let (scale, b1, b2, eps) = (scale[0], p.beta1, p.beta2, p.epsilon);
    let (coupled, shrink) = p.decay_terms();
    // w -= lr (m / c1) / (sqrt(v / c2) + eps), with the divisions taken out of the loop.
    let rate = p.rate / p.correction1;
    let root = p.correction2.sqrt().recip();
    let step = |g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]| -> bool {
        vectorize(
            #[inline(always)]
            || {
                let mut worst = 0;
                for (((&g, w), m), v) in
                    g.iter().zip(w.iter_mut()).zip(m.iter_mut()).zip(v.iter_mut())
                {
                    let g = coupled.madd(*w, g * scale);
                    *m = b1.madd(*m, (1.0 - b1) * g);
                    *v = b2.madd(*v, (1.0 - b2) * g * g);
                    *w = shrink * *w - rate * *m / v.sqrt().madd(root, eps);
                    worst = worse(worse(worse(worst, *w), *m), *v);
                }
                is_bad(worst)
            },
        )
    };
    let bad = if w.len() <= CHUNK {
        step(g, w, m, v)
    } else {
        g.par_chunks(CHUNK)
            .zip(w.par_chunks_mut(CHUNK))
            .zip(m.par_chunks_mut(CHUNK))
            .zip(v.par_chunks_mut(CHUNK))
            .map(|(((g, w), m), v)| step(g, w, m, v))
            .reduce(|| false, |a, b| a | b)
    };
    if bad {
        tally[3] = p.number;
    }
}

/// Moving average: a += share (w - a).
pub fn average(p: &AverageParams, [w, scale]: [&[f32]; 2], [a]: [&mut [f32]; 1]) {
    if scale[0] < 0.0 {
        return;
    }
    let step = |w: &[f32], a: &mut [f32]| {
        vectorize(
            #[inline(always)]
            || {
                for (&w, a) in w.iter().zip(a.iter_mut()) {
                    *a = p.share.madd(w - *a, *a);
                }
            },
        );
    };
    if w.len() <= CHUNK {
        return step(w, a);
    }
    w.par_chunks(CHUNK).zip(a.par_chunks_mut(CHUNK)).for_each(|(w, a)| step(w, a));
}
