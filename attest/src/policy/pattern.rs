//! Anchored patterns of paths, matched in time linear in the path.
//!
//! What it proves of a path that a pattern covers: it is absolute, and has no empty, `.` or `..` component that could lead
//! out of where it seems to be (a path that a pattern names letter by letter excepted). Two loops, each with one point to
//! go back to, do the matching: the work is at most the path's length times the pattern's, whatever either holds.

/// Longest pattern in bytes. Paths of distributions have far fewer, and the work for a path is at most this many times
/// its length.
const MAX_PATTERN: usize = 1024;

/// Which paths are meant: `/opt/x/` everything below it, `*` any run within one component, `**` any number of components,
/// everything else itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// Bytes before the first `*`: what is compared first, and mostly last.
    fixed: usize,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`: any number of whole components.
    Any,
    /// One component; `*` stands for any run of bytes.
    One(Box<[u8]>),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it and what to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err("a path pattern begins with /");
        };
        if text.len() > MAX_PATTERN {
            return Err("a path pattern has at most 1024 bytes");
        }
        if text.contains('\0') {
            return Err("no path has a NUL byte");
        }
        let below = inner.is_empty() || inner.ends_with('/');
        let inner = match inner.strip_suffix('/') {
            Some(shorter) if !shorter.is_empty() => shorter,
            _ => inner,
        };
        let mut parts = Vec::new();
        for part in inner.split('/').filter(|_| !inner.is_empty()) {
            parts.push(match part {
                "" | "." | ".." => return Err("a path pattern has no empty, . or .. components"),
                "**" => Part::Any,
                _ if part.contains("**") => {
                    return Err("** stands for whole components: write it between slashes");
                }
                _ => Part::One(part.as_bytes().into()),
            });
        }
        // `/opt/x/` and `/opt/x/**` are what is below, not the directory's own path.
        match parts.last() {
            Some(Part::Any) => parts.push(Part::One(b"*".as_slice().into())),
            _ if below => parts.extend([Part::Any, Part::One(b"*".as_slice().into())]),
            _ => {}
        }
        Ok(Self {
            fixed: text.find('*').unwrap_or(text.len()),
            text: text.into(),
            parts: parts.into(),
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the first directory is named: a pattern without covers the whole host.
    pub(super) fn names_a_place(&self) -> bool {
        matches!(self.parts.first(), Some(Part::One(part)) if part.iter().any(|byte| *byte != b'*'))
    }

    /// Whether the path is meant.
    pub fn covers(&self, path: &[u8]) -> bool {
        let text = self.text.as_bytes();
        if !path.starts_with(text.get(..self.fixed).unwrap_or(text)) {
            return false;
        }
        if path == text {
            // Letter by letter; a directory's own path is not below it.
            return !path.ends_with(b"/");
        }
        let Some(inner) = path.strip_prefix(b"/") else {
            return false;
        };
        // Nothing but a `*` or an ending `/` makes a pattern mean anything else than itself.
        if self.fixed == text.len() && !text.ends_with(b"/") {
            return false;
        }
        !inner
            .split(|byte| *byte == b'/')
            .any(|part| matches!(part, b"" | b"." | b".."))
            && components(&self.parts, inner)
    }
}

/// The parts against the path's components. `**` takes as few as it can; when what follows fails, the last `**` takes
/// one more. An earlier one need not: what it would give up, the last one can take.
fn components(parts: &[Part], path: &[u8]) -> bool {
    let (mut parts, mut rest) = (parts, Some(path));
    let mut again: Option<(&[Part], &[u8])> = None;
    loop {
        let (component, after) = match rest {
            Some(path) => first_component(path),
            None => return parts.iter().all(|part| *part == Part::Any),
        };
        match parts.split_first() {
            Some((Part::Any, following)) => {
                parts = following;
                again = rest.map(|path| (following, path));
                continue;
            }
            Some((Part::One(glob), following)) if component_matches(glob, component) => {
                (parts, rest) = (following, after);
                continue;
            }
            Some(_) | None => {}
        }
        let Some((following, path)) = again else {
            return false;
        };
        let (_, after) = first_component(path);
        let Some(path) = after else { return false };
        again = Some((following, path));
        (parts, rest) = (following, Some(path));
    }
}

fn first_component(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut halves = path.splitn(2, |byte| *byte == b'/');
    (halves.next().unwrap_or_default(), halves.next())
}

/// One component against a glob, in the same way.
pub(super) fn component_matches(glob: &[u8], component: &[u8]) -> bool {
    let (mut glob, mut rest) = (glob, component);
    let mut again: Option<(&[u8], &[u8])> = None;
    loop {
        match (glob.split_first(), rest.split_first()) {
            (Some((b'*', following)), _) => {
                glob = following;
                again = Some((following, rest));
            }
            (Some((wanted, following)), Some((byte, after))) if wanted == byte => {
                (glob, rest) = (following, after);
            }
            (None, None) => return true,
            _ => {
                let Some((following, [_, after @ ..])) = again else {
                    return false;
                };
                again = Some((following, after));
                (glob, rest) = (following, after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(pattern: &str, path: impl AsRef<[u8]>) -> bool {
        Pattern::parse(pattern).expect(pattern).covers(path.as_ref())
    }

    #[test]
    fn case_68_an_exclusion_covers_what_it_says_and_not_its_neighbours() {
        let long = format!("/opt/x/{}", "a/".repeat(2000) + "b");
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "/opt/x",
                &["/opt/x"],
                &["/opt/xevil", "/opt/x/", "/opt/x/a", "/opt/", "opt/x", ""],
            ),
            (
                "/opt/x/",
                &["/opt/x/a", "/opt/x/a/b", &long, "/opt/x/a*"],
                &[
                    "/opt/x",
                    "/opt/x/",
                    "/opt/xevil",
                    "/opt/xevil/a",
                    "/opt/x/../evil",
                    "/opt/x/./a",
                    "/opt/x//a",
                    "/opt/x/a/",
                ],
            ),
            (
                "/opt/x/**",
                &["/opt/x/a", "/opt/x/a/b"],
                &["/opt/x", "/opt/x/", "/opt/x/../evil", "/opt/xevil"],
            ),
            (
                "/var/log/**/*.gz",
                &["/var/log/a.gz", "/var/log/a/b/c.gz", "/var/log/.gz"],
                &[
                    "/var/log/a.gz/x",
                    "/var/log/a.gzx",
                    "/var/logs/a.gz",
                    "/var/log/../a.gz",
                    "/var/log/a/../b.gz",
                ],
            ),
            (
                "/a/*/c",
                &["/a/b/c", "/a/bb/c"],
                &["/a/c", "/a/b/b/c", "/a//c", "/a/b/c/d", "/a/../c"],
            ),
            (
                "/a/x*y*z",
                &["/a/xyz", "/a/x1y2yz", "/a/xyyzz"],
                &["/a/xy/z", "/a/xzy", "/a/xyz/"],
            ),
            (
                "/**/lib/**/*.so",
                &["/lib/x.so", "/a/lib/lib/b/x.so"],
                &["/a/x.so", "/a/lib", "/a/lib/x.so/y"],
            ),
            ("/", &["/a", "/a/b"], &["/", "", "a"]),
            ("/a*", &["/a", "/ab", "/a*"], &["/a/b", "/b"]),
            (
                "/a/**/b/**/c",
                &["/a/b/c", "/a/b/c/b/x/c", "/a/x/b/b/c"],
                &["/a/c/b", "/a/b/c/d"],
            ),
        ];
        for (pattern, yes, no) in table {
            for path in *yes {
                assert!(covers(pattern, path), "{pattern} covers {path}");
            }
            for path in *no {
                assert!(!covers(pattern, path), "{pattern} does not cover {path}");
            }
        }
        assert!(covers("/a/*", b"/a/\xff\xfe\n"), "bytes that are no UTF-8");
        assert!(!covers("/a/*", b"/a/\xff/\xfe"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "", "opt", "*", "/a//b", "//", "/a/../b", "/..", "/a/./b", "/a/**b", "/a/***", "/a\0",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
        assert!(Pattern::parse(&format!("/{}", "a".repeat(1024))).is_err());
    }

    #[test]
    fn a_pattern_that_names_no_directory_is_told_from_one_that_does() {
        for (text, names) in [
            ("/", false),
            ("/**", false),
            ("/*/a", false),
            ("/a*", true),
            ("/a/**", true),
        ] {
            assert_eq!(
                Pattern::parse(text).map(|pattern| pattern.names_a_place()),
                Ok(names),
                "{text}"
            );
        }
    }

    /// The definition, without any care for time: every way to split is tried.
    fn by_definition(parts: &[&[u8]], path: &[&[u8]]) -> bool {
        match (parts, path) {
            ([], []) => true,
            ([b"**", more @ ..], _) => {
                by_definition(more, path)
                    || path
                        .split_first()
                        .is_some_and(|(_, rest)| by_definition(parts, rest))
            }
            ([part, more @ ..], [name, rest @ ..]) => letters(part, name) && by_definition(more, rest),
            _ => false,
        }
    }

    fn letters(glob: &[u8], name: &[u8]) -> bool {
        match (glob, name) {
            ([], []) => true,
            ([b'*', more @ ..], _) => {
                letters(more, name) || name.split_first().is_some_and(|(_, rest)| letters(glob, rest))
            }
            ([letter, more @ ..], [byte, rest @ ..]) => letter == byte && letters(more, rest),
            _ => false,
        }
    }

    fn split(text: &str) -> Vec<&[u8]> {
        text.trim_start_matches('/')
            .split('/')
            .map(str::as_bytes)
            .collect()
    }

    proptest! {
        #[test]
        fn case_68_a_pattern_covers_what_its_definition_says(
            pattern in "(/([ab*]{1,3}|a\\*b|\\*\\*)){1,5}",
            path in "(/[ab]{1,3}){1,6}",
        ) {
            let Ok(parsed) = Pattern::parse(&pattern) else { return Ok(()) };
            let mut parts = split(&pattern);
            if parts.last() == Some(&b"**".as_slice()) {
                parts.push(b"*");
            }
            prop_assert_eq!(parsed.covers(path.as_bytes()), by_definition(&parts, &split(&path)), "{} {}", pattern, path);
        }

        #[test]
        fn case_68_no_bytes_make_the_matcher_panic(
            pattern in "/[a*/.]{0,30}",
            path in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'a'), Just(b'.'), Just(b'*'), any::<u8>()], 0..60),
        ) {
            if let Ok(pattern) = Pattern::parse(&pattern)
                && pattern.covers(&path)
            {
                let dotted = path.split(|byte| *byte == b'/').any(|part| matches!(part, b"." | b".."));
                prop_assert!(path.starts_with(b"/") && (!dotted || pattern.as_str().as_bytes() == path));
            }
        }
    }

    /// A matcher that goes back more than once for each `*` would take longer than the universe has for these.
    #[test]
    fn case_68_no_pattern_can_hang_the_matcher() {
        let name = "a".repeat(255);
        let path = format!("/{}", [name.as_str(); 16].join("/"));
        let globs = [
            "*a".repeat(127) + "b",
            "a*".repeat(100) + "b",
            "*".to_owned() + &"a".repeat(254) + "b",
        ];
        for glob in globs {
            assert!(!covers(&format!("/{glob}"), &path), "{glob}");
            assert!(!covers(&format!("/**/{glob}/**/{glob}"), &path));
        }
        let deep = format!("/{}b", "a/".repeat(2000));
        for pattern in [
            "/**/a".repeat(150) + "/c",
            "/**/*".repeat(150) + "/c",
            "/**/a/**/a/**/a/**/*c".to_owned(),
        ] {
            assert!(!covers(&pattern, &deep), "{pattern}");
        }
        assert!(covers(&("/**/a".repeat(150) + "/**/b"), &deep));
    }
}
