//! `pixelloom info`: facts about the program and the machine for a bug report.

use anyhow::Result;
use clap::Args;
use pixelloom::cpu::Isa;
use pixelloom::machine::processor;
use serde_json::json;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::devices;
use super::out::{give, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom info
  pixelloom info --json";

/// Print what a bug report needs: version, build, system, processor, memory, adapters
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Info {}

const MIB: u64 = 1 << 20;

impl Info {
    pub fn run(&self) -> Result<()> {
        let (version, build) = (env!("CARGO_PKG_VERSION"), build());
        let known = [("gpu", cfg!(feature = "gpu")), ("mpi", cfg!(feature = "mpi"))];
        let features: Vec<_> = known.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        let named = if features.is_empty() { "none".into() } else { features.join(", ") };
        say(&format!("pixelloom  {version}, {build} build"))?;
        say(&format!("target     {}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
        say(&format!("features   {named}"))?;
        give("version", version);
        give("build", build);
        let (arch, family) = (std::env::consts::ARCH, std::env::consts::OS);
        give("target", json!({"arch": arch, "os": family}));
        give("features", features);

        let unknown = || "unknown".to_string();
        let (os, kernel) = (System::long_os_version(), System::kernel_version());
        let shown = os.clone().unwrap_or_else(unknown);
        say(&format!("system     {shown}; kernel {}", kernel.clone().unwrap_or_else(unknown)))?;
        give("system", json!({"name": os, "kernel": kernel}));

        let cpu = processor::name().unwrap_or_else(unknown);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        say(&format!("processor  {cpu}, {cores} threads; kernels use {}", Isa::current().name()))?;
        let isas: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
        say(&format!("           instruction sets: {}", isas.join(", ")))?;
        give(
            "cpu",
            json!({"name": cpu, "threads": cores, "uses": Isa::current().name(), "isas": isas}),
        );

        let memory = MemoryRefreshKind::nothing().with_ram();
        let system = System::new_with_specifics(RefreshKind::nothing().with_memory(memory));
        let (total, free) = (system.total_memory() / MIB, system.available_memory() / MIB);
        say(&format!("memory     {total} MiB, {free} MiB available"))?;
        give("memory_mib", json!({"total": total, "available": free}));
        devices::adapters()
    }
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
