//! The sample as shipped, and every way in which a file can be wrong.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::file::ConfigFile;
use super::{Config, ConfigError, FenceMethod, Login, ResponseMode, SecretSource, ServerTrust, Severity};

const SAMPLE: &str = include_str!("../../systemd/lazaret.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/lazaret/lazaret.toml"))
}

fn json_of(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<ConfigFile>(text).unwrap()).unwrap()
}

/// The sample with every commented key and table in force.
fn uncommented() -> String {
    let key = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with('[') || rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    SAMPLE
        .lines()
        .map(|line| if key(line) { &line[1..] } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_sample_is_a_configuration() {
    let config = parse(SAMPLE).unwrap();
    assert_eq!(config.response.mode, ResponseMode::Observe);
    assert_eq!(config.agents.answer_timeout, Duration::from_secs(60));
    assert!(matches!(config.openstack.unwrap().login, Login::Password { .. }));
}

#[test]
fn the_sample_names_every_key() {
    fn absent(at: &str, value: &Value, all: &mut Vec<String>) {
        match value {
            Value::Null => all.push(at.to_owned()),
            Value::Object(map) if map.is_empty() => all.push(at.to_owned()),
            Value::Array(list) if list.is_empty() => all.push(at.to_owned()),
            Value::Object(map) => map
                .iter()
                .for_each(|(key, value)| absent(&format!("{at}.{key}"), value, all)),
            Value::Array(list) => list.iter().for_each(|value| absent(at, value, all)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    // Keys with a value of their own when absent are counted: each must stand in the text, under its table.
    let (text, mut all) = (uncommented(), Vec::new());
    absent("", &json_of(&text), &mut all);
    let written = toml::from_str::<toml::Table>(&text).unwrap();
    fn unwritten(at: &str, typed: &Value, written: Option<&toml::Value>, all: &mut Vec<String>) {
        let Some(written) = written else {
            return all.push(at.to_owned());
        };
        match typed {
            Value::Object(map) => {
                for (key, value) in map {
                    unwritten(&format!("{at}.{key}"), value, written.get(key.as_str()), all);
                }
            }
            Value::Array(list) => list
                .iter()
                .for_each(|value| unwritten(at, value, written.get(0), all)),
            _ => {}
        }
    }
    unwritten("", &json_of(&text), Some(&toml::Value::Table(written)), &mut all);
    assert!(all.is_empty(), "keys that the sample does not name: {all:?}");
}

#[test]
fn every_default_that_the_sample_states_is_the_real_one() {
    let real = json_of("[openstack]\n[[notify.webhook]]\n");
    let (mut table, mut comment, mut seen) = (String::new(), String::new(), 0);
    for line in SAMPLE.lines() {
        if line.is_empty() {
            comment.clear();
        } else if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').replace('.', "/");
            comment.clear();
        } else if let Some(name) = line.strip_prefix("#[[") {
            table = format!("{}/0", name.trim_end_matches(']').replace('.', "/"));
            comment.clear();
        } else if line.starts_with("# ") || line == "#" {
            comment.push_str(line);
        } else if let Some(key_line) = line.strip_prefix('#') {
            assert!(!comment.is_empty(), "no text says what this means: {line}");
            if comment.contains("No default") {
                continue;
            }
            let (key, _) = key_line.split_once(" = ").unwrap();
            let stated = toml::from_str::<toml::Table>(key_line)
                .unwrap()
                .remove(key)
                .unwrap();
            let pointer = if table.is_empty() {
                format!("/{key}")
            } else {
                format!("/{table}/{key}")
            };
            let real = real
                .pointer(&pointer)
                .unwrap_or_else(|| panic!("no key {pointer}"));
            assert_eq!(
                &serde_json::to_value(stated).unwrap(),
                real,
                "the default of {pointer}"
            );
            seen += 1;
        } else {
            assert!(!comment.is_empty(), "no text says what this means: {line}");
        }
    }
    assert!(seen > 30, "only {seen} defaults were compared");
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = parse("").unwrap();
    assert!(config.openstack.is_none() && config.notify.is_empty() && config.hosts.is_empty());
    let host = "cmp-1".parse().unwrap();
    assert_eq!(config.agent_url(&host).unwrap().as_str(), "https://cmp-1:7990/");
    assert_eq!(
        config.policy_path(&host),
        Path::new("/etc/lazaret/golden/cmp-1.toml")
    );
    assert!(config.fence_methods(&host).is_empty());
}

#[test]
fn a_host_has_its_own_settings() {
    let config = parse(
        r#"
        [[host]]
        name = "cmp-1"
        agent = "https://10.0.0.11:1"
        policy = "/p/own.toml"
        [[host.fence]]
        kind = "redfish"
        url = "http://127.0.0.1:8000"
        system = "1"
        username = "u"
        password_credential = "bmc"
        tls_pin = "sha256:abababababababababababababababababababababababababababababababab"
        [[host.fence]]
        kind = "agent"
        program = "fence_ipmilan"
        options = { ip = "10.0.1.11" }
        password_file = "/s/ipmi"
        "#,
    )
    .unwrap();
    let host = "cmp-1".parse().unwrap();
    assert_eq!(config.agent_url(&host).unwrap().as_str(), "https://10.0.0.11:1/");
    assert_eq!(config.policy_path(&host), Path::new("/p/own.toml"));
    let [
        FenceMethod::Redfish { trust, .. },
        FenceMethod::Agent { program, .. },
    ] = config.fence_methods(&host)
    else {
        panic!("two methods in their order: {:?}", config.hosts)
    };
    assert_eq!(trust, &ServerTrust::Pin([0xab; 32]));
    assert_eq!(program, Path::new("fence_ipmilan"));
    let secrets: Vec<_> = config
        .secrets()
        .into_iter()
        .map(|(key, source)| format!("{key}: {source}"))
        .collect();
    assert_eq!(
        secrets,
        [
            "host cmp-1, fence[1].password: systemd credential bmc",
            "host cmp-1, fence[2].password: file /s/ipmi"
        ]
    );
}

#[test]
fn each_mistake_is_named_with_its_line_and_what_is_allowed() {
    const CLOUD: &str = "[openstack]\nauth_url = \"https://k\"\nusername = \"u\"\nproject = \"p\"\n";
    const FENCE: &str = "[[host]]\nname = \"a\"\n[[host]]\nname = \"b\"\n[[host.fence]]\n";
    let pin = format!("tls_pin = \"sha256:{}\"", "0".repeat(64));
    for (text, line, words) in [
        // typed wrong
        ("[stor]\n".to_owned(), 1, &["stor", "store"][..]),
        (
            "\n[response]\nmoed = \"observe\"\n".to_owned(),
            3,
            &["moed", "mode"],
        ),
        (
            "[[host]]\nname = \"a\"\nfense = 1\n".to_owned(),
            3,
            &["fense", "fence"],
        ),
        (
            "[response]\n\nmax_cases = \"2\"\n".to_owned(),
            3,
            &["string", "u32"],
        ),
        ("[fence]\noff_polls = -1\n".to_owned(), 2, &["-1"]),
        (
            "[store]\npath = \"/a\"\npath = \"/b\"\n".to_owned(),
            3,
            &["duplicate"],
        ),
        ("[store\n".to_owned(), 1, &[]),
        // means nothing
        (
            "[response]\nmode = \"enforced\"\n".to_owned(),
            2,
            &["response.mode", "enforced", "observe", "enforce"],
        ),
        (
            "[response]\nrecovery = \"heat\"\n".to_owned(),
            2,
            &["response.recovery", "masakari", "nova"],
        ),
        (
            "[response]\nlocal_disk = \"\"\n".to_owned(),
            2,
            &["hold", "rebuild"],
        ),
        (
            "[response]\nlease_s = 601\n".to_owned(),
            2,
            &["response.lease_s", "601", "5 to 600"],
        ),
        (
            "[response]\nmode = \"enforce\"\n".to_owned(),
            2,
            &["without a cloud", "[openstack]"],
        ),
        (
            "[schedule]\n\ncron = \"*/10 * * *\"\n".to_owned(),
            3,
            &["schedule.cron", "six fields"],
        ),
        (
            "[schedule]\nconcurrency = 0\n".to_owned(),
            2,
            &["schedule.concurrency", "1 to 1024"],
        ),
        (
            "[schedule]\nround_deadline_s = 0\n".to_owned(),
            2,
            &["1 to 86400"],
        ),
        (
            "[appraisal]\npcrs = \"sha256:99\"\n".to_owned(),
            2,
            &["appraisal.pcrs", "sha256:0,1,7"],
        ),
        (
            "[appraisal]\npolicy = \"/g/{hots}.toml\"\n".to_owned(),
            2,
            &["{hots}", "{host}"],
        ),
        (
            "[appraisal]\npolicy = \"golden/{host}.toml\"\n".to_owned(),
            2,
            &["absolute"],
        ),
        (
            "[agents]\nurl_template = \"http://{host}:1\"\n".to_owned(),
            2,
            &["agents.url_template", "https"],
        ),
        (
            "[agents]\nurl_template = \"https://agent:1\"\n".to_owned(),
            2,
            &["{host}"],
        ),
        (
            "[store]\npath = \"lazaret.db\"\n".to_owned(),
            2,
            &["store.path", "absolute"],
        ),
        (
            "[log]\nformat = \"xml\"\n".to_owned(),
            2,
            &["log.format", "text", "json"],
        ),
        (
            "[log]\nfilter = \"lazaret=loud\"\n".to_owned(),
            2,
            &["log.filter"],
        ),
        // the cloud
        (
            "\n[openstack]\nusername = \"u\"\n".to_owned(),
            2,
            &["openstack.auth_url", "missing"],
        ),
        (
            "[openstack]\nauth_url = \"https://k\"\n".to_owned(),
            1,
            &["no login", "application_credential_id"],
        ),
        (CLOUD.to_owned(), 1, &["openstack.password", "password_file"]),
        (
            format!("{CLOUD}password = \"hunter2\"\n"),
            5,
            &["openstack.password", "allow_inline_secrets"],
        ),
        (
            format!("{CLOUD}password_file = \"/p\"\napplication_credential_id = \"i\"\n"),
            6,
            &["two logins", "either"],
        ),
        (
            format!("{CLOUD}password_file = \"/p\"\npassword_credential = \"c\"\n"),
            1,
            &["more than once"],
        ),
        (
            format!("{CLOUD}password_credential = \"../c\"\n"),
            5,
            &["systemd credential", "LoadCredential"],
        ),
        (
            format!("{CLOUD}password_file = \"p\"\n"),
            5,
            &["openstack.password_file", "absolute"],
        ),
        (
            "[openstack]\nauth_url = \"https://u:pw@k\"\n".to_owned(),
            2,
            &["user or password in it"],
        ),
        (
            "[openstack]\nauth_url = \"ftp://k\"\n".to_owned(),
            2,
            &["neither http nor https"],
        ),
        (
            format!("{CLOUD}password_file = \"/p\"\n[openstack.endpoints]\ncompute = \"nova\"\n"),
            7,
            &["openstack.endpoints.compute", "no address"],
        ),
        (
            format!("{CLOUD}[openstack.endpoints]\ninstance_ha = \"x\"\n"),
            6,
            &["instance_ha", "instance-ha"],
        ),
        // hosts
        (
            "[[host]]\nname = \"../../etc/passwd\"\n".to_owned(),
            2,
            &["host[1].name", "host name"],
        ),
        ("[[host]]\nname = \"a/b\"\n".to_owned(), 2, &["host[1].name"]),
        (
            "[[host]]\nagent = \"https://a\"\n".to_owned(),
            1,
            &["host[1].name", "missing"],
        ),
        (
            "[[host]]\nname = \"a\"\n[[host]]\nname = \"a\"\n".to_owned(),
            4,
            &["host[2].name", "twice"],
        ),
        (
            "[[host]]\nname = \"a\"\nagent = \"http://a\"\n".to_owned(),
            3,
            &["host[1].agent", "https"],
        ),
        (
            "[[host]]\nname = \"a\"\nendorsement_certificates = [\"73ff\"]\n".to_owned(),
            3,
            &["host[1].endorsement_certificates", "sha256:"],
        ),
        (
            format!(
                "[[host]]\nname = \"a\"\nendorsement_certificates = [\"sha256:{0}\"]\n[[host]]\nname = \"b\"\nendorsement_certificates = [\"sha256:{0}\"]\n",
                "0".repeat(64)
            ),
            6,
            &["host[2].endorsement_certificates", "one TPM is one host"],
        ),
        // fencing
        (
            format!("{FENCE}kind = \"ipmi\"\n"),
            6,
            &["host[2].fence[1].kind", "redfish", "agent"],
        ),
        (
            format!("{FENCE}url = \"https://b\"\n"),
            5,
            &["host[2].fence[1].kind", "missing"],
        ),
        (
            format!("{FENCE}kind = \"redfish\"\nurl = \"http://bmc\"\n"),
            7,
            &["fence[1].url", "not protected"],
        ),
        (
            format!("{FENCE}kind = \"redfish\"\nprogram = \"x\"\n"),
            7,
            &["program", "no meaning"],
        ),
        (
            format!("{FENCE}kind = \"agent\"\nprogram = \"x\"\n{pin}\n"),
            8,
            &["tls_pin", "no meaning"],
        ),
        (
            format!("{FENCE}kind = \"redfish\"\nurl = \"https://b\"\ntls_pin = \"ab\"\n"),
            8,
            &["sha256:", "64"],
        ),
        (
            format!("{FENCE}kind = \"redfish\"\nurl = \"https://b\"\nsystem_uuid = \"1\"\n"),
            8,
            &["UUID"],
        ),
        (format!("{FENCE}kind = \"agent\"\n"), 5, &["program", "missing"]),
        (
            format!("{FENCE}kind = \"agent\"\nprogram = \"../x\"\n"),
            7,
            &["program", "absolute"],
        ),
        (
            format!("{FENCE}kind = \"agent\"\nprogram = \"x\"\noptions = {{ action = \"on\" }}\n"),
            8,
            &["action", "set by lazaret"],
        ),
        // who is told
        (
            "[notify]\nwebhook_url = \"http://alerts\"\n".to_owned(),
            2,
            &["notify.webhook_url", "https"],
        ),
        (
            "[notify]\nwebhook_secret_file = \"/s\"\n".to_owned(),
            1,
            &["notify.webhook_url", "missing"],
        ),
    ] {
        let error = parse(&text).expect_err(&text);
        let message = error.to_string();
        let place = format!("/etc/lazaret/lazaret.toml:{line}: ");
        assert!(
            message.starts_with(&place),
            "{text}\nexpected {place}\nfound {message}"
        );
        for word in words {
            assert!(message.contains(word), "{text}\nno {word} in {message}");
        }
        assert!(
            !message.contains("hunter2") && !message.contains('\n'),
            "{message}"
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_secret_in_the_file_needs_leave_and_is_never_shown() {
    let text =
        "allow_inline_secrets = true\n[notify]\nwebhook_url = \"https://a\"\nwebhook_secret = \"hunter2\"\n";
    let config = parse(text).unwrap();
    let Some(SecretSource::Inline(secret)) = config.notify[0].secret.clone() else {
        panic!("an inline secret")
    };
    assert_eq!(secret.expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", toml::from_str::<ConfigFile>(text)).contains("hunter2"));
}

#[test]
fn several_webhooks_each_have_a_name_and_what_they_are_told() {
    let text = "[notify]\nwebhook_url = \"https://a\"\n[[notify.webhook]]\nname = \"pager\"\nurl = \"https://b\"\n\
                events = [\"case-*\", \"drift\"]\nmin_severity = \"critical\"\n";
    let all = parse(text).unwrap().notify;
    let names: Vec<_> = all.iter().map(|webhook| webhook.name.as_str()).collect();
    assert_eq!(names, ["default", "pager"]);
    let told = |kind| {
        all.iter()
            .map(|webhook| webhook.wants(kind, Severity::Critical))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (told("case-opened"), told("paused")),
        (vec![true, true], vec![true, false])
    );
    assert!(!all[1].wants("case-closed", Severity::Info) && all[0].wants("case-closed", Severity::Info));
    for (name, value, words) in [
        ("name", "\"journal\"", "the daemon's own log"),
        ("name", "\"default\"", "stands twice"),
        ("name", "\"a b\"", "letters, digits"),
        ("events", "[\"caze-*\"]", "no event is named \"caze-*\""),
        ("events", "[]", "never be told"),
        ("min_severity", "\"loud\"", "\"critical\""),
        ("url", "\"http://b\"", "https"),
        ("secret_barbican", "\"name:x\"", "there is no cloud to ask"),
    ] {
        let mut table = toml::Table::new();
        for (key, value) in [("name", "\"pager\""), ("url", "\"https://b\""), (name, value)] {
            table.insert(
                key.to_owned(),
                toml::from_str::<toml::Table>(&format!("v = {value}")).unwrap()["v"].clone(),
            );
        }
        let text = format!("[notify]\nwebhook_url = \"https://a\"\n[[notify.webhook]]\n{table}");
        let error = parse(&text).unwrap_err().to_string();
        assert!(
            error.contains(&format!("notify.webhook[1].{name}")) && error.contains(words),
            "{error}"
        );
    }
}

#[test]
fn barbican_keeps_the_passwords_of_bmcs_and_never_keystones_own() {
    let cloud = "[openstack]\nauth_url = \"https://k\"\nusername = \"u\"\nproject = \"p\"\n";
    let host = "[[host]]\nname = \"cmp-1\"\n[[host.fence]]\nkind = \"agent\"\nprogram = \"fence_ipmilan\"\n";
    let given =
        |cloud: &str, fence: &str| parse(&format!("allow_inline_secrets = true\n{cloud}{host}{fence}"));
    let named = format!("{cloud}password = \"x\"\n");
    let config = given(&named, "password_barbican = \"name:bmc-cmp-1\"\n").unwrap();
    let method = &config.fence_methods(&"cmp-1".parse().unwrap())[0];
    assert!(matches!(method.password(), Some(SecretSource::Barbican(_))));
    for (cloud, fence, words) in [
        (
            format!("{cloud}password_barbican = \"name:x\"\n"),
            "",
            "password_barbican",
        ),
        (
            named.clone(),
            "password_barbican = \"bmc\"\n",
            "names no secret of barbican's",
        ),
        (
            named.clone(),
            "password_barbican = \"name:a\"\npassword = \"b\"\n",
            "given more than once",
        ),
        (
            String::new(),
            "password_barbican = \"name:a\"\n",
            "there is no cloud to ask",
        ),
    ] {
        let error = given(&cloud, fence).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nonexistent/lazaret.toml"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nonexistent/lazaret.toml"), "{error}");
}
