//! Which device a command computes on, by what a user calls it.

use crate::device::Device;
use crate::error::Result;

/// The device called `which`, and why it is that one: `auto` (the first GPU, else the CPU), `cpu`, `gpu`
/// (the first GPU), `gpu:N`, or a part of an adapter's name. Software drivers are never chosen unless
/// by number or name. A GPU's kernels are compiled first, so that no step waits for the driver, and
/// `compiled(done, total)` is called after each.
///
/// Errors: [`crate::Error::Device`] when there is no such device, or it cannot be used.
pub fn choose(which: &str, compiled: &mut dyn FnMut(usize, usize)) -> Result<(Device, String)> {
    match which {
        "cpu" => Ok((Device::cpu(), "asked for".into())),
        other => gpu::choose(other, compiled),
    }
}

#[cfg(not(feature = "gpu"))]
mod gpu {
    use crate::{Device, Error, Result};

    pub fn choose(which: &str, _: &mut dyn FnMut(usize, usize)) -> Result<(Device, String)> {
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

    pub fn choose(which: &str, compiled: Compiled) -> Result<(Device, String)> {
        let found = adapters();
        let real = found.iter().find(|a| !a.software);
        match which {
            "auto" => Ok(match real.map(|a| (a, open(a, compiled))) {
                Some((_, Ok(device))) => (device, "auto: the first GPU".into()),
                Some((a, Err(why))) => (Device::cpu(), format!("auto: not {}: {why}", a.name)),
                None => (Device::cpu(), "auto: there is no GPU with a driver".into()),
            }),
            "gpu" => match real {
                Some(a) => Ok((open(a, compiled)?, "the first GPU".into())),
                None => Err(missing("no GPU with a driver was found", &found)),
            },
            other => {
                let number = other.strip_prefix("gpu:").map(str::parse::<usize>);
                let adapter = match number {
                    Some(Ok(number)) => found.iter().find(|a| a.index == number),
                    Some(Err(_)) => None,
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

    fn open(adapter: &AdapterSummary, compiled: Compiled) -> Result<Device> {
        let gpu = Gpu::open(adapter.index, GpuOptions::default())?;
        let kernels = kernels();
        let entries: Vec<_> = kernels.iter().map(|k| (k.program(), k.entries())).collect();
        gpu.compile(&entries, compiled)?;
        Ok(Device::Gpu(gpu))
    }

    fn missing(what: &str, found: &[AdapterSummary]) -> Error {
        let mut names = vec!["cpu".to_string()];
        names.extend(found.iter().map(|a| {
            let software = if a.software { ", software" } else { "" };
            format!("gpu:{} ({}, {}{software})", a.index, a.name, a.backend)
        }));
        Error::Device(format!("{what}; there are: {}", names.join(", ")))
    }
}
