//! Describes the fields of a kernel's parameters, so that a test can compare them with the shader's uniform struct.

use bytemuck::Pod;

/// A field of a uniform struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name; `unused` marks padding.
    pub name: &'static str,
    /// Scalar type: u32, i32 or f32.
    pub scalar: &'static str,
    /// Length of an array, 1 for a scalar.
    pub count: usize,
    /// Offset in the struct in bytes.
    pub offset: usize,
}

/// Type of a field: a 32-bit scalar or an array of them.
pub trait Numbers {
    /// The scalar type in WGSL.
    const SCALAR: &'static str;
    /// Number of scalars.
    const COUNT: usize = 1;
}

impl Numbers for u32 {
    const SCALAR: &'static str = "u32";
}

impl Numbers for i32 {
    const SCALAR: &'static str = "i32";
}

impl Numbers for f32 {
    const SCALAR: &'static str = "f32";
}

impl<T: Numbers, const N: usize> Numbers for [T; N] {
    const SCALAR: &'static str = T::SCALAR;
    const COUNT: usize = N;
}

/// Parameters of a kernel, `#[repr(C)]`; [`uniform!`](crate::uniform) declares such a struct.
pub trait Uniform: Pod {
    /// The fields in order.
    const FIELDS: &'static [Field];
}

/// For kernels whose only parameter is one number.
impl Uniform for u32 {
    const FIELDS: &'static [Field] = &[Field { name: "", scalar: "u32", count: 1, offset: 0 }];
}

/// Declares a struct of scalars and arrays as the uniform struct of a kernel's shader.
#[macro_export]
macro_rules! uniform {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        $visibility struct $name {
            $($(#[$field_meta])* $field_visibility $field: $type),*
        }

        impl $crate::kernel::Uniform for $name {
            const FIELDS: &'static [$crate::kernel::Field] = &[$($crate::kernel::Field {
                name: stringify!($field),
                scalar: <$type as $crate::kernel::Numbers>::SCALAR,
                count: <$type as $crate::kernel::Numbers>::COUNT,
                offset: std::mem::offset_of!($name, $field),
            }),*];
        }
    };
}
