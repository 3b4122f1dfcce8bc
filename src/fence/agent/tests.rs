//! The protocol against an agent of our own, which writes down what it was told.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::permit::Freely;

/// An agent that logs its input, waits where told, and ends as told.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
input=$(cat)
if [ "$input" = "action=metadata" ]; then
    echo '<?xml version="1.0" ?><resource-agent name="fence_test"><parameters>
    <parameter name="ip"><content type="string"/></parameter><parameter name="password"><content type="string"/></parameter>
    </parameters><actions><action name="on"/><action name="off"/><action name="status"/></actions></resource-agent>'
    exit 0
fi
echo "$input" >"$here/input"; echo "$@" >"$here/arguments"; env >"$here/environment"
echo "DeprecationWarning: 'pipes' is deprecated" >&2
. "$here/behave"
"#;

struct Agent {
    directory: tempfile::TempDir,
}

impl Agent {
    fn that(behave: &str) -> Self {
        let agent = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let path = agent.path("fence_test");
        std::fs::write(&path, SCRIPT).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(agent.path("behave"), behave).unwrap();
        agent
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn wrote(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn spec(&self) -> Spec {
        Spec {
            program: self.path("fence_test").to_string_lossy().into_owned(),
            options: BTreeMap::from([("ip".to_owned(), "10.0.0.7".to_owned())]),
            password: Some(SecretSource::Inline(Secret::new("hunter2".to_owned()))),
            timeout: Duration::from_secs(10),
        }
    }

    async fn load(&self) -> FenceAgent {
        FenceAgent::load(self.spec()).await.unwrap()
    }
}

#[tokio::test]
async fn the_password_goes_in_on_standard_input_only() {
    let agent = Agent::that("exit 0");
    let loaded = agent.load().await;
    loaded.ask_off(&Freely).await.unwrap();
    assert_eq!(
        agent.wrote("input"),
        "ip=10.0.0.7\npassword=hunter2\naction=off\n"
    );
    assert_eq!(agent.wrote("arguments"), "\n");
    assert!(!agent.wrote("environment").contains("hunter2"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[tokio::test]
async fn exit_codes_mean_on_off_and_unknown() {
    for (behave, expected) in [
        ("exit 0", Some(Power::On)),
        ("exit 2", Some(Power::Off)),
        ("exit 1", None),
        ("exit 3", None),
    ] {
        assert_eq!(
            Agent::that(behave).load().await.power_state().await.ok(),
            expected,
            "{behave}"
        );
    }
    // "2" is an answer to status, a failure of off.
    assert!(Agent::that("exit 2").load().await.ask_off(&Freely).await.is_err());
}

#[tokio::test]
async fn an_agents_words_are_told_without_the_password() {
    let agent = Agent::that("echo 'Unable to log in with hunter2' >&2; exit 1");
    let words = agent.load().await.ask_off(&Freely).await.unwrap_err().to_string();
    assert!(
        words.contains("Unable to log in with (hidden)") && words.contains("exit code 1"),
        "{words}"
    );
}

#[tokio::test]
async fn a_password_is_hidden_also_where_the_words_are_cut() {
    let agent = Agent::that("printf '%0297dhunter2 no' 0 >&2; exit 1");
    let words = agent.load().await.ask_off(&Freely).await.unwrap_err().to_string();
    assert!(!words.contains("hun") && words.contains("000(hi"), "{words}");
}

#[tokio::test]
async fn an_agent_that_hangs_is_killed() {
    let agent = Agent::that("echo $$ >\"$here/pid\"; exec sleep 1000");
    let mut loaded = agent.load().await;
    loaded.timeout = Duration::from_millis(500);
    let error = loaded.ask_off(&Freely).await.unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    let pid = agent.wrote("pid");
    assert!(
        !Path::new("/proc").join(pid.trim()).exists(),
        "process {pid} lives"
    );
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_load() {
    let agent = Agent::that("exit 0");
    let mut misspelt = agent.spec();
    misspelt.options.insert("ipp".to_owned(), "1".to_owned());
    let words = FenceAgent::load(misspelt).await.unwrap_err().to_string();
    assert!(
        words.contains("ipp") && words.contains("did you mean ip"),
        "{words}"
    );
    let mut absent = agent.spec();
    absent.program = "fence_nothing".to_owned();
    let words = FenceAgent::load(absent).await.unwrap_err().to_string();
    assert!(words.contains("fence-agents"), "{words}");
    let mut relative = agent.spec();
    relative.program = "../fence_test".to_owned();
    assert!(FenceAgent::load(relative).await.is_err());
    let mut broken = agent.spec();
    broken.password = Some(SecretSource::Inline(Secret::new("a\naction=on".to_owned())));
    assert!(
        FenceAgent::load(broken)
            .await
            .unwrap()
            .ask_off(&Freely)
            .await
            .is_err()
    );
}

/// barbican with one secret that is rotated after it was fetched once. Not the real one: that is in tests/cloud.
#[derive(Default)]
struct Vault(std::sync::atomic::AtomicUsize);

impl crate::secrets::Vault for Vault {
    fn fetch<'a>(
        &'a self,
        _: &'a crate::config::secret::BarbicanRef,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + 'a>> {
        let first = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        let now = if first { "old" } else { "new" };
        Box::pin(async move { Ok(Secret::new(now.to_owned())) })
    }
}

#[tokio::test]
async fn a_password_that_was_rotated_in_barbican_is_fetched_when_the_agent_fails() {
    let behave = r#"case "$input" in *password=new*) exit 2;; esac; echo >>"$here/failed"; exit 1"#;
    let agent = Agent::that(behave);
    let mut spec = agent.spec();
    spec.password = Some(SecretSource::Barbican("name:ipmi".parse().unwrap()));
    let secrets = Secrets::from(std::sync::Arc::new(Vault::default()));
    let loaded = FenceAgent::load(spec).await.unwrap().with_secrets(secrets);
    assert_eq!(loaded.power_state().await.unwrap(), Power::Off);
    assert_eq!(loaded.power_state().await.unwrap(), Power::Off);
    assert_eq!(agent.wrote("failed"), "\n", "once, with the old one");
}
