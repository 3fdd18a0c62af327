//! Detection of non-finite numbers. Shapes: x \[n\], tally \[4\] (see [`super`]), squares \[n\], loss, scale, sum \[1\].

use super::params::{FiniteParams, VerdictParams};

/// tally\[0\] = 1 if x has a non-finite number.
pub fn mark(_: &FiniteParams, [x]: [&[f32]; 1], [tally]: [&mut [f32]; 1]) {
    for x in x {
        if !x.is_finite() {
            tally[0] = 1.0;
        }
    }
}

/// For a non-finite step, the scale is -1, and the tally counts it and keeps the number of the first. For a finite
/// step, the loss is added to the sum, and the scale is limit / norm if the norm exceeds the limit, else 1. Without a
/// limit, `squares` counts non-finite gradients.
pub fn verdict(
    p: &VerdictParams,
    [squares, loss]: [&[f32]; 2],
    [scale, tally, sum]: [&mut [f32]; 3],
) {
    let clips = p.limit > 0.0;
    let squares: f32 = squares.iter().sum();
    let gradient_is_bad =
        tally[0] != 0.0 || if clips { !squares.is_finite() } else { squares != 0.0 };
    let an_update_was_bad = tally[3] != 0.0;
    if gradient_is_bad || an_update_was_bad || !loss[0].is_finite() {
        scale[0] = -1.0;
        tally[1] += 1.0;
        if tally[2] == 0.0 {
            tally[2] = p.number;
        }
        // The latch makes all later steps non-finite too.
        tally[0] = if p.latch != 0 { 1.0 } else { 0.0 };
    } else {
        sum[0] += loss[0];
        let norm = f64::from(squares).sqrt();
        let limit = f64::from(p.limit);
        scale[0] = if clips && norm > limit { (limit / norm) as f32 } else { 1.0 };
    }
}
