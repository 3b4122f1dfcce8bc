//! Every entry of the logs dropped, repeated and swapped.

use lazaret_attest::evidence::Evidence;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bootlog::event::EventType;

use crate::fields::{self, Field};
use crate::subject::{Make, Subject, comparable, without_count_behind};

/// The order of the entries after a change, by their numbers.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..count).collect();
    let mut orders = Vec::new();
    for n in 0..count {
        let mut dropped = all.clone();
        dropped.remove(n);
        orders.push(dropped);
        for at in [0, n, count / 2, count] {
            let mut repeated = all.clone();
            repeated.insert(at, n);
            orders.push(repeated);
        }
        for distance in [1, 2, 7, count / 2, count - 1] {
            if distance > 0 && n + distance < count {
                let mut swapped = all.clone();
                swapped.swap(n, n + distance);
                orders.push(swapped);
            }
        }
        let mut moved = all.clone();
        moved.remove(n);
        moved.push(n);
        orders.push(moved);
        orders.push(all[..n].to_vec());
        orders.push(all[n..].to_vec());
    }
    orders.retain(|order| *order != all);
    orders.sort_unstable();
    orders.dedup();
    orders
}

fn joined(entries: &[Vec<u8>], order: &[usize]) -> Vec<u8> {
    order.iter().flat_map(|n| entries[*n].iter().copied()).collect()
}

/// Judges each order; those for which `same` says that the TPM cannot tell it from the honest one must stay Affirming
/// with equal claims, and no other may.
fn reorder(
    subject: &Subject,
    part: fn(&mut Evidence) -> &mut Vec<u8>,
    fields: &[Field],
    same: impl Fn(&[Vec<u8>], &[usize]) -> bool + Sync,
) -> usize {
    let honest = part(&mut subject.evidence.clone()).clone();
    let entries = fields::split(&honest, fields);
    assert!(entries.len() > 20, "{}: {} entries", subject.name, entries.len());
    let orders = orders(entries.len());
    let kept = subject.each(orders.len(), |evidence, n| {
        let order = &orders[n];
        *part(evidence) = joined(&entries, order);
        let result = subject.judge(evidence);
        let told = || format!("{}: {order:?}: {:?}", subject.name, result.findings);
        let affirming = result.verdict == Verdict::Affirming;
        assert_eq!(affirming, same(&entries, order), "{}", told());
        if affirming {
            let [claims, honest] =
                [comparable(&result.claims), subject.claims.clone()].map(without_count_behind);
            assert_eq!(claims, honest, "{}", told());
        }
        affirming.then_some(n)
    });
    kept.len()
}

/// What a TPM knows of a boot log: for each PCR, the digests in their order. Between PCRs there is no order, and
/// EV_NO_ACTION events are nothing to it; the header must come first.
fn extends(entries: &[Vec<u8>], order: &[usize]) -> Vec<Vec<Vec<u8>>> {
    let mut pcrs = vec![Vec::new(); 24];
    for n in order.iter().filter(|n| **n > 0) {
        let entry = &entries[*n];
        if entry[4..8] != EventType::NO_ACTION.0.to_le_bytes() {
            pcrs[usize::from(entry[0])].push(entry[8..12 + 2 + 20 + 2 + 32].to_vec());
        }
    }
    pcrs
}

#[test]
fn a_boot_log_with_events_dropped_repeated_or_swapped_affirms_only_where_each_pcr_has_the_same_sequence() {
    let subject = Make {
        name: "boot log",
        rsa: true,
        boot_events: None,
        files: 1,
        ..Make::default()
    }
    .subject();
    let fields = subject.boot_fields();
    let kept = reorder(
        &subject,
        |evidence| &mut evidence.boot_log,
        &fields,
        |entries, order| {
            let all: Vec<usize> = (0..entries.len()).collect();
            let header_first = order.first() == Some(&0) && order.iter().filter(|n| **n == 0).count() == 1;
            header_first && extends(entries, order) == extends(entries, &all)
        },
    );
    assert!(
        kept > 50,
        "events of different PCRs were swapped, and the TPM cannot tell"
    );
}

/// All entries as they were, and one more behind them: that one is behind the quote, and decides nothing yet.
fn behind(entries: &[Vec<u8>], order: &[usize]) -> bool {
    order.len() > entries.len() && order.iter().take(entries.len()).copied().eq(0..entries.len())
}

#[test]
fn an_ima_list_with_entries_dropped_repeated_or_swapped_never_affirms() {
    for text in [false, true] {
        let subject = Make {
            name: "IMA list",
            rsa: true,
            text,
            boot_events: Some(1),
            files: 60,
            ..Make::default()
        }
        .subject();
        let fields = subject.ima_fields();
        let kept = reorder(&subject, |evidence| &mut evidence.ima_log, &fields, behind);
        assert_eq!(kept, fields.iter().filter(|field| field.begins).count());
    }
}

#[test]
fn a_slice_from_a_checkpoint_with_entries_dropped_repeated_or_swapped_never_affirms() {
    for text in [false, true] {
        let subject = Make {
            name: "slice",
            rsa: true,
            text,
            boot_events: Some(1),
            files: 60,
            first: 20,
            ..Make::default()
        }
        .subject();
        let fields = subject.ima_fields();
        let kept = reorder(&subject, |evidence| &mut evidence.ima_log, &fields, behind);
        assert_eq!(kept, fields.iter().filter(|field| field.begins).count());
    }
}
