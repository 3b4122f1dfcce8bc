//! Exit codes, as in sysexits.h.

use std::process::ExitCode;

/// Why the program ends early: the code for scripts, the error for people.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    /// The whole story.
    pub error: anyhow::Error,
}

impl Exit {
    /// EX_USAGE: the command line is wrong.
    pub const USAGE: u8 = 64;
    /// EX_UNAVAILABLE: something the agent depends on is not there.
    pub const UNAVAILABLE: u8 = 69;
    /// EX_OSERR: the system refused.
    pub const SYSTEM: u8 = 71;
    /// EX_CONFIG: the configuration is wrong.
    pub const CONFIG: u8 = 78;

    /// For `map_err`: wraps an error with a code.
    pub fn with<E: Into<anyhow::Error>>(code: u8) -> impl Fn(E) -> Self {
        move |error| Self {
            code,
            error: error.into(),
        }
    }

    /// What the process answers.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}
