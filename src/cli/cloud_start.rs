//! What a daemon that starts sees of the cloud: whether its services are new enough, and what our credential may read.
//!
//! A service that is too old stops it, where it would act. A cloud that is down does not: it is looked at again and
//! again, and hosts are attested meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::exit::{Exit, Trouble};
use crate::{
    config::{Config, OnArrival, Recovery, ResponseMode},
    openstack::{Cloud, Error, Need, Wants},
};

/// The start waits for the cloud this long.
const AT_START: Duration = Duration::from_secs(5);

/// Between two looks at a cloud that was down, or did not let us read.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the configuration asks of the cloud.
pub fn wants(config: &Config) -> Wants {
    Wants {
        masakari: config.response.recovery == Recovery::Masakari,
        off_on_arrival: config.response.on_arrival == OnArrival::Stopped,
        ironic: !config.response.ironic_nodes.is_empty(),
    }
}

/// Looks once, for not too long. The answer is whether all is well; a service that is too old to act with is trouble.
pub async fn look(cloud: &Cloud, config: &Config) -> Result<bool, Trouble> {
    let looking =
        Box::pin(async { Ok::<_, Error>((cloud.needs(wants(config)).await?, cloud.rights().await)) });
    let (needs, rights) = match tokio::time::timeout(AT_START, looking).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => {
            warn!(%error, "the cloud cannot be used now; cases wait for it, and it is looked at again");
            return Ok(false);
        }
        Err(_) => {
            warn!(
                "the cloud did not answer within {AT_START:?}; cases wait for it, and it is looked at again"
            );
            return Ok(false);
        }
    };
    let mut well = true;
    for need in needs.iter().filter(|need| !need.is_met()) {
        match need.without {
            Some(without) => info!("{}; without it, {without}", need.says()),
            None if config.response.mode == ResponseMode::Enforce => return Err(too_old(need)),
            None => {
                warn!("{}; nothing could be done for a condemned host", need.says());
                well = false;
            }
        }
    }
    for right in &rights {
        match (&right.outcome, right.without) {
            (Ok(()), _) | (Err(Error::NoEndpoint { .. } | Error::VersionTooLow { .. }), _) => {}
            (Err(error), Some(without)) => {
                info!(%error, "{} cannot be read; without it, {without}", right.reads)
            }
            (Err(error), None) => {
                error!(%error, "{} cannot be read: every case will be stuck", right.reads);
                well = false;
            }
        }
    }
    if well {
        info!("the cloud offers what is needed, and lets us read it");
    }
    Ok(well)
}

fn too_old(need: &Need) -> Trouble {
    Trouble::say(
        Exit::Protocol,
        format_args!(
            "{}; this cloud is too old to act in: upgrade it, or set response.mode = \"observe\"",
            need.says()
        ),
    )
}

/// Looks again until all is well.
pub async fn keep_looking(cloud: Arc<Cloud>, config: Arc<Config>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        match look(&cloud, &config).await {
            Ok(true) => return,
            Ok(false) => {}
            // It watches on: what it finds is worth knowing though nothing can be done about it.
            Err(trouble) => error!("{:#}", trouble.cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openstack::scripted::{Answer, Server, answer};

    async fn look_at(mode: &str, nova: &'static str, migrations: u16) -> (Server, Result<bool, Trouble>) {
        let server = Server::start(move |request| match request.path.split('?').next().unwrap_or("") {
            "/v3/auth/tokens" => Answer::Http(
                201,
                vec![("X-Subject-Token", "token".to_owned())],
                r#"{"token": {"user": {"id": "u", "name": "daemon"}, "project": {"id": "p", "name": "service"}}}"#.to_owned(),
            ),
            "/v2.1/" => answer(200, format!(r#"{{"version": {{"version": "{nova}", "min_version": "2.1"}}}}"#)),
            "/v1/" => answer(200, r#"{"version": {"version": "1.3", "min_version": "1.0"}}"#),
            "/placement/" => answer(200, r#"{"versions": [{"max_version": "1.39", "min_version": "1.0"}]}"#),
            "/v2.1/os-migrations" => answer(migrations, "{}"),
            _ => answer(200, "{}"),
        })
        .await;
        let seen = look_with(mode, &server.url).await;
        (server, seen)
    }

    async fn look_with(mode: &str, url: &str) -> Result<bool, Trouble> {
        let text = format!(
            "allow_inline_secrets = true\n[openstack]\nauth_url = \"{url}\"\nusername = \"u\"\nproject = \"p\"\n\
             password = \"x\"\n[openstack.endpoints]\ncompute = \"{url}/v2.1\"\ninstance-ha = \"{url}/v1\"\n\
             placement = \"{url}/placement\"\n[response]\nmode = \"{mode}\"\n"
        );
        let config = Config::parse(&text, std::path::Path::new("/etc/lazaret/lazaret.toml")).unwrap();
        let cloud = crate::cli::wiring::cloud(config.openstack.as_ref().unwrap()).unwrap();
        look(&cloud, &config).await
    }

    #[tokio::test]
    async fn case_07_a_nova_that_is_too_old_stops_a_daemon_that_would_act_and_no_other() {
        let (_server, old) = look_at("enforce", "2.79", 200).await;
        let trouble = old.unwrap_err();
        assert_eq!(trouble.exit, Exit::Protocol);
        let words = format!("{:#}", trouble.cause);
        assert!(
            words.contains("nova must offer microversion 2.80") && words.contains("2.79"),
            "{words}"
        );
        let (_server, watching) = look_at("observe", "2.79", 200).await;
        assert!(!watching.unwrap(), "it is said, and looked at again");
        // Degraded where that is documented: 2.98 and 2.95 are missing, and it starts.
        let (_server, degraded) = look_at("enforce", "2.90", 200).await;
        assert!(degraded.unwrap());
    }

    #[tokio::test]
    async fn case_05_a_missing_right_is_said_at_the_start_and_looked_at_again() {
        let (server, seen) = look_at("enforce", "2.104", 403).await;
        assert!(!seen.unwrap());
        assert!(server.count("PUT ") == 0 && server.count("GET /v2.1/os-migrations?limit=1") == 1);
    }

    #[tokio::test]
    async fn case_06_a_cloud_that_is_down_at_the_start_stops_no_daemon() {
        // Nothing listens there.
        assert!(!look_with("enforce", "http://127.0.0.1:9").await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn case_06_nor_does_a_cloud_that_hangs() {
        let server = Server::start(|_| Answer::Hang).await;
        assert!(!look_with("enforce", &server.url).await.unwrap());
    }
}
