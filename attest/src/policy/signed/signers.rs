//! The `allowed_signers` file: who may sign, for what, and when (ssh-keygen(1), "ALLOWED SIGNERS").

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use super::envelope::Envelope;
use super::key::Key;
use super::{NAMESPACE, SignedError, Signer};
use crate::pcr::HashAlg;
use crate::policy::window::{days_of, shown};

/// Longest file, in bytes: a few hundred keys.
const MAX_TEXT: usize = 1024 * 1024;

/// Who may sign policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    lines: Vec<Allowed>,
}

/// An `allowed_signers` file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SignersError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    line: usize,
    principals: String,
    /// None: for all.
    namespaces: Option<Vec<String>>,
    after: Option<i64>,
    before: Option<i64>,
    blob: Vec<u8>,
    key: Key,
}

impl Signers {
    /// Reads the file.
    ///
    /// # Errors
    /// The first line that is not understood: a line that is passed over could be the one that limits a key.
    pub fn parse(text: &str) -> Result<Self, SignersError> {
        if text.len() > MAX_TEXT {
            return Err(SignersError {
                line: 1,
                reason: format!("the file is larger than {MAX_TEXT} bytes"),
            });
        }
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let allowed =
                Allowed::parse(number, line).map_err(|reason| SignersError { line: number, reason })?;
            lines.push(allowed);
        }
        if lines.is_empty() {
            return Err(SignersError {
                line: 1,
                reason: "it allows nobody, so every policy would be refused; write a line: NAME ssh-ed25519 AAAA..".to_owned(),
            });
        }
        Ok(Self { lines })
    }

    /// How many keys it allows.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it allows none; it never does.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Goes on only if an allowed key, valid at `now` (Unix seconds), signed the message as a policy.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, message: &[u8], signature: &str, now: i64) -> Result<Signer, SignedError> {
        let envelope = Envelope::parse(signature)?;
        if envelope.namespace != NAMESPACE.as_bytes() {
            return Err(SignedError::Namespace {
                found: String::from_utf8_lossy(&envelope.namespace)
                    .escape_debug()
                    .to_string(),
            });
        }
        let fingerprint = fingerprint(&envelope.key);
        let mut refusal = SignedError::NotAllowed {
            fingerprint: fingerprint.clone(),
        };
        let mut by = None;
        for allowed in self.lines.iter().filter(|allowed| allowed.blob == envelope.key) {
            match allowed.may_sign(now, &fingerprint) {
                Ok(()) => {
                    by = Some(allowed);
                    break;
                }
                Err(reason) => refusal = reason,
            }
        }
        let Some(allowed) = by else { return Err(refusal) };
        if !allowed
            .key
            .signed(&envelope.signed_bytes(message), &envelope.signature)
        {
            return Err(SignedError::Invalid { fingerprint });
        }
        Ok(Signer {
            principals: allowed.principals.clone(),
            fingerprint,
        })
    }
}

impl Allowed {
    fn parse(line: usize, text: &str) -> Result<Self, String> {
        const FORM: &str =
            "a line is: NAME [options] TYPE KEY [comment], as ssh-keygen(1) says of allowed signers";
        let fields = split(text, |c| c.is_ascii_whitespace()).ok_or("a quotation mark is not closed")?;
        let mut fields = fields.into_iter().filter(|field| !field.is_empty());
        let principals = fields.next().ok_or(FORM)?;
        let mut next = fields.next().ok_or(FORM)?;
        let mut allowed = Self {
            line,
            principals: principals.replace('"', ""),
            namespaces: None,
            after: None,
            before: None,
            blob: Vec::new(),
            key: Key::Ed25519(Vec::new()),
        };
        let mut coded = fields.next().ok_or(FORM)?;
        // A key in SSH's form begins with the length of its type, three of whose bytes are zero.
        if !coded.starts_with("AAAA") {
            allowed.options(next)?;
            (next, coded) = (coded, fields.next().ok_or(FORM)?);
        }
        allowed.blob = STANDARD
            .decode(coded)
            .map_err(|_| "the key is not base64".to_owned())?;
        let (kind, key) = Key::parse(&allowed.blob).map_err(|error| error.to_string())?;
        if kind != next {
            return Err(format!("the line says {next}, the key itself {kind}"));
        }
        allowed.key = key;
        Ok(allowed)
    }

    fn options(&mut self, text: &str) -> Result<(), String> {
        for option in split(text, |c| c == ',').ok_or("a quotation mark is not closed")? {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = value.trim_matches('"');
            match name.to_ascii_lowercase().as_str() {
                "cert-authority" => {
                    return Err(
                        "cert-authority: certificates are not supported; list the signers' own keys"
                            .to_owned(),
                    );
                }
                "namespaces" => {
                    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
                    if names
                        .iter()
                        .any(|name| name.is_empty() || name.contains('?') || name.starts_with('!'))
                    {
                        return Err("namespaces: names, or patterns with *, between commas".to_owned());
                    }
                    self.namespaces = Some(names);
                }
                "valid-after" => self.after = Some(moment(value).ok_or(TIME)?),
                "valid-before" => self.before = Some(moment(value).ok_or(TIME)?),
                _ => {
                    return Err(format!(
                        "the option \"{}\" is not known here",
                        name.escape_debug()
                    ));
                }
            }
        }
        Ok(())
    }

    fn may_sign(&self, now: i64, fingerprint: &str) -> Result<(), SignedError> {
        let (line, fingerprint) = (self.line, fingerprint.to_owned());
        if let Some(names) = &self.namespaces
            && !names.iter().any(|name| matches(name, NAMESPACE))
        {
            return Err(SignedError::OtherNamespaces { line, fingerprint });
        }
        let when = match (self.after, self.before) {
            (Some(after), _) if now < after => format!("from {} on", shown(after)),
            (_, Some(before)) if now >= before => format!("until {} only", shown(before)),
            _ => return Ok(()),
        };
        Err(SignedError::OutOfTime {
            line,
            fingerprint,
            when,
        })
    }
}

const TIME: &str = "a time is YYYYMMDDZ, YYYYMMDDHHMMZ or YYYYMMDDHHMMSSZ: with Z, which is UTC, so that it means the \
                    same on every machine";

/// A time as allowed_signers writes it, Unix seconds.
fn moment(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return None;
    }
    let number =
        |range: std::ops::Range<usize>| digits.get(range).map_or(Some(0), |part| part.parse::<i64>().ok());
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (next_year, next_month) = if month == 12 {
        (year.saturating_add(1), 1)
    } else {
        (year, month.saturating_add(1))
    };
    let date = days_of(year, month, day);
    if day == 0 || date >= days_of(next_year, next_month, 1) {
        return None;
    }
    Some(
        date.saturating_mul(86_400)
            .saturating_add(hour.saturating_mul(3600))
            .saturating_add(minute.saturating_mul(60))
            .saturating_add(second),
    )
}

/// A namespace against a name with at most some `*`.
fn matches(pattern: &str, name: &str) -> bool {
    crate::policy::pattern::component_matches(pattern.as_bytes(), name.as_bytes())
}

/// Splits at characters outside quotation marks; none if one is not closed.
fn split(text: &str, at: impl Fn(char) -> bool) -> Option<Vec<&str>> {
    let mut quoted = false;
    let parts = text.split(|c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        !quoted && at(c)
    });
    let parts = parts.collect();
    (!quoted).then_some(parts)
}

/// As `ssh-keygen -l` shows a key.
fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(HashAlg::Sha256.digest(blob)))
}
