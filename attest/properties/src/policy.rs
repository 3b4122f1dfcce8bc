//! What an operator types: policies, digest lists, patterns, allowed signers and their signatures, keyrings.

use lazaret_attest::ima::Keyring;
use lazaret_attest::policy::signed::Signers;
use lazaret_attest::policy::{DigestList, Pattern, Policy};

use crate::memory::bounded;
use crate::scene::{NOW, scene};

/// The first byte tells what is typed. What is read is read the same again; what is refused names a line; a pattern
/// covers what a second matcher says; a signature is for one text.
pub fn policy(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let captured = &scene().captured;
    match kind % 6 {
        0 => parsed(text, &captured.list),
        1 => parsed(&captured.policy_toml, text),
        2 => {
            let (toml, list) = text.split_once('\0').unwrap_or((text, ""));
            parsed(toml, list);
        }
        3 => {
            let (pattern, path) = text.split_once('\n').unwrap_or((text, ""));
            matched(pattern, path.as_bytes());
        }
        4 => {
            let (allowed, signature) = text.split_once('\0').unwrap_or((text, ""));
            signed(allowed, signature);
        }
        _ => {
            bounded(data, 96, 256 * 1024, || {
                let _ = Keyring::parse("fuzzed", text);
            });
            if let Err(error) = Keyring::parse("fuzzed", text) {
                assert!((1..=text.split('\n').count()).contains(&error.line), "{error}");
            }
        }
    }
}

fn parsed(toml: &str, list: &str) {
    let parse = || Policy::parse(toml, &mut |_| Ok(list.to_owned()));
    // A list may be named more than once: each time costs its size again.
    let named = 1 + toml.matches(['"', '\'']).count() / 2;
    let input = toml.len() + list.len().saturating_mul(named);
    bounded(&vec![0; input], 96, 1024 * 1024, || {
        let _ = parse();
    });
    match (parse(), parse()) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.digest(), other.digest());
            assert_eq!(one.version(), other.version());
            assert!(!one.name().is_empty());
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            let lines = if one.file.is_some() { list } else { toml }.split('\n').count();
            assert!((1..=lines).contains(&one.line), "{one}: of {lines} lines");
            assert!(!one.reason.is_empty());
        }
        (one, _) => panic!("read once and refused once: {one:?}"),
    }
    if let Ok(list) = DigestList::parse(list.as_bytes().to_vec()) {
        assert!(list.len() <= list.text().split(|byte| *byte == b'\n').count());
    }
}

/// At most so much is given to the second matcher, which is not linear.
const MATCHED: usize = 300;

fn matched(pattern: &str, path: &[u8]) {
    let Ok(read) = Pattern::parse(pattern) else {
        return;
    };
    assert_eq!(read.as_str(), pattern);
    let covers = read.covers(path);
    if pattern.len() <= MATCHED && path.len() <= MATCHED {
        assert_eq!(
            covers,
            second_opinion(pattern, path),
            "{pattern} over {}",
            path.escape_ascii()
        );
    }
    assert!(!covers || path.starts_with(b"/"), "no relative path is covered");
}

/// By tables over pattern and path, as a textbook has it.
fn second_opinion(pattern: &str, path: &[u8]) -> bool {
    if path == pattern.as_bytes() {
        return !path.ends_with(b"/");
    }
    if !pattern.contains('*') && !pattern.ends_with('/') {
        return false;
    }
    let Some(inner) = path.strip_prefix(b"/") else {
        return false;
    };
    let components: Vec<&[u8]> = inner.split(|byte| *byte == b'/').collect();
    if components.iter().any(|part| matches!(*part, b"" | b"." | b"..")) {
        return false;
    }
    let mut parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    if pattern.ends_with('/') && parts.last() != Some(&"**") {
        parts.push("**");
    }
    if parts.last() == Some(&"**") {
        parts.push("*");
    }
    table(
        &parts,
        &components,
        |part| *part == "**",
        |part, component| {
            let glob = part.as_bytes();
            table(glob, component, |byte| *byte == b'*', |one, other| one == other)
        },
    )
}

/// Whether a sequence with wildcards (any run of items) matches another.
fn table<P, T>(pattern: &[P], text: &[T], any: impl Fn(&P) -> bool, one: impl Fn(&P, &T) -> bool) -> bool {
    // After each item of the pattern: which lengths of the text it can have matched.
    let mut reached: Vec<bool> = (0..=text.len()).map(|length| length == 0).collect();
    for item in pattern {
        let before = reached.clone();
        for (length, now) in reached.iter_mut().enumerate() {
            *now = if any(item) {
                before.iter().take(length + 1).any(|earlier| *earlier)
            } else {
                let earlier = length.checked_sub(1);
                earlier.is_some_and(|earlier| {
                    before.get(earlier) == Some(&true) && text.get(earlier).is_some_and(|it| one(item, it))
                })
            };
        }
    }
    reached.last() == Some(&true)
}

fn signed(allowed: &str, signature: &str) {
    let input = [allowed, signature].concat();
    bounded(input.as_bytes(), 64, 256 * 1024, || {
        if let Ok(signers) = Signers::parse(allowed) {
            let _ = signers.verify(b"a policy", signature, NOW);
        }
    });
    match Signers::parse(allowed) {
        Ok(signers) => {
            let one = signers.verify(crate::seeds::SIGNED_TEXT, signature, NOW);
            let other = signers.verify(b"another policy", signature, NOW);
            assert!(one.is_err() || other.is_err(), "one signature for two texts");
        }
        Err(error) => assert!((1..=allowed.split('\n').count()).contains(&error.line), "{error}"),
    }
}
