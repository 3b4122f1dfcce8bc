//! From the evidence of a host that is condemned, every byte changed: no change makes it pass.

use lazaret_attest::evidence::Evidence;
use lazaret_attest::verdict::Verdict;

use crate::subject::Make;

#[test]
fn no_changed_byte_makes_a_condemned_host_pass() {
    for text in [false, true] {
        let make = Make {
            text,
            rsa: true,
            files: 10,
            ..Make::default()
        };
        let mut host = make.host();
        let policy = host.policy();
        host.ima.measure("/usr/bin/evil", b"evil");
        let challenge = host.challenge(0);
        let honest = host.answer(&challenge);
        assert_eq!(
            host.judge(&honest, &challenge, &policy, None).verdict,
            Verdict::Contraindicated
        );
        let parts: [fn(&mut Evidence) -> &mut Vec<u8>; 2] = [
            |evidence| &mut evidence.boot_log,
            |evidence| &mut evidence.ima_log,
        ];
        for part in parts {
            let mut evidence = honest.clone();
            for at in 0..part(&mut evidence).len() {
                let was = part(&mut evidence)[at];
                for value in [was ^ 1, was ^ 0x20, 0] {
                    part(&mut evidence)[at] = value;
                    let verdict = host.judge(&evidence, &challenge, &policy, None).verdict;
                    assert_ne!(verdict, Verdict::Affirming, "byte {at} as {value:#04x}");
                }
                part(&mut evidence)[at] = was;
            }
        }
    }
}
