//! Claims against reference values: proofs in, findings out.

mod boot;
mod counters;
mod ima;
mod pcrs;

pub(crate) use boot::{boot_log, no_boot_log};
pub(crate) use counters::counters;
pub(crate) use ima::{Memory, ima, ima_lag, no_ima};
pub(crate) use pcrs::pcrs;

/// Longest path or name in a finding, in characters: PATH_MAX would fill screens.
const SHOWN_CHARS: usize = 512;

/// Bytes that the host chose, made safe for terminals and reports.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text: String = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                text.extend(c.escape_default())
            } else {
                text.push(c)
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if text.chars().count() > SHOWN_CHARS {
        text = text.chars().take(SHOWN_CHARS).collect();
        text.push_str("...");
    }
    text
}

fn alternatives<'a>(golden: impl ExactSizeIterator<Item = &'a Vec<u8>>) -> String {
    let count = golden.len();
    some_of(golden.map(hex::encode), count)
}

/// Golden alternatives that a finding names: a line has room for a few.
const ALTERNATIVES: usize = 3;

pub(crate) fn some_of(golden: impl Iterator<Item = String>, count: usize) -> String {
    let named: Vec<String> = golden.take(ALTERNATIVES).collect();
    let more = count.saturating_sub(named.len());
    let more = if more > 0 {
        format!(" or {more} others")
    } else {
        String::new()
    };
    format!("{}{more}", named.join(" or "))
}
