//! The program `pixelloom`: parses the command line, runs the command, prints what went wrong.

mod cli;

use std::process::ExitCode;

use pixelloom::Error;
use pixelloom::ranks;

/// Exit code of an internal error (a panic).
const INTERNAL: u8 = 1;

/// Without a display, Mesa's layer that selects a device prints an error at each start. Nothing here needs this layer,
/// unless the user asks for it.
#[allow(unsafe_code)] // Changes the environment.
fn silence_mesa() {
    let reasons = ["DISPLAY", "WAYLAND_DISPLAY", "MESA_VK_DEVICE_SELECT", "NODEVICE_SELECT"];
    if cfg!(target_os = "linux") && reasons.iter().all(|name| std::env::var_os(name).is_none()) {
        // SAFETY: the program has no other thread yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn main() -> ExitCode {
    silence_mesa();
    cli::catch_file_size_signal();
    let cli = match cli::Cli::from_arguments() {
        Ok(cli) => cli,
        // A usage error, or the requested help.
        Err(message) => {
            let printed = message.print();
            return ExitCode::from(match printed {
                Err(e) if !message.use_stderr() => finish(e.into()),
                _ => message.exit_code() as u8,
            });
        }
    };
    let outcome = std::panic::catch_unwind(|| cli.run());
    // Out of memory is reported where no `Result` can be returned, as the payload of a panic.
    let outcome = outcome.or_else(|payload| payload.downcast::<Error>().map(|e| Err((*e).into())));
    let code = match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => finish(error),
        // The panic has printed its message already.
        Err(_) => INTERNAL,
    };
    ExitCode::from(ranks::leave(code))
}

/// Prints the error and returns the exit code.
fn finish(error: anyhow::Error) -> u8 {
    if cli::is_closed_pipe(&error) {
        return 0;
    }
    let error = cli::unprintable(error);
    // The command that resumes a run is on a line of its own.
    format!("error: {error:#}").lines().for_each(cli::complain);
    error.downcast_ref::<Error>().map_or(INTERNAL, |error| error.exit_code() as u8)
}
