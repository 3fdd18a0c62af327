// The first of p.levels levels at which the cumulative probability exceeds u; NaN if the logits define no distribution.
// The shader defines `logit`, which reads a logit.
fn first_above(first: u32, u: f32) -> f32 {
    var largest = logit(first);
    for (var i = 1u; i < p.levels; i++) {
        largest = larger(largest, logit(first + i));
    }
    var total = 0.0;
    for (var i = 0u; i < p.levels; i++) {
        total += exp_of(logit(first + i) - largest);
    }
    let threshold = u * total;
    var sum = 0.0;
    var level = p.levels - 1u;
    for (var i = 0u; i < p.levels; i++) {
        sum += exp_of(logit(first + i) - largest);
        if sum > threshold {
            level = i;
            break;
        }
    }
    return select(f32(level), total, is_nan(total));
}

// A value drawn with the uniform number u from the logits that start at `first`, in the scale of the network's input.
fn drawn(first: u32, u: f32) -> f32 {
    var level = 0.0;
    if p.levels == 2u {
        let one = logit(first);
        level = select(select(0.0, 1.0, u < sigmoid(one)), one, is_nan(one));
    } else {
        level = first_above(first, u);
    }
    return (level / f32(p.levels - 1u) - p.mean) / p.std_dev;
}
