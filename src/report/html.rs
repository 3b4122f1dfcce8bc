//! The report as one self-contained page: for the screen in light and dark, and for paper.
//!
//! Nothing is loaded from elsewhere and nothing runs: the page says so itself, in its content security policy.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Fate, Report};

const STYLE: &str = include_str!("style.css");

/// Everything is escaped by maud, the style sheet alone is not.
pub(super) fn write(report: &Report) -> String {
    page(report).into_string()
}

fn page(report: &Report) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="referrer" content="no-referrer";
                title { "Quarantine of " (report.host) ", case " (report.case) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(report))
                    (findings(report))
                    (timeline(report))
                    (instances(report))
                    (warnings(report))
                    (undone(report))
                    (rotate(report))
                    (releases(report))
                    (now(report))
                    (evidence(report))
                    footer { "Written by lazaret from its records of case " (report.case) ". Mode " (report.mode) "." }
                }
            }
        }
    }
}

fn head(report: &Report) -> Markup {
    let tone = match report.state.as_str() {
        "closed" => "good",
        "stuck" | "held" => "bad",
        _ => "warn",
    };
    html! {
        header {
            p.kicker { "Lazaret quarantine report" }
            h1 { (report.host) " failed attestation" }
            p {
                span class={ "chip " (tone) } { (report.state) }
                " " span.mono { (report.case) }
                " " span.faint { "opened " (report.opened_at) }
                @if let Some(at) = report.closed_at { span.faint { ", closed " (at) } }
                @if let Some(by) = &report.approved_by { span.faint { ", let go on by " (by) } }
            }
            @if let Some(reason) = &report.reason { p { (reason) } }
            @if let Some(recovery) = &report.recovery { p.faint { "Recovery " (recovery) "." } }
        }
        div.numbers {
            @for (step, words) in [
                ("disable", "from evidence to disabled"),
                ("fence", "to seen off"),
                ("evacuate", "to evacuated"),
            ] {
                div {
                    b { @match report.seconds_to(step) { Some(seconds) => { (format!("{seconds:.1} s")) } None => { "not yet" } } }
                    span { (words) }
                }
            }
            div {
                b { (report.count("moved")) " of " (report.instances.len()) }
                span { "instances elsewhere" }
            }
            @let left = report.count("held") + report.count("failed");
            @if left > 0 { div { b { (left) } span { "left for a person" } } }
        }
        p.integrity { (report.integrity) }
    }
}

fn findings(report: &Report) -> Markup {
    html! {
        h2 { "What condemned the host" }
        @if report.findings.is_empty() { p { (report.cause) } }
        @for finding in &report.findings {
            @let condemns = finding.gravity == "contraindicated";
            section.finding.warning[!condemns] {
                h3 {
                    (finding.subject) " "
                    span class={ "chip " (if condemns { "bad" } else { "warn" }) } { (finding.code) }
                }
                p { (finding.meaning) }
                dl {
                    @if let Some(expected) = &finding.expected { dt { "expected" } dd { code { (expected) } } }
                    @if let Some(found) = &finding.found { dt { "found" } dd { code { (found) } } }
                    dt { "what to do" } dd { (finding.remedy) }
                }
            }
        }
    }
}

fn timeline(report: &Report) -> Markup {
    let end = report
        .timeline
        .iter()
        .map(|moment| moment.seconds)
        .fold(0.0, f64::max);
    // A share of the whole in percent; a timeline without length has no bars.
    let share = |seconds: f64| {
        if end > 0.0 {
            (seconds / end * 100.0).clamp(0.0, 100.0)
        } else {
            0.0
        }
    };
    html! {
        h2 { "What happened" }
        p.faint { "Seconds since the first evidence." }
        div.scroll { table {
            thead { tr { th.number { "s" } th.bar { } th { "step" } th { "what" } } }
            tbody {
                @for moment in &report.timeline {
                    tr class=(moment.kind) {
                        td.number title=(moment.at) { (format!("{:.1}", moment.seconds)) }
                        td.bar { i style=(format!("width:{:.1}%", share(moment.seconds))) {} }
                        td.whole { (moment.step) }
                        td.what {
                            @if moment.kind == "trouble" { span.chip.bad { "trouble" } " " }
                            (moment.what)
                        }
                    }
                }
            }
        } }
    }
}

fn instances(report: &Report) -> Markup {
    html! {
        h2 { "Instances" }
        @if report.instances.is_empty() {
            p { "There were none on the host." }
        } @else {
            div.scroll { table {
                thead { tr { th { "instance" } th { "project" } th { "was on" } th { "is on" } th { "state" } th { "its disk" } } }
                tbody { @for instance in &report.instances { (row(instance)) } }
            } }
        }
    }
}

fn row(instance: &Fate) -> Markup {
    let tone = match instance.state.as_str() {
        "moved" => "good",
        "held" | "failed" => "bad",
        "gone" => "plain",
        _ => "warn",
    };
    html! {
        tr {
            td { (instance.name) small.mono { (instance.id) } }
            td.mono { (instance.project) }
            td.whole { (instance.was_on) }
            td.whole { @match &instance.is_on { Some(host) => { (host) } None => { "nowhere" } } }
            td {
                span class={ "chip " (tone) } { (instance.state) }
                @if let Some(detail) = &instance.detail { small { (detail) } }
                @if let Some(says) = &instance.masakari { small { "Masakari says: " (says) } }
            }
            td { (instance.disk) }
        }
    }
}

fn warnings(report: &Report) -> Markup {
    html! {
        @if !report.warnings.is_empty() {
            h2 { "To know" }
            ul { @for warning in &report.warnings { li { (warning) } } }
        }
    }
}

fn undone(report: &Report) -> Markup {
    html! {
        @if !report.undone.is_empty() {
            h2 { "Undone by others" }
            div.scroll { table {
                thead { tr { th { "found" } th { "what" } th { "who" } th { "state" } th { "ended" } } }
                tbody {
                    @for known in &report.undone {
                        tr {
                            td.whole { (known.at) }
                            td { (known.what) }
                            td { (known.who.as_deref().unwrap_or("not known")) }
                            td { span class={ "chip " (if known.ended_at.is_some() { "good" } else { "bad" }) } { (known.state) } }
                            td.whole { @match known.ended_at { Some(at) => { (at) } None => { "not yet" } } }
                        }
                    }
                }
            } }
        }
    }
}

fn releases(report: &Report) -> Markup {
    html! {
        @for release in &report.releases {
            h2 { "Release" }
            p {
                span class={ "chip " (if release.state == "closed" { "plain" } else { "warn" }) } { (release.state) }
                " " span.mono { (release.case) }
                span.faint { " asked for by " (release.asked_by) " at " (release.asked_at) }
                @if let Some(at) = release.closed_at { span.faint { ", closed " (at) } }
            }
            @if let Some(reason) = &release.reason { p { (reason) } }
            p {
                @match &release.verdict {
                    Some(known) => { "Verdict " b { (known.verdict) } " in round " span.mono { (known.round) } ", begun at " (known.at) "." }
                    None => { "No verdict yet." }
                }
                @if release.second_person {
                    @match &release.agreed {
                        Some(agreed) => { " Another person agreed: " (agreed.by.as_deref().unwrap_or_default()) "." }
                        None => { " No other person has agreed yet." }
                    }
                }
            }
            div.scroll { table {
                thead { tr { th { "item" } th { "state" } th { "by" } th { "when" } th { "because" } } }
                tbody {
                    @for item in &release.items {
                        tr {
                            td { (item.item) }
                            td { span class={ "chip " (if item.state == "missing" { "bad" } else { "plain" }) } { (item.state) } }
                            td { (item.by.as_deref().unwrap_or_default()) }
                            td.whole { @if let Some(at) = item.at { (at) } }
                            td { (item.because.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            } }
        }
    }
}

fn now(report: &Report) -> Markup {
    html! {
        @if let Some(now) = &report.now {
            h2 { "The host as this was written" }
            p { span.faint { (now.at) ". " } (now.words()) }
        }
    }
}

fn rotate(report: &Report) -> Markup {
    html! {
        h2 { "Credentials to rotate" }
        p { "Whoever controlled the host could read these. The quarantine is only complete when they are replaced." }
        ul.rotate {
            @for credential in &report.rotate {
                li { b { (credential.what) } p { (credential.why) } p.faint { "On the host: " (credential.from) } }
            }
        }
    }
}

fn evidence(report: &Report) -> Markup {
    html! {
        h2 { "Evidence" }
        p { "Kept whole, under its SHA-256. Anybody can appraise it again, offline: " code { (report.replay) } }
        div.scroll { table {
            thead { tr { th { "what" } th { "when" } th { "SHA-256" } th { "round" } } }
            tbody {
                @for kept in &report.evidence {
                    tr {
                        td { (kept.what) }
                        td { (kept.at) }
                        td { code { (kept.sha256) } }
                        td { code { (kept.round) } }
                    }
                }
            }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gather::tests::hostile;

    #[test]
    fn the_page_is_self_contained_and_hostile_names_are_text() {
        let page = hostile().html();
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(!page.contains("<script"), "{page}");
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside} in the page");
        }
        assert!(!page.contains("onload=\""), "an attribute was broken out of");
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    }
}
