//! Shapes too large for any memory, passed to the safe functions of the CPU kernels and to tensors: each call
//! must panic with its message. Each runs in its own process, since an access out of bounds could kill the
//! process with a signal or go unnoticed.

use std::time::Duration;

use pixelloom::cpu::Isa;
use pixelloom::cpu::gemm::{
    Activation, Gemm, Mat, Operand, Packed, Right, gemm, gemm_skipping_zeros, gemm_with, pack,
    packed_len,
};
use pixelloom::ops::shared::Shared;
use pixelloom::{Device, Tape, Tensor};

/// Environment variable that tells a process which case to run.
const CASE: &str = "PIXELLOOM_HOSTILE_CASE";

/// Multiplied by 32, the columns of a panel (or of several narrower ones), it wraps around to 32.
const WRAPS: usize = (1 << 59) + 1;

/// Its name, the message of its panic (`None`: it returns), and the call.
type Case = (&'static str, Option<&'static str>, fn());

const CASES: &[Case] = &[
    ("a good product", None, || product((2, 3, 4), mat(8, 4, 1), mat(12, 3, 1), 6, 3)),
    // There is nothing to write, so nothing is read, however long the sums.
    ("no elements", None, || product((0, 0, usize::MAX), mat(0, 1, 1), mat(0, 0, 1), 0, 0)),
    ("no rows", None, || product((0, 5, 5), mat(0, 5, 1), mat(25, 5, 1), 0, 5)),
    ("empty slices", Some("gemm: A[8, 8] with strides 8 and 1 does not fit a slice of 0"), || {
        product((8, 8, 8), mat(0, 8, 1), mat(0, 8, 1), 0, 8);
    }),
    ("rows of A coincide", Some("gemm: A[2, 4] with strides 0 and 1 does not fit"), || {
        product((2, 3, 4), mat(8, 0, 1), mat(12, 3, 1), 6, 3);
    }),
    ("columns of A coincide", Some("gemm: A[2, 4] with strides 1 and 0 does not fit"), || {
        product((2, 3, 4), mat(8, 1, 0), mat(12, 3, 1), 6, 3);
    }),
    ("rows of B coincide", Some("gemm: B[4, 3] with strides 0 and 1 does not fit"), || {
        product((2, 3, 4), mat(8, 4, 1), mat(12, 0, 1), 6, 3);
    }),
    ("both strides of B are 0", Some("gemm: B[4, 3] has strides 0 and 0; one must be 1"), || {
        product((2, 3, 4), mat(8, 4, 1), mat(12, 0, 0), 6, 3);
    }),
    ("rows of B overlap", Some("gemm: B[4, 3] with strides 2 and 1 does not fit"), || {
        product((2, 3, 4), mat(8, 4, 1), mat(12, 2, 1), 6, 3);
    }),
    ("rows of C coincide", Some("gemm: C[2, 3] with rows 0 apart does not fit"), || {
        product((2, 3, 4), mat(8, 4, 1), mat(12, 3, 1), 6, 0);
    }),
    ("a long sum in place", Some("gemm: A[1, 576460752303423489] with strides 1 and 0"), || {
        product((1, 1, WRAPS), mat(1, 1, 0), mat(1, 0, 1), 1, 1);
    }),
    ("m k overflows", Some("gemm: A[576460752303423489, 32] with strides 32 and 1"), || {
        product((WRAPS, 1, 32), mat(32, 32, 1), mat(32, 1, 1), 1, 1);
    }),
    ("k n overflows", Some("gemm: B[576460752303423489, 32] with strides 32 and 1"), || {
        product((0, 32, WRAPS), mat(0, 1, 1), mat(32, 32, 1), 0, 32);
    }),
    ("m n overflows", Some("gemm: C[576460752303423489, 32] with rows 32 apart"), || {
        product((WRAPS, 32, 0), mat(0, 1, 1), mat(0, 32, 1), 32, 32);
    }),
    ("the largest stride", Some("gemm: C[3, 3] with rows 18446744073709551615 apart"), || {
        product((3, 3, 3), mat(9, 3, 1), mat(9, 3, 1), 9, usize::MAX);
    }),
    ("all sizes maximal", Some("gemm: A[18446744073709551615, 18446744073709551615]"), || {
        let (x, most) = (mat(9, usize::MAX, 1), usize::MAX);
        product((most, most, most), x, x, 9, most);
    }),
    ("zeros are skipped", Some("gemm: A[64, 576460752303423489] with strides 1 and 0"), || {
        skip(Operand::A, (64, 64, WRAPS), mat(64, 1, 0), mat(64, 0, 1), 4096);
    }),
    ("zeros of B are skipped", Some("gemm: B[2, 64] with strides 0 and 1"), || {
        skip(Operand::B, (64, 64, 2), mat(128, 2, 1), mat(64, 0, 1), 4096);
    }),
    ("packed, long", Some("gemm: packed B[140737488355329, 131072] in panels of 32"), || {
        let (n, k, b) = (1 << 17, (1 << 47) + 1, vec![0.0; 1 << 17]);
        packed_product((1, n, k), mat(1, 1, 0), Packed::new(&b, (k, n), 32));
    }),
    ("packed, wide", Some("gemm: packed B[1, 18446744073709551615]"), || {
        Packed::new(&[], (1, usize::MAX), 32);
    }),
    ("packed in no panels", Some("gemm: packed B[1, 1] in panels of 0"), || {
        Packed::new(&[0.0], (1, 1), 0);
    }),
    ("packed, another shape", Some("gemm: B[2, 64] was packed as B[4, 32]"), || {
        let mut out = [0.0; 128];
        packed_product((1, 64, 2), mat(2, 2, 1), pack(&[(mat(128, 32, 1), 4)], 32, &mut out));
    }),
    ("the set changes", Some("gemm: B[4, 32] was packed for another instruction set"), || {
        let mut out = [0.0; 128];
        let b = fastest(&mut out);
        Isa::Portable.choose();
        packed_product((1, 32, 4), mat(4, 4, 1), b);
    }),
    ("another set is named", Some("gemm: B[4, 32] was packed for another instruction set"), || {
        let mut out = [0.0; 128];
        let g = gemm_of((1, 32, 4), mat(4, 4, 1), fastest(&mut out).into());
        gemm_with(Isa::Portable, &g, &mut [0.0; 32], 32);
    }),
    ("packing a long stack", Some("gemm: B[2305843009213693952, 1] with strides 0 and 1"), || {
        let mut out = vec![0.0; packed_len(1, 1)];
        pack(&[(mat(1, 1, 1), 1), (mat(1, 0, 1), 1 << 61)], 1, &mut out);
    }),
    ("weights are packed again", None, || {
        let (device, tape) = (Device::cpu(), Tape::new());
        let values: Vec<f32> = (0..32 * 8).map(|i| i as f32).collect();
        let w = tape.constant(Tensor::new(&device, &values, &[32, 8]));
        let x = tape.constant(Tensor::new(&device, &values[..8], &[1, 8]));
        let of = |isa: Isa| {
            isa.choose();
            Shared::new(&w, None).linear(&x).value().to_vec().unwrap()
        };
        // Products of integers are exact with every instruction set.
        assert_eq!(of(Isa::available()[0]), of(Isa::Portable));
    }),
    ("packing rows in place", Some("gemm: B[2, 32] with strides 0 and 1 does not fit"), || {
        pack(&[(mat(32, 0, 1), 2)], 32, &mut [0.0; 64]);
    }),
    ("packing more rows than there are", Some("gemm: "), || {
        pack(&[(mat(0, 1, 1), usize::MAX), (mat(0, 1, 1), 2)], 0, &mut []);
    }),
    ("packing to a short slice", Some("gemm: packed B[4, 32] in panels of"), || {
        pack(&[(mat(128, 32, 1), 4)], 32, &mut [0.0; 127]);
    }),
    ("length of a long packed B", Some("gemm: packed B[576460752303423489, 32]"), || {
        packed_len(WRAPS, 32);
    }),
    ("a tensor of 2^64 elements", Some("[4294967296, 4294967296]"), || {
        drop(Tensor::new(&Device::cpu(), &[], &[1 << 32, 1 << 32]));
    }),
    ("a tensor larger than memory", Some("[576460752303423489, 32]"), || {
        drop(Tensor::zeros(&Device::cpu(), &[WRAPS, 32]));
    }),
    ("a tensor of 2^59 elements", Some("[576460752303423489]"), || {
        drop(Tensor::full(&Device::cpu(), 1.0, &[WRAPS]));
    }),
    ("an axis of 2^59 and one of 0", Some("[576460752303423489, 0]"), || {
        drop(Tensor::new(&Device::cpu(), &[], &[WRAPS, 0]));
    }),
    ("another shape of 2^64 elements", Some("[4294967296, 4294967296]"), || {
        drop(Tensor::new(&Device::cpu(), &[], &[0]).reshape(&[1 << 32, 1 << 32]));
    }),
    ("a buffer larger than memory", Some("a buffer of 18446744073709551615 floats"), || {
        drop(pixelloom::cpu::Cpu::new().alloc(usize::MAX));
    }),
];

/// Memory of the operands.
static ZEROS: [f32; 4096] = [0.0; 4096];

fn mat(len: usize, row_stride: usize, col_stride: usize) -> Mat<'static> {
    Mat { data: &ZEROS[..len], row_stride, col_stride }
}

/// B[4, 32], packed by the fastest instruction set, in panels wider than the portable ones.
fn fastest(out: &mut [f32]) -> Packed<'_> {
    let panel = pack(&[(mat(128, 32, 1), 4)], 32, out).panel().max(16);
    Packed::new(out, (4, 32), panel)
}

fn gemm_of<'a>((m, n, k): (usize, usize, usize), a: Mat<'a>, b: Right<'a>) -> Gemm<'a> {
    Gemm { m, n, k, a, b, bias: None, activation: Activation::None, accumulate: false }
}

fn product(shape: (usize, usize, usize), a: Mat, b: Mat, len: usize, c_stride: usize) {
    gemm(&gemm_of(shape, a, b.into()), &mut vec![0.0; len], c_stride);
}

fn packed_product(shape: (usize, usize, usize), a: Mat, b: Packed) {
    gemm(&gemm_of(shape, a, b.into()), &mut vec![0.0; shape.0 * shape.1], shape.1);
}

fn skip(operand: Operand, shape: (usize, usize, usize), a: Mat, b: Mat, len: usize) {
    gemm_skipping_zeros(&gemm_of(shape, a, b.into()), operand, &mut vec![0.0; len], shape.1);
}

#[test]
#[ignore = "runs one case, in a process that the other test starts"]
fn one_case() {
    let name = std::env::var(CASE).expect("the name of a case");
    let case = CASES.iter().find(|case| case.0 == name).expect("a case");
    case.2();
}

#[test]
fn every_call_ends_in_a_panic_with_its_message() {
    let mut wrong = Vec::new();
    for (name, message, _) in CASES {
        let output = assert_cmd::Command::new(std::env::current_exe().unwrap())
            .args(["hostile_sizes::one_case", "--exact", "--ignored", "--nocapture"])
            .env(CASE, name)
            .env("RUST_BACKTRACE", "0")
            .timeout(Duration::from_secs(60))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let code = if message.is_some() { Some(101) } else { Some(0) };
        if output.status.code() != code || !text.contains(message.unwrap_or("")) {
            wrong.push(format!("{name}: {}, {}", output.status, text.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
