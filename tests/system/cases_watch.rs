//! The watch itself: rows 26, 27 and 29 of the cases of a response, and 73 of attestation.

use std::{fs, path::PathBuf, process::Command};

use super::{
    lab::{Daemon, Lab, Said, until},
    scene::{Scene, enforcing, id, told},
    world::World,
};

/// A clock that a test sets, for the programs that it starts: the real one, by an interposed library, is set by so much.
/// What the kernel counts since it started is not touched, as when somebody sets a machine's time.
struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    fn of(lab: &Lab) -> Self {
        let listed = Command::new("dpkg")
            .args(["-L", "libfaketime"])
            .output()
            .expect("dpkg");
        let listed = String::from_utf8(listed.stdout).expect("paths");
        let library = listed
            .lines()
            .find(|path| path.ends_with("/libfaketime.so.1"))
            .expect("libfaketime is installed by the lab");
        let clock = Self {
            file: lab.path("clock"),
            library: library.into(),
        };
        clock.set("+0");
        clock
    }

    /// By so many seconds against the machine's: `+3600`, `-60`.
    fn set(&self, by: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{by}\n")).expect("the clock's file");
        fs::rename(new, &self.file).expect("the clock's file");
    }

    fn of_command<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    fn serve(&self, lab: &Lab) -> Daemon {
        lab.serve_as(|command| {
            self.of_command(command);
        })
    }

    fn lazaret(&self, lab: &Lab, args: &[&str]) -> Said {
        let mut command = lab.command(args);
        super::lab::said(self.of_command(&mut command).output().expect("lazaret runs"))
    }

    /// Nothing that `lazaret hosts` shows is stale.
    #[track_caller]
    fn nothing_is_stale(&self, lab: &Lab) {
        let hosts = self.lazaret(lab, &["hosts", "--json"]).expect(0).json();
        for row in hosts.as_array().expect("a list") {
            assert_eq!(row["stale"], false, "{row:#}");
        }
    }
}

/// Waits until each of these hosts was attested again.
#[track_caller]
fn another_round(lab: &Lab, hosts: &[&str]) {
    let last: Vec<_> = hosts.iter().map(|host| lab.attested_at(host)).collect();
    for (host, last) in hosts.iter().zip(last) {
        until(&format!("another round of {host}"), 40, || {
            (lab.attested_at(host) != last).then_some(())
        });
    }
}

const HOSTS: [&str; 3] = ["cmp-1", "cmp-2", "cmp-3"];

/// Waits until each host is Affirming.
#[track_caller]
fn all_affirming(lab: &Lab) {
    for host in HOSTS {
        until(&format!("{host} is Affirming"), 60, || {
            lab.verdict(host).filter(|verdict| verdict == "affirming")
        });
    }
}

/// 26 and 27: the daemon's clock is set an hour ahead, and in the middle of a case two hours back. Nothing is stale or
/// silent for it, nobody is condemned for it; the case goes on as if nothing was: once off, once evacuated, told once.
#[test]
fn case_26_27_a_clock_that_is_set_makes_nothing_stale_and_repeats_nothing() {
    let mut lab = enforcing("nova");
    // So seldom that what is shown right after a jump is a result from before it.
    lab.set("schedule", "cron", "*/5 * * * * *");
    let scene = Scene::of(lab, 4);
    let lab = &scene.lab;
    let clock = Clock::of(lab);
    let daemon = clock.serve(lab);
    all_affirming(lab);

    another_round(lab, &HOSTS);
    clock.set("+3600");
    told(&daemon, "event=\"clock-jumped\"", 30);
    clock.nothing_is_stale(lab);
    another_round(lab, &HOSTS);
    clock.nothing_is_stale(lab);
    assert!(lab.cases().is_empty());

    let case = scene.break_in();
    until("cmp-1 is off", 60, || (lab.power("cmp-1") == "off").then_some(()));
    clock.set("-3600");
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    clock.nothing_is_stale(lab);
    // The next rounds have times before the last ones; they are the newest all the same.
    another_round(lab, &HOSTS[1..]);
    for host in &HOSTS[1..] {
        assert_eq!(lab.verdict(host).as_deref(), Some("affirming"));
    }
    clock.nothing_is_stale(lab);

    assert_eq!(lab.cases().len(), 1);
    let log = daemon.log();
    for (event, times) in [
        ("case-opened", 1),
        ("host-fenced", 1),
        ("host-evacuated", 1),
        ("case-closed", 1),
        ("host-silent", 0),
        ("host-indeterminate", 0),
        ("drift", 0),
    ] {
        let told = log.matches(&format!("event=\"{event}\"")).count();
        assert_eq!(told, times, "{event}");
    }
    assert_eq!(daemon.stop(), 0);
}

/// 29: the daemon hears nobody. That is told once, as what it is, and no host is touched. 73: one host is silent: no new
/// instances after a while, and nothing more; when it speaks it gets them again.
#[test]
fn case_29_73_silence_closes_one_host_to_new_instances_and_of_all_is_the_daemons_own() {
    let mut lab = enforcing("nova");
    lab.set("schedule", "round_deadline_s", 3);
    lab.set("agents", "answer_timeout_s", 2);
    lab.set("response", "silence_unschedule_s", 1);
    lab.set("response", "silence_rounds", 2);
    let scene = Scene::of(lab, 3);
    let (lab, world) = (&scene.lab, &scene.world);
    let power = lab.power_log();
    let daemon = lab.serve();
    all_affirming(lab);

    for host in HOSTS {
        lab.lab(&["host", "silence", host]);
    }
    told(&daemon, "event=\"daemon-cut-off\"", 60);
    for _ in 0..4 {
        another_round(lab, &HOSTS);
    }
    assert_all_take_instances(world);
    assert!(lab.cases().is_empty(), "{:?}", lab.cases());
    assert_eq!(daemon.log().matches("event=\"daemon-cut-off\"").count(), 1);
    assert_eq!(daemon.log().matches("event=\"host-silent\"").count(), 0);

    for host in HOSTS {
        lab.lab(&["host", "speak", host]);
    }
    all_affirming(lab);

    lab.lab(&["host", "silence", "cmp-2"]);
    told(&daemon, "event=\"host-silent\"", 60);
    until("cmp-2 gets no new instances", 60, || {
        (world.service("cmp-2")["status"] == "disabled").then_some(())
    });
    let case = scene.case_of("cmp-2").expect("a case");
    assert!(case.starts_with("u-"), "{case}");
    scene.closed(&case);
    for _ in 0..3 {
        another_round(lab, &["cmp-2"]);
    }
    let service = world.service("cmp-2");
    assert_eq!(service["forced_down"], false);
    let reason = service["disabled_reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains(&case), "{reason}");
    assert_eq!(lab.power_log(), power, "no power switch was touched");
    assert!(world.evacuations("cmp-2").is_empty());
    assert!(
        world
            .aggregates()
            .iter()
            .all(|one| one["hosts"].as_array().unwrap().is_empty())
    );
    let there: Vec<_> = world.servers_on("cmp-2").iter().map(id).collect();
    assert_eq!(there.len(), 1, "its instance runs on");

    lab.lab(&["host", "speak", "cmp-2"]);
    until("cmp-2 gets new instances again", 60, || {
        (world.service("cmp-2")["status"] == "enabled").then_some(())
    });
    assert_all_take_instances(world);
    let kinds: Vec<String> = lab
        .cases()
        .iter()
        .map(|case| case["id"].as_str().unwrap()[..2].to_owned())
        .collect();
    assert!(kinds.iter().all(|kind| kind == "u-" || kind == "s-"), "{kinds:?}");
    drop(daemon);
}

#[track_caller]
fn assert_all_take_instances(world: &World) {
    for host in HOSTS {
        let service = world.service(host);
        assert_eq!(service["status"], "enabled", "{service}");
        assert_eq!(service["forced_down"], false, "{service}");
    }
}
