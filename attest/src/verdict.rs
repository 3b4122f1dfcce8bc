//! The four verdicts.
