//! The `lazaret` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(lazaret::cli::run().code())
}
