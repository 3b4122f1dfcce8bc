//! The one door to the cloud's APIs.
