//! Random bytes and random changes: no panic.

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
