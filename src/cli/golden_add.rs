//! `lazaret golden add`: one value that many hosts fail for, put into a policy's golden values.

use std::path::{Path, PathBuf};

use clap::Args;
use lazaret_attest::{finding::Code, policy::DigestForm};

use super::{
    context,
    exit::{Exit, Trouble},
    out, quarantine,
    who::who,
};
use crate::{
    clock::{Clock as _, SystemClock},
    ids::GroupId,
    respond::guard::Cause,
    store::AuditEntry,
    verifier::policies::{PolicyText, Wanted},
};

/// Arguments of `lazaret golden add`.
#[derive(Debug, Args)]
pub(super) struct GoldenAdd {
    /// The policy file.
    #[arg(value_name = "POLICY")]
    policy: PathBuf,

    /// The group of held cases whose cause is added.
    #[arg(long, value_name = "GROUP")]
    from_group: GroupId,

    /// Write it. Without, the change is shown and nothing is written.
    #[arg(long)]
    write: bool,
}

/// Where a golden value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Into an array of the policy's own file.
    Array {
        /// The table: `pcrs.sha256`.
        table: String,
        /// The key: `7`.
        key: String,
        /// Whether what a base says under this key is joined with it, and not replaced.
        joined: bool,
        /// The value.
        value: String,
    },
    /// Into a digest list.
    List {
        /// The digest, in hex.
        digest: String,
        /// The path.
        path: String,
    },
}

/// Where the value of a cause goes; `None` when there is no value that could be added.
pub(super) fn place(cause: &Cause) -> Option<Place> {
    let found = cause.found.as_deref()?;
    let boot = |key: &str| array("boot", key, false, found);
    match cause.code.parse::<Code>().ok()? {
        Code::PcrNotGolden => {
            let (bank, index) = bank_and_index(&cause.subject)?;
            array(&format!("pcrs.{bank}"), &index, true, hex(found)?)
        }
        Code::BootEventNotGolden => {
            let (bank, index) = bank_and_index(&cause.subject)?;
            array(&format!("boot_log.{bank}"), &index, true, hex(found)?)
        }
        Code::BootLoaderNotAllowed => hex(found).and_then(|_| boot("boot_loaders")),
        Code::BootDriverNotAllowed => hex(found).and_then(|_| boot("drivers")),
        Code::BootFileNotAllowed => hex(found).and_then(|_| boot("files")),
        Code::BootAuthorityNotAllowed => hex(found).and_then(|_| boot("authorities")),
        Code::BootKeyNotAllowed => {
            let key = cause.subject.to_ascii_lowercase();
            let known = ["pk", "kek", "db", "dbx"].contains(&key.as_str());
            hex(found).filter(|_| known).and_then(|_| boot(&key))
        }
        Code::ImaFileUnknown | Code::ImaFileNotGolden => {
            let (algorithm, digest) = found.split_once(':')?;
            let path = &cause.subject;
            // What is shown with escapes is another name.
            let plain = path.starts_with('/')
                && path
                    .chars()
                    .all(|c| c.is_ascii_graphic() && c != '\\' || c == ' ');
            (plain && ["sha256", "sha384", "sha512"].contains(&algorithm)).then_some(())?;
            Some(Place::List {
                digest: hex(digest)?.to_owned(),
                path: path.clone(),
            })
        }
        _ => None,
    }
}

fn array(table: &str, key: &str, joined: bool, value: &str) -> Option<Place> {
    Some(Place::Array {
        table: table.to_owned(),
        key: key.to_owned(),
        joined,
        value: value.to_owned(),
    })
}

fn hex(text: &str) -> Option<&str> {
    let known = [40, 64, 96, 128].contains(&text.len());
    (known && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

/// `PCR sha256:7` as its bank and its number.
fn bank_and_index(subject: &str) -> Option<(String, String)> {
    let (bank, index) = subject.strip_prefix("PCR ")?.split_once(':')?;
    let index = index.split(',').next()?;
    (bank.bytes().all(|b| b.is_ascii_alphanumeric()) && index.parse::<u8>().is_ok())
        .then(|| (bank.to_owned(), index.to_owned()))
}

impl GoldenAdd {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        let group = quarantine::group::known(&store, &self.from_group).await?;
        let cause = quarantine::group::cause(&group)?;
        let by_hand = |why: String| {
            let remedy = cause
                .code
                .parse::<Code>()
                .map_or("see docs/policies.md", Code::remedy);
            Trouble::say(Exit::Data, format_args!("{cause}: {why}; by hand: {remedy}"))
        };
        let place = place(&cause).ok_or_else(|| by_hand("there is no value to add".to_owned()))?;
        let (mut text, _) = PolicyText::read(&self.policy, &Wanted::default())?;
        let note = format!("from group {}", self.from_group);
        let (file, before, after) = match &place {
            Place::Array { .. } => {
                let before = text.toml.clone();
                let after = with_value(&before, &place, &note).map_err(by_hand)?;
                text.toml = after.clone();
                (self.policy.clone(), before, after)
            }
            Place::List { digest, path } => {
                let name =
                    first_list(&text).ok_or_else(|| by_hand("the policy names no digest list".to_owned()))?;
                let bytes = text
                    .lists
                    .get(&name)
                    .map(|list| list.as_bytes().to_vec())
                    .unwrap_or_default();
                let before = String::from_utf8(bytes)
                    .map_err(|_| by_hand(format!("{name} holds names that are no UTF-8")))?;
                let mut after = before.clone();
                if !after.is_empty() && !after.ends_with('\n') {
                    after.push('\n');
                }
                after.push_str(&format!("{digest}  {path}\n"));
                text.lists.insert(name.clone(), after.clone().into());
                (self.policy.with_file_name(name), before, after)
            }
        };
        text.parse(DigestForm::Files).map_err(|error| {
            by_hand(format!(
                "with it, {} would be wrong: {error}",
                self.policy.display()
            ))
        })?;
        out::print(&format!("{}:\n", file.display()));
        for line in added(&before, &after) {
            out::print(&format!("  + {}\n", out::plain(line)));
        }
        if config.appraisal.signers.is_some() {
            return Err(Trouble::say(
                Exit::Data,
                format_args!(
                    "policies are signed here (appraisal.signers), and nothing was written: make this change where the signing key is, count version up, and sign again: ssh-keygen -Y sign -n lazaret-policy -f KEY {}",
                    self.policy.display()
                ),
            ));
        }
        if !self.write {
            out::print("Nothing was written; say --write, or make the change by hand.\n");
            return Ok(Exit::Ok);
        }
        out::create(&file, after.as_bytes(), true)?;
        let entry = AuditEntry {
            who: who(),
            what: "add golden value".to_owned(),
            subject: format!("policy {}", self.policy.display()),
            outcome: format!("done: {cause}, from group {}", self.from_group),
        };
        store.audit(&entry, SystemClock.now()).await?;
        out::print(&format!(
            "Written. Count version up and read it: lazaret policy check {}\nThe hosts pass in their next round; then: lazaret quarantine dismiss {} --because TEXT\n",
            self.policy.display(),
            self.from_group
        ));
        Ok(Exit::Ok)
    }
}

/// The lines that are new.
fn added<'a>(before: &str, after: &'a str) -> Vec<&'a str> {
    let mut left: Vec<&str> = before.lines().collect();
    after
        .lines()
        .filter(|line| match left.iter().position(|known| known == line) {
            Some(known) => {
                left.remove(known);
                false
            }
            None => true,
        })
        .collect()
}

/// The digest list that the policy names first.
fn first_list(text: &PolicyText) -> Option<String> {
    text.lists
        .keys()
        .filter(|name| name.ends_with(".sha256"))
        .min_by_key(|name| text.toml.find(&format!("\"{name}\"")).unwrap_or(usize::MAX))
        .cloned()
}

/// The policy's text with one value more, everything else as it was.
fn with_value(toml: &str, place: &Place, note: &str) -> Result<String, String> {
    let Place::Array {
        table,
        key,
        joined,
        value,
    } = place
    else {
        return Err("it belongs to a digest list".to_owned());
    };
    if toml.contains(value.as_str()) {
        return Err("the policy names this value already".to_owned());
    }
    let line = format!("    \"{value}\",  # {note}");
    let mut lines: Vec<String> = toml.lines().map(str::to_owned).collect();
    let header = format!("[{table}]");
    let begins = lines
        .iter()
        .position(|line| line.split('#').next().unwrap_or_default().trim() == header);
    let body = begins.map_or(lines.len(), |at| at.saturating_add(1));
    let ends = lines
        .iter()
        .skip(body)
        .position(|line| line.starts_with('['))
        .map_or(lines.len(), |length| body.saturating_add(length));
    let named = |line: &String| line.split('=').next().is_some_and(|name| name.trim() == key);
    let known = (body..ends).find(|at| lines.get(*at).is_some_and(named));
    match known.and_then(|at| lines.get_mut(at)) {
        Some(known) => {
            let opens = known
                .find('[')
                .ok_or_else(|| format!("{key} under [{table}] is no list"))?;
            let (head, rest) = known.split_at(opens.saturating_add(1));
            let rest = rest.trim_start().to_owned();
            *known = if rest.is_empty() || rest.starts_with('#') {
                format!("{head}{}{rest}\n{line}", if rest.is_empty() { "" } else { "  " })
            } else {
                format!("{head}\n{line}\n    {rest}")
            };
        }
        None if !joined => {
            return Err(format!(
                "[{table}] of this file has no {key}; put it into the file that has"
            ));
        }
        None => {
            let mut new = vec![format!("{key} = ["), line, "]".to_owned()];
            if begins.is_none() {
                new.splice(0..0, [String::new(), header]);
            }
            lines.splice(body..body, new);
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(code: Code, subject: &str, found: &str) -> Cause {
        Cause {
            code: code.as_str().to_owned(),
            subject: subject.to_owned(),
            found: Some(found.to_owned()),
        }
    }

    #[test]
    fn a_value_goes_where_the_policy_keeps_its_kind() {
        let digest = "ab".repeat(32);
        let pcr = place(&cause(Code::PcrNotGolden, "PCR sha256:7", &digest)).unwrap();
        for (before, after) in [
            (
                "[pcrs.sha256]\n7 = [\"cd\"] # old\n",
                format!("[pcrs.sha256]\n7 = [\n    \"{digest}\",  # n\n    \"cd\"] # old\n"),
            ),
            (
                "[pcrs.sha256]\n7 = [  # why\n  \"cd\",\n]\n[ima]\n",
                format!("[pcrs.sha256]\n7 = [  # why\n    \"{digest}\",  # n\n  \"cd\",\n]\n[ima]\n"),
            ),
            (
                "[pcrs.sha256]\n4 = [\"cd\"]\n",
                format!("[pcrs.sha256]\n7 = [\n    \"{digest}\",  # n\n]\n4 = [\"cd\"]\n"),
            ),
            (
                "name = \"x\"\n",
                format!("name = \"x\"\n\n[pcrs.sha256]\n7 = [\n    \"{digest}\",  # n\n]\n"),
            ),
        ] {
            let made = with_value(before, &pcr, "n").unwrap();
            assert_eq!(made, after);
            toml::from_str::<toml::Table>(&made).unwrap();
            assert!(with_value(&made, &pcr, "n").unwrap_err().contains("already"));
        }
        let loader = place(&cause(Code::BootLoaderNotAllowed, "PCR 4", &digest)).unwrap();
        assert!(
            with_value("[boot]\n", &loader, "n")
                .unwrap_err()
                .contains("the file that has"),
            "a list of this file would replace the base's"
        );
        assert_eq!(
            place(&cause(
                Code::ImaFileUnknown,
                "/usr/bin/new",
                &format!("sha256:{digest}")
            )),
            Some(Place::List {
                digest: digest.clone(),
                path: "/usr/bin/new".into()
            })
        );
        for (code, subject, found) in [
            (Code::ImaFileUnknown, "/usr/\\xff", format!("sha256:{digest}")),
            (
                Code::ImaFileUnknown,
                "/usr/bin/x",
                format!("sha1:{}", "ab".repeat(20)),
            ),
            (Code::PcrNotGolden, "PCR sha256:7", "\"]\nevil = 1".to_owned()),
            (Code::PcrNotGolden, "PCR x]:7", digest.clone()),
            (Code::BootCommandLineNotAllowed, "line", "quiet".to_owned()),
            (Code::SecureBootOff, "Secure Boot", "off".to_owned()),
        ] {
            assert_eq!(place(&cause(code, subject, &found)), None, "{code} {subject}");
        }
    }
}
