//! First contact: whom an operator may trust, and what is refused.

use lazaret_wire::tls::TlsIdentity;

use super::{
    fakes::{Answer, FakeAgent, verifier_client},
    lab::Lab,
};

fn verifier(lab: &Lab) -> TlsIdentity {
    let config: toml::Table = std::fs::read_to_string(lab.config_file())
        .unwrap()
        .parse()
        .unwrap();
    TlsIdentity::load_or_make(
        config["identity"]["directory"].as_str().unwrap().as_ref(),
        "lazaret",
    )
    .unwrap()
}

#[test]
fn a_genuine_tpm_is_enrolled_and_its_keys_are_pinned() {
    let lab = Lab::take();
    let said = lab.lazaret(&["enroll", "cmp-1"]).expect(0);
    assert!(
        said.out.contains("swtpm-localca-rootca"),
        "the chain is shown: {}",
        said.out
    );
    // Again: the same keys, no question.
    lab.lazaret(&["enroll", "cmp-1"]).expect(0);
    let hosts = lab.hosts();
    assert_eq!(hosts[0]["host"], "cmp-1");
    assert!(
        hosts[0]["verdict"].is_null(),
        "nothing is said of a host that was not attested: {hosts}"
    );
}

#[test]
fn all_of_novas_hosts_are_enrolled_at_once() {
    let lab = Lab::take();
    let rows = lab.lazaret(&["enroll", "--all", "--json"]).expect(0).json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["enrolled"] == true), "{rows:?}");
    // One that does not answer fails by itself; the others are not held up by it.
    lab.lab(&["host", "kill-agent", "cmp-2"]);
    let said = lab.lazaret(&["enroll", "--all"]).expect(1);
    assert!(
        said.out.contains("FAILED") && said.out.contains("cannot be reached"),
        "{}",
        said.out
    );
    assert_eq!(said.out.matches(" enrolled").count(), 2, "{}", said.out);
}

#[test]
fn a_tpm_of_an_unknown_maker_is_refused_though_the_names_are_the_same() {
    let lab = Lab::take();
    let url = lab.about["foreign"]["agent_url"].as_str().unwrap();
    let said = lab.lazaret(&["enroll", "foreign", "--agent", url]).expect(77);
    assert!(
        said.err.contains("no endorsement key of foreign can be trusted"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("swtpm-localca"),
        "the missing issuer is named: {}",
        said.err
    );
    assert_eq!(lab.hosts().as_array().unwrap().len(), 0);
}

#[test]
fn another_hosts_agent_is_not_taken_for_this_one() {
    let lab = Lab::take();
    let url = lab.host("cmp-2")["agent_url"].as_str().unwrap();
    let said = lab.lazaret(&["enroll", "cmp-1", "--agent", url]).expect(77);
    assert!(
        said.err.contains("says that it is the agent of cmp-2"),
        "{}",
        said.err
    );
}

/// A host comes back with another TPM: refused until an operator says otherwise, and never one TPM for two hosts.
#[test]
fn a_swapped_tpm_is_refused_until_an_operator_accepts_it() {
    let lab = Lab::take();
    lab.lazaret(&["enroll", "cmp-1"]).expect(0);
    let swapped = SecondAgent::start(&lab, "cmp-1", "cmp-2");
    let enroll = ["enroll", "cmp-1", "--agent", swapped.url.as_str()];
    let said = lab.lazaret(&enroll).expect(77);
    assert!(
        said.err.contains("endorsement key") && said.err.contains("--accept-new-key"),
        "{}",
        said.err
    );
    let with_consent = [&enroll[..], &["--accept-new-key"]].concat();
    lab.lazaret(&with_consent).expect(0);
    // The same TPM now answers for cmp-1; cmp-2 cannot have it as well.
    let said = lab.lazaret(&["enroll", "cmp-2"]).expect(77);
    assert!(said.err.contains("is the one of host cmp-1"), "{}", said.err);
}

/// Case 13: the right TPM, reached through somebody else's TLS key. Activation succeeds; the binding quote does not.
#[test]
fn case_13_a_relayed_quote_is_refused() {
    let lab = Lab::take();
    let verifier = verifier(&lab);
    let agent = lab.host("cmp-1")["agent_url"].as_str().unwrap().to_owned();
    let relay = Answer::Relay(verifier_client(&verifier), agent);
    let between = FakeAgent::serve(&lab.path("relay"), &verifier, relay);
    let said = lab
        .lazaret(&["enroll", "cmp-1", "--agent", &between.url()])
        .expect(77);
    assert!(said.err.contains("somebody may stand between"), "{}", said.err);
    assert_eq!(lab.hosts().as_array().unwrap().len(), 0);
}

/// A real agent beside the lab's: named `host`, but with the TPM of `tpm`.
struct SecondAgent {
    child: std::process::Child,
    url: String,
}

impl SecondAgent {
    fn start(lab: &Lab, host: &str, tpm: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let evidence = lab.host(tpm)["evidence_dir"].as_str().unwrap().to_owned();
        let config = format!(
            "host = \"{host}\"\nlisten = \"127.0.0.1:{port}\"\ntcti = \"swtpm:host=127.0.0.1,port={}\"\n\
             state_directory = \"{}\"\nboot_log = \"{evidence}/binary_bios_measurements\"\n\
             ima_log = \"{evidence}/ima/binary_runtime_measurements\"\nverifier_pins = [\"{}\"]\n",
            lab.host(tpm)["swtpm_port"],
            lab.path("second-agent").display(),
            verifier(lab).pin(),
        );
        let file = lab.path("second-agent.toml");
        std::fs::create_dir(lab.path("second-agent")).unwrap();
        std::fs::write(&file, config).unwrap();
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_lazaret")).with_file_name("lazaret-agent");
        let child = std::process::Command::new(program)
            .args(["run", "--config"])
            .arg(&file)
            .spawn()
            .expect("the agent");
        let agent = Self {
            child,
            url: format!("https://127.0.0.1:{port}"),
        };
        super::lab::until("the second agent", 20, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        agent
    }
}

impl Drop for SecondAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
