//! The memory that this process can still allocate, limited by the machine, its control group and its own limit.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Available memory, and what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// Bytes.
    pub bytes: u64,
    /// The limit in words, for messages, such as "on this machine".
    pub whose: &'static str,
}

/// Memory that this process can still allocate. The estimate is never too low: swap counts, and on systems that cannot
/// tell what they could free (all except Linux), all memory counts.
pub fn available() -> Available {
    let ram = MemoryRefreshKind::nothing().with_ram().with_swap();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(ram));
    let (machine, swap) = match cfg!(target_os = "linux") {
        true => (system.available_memory(), system.free_swap()),
        false => (system.total_memory(), system.total_swap()),
    };
    let machine = Available { bytes: machine + swap, whose: "on this machine" };
    let limits = limits(swap);
    limits
        .into_iter()
        .fold(machine, |least, limit| if limit.bytes < least.bytes { limit } else { least })
}

#[cfg(not(target_os = "linux"))]
fn limits(_: u64) -> Vec<Available> {
    Vec::new()
}

#[cfg(target_os = "linux")]
use linux::limits;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::read_to_string;
    use std::path::Path;

    use super::Available;

    /// The limits of this process other than the machine's memory.
    pub fn limits(swap: u64) -> Vec<Available> {
        let text = |path: &str| read_to_string(path).unwrap_or_default();
        let groups = in_groups(&text("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
        let whose = "in this control group";
        let group = groups.map(|bytes| Available { bytes: bytes.saturating_add(swap), whose });
        let own = in_address_space(&text("/proc/self/limits"), &text("/proc/self/status"));
        let own = own.map(|bytes| Available { bytes, whose: "to this process (ulimit -v)" });
        group.into_iter().chain(own).collect()
    }

    /// The least memory left in the control groups that `groups` (the content of /proc/PID/cgroup) names, and in their
    /// parents; `root` is where they are mounted. Pages of files count as free, because the kernel drops them first.
    fn in_groups(groups: &str, root: &Path) -> Option<u64> {
        let line = |line: &str| -> Option<u64> {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let (root, limit, used) = match controllers {
                "" => (root.to_path_buf(), "memory.max", "anon"),
                "memory" => (root.join("memory"), "memory.limit_in_bytes", "total_rss"),
                _ => return None,
            };
            let own = Path::new(path.trim_start_matches('/'));
            let left = |below: &Path| -> Option<u64> {
                let dir = root.join(below);
                // "max" does not parse as a number and means no limit.
                let limit: u64 = read_to_string(dir.join(limit)).ok()?.trim().parse().ok()?;
                let stat = read_to_string(dir.join("memory.stat")).unwrap_or_default();
                Some(limit.saturating_sub(field(&stat, used).unwrap_or(0)))
            };
            own.ancestors().filter_map(left).min()
        };
        groups.lines().filter_map(line).min()
    }

    /// The remaining address space, from the contents of /proc/PID/limits and /proc/PID/status.
    fn in_address_space(limits: &str, status: &str) -> Option<u64> {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
        let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(limit.saturating_sub(field(status, "VmSize:")? << 10))
    }

    /// The number after `key` at the start of a line.
    fn field(text: &str, key: &str) -> Option<u64> {
        let mut lines = text.lines().map(str::split_whitespace);
        lines.find_map(|mut words| (words.next()? == key).then(|| words.next()?.parse().ok())?)
    }

    #[cfg(test)]
    mod tests {
        use std::fs;

        use super::*;

        #[test]
        fn the_tightest_control_group_counts() {
            let root = tempfile::tempdir().unwrap();
            let put = |dir: &str, file: &str, text: &str| {
                let dir = root.path().join(dir);
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join(file), text).unwrap();
            };
            let left = |groups: &str| in_groups(groups, root.path());
            assert_eq!(left("0::/\n"), None, "there are no files");
            put("", "memory.stat", "anon 7\nfile 5000\n");
            put("a/b", "memory.max", "max\n");
            put("a/b", "memory.stat", "anon 600\nfile 300\n");
            assert_eq!(left("0::/a/b\n"), None, "there is no limit");
            put("a", "memory.max", "5000\n");
            put("a", "memory.stat", "anon 1000\nfile 3900\n");
            assert_eq!(left("0::/a/b\n"), Some(4000), "the limit of the group above");
            put("a/b", "memory.max", "2000\n");
            assert_eq!(left("0::/a/b\n"), Some(1400));
            put("memory/c", "memory.limit_in_bytes", "900\n");
            put("memory/c", "memory.stat", "rss 1\ntotal_rss 200\n");
            assert_eq!(left("9:cpu:/\n4:memory:/c/d\n0::/a\n"), Some(700), "of the older kind");
        }

        #[test]
        fn the_address_space_left_is_the_limit_less_what_is_mapped() {
            let head =
                "Limit                     Soft Limit           Hard Limit           Units     \n";
            let limits =
                |soft: &str| format!("{head}Max address space         {soft}  unlimited  bytes\n");
            let status = "Name:\tpixelloom\nVmSize:\t     400 kB\n";
            assert_eq!(in_address_space(&limits("1048576"), status), Some(1_048_576 - 409_600));
            assert_eq!(in_address_space(&limits("1024"), status), Some(0));
            assert_eq!(in_address_space(&limits("unlimited"), status), None);
        }
    }
}
