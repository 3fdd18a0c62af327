// scale = min(1, limit / norm), norm^2 = squares: the factor that brings gradients back to a norm of
// at most `limit`. CPU: cpu/optimizer.rs. squares, scale [1].
struct Params { limit: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> squares: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;

@compute @workgroup_size(1)
fn clip() {
    let norm = sqrt(squares[0]);
    let factor = select(1.0, p.limit / norm, norm > p.limit);
    scale[0] = select(factor, squares[0], is_nan(squares[0]));
}
