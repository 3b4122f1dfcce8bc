//! IMA lists: both forms replay to the PCR 10 they claim, and genuine entries are made again byte for byte.

use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::ima::{Entry, List, Template, boot_aggregate, typical_host};
use lazaret_forge::pcrs::Pcrs;
use proptest::prelude::*;

use crate::read::{self, Replayed};

const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];

fn claimed(list: &List) -> Replayed {
    let mut pcrs = Pcrs::at_startup(&BANKS, 0);
    list.extend(&mut pcrs);
    BANKS
        .iter()
        .map(|&bank| ((bank.id(), 10), pcrs.value(bank, 10).unwrap().to_vec()))
        .collect()
}

#[test]
fn both_forms_replay_to_the_pcr_they_claim() {
    for template in [Template::ImaNg, Template::ImaSig, Template::ImaBuf, Template::Ima] {
        let hash = if template == Template::Ima {
            Bank::Sha1
        } else {
            Bank::Sha256
        };
        let mut list = List::new(template, hash, &typical_server().boot().pcrs());
        for (path, content) in typical_host(40) {
            list.measure(&path, content.as_bytes());
        }
        list.violation("/var/log/wtmp");
        list.measure("/opt/with a space", b"#!/bin/sh\n");

        let mut replayed = Replayed::new();
        let names = read::ima_binary(&list.binary(), &mut replayed);
        assert_eq!(replayed, claimed(&list), "binary list of {}", template.name());
        assert_eq!(names.len(), 43);
        assert_eq!(names.last().unwrap(), "/opt/with_a_space");

        if matches!(template, Template::ImaNg | Template::ImaSig) {
            let mut replayed = Replayed::new();
            assert_eq!(read::ima_text(&list.text(), &mut replayed), names);
            assert_eq!(replayed, claimed(&list), "text list of {}", template.name());
        }
    }
}

/// The first entry of a list that Linux 6.1 made, and the PCRs of that boot.
#[test]
fn a_genuine_entry_is_made_again() {
    let pcrs = [
        "177e29c417b6b61c7cf46ed30b4468931f58642527a268b556254e39b941ec6a",
        "8e9d1fe23131f12d6a523e9c32eb3223d4dc25e14eb5fd60163e7ba8de0f248c",
        "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
        "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
        "5dabb84b3d9e784a4bf9ffcfd0ff1e98e91c3f093a7d198c91f27a50e55d3ea8",
        "a5ceb755d043f32431d63e39f5161464620a3437280494b5850dc1b47cc074e0",
        "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
        "65caf8dd1e0ea7a6347b635d2b379c93b9a1351edc2afc3ecda700e534eb3068",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "bf27eae3e52efa174403bb6601719bb212277276f996dd8fd0e8e2d1bef8213e",
    ];
    let mut boot = Pcrs::at_startup(&BANKS, 0);
    for (index, value) in (0..).zip(pcrs) {
        boot.force(Bank::Sha256, index, hex::decode(value).unwrap());
    }
    let list = List::new(Template::ImaSig, Bank::Sha256, &boot);
    let line = "10 30f368a0c06a8700d7ba5b5b1250cf867db3e680 ima-sig \
        sha256:97ae54db3ba4a5b336a0537aef388f0228233bbaa313202382ab08aae1ac415b boot_aggregate \n";
    assert_eq!(String::from_utf8(list.text()).unwrap(), line);
    assert_eq!(
        hex::encode(list.binary()),
        "0a00000030f368a0c06a8700d7ba5b5b1250cf867db3e68007000000696d612d73696743000000280000007368613235363a00\
         97ae54db3ba4a5b336a0537aef388f0228233bbaa313202382ab08aae1ac415b0f000000626f6f745f61676772656761746500\
         00000000"
    );
}

#[test]
fn the_boot_aggregate_covers_the_pcrs_of_its_hash() {
    let boot = typical_server().boot().pcrs();
    for (hash, covered) in [(Bank::Sha1, 8), (Bank::Sha256, 10)] {
        let before = boot_aggregate(hash, &boot);
        let changing = (0..24).filter(|&index| {
            let mut changed = boot.clone();
            changed.force(hash, index, vec![7; hash.digest_len()]);
            boot_aggregate(hash, &changed) != before
        });
        assert_eq!(
            changing.collect::<Vec<u8>>(),
            (0..covered).collect::<Vec<u8>>(),
            "{hash}"
        );
    }
}

#[test]
fn a_file_is_listed_again_only_when_its_content_changed() {
    let mut list = List::empty(Template::ImaSig, Bank::Sha256);
    assert!(list.measure("/usr/bin/x", b"one").is_some());
    assert!(list.measure("/usr/bin/x", b"one").is_none());
    assert!(list.measure("/usr/bin/x", b"two").is_some());
    assert!(list.violation("/usr/bin/x").is_some());
    assert!(list.violation("/usr/bin/x").is_some());
    assert_eq!(list.entries.len(), 4);
}

#[test]
fn the_digest_list_is_what_sha256sum_would_print() {
    let mut list = List::new(Template::ImaSig, Bank::Sha256, &typical_server().boot().pcrs());
    list.measure("/usr/bin/x", b"");
    list.violation("/var/log/wtmp");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(list.digest_list(), format!("{empty}  /usr/bin/x\n"));
}

#[test]
fn a_typical_host_has_as_many_different_files_as_asked() {
    for count in [0, 10, 300, 2000] {
        let files: std::collections::HashSet<_> = typical_host(count).into_iter().collect();
        assert_eq!(files.len(), count);
    }
}

#[test]
fn a_long_name_is_cut_in_the_oldest_template_alone() {
    let path = format!("/{}", "x".repeat(400));
    let old = Entry::new(Template::Ima, Bank::Sha1, &path, vec![1; 20]);
    assert_eq!(old.hashed_data().len(), 276);
    assert_eq!(
        read::ima_binary(&old.binary(), &mut Replayed::new()),
        [&path[..255]]
    );
    let new = Entry::new(Template::ImaNg, Bank::Sha256, &path, vec![1; 32]);
    assert_eq!(read::ima_binary(&new.binary(), &mut Replayed::new()), [path]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_signed_file_is_read_back(
        path in "/[a-zA-Z0-9._/-]{1,60}",
        digest in prop::collection::vec(any::<u8>(), 32),
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut list = List::empty(Template::ImaSig, Bank::Sha256);
        list.push(Entry { attachment: signature, ..Entry::new(Template::ImaSig, Bank::Sha256, &path, digest) });
        let (mut binary, mut text) = (Replayed::new(), Replayed::new());
        prop_assert_eq!(read::ima_binary(&list.binary(), &mut binary), [path.clone()]);
        prop_assert_eq!(read::ima_text(&list.text(), &mut text), [path]);
        prop_assert_eq!(&binary, &text);
        prop_assert_eq!(binary, claimed(&list));
    }
}
