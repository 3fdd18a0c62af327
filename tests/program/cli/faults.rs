//! A run that dies at any of its file operations, or whose disk becomes full or read-only there (faults injected by
//! `src/files.rs`), can be resumed to the same bytes. Also tests with real full and read-only disks.

use std::process::{Command, Output};

use super::{Place, names, small, stderr};

/// A run of two steps, each with a checkpoint that replaces the previous one.
fn two_steps() -> String {
    small("vae").replace("--batch 8 --epochs 3", "--batch 16 --epochs 1") + " --set keep=1"
}

/// For every operation, a run with the fault `kind` there; `check` examines its output.
fn at_every_operation(kind: &str, check: impl Fn(&Output, &str)) {
    let place = Place::with_images();
    let run = two_steps();
    place.succeed(&format!("{run} --name whole"));
    for n in 1.. {
        let name = format!("{kind}-{n}");
        let mut command = place.command(&format!("{run} --name {name}"));
        let output = command.env("PIXELLOOM_FAULT", format!("{kind}:{n}")).output();
        let output = output.expect("the program starts");
        if output.status.success() {
            // All operations were reached: of settings, metrics, three checkpoints, pictures, report.
            assert!(n > 60, "{n} operations are too few");
            println!("{kind}: {} operations", n - 1);
            return;
        }
        check(&output, &format!("{name}: {}", stderr(&output)));
        place.go_on(&run, &name, "whole");
        std::fs::remove_dir_all(place.path(&format!("runs/{name}"))).expect("removed");
    }
}

#[test]
fn a_run_may_die_at_any_file_operation() {
    at_every_operation("abort", |output, said| {
        assert!(output.status.code().is_none(), "no signal: {said}");
    });
}

fn fails_on_the_disk(output: &Output, said: &str) {
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("error: cannot ") && !said.contains("saved"), "{said}");
}

#[test]
fn a_disk_may_be_full_at_any_file_operation() {
    at_every_operation("full", fails_on_the_disk);
}

#[test]
fn a_disk_may_become_read_only_at_any_file_operation() {
    at_every_operation("read-only", fails_on_the_disk);
}

/// A file system in memory, unmounted when dropped.
struct Mount<'a>(&'a Place);

impl Mount<'_> {
    /// `None`, with a message, if this process is not allowed to mount.
    fn new(place: &Place) -> Option<Mount<'_>> {
        std::fs::create_dir(place.path("runs")).expect("made");
        let mount = Mount(place);
        let done = mount.mount(&["-t", "tmpfs", "-o", "size=300k", "tmpfs"]);
        if !done {
            println!("skipped: no file system can be mounted here");
        }
        done.then_some(mount)
    }

    fn mount(&self, arguments: &[&str]) -> bool {
        let output = Command::new("mount").args(arguments).arg(self.0.path("runs")).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path("runs")).output();
    }
}

#[test]
fn real_disks_that_are_full_or_read_only() {
    let place = Place::with_images();
    let run = small("vae").replace("--hidden 4", "--hidden 60") + " --set keep=50";
    place.succeed(&format!("{run} --out whole"));
    let Some(mount) = Mount::new(&place) else { return };
    let message = place.fail(&format!("{run} --name a"), 8);
    assert!(message.contains("No space left"), "{message}");
    let saved = names(&place.path("runs/a/checkpoints"));
    assert!(saved.len() > 1 && saved.iter().all(|name| name.starts_with("step-")), "{saved:?}");
    place.succeed("eval runs/a --device cpu");
    // Still full.
    place.fail("train vae --resume --device cpu --name a", 8);
    assert!(mount.mount(&["-o", "remount,size=32m"]));
    place.succeed("train vae --resume --device cpu --name a");
    place.assert_equal_runs("whole", "runs/a");

    assert!(mount.mount(&["-o", "remount,ro"]));
    for command in
        ["train vae --resume --device cpu --epochs 4 --name a", &format!("{run} --name b")]
    {
        let message = place.fail(command, 8);
        assert!(message.contains("Read-only file system"), "{message}");
    }
    place.succeed("eval runs/a --device cpu");
    assert!(mount.mount(&["-o", "remount,rw"]));
    place.succeed("train vae --resume --device cpu --epochs 4 --name a");
}

/// Results that cannot be printed, in each form: lines, a JSON object, a script, help.
#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error_of_the_disk() {
    let place = Place::with_images();
    let run = two_steps();
    place.succeed(&format!("{run} --name a"));
    for arguments in [
        "presets",
        "presets --json",
        "completions bash",
        "--help",
        "train --help",
        "--version",
        "eval a --device cpu",
        "sample a --device cpu --out a.png",
        &format!("{run} --name b"),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let output = place.command(arguments).stdout(full).output().expect("the program starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(8), "{arguments}: {said}");
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        let [error] = errors[..] else { panic!("{arguments}: {said}") };
        assert!(
            error.starts_with("error: cannot write to standard output: No space left"),
            "{error}"
        );
    }
    assert!(place.path("runs/b/summary.json").exists(), "the run itself is whole");
}

/// A file size limit, which the system enforces with a signal that would kill the process.
#[cfg(unix)]
#[test]
fn a_limit_to_the_size_of_files_is_an_error_of_the_disk() {
    let place = Place::with_images();
    let run = two_steps();
    place.succeed(&format!("{run} --name whole"));
    let limited = |blocks: u32, arguments: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        command.arg(assert_cmd::cargo::cargo_bin!("pixelloom"));
        command.args(arguments.split_whitespace()).current_dir(place.path("."));
        let output = command.output().expect("a shell");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(8), "{blocks} blocks, {arguments}: {said}");
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        let [error] = errors[..] else { panic!("{said}") };
        let file = error.starts_with("error: cannot write ") && error.contains("File too large");
        assert!(file, "{error}");
    };
    // Limits that are too small for the settings, for a checkpoint, and for a report.
    for blocks in [0, 4, 16] {
        let name = format!("limit-{blocks}");
        limited(blocks, &format!("{run} --name {name}"));
        place.go_on(&run, &name, "whole");
    }
    limited(1, "sample whole --device cpu --out a.png");
}
