use proptest::prelude::*;

use super::*;

fn list(text: impl AsRef<[u8]>) -> DigestList {
    DigestList::parse(text.as_ref().to_vec()).expect("a list")
}

fn find(list: &DigestList, path: &[u8], alg: HashAlg, digest: &[u8]) -> Lookup {
    list.find(PathHash::of(path), path, Some(alg), digest)
}

#[test]
fn a_file_is_found_by_path_algorithm_and_digest() {
    let (a, b) = ("aB".repeat(32), "cd".repeat(32));
    let long = "ef".repeat(64);
    let text = format!("# a note\n\n{a}  /a\n{b} */a\n{long}  /a\n{a}  /a\n{b}  /b b");
    let list = list(text);
    assert_eq!(list.len(), 4, "a line that is there twice counts once");
    for (path, alg, digest, what) in [
        ("/a", HashAlg::Sha256, [0xab; 32].as_slice(), Lookup::Golden),
        ("/a", HashAlg::Sha256, &[0xcd; 32], Lookup::Golden),
        ("/a", HashAlg::Sha512, &[0xef; 64], Lookup::Golden),
        ("/a", HashAlg::Sha256, &[0xef; 32], Lookup::OtherDigest),
        ("/a", HashAlg::Sha256, &[0xab; 31], Lookup::OtherDigest),
        ("/a", HashAlg::Sha384, &[0xef; 48], Lookup::OtherAlgorithm),
        ("/b b", HashAlg::Sha256, &[0xcd; 32], Lookup::Golden),
        ("/b", HashAlg::Sha256, &[0xcd; 32], Lookup::Unlisted),
        ("", HashAlg::Sha256, &[0xcd; 32], Lookup::Unlisted),
    ] {
        assert_eq!(find(&list, path.as_bytes(), alg, digest), what, "{path} {alg}");
    }
    assert_eq!(
        list.find(PathHash::of(b"/a"), b"/a", None, &[0xab; 32]),
        Lookup::OtherAlgorithm
    );
    assert_eq!(list.digests_of(b"/a").count(), 3);
}

/// Two paths whose hashes agree in every bit that a list of one or two looks at.
fn alike() -> (String, String) {
    let mut seen = std::collections::HashMap::new();
    for number in 0_u32.. {
        let path = format!("/{number}");
        let hash = PathHash::of(path.as_bytes());
        let (tag, start) = (hash.0 >> 32, hash.0 & 3);
        if let Some(other) = seen.insert((tag, start), path.clone()) {
            return (other, path);
        }
    }
    unreachable!("32 bits agree after some hundred thousand paths")
}

#[test]
fn paths_whose_hashes_agree_are_told_apart() {
    let (one, other) = alike();
    let digest = "ab".repeat(32);
    let alone = list(format!("{digest}  {one}\n"));
    assert_eq!(
        find(&alone, one.as_bytes(), HashAlg::Sha256, &[0xab; 32]),
        Lookup::Golden
    );
    assert_eq!(
        find(&alone, other.as_bytes(), HashAlg::Sha256, &[0xab; 32]),
        Lookup::Unlisted
    );
    let both = list(format!("{digest}  {one}\n{digest}  {other}\n"));
    assert_eq!(both.len(), 2);
    for path in [one, other] {
        assert_eq!(
            find(&both, path.as_bytes(), HashAlg::Sha256, &[0xab; 32]),
            Lookup::Golden
        );
    }
}

#[test]
fn a_path_is_one_path_with_and_without_escapes() {
    let digest = "ab".repeat(32);
    let twice = list(format!("{digest}  /a\\b\n\\{digest}  /a\\\\b\n{digest}  /ab\n"));
    assert_eq!(twice.len(), 2);
    assert_eq!(twice.digests_of(b"/a\\b").count(), 1);
    let other = list(format!("{digest}  /a\\n\n\\{digest}  /a\\n\n"));
    assert_eq!(other.len(), 2, "a letter, and a newline");
}

#[test]
fn a_list_tells_its_memory_and_has_a_bound() {
    let text = "ab".repeat(32) + "  /a\n";
    let some = list(&text);
    assert!(some.memory() > text.len() && some.memory() < text.len() + 1000);
    assert_eq!(some.text(), text.as_bytes());
    let comment = |length: usize| DigestList::parse(vec![b'#'; length]);
    assert!(comment(MAX_LIST).is_ok());
    assert!(
        comment(MAX_LIST + 1)
            .unwrap_err()
            .reason
            .contains("is larger than")
    );
}

#[test]
fn what_sha256sum_would_not_write_is_told_with_its_line() {
    let good = "ab".repeat(32);
    for (bad, says) in [
        (format!("{good} /b"), "two spaces"),
        (format!("{good}  "), "two spaces"),
        (good.clone(), "two spaces"),
        (format!("{}  /b", "ab".repeat(20)), "SHA-1"),
        (format!("\\{}  /b", "ab".repeat(20)), "SHA-1"),
        (format!("{}  /b", "ab".repeat(28)), "28 bytes"),
        (format!("{}  /b", "xy".repeat(32)), "sha256sum"),
        (format!("{good}  /b\r"), "dos2unix"),
        (format!("\\{good}  /b\\x"), "backslash"),
        (format!("\\{good}  /b\\"), "backslash"),
    ] {
        let text = format!("{good}  /a\n#\n{bad}\n{good}  /c\n");
        let error = DigestList::parse(text.into_bytes()).expect_err(&bad);
        assert_eq!(error.line, 3, "{bad}");
        assert!(error.reason.contains(says), "{bad}: {error}");
    }
}

#[test]
fn a_path_with_more_digests_than_anybody_keeps_is_refused_and_costs_little() {
    let text: String = (0..100_000_u32).map(|i| format!("{i:064x}  /a\n")).collect();
    let error = DigestList::parse(text.into_bytes()).expect_err("too many");
    assert_eq!(error.line, 257);
}

#[test]
fn the_same_text_is_one_list_and_an_unused_one_goes() {
    let mut lists = DigestLists::default();
    let text = |digit: &str| format!("{}  /a\n", digit.repeat(64)).into_bytes();
    let one = lists.intern(text("a")).expect("a list");
    assert!(Arc::ptr_eq(&one, &lists.intern(text("a")).expect("a list")));
    let other = lists.intern(text("b")).expect("a list");
    assert_eq!(lists.in_use(), 2);
    drop(one);
    assert_eq!(lists.in_use(), 1);
    drop(lists.intern(text("c")).expect("a list"));
    assert_eq!(lists.known.len(), 2, "the first is forgotten when another comes");
    drop(other);
    assert!(lists.intern(b"bad".to_vec()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_list_or_an_error(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = DigestList::parse(text);
    }

    #[test]
    fn what_is_written_is_found_and_nothing_else(
        files in proptest::collection::btree_map(
            proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\\'), Just(b'\r'), Just(b'/'), any::<u8>()], 1..20),
            any::<[u8; 32]>(), 0..200,
        ),
        other in proptest::collection::vec(any::<u8>(), 1..5),
    ) {
        let text: Vec<u8> = files.iter().flat_map(|(path, digest)| line(digest, path)).collect();
        let list = DigestList::parse(text).unwrap();
        prop_assert_eq!(list.len(), files.len());
        for (path, digest) in &files {
            prop_assert_eq!(find(&list, path, HashAlg::Sha256, digest), Lookup::Golden);
            let mut wrong = *digest;
            wrong[31] ^= 1;
            prop_assert_eq!(find(&list, path, HashAlg::Sha256, &wrong), Lookup::OtherDigest);
        }
        if !files.contains_key(&other) {
            prop_assert_eq!(find(&list, &other, HashAlg::Sha256, &[0; 32]), Lookup::Unlisted);
        }
    }
}
