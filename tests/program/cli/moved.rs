//! If a run's directory is removed, moved or replaced while a process trains in it, the process stops and does not
//! touch whatever is at the path now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use super::resume::{kill, start, wait_for};
use super::{Place, stderr};

/// A run that ends only when it is stopped, with 45 steps/epoch.
const ENDLESS: &str = "train vae --device cpu --hidden 16 --latent 3 --batch 100 --epochs 100000 \
                       --log-every 7 --eval-every 2 --set optimizer.schedule=constant";

/// Waits for the process, which must fail with one error about the disk, and returns the error.
#[track_caller]
fn stopped(child: Child) -> String {
    let output = child.wait_with_output().expect("it ends");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(8), "{text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(errors[0].contains("nothing more is written"), "{text}");
    errors[0].to_string()
}

/// All files below a folder, with their bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => drop(all.insert(path.clone(), std::fs::read(path).expect("read"))),
        }
    }
    all
}

/// Resumes a run until the end of the epoch in which it was stopped, and checks that it equals an uninterrupted run
/// with `seed`.
#[track_caller]
fn is_as_good_as_whole(place: &Place, out: &str, seed: u64) {
    let last = place.checkpoints(out).pop().expect("a checkpoint");
    let step: u64 = last["step-".len()..].parse().expect("a number");
    let epochs = step / 45 + 1;
    place.succeed(&format!("train vae --resume --device cpu --out {out} --epochs {epochs}"));
    let whole = format!("whole-{seed}");
    let run = ENDLESS.replace("100000", &epochs.to_string());
    place.succeed(&format!("{run} --seed {seed} --out {whole} --force"));
    place.assert_equal_runs(&whole, out);
}

#[test]
fn a_removed_run_is_not_recreated() {
    let place = Place::new();
    let child = start(&place, &format!("{ENDLESS} --name a"));
    wait_for(&place, "runs/a", 3);
    // A file may be written while the others are removed.
    while place.path("runs/a").exists() {
        let _ = std::fs::remove_dir_all(place.path("runs/a"));
    }
    let error = stopped(child);
    assert!(error.contains("runs/a was moved, removed or replaced"), "{error}");
    assert!(!place.path("runs/a").exists());
}

#[test]
fn a_moved_run_is_found_where_it_is() {
    let place = Place::new();
    let child = start(&place, &format!("{ENDLESS} --name a"));
    wait_for(&place, "runs/a", 20);
    std::fs::rename(place.path("runs/a"), place.path("elsewhere")).expect("moved");
    let error = stopped(child);
    if cfg!(target_os = "linux") {
        let there = place.path("elsewhere").canonicalize().expect("it is there");
        let moved = format!("runs/a was moved to {} ", there.display());
        let end = format!("resume it with --resume --out {}", there.display());
        assert!(error.contains(&moved) && error.ends_with(&end), "{error}");
        assert!(error.contains("elsewhere/checkpoints/step-"), "{error}");
    }
    assert!(!place.path("runs/a").exists(), "it is made again");
    is_as_good_as_whole(&place, "elsewhere", 1);
}

/// Suspends a process, and waits until it is suspended.
fn stop(child: &Child) {
    kill(child, "-STOP");
    let id = child.id().to_string();
    let state = || Command::new("ps").args(["-o", "stat=", "-p", &id]).output();
    while !state().expect("ps runs").stdout.starts_with(b"T") {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A run that is suspended while its directory is moved.
fn moved_away(place: &Place) -> Child {
    let child = start(place, &format!("{ENDLESS} --out run"));
    wait_for(place, "run", 20);
    stop(&child);
    std::fs::rename(place.path("run"), place.path("first")).expect("moved");
    child
}

fn interrupted(child: Child) -> Output {
    kill(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    output
}

#[test]
fn a_run_that_starts_in_the_place_of_another_is_not_touched_while_it_trains() {
    let place = Place::new();
    let first = moved_away(&place);
    let second = start(&place, &format!("{ENDLESS} --seed 2 --out run"));
    wait_for(&place, "run", 3);
    kill(&first, "-CONT");
    stopped(first);
    wait_for(&place, "run", 20);
    interrupted(second);
    is_as_good_as_whole(&place, "first", 1);
    is_as_good_as_whole(&place, "run", 2);
}

#[test]
fn a_run_that_starts_in_the_place_of_another_is_not_touched_when_it_has_ended() {
    let place = Place::new();
    let first = moved_away(&place);
    let second = ENDLESS.replace("100000", "3");
    place.succeed(&format!("{second} --seed 2 --out run"));
    let before = files(&place.path("run"));
    kill(&first, "-CONT");
    stopped(first);
    assert!(files(&place.path("run")) == before, "the other run changed");
    is_as_good_as_whole(&place, "first", 1);
}

/// The reverse: the second run's directory disappears, and the first one's returns.
#[test]
fn a_run_that_returns_to_its_place_continues() {
    let place = Place::new();
    let first = moved_away(&place);
    let second = start(&place, &format!("{ENDLESS} --seed 2 --out run"));
    wait_for(&place, "run", 3);
    stop(&second);
    std::fs::rename(place.path("run"), place.path("second")).expect("moved");
    std::fs::rename(place.path("first"), place.path("run")).expect("moved back");
    kill(&second, "-CONT");
    stopped(second);
    kill(&first, "-CONT");
    wait_for(&place, "run", 30);
    interrupted(first);
    is_as_good_as_whole(&place, "run", 1);
    is_as_good_as_whole(&place, "second", 2);
}
