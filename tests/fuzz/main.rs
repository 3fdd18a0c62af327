//! Damaged files for every reader. A reader must not panic, takes less than a second, stays within a memory bound, and
//! names the file in its error.
//!
//! This is a separate program because it measures the time of each input; other tests would compete for the processor.
//!
//! Each input is a function of its number, so runs are reproducible. The short run is an ordinary test. To run a
//! million inputs for each target, or `FUZZ_INPUTS` inputs for the targets whose names contain `FUZZ_ONLY`:
//!
//! ```sh
//! cargo test --release --test fuzz -- --ignored --nocapture
//! ```
//!
//! `libfuzzer/` runs the same targets under cargo-fuzz.

mod files;
mod mutate;
#[path = "../common/peak.rs"]
mod peak;
mod runs;
#[path = "../program/data/samples.rs"]
#[allow(dead_code)]
mod samples;
mod targets;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use targets::{Findings, Target, examine, input, shrunk, targets};

/// Number of inputs that a thread takes at a time.
const CHUNK: u64 = 250;

/// Time after which an input is considered to hang; the program then exits, because a thread cannot be stopped.
const HANGS: Duration = Duration::from_secs(60);

/// Adds the findings of `one` to `all`.
fn add(all: &mut Findings, one: Findings) {
    all.good += one.good;
    all.time = all.time.max(one.time);
    let larger = one.memory.0 as u128 * all.memory.1.max(1) as u128;
    if larger >= all.memory.0 as u128 * one.memory.1 as u128 {
        all.memory = one.memory;
    }
    all.faults.extend(one.faults);
    if all.error.is_empty() {
        all.error = one.error;
    }
}

/// Bytes in readable form for a message, truncated.
fn shown(bytes: &[u8]) -> String {
    let text: String =
        bytes.iter().take(600).flat_map(|&b| b.escape_ascii()).map(char::from).collect();
    format!("{} bytes: b\"{text}\"{}", bytes.len(), if bytes.len() > 600 { "..." } else { "" })
}

/// Reads inputs 0..count of a target and reports the findings.
fn fuzz(target: &Target, count: u64, threads: u64) -> Result<String, String> {
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let all = Mutex::new(Findings::default());
    let current: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(u64::MAX)).collect();
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        let workers: Vec<_> = current
            .iter()
            .map(|current| {
                let work = || {
                    let mut mine = Findings::default();
                    loop {
                        let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                        if first >= count || failed.lock().expect("a lock").is_some() {
                            break;
                        }
                        for number in first..count.min(first + CHUNK) {
                            current.store(number, Ordering::Relaxed);
                            let bytes = input(target, number);
                            let found = examine(target, &bytes);
                            if !found.faults.is_empty() {
                                failed.lock().expect("a lock").get_or_insert((number, bytes));
                                break;
                            }
                            add(&mut mine, found);
                        }
                    }
                    current.store(u64::MAX, Ordering::Relaxed);
                    add(&mut all.lock().expect("a lock"), mine);
                };
                scope.spawn(work)
            })
            .collect();
        let mut since = vec![(u64::MAX, Instant::now()); current.len()];
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            for (current, since) in current.iter().zip(&mut since) {
                let number = current.load(Ordering::Relaxed);
                if number != since.0 {
                    *since = (number, Instant::now());
                } else if number < count && since.1.elapsed() > HANGS {
                    eprintln!(
                        "{}: input {number} hangs: {}",
                        target.name,
                        shown(&input(target, number))
                    );
                    std::process::abort();
                }
            }
        }
    });
    if let Some((number, bytes)) = failed.into_inner().expect("a lock") {
        let faults = examine(target, &bytes).faults;
        let small = shrunk(target, bytes);
        return Err(format!(
            "{}: input {number}: {}\n{}",
            target.name,
            faults.join("; "),
            shown(&small)
        ));
    }
    let found = all.into_inner().expect("a lock");
    Ok(format!(
        "{:14} {count:8} inputs, {:8} readings without an error, longest {:7.1} ms, most memory {:5.1}% of its \
         limit ({} of {} bytes), {:.0} s",
        target.name,
        found.good,
        1e3 * found.time.as_secs_f64(),
        100.0 * found.memory.0 as f64 / found.memory.1.max(1) as f64,
        found.memory.0,
        found.memory.1,
        started.elapsed().as_secs_f64()
    ))
}

/// Fuzzes all targets whose names contain `FUZZ_ONLY`.
fn all(count: impl Fn(&Target) -> u64) {
    let only = std::env::var("FUZZ_ONLY").unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let mut failures = Vec::new();
    for target in targets().filter(|target| target.name.contains(&only)) {
        match fuzz(target, count(target), threads) {
            Ok(line) => println!("{line}"),
            Err(failure) => {
                println!("{failure}");
                failures.push(failure);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn damaged_files_are_refused_in_short() {
    all(|target| target.short);
}

#[test]
#[ignore = "takes an hour"]
fn damaged_files_are_refused_a_million_times() {
    let count = std::env::var("FUZZ_INPUTS").ok().and_then(|n| n.parse().ok());
    all(|_| count.unwrap_or(1_000_000));
}

/// The short run must also read valid files; otherwise a generator produces only garbage.
#[test]
fn every_target_reads_good_files() {
    for target in targets() {
        let mut found = Findings::default();
        (0..64).for_each(|i| add(&mut found, examine(target, &input(target, 8 * i))));
        let (good, name) = (found.good, target.name);
        assert!(good >= 16, "{name}: {good} of 64 were read, one not: {}", found.error);
    }
}
