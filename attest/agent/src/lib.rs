//! The agent of Lazaret on a compute host: quotes, logs, credential activation.
