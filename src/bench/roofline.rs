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

/// The kernels under the roofs of their machines, both axes logarithmic. The larger a marker, the larger the kernel's share
/// of the time. Solid is the roof of memory, dotted that of each cache. Kernels that only move data have no FLOP and are
/// left out.
pub fn plot(measured: &[(Machine, Profile)]) -> Plot {
    let computing = |profile: &Profile| {
        let all = profile.ranked();
        all.into_iter().filter(|(_, s)| s.flops > 0 && s.bytes > 0 && s.seconds > 0.0)
    };
    let all = || measured.iter().flat_map(|(_, profile)| computing(profile));
    let least = all().map(|(_, s)| intensity(&s)).fold(0.1, f64::min) / 1.5;
    // Leave room for names on the right.
    let most = all().map(|(_, s)| intensity(&s)).fold(100.0, f64::max) * 4.0;
    let mut series = Vec::new();
    for (number, (machine, profile)) in measured.iter().enumerate() {
        let roof = |name: String, bandwidth: f64, stroke| {
            let ridge = (machine.peak / bandwidth).clamp(least, most);
            let mut corners = vec![least, ridge, most];
            corners.dedup();
            let height = |x: f64| (x, machine.peak.min(x * bandwidth));
            let points = corners.into_iter().map(height).collect();
            Series { name, points, stroke, colour: 2 * number, ..Series::default() }
        };
        let Machine { name, peak, bandwidth, .. } = machine;
        let memory = format!("{name}: {peak:.0} GFLOP/s, memory {bandwidth:.1} GB/s");
        series.push(roof(memory, *bandwidth, Stroke::Solid));
        let caches = machine.caches.iter();
        series.extend(
            caches.map(|(name, gb)| roof(format!("{name} {gb:.0} GB/s"), *gb, Stroke::Dotted)),
        );
        let kernels: Vec<_> = computing(profile).collect();
        let share = |sum: &Sum| sum.seconds / profile.seconds.max(f64::MIN_POSITIVE);
        series.push(Series {
            name: "kernels, by share of time".into(),
            points: kernels.iter().map(|(_, s)| (intensity(s), s.gflops())).collect(),
            stroke: Stroke::Marks,
            colour: 2 * number + 1,
            labels: kernels.iter().map(|(name, _)| name.to_string()).collect(),
            // The area grows with the share of the time.
            sizes: kernels.iter().map(|(_, s)| 0.6 + 4.0 * share(s).sqrt()).collect(),
            ..Series::default()
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
