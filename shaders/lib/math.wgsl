// Elementary functions by range reduction and polynomials. WGSL's own functions are too inaccurate: exp may err by
// 2 |x| units in the last place, and log and cos have absolute error bounds. CPU: cpu/math.rs, with the same
// formulas and coefficients. NaN gives NaN. It is detected by its bits, because compilers
// may assume that comparisons never see NaN.

const LOG2E: f32 = 1.442695041;
// ln 2 as a sum of two parts. The first has few enough bits that n * LN2_HIGH is exact for |n| <= 200.
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;
const INFINITY_BITS: u32 = 0x7f800000u;
const NAN_BITS: u32 = 0x7fc00000u;

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > INFINITY_BITS;
}

fn is_infinite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == INFINITY_BITS;
}

// The larger of two numbers, or NaN if one is NaN (max may return either).
fn larger(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}

// WGSL forbids non-finite constants; a function parameter is not a constant.
fn from_bits(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

// 2^n for n in -126..=127, built from its exponent bits.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>((n + 127) << 23u);
}

// e^x = 2^n (1 + m), |m| < 0.42.
struct Exponential { n: i32, m: f32 }

fn reduce_exp(x: f32) -> Exponential {
    let n = round(x * LOG2E);
    let r = fma(-n, LN2_LOW, fma(-n, LN2_HIGH, x));
    var p = fma(1.9875691e-4, r, 1.3981999e-3);
    p = fma(p, r, 8.333452e-3);
    p = fma(p, r, 4.1665796e-2);
    p = fma(p, r, 1.6666665e-1);
    p = fma(p, r, 0.5);
    return Exponential(i32(n), fma(r * r, p, r));
}

// e^x; 0 below -104, infinity above 88.73.
fn exp_of(x: f32) -> f32 {
    let e = reduce_exp(clamp(x, -105.0, 90.0));
    // In two factors, because 2^n itself leaves the range of normal numbers at both ends.
    let half = e.n >> 1u;
    let y = (1.0 + e.m) * power_of_two(half) * power_of_two(e.n - half);
    return select(y, x, is_nan(x));
}

// tanh |x| = t / (t + 2) with t = e^(2|x|) - 1; above 10 it rounds to 1.
fn tanh_of(x: f32) -> f32 {
    let e = reduce_exp(2.0 * min(abs(x), 10.0));
    let scale = power_of_two(e.n);
    let t = fma(scale, e.m, scale - 1.0);
    let y = select(t / (t + 2.0), -t / (t + 2.0), x < 0.0);
    return select(y, x, is_nan(x));
}

// 1 / (1 + e^-x), accurate in both tails.
fn sigmoid(x: f32) -> f32 {
    let e = exp_of(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

// e ln 2 + ln(1 + m) for 1 + m in [sqrt(1/2), sqrt(2)).
fn log_reduced(e: f32, m: f32) -> f32 {
    let z = m * m;
    var p = fma(7.0376836e-2, m, -1.151461e-1);
    p = fma(p, m, 1.1676999e-1);
    p = fma(p, m, -1.2420141e-1);
    p = fma(p, m, 1.4249323e-1);
    p = fma(p, m, -1.6668058e-1);
    p = fma(p, m, 2.0000715e-1);
    p = fma(p, m, -2.4999994e-1);
    p = fma(p, m, 3.333333e-1);
    let low = fma(m * z, p, e * LN2_LOW);
    return fma(e, LN2_HIGH, fma(-0.5, z, low) + m);
}

// ln x; -infinity at 0, NaN for negative x.
fn log_of(x: f32) -> f32 {
    // Subnormal numbers are scaled up by 2^23 first.
    let tiny = x < 1.17549435e-38;
    let offset = bitcast<u32>(select(x, x * 8388608.0, tiny)) - 0x3f3504f3u;
    let m = bitcast<f32>((offset & 0x007fffffu) + 0x3f3504f3u) - 1.0;
    let e = f32(bitcast<i32>(offset) >> 23u) - select(0.0, 23.0, tiny);
    var y = log_reduced(e, m);
    y = select(y, from_bits(INFINITY_BITS | 0x80000000u), x == 0.0);
    y = select(y, from_bits(NAN_BITS), x < 0.0);
    // Infinity and NaN are their own logarithms.
    return select(y, x, bitcast<u32>(x) == INFINITY_BITS || is_nan(x));
}

// ln(1 + x). Near 0, 1 + x is not computed; elsewhere, its rounding error is small compared with the logarithm.
fn log1p_of(x: f32) -> f32 {
    return select(log_of(1.0 + x), log_reduced(0.0, x), x > -0.29 && x < 0.41);
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|).
fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log1p_of(exp_of(-abs(x)));
}
