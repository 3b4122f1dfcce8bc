//! What is asked of a host, once.

use crate::pcr::{Selection, sha256};

/// Names the purpose and version of the bytes that are hashed, so that no other protocol's nonce can be one of ours.
const DOMAIN: &[u8] = b"lazaret/quote/v1\0";

/// One question to one host. Its nonce is never used twice; the store sees to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Fresh random bytes.
    pub nonce: [u8; 32],
    /// The host's name, as nova and the agent both know it.
    pub host: String,
    /// SHA-256 of the DER SubjectPublicKeyInfo of the agent's TLS key.
    pub agent_key: [u8; 32],
    /// The PCRs asked for.
    pub selection: Selection,
    /// The first entry of the IMA list that is wanted, counted from 0.
    pub ima_first: u64,
}

impl Challenge {
    /// The bytes that the quote must carry as its extraData.
    pub fn qualifying_data(&self) -> [u8; 32] {
        qualifying_data(&self.nonce, &self.agent_key, &self.host)
    }
}

/// What a quote binds: the nonce, the agent's TLS key and the host's name.
///
/// `SHA-256("lazaret/quote/v1\0" || nonce || agent_key || u16be(len host) || host)`. A quote that another host's TPM
/// made, or that came over another TLS key, carries other bytes. Host names are at most 255 bytes; a name beyond 65535
/// could not be told apart by its length field, and its full length is hashed in its place.
pub fn qualifying_data(nonce: &[u8; 32], agent_key: &[u8; 32], host: &str) -> [u8; 32] {
    let length = u16::try_from(host.len()).map_or_else(
        |_| host.len().to_be_bytes().to_vec(),
        |n| n.to_be_bytes().to_vec(),
    );
    sha256(&[DOMAIN, nonce, agent_key, &length, host.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn qualifying_data_is_what_the_protocol_says() {
        let mut by_hand = Sha256::new();
        by_hand.update(b"lazaret/quote/v1\0");
        by_hand.update([1; 32]);
        by_hand.update([2; 32]);
        by_hand.update([0, 5]);
        by_hand.update(b"cmp-1");
        let expected: [u8; 32] = by_hand.finalize().into();
        let challenge = Challenge {
            nonce: [1; 32],
            host: "cmp-1".into(),
            agent_key: [2; 32],
            selection: "sha256:0".parse().unwrap(),
            ima_first: 0,
        };
        assert_eq!(challenge.qualifying_data(), expected);
    }

    #[test]
    fn case_13_case_24_another_nonce_key_or_host_gives_other_data() {
        let base = qualifying_data(&[1; 32], &[2; 32], "cmp-1");
        let others = [
            qualifying_data(&[3; 32], &[2; 32], "cmp-1"),
            qualifying_data(&[1; 32], &[3; 32], "cmp-1"),
            qualifying_data(&[2; 32], &[1; 32], "cmp-1"),
            qualifying_data(&[1; 32], &[2; 32], "cmp-2"),
            qualifying_data(&[1; 32], &[2; 32], "cmp-1\0"),
            qualifying_data(&[1; 32], &[2; 32], ""),
        ];
        let all: HashSet<[u8; 32]> = others.into_iter().chain([base]).collect();
        assert_eq!(all.len(), 7);
    }
}
