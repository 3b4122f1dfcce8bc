//! The four verdicts, and which of two outranks the other.

use serde::{Deserialize, Serialize};

/// What an attestation concludes about a host (AR4SI tiers, named as operators say them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything the policy asks for was proven and is as it should be.
    Affirming,
    /// Proven, and nothing condemns, but a person should look.
    Warning,
    /// Proven to be other than it should be.
    Contraindicated,
    /// Not enough is proven to say anything. Silence and garbage end here.
    Indeterminate,
}

impl Verdict {
    /// The worse of two.
    ///
    /// A proven contradiction outranks not knowing: a host whose boot log is missing *and* whose signed PCR 7 is
    /// wrong is condemned by the PCR, whatever the log would have said. Not knowing outranks a warning.
    pub fn worst(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    /// The exit code that the command line uses for it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Affirming => 0,
            Self::Warning => 10,
            Self::Contraindicated => 20,
            Self::Indeterminate => 30,
        }
    }

    /// Its name, lower case, as stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
            Self::Indeterminate => "indeterminate",
        }
    }

    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Affirming => 0,
            Self::Warning => 1,
            Self::Indeterminate => 2,
            Self::Contraindicated => 3,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is the name of no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no verdict; write affirming, warning, contraindicated or indeterminate")]
pub struct UnknownVerdict(pub String);

impl std::str::FromStr for Verdict {
    type Err = UnknownVerdict;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "affirming" => Ok(Self::Affirming),
            "warning" => Ok(Self::Warning),
            "contraindicated" => Ok(Self::Contraindicated),
            "indeterminate" => Ok(Self::Indeterminate),
            _ => Err(UnknownVerdict(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Affirming, Contraindicated, Indeterminate, Warning};

    #[test]
    fn a_proven_contradiction_outranks_not_knowing() {
        let ladder = [Affirming, Warning, Indeterminate, Contraindicated];
        for (low, a) in ladder.iter().enumerate() {
            for (high, b) in ladder.iter().enumerate() {
                let worst = if low >= high { a } else { b };
                assert_eq!(a.worst(*b), *worst, "{a} with {b}");
            }
        }
    }

    #[test]
    fn names_and_exit_codes_are_fixed() {
        for (verdict, name, code) in [
            (Affirming, "affirming", 0),
            (Warning, "warning", 10),
            (Contraindicated, "contraindicated", 20),
            (Indeterminate, "indeterminate", 30),
        ] {
            assert_eq!(verdict.to_string(), name);
            assert_eq!(name.parse(), Ok(verdict));
            assert_eq!(verdict.exit_code(), code);
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{name}\""));
        }
    }
}
