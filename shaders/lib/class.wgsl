// Whether t, truncated to an integer, is one of the classes 0..classes.
fn names_a_class(t: f32, classes: u32) -> bool {
    return t >= 0.0 && t < f32(classes) && !is_nan(t);
}
