// Gates and state of an LSTM cell. CPU: ops/lstm_cell/cpu.rs, ops/lstm_scan/cpu.rs.
struct State { gates: vec4<f32>, c: f32, h: f32 }

// The state from the gates o, f, i, g before their activation, and the previous c.
fn state_of(sums: vec4<f32>, before: f32) -> State {
    let o = sigmoid(sums.x);
    let f = sigmoid(sums.y);
    let i = sigmoid(sums.z);
    let g = tanh_of(sums.w);
    let c = f * before + i * g;
    return State(vec4<f32>(o, f, i, g), c, o * tanh_of(c));
}

// Gradients of the gates before their activation, and of the previous c.
struct StateGradient { sums: vec4<f32>, before: f32 }

// The gradients, given the gates, the previous and the new c, and the gradients of h and of the new c (`later`).
fn gradient_of_state(gates: vec4<f32>, before: f32, c: f32, dh: f32, later: f32) -> StateGradient {
    let o = gates.x;
    let f = gates.y;
    let i = gates.z;
    let g = gates.w;
    let t = tanh_of(c);
    let dc = later + dh * o * (1.0 - t * t);
    let sums = vec4<f32>(
        dh * t * o * (1.0 - o),
        dc * before * f * (1.0 - f),
        dc * g * i * (1.0 - i),
        dc * i * (1.0 - g * g),
    );
    return StateGradient(sums, dc * f);
}
