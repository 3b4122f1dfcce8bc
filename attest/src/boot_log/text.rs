//! Texts that boot loaders measure: grub's commands and the kernel's command line.

use super::event::BootEvent;
use super::facts::Facts;
use super::variable::wide;

/// What grub writes in front of the text that it measures: upstream, and the older patches of distributions.
const PREFIXES: [&str; 6] = [
    "grub_cmd: ",
    "kernel_cmdline: ",
    "module_cmdline: ",
    "grub_cmd ",
    "grub_kernel_cmdline ",
    "kernel_cmdline ",
];

/// A text in PCR 8 or 12 that its digest covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// The register.
    pub(crate) pcr: u8,
    /// Position in the log.
    pub(crate) event: usize,
    /// The text.
    pub(crate) text: String,
    /// Whether it starts a kernel or a kernel's module.
    pub(crate) is_command_line: bool,
}

/// What an event of PCR 8 or 12 turned out to be.
pub(crate) enum Reading {
    /// A text that its digest covers.
    Text(Text),
    /// Its digest covers something that the log does not hold.
    Unreadable,
}

impl<'a> Facts<'_, 'a> {
    /// Every measurement of PCR 8 and 12.
    ///
    /// A text is a kernel command line by what it says, not by what grub calls it in the log, which no digest covers: grub
    /// names the kernel first, by a path, and no command of its own begins with `/` or `(`; systemd-boot and the stubs
    /// measure the line in UTF-16, and nothing else so. Some of grub's file systems (tar archives, the network) take a path
    /// that begins otherwise: therefore what follows a `linux` command is its line too. If it names another kernel, the
    /// command failed or the line is hidden, and nobody can tell which.
    pub(crate) fn loader_readings(&self) -> impl Iterator<Item = (&BootEvent<'a>, Reading)> {
        [8, 12].into_iter().flat_map(move |pcr| {
            let mut announced = None;
            self.events(pcr).map(move |event| {
                let text = self.read_text(pcr, event);
                let before = announced.take();
                announced = text.as_ref().and_then(|text| loaded_kernel(&text.text));
                let reading = match (text, before) {
                    (None, _) => Reading::Unreadable,
                    (Some(text), Some(kernel)) if !text.is_command_line => match first_word(&text.text) {
                        word if word == kernel => Reading::Text(Text {
                            is_command_line: true,
                            ..text
                        }),
                        _ => Reading::Unreadable,
                    },
                    (Some(text), _) => Reading::Text(text),
                };
                (event, reading)
            })
        })
    }

    /// Kernel command lines. Only events that may be one, and those before them, are hashed.
    pub(crate) fn command_lines(&self) -> impl Iterator<Item = Text> {
        [8, 12].into_iter().flat_map(move |pcr| {
            let mut before: Option<&BootEvent<'a>> = None;
            self.events(pcr).filter_map(move |event| {
                let kernel = before
                    .replace(event)
                    .filter(|before| {
                        std::str::from_utf8(body(before.data)).is_ok_and(|text| loaded_kernel(text).is_some())
                    })
                    .and_then(|before| loaded_kernel(&self.read_text(pcr, before)?.text));
                let likely = kernel.is_some() || is_wide(event.data) || begins_as_path(body(event.data));
                self.read_text(pcr, event).filter(|text| {
                    likely
                        && (text.is_command_line
                            || kernel.is_some_and(|kernel| first_word(&text.text) == kernel))
                })
            })
        })
    }

    fn read_text(&self, pcr: u8, event: &BootEvent<'a>) -> Option<Text> {
        let found = |text: String, is_command_line| {
            Some(Text {
                pcr,
                event: event.number,
                text,
                is_command_line,
            })
        };
        if is_wide(event.data) {
            // systemd-boot up to 250 logs one byte less than it measures.
            let mut whole = event.data.to_vec();
            if !whole.len().is_multiple_of(2) {
                whole.push(0);
            }
            let text = wide(&whole)?;
            let covered = self.covers(event, &whole) || self.covers(event, event.data);
            return if covered { found(text, true) } else { None };
        }
        let body = body(event.data);
        let bare = body.strip_suffix(b"\0").unwrap_or(body);
        // Anything with a zero or another control character in it may be UTF-16 that is_wide does not know.
        let text = std::str::from_utf8(bare).ok()?;
        if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
            return None;
        }
        let covered = self.covers(event, bare)
            || (bare.len() < body.len() && self.covers(event, body))
            || (body.len() < event.data.len() && self.covers(event, event.data));
        if !covered {
            return None;
        }
        found(text.to_owned(), begins_as_path(bare))
    }

    /// How many texts grub measured into PCR 8; what they say is not looked at.
    pub(crate) fn grub_commands(&self) -> usize {
        self.events(8).count()
    }
}

fn body(data: &[u8]) -> &[u8] {
    PREFIXES
        .iter()
        .find_map(|prefix| data.strip_prefix(prefix.as_bytes()))
        .unwrap_or(data)
}

/// The kernel that one of grub's commands loads, if the text is such a command.
fn loaded_kernel(text: &str) -> Option<String> {
    const LOADERS: [&str; 10] = [
        "linux",
        "linux16",
        "linuxefi",
        "kernel",
        "multiboot",
        "multiboot2",
        "module",
        "module2",
        "xen_hypervisor",
        "xen_module",
    ];
    let (command, arguments) = text.split_once(' ')?;
    LOADERS.contains(&command).then(|| first_word(arguments))
}

/// The first word, without what grub adds when it puts a command line together: quotes and backslashes.
fn first_word(text: &str) -> String {
    let bare: String = text.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
    bare.split_whitespace().next().unwrap_or_default().to_owned()
}

fn begins_as_path(text: &[u8]) -> bool {
    matches!(text, [b'/' | b'(', ..])
}

/// UTF-16 of ASCII: every second byte is zero, and the first is not.
fn is_wide(data: &[u8]) -> bool {
    data.len() >= 4
        && data.first().is_some_and(|byte| *byte != 0)
        && data.iter().skip(1).step_by(2).all(|byte| *byte == 0)
}
