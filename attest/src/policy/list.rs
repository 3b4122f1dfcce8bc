//! Golden file digests by path, in the format of `sha256sum`, and the paths that are left out of the comparison.

use crate::pcr::HashAlg;

/// Golden file digests and exclusions.
#[derive(Debug, Clone)]
pub struct ImaReference {
    /// Sorted by path, so that a path's digests lie together and a lookup is a binary search.
    digests: Vec<Golden>,
    exclude: Vec<Exclusion>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Golden {
    path: Box<[u8]>,
    alg: HashAlg,
    digest: Box<[u8]>,
}

/// How a measured file stands to the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// One of the path's digests.
    Golden,
    /// The path is excluded.
    Excluded,
    /// The path is not in the list.
    Unknown,
    /// The path is in the list with other digests, these.
    NotGolden(Vec<String>),
    /// The path is in the list, but not with digests of this algorithm.
    Unsuitable,
}

impl ImaReference {
    /// Compares one measured file.
    ///
    /// A path that is not in the list is unknown whatever its digest's algorithm: root chooses that for each file by an
    /// extended attribute, so it must not be a way out.
    pub fn judge(&self, path: &[u8], algorithm: &[u8], digest: &[u8]) -> Judgement {
        if self.exclude.iter().any(|exclusion| exclusion.covers(path)) {
            return Judgement::Excluded;
        }
        let first = self.digests.partition_point(|golden| *golden.path < *path);
        let of_path = || {
            self.digests
                .iter()
                .skip(first)
                .take_while(|golden| *golden.path == *path)
        };
        if of_path().next().is_none() {
            return Judgement::Unknown;
        }
        let alg = std::str::from_utf8(algorithm)
            .ok()
            .and_then(|name| name.parse::<HashAlg>().ok());
        let mut expected = of_path().filter(|golden| Some(golden.alg) == alg).peekable();
        if expected.peek().is_none() {
            return Judgement::Unsuitable;
        }
        let shown = |golden: &Golden| format!("{}:{}", golden.alg, hex::encode(&golden.digest));
        let mut others = Vec::new();
        for golden in expected {
            if *golden.digest == *digest {
                return Judgement::Golden;
            }
            others.push(shown(golden));
        }
        Judgement::NotGolden(others)
    }

    /// How many digests it holds.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }
}

/// A path that is not compared: `/opt/x/` covers everything below it, anything else exactly itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exclusion {
    Below(Box<[u8]>),
    Exactly(Box<[u8]>),
}

impl Exclusion {
    pub(super) fn parse(typed: &str) -> Result<Self, &'static str> {
        if !typed.starts_with('/') {
            return Err("an excluded path begins with /");
        }
        if typed == "/" {
            return Err("excluding / would compare no file at all");
        }
        if typed.contains('*') {
            return Err(
                "there are no patterns: /opt/x/ excludes everything below it, /opt/x exactly that file",
            );
        }
        if has_odd_components(typed.as_bytes()) {
            return Err("an excluded path has no empty, . or .. components");
        }
        let bytes = typed.as_bytes().into();
        Ok(if typed.ends_with('/') {
            Self::Below(bytes)
        } else {
            Self::Exactly(bytes)
        })
    }

    fn covers(&self, path: &[u8]) -> bool {
        match self {
            // A path that climbs out again (`/opt/x/../evil`) is not below.
            Self::Below(prefix) => {
                path.len() > prefix.len() && path.starts_with(prefix) && !has_odd_components(path)
            }
            Self::Exactly(exact) => path == &**exact,
        }
    }
}

fn has_odd_components(path: &[u8]) -> bool {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let inner = inner.strip_suffix(b"/").unwrap_or(inner);
    inner
        .split(|byte| *byte == b'/')
        .any(|part| matches!(part, b"" | b"." | b".."))
}

/// Joins digest lists.
#[derive(Debug, Default)]
pub(super) struct ListBuilder {
    digests: Vec<Golden>,
}

impl ListBuilder {
    /// Adds a list's text; the error is its line and the reason.
    pub(super) fn add(&mut self, text: &str) -> Result<(), (usize, String)> {
        for (at, line) in text.split('\n').enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let golden = golden(line).map_err(|reason| (at.saturating_add(1), reason))?;
            self.digests.push(golden);
        }
        Ok(())
    }

    pub(super) fn finish(mut self, exclude: Vec<Exclusion>) -> ImaReference {
        self.digests.sort_unstable();
        self.digests.dedup();
        ImaReference {
            digests: self.digests,
            exclude,
        }
    }
}

fn golden(line: &str) -> Result<Golden, String> {
    let (escaped, line) = match line.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let form = || {
        "a line is a digest in hexadecimal digits, two spaces and a path, as sha256sum writes it".to_owned()
    };
    let (digits, rest) = line.split_once(' ').ok_or_else(form)?;
    // Behind the space comes the mode: another space for text, * for binary.
    let path = rest
        .strip_prefix(' ')
        .or_else(|| rest.strip_prefix('*'))
        .filter(|path| !path.is_empty())
        .ok_or_else(form)?;
    let digest = hex::decode(digits).map_err(|_| form())?;
    let alg = match digest.len() {
        20 => {
            return Err(
                "SHA-1 digests are not accepted: two files can share one; measure with ima_hash=sha256"
                    .to_owned(),
            );
        }
        32 => HashAlg::Sha256,
        48 => HashAlg::Sha384,
        64 => HashAlg::Sha512,
        other => {
            return Err(format!(
                "a digest of {other} bytes is of no algorithm known here (sha256 has 32)"
            ));
        }
    };
    let path = if escaped {
        unescape(path)?
    } else {
        path.as_bytes().to_vec()
    };
    Ok(Golden {
        path: path.into(),
        alg,
        digest: digest.into(),
    })
}

/// GNU coreutils: a backslash before the digest says that the path has `\\`, `\n` and `\r`.
fn unescape(path: &str) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'\\') => b'\\',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => {
                    return Err(
                        "after a leading backslash, a backslash in the path stands before \\, n or r"
                            .to_owned(),
                    );
                }
            },
            other => other,
        });
    }
    Ok(plain)
}

/// One line of a list, as `sha256sum` writes it.
pub(crate) fn line(digest: &[u8], path: &str) -> String {
    let escaped = path
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    let mark = if escaped == path { "" } else { "\\" };
    format!("{mark}{}  {escaped}\n", hex::encode(digest))
}
