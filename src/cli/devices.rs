//! `pixelloom devices`: the CPU and the adapters.

use anyhow::Result;
use clap::Args;
use pixelloom::cpu::Isa;

use super::say;

/// List the devices that a command can run on
#[derive(Args)]
pub struct Devices {}

impl Devices {
    pub fn run(&self) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let isas: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
        say(&format!("cpu    {cores} threads; {}", isas.join(", ")))?;
        adapters()
    }
}

#[cfg(not(feature = "gpu"))]
fn adapters() -> Result<()> {
    Ok(say("built without GPU support (feature \"gpu\")")?)
}

#[cfg(feature = "gpu")]
fn adapters() -> Result<()> {
    let found = pixelloom::gpu::adapters();
    for a in &found {
        let software = if a.software { "; SOFTWARE, never chosen by itself" } else { "" };
        let (index, name, backend, kind) = (a.index, &a.name, &a.backend, a.device_type);
        say(&format!("gpu:{index}  {name}; {backend}, {kind}; {}{software}", a.driver))?;
        let yes_no = |b: bool| if b { "yes" } else { "no" };
        say(&format!(
            "       largest tensor {} MiB, workgroup {} invocations and {} KiB, {} buffers a kernel, \
             timestamps {}, subgroups {}",
            a.max_storage_buffer_binding_size.min(a.max_buffer_size) >> 20,
            a.max_compute_invocations_per_workgroup,
            a.max_compute_workgroup_storage_size >> 10,
            a.max_storage_buffers_per_shader_stage,
            yes_no(a.timestamp),
            yes_no(a.subgroups),
        ))?;
    }
    if found.is_empty() {
        say("no GPU with a driver (Vulkan, Metal or DX12) was found")?;
    }
    Ok(())
}
