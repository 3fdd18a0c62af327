//! Runs the target that `FUZZ_ONLY` names under libFuzzer: with inputs found by coverage, a quarter of which are also
//! damaged by our own mutations.
#![no_main]

#[path = "../files.rs"]
mod files;
#[path = "../mutate.rs"]
mod mutate;
#[path = "../../common/peak.rs"]
mod peak;
#[path = "../runs.rs"]
mod runs;
#[path = "../../program/data/samples.rs"]
#[allow(dead_code)]
mod samples;
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rand::SeedableRng;
use rand::rngs::StdRng;
use targets::{Target, examine, input, targets};

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_ONLY").unwrap_or_default();
        targets().find(|target| target.name == name).expect("FUZZ_ONLY names a target")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let found = examine(target(), bytes);
    assert!(found.faults.is_empty(), "{}", found.faults.join("; "));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = StdRng::seed_from_u64(seed.into());
    let bytes = match seed % 8 {
        // A new file, or a mutation of ours.
        0 => input(target(), u64::from(seed / 8)),
        1 => {
            let mut bytes = data[..size].to_vec();
            mutate::mutate(&mut rng, &mut bytes, target().text);
            (target().finish)(&mut rng, bytes)
        }
        _ => return fuzzer_mutate(data, size, max_size),
    };
    let length = bytes.len().min(max_size).min(data.len());
    data[..length].copy_from_slice(&bytes[..length]);
    length
});
