//! One file for each step: look, act only if needed, look again.
