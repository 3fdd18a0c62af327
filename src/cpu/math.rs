//! Elementary functions as branch-free scalar code that the compiler turns into vector code.
//!
//! Each function is `#[inline(always)]`, so inside [`super::simd::vectorize`] a loop over it becomes AVX-512,
//! AVX2 or NEON instructions. Results are accurate to 4 units in the last place over the normal range and exact at
//! 0 and the infinities; NaN gives NaN. The argument reduction is Cody and Waite's (1980), the polynomials are
//! minimax fits on the reduced interval.

/// Multiply-add for the loops of the kernels.
pub trait Madd {
    /// self * y + z, rounded once; in WebAssembly rounded twice, since it has no fused multiply-add, and
    /// [`f32::mul_add`] would be a library call per element.
    #[must_use]
    fn madd(self, y: f32, z: f32) -> f32;
}

impl Madd for f32 {
    #[inline(always)]
    fn madd(self, y: f32, z: f32) -> f32 {
        if cfg!(target_family = "wasm") { self * y + z } else { self.mul_add(y, z) }
    }
}

const LOG2E: f32 = std::f32::consts::LOG2_E;
// ln 2 as a sum of two parts. The first has few enough bits that n * LN2_HIGH is exact for |n| <= 200.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
// Adding 1.5 * 2^23 rounds to the nearest integer, which is then in the low bits; subtracting it gives that integer.
const ROUND: f32 = 12_582_912.0;

/// 2^n for n in -126..=127, built from its exponent bits.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// x = n ln 2 + r with |r| <= 0.35; returns (n, r, (e^r - 1 - r) / r^2).
#[inline(always)]
fn reduce_exp(x: f32) -> (i32, f32, f32) {
    let shifted = x * LOG2E + ROUND;
    let n = shifted - ROUND;
    let r = (-n).madd(LN2_LOW, (-n).madd(LN2_HIGH, x));
    let p = 1.987_569_1e-4_f32
        .madd(r, 1.398_199_9e-3)
        .madd(r, 8.333_452e-3)
        .madd(r, 4.166_579_6e-2)
        .madd(r, 1.666_666_5e-1)
        .madd(r, 0.5);
    (shifted.to_bits() as i32 - ROUND.to_bits() as i32, r, p)
}

/// e^x; 0 below -104, infinity above 88.73.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (n, r, p) = reduce_exp(x.clamp(-105.0, 90.0));
    let y = (r * r).madd(p, r) + 1.0;
    // In two factors, because 2^n itself leaves the range of normal numbers at both ends.
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n - half)
}

/// tanh x: with t = e^(2|x|) - 1, tanh |x| = t / (t + 2).
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // Above 10 the result rounds to 1.
    let (n, r, p) = reduce_exp(2.0 * x.abs().clamp(0.0, 10.0));
    let scale = power_of_two(n);
    let expm1_r = (r * r).madd(p, r);
    let t = scale.madd(expm1_r, scale - 1.0);
    (t / (t + 2.0)).copysign(x)
}

/// 1 / (1 + e^-x), accurate in both tails.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// ln x; -infinity at 0, NaN for negative x.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    // Subnormal numbers are scaled up by 2^23 first.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits();
    // m in [sqrt(1/2), sqrt(2)).
    let offset = bits.wrapping_sub(0x3f35_04f3);
    let e = (offset as i32) >> 23;
    let m = f32::from_bits((offset & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let e = e as f32 - if tiny { 23.0 } else { 0.0 };
    let z = m * m;
    let p = 7.037_683_6e-2_f32
        .madd(m, -1.151_461e-1)
        .madd(m, 1.167_699_9e-1)
        .madd(m, -1.242_014_1e-1)
        .madd(m, 1.424_932_3e-1)
        .madd(m, -1.666_805_8e-1)
        .madd(m, 2.000_071_5e-1)
        .madd(m, -2.499_999_4e-1)
        .madd(m, 3.333_333e-1);
    let low = (m * z).madd(p, e * LN2_LOW);
    let y = e.madd(LN2_HIGH, (-0.5_f32).madd(z, low) + m);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// ln(1 + x) without loss of accuracy near 0 (Kahan's correction for the rounding of 1 + x).
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let correction = (x - (u - 1.0)) / u;
    // At infinity, and at -1, where u is 0, the correction is NaN.
    log(u) + if u < f32::INFINITY && u > 0.0 { correction } else { 0.0 }
}

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|).
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + log1p(exp(-x.abs()))
}

/// (cos 2 pi u, sin 2 pi u) for u in [0, 1). The reduction to an eighth of a turn is exact.
#[inline(always)]
pub fn cos_sin_turn(u: f32) -> (f32, f32) {
    // u = q/4 + r, |r| <= 1/8.
    let shifted = u * 4.0 + ROUND;
    let q = shifted.to_bits() & 3;
    let x = (u - (shifted - ROUND) * 0.25) * std::f32::consts::TAU;
    let z = x * x;
    let s = (-1.951_529_6e-4_f32).madd(z, 8.332_161e-3).madd(z, -1.666_665_5e-1).madd(z * x, x);
    let c = 2.443_315_7e-5_f32
        .madd(z, -1.388_731_6e-3)
        .madd(z, 4.166_664_6e-2)
        .madd(z * z, (-0.5_f32).madd(z, 1.0));
    let (a, b) = if q & 1 == 1 { (s, c) } else { (c, s) };
    let cos = if q == 1 || q == 2 { -a } else { a };
    let sin = if q >= 2 { -b } else { b };
    (cos, sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Error in units in the last place of the exact value.
    fn ulps(got: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        if got == nearest {
            return 0.0;
        }
        let unit =
            f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(got) - exact).abs() / unit.max(f64::from(f32::MIN_POSITIVE) * 1.2e-7)
    }

    fn sweep(name: &str, f: fn(f32) -> f32, exact: fn(f64) -> f64, range: (f32, f32), limit: f64) {
        for i in 0..400_000 {
            let x = range.0 + (range.1 - range.0) * (i as f32 / 400_000.0);
            let e = ulps(f(x), exact(f64::from(x)));
            assert!(e <= limit, "{name}: {e} ulp at {x}");
        }
    }

    #[test]
    fn within_four_ulp() {
        let softplus64 = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let sigmoid64 = |x: f64| {
            if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
        };
        for range in [(-86.0, 88.7), (-1.0, 1.0), (-1e-3, 1e-3)] {
            sweep("exp", exp, f64::exp, range, 4.0);
            sweep("tanh", tanh, f64::tanh, range, 4.0);
            sweep("sigmoid", sigmoid, sigmoid64, range, 4.0);
            sweep("softplus", softplus, softplus64, range, 4.0);
        }
        for range in [(1e-30, 1e-20), (1e-6, 2.0), (0.9, 1.1), (1.0, 1e6), (1e30, 3e38)] {
            sweep("log", log, f64::ln, range, 4.0);
            sweep("log1p", log1p, f64::ln_1p, range, 4.0);
        }
        sweep("log1p", log1p, f64::ln_1p, (-0.99, 0.1), 4.0);
        sweep("log1p", log1p, f64::ln_1p, (-1e-6, 1e-6), 4.0);
    }

    #[test]
    fn cosine_and_sine_of_a_turn() {
        for i in 0..100_000 {
            let u = i as f32 / 100_000.0;
            let (c, s) = cos_sin_turn(u);
            let angle = f64::from(u) * std::f64::consts::TAU;
            assert!((f64::from(c) - angle.cos()).abs() <= 2e-7, "cos at {u}");
            assert!((f64::from(s) - angle.sin()).abs() <= 2e-7, "sin at {u}");
        }
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(exp(-1e4), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(1e4), f32::INFINITY);
        assert!(exp(-89.0) > 0.0 && exp(88.0) < f32::INFINITY && exp(89.0) == f32::INFINITY);
        for x in [15.0, 88.0, 89.0, 1e4, f32::INFINITY] {
            assert_eq!((tanh(x), tanh(-x)), (1.0, -1.0));
            assert!((sigmoid(x) - 1.0).abs() <= 4e-7 && sigmoid(-x) >= 0.0);
            assert!(softplus(-x) >= 0.0 && (softplus(x) - x).abs() <= 1e-6 || x.is_infinite());
        }
        assert_eq!(
            (tanh(0.0), sigmoid(0.0), exp(0.0), log(1.0), log1p(0.0)),
            (0.0, 0.5, 1.0, 0.0, 0.0)
        );
        assert_eq!(softplus(f32::INFINITY), f32::INFINITY);
        assert_eq!((tanh(1e-8), tanh(-1e-8)), (1e-8, -1e-8));
        assert_eq!((log(0.0), log1p(-1.0)), (f32::NEG_INFINITY, f32::NEG_INFINITY));
        assert_eq!((log(f32::INFINITY), log1p(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
        assert!(ulps(log(1e-40), f64::from(1e-40_f32).ln()) <= 4.0);
        assert!(log(-1.0).is_nan() && log1p(-2.0).is_nan());
        for f in [exp, tanh, sigmoid, log, log1p, softplus] {
            assert!(f(f32::NAN).is_nan());
        }
    }

    #[test]
    #[should_panic(expected = "planted: NaN ulp at 0.5")]
    fn a_nan_in_the_middle_fails_the_sweep() {
        let planted = |x: f32| if x == 0.5 { f32::NAN } else { x };
        sweep("planted", planted, |x| x, (0.0, 1.0), 4.0);
    }
}
