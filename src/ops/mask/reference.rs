//! Packing of masked weights and its gradient. Pixel Recurrent Neural Networks, section 3.4. Shapes: w, dw (outputs,
//! inputs, area), packed and its gradient \[taps, inputs, outputs\]; the taps are the first of the area in raster
//! order.

use super::params::MaskParams;

/// Whether weight (t, i, o) is visible. In the centre tap, channels are divided into G colour groups: channel c of C is
/// in group floor(c G / C). An output reads the groups before its own, and with mask B (`own`) its own group too.
fn visible(p: &MaskParams, t: usize, i: usize, o: usize) -> bool {
    if t >= p.taps as usize {
        return false;
    }
    let of_input = i * p.groups as usize / p.inputs as usize;
    let of_output = (o % p.stack as usize) * p.groups as usize / p.stack as usize;
    match p.own {
        _ if t != p.centre as usize => true,
        0 => of_input < of_output,
        _ => of_input <= of_output,
    }
}

/// packed\[t, i, o\] = w\[o, i, t\] if it is visible, else 0.
pub fn pack(p: &MaskParams, [w]: [&[f32]; 1], [packed]: [&mut [f32]; 1]) {
    let [inputs, outputs, area] = [p.inputs, p.outputs, p.area].map(|n| n as usize);
    for t in 0..p.taps as usize {
        for i in 0..inputs {
            for o in 0..outputs {
                let w = w[(o * inputs + i) * area + t];
                let shown = visible(p, t, i, o);
                packed[(t * inputs + i) * outputs + o] = if shown { w } else { 0.0 };
            }
        }
    }
}

/// dw\[o, i, t\] = dpacked\[t, i, o\] if w\[o, i, t\] is visible, else 0.
pub fn unpack(p: &MaskParams, [dpacked]: [&[f32]; 1], [dw]: [&mut [f32]; 1]) {
    let [inputs, outputs, area] = [p.inputs, p.outputs, p.area].map(|n| n as usize);
    for o in 0..outputs {
        for i in 0..inputs {
            for t in 0..area {
                let shown = visible(p, t, i, o);
                let at = (t * inputs + i) * outputs + o;
                dw[(o * inputs + i) * area + t] = if shown { dpacked[at] } else { 0.0 };
            }
        }
    }
}
