//! Random bytes and random changes: no panic.

use std::time::{Duration, Instant};

use lazaret_attest::boot_log::BootLog;
use lazaret_attest::ima::ImaList;
use lazaret_attest::policy::Policy;
use lazaret_forge::bootlog::typical_server;
use proptest::prelude::*;

use crate::host::Host;

fn small(text: bool) -> Host {
    let mut server = typical_server();
    server.ima.files = 3;
    let mut host = Host::booting(&server);
    host.text = text;
    host.boot.events.truncate(24);
    host.ima = server.ima.boot(&host.boot.pcrs());
    host
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic_a_parser(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = BootLog::parse(&bytes);
        let mut cursor = ImaList::new(&bytes).cursor();
        while let Ok(Some(_)) = cursor.next_entry() {}
    }

    #[test]
    fn random_changes_of_logs_never_panic_and_random_text_is_no_policy_that_does(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        text in "\\PC{0,80}",
    ) {
        let host = small(true);
        for bytes in [host.boot.bytes(), host.ima.binary(), host.ima.text()] {
            let mut bytes = bytes;
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            let _ = BootLog::parse(&bytes);
            let mut cursor = ImaList::new(&bytes).cursor();
            while let Ok(Some(_)) = cursor.next_entry() {}
        }
        let _ = Policy::parse(&text, &mut |_| Ok(text.clone()));
        let toml = "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\n";
        let _ = Policy::parse(toml, &mut |_| Ok(text.clone()));
    }
}

/// Zeros are unused log memory, but only to the log's end; here the end is something else, so each 16 of them are an event.
#[test]
fn case_46_a_log_of_zeros_is_not_read_again_for_each_of_its_events() {
    let mut boot = Host::new().boot;
    boot.events.clear();
    let mut log = boot.bytes();
    assert!(BootLog::parse(&log).is_ok(), "the header alone");
    log.resize(4 * 1024 * 1024, 0);
    log.push(1);
    let began = Instant::now();
    assert!(BootLog::parse(&log).is_err());
    // Linear it is a few milliseconds, quadratic it is many seconds.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
