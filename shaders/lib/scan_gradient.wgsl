// The gradients of a channel of a cell, from the gradients that later cells pass to its h and c.
fn gradient_at(cell: u32, channel: u32, before: f32, dh: f32, later: f32) -> StateGradient {
    let at = cell * p.hidden + channel;
    let gate = 4u * cell * p.hidden + channel;
    let saved = vec4<f32>(
        gates[gate],
        gates[gate + p.hidden],
        gates[gate + 2u * p.hidden],
        gates[gate + 3u * p.hidden],
    );
    return gradient_of_state(saved, before, c[at], dh_value(at) + dh, later);
}
