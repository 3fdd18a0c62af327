//! A scan in both diagonal orders ([`super`]). On a GPU it takes as many launches as a scan in one order: a launch
//! covers the images of the left-to-right order and the same images in the mirrored order.
//!
//! A kernel binds at most eight buffers. Therefore one tensor holds S and c0 of both orders, and c and the gates of both
//! orders share a tensor each.

use super::params::{BOTH, LstmScanParams, Order};
use super::{BILSTM_SCAN, BILSTM_SCAN_GRADIENT, gradient_of_s, params};
use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::kernel::CpuFn;
use crate::ops::layout::concat;
use crate::ops::reduce::sum_to;
use crate::tensor::Tensor;

const ORDERS: [Order; 2] = [Order::Diagonal, Order::MirroredDiagonal];

/// S and c0 of each direction, out of the packed tensor.
fn taken_apart<'a>(p: &LstmScanParams, packed: &'a [f32]) -> [(&'a [f32], &'a [f32]); 2] {
    let n = p.hidden as usize;
    let (s, c0) = packed.split_at(8 * p.depth() * n);
    let (s, c0) = (s.split_at(4 * p.depth() * n), c0.split_at(n));
    [(s.0, c0.0), (s.1, c0.1)]
}

/// Runs the kernel `one` for one direction after the other.
pub(super) fn forward(
    one: CpuFn<LstmScanParams, 3, 3>,
    p: &LstmScanParams,
    [u_left, u_right, packed]: [&[f32]; 3],
    [h_left, h_right, c, gates]: [&mut [f32]; 4],
) {
    let [(s_left, c0_left), (s_right, c0_right)] = taken_apart(p, packed);
    let (c_left, c_right) = c.split_at_mut(c.len() / 2);
    let (gates_left, gates_right) = gates.split_at_mut(gates.len() / 2);
    one(&p.direction(0), [u_left, s_left, c0_left], [h_left, c_left, gates_left]);
    one(&p.direction(1), [u_right, s_right, c0_right], [h_right, c_right, gates_right]);
}

/// As [`forward`].
pub(super) fn gradient(
    one: CpuFn<LstmScanParams, 5, 2>,
    p: &LstmScanParams,
    [dh_left, dh_right, packed, c, gates]: [&[f32]; 5],
    [d_left, d_right, dc]: [&mut [f32]; 3],
) {
    let [(s_left, c0_left), (s_right, c0_right)] = taken_apart(p, packed);
    let (c_left, c_right) = c.split_at(c.len() / 2);
    let (gates_left, gates_right) = gates.split_at(gates.len() / 2);
    let (dc_left, dc_right) = dc.split_at_mut(dc.len() / 2);
    one(&p.direction(0), [dh_left, s_left, c0_left, c_left, gates_left], [d_left, dc_left]);
    one(&p.direction(1), [dh_right, s_right, c0_right, c_right, gates_right], [d_right, dc_right]);
}

struct Rule {
    params: LstmScanParams,
    /// S and c0 of both directions.
    packed: Tensor,
    h: [Tensor; 2],
    c: Tensor,
    gates: Tensor,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "bilstm_scan"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], need: &[bool]) -> Vec<Option<Tensor>> {
        let p = self.params;
        let n = p.hidden as usize;
        let edge = [2, p.batch as usize / 2 * p.edge(), n];
        let u = &self.gates.shape()[1..];
        let inputs = [&dy[0], &dy[1], &self.packed, &self.c, &self.gates];
        let [left, right, dc] = BILSTM_SCAN_GRADIENT.launch(p, inputs, [u, u, &edge]);
        let ds = |number: usize, dgates: &Tensor| {
            need[2 + number].then(|| gradient_of_s(&self.h[number], dgates, ORDERS[number]))
        };
        let (ds_left, ds_right) = (ds(0, &left), ds(1, &right));
        let dc0 = need[4].then(|| sum_to(&dc, &[2, 1, n]).reshape(&[2, n]));
        vec![Some(left), Some(right), ds_left, ds_right, dc0]
    }
}

/// The states h \[B, H, W, h\] of a scan in the diagonal order and of a scan in the mirrored order. Each has its own
/// input-to-state map u \[B, H, W, 4h\], recurrent weights `s` \[2, h, 4h\] and row of the first cell states `c0`
/// \[2, h\]. The results equal those of [`Var::lstm_scan`] in each order.
#[track_caller]
pub fn bilstm_scan<'t>(u: [&Var<'t>; 2], s: [&Var<'t>; 2], c0: &Var<'t>) -> [Var<'t>; 2] {
    let n = c0.shape().last().copied().unwrap_or(0);
    assert!(
        c0.shape() == [2, n] && u[0].shape() == u[1].shape() && s[0].shape() == s[1].shape(),
        "bilstm_scan: u {:?} and {:?}, S {:?} and {:?}, c0 {:?}: two of a shape are needed",
        u[0].shape(),
        u[1].shape(),
        s[0].shape(),
        s[1].shape(),
        c0.shape()
    );
    let first = c0.value().reshape(&[2 * n]);
    let one = params(u[0].value(), s[0].value(), n, Order::Diagonal);
    let p = LstmScanParams { batch: 2 * one.batch, order: BOTH, ..one }.chosen(u[0].value());
    let flat = |v: &Var| v.value().reshape(&[v.value().len()]);
    let packed = concat(&[&flat(s[0]), &flat(s[1]), &first], 0);
    let [batch, height, width] = [one.batch, p.height, p.width].map(|n| n as usize);
    let map = [batch, height, width, n];
    let (cells, gates) = ([2, batch, height, width, n], [2, batch, height, width, 4 * n]);
    let inputs = [u[0].value(), u[1].value(), &packed];
    let [left, right, c, gates] = BILSTM_SCAN.launch(p, inputs, [&map, &map, &cells, &gates]);
    let rule = || {
        let h = [left.clone(), right.clone()];
        Box::new(Rule { params: p, packed, h, c, gates }) as Box<dyn Backward>
    };
    let parents = [u[0], u[1], s[0], s[1], c0];
    u[0].tape().record(&parents, [left.clone(), right.clone()], rule)
}

/// Cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let case = |batch: usize, height: usize, width: usize, hidden: usize| {
        let label = format!("both {batch}x{height}x{width}, h {hidden}");
        let r = 0.5 / (hidden as f32).sqrt();
        let map = [batch, height, width, 4 * hidden];
        let inputs = vec![
            Input::uniform("u left", &map, -1.0, 1.0),
            Input::uniform("u right", &map, -1.0, 1.0),
            Input::uniform("s left", &[2, hidden, 4 * hidden], -r, r),
            Input::uniform("s right", &[2, hidden, 4 * hidden], -r, r),
            Input::normal("c0", &[2, hidden]),
        ];
        Case::new("lstm_scan", &label, inputs, move |x| {
            bilstm_scan([&x[0], &x[1]], [&x[2], &x[3]], &x[4]).into()
        })
    };
    vec![
        case(1, 1, 1, 1),
        case(2, 1, 5, 3),
        case(1, 5, 1, 3),
        case(3, 4, 7, 5),
        case(2, 7, 4, 16),
        // Tiles of either direction that are not full.
        case(3, 7, 4, 33),
    ]
}
