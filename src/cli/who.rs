//! Who gives a command, for the audit trail and for what needs a second person: by the kernel's word, and never by what
//! the caller can write into its environment. And why, in words that say something to whoever reads them later.

use std::{fs, os::unix::fs::MetadataExt};

/// The audit login of a process that nobody logged in for (audit(7), `AUDIT_UID_UNSET`).
const NOBODY_LOGGED_IN: u32 = u32::MAX;

/// Who gives this command, such as `cli:alice`.
pub fn who() -> String {
    person().unwrap_or_else(|| crate::respond::release::NOBODY.to_owned())
}

/// The same; `None` where the kernel does not say it, as in a user namespace, in which whoever makes one is anybody.
pub fn person() -> Option<String> {
    if !is_whole(&fs::read_to_string("/proc/self/uid_map").ok()?) {
        return None;
    }
    let login = fs::read_to_string("/proc/self/loginuid").ok();
    let owner = fs::metadata("/proc/self").map(|process| process.uid()).ok();
    let sudo = std::env::var("SUDO_UID").ok();
    user(login.as_deref(), owner, sudo.as_deref()).map(named)
}

/// Whether a map of users (user_namespaces(7)) is the machine's own: each is itself.
fn is_whole(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The login that the kernel keeps through `su` and `sudo`, where there is one. Else who sudo says called it, which only
/// root can make up; else whose process it is.
fn user(login: Option<&str>, owner: Option<u32>, sudo: Option<&str>) -> Option<u32> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    if let Some(login) = login.and_then(number).filter(|login| *login != NOBODY_LOGGED_IN) {
        return Some(login);
    }
    match (owner, sudo.and_then(number)) {
        (Some(0), Some(caller)) => Some(caller),
        (owner, _) => owner,
    }
}

fn named(user: u32) -> String {
    uzers::get_user_by_uid(user).map_or_else(
        || format!("cli:uid {user}"),
        |user| format!("cli:{}", user.name().to_string_lossy()),
    )
}

/// The longest reason, in characters.
const LONGEST: usize = 500;

/// Reads `--because`: not empty, of one line.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty; say why, for whoever reads it later".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it is of one line, without control characters".to_owned());
    }
    match text.chars().count() {
        long if long > LONGEST => Err(format!("it has {long} characters, and {LONGEST} are enough")),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_login_comes_before_all_and_only_root_is_believed_about_sudo() {
        let unset = Some("4294967295");
        assert_eq!(user(Some("1000\n"), Some(0), Some("1001")), Some(1000));
        assert_eq!(
            user(Some("1000"), Some(1002), None),
            Some(1000),
            "su to another user"
        );
        assert_eq!(user(unset, Some(0), Some("1001")), Some(1001));
        assert_eq!(user(unset, Some(0), None), Some(0));
        assert_eq!(
            user(unset, Some(1002), Some("1001")),
            Some(1002),
            "it wrote SUDO_UID itself"
        );
        assert_eq!(user(None, Some(1002), None), Some(1002));
        for nonsense in ["", "alice", "-1", "99999999999"] {
            assert_eq!(
                user(Some(nonsense), Some(0), Some(nonsense)),
                Some(0),
                "{nonsense}"
            );
        }
        assert_eq!(user(unset, None, None), None);
    }

    #[test]
    fn in_a_namespace_of_its_own_nobody_is_believed() {
        assert!(is_whole("         0          0 4294967295\n"));
        for map in [
            "1001 0 1\n",
            "0 1000 1\n",
            "0 0 1\n",
            "0 0 65536\n65536 100000 65536\n",
            "",
        ] {
            assert!(!is_whole(map), "{map:?}");
        }
    }

    #[test]
    fn a_reason_says_something_in_one_line() {
        assert_eq!(
            reason(" the update of November ").unwrap(),
            "the update of November"
        );
        for nothing in ["", "  ", "\n", "one\ntwo", "\u{1b}[31mred", &"x".repeat(501)] {
            assert!(reason(nothing).is_err(), "{nothing:?}");
        }
    }

    #[test]
    fn a_user_has_a_name_and_one_that_is_gone_its_number() {
        assert_eq!(named(0), "cli:root");
        assert_eq!(named(3_999_999_999), "cli:uid 3999999999");
    }
}
