//! Fencing against the lab's BMCs: Redfish and IPMI switch the same hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lazaret::config::secret::{Secret, SecretSource};
use lazaret::fence::agent::{FenceAgent, Spec};
use lazaret::fence::redfish::Redfish;
use lazaret::fence::{Error, Method, Methods, Power, Trust};
use lazaret::ids::HostName;

use crate::world::{ByHand, WATCH, World};

/// The pin of the lab's BMC certificate.
fn pin(pem: &[u8]) -> [u8; 32] {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).unwrap();
    let certificate = pem.parse_x509().unwrap();
    use sha2::Digest as _;
    sha2::Sha256::digest(certificate.public_key().raw).into()
}

pub fn ipmi(world: &World, host: &HostName) -> Spec {
    let (port, user, password) = world.ipmi(host);
    let options = [
        ("ip", "127.0.0.1"),
        ("ipport", &port),
        ("username", &user),
        ("lanplus", "1"),
        ("cipher", "3"),
    ];
    Spec {
        program: "fence_ipmilan".to_owned(),
        options: options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        password: Some(password),
        timeout: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn redfish_is_trusted_by_authority_or_by_pin_and_not_otherwise() {
    let world = World::load();
    let _alone = world.alone().await;
    let host = world.host(0);
    let target = world.redfish(&host);
    let Trust::Ca(pem) = target.trust.clone() else {
        unreachable!()
    };
    let read = async |trust: Trust| {
        let mut target = target.clone();
        target.trust = trust;
        Redfish::new(target).unwrap().power_state().await
    };
    assert_eq!(read(Trust::Ca(pem.clone())).await.unwrap(), Power::On);
    assert_eq!(read(Trust::Pin(pin(&pem))).await.unwrap(), Power::On);
    let wrong = read(Trust::Pin([7; 32])).await.unwrap_err();
    assert!(
        matches!(wrong, Error::Unreachable { .. }) && wrong.suspicious(),
        "{wrong}"
    );
    let words = wrong.to_string();
    assert!(
        words.contains(&hex::encode([7; 32])) && words.contains(&hex::encode(pin(&pem))),
        "{words}"
    );
    let unknown = read(Trust::System).await.unwrap_err();
    assert!(matches!(unknown, Error::Unreachable { .. }), "{unknown}");
}

#[tokio::test]
async fn another_machines_bmc_is_refused_and_nothing_is_switched() {
    let world = World::load();
    let _alone = world.alone().await;
    let (host, other) = (world.host(0), world.host(1));
    let mut target = world.redfish(&host);
    target.system_uuid = world.redfish(&other).system_uuid;
    let methods = Methods::new(host.clone(), vec![Method::Redfish(Redfish::new(target).unwrap())]);
    let error = methods
        .power_off(&ByHand, &WATCH, &BTreeSet::new())
        .await
        .unwrap_err();
    assert!(
        matches!(error.attempts[0].outcome, Err(Error::OtherMachine { .. })),
        "{error}"
    );
    for host in [&host, &other] {
        let power = Redfish::new(world.redfish(host))
            .unwrap()
            .power_state()
            .await
            .unwrap();
        assert_eq!(power, Power::On, "{host}");
    }
}

#[tokio::test]
async fn a_wrong_bmc_password_is_told_as_such() {
    let world = World::load();
    let _alone = world.alone().await;
    let mut target = world.redfish(&world.host(0));
    target.password = SecretSource::Inline(Secret::new("wrong".to_owned()));
    let error = Redfish::new(target).unwrap().power_state().await.unwrap_err();
    assert!(
        matches!(error, Error::Credentials { status: 401, .. }) && error.suspicious(),
        "{error}"
    );
}

#[tokio::test]
async fn fence_ipmilan_switches_off_after_redfish_failed_and_both_see_it() {
    let world = World::load();
    let host = world.host(2);
    let body = {
        let (world, host) = (world.clone(), host.clone());
        async move {
            let agent = FenceAgent::load(ipmi(&world, &host)).await.unwrap();
            assert_eq!(agent.power_state().await.unwrap(), Power::On);
            let mut target = world.redfish(&host);
            target.password = SecretSource::Inline(Secret::new("changed".to_owned()));
            let refused = Method::Redfish(Redfish::new(target).unwrap());
            let methods = Methods::new(host.clone(), vec![refused, Method::FenceAgent(agent)]);
            let done = methods
                .power_off(&ByHand, &WATCH, &BTreeSet::new())
                .await
                .unwrap();
            assert!(
                matches!(done.attempts[0].outcome, Err(Error::Credentials { .. })),
                "{:?}",
                done.attempts
            );
            assert!(
                matches!(done.attempts[1].outcome, Ok(true)),
                "{:?}",
                done.attempts
            );
            assert!(
                done.by.name().starts_with("fence_ipmilan 127.0.0.1:"),
                "{}",
                done.by.name()
            );
            assert_eq!(done.by.power_state().await.unwrap(), Power::Off);
            assert_eq!(
                Redfish::new(world.redfish(&host))
                    .unwrap()
                    .power_state()
                    .await
                    .unwrap(),
                Power::Off
            );
        }
    };
    world.borrowing(host, body).await;
}

#[tokio::test]
async fn a_misspelt_option_of_fence_ipmilan_is_refused_at_load() {
    let world = World::load();
    let mut spec = ipmi(&world, &world.host(0));
    spec.options.remove("lanplus");
    spec.options.insert("lanpuls".to_owned(), "1".to_owned());
    let words = FenceAgent::load(spec).await.unwrap_err().to_string();
    assert!(
        words.contains("lanpuls") && words.contains("did you mean lanplus"),
        "{words}"
    );
}

#[tokio::test]
async fn a_wrong_ipmi_password_is_a_failure_and_not_off() {
    let world = World::load();
    let _alone = world.alone().await;
    let mut spec = ipmi(&world, &world.host(0));
    spec.password = Some(SecretSource::Inline(Secret::new("wrong".to_owned())));
    let error = FenceAgent::load(spec)
        .await
        .unwrap()
        .power_state()
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Agent { .. }) && error.to_string().contains("exit code 1"),
        "{error}"
    );
}
