//! The report as Markdown, for tickets and mail.

use std::fmt::Write as _;

use super::{Fate, Report};

/// Everything that came from elsewhere is escaped, so that an instance's name is no markup.
pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = sections(report, &mut text);
    text
}

fn sections(report: &Report, to: &mut String) -> std::fmt::Result {
    writeln!(
        to,
        "# Quarantine of {}: case {}\n",
        plain(report.host.as_str()),
        report.case
    )?;
    writeln!(
        to,
        "**{}.** {}\n",
        report.state,
        plain(report.reason.as_deref().unwrap_or(&report.cause))
    )?;
    writeln!(to, "| | |\n| --- | --- |")?;
    writeln!(to, "| opened | {} |", report.opened_at)?;
    if let Some(at) = report.closed_at {
        writeln!(to, "| closed | {at} |")?;
    }
    for (words, step) in [
        ("evidence to disabled", "disable"),
        ("evidence to fenced", "fence"),
        ("evidence to evacuated", "evacuate"),
    ] {
        if let Some(seconds) = report.seconds_to(step) {
            writeln!(to, "| {words} | {seconds:.1} s |")?;
        }
    }
    if let Some(by) = &report.approved_by {
        writeln!(to, "| let go on by | {} |", plain(by))?;
    }
    if let Some(recovery) = &report.recovery {
        writeln!(to, "| recovery | {} |", plain(recovery))?;
    }
    writeln!(to, "\n> {}\n", report.integrity)?;

    writeln!(to, "## What condemned the host\n")?;
    for finding in &report.findings {
        writeln!(
            to,
            "- **{}** on {} ({})",
            finding.code,
            plain(&finding.subject),
            finding.gravity
        )?;
        writeln!(to, "  - {}", plain(&finding.meaning))?;
        if let Some(expected) = &finding.expected {
            writeln!(to, "  - expected {}", plain(expected))?;
        }
        if let Some(found) = &finding.found {
            writeln!(to, "  - found {}", plain(found))?;
        }
        writeln!(to, "  - {}", plain(&finding.remedy))?;
    }

    writeln!(
        to,
        "\n## What happened\n\n| s | | step | what |\n| ---: | --- | --- | --- |"
    )?;
    for moment in &report.timeline {
        let (seconds, kind, what) = (moment.seconds, &moment.kind, plain(&moment.what));
        writeln!(to, "| {seconds:.1} | {kind} | {} | {what} |", plain(&moment.step))?;
    }

    writeln!(to, "\n## Instances\n")?;
    if report.instances.is_empty() {
        writeln!(to, "There were none.")?;
    } else {
        writeln!(
            to,
            "| instance | project | was on | is on | state | disk | |\n| --- | --- | --- | --- | --- | --- | --- |"
        )?;
    }
    for instance in &report.instances {
        writeln!(
            to,
            "| {} {} | {} | {} | {} | {} | {} | {} |",
            plain(&instance.name),
            instance.id,
            plain(&instance.project),
            plain(instance.was_on.as_str()),
            instance
                .is_on
                .as_ref()
                .map_or_else(|| "nowhere".to_owned(), |host| plain(host.as_str())),
            plain(&instance.state),
            plain(&instance.disk),
            plain(&remarks(instance))
        )?;
    }
    undone(report, to)?;
    if !report.warnings.is_empty() {
        writeln!(to, "\n## To know\n")?;
        for warning in &report.warnings {
            writeln!(to, "- {}", plain(warning))?;
        }
    }

    writeln!(to, "\n## Rotate\n")?;
    for credential in &report.rotate {
        writeln!(
            to,
            "- **{}** ({}). {}",
            credential.what,
            plain(&credential.from),
            plain(&credential.why)
        )?;
    }

    releases(report, to)?;
    now(report, to)?;

    writeln!(
        to,
        "\n## Evidence\n\nKept whole, by its SHA-256. Appraise it again, offline: `{}`\n",
        report.replay
    )?;
    for kept in &report.evidence {
        writeln!(
            to,
            "- {} at {}: `{}` (round {})",
            kept.what, kept.at, kept.sha256, kept.round
        )?;
    }
    Ok(())
}

/// Why an instance stands as it does, and what Masakari says of it.
fn remarks(instance: &Fate) -> String {
    let mut words = instance.detail.clone().unwrap_or_default();
    if let Some(says) = &instance.masakari {
        if !words.is_empty() {
            words.push_str("; ");
        }
        words.push_str(&format!("Masakari says: {says}"));
    }
    words
}

fn undone(report: &Report, to: &mut String) -> std::fmt::Result {
    if report.undone.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "\n## Undone by others\n\n| found | what | who | state | ended |\n| --- | --- | --- | --- | --- |"
    )?;
    for known in &report.undone {
        writeln!(
            to,
            "| {} | {} | {} | {} | {} |",
            known.at,
            plain(&known.what),
            plain(known.who.as_deref().unwrap_or("not known")),
            plain(&known.state),
            known
                .ended_at
                .map_or_else(|| "not yet".to_owned(), |at| at.to_string())
        )?;
    }
    Ok(())
}

fn releases(report: &Report, to: &mut String) -> std::fmt::Result {
    for release in &report.releases {
        writeln!(to, "\n## Release {}\n", release.case)?;
        writeln!(
            to,
            "**{}.** {}\n\n- asked for by {} at {}",
            release.state,
            plain(release.reason.as_deref().unwrap_or("")),
            plain(&release.asked_by),
            release.asked_at
        )?;
        if release.second_person {
            match &release.agreed {
                Some(agreed) => writeln!(
                    to,
                    "- another person agreed: {} at {}",
                    plain(agreed.by.as_deref().unwrap_or("")),
                    agreed.at.map_or_else(String::new, |at| at.to_string())
                )?,
                None => writeln!(to, "- no other person has agreed yet")?,
            }
        }
        for item in &release.items {
            write!(to, "- {}: **{}**", plain(&item.item), item.state)?;
            if let (Some(by), Some(at)) = (&item.by, item.at) {
                write!(to, " by {} at {at}", plain(by))?;
            }
            if let Some(because) = &item.because {
                write!(to, ": {}", plain(because))?;
            }
            writeln!(to)?;
        }
        match &release.verdict {
            Some(known) => writeln!(
                to,
                "- verdict {} in round {}, begun at {}",
                known.verdict, known.round, known.at
            )?,
            None => writeln!(to, "- no verdict yet")?,
        }
    }
    Ok(())
}

fn now(report: &Report, to: &mut String) -> std::fmt::Result {
    let Some(now) = &report.now else {
        return Ok(());
    };
    writeln!(
        to,
        "\n## The host as this was written, {}\n\n{}",
        now.at,
        plain(&now.words())
    )
}

/// Text on one line, in which nothing is markup: not for Markdown, nor for the HTML that it may become.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                plain.push('\\');
                plain.push(c);
            }
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::gather::tests::hostile;

    #[test]
    fn hostile_names_are_no_markup() {
        let text = hostile().markdown();
        assert!(
            !text.contains("<script") && !text.replace("\\]", "").contains("](http"),
            "{text}"
        );
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("script")).collect();
        assert!(!rows.is_empty());
        for row in rows.iter().filter(|row| row.starts_with('|')) {
            let cells = row.replace("\\|", "").matches('|').count();
            assert!([3, 5, 6, 8].contains(&cells), "{cells} bars in {row}");
        }
    }
}
