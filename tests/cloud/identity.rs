//! Logging in: by password, by application credential, again after a revoked token, and not at all.

use lazaret::config::secret::{Secret, SecretSource};
use lazaret::openstack::{Cloud, Credential, Error, Next};
use serde_json::{Value, json};

use crate::world::{Admin, World};

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text.to_owned()))
}

#[tokio::test]
async fn a_password_login_tells_who_we_are() {
    let world = World::load();
    let identity = world.cloud().whoami().await.unwrap();
    assert_eq!(identity.user, world.text("/users/lazaret/username"));
    assert_eq!(identity.project.as_deref(), Some("service"));
    assert!(identity.has_role("admin"), "{identity:?}");
    assert!(identity.expires_at.is_some());
}

#[tokio::test]
async fn an_application_credential_logs_in_without_a_scope() {
    let world = World::load();
    let owner = Admin::as_user(&world, "lazaret").await;
    let user = world.cloud().whoami().await.unwrap().user_id;
    let path = format!("/users/{user}/application_credentials");
    let name = format!("test-{}", std::process::id());
    let body = json!({"application_credential": {"name": name, "roles": [{"name": "admin"}]}});
    let made = owner.ask("POST", "identity", &path, body).await["application_credential"].clone();
    let id = made["id"].as_str().unwrap();

    let mut connection = world.connection("admin");
    let credential = |secret: &str| Credential::ApplicationCredential {
        id: id.to_owned(),
        secret: inline(secret),
    };
    connection.credential = credential(made["secret"].as_str().unwrap());
    let cloud = Cloud::connect(connection.clone()).unwrap();
    let identity = cloud.whoami().await.unwrap();
    let services = cloud.compute_services().await.unwrap();
    connection.credential = credential("wrong");
    let refused = Cloud::connect(connection).unwrap().whoami().await;
    owner
        .ask("DELETE", "identity", &format!("{path}/{id}"), Value::Null)
        .await;

    assert_eq!(identity.application_credential.as_deref(), Some(name.as_str()));
    assert_eq!(identity.project.as_deref(), Some("service"));
    assert!(
        services.known.len() >= 3 && services.not_known.is_empty(),
        "{services:?}"
    );
    let error = refused.unwrap_err();
    assert!(
        matches!(error, Error::Login(_)) && error.to_string().contains(id),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_password_says_who_was_refused_and_what_to_do() {
    let world = World::load();
    let mut connection = world.connection("lazaret");
    let Credential::Password { password, .. } = &mut connection.credential else {
        unreachable!()
    };
    *password = inline("not-the-password");
    let error = Cloud::connect(connection)
        .unwrap()
        .compute_services()
        .await
        .unwrap_err();
    let words = error.to_string();
    for part in [
        &world.text("/users/lazaret/username"),
        "keystone answered 401",
        "refuses the login",
        "request req-",
    ] {
        assert!(words.contains(part), "{words}");
    }
    assert!(!words.contains("not-the-password"), "{words}");
    assert_eq!(error.next(), Next::Stop);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_in_the_middle_of_the_work() {
    let world = World::load();
    let admin = Admin::of(&world).await;
    // A user of our own: its tokens can be revoked without anybody else noticing.
    let name = format!("revoked-{}", std::process::id());
    let body = json!({"user": {"name": name, "domain_id": "default", "password": "first"}});
    let user = admin.ask("POST", "identity", "/users", body).await["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let of = async |kind: &str, name: &str| {
        let found = admin
            .ask("GET", "identity", &format!("/{kind}?name={name}"), Value::Null)
            .await;
        found[kind][0]["id"].as_str().unwrap().to_owned()
    };
    let (project, role) = (of("projects", "service").await, of("roles", "admin").await);
    admin
        .ask(
            "PUT",
            "identity",
            &format!("/projects/{project}/users/{user}/roles/{role}"),
            Value::Null,
        )
        .await;

    let mut connection = world.connection("lazaret");
    let Credential::Password {
        username, password, ..
    } = &mut connection.credential
    else {
        unreachable!()
    };
    *username = name;
    // The password changes too, and is read again from its file at the new login.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first\n").unwrap();
    *password = SecretSource::File(file.path().to_owned());
    let cloud = Cloud::connect(connection).unwrap();
    cloud.compute_services().await.unwrap();
    let before = cloud.whoami().await.unwrap();

    admin
        .ask(
            "PATCH",
            "identity",
            &format!("/users/{user}"),
            json!({"user": {"password": "second"}}),
        )
        .await;
    std::fs::write(file.path(), "second\n").unwrap();
    // Keystone revokes by whole seconds: a token of the same second would be revoked as well.
    let second = chrono::Utc::now().timestamp();
    while chrono::Utc::now().timestamp() <= second + 1 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // nova has seen the token and goes on believing its cache; Masakari has not, and asks keystone.
    let outcome = cloud.recovery_host(&world.host(0)).await;
    let after = cloud.whoami().await;
    admin
        .ask("DELETE", "identity", &format!("/users/{user}"), Value::Null)
        .await;

    assert!(outcome.unwrap().is_some());
    let after = after.unwrap();
    assert!(
        after.expires_at > before.expires_at,
        "the token was not replaced: {before:?} {after:?}"
    );
}

#[tokio::test]
async fn a_user_without_the_role_gets_the_missing_right_named() {
    let world = World::load();
    for user in ["tenant", "service-only"] {
        let error = Cloud::connect(world.connection(user))
            .unwrap()
            .compute_services()
            .await
            .unwrap_err();
        let words = error.to_string();
        assert!(
            words.contains("os_compute_api:os-services:list") && words.contains("403"),
            "{words}"
        );
        assert_eq!(error.next(), Next::Stop);
    }
}

#[tokio::test]
async fn a_secret_is_read_from_barbican() {
    let world = World::load();
    let owner = Admin::as_user(&world, "lazaret").await;
    let body = json!({"name": "test", "payload": "hunter2", "payload_content_type": "text/plain"});
    let made = owner.ask("POST", "key-manager", "/v1/secrets", body).await;
    let id = made["secret_ref"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let secret = world.cloud().secret_payload(id.parse().unwrap()).await;
    owner
        .ask("DELETE", "key-manager", &format!("/v1/secrets/{id}"), Value::Null)
        .await;
    assert_eq!(secret.unwrap().expose(), "hunter2");
    let gone = world
        .cloud()
        .secret_payload(id.parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)), "{gone}");
}
