//! Every property over every seed, and over seeds with random changes: what the fuzz targets do, without cargo-fuzz.

use std::fs;
use std::path::{Path, PathBuf};

use lazaret_properties::{TARGETS, Target};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Changed seeds for each target; the fuzz targets themselves go on from here.
const CASES: u32 = 1500;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/seeds")
        .join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 2, "{target} has {} seeds", paths.len());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Changes like a fuzzer's.
#[derive(Debug, Clone)]
enum Change {
    Byte(prop::sample::Index, u8),
    Size(prop::sample::Index, u32),
    Cut(prop::sample::Index),
    Drop(prop::sample::Index, u8),
    Repeat(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, value)| Change::Byte(at, value)),
        1 => (at(), any::<u32>()).prop_map(|(at, value)| Change::Size(at, value)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), any::<u8>()).prop_map(|(at, length)| Change::Drop(at, length)),
        1 => (at(), any::<u8>()).prop_map(|(at, length)| Change::Repeat(at, length)),
        1 => (at(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Byte(at, value) => {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        Change::Size(at, value) => {
            let at = at.index(bytes.len());
            for (byte, new) in bytes[at..].iter_mut().zip(value.to_le_bytes()) {
                *byte = new;
            }
        }
        Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Change::Drop(at, length) => {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + usize::from(*length));
            bytes.drain(at..end);
        }
        Change::Repeat(at, length) => {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + usize::from(*length));
            bytes.extend_from_within(at..end);
        }
        Change::Insert(at, new) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, new.iter().copied());
        }
    }
}

fn holds(name: &str) {
    let (name, target): Target = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds(name);
    target(b"");
    seeds.iter().for_each(|seed| target(seed));
    let input = (
        any::<prop::sample::Index>(),
        proptest::collection::vec(change(), 1..5),
    );
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&input, |(seed, changes)| {
            let mut bytes = seed.get(&seeds).clone();
            changes.iter().for_each(|change| apply(&mut bytes, change));
            target(&bytes);
            Ok(())
        })
        .unwrap();
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        #[test]
        fn every_target_is_run_here_and_has_a_fuzz_target() {
            let here = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|(name, _)| name), here);
            let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
            let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
            for name in here {
                assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            }
        }
    };
}

targets!(quote signature public_key boot_log ima_text ima_binary ek_certificate wire_messages policy);

/// Found by `wire_messages`: serde reserved a megabyte for a list of 2^64 items that was declared in nine bytes.
#[test]
fn a_declared_list_of_a_message_takes_no_memory() {
    let seeds = seeds("wire_messages");
    let honest = seeds.iter().find(|seed| seed.first() == Some(&3)).unwrap();
    let at = honest
        .windows(9)
        .position(|window| window == b"selection")
        .unwrap()
        + 9;
    let mut declared = honest[..at].to_vec();
    declared.push(0x9b);
    declared.extend([0xff; 8]);
    let (_, body) = declared.split_first().unwrap();
    let used =
        allocation_counter::measure(|| assert!(lazaret_wire::decode::<lazaret_wire::Attest>(body).is_err()));
    assert!(used.bytes_max < 4096, "{} bytes", used.bytes_max);
}
