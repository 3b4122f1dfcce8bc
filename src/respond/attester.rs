//! Who attests a host when a release asks for it: the verifier, seen from here.

use std::future::Future;
use std::pin::Pin;

use crate::ids::{HostName, Sha256Digest};

use super::release::Attested;

/// An answer to come; the error says in words what went wrong on this side.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Attests hosts now.
pub trait Attester: Send + Sync {
    /// One round now, of the whole evidence, recorded.
    fn attest<'a>(&'a self, host: &'a HostName) -> Asked<'a, Attested>;

    /// The policy that is in force for the host.
    fn policy<'a>(&'a self, host: &'a HostName) -> Asked<'a, Sha256Digest>;
}
