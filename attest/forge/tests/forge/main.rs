//! What the forge makes, read back by a second reading of the formats: the few lines of parser in `read`.

mod boot;
mod ima;
mod quote;
mod read;
#[cfg(feature = "tpm")]
mod tpm;
