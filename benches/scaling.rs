//! Time of a training step as a function of batch size, image side, number of layers and hidden size, for a
//! few kinds of model, each compared with its arithmetic.
//!
//!     cargo bench --bench scaling -- [--only KIND] [--kind batch|side|layers|hidden] [--threads N]
//!                                    [--seconds S] [--device NAME] [--svg DIR]
//!
//! Prints a Markdown table for each. `--svg` also plots time against size on logarithmic axes; the dotted line
//! is the arithmetic, scaled to meet the measured time at the largest size.

mod common;

use common::{Arguments, save};
use pixelloom::Device;
use pixelloom::bench::table::{digits, percent};
use pixelloom::bench::{Machine, Table, Task, Workload, time};
use pixelloom::models::ModelConfig;
use pixelloom::models::draw::DrawConfig;
use pixelloom::models::pixel::{Body, PixelConfig};
use pixelloom::models::vae::VaeConfig;
use pixelloom::ops::optimizer::Rule;
use pixelloom::report::plots::{Plot, Series, Stroke};

/// A kind of model at its usual size.
struct Kind {
    name: &'static str,
    net: ModelConfig,
    batch: usize,
}

fn kinds() -> Vec<Kind> {
    let pixel = |body, layers, hidden| ModelConfig::pixel(body, PixelConfig::mnist(layers, hidden));
    let draw = DrawConfig { glimpses: 16, learned_states: false, ..DrawConfig::mnist() };
    [
        ("vae", ModelConfig::Vae(VaeConfig::mnist(20)), 100),
        ("draw", ModelConfig::Draw(draw), 32),
        ("pixelcnn", pixel(Body::PixelCnn, 7, 32), 16),
        ("rowlstm", pixel(Body::RowLstm, 4, 16), 16),
        ("diagbilstm", pixel(Body::DiagBilstm, 4, 16), 16),
    ]
    .map(|(name, net, batch)| Kind { name, net, batch })
    .into()
}

/// The quantities that vary, and their values.
const AXES: [(&str, &[usize]); 4] = [
    ("batch", &[1, 2, 4, 8, 16, 32, 64, 128, 256]),
    ("side", &[14, 20, 28, 40, 64]),
    ("layers", &[1, 2, 4, 8, 16]),
    ("hidden", &[8, 16, 32, 64, 128, 256, 512]),
];

/// The workload of `kind` with the size `axis` set to `value`; `None` if the kind has no such size, or if a
/// step would take minutes.
fn at(kind: &Kind, axis: &str, value: usize) -> Option<Workload> {
    let (mut net, mut batch) = (kind.net.clone(), kind.batch);
    let pixel = net.pixel_net().is_some();
    let rule = if pixel { Rule::RmsProp } else { Rule::Adam };
    match (axis, &mut net) {
        ("batch", _) => batch = value,
        ("side", net) => {
            let channels = net.shape().2;
            net.set_shape((value, value, channels)).expect("square images");
        }
        // The depth of DRAW is its number of glimpses.
        ("layers", ModelConfig::Draw(c)) => c.glimpses = value,
        ("layers", net) => net.pixel_net()?.layers = value,
        ("hidden", ModelConfig::Vae(c)) => c.hidden = value,
        ("hidden", ModelConfig::Draw(c)) => c.hidden = value,
        ("hidden", net) if value <= 128 => net.pixel_net()?.hidden = value,
        _ => return None,
    }
    Some(Workload {
        name: format!("{} {axis} {value}", kind.name),
        task: Task::Train,
        net,
        rule,
        batch,
    })
}

fn main() {
    let arguments = Arguments::read();
    let (only, axis) = (arguments.value("--only"), arguments.value("--kind"));
    let seconds = arguments.number("--seconds", 0.5);
    let svg = arguments.svg();
    arguments.pool().install(|| {
        let device = arguments.device();
        let machine = Machine::measure(&device).expect("the device works");
        println!("{machine}\n");
        for (name, values) in AXES {
            if axis.as_deref().is_some_and(|axis| axis != name) {
                continue;
            }
            let mut series = Vec::new();
            for (colour, kind) in kinds().iter().enumerate() {
                if only.as_deref().is_some_and(|only| !kind.name.starts_with(only)) {
                    continue;
                }
                series.extend(measure(kind, name, values, colour, &device, &machine, seconds));
            }
            if let (Some(dir), false) = (&svg, series.is_empty()) {
                std::fs::create_dir_all(dir).expect("the folder for the plots");
                save(&plot(name, series, &machine), &dir.join(format!("{name}.svg")));
            }
        }
    });
}

/// Measures one kind along one axis, prints the table, and returns two series: the time and the arithmetic.
fn measure(
    kind: &Kind,
    axis: &str,
    values: &[usize],
    colour: usize,
    device: &Device,
    machine: &Machine,
    seconds: f64,
) -> Vec<Series> {
    let head = [axis, "ms/step", "us/image", "MFLOP/image", "GFLOP/s", "of peak"];
    let (mut table, mut times) = (Table::new(&head), Vec::new());
    for &value in values {
        let Some(workload) = at(kind, axis, value) else { continue };
        let mut ready = workload.build(device);
        let t = time(device, &mut ready, seconds, 1).expect("the device works").median;
        let (batch, flops) = (workload.batch as f64, workload.flops());
        let gflops = flops * batch / t / 1e9;
        table.row(vec![
            value.to_string(),
            digits(1e3 * t),
            digits(1e6 * t / batch),
            digits(flops / 1e6),
            digits(gflops),
            percent(gflops / machine.peak),
        ]);
        times.push((value as f64, 1e3 * t, flops * batch));
    }
    let Some(&(_, last, most)) = times.last() else { return Vec::new() };
    println!("{}, by {axis}\n\n{table}", kind.name);
    let of =
        |name: String, stroke, points| Series { name, points, stroke, colour, ..Series::default() };
    let measured = times.iter().map(|&(x, t, _)| (x, t)).collect();
    let arithmetic = times.iter().map(|&(x, _, flops)| (x, last * flops / most)).collect();
    vec![
        of(kind.name.into(), Stroke::Solid, measured),
        of(format!("{}, arithmetic", kind.name), Stroke::Dotted, arithmetic),
    ]
}

fn plot(axis: &str, series: Vec<Series>, machine: &Machine) -> Plot {
    Plot {
        title: format!("A training step by {axis}\n{machine}"),
        x_label: axis.into(),
        y_label: "ms/step".into(),
        log_x: true,
        log_y: true,
        series,
        ..Plot::default()
    }
}
