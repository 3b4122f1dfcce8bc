//! Exit codes: the verdicts' own, and `sysexits.h` for trouble of the tool's own. Documented in docs/exit-codes.md.

use lazaret_attest::verdict::Verdict;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `verify-host`: Affirming.
    Ok,
    /// A verdict other than Affirming: 10, 20 or 30.
    Verdict(Verdict),
    /// At least one check of `doctor`, or one host of `enroll --all`, failed.
    Failed,
    /// The command line is wrong (EX_USAGE).
    Usage,
    /// Input data is malformed: a bundle, a policy, a log (EX_DATAERR).
    Data,
    /// A named thing does not exist: a file, a host, a case (EX_NOINPUT).
    NoInput,
    /// An agent, the cloud or a BMC cannot be reached (EX_UNAVAILABLE).
    Unavailable,
    /// A fault in Lazaret itself (EX_SOFTWARE).
    Software,
    /// An output file cannot be created (EX_CANTCREAT).
    CannotCreate,
    /// Reading or writing failed, the database or a full disk included (EX_IOERR).
    Io,
    /// Refused for now, try again: another process holds the host (EX_TEMPFAIL).
    TryAgain,
    /// The other side answered what the protocol does not allow (EX_PROTOCOL).
    Protocol,
    /// Not permitted: credentials refused, a key that differs from the pinned one (EX_NOPERM).
    NoPermission,
    /// The configuration is wrong (EX_CONFIG).
    Config,
}

impl Exit {
    /// The exit of a verdict.
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Affirming => Self::Ok,
            Verdict::Warning | Verdict::Contraindicated | Verdict::Indeterminate => Self::Verdict(verdict),
        }
    }

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Verdict(verdict) => verdict.exit_code(),
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::CannotCreate => 73,
            Self::Io => 74,
            Self::TryAgain => 75,
            Self::Protocol => 76,
            Self::NoPermission => 77,
            Self::Config => 78,
        }
    }
}

/// Trouble of the tool's own: what it ends with, and what a person reads.
#[derive(Debug)]
pub struct Trouble {
    /// The exit code.
    pub exit: Exit,
    /// What was attempted, on what, what came back, and what to do.
    pub cause: anyhow::Error,
}

impl Trouble {
    /// Trouble with its exit code.
    pub fn new(exit: Exit, cause: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            cause: cause.into(),
        }
    }

    /// Trouble described by a sentence alone.
    pub fn say(exit: Exit, text: impl std::fmt::Display) -> Self {
        Self {
            exit,
            cause: anyhow::anyhow!("{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_manual_and_none_is_given_twice() {
        let manual = include_str!("../../docs/exit-codes.md");
        let all = [
            Exit::Ok,
            Exit::Verdict(Verdict::Warning),
            Exit::Verdict(Verdict::Contraindicated),
            Exit::Verdict(Verdict::Indeterminate),
            Exit::Failed,
            Exit::Usage,
            Exit::Data,
            Exit::NoInput,
            Exit::Unavailable,
            Exit::Software,
            Exit::CannotCreate,
            Exit::Io,
            Exit::TryAgain,
            Exit::Protocol,
            Exit::NoPermission,
            Exit::Config,
        ];
        let codes: std::collections::BTreeSet<_> = all.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes.len(), all.len(), "two exits share a code");
        for code in codes {
            assert!(
                manual.contains(&format!("| {code} |")),
                "docs/exit-codes.md lacks {code}"
            );
        }
    }
}
