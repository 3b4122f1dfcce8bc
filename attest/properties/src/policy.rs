//! Policies and digest lists, as an operator types them.

use lazaret_attest::policy::Policy;

use crate::memory::bounded;
use crate::scene::scene;

/// A policy is read, or refused with a line of one of its files; the same text is the same policy. The text's first byte
/// tells what is typed: the policy, or a list that the honest policy names, or both with a NUL between them.
pub fn policy(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let captured = &scene().captured;
    match kind % 3 {
        0 => parsed(text, &captured.list),
        1 => parsed(&captured.policy_toml, text),
        _ => {
            let (toml, list) = text.split_once('\0').unwrap_or((text, ""));
            parsed(toml, list);
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
}
