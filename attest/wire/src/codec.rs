//! The only way from a message to bytes and back: bounded, complete, and one form for each message.
//!
//! What [`decode`] proves: the body is within the message's limit; it is exactly one CBOR item of that message,
//! with no field missing, doubled or unknown; nothing follows it; it is the one encoding that [`encode`] gives; every field
//! is within its own limit.

use std::io;

use crate::{limits, message::Message};

/// A body that is not the message it should be.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// More bytes than the message may have.
    #[error("{message} message has {size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// The message that was expected.
        message: &'static str,
        /// The size that was offered.
        size: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// No CBOR, or another message.
    #[error("{message} message does not parse: {reason}")]
    Malformed {
        /// The message that was expected.
        message: &'static str,
        /// What the parser met.
        reason: String,
    },
    /// Bytes after the message, or an encoding that this version does not write.
    #[error("{message} message is not in its one encoding, or has bytes after its end")]
    NotCanonical {
        /// The message that was expected.
        message: &'static str,
    },
    /// A field is longer than it may be, or empty, or out of order.
    #[error("{message} message: field {field} is beyond its limits")]
    BeyondLimits {
        /// The message that was expected.
        message: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// The bytes of a message. Fails only on a message that [`decode`] would refuse.
pub fn encode<T: Message>(message: &T) -> Result<Vec<u8>, WireError> {
    if let Some(field) = message.beyond_limits() {
        return Err(WireError::BeyondLimits {
            message: T::NAME,
            field,
        });
    }
    let mut bytes = Vec::new();
    ciborium::into_writer(message, &mut bytes).map_err(|error| WireError::Malformed {
        message: T::NAME,
        reason: error.to_string(),
    })?;
    if bytes.len() > T::LIMIT {
        return Err(WireError::TooLarge {
            message: T::NAME,
            size: bytes.len(),
            limit: T::LIMIT,
        });
    }
    Ok(bytes)
}

/// The message in these bytes, and in all of them.
pub fn decode<T: Message>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > T::LIMIT {
        return Err(WireError::TooLarge {
            message: T::NAME,
            size: bytes.len(),
            limit: T::LIMIT,
        });
    }
    // ciborium grows its buffers by what really arrives, never by a declared length.
    let message: T =
        ciborium::de::from_reader_with_recursion_limit(bytes, limits::DEPTH).map_err(|error| {
            WireError::Malformed {
                message: T::NAME,
                reason: reason(&error),
            }
        })?;
    let mut expected = Expected(bytes);
    let same = ciborium::into_writer(&message, &mut expected).is_ok() && expected.0.is_empty();
    if !same {
        return Err(WireError::NotCanonical { message: T::NAME });
    }
    if let Some(field) = message.beyond_limits() {
        return Err(WireError::BeyondLimits {
            message: T::NAME,
            field,
        });
    }
    Ok(message)
}

/// Compares what is written with what was read, without a second copy.
struct Expected<'a>(&'a [u8]);

impl io::Write for Expected<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        match self.0.strip_prefix(written) {
            Some(rest) => {
                self.0 = rest;
                Ok(written.len())
            }
            None => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In our words: serde's may quote the sender's bytes.
fn reason(error: &ciborium::de::Error<io::Error>) -> String {
    use ciborium::de::Error;
    match error {
        Error::Io(_) => "it ends too early".to_owned(),
        Error::Syntax(at) => format!("no CBOR at byte {at}"),
        Error::Semantic(_, text) => text.chars().filter(|c| !c.is_control()).take(120).collect(),
        Error::RecursionLimitExceeded => "it nests too deeply".to_owned(),
    }
}
