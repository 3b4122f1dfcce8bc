//! The tag that keeps an instance where it is: nova lets every owner of an instance set tags on it, so this one
//! carries a proof that it was given out here. An owner can remove it, and cannot make one.

use std::fmt;

use aws_lc_rs::hmac;

use crate::ids::InstanceId;

/// What the tag begins with.
const PREFIX: &str = "lazaret-keep-";

/// Bytes of the proof in a tag; nova takes 60 characters.
const PROOF: usize = 16;

/// The key that proves tags.
#[derive(Clone)]
pub struct KeepKey(hmac::Key);

impl KeepKey {
    /// With these bytes, which have to be random.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The tag that keeps this instance, and no other.
    pub fn tag(&self, instance: InstanceId) -> String {
        let proof = hmac::sign(&self.0, format!("keep {instance}").as_bytes());
        let digits: String = proof
            .as_ref()
            .iter()
            .take(PROOF)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{PREFIX}{digits}")
    }
}

/// The key is not shown.
impl fmt::Debug for KeepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeepKey")
    }
}

/// What an instance's tags say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing about it.
    No,
    /// An operator wants it kept where it is.
    Yes,
    /// There is such a tag, and it was not given out here for this instance.
    Forged,
}

/// What an instance's tags say. Without a key no tag counts.
pub(super) fn keep(key: Option<&KeepKey>, instance: InstanceId, tags: &[String]) -> Keep {
    let ours = key.map(|key| key.tag(instance));
    let mut found = Keep::No;
    for tag in tags.iter().filter(|tag| tag.starts_with(PREFIX)) {
        if ours.as_ref() == Some(tag) {
            return Keep::Yes;
        }
        found = Keep::Forged;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_the_instance_that_it_was_given_out_for_and_no_other() {
        let instance: InstanceId = "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b".parse().unwrap();
        let other: InstanceId = "00000000-5c62-4c1e-9d1d-0a8d6c1f2e3b".parse().unwrap();
        let key = KeepKey::new(&[7; 32]);
        let tag = key.tag(instance);
        // python3 -c 'import hmac; print(hmac.digest(b"\x07"*32, b"keep b3f1e7a4-...", "sha256").hex()[:32])'
        assert_eq!(tag, "lazaret-keep-67f1952266eceabaa025b0e33644717c");
        assert!(tag.len() <= 60, "nova takes no longer one");
        let tags = |tag: &str| vec!["gold".to_owned(), tag.to_owned()];
        assert_eq!(keep(Some(&key), instance, &tags(&tag)), Keep::Yes);
        assert_eq!(keep(Some(&key), other, &tags(&tag)), Keep::Forged, "copied");
        assert_eq!(
            keep(Some(&KeepKey::new(&[8; 32])), instance, &tags(&tag)),
            Keep::Forged
        );
        assert_eq!(
            keep(None, instance, &tags(&tag)),
            Keep::Forged,
            "without a key none counts"
        );
        assert_eq!(keep(Some(&key), instance, &tags("lazaret-keep-")), Keep::Forged);
        assert_eq!(keep(Some(&key), instance, &tags("keep")), Keep::No);
        assert!(!format!("{key:?}").contains('7'));
    }
}
