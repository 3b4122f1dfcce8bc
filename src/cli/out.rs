//! Standard output and error, for people and for pipes that close early.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write as _},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::exit::{Exit, Trouble};

/// Set when something that should have been printed was not.
static LOST: AtomicBool = AtomicBool::new(false);

/// Writes to standard output. A reader that went away (`| head`) is not an error; a full disk is, and is told by [`lost`].
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
            // Once is enough: what follows is lost likewise.
            if !LOST.swap(true, Ordering::Relaxed) {
                error(&format!("lazaret: writing to standard output: {cause}\n"));
            }
        }
        Ok(()) | Err(_) => {}
    }
}

/// Whether standard output is incomplete though its reader was there.
pub fn lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Writes to standard error.
pub fn error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A value as indented JSON with a newline at its end.
pub fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(cause) => error(&format!("lazaret: making JSON: {cause}\n")),
    }
}

/// Writes a file whole, or not at all: to a temporary name beside it first. Without `force` an existing file stays.
pub fn create(path: &Path, bytes: &[u8], force: bool) -> Result<(), Trouble> {
    let trouble = |exit, error: std::io::Error| {
        Trouble::new(
            exit,
            anyhow::Error::new(error).context(format!("writing {}", path.display())),
        )
    };
    if !force && path.exists() {
        return Err(Trouble::say(
            Exit::CannotCreate,
            format_args!(
                "{} is there already; choose another name, or say --force",
                path.display()
            ),
        ));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let cannot = |error| trouble(Exit::CannotCreate, error);
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&part)
        .map_err(cannot)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    match written.and_then(|()| std::fs::rename(&part, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            Err(trouble(Exit::Io, error))
        }
    }
}

/// A table without borders, fitted to the terminal.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(head);
    for row in rows {
        table.add_row(row);
    }
    let text: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    text
}

/// Text from outside (a host, the cloud), safe for a terminal: control characters are shown, not obeyed.
pub fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let shown: Vec<char> = if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            };
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_hostile_name_cannot_drive_the_terminal() {
        assert_eq!(super::plain("cmp\u{1b}[2J\n"), "cmp\\u{1b}[2J\\n");
    }
}
