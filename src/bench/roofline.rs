//! The roofline: the performance of kernels over their arithmetic intensity, below the machine's limits.

use super::table::{Table, digits, percent};
use super::timing::Machine;
use crate::profile::{Profile, Sum};
use crate::report::plots::{Plot, Series, Stroke};

/// Arithmetic intensity, FLOP/byte.
fn intensity(sum: &Sum) -> f64 {
    sum.flops as f64 / sum.bytes as f64
}

/// A kernel's share of the roof: of min(peak, intensity x bandwidth) if it computes, of the bandwidth if it only moves
/// data.
pub fn share_of_roof(sum: &Sum, machine: &Machine) -> f64 {
    if sum.flops == 0 {
        return sum.gbytes() / machine.bandwidth;
    }
    sum.gflops() / machine.roof(sum.flops as f64, sum.bytes as f64)
}

/// A row per kernel, slowest first: total calls, total ms, us/call, GFLOP/s, GB/s, FLOP/byte and the share of the roof.
/// Shares above 100 % mean that data came from caches.
pub fn table(profile: &Profile, machine: &Machine) -> Table {
    let mut table = Table::new(&[
        "kernel",
        "calls",
        "ms",
        "us/call",
        "GFLOP/s",
        "GB/s",
        "FLOP/byte",
        "of roof",
    ]);
    for (name, sum) in profile.ranked() {
        table.row(vec![
            name.into(),
            sum.calls.to_string(),
            digits(1e3 * sum.seconds),
            digits(1e6 * sum.seconds / sum.calls as f64),
            digits(sum.gflops()),
            digits(sum.gbytes()),
            digits(intensity(&sum)),
            percent(share_of_roof(&sum, machine)),
        ]);
    }
    table
}

/// The kernels under the roofs of their machines, both axes logarithmic. Kernels that only move data have no FLOP and
/// are left out.
pub fn plot(measured: &[(Machine, Profile)]) -> Plot {
    let computing = |profile: &Profile| {
        let all = profile.ranked();
        all.into_iter().filter(|(_, s)| s.flops > 0 && s.bytes > 0 && s.seconds > 0.0)
    };
    let all = || measured.iter().flat_map(|(_, profile)| computing(profile));
    let least = all().map(|(_, s)| intensity(&s)).fold(0.1, f64::min);
    let most = all().map(|(_, s)| intensity(&s)).fold(100.0, f64::max);
    let mut series = Vec::new();
    // Leave room for names on the right.
    for (number, (machine, profile)) in measured.iter().enumerate() {
        let ridge = machine.peak / machine.bandwidth;
        let mut corners = vec![least / 1.5, ridge.clamp(least, most), most * 4.0];
        corners.dedup();
        let roof = |x: f64| (x, machine.roof(x, 1.0));
        series.push(Series {
            name: machine.to_string(),
            points: corners.into_iter().map(roof).collect(),
            colour: 2 * number,
            ..Series::default()
        });
        let kernels: Vec<_> = computing(profile).collect();
        series.push(Series {
            name: "kernels".into(),
            points: kernels.iter().map(|(_, s)| (intensity(s), s.gflops())).collect(),
            stroke: Stroke::Marks,
            colour: 2 * number + 1,
            labels: kernels.iter().map(|(name, _)| name.to_string()).collect(),
        });
    }
    Plot {
        title: "Roofline by kernel\na kernel's declared FLOP over time, against FLOP per byte that it must \
                read and write at least once".into(),
        x_label: "FLOP/byte".into(),
        y_label: "GFLOP/s".into(),
        log_x: true,
        log_y: true,
        series,
        ..Plot::default()
    }
}
