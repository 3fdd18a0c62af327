//! `pixelloom devices`: lists the CPU and the GPU adapters.

use anyhow::Result;
use clap::Args;
use pixelloom::cpu::Isa;
use serde_json::json;

use super::out::{give, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom devices
  pixelloom train vae --device gpu:0";

/// List the devices that a command can run on
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Devices {}

impl Devices {
    pub fn run(&self) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let isas: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
        say(&format!("cpu    {cores} threads; {}", isas.join(", ")))?;
        give("cpu", json!({"threads": cores, "uses": Isa::current().name(), "isas": isas}));
        adapters()?;
        Ok(say(
            "reference  every kernel as plain loops on one thread; slow, for reading and debugging",
        )?)
    }
}

#[cfg(not(feature = "gpu"))]
pub fn adapters() -> Result<()> {
    give("adapters", [(); 0]);
    Ok(say("built without GPU support (feature \"gpu\")")?)
}

/// Reports the GPU adapters.
#[cfg(feature = "gpu")]
pub fn adapters() -> Result<()> {
    let found = pixelloom::gpu::adapters();
    give("adapters", [(); 0]);
    for a in &found {
        let software = if a.software { "; SOFTWARE, never chosen automatically" } else { "" };
        let (index, name, backend, kind) = (a.index, &a.name, &a.backend, a.device_type);
        say(&format!("gpu:{index}  {name}; {backend}, {kind}; {}{software}", a.driver))?;
        let yes_no = |b: bool| if b { "yes" } else { "no" };
        let largest = a.largest_tensor();
        let workgroup = a.max_compute_invocations_per_workgroup;
        let shared = a.max_compute_workgroup_storage_size;
        let buffers = a.max_storage_buffers_per_shader_stage;
        say(&format!(
            "       largest tensor {} MiB, workgroup {workgroup} invocations and {} KiB, {buffers} buffers \
             per kernel, timestamps {}, subgroups {}",
            largest >> 20,
            shared >> 10,
            yes_no(a.timestamp),
            if a.subgroup_size > 0 { a.subgroup_size.to_string() } else { "no".into() },
        ))?;
        super::out::add(
            "adapters",
            json!({
                "device": format!("gpu:{index}"), "name": name, "backend": backend, "type": kind,
                "driver": a.driver, "software": a.software, "largest_tensor_bytes": largest,
                "workgroup_invocations": workgroup, "workgroup_bytes": shared,
                "buffers_a_kernel": buffers, "timestamps": a.timestamp, "subgroups": a.subgroup_size,
            }),
        );
    }
    if found.is_empty() {
        say("no GPU with a driver (Vulkan, Metal or DX12) was found")?;
    }
    Ok(())
}
