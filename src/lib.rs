//! Lazaret attests OpenStack compute hosts by their TPM, and takes a host that is proven compromised out of service.

pub mod cli;
pub mod config;

pub mod verifier;

pub mod respond;

pub mod fence;
pub mod openstack;

pub mod report;
pub mod store;

pub mod clock;
pub mod ids;
pub mod observe;
pub mod permit;
pub mod secrets;
pub mod shutdown;
mod transport;
