//! `lazaret inspect ima`: what a measurement list holds, and the PCR 10 that it leads to.
//!
//! Exit 0: the list was read to its end, and every `--match` was found. 20: a value of `--match` is reached by no prefix of
//! it. 65: it is no list, with the offset and what was expected there. 66: it cannot be read. Nothing is proven here: a
//! list proves something only beside a quote.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use lazaret_attest::{
    ima::{ImaList, ImaSummary, ListedEntry},
    pcr::HashAlg,
    verdict::Verdict,
};
use serde::Serialize;

use super::file;
use crate::cli::{
    exit::{Exit, Trouble},
    out,
};

/// What the agent's answers may hold as well: some 400,000 entries.
const LIMIT: u64 = 64 * 1024 * 1024;

/// Arguments of `lazaret inspect ima`.
#[derive(Debug, Args)]
pub struct Ima {
    /// The list, as in `binary_runtime_measurements` or `ascii_runtime_measurements`; the form is seen.
    file: PathBuf,
    /// Find the prefix that ends at this value of PCR 10, such as sha256=88d8bc71...; several must be met at once.
    #[arg(long = "match", value_name = "BANK=HEX", value_parser = value)]
    sought: Vec<(HashAlg, Vec<u8>)>,
    /// Every entry as well.
    #[arg(long)]
    entries: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What is shown: the summary, and the entries where they were asked for.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    summary: ImaSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<Vec<ListedEntry>>,
}

impl Ima {
    /// Runs it.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let bytes = file::read(&self.file, LIMIT)?;
        let name = self.file.display();
        let list = ImaList::new(&bytes);
        if list.is_empty() {
            return Err(Trouble::say(
                Exit::Data,
                format_args!(
                    "{name}: at byte 0: expected an entry; the list is empty, and every kernel's begins with boot_aggregate"
                ),
            ));
        }
        let mut entries = Vec::new();
        let summary = ImaSummary::of(&list, &self.sought, &mut |entry| {
            if self.entries {
                entries.push(ListedEntry::of(entry));
            }
        })
        .map_err(|error| Trouble::say(Exit::Data, out::plain(&format!("{name}: {error}"))))?;
        let exit = match &summary.reached {
            Some(reached) if reached.entries.is_none() => Exit::of(Verdict::Contraindicated),
            _ => Exit::Ok,
        };
        let shown = Shown {
            summary,
            list: self.entries.then_some(entries),
        };
        if self.json {
            out::json(&shown);
        } else {
            out::print(&text(&shown));
        }
        Ok(exit)
    }
}

/// `sha256=` and the value in hexadecimal digits.
fn value(typed: &str) -> Result<(HashAlg, Vec<u8>), String> {
    let form = "write a bank and a value of PCR 10, such as sha256=88d8bc71...";
    let (bank, digits) = typed.split_once('=').ok_or(form)?;
    let bank: HashAlg = bank.parse().map_err(|error| format!("{error}"))?;
    let bytes = hex::decode(digits).map_err(|_| form)?;
    if bytes.len() != bank.digest_len() {
        let wanted = bank.digest_len().saturating_mul(2);
        return Err(format!(
            "a value of the {bank} bank has {wanted} hexadecimal digits, not {}",
            digits.len()
        ));
    }
    Ok((bank, bytes))
}

// Writing into a String cannot fail; the results of `writeln!` are dropped for that reason only.

fn text(shown: &Shown) -> String {
    let ImaSummary {
        form,
        entries,
        violations,
        templates,
        algorithms,
        pcr10,
        other_pcrs,
        signatures,
        boot_aggregates,
        events,
        violation_labels,
        reached,
        ..
    } = &shown.summary;
    let mut page = String::new();
    let _ = writeln!(page, "{entries} entries ({form}), {violations} violations");
    let of = |counts: Vec<String>| counts.join(", ");
    let count = |(name, count): (&String, &u64)| format!("{name} {count}");
    let _ = writeln!(page, "templates   {}", of(templates.iter().map(count).collect()));
    let _ = writeln!(page, "algorithms  {}", of(algorithms.iter().map(count).collect()));
    for (bank, value) in pcr10 {
        let _ = writeln!(page, "PCR 10      {bank} {value}");
    }
    for (pcr, count) in other_pcrs {
        let _ = writeln!(page, "PCR {pcr:<8}{count} entries, which PCR 10 does not cover");
    }
    for (key, count) in signatures {
        let _ = writeln!(page, "signed by   {key}: {count} files (not verified)");
    }
    for entry in boot_aggregates.iter().chain(events).chain(violation_labels) {
        let _ = writeln!(page, "{}", line(entry));
    }
    if let Some(reached) = reached {
        for sought in &reached.values {
            let at = match (sought.entries, sought.extended) {
                (Some(entries), Some(extended)) => format!("after {entries} entries ({extended})"),
                _ => "at no prefix".to_owned(),
            };
            let _ = writeln!(page, "match       {}={} {at}", sought.bank, sought.value);
        }
        let _ = match reached.entries {
            Some(entries) => writeln!(
                page,
                "matched     after {entries} of {} entries",
                shown.summary.entries
            ),
            None => writeln!(page, "matched     nowhere: no prefix of this list leads there"),
        };
    }
    if let Some(list) = &shown.list {
        for entry in list {
            let _ = writeln!(page, "{}", line(entry));
        }
    }
    page
}

fn line(entry: &ListedEntry) -> String {
    let mut line = format!(
        "{:>6} {} {} {}",
        entry.entry,
        entry.subject,
        entry.path.as_deref().unwrap_or("-"),
        entry.template
    );
    if let (Some(algorithm), Some(digest)) = (&entry.algorithm, &entry.digest) {
        let kind = entry.kind.map(|kind| format!("{kind}:")).unwrap_or_default();
        let _ = write!(line, " {kind}{algorithm}:{digest}");
    }
    if let Some(signature) = &entry.signature {
        let _ = write!(line, " signed by {}", signature.key);
    }
    for key in &entry.keys {
        let _ = write!(line, " key {key}");
    }
    if let Some(data) = entry.data.as_ref().filter(|data| data.len() <= 256) {
        let _ = write!(line, " {data}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_to_match_names_its_bank_and_has_its_length() {
        let digits = "ab".repeat(32);
        assert_eq!(
            value(&format!("sha256={digits}")),
            Ok((HashAlg::Sha256, vec![0xab; 32]))
        );
        for wrong in [
            "sha256",
            "sha256=zz",
            "sha1=abcd",
            "md5=ab",
            &format!("sha1={digits}"),
        ] {
            assert!(value(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_page_says_where_a_value_is_reached_and_json_has_stable_names() {
        let digest = "0".repeat(40);
        let list = format!("10 {digest} ima-ng sha256:{digest} /var/log/x\n");
        let list = ImaList::new(list.as_bytes());
        let sought = [(HashAlg::Sha1, vec![0; 20]), (HashAlg::Sha256, vec![1; 32])];
        for (sought, found) in [(&sought[..1], Some(0)), (&sought[..], None)] {
            let summary = ImaSummary::of(&list, sought, &mut |_| {}).unwrap();
            let shown = Shown { summary, list: None };
            let json = serde_json::to_value(&shown).unwrap();
            assert_eq!(json["entries"], 1);
            assert_eq!(json["violations"], 1);
            assert_eq!(json["templates"]["ima-ng"], 1);
            assert_eq!(json["pcr10"]["sha256"].as_str().unwrap().len(), 64);
            assert_eq!(json["match"]["entries"].as_u64(), found);
            assert_eq!(json["match"]["bank"], "sha1");
            assert_eq!(text(&shown).contains("nowhere"), found.is_none());
        }
    }
}
