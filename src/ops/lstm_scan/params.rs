//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::ops::masked_conv::Window;
use crate::uniform;

/// The order in which a scan visits the cells of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Row LSTM: row by row. A cell has k neighbours in the row above; k is odd (3 in the paper).
    Rows(usize),
    /// Diagonal LSTM from the left: diagonal by diagonal.
    Diagonal,
    /// Diagonal LSTM from the right: `Diagonal` on the mirrored image.
    MirroredDiagonal,
}

impl Order {
    /// Number of neighbours whose h a cell reads.
    pub fn neighbours(self) -> usize {
        match self {
            Order::Rows(k) => k,
            Order::Diagonal | Order::MirroredDiagonal => 2,
        }
    }

    /// The neighbours as windows of a convolution, in the order of the weights.
    pub(super) fn windows(self) -> Vec<Window> {
        let one = |top, left| Window::open((top, left), 1, 1);
        match self {
            Order::Rows(k) => vec![Window::open((-1, -(k as i32 / 2)), k, k)],
            Order::Diagonal => vec![one(-1, 0), one(0, -1)],
            Order::MirroredDiagonal => vec![one(-1, 0), one(0, 1)],
        }
    }
}

/// Values of `order` in the shaders: by rows, and both diagonal orders.
const ROWS: u32 = 0;
pub(super) const BOTH: u32 = 3;

uniform! {
    /// Parameters of all kernels of this op.
    pub struct LstmScanParams {
        /// Images, over both directions if there are two.
        pub(super) batch: u32,
        pub(super) height: u32,
        pub(super) width: u32,
        pub(super) hidden: u32,
        /// 0 rows, 1 diagonal, 2 mirrored diagonal, 3 both: the first half of the images in the diagonal order, the second
        /// half in the mirrored order.
        pub(super) order: u32,
        pub(super) neighbours: u32,
        /// The step of the scan that a dispatch computes.
        pub(super) step: u32,
        /// The cell that [`super::LSTM_AT`] computes.
        pub(super) row: u32,
        pub(super) column: u32,
        /// 1 for a dispatch per step even if one dispatch could compute all steps.
        pub(super) plain: u32,
    }
}

impl LstmScanParams {
    pub(super) fn order(&self) -> Order {
        let rows = Order::Rows(self.neighbours as usize);
        [rows, Order::Diagonal, Order::MirroredDiagonal][self.order as usize]
    }

    /// Number of directions: 2 or 1.
    pub(super) fn directions(&self) -> usize {
        if self.order == BOTH { 2 } else { 1 }
    }

    /// Parameters of one of the two directions alone.
    pub(super) fn direction(&self, number: usize) -> LstmScanParams {
        LstmScanParams { batch: self.batch / 2, order: number as u32 + 1, ..*self }
    }

    /// Rows of the packed weights of one direction: neighbours * h.
    pub(super) fn depth(&self) -> usize {
        self.neighbours as usize * self.hidden as usize
    }

    /// Number of steps of a scan.
    pub(super) fn steps(&self) -> usize {
        match self.order {
            ROWS => self.height as usize,
            _ => (self.height + self.width).saturating_sub(1) as usize,
        }
    }

    /// Number of lanes along which c is passed on, each of which starts with `c0`: the columns (Row LSTM) or rows.
    pub(super) fn edge(&self) -> usize {
        if self.order == ROWS { self.width as usize } else { self.height as usize }
    }
}
