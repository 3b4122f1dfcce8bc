//! When a pause begins and ends, and which is none.

use clap::Parser;

use super::*;

#[test]
fn a_time_is_a_moment_or_a_length() {
    let begin: Timestamp = "2026-11-21T22:00:00Z".parse().unwrap();
    for (text, at) in [
        ("2026-11-22T06:00:00+01:00", "2026-11-22T05:00:00.000Z"),
        ("90m", "2026-11-21T23:30:00.000Z"),
        ("2h", "2026-11-22T00:00:00.000Z"),
        ("3d", "2026-11-24T22:00:00.000Z"),
    ] {
        assert_eq!(
            text.parse::<When>().unwrap().from(begin).to_string(),
            at,
            "{text}"
        );
    }
    for bad in [
        "",
        "h",
        "-2h",
        "2",
        "2w",
        "tomorrow",
        "99999999999999999999d",
        "9999999d",
        "2hh",
    ] {
        assert!(bad.parse::<When>().is_err(), "{bad}");
    }
}

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    pause: PauseArgs,
}

/// A moment so many seconds from now.
fn moment(seconds: i64) -> String {
    let now = SystemClock.now().as_millis();
    Timestamp::from_millis(now + seconds * 1000).to_string()
}

/// A pause of the cloud by the command; what is written of it.
async fn pauses(from: Option<&str>, until: &str) -> (Result<Exit, Trouble>, Vec<Pause>) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let text = format!(
        "[store]\npath = \"{}\"\n[identity]\ndirectory = \"{}\"\n[appraisal]\npolicy = \"{}\"\n",
        at("lazaret.db"),
        at("identity"),
        at("golden.toml"),
    );
    let config = directory.path().join("lazaret.toml");
    std::fs::write(&config, text).unwrap();
    let mut arguments = vec![
        "pause",
        "--cloud",
        "--because",
        "firmware update",
        "--until",
        until,
    ];
    arguments.extend(from.iter().flat_map(|from| ["--from", *from]));
    let command = Command::try_parse_from(arguments).unwrap();
    let ended = command.pause.run(&config).await;
    let store = Store::open(Path::new(&at("lazaret.db"))).await.unwrap();
    let written = store.pauses(Timestamp::from_millis(0)).await.unwrap();
    (ended, written)
}

const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn a_pause_ends_after_it_begins_and_after_now_and_within_30_days() {
    for (from, until, what) in [
        (None, moment(-60), "it is over"),
        (None, "0s".to_owned(), "it is none"),
        (Some(moment(-7200)), moment(-3600), "it was over an hour ago"),
        (Some(moment(7200)), moment(3600), "it ends before it begins"),
        (Some(moment(3600)), "0s".to_owned(), "it ends as it begins"),
        (None, "31d".to_owned(), "31 days"),
        (None, format!("{}s", 30 * DAY + 1), "a second more than 30 days"),
        (Some(moment(3600)), moment(31 * DAY), "more than 30 days, later"),
        (Some(moment(-DAY)), "30d".to_owned(), "31 days, since yesterday"),
    ] {
        let (ended, written) = pauses(from.as_deref(), &until).await;
        let refused = ended.expect_err(what);
        assert_eq!(refused.exit, Exit::Usage, "{what}");
        assert!(
            format!("{:#}", refused.cause).contains("within 30 days"),
            "{what}: {:#}",
            refused.cause
        );
        assert_eq!(written, [], "{what}");
    }
}

#[tokio::test]
async fn a_pause_begins_when_it_is_told_and_its_length_counts_from_then_or_from_now() {
    let before = SystemClock.now();
    for (from, until, begins, ends) in [
        (None, "30d", 0, 30 * DAY),
        (Some(moment(3600)), "30d", 3600, 3600 + 30 * DAY),
        (Some("2h".to_owned()), "90m", 7200, 7200 + 5400),
        // One that began before is not over sooner for that.
        (Some(moment(-3600)), "2h", -3600, 7200),
    ] {
        let (ended, written) = pauses(from.as_deref(), until).await;
        assert_eq!(ended.unwrap(), Exit::Ok);
        let [pause] = &written[..] else {
            panic!("{written:?}")
        };
        let near = |at: Timestamp, seconds: i64| {
            let off = at.as_millis() - before.as_millis() - seconds * 1000;
            // A slow machine is a little later.
            (0..60_000).contains(&off)
        };
        assert!(near(pause.from, begins), "{from:?} {until}: {pause:?}");
        assert!(near(pause.until, ends), "{from:?} {until}: {pause:?}");
    }
}
