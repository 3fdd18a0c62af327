//! The program `pixelloom`: parses the command line, runs the command, prints what went wrong.

mod cli;

use std::process::ExitCode;

use pixelloom::Error;
use pixelloom::train::ranks;

/// Exit code of a fault in the program itself.
const INTERNAL: u8 = 1;

fn main() -> ExitCode {
    let cli = cli::Cli::from_arguments();
    // A panic has printed its message already.
    let outcome = std::panic::catch_unwind(|| cli.run());
    // Where no result can be returned, an error ends the work as the payload of a panic: memory ran out.
    let outcome = outcome.or_else(|payload| payload.downcast::<Error>().map(|e| Err((*e).into())));
    let code = match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) if cli::is_closed_pipe(&error) => 0,
        Ok(Err(error)) => {
            cli::complain(&format!("error: {error:#}"));
            match error.downcast_ref::<Error>() {
                Some(error) => error.exit_code() as u8,
                None => INTERNAL,
            }
        }
        // The panic has printed its message already.
        Err(_) => INTERNAL,
    };
    ExitCode::from(ranks::leave(code))
}
