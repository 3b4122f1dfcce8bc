//! Why an endorsement key is not endorsed by a TPM maker.

use std::fmt;

use thiserror::Error;
use x509_parser::time::ASN1Time;

use crate::key::KeyError;

/// Why an endorsement key is not endorsed by a TPM maker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndorsementError {
    /// The EK's own public area.
    #[error("the endorsement key's public area: {0}")]
    Key(#[from] KeyError),
    /// A file among the roots, or the EK's certificate, is no certificate (nor, among the roots, a revocation list).
    #[error("{file} is no X.509 certificate: at byte {offset}: {reason}")]
    Unreadable {
        /// The file, or what the agent sent.
        file: String,
        /// Where, counted from the start of the certificate.
        offset: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A revocation list that cannot be used.
    #[error("{file} is a certificate revocation list that cannot be used: {reason}")]
    RevocationList {
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A file among the roots whose key is of a kind that is not known here.
    #[error(
        "the certificate of {subject} has a key that is neither RSA nor EC on P-256, P-384 or P-521; take it out of the roots directory, nothing can be verified with it"
    )]
    UnknownKey {
        /// Whom it names.
        subject: String,
    },
    /// The certificate is not over the key that the TPM shows.
    #[error("the EK certificate of {subject} certifies another key than the one that the TPM shows")]
    OtherKey {
        /// Whom it names.
        subject: String,
    },
    /// Before or after its time.
    #[error("the certificate of {subject} is valid from {} to {}, and it is {}", Date(*.not_before), Date(*.not_after), Date(*.now))]
    NotValidNow {
        /// Whom it names.
        subject: String,
        /// From, Unix seconds.
        not_before: i64,
        /// To, Unix seconds.
        not_after: i64,
        /// The time it was held against, Unix seconds.
        now: i64,
    },
    /// Its issuer took it back.
    #[error("the certificate of {subject} (serial {serial}) was revoked by its issuer on {}, as {file} says", Date(*.revoked_at))]
    Revoked {
        /// Whom it names.
        subject: String,
        /// Its serial number, hex.
        serial: String,
        /// When, Unix seconds.
        revoked_at: i64,
        /// Which list says so.
        file: String,
    },
    /// The issuer's revocation list is too old, or not valid yet: whether the certificate was revoked is not known.
    #[error(
        "whether the certificate of {subject} was revoked is not known: its issuer's list {file} is valid from {} to {}, and it is {}; fetch the issuer's present list, or take this one away and no list is looked at",
        Date(*.this_update), Date(*.next_update), Date(*.now)
    )]
    RevocationListNotValidNow {
        /// Whose certificate.
        subject: String,
        /// The list.
        file: String,
        /// From, Unix seconds.
        this_update: i64,
        /// To, Unix seconds.
        next_update: i64,
        /// The time it was held against, Unix seconds.
        now: i64,
    },
    /// The EK's certificate is a CA's.
    #[error("the EK certificate of {subject} is that of a certificate authority")]
    IsAuthority {
        /// Whom it names.
        subject: String,
    },
    /// A certificate that issued another is not a CA's, may not sign certificates, or stands too high in the chain.
    #[error("{subject} must not issue this certificate: {reason}")]
    NotAuthority {
        /// Whom it names.
        subject: String,
        /// Which rule says so.
        reason: &'static str,
    },
    /// The EK's certificate does not allow what an endorsement key is for.
    #[error("the EK certificate of {subject} lacks {usage}")]
    Usage {
        /// Whom it names.
        subject: String,
        /// What is missing.
        usage: &'static str,
    },
    /// A critical extension that nothing here understands.
    #[error("the certificate of {subject} has the critical extension {oid}, which is not known here")]
    CriticalExtension {
        /// Whom it names.
        subject: String,
        /// Which.
        oid: String,
    },
    /// Signed by SHA-1 or by an algorithm that is not known here.
    #[error(
        "the certificate of {subject} is signed by {algorithm}, which proves nothing; a maker's authority signed with sha1 is accepted only where it is listed in the roots directory"
    )]
    SignatureAlgorithm {
        /// Whom it names.
        subject: String,
        /// The algorithm: its name, or an OID.
        algorithm: String,
    },
    /// An issuer has the right key identifier, but its key did not sign.
    #[error("the certificate of {subject} names {issuer} by key, but that key did not sign it")]
    SignatureInvalid {
        /// Whom it names.
        subject: String,
        /// Whose key it names.
        issuer: String,
    },
    /// The issuer's certificate is not in the roots directory.
    #[error(
        "the certificate of {subject} was issued by \"{issuer}\" (authority key identifier {key_id}), and no such certificate is among the roots; if you trust this TPM maker, put its certificate there{}",
        found_at(.url)
    )]
    MissingIssuer {
        /// Whom the certificate names that lacks its issuer.
        subject: String,
        /// Whom it says issued it.
        issuer: String,
        /// The issuer's key identifier, hex, or "none".
        key_id: String,
        /// Where the certificate says that its issuer's can be had (RFC 5280, 4.2.2.1). Never fetched.
        url: Option<String>,
    },
    /// More certificates than any maker's chain has.
    #[error("the certificate chain above {subject} is longer than {limit}")]
    TooLong {
        /// Where it was given up.
        subject: String,
        /// The bound.
        limit: usize,
    },
    /// More candidates for issuers than are tried.
    #[error(
        "finding the issuers of {subject} takes more than {limit} signature checks: too many certificates among the roots have the same names or key identifiers"
    )]
    TooMuchWork {
        /// Where it was given up.
        subject: String,
        /// The bound.
        limit: usize,
    },
}

fn found_at(url: &Option<String>) -> String {
    url.as_ref().map_or_else(String::new, |url| {
        format!(" (the certificate says that it can be had at {url})")
    })
}

/// Unix seconds as a date and time in UTC.
struct Date(i64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ASN1Time::from_timestamp(self.0) {
            Ok(time) => {
                let time = time.to_datetime();
                let (date, month) = (time.date(), u8::from(time.month()));
                write!(f, "{:04}-{month:02}-{:02} ", date.year(), date.day())?;
                write!(
                    f,
                    "{:02}:{:02}:{:02} UTC",
                    time.hour(),
                    time.minute(),
                    time.second()
                )
            }
            Err(_) => write!(f, "{} seconds since 1970", self.0),
        }
    }
}
