//! The shipped unit: it starts what exists, keeps state where the agent looks, and gives a reason for each line.

const UNIT: &str = include_str!("../../../systemd/lazaret-agent.service");

fn value(key: &str) -> &'static str {
    UNIT.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .expect(key)
}

#[test]
fn the_unit_starts_the_agent_with_the_sample_s_paths() {
    let mut words = value("ExecStart").split(' ');
    assert_eq!(words.next(), Some("/usr/bin/lazaret-agent"));
    let words: Vec<&str> = words.collect();
    let ["run", "--config", file] = words[..] else {
        panic!("{words:?}")
    };
    let sample = include_str!("../../../systemd/lazaret-agent.toml");
    assert!(sample.contains(file), "the sample names another file than {file}");
    assert!(sample.contains(&format!("/var/lib/{}\"", value("StateDirectory"))));
    let drain: u64 = sample
        .lines()
        .find_map(|l| l.strip_prefix("drain_timeout_s = "))
        .unwrap()
        .parse()
        .unwrap();
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() > 2 * drain);
    assert!(UNIT.contains("DeviceAllow=/dev/tpmrm0 rw") && sample.contains("device:/dev/tpmrm0"));
    // The agent takes its words as the unit gives them: it gets as far as the file, which is not there.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lazaret-agent"))
        .args(["run", "--config", "/nonexistent/agent.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn each_group_of_lines_says_why() {
    let service = UNIT
        .split("[Service]")
        .nth(1)
        .unwrap()
        .split("[Install]")
        .next()
        .unwrap();
    let mut reason = false;
    for line in service.lines() {
        match line {
            "" => reason = false,
            line if line.starts_with('#') => reason = true,
            line if line.starts_with("Type=") || line.starts_with("ExecStart=") => {}
            line => assert!(reason, "no reason above {line}"),
        }
    }
}
