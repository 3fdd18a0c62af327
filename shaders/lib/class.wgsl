// Whether a number names one of the classes 0..classes (its fraction is dropped).
fn names_a_class(t: f32, classes: u32) -> bool {
    return t >= 0.0 && t < f32(classes) && !is_nan(t);
}
