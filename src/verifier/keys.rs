//! The hosts' attestation keys, each parsed once: parsing costs a third of what checking a quote does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use lazaret_attest::key::{AttestationKey, KeyError};

use crate::{ids::HostName, store::Host};

/// One key for each host that was attested since the start, a few KiB each.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<HostName, Arc<AttestationKey>>>);

impl Keys {
    /// The key that `host` is pinned to; parsed again only where it was enrolled anew.
    ///
    /// # Errors
    /// What was pinned is no attestation key.
    pub fn of(&self, host: &Host) -> Result<Arc<AttestationKey>, KeyError> {
        // A map of whole entries: whoever panicked while holding it left none half written.
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(host.name())
            && key.public() == host.enrolled.ak_public
        {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(AttestationKey::from_public(&host.enrolled.ak_public)?);
        keys.insert(host.name().clone(), Arc::clone(&key));
        Ok(key)
    }
}
