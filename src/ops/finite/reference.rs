//! Tests for numbers that are not finite. Shapes: x \[n\], tally \[4\] (see [`super`]), squares, loss, scale, sum \[1\].

use super::params::{FiniteParams, VerdictParams};

/// tally\[0\] = 1 if a number of x is not finite.
pub fn mark(_: &FiniteParams, [x]: [&[f32]; 1], [tally]: [&mut [f32]; 1]) {
    for x in x {
        if !x.is_finite() {
            tally[0] = 1.0;
        }
    }
}

/// Of a bad step the scale is -1, and the tally counts it and keeps the first one's number. Of a good one the loss is
/// added to the sum, and the scale is limit / norm where the norm is above the limit, otherwise 1.
pub fn verdict(
    p: &VerdictParams,
    [squares, loss]: [&[f32]; 2],
    [scale, tally, sum]: [&mut [f32]; 3],
) {
    let clips = p.limit > 0.0;
    let gradient_is_bad = tally[0] != 0.0 || (clips && !squares[0].is_finite());
    let an_update_was_bad = tally[3] != 0.0;
    if gradient_is_bad || an_update_was_bad || !loss[0].is_finite() {
        scale[0] = -1.0;
        tally[1] += 1.0;
        if tally[2] == 0.0 {
            tally[2] = p.number;
        }
        // With a latch all later steps are left out, too.
        tally[0] = if p.latch != 0 { 1.0 } else { 0.0 };
    } else {
        sum[0] += loss[0];
        let norm = f64::from(squares[0]).sqrt();
        let limit = f64::from(p.limit);
        scale[0] = if clips && norm > limit { (limit / norm) as f32 } else { 1.0 };
    }
}
