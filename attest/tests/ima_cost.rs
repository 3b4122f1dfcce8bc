//! What a list of 100,000 entries costs beside 150,000 golden digests: time as a ratio to the bare hashing, and memory; and
//! hostile lists, whose cost grows with their bytes.

use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use lazaret_attest::challenge::Challenge;
use lazaret_attest::evidence::Evidence;
use lazaret_attest::ima::{ImaList, ImaSummary};
use lazaret_attest::key::AttestationKey;
use lazaret_attest::pcr::{HashAlg, PcrValue, Selection};
use lazaret_attest::policy::Policy;
use lazaret_attest::verdict::Verdict;
use lazaret_attest::verify::{Input, verify};
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::ima::{Entry, List, Template};
use lazaret_forge::softtpm::{SoftTpm, selected};

const ENTRIES: usize = 100_000;
const DIGESTS: usize = 150_000;

struct Case {
    list: List,
    key: AttestationKey,
    policy: Policy,
    challenge: Challenge,
    evidence: Evidence,
    banks: Vec<Bank>,
}

fn case(banks: &[Bank], text: bool) -> Case {
    let mut server = typical_server();
    server.ima.files = ENTRIES - 1;
    let boot = server.boot();
    let list = server.ima.boot(&boot.pcrs());
    assert_eq!(list.entries.len(), ENTRIES);
    let mut pcrs = boot.pcrs();
    list.extend(&mut pcrs);
    let mut golden = list.digest_list();
    for n in ENTRIES..=DIGESTS {
        golden += &format!("{:064x}  /usr/share/other/package/file-{n}.py\n", n);
    }
    let toml = "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\nexclude = [\"/var/lib/nova/\", \"/var/log/**/*.gz\"]";
    let policy = Policy::parse(toml, &mut |_| Ok(golden.clone())).unwrap();
    let registers: Vec<String> = banks
        .iter()
        .map(|bank| format!("{bank}:0,1,2,3,4,5,6,7,8,9,10"))
        .collect();
    let challenge = Challenge {
        nonce: [7; 32],
        host: "cmp-1".to_owned(),
        agent_key: [9; 32],
        selection: registers.join("+").parse::<Selection>().unwrap(),
        ima_first: 0,
    };
    let indexes: Vec<u8> = (0..=10).collect();
    let selection: Vec<(Bank, &[u8])> = banks.iter().map(|bank| (*bank, indexes.as_slice())).collect();
    let mut tpm = SoftTpm::p256("cost");
    let quote = tpm
        .quote(&challenge.qualifying_data(), &selection, &pcrs)
        .unwrap();
    let values = selected(&selection, &pcrs).map(|(bank, index, value)| PcrValue {
        bank: HashAlg::from_id(bank.id()).unwrap(),
        index,
        digest: value.to_vec(),
    });
    let evidence = Evidence {
        quote: quote.attest,
        signature: quote.signature,
        pcrs: values.collect(),
        boot_log: boot.bytes(),
        ima_log: if text { list.text() } else { list.binary() },
        ima_first: 0,
    };
    Case {
        key: AttestationKey::from_public(&tpm.key.public()).unwrap(),
        banks: banks.to_vec(),
        list,
        policy,
        challenge,
        evidence,
    }
}

impl Case {
    fn verify(&self) -> u64 {
        let result = verify(
            &Input {
                evidence: &self.evidence,
                challenge: &self.challenge,
                key: &self.key,
                policy: &self.policy,
                history: None,
                now: 0,
            },
            &mut |_| {},
        );
        assert_eq!(result.verdict, Verdict::Affirming, "{:?}", result.findings);
        result.claims.ima.unwrap().covered
    }

    /// Template hash and extend of every entry in every quoted bank, with the same library and nothing else.
    fn bare(&self, data: &[Vec<u8>]) -> Vec<u8> {
        let mut last = Vec::new();
        for bank in &self.banks {
            let alg = match bank {
                Bank::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
                _ => &digest::SHA256,
            };
            let mut both = [0_u8; 64];
            let size = bank.digest_len();
            for entry in data {
                let hash = digest::digest(alg, entry);
                both[size..2 * size].copy_from_slice(hash.as_ref());
                let now = digest::digest(alg, &both[..2 * size]);
                both[..size].copy_from_slice(now.as_ref());
            }
            last = both[..size].to_vec();
        }
        last
    }
}

/// The least of some runs: what other programs on the machine add is not ours.
fn least(runs: u32, mut run: impl FnMut()) -> Duration {
    let times = (0..runs).map(|_| {
        let (begun, busy) = (Instant::now(), processor_time());
        run();
        match (busy, processor_time()) {
            (Some(before), Some(after)) => after - before,
            _ => begun.elapsed(),
        }
    });
    times.min().unwrap()
}

/// What this thread has had of a processor, where the kernel tells.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[test]
fn replay_and_appraisal_cost_at_most_twice_the_bare_hashing() {
    // Text is turned back into bytes first. A build for debugging inlines less: there only what is out of all proportion
    // is seen.
    let most = |text: bool| match (cfg!(debug_assertions), text) {
        (false, false) => 2.0,
        (false, true) => 3.0,
        (true, _) => 20.0,
    };
    for banks in [&[Bank::Sha256][..], &[Bank::Sha1, Bank::Sha256]] {
        for text in [false, true] {
            let case = case(banks, text);
            let data: Vec<Vec<u8>> = case.list.entries.iter().map(Entry::hashed_data).collect();
            let bare = least(7, || assert!(!case.bare(&data).is_empty()));
            let whole = least(7, || assert_eq!(case.verify(), ENTRIES as u64));
            let ratio = whole.as_secs_f64() / bare.as_secs_f64();
            println!("{banks:?} text {text}: bare {bare:?}, verified {whole:?}, ratio {ratio:.2}");
            assert!(ratio < most(text), "{banks:?} text {text}: {ratio:.2}");
        }
    }
}

#[test]
fn a_list_of_100_000_entries_is_verified_in_less_than_its_own_size() {
    for text in [false, true] {
        let case = case(&[Bank::Sha256], text);
        let bytes = u64::try_from(case.evidence.ima_log.len()).unwrap();
        let held = allocation_counter::measure(|| assert_eq!(case.verify(), ENTRIES as u64));
        println!(
            "text {text}: {} bytes held for a list of {bytes}, {} allocations",
            held.bytes_max, held.count_total
        );
        // With the list itself that is below twice its size; three times are allowed.
        assert!(
            held.bytes_max < bytes,
            "text {text}: {} for {bytes}",
            held.bytes_max
        );
        assert!(
            held.count_total < 10_000,
            "text {text}: {} allocations",
            held.count_total
        );
    }
}

type Shape = fn(&str, usize) -> Vec<u8>;

/// Shapes that would cost the square of their bytes if anything were searched for twice.
#[test]
fn no_list_costs_the_square_of_its_bytes() {
    let digest = "1".repeat(40);
    let shapes: [(&str, Shape); 6] = [
        ("newlines", |digest, size| {
            format!("10 {digest} ima-ng sha256:00 /{}\n", "\n".repeat(size)).into_bytes()
        }),
        ("spaces", |digest, size| {
            format!("10 {digest} evm-sig sha256:00 /{}\n", " ".repeat(size)).into_bytes()
        }),
        ("almost entries", |digest, size| {
            format!(
                "10 {digest} ima-ng sha256:00 /{}\n",
                format!("\n10 {}", &digest[1..]).repeat(size / 43)
            )
            .into_bytes()
        }),
        ("bars", |digest, size| {
            format!("10 {digest} {} x\n", "d|".repeat(size / 2))
                .repeat(1)
                .into_bytes()
        }),
        ("short lines", |digest, size| {
            format!("10 {digest} x\n").repeat(size / 46).into_bytes()
        }),
        ("no newline", |digest, size| {
            format!("10 {digest} ima-ng sha256:{}", "0".repeat(size)).into_bytes()
        }),
    ];
    for (name, shape) in shapes {
        let time = |size: usize| {
            let bytes = shape(&digest, size);
            least(5, || {
                drop(ImaSummary::of(&ImaList::new(&bytes), &[], &mut |_| {}))
            })
        };
        let (short, long) = (time(50_000), time(1_600_000));
        assert!(
            // Thirty-two times the bytes. The kernel counts processor time in ticks, so short times are none.
            long < short.max(Duration::from_millis(1)) * 160,
            "{name}: {short:?} for 50 kB, {long:?} for 1.6 MB"
        );
    }
    // Many violations alike are many places where a trimmed list might go on; they are bounded.
    let mut many = List::empty(Template::ImaSig, Bank::Sha256);
    for _ in 0..1000 {
        many.violation("/var/log/x");
    }
    let bytes = many.binary();
    let summary = ImaSummary::of(&ImaList::new(&bytes), &[], &mut |_| {}).unwrap();
    assert_eq!((summary.entries, summary.violations), (1000, 1000));
}
