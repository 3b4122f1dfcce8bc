//! Case 46: a hostile boot log costs memory in proportion to its bytes, and time too.

use std::time::Instant;

use lazaret_attest::boot_log::{BootLog, Inspection};
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::data::{Out, spec_id_event};
use lazaret_forge::bootlog::event::EventType;

fn header(out: &mut Out) {
    let banks = [Bank::Sha256];
    out.sha1_record(0, EventType::NO_ACTION, &[0; 20], &spec_id_event(&banks));
}

/// The most bytes held at once while a function runs.
fn peak(run: impl FnOnce()) -> u64 {
    allocation_counter::measure(run).bytes_max
}

#[test]
fn case_46_declared_counts_and_sizes_allocate_nothing() {
    let mut logs = Vec::new();
    for (count, size) in [(u32::MAX, 0), (1, u32::MAX), (1, 4 * 1024 * 1024), (0, 1 << 20)] {
        let mut out = Out::new();
        header(&mut out);
        out.u32(0).u32(5).u32(count);
        if count == 1 {
            out.u16(0x000B).raw(&[1; 32]);
        }
        out.u32(size);
        logs.push(out.into_bytes());
    }
    let mut header = Out::new();
    header
        .raw(b"Spec ID Event03\0")
        .u32(0)
        .raw(&[0, 2, 0, 2])
        .u32(u32::MAX);
    let mut out = Out::new();
    out.sha1_record(0, EventType::NO_ACTION, &[0; 20], &header.into_bytes());
    logs.push(out.into_bytes());
    for log in logs {
        let held = peak(|| assert!(BootLog::parse(&log).is_err()));
        assert!(held < 4096, "{held} bytes for a log of {}", log.len());
    }
}

#[test]
fn case_46_the_longest_log_of_the_shortest_events_costs_a_few_times_its_bytes() {
    let mut out = Out::new();
    header(&mut out);
    for number in 0..16_000_u32 {
        out.u32(number % 10)
            .u32(13)
            .u32(1)
            .u16(0x000B)
            .raw(&[7; 32])
            .u32(0);
    }
    let log = out.into_bytes();
    let parsed = peak(|| drop(BootLog::parse(&log).unwrap()));
    let bytes = u64::try_from(log.len()).unwrap();
    assert!(parsed < 6 * bytes, "{parsed} bytes for {bytes}");
    let inspected = peak(|| drop(Inspection::of(&log).unwrap()));
    assert!(inspected < 16 * bytes, "{inspected} bytes for {bytes}");
}

#[test]
fn case_46_time_grows_with_the_bytes_and_not_with_their_square() {
    let log = |events: u32| {
        let mut out = Out::new();
        header(&mut out);
        for number in 0..events {
            // All of it in the PCRs that claims read most of.
            let pcr = [2, 4, 7, 9, 11][usize::try_from(number % 5).unwrap()];
            out.u32(pcr)
                .u32(13)
                .u32(1)
                .u16(0x000B)
                .raw(&[7; 32])
                .len32(b"/x")
                .raw(b"/x");
        }
        out.into_bytes()
    };
    let time = |log: &[u8]| {
        let runs = (0..5).map(|_| {
            let begun = Instant::now();
            Inspection::of(log).unwrap();
            begun.elapsed()
        });
        runs.min().unwrap()
    };
    let (short, long) = (time(&log(1000)), time(&log(16_000)));
    assert!(long < short * 80, "{short:?} for 1000 events, {long:?} for 16000");
}
