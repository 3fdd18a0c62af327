//! Choosing a device by the name that a user gives, and measuring the available memory.

pub mod memory;
pub mod processor;
pub mod tuned;

use crate::device::Device;
use crate::error::Result;

/// The device called `which`, and the reason for the choice: `auto` (the first GPU, otherwise the CPU), `cpu`, `gpu`
/// (the first GPU), `gpu:N`, a part of an adapter's name, or `reference` (plain loops). Software drivers are only
/// chosen by number or name. If several processes train together on this machine, process number `local` gets the GPU
/// of that number instead of the first. A GPU's kernels are compiled here, so that no step waits for the driver;
/// `compiled(done, total)` is called after each.
///
/// Errors: [`crate::Error::Device`] when there is no such device, or it cannot be used.
pub fn choose(
    which: &str,
    local: usize,
    compiled: &mut dyn FnMut(usize, usize),
) -> Result<(Device, String)> {
    match which {
        "cpu" => Ok((Device::cpu(), "asked for".into())),
        "reference" => Ok((
            Device::reference(),
            "asked for; plain loops, slow, for reading and debugging".into(),
        )),
        other => gpu::choose(other, local, compiled),
    }
}

impl Device {
    /// The device that `--device auto` chooses: the first hardware GPU, with its kernels compiled, otherwise the CPU.
    /// [`Device::name`] returns its name.
    pub fn auto() -> Device {
        let (device, _) = choose("auto", 0, &mut |_, _| ()).expect("the CPU is always there");
        device
    }
}

#[cfg(not(feature = "gpu"))]
mod gpu {
    use crate::{Device, Error, Result};

    type Compiled<'a> = &'a mut dyn FnMut(usize, usize);

    pub fn choose(which: &str, _: usize, _: Compiled) -> Result<(Device, String)> {
        match which {
            "auto" => Ok((Device::cpu(), "auto: this program is built without GPU support".into())),
            other => Err(Error::Device(format!(
                "no device \"{other}\": this program is built without GPU support (feature \
                 \"gpu\"); use --device cpu"
            ))),
        }
    }
}

#[cfg(feature = "gpu")]
mod gpu {
    use crate::gpu::{AdapterSummary, Gpu, GpuOptions, adapters};
    use crate::ops::kernels;
    use crate::{Device, Error, Result};

    type Compiled<'a> = &'a mut dyn FnMut(usize, usize);

    pub fn choose(which: &str, local: usize, compiled: Compiled) -> Result<(Device, String)> {
        let found = adapters();
        let own = || {
            let name = if local == 0 { "the first GPU" } else { "this process's GPU" };
            Ok::<_, Error>((nth_real(&found, local)?, name))
        };
        match which {
            "auto" => Ok(match own()? {
                (None, _) if found.is_empty() => {
                    (Device::cpu(), "auto: no GPU with a driver was found".into())
                }
                (None, _) => (Device::cpu(), "auto: only a software adapter was found".into()),
                (Some(a), name) => match open(a, compiled) {
                    Ok(device) => (device, format!("auto: {name}")),
                    Err(why) => (Device::cpu(), format!("auto: not {}: {why}", a.name)),
                },
            }),
            "gpu" => match own()? {
                (Some(a), name) => Ok((open(a, compiled)?, name.into())),
                (None, _) => Err(missing("no GPU with a driver was found", &found)),
            },
            other => {
                let number = other.strip_prefix("gpu:").map(str::parse::<usize>);
                let adapter = match number {
                    Some(Ok(number)) => found.iter().find(|a| a.index == number),
                    Some(Err(_)) => None,
                    None if other.is_empty() => None,
                    None => {
                        found.iter().find(|a| a.name.to_lowercase().contains(&other.to_lowercase()))
                    }
                };
                match adapter {
                    Some(a) if a.software => Ok((open(a, compiled)?, "asked for; software".into())),
                    Some(a) => Ok((open(a, compiled)?, "asked for".into())),
                    None => Err(missing(&format!("there is no device \"{other}\""), &found)),
                }
            }
        }
    }

    /// The GPU of process number `local` on this machine; `None` if there are no GPUs. It is an error if there are
    /// fewer GPUs than processes, because processes on different devices would wait for the slowest.
    fn nth_real(found: &[AdapterSummary], local: usize) -> Result<Option<&AdapterSummary>> {
        let real: Vec<_> = found.iter().filter(|a| !a.software).collect();
        if local < real.len() || real.is_empty() {
            return Ok(real.get(local).copied());
        }
        Err(Error::Device(format!(
            "there is no GPU for process {} on this machine, which has {}; start one process per GPU, or \
             use --device cpu",
            local + 1,
            real.len()
        )))
    }

    fn open(adapter: &AdapterSummary, compiled: Compiled) -> Result<Device> {
        let gpu = Gpu::open(adapter.index, GpuOptions::default())?;
        let kernels = kernels();
        let entries: Vec<_> = kernels.iter().map(|k| (k.program(), k.entries())).collect();
        gpu.compile(&entries, compiled)?;
        Ok(Device::Gpu(gpu))
    }

    fn missing(what: &str, found: &[AdapterSummary]) -> Error {
        let mut names = vec!["cpu".to_string(), "reference".to_string()];
        names.extend(found.iter().map(|a| {
            let software = if a.software { ", software" } else { "" };
            format!("gpu:{} ({}, {}{software})", a.index, a.name, a.backend)
        }));
        Error::Device(format!("{what}; available devices: {}", names.join(", ")))
    }
    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_process_has_a_gpu_of_its_own() {
            let adapter = |index, software| AdapterSummary {
                index,
                name: format!("adapter {index}"),
                software,
                ..AdapterSummary::default()
            };
            let found = [adapter(0, true), adapter(1, false), adapter(2, true), adapter(3, false)];
            let index = |local| nth_real(&found, local).map(|a| a.map(|a| a.index));
            assert_eq!((index(0).unwrap(), index(1).unwrap()), (Some(1), Some(3)));
            let message = index(2).unwrap_err().to_string();
            assert!(message.contains("process 3") && message.contains("has 2"), "{message}");
            assert!(nth_real(&found[..1], 5).unwrap().is_none(), "the CPU is shared");
        }
    }
}
