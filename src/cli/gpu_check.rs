//! `pixelloom gpu-check`: compares a GPU with the reference implementation, and measures its speed.

use anyhow::Result;
use clap::Args;
use pixelloom::bench::speeds;
use pixelloom::{Device, Error, ops};
use serde_json::json;

use super::agreement::Agreement;
use super::kernels::{report, say_speeds};
use super::machine::choose;
use super::out::{give, remark, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom gpu-check
  pixelloom gpu-check --device gpu:1 --json > report.json";

/// Compare a GPU with the reference implementation, and measure ten operations on it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct GpuCheck {
    /// gpu:N or a part of an adapter's name; software drivers are adapters too
    #[arg(long, value_name = "WHICH", default_value = "gpu:0", help_heading = "Machine")]
    device: String,
}

impl GpuCheck {
    pub fn run(&self) -> Result<()> {
        let (version, system) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
        let processor = std::env::consts::ARCH;
        say(&format!("pixelloom {version}, {system}, {processor}"))?;
        give("version", version);
        give("system", json!({"os": system, "architecture": processor}));
        super::devices::adapters()?;
        let (device, _) = choose(&self.device)?;
        if !device.name().starts_with("gpu:") {
            return Err(Error::Device(format!(
                "\"{}\" is not a GPU, and gpu-check checks GPUs; name an adapter that pixelloom devices lists, such as \
                 --device gpu:0",
                self.device
            ))
            .into());
        }
        say(&format!("\nchecked: {}", device.name()))?;
        give("checked", device.name());
        #[cfg(feature = "gpu")]
        if let Device::Gpu(gpu) = &device {
            say(&match gpu.subgroup() {
                0 => "attention adds in workgroup memory".into(),
                size => format!("attention adds within subgroups of {size}"),
            })?;
        }
        report(check(&device))
    }
}

fn check(device: &Device) -> Result<()> {
    let cases = ops::cases();
    remark(&format!("comparing {} cases with the reference ...", cases.len()));
    let agreement = Agreement::of(&cases, device)?;
    agreement.say()?;
    remark("measuring ten operations ...");
    let speeds = speeds(device)?;
    give("speeds", &speeds);
    say("")?;
    say_speeds(&speeds, None)?;
    Ok(agreement.verdict("gpu-check")?)
}
