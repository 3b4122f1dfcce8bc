//! Findings: stable code, subject, expected, found, gravity.
