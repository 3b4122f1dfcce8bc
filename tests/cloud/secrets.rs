//! Passwords in the real barbican: a real fence by IPMI and by Redfish, and a rotation without a restart.

use std::collections::BTreeSet;
use std::sync::Arc;

use lazaret::config::secret::SecretSource;
use lazaret::fence::agent::FenceAgent;
use lazaret::fence::redfish::Redfish;
use lazaret::fence::{Error, Method, Methods, Power};
use lazaret::secrets::{Secrets, Vault};
use serde_json::{Value, json};

use crate::power::ipmi;
use crate::world::{Admin, ByHand, WATCH, World};

/// Stores a secret of this name, as the daemon's account; its path.
async fn stored(owner: &Admin, name: &str, payload: &str) -> String {
    let body = json!({"name": name, "payload": payload, "payload_content_type": "text/plain"});
    let made = owner.ask("POST", "key-manager", "/v1/secrets", body).await;
    let id = made["secret_ref"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    format!("/v1/secrets/{id}")
}

#[tokio::test]
async fn a_host_is_fenced_with_a_password_from_barbican_that_is_rotated_meanwhile() {
    let world = World::load();
    let host = world.host(2);
    let body = {
        let (world, host) = (world.clone(), host.clone());
        async move {
            let owner = Admin::as_user(&world, "lazaret").await;
            let name = format!("lazaret-test-{}", std::process::id());
            let SecretSource::File(file) = world.redfish(&host).password else {
                unreachable!()
            };
            let right = std::fs::read_to_string(file).unwrap().trim_end().to_owned();
            let mut made = vec![stored(&owner, &name, "not-yet-the-password").await];
            let cloud = Arc::new(world.cloud());
            let secrets = Secrets::from(Arc::clone(&cloud) as Arc<dyn Vault>);
            let source = SecretSource::Barbican(format!("name:{name}").parse().unwrap());
            let mut target = world.redfish(&host);
            target.password = source.clone();
            let redfish = Redfish::new(target).unwrap().with_secrets(secrets.clone());
            let refused = redfish.power_state().await.unwrap_err();
            assert!(matches!(refused, Error::Credentials { .. }), "{refused}");

            // Rotated: another secret of the same name, in another second. Nothing is restarted.
            tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
            made.push(stored(&owner, &name, &right).await);
            assert_eq!(redfish.power_state().await.unwrap(), Power::On);
            let mut spec = ipmi(&world, &host);
            spec.password = Some(source);
            let agent = FenceAgent::load(spec).await.unwrap().with_secrets(secrets);
            let methods = Methods::new(host.clone(), vec![Method::FenceAgent(agent)]);
            let done = methods
                .power_off(&ByHand, &WATCH, &BTreeSet::new())
                .await
                .unwrap();
            assert!(
                matches!(done.attempts[0].outcome, Ok(true)),
                "{:?}",
                done.attempts
            );
            assert_eq!(redfish.power_state().await.unwrap(), Power::Off);
            for path in made {
                owner.ask("DELETE", "key-manager", &path, Value::Null).await;
            }
        }
    };
    world.borrowing(host, body).await;
}
