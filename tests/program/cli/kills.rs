//! Runs that are killed (SIGKILL) at random moments and resumed end with the bytes of an uninterrupted run.
//!
//! The long version: `cargo test --release --test program kills -- --ignored --nocapture`. The moments come
//! from a seed, `PIXELLOOM_SEED` or else a fixed one; a failure prints it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Place, names, small};

const FAMILIES: [&str; 3] = ["vae", "pixelcnn", "draw"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Starts the program and kills it after a while; false if it ended before.
fn killed(place: &Place, arguments: &str, after: Duration) -> bool {
    let mut command = place.command(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the program starts");
    std::thread::sleep(after);
    let ended = child.try_wait().expect("its state").is_some();
    child.kill().expect("killed");
    child.wait().expect("ended");
    !ended
}

/// Kills runs of all families `count` times in total; every second run is killed again after it is resumed.
fn kill(count: usize) {
    let seed = std::env::var("PIXELLOOM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7);
    let mut random = Random(seed);
    // On a real disk, where saving takes a while, so that some runs are killed during it.
    let place = Place::new();
    place.put_images("images", 6);
    let small = |family| small(family).replace("--epochs 3", "--epochs 2");
    let mut lasts = Vec::new();
    for family in FAMILIES {
        place.succeed(&format!("{} --name {family}", small(family)));
        let start = Instant::now();
        place.succeed(&format!("{} --force --name {family}", small(family)));
        lasts.push(start.elapsed().as_secs_f64());
    }
    let (mut kills, mut unsaved, mut inside) = (0, 0, 0);
    for attempt in 0.. {
        if kills == count {
            break;
        }
        assert!(attempt < 5 * count, "{kills} kills in {attempt} attempts: they come too late");
        let which = attempt % FAMILIES.len();
        let (family, lasts) = (FAMILIES[which], lasts[which]);
        let run = format!("{family}-{attempt}");
        let mut moment = || Duration::from_secs_f64(random.uniform() * lasts);
        let (first, second) = (moment(), moment());
        println!("seed {seed}, attempt {attempt}: {family} after {first:?}, then {second:?}");
        let begin = format!("{} --name {run}", small(family));
        if killed(&place, &begin, first) {
            kills += 1;
            let dir = place.path(&format!("runs/{run}/checkpoints"));
            let left = if dir.is_dir() { names(&dir) } else { Vec::new() };
            unsaved += usize::from(!left.iter().any(|name| name.starts_with("step-")));
            inside += usize::from(left.iter().any(|name| !name.starts_with("step-")));
            let again = format!("train {family} --resume --device cpu --name {run}");
            if attempt % 2 == 1 && kills < count && killed(&place, &again, second) {
                kills += 1;
            }
        }
        place.go_on(&small(family), &run, family);
        std::fs::remove_dir_all(place.path(&format!("runs/{run}"))).expect("removed");
    }
    println!(
        "{kills} kills, of the first ones {unsaved} before a checkpoint, {inside} inside of one"
    );
}

#[test]
fn killed_runs_go_on() {
    kill(20);
}

#[test]
#[ignore = "the long version"]
fn runs_killed_two_hundred_times_go_on() {
    kill(200);
}
