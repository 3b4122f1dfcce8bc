//! Messages between the Lazaret daemon and its agents.
