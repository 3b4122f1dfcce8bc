//! One login, kept and shared: the token, the catalogue that came with it, and the versions of its services.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, redirect};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;
use url::Url;

use crate::config::secret::Secret;

use super::call::{Call, Service};
use super::connection::{Connection, Credential};
use super::error::{Answer, Error};
use super::identity::{CatalogueEntry, Identity, TokenBody};
use super::limiter::Limiter;
use super::request::Exchange;
use super::version::{Document, VersionRange};

/// After a refused login keystone is left alone this long, so that a wrong password does not lock the account.
const LOGIN_PAUSE: Duration = Duration::from_secs(10);

/// A token is renewed when less than this, or a quarter of its life, is left of it: nova goes on using it
/// after it has answered us.
const RENEW_BEFORE_END: Duration = Duration::from_secs(300);

/// Connections are not reused after this: servers close idle ones after 5 s, and a request that meets the
/// closing is lost.
const IDLE: Duration = Duration::from_secs(4);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The cloud's APIs behind one login. Cheap to share by reference; log-in happens at the first call.
#[derive(Debug)]
pub struct Cloud {
    pub(super) connection: Connection,
    pub(super) http: Client,
    pub(super) limiter: Limiter,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    LoggedOut,
    LoggedIn(Arc<Session>),
    Refused {
        error: Box<super::error::Answer>,
        at: Instant,
    },
}

/// A token and what came with it.
pub(super) struct Session {
    pub(super) token: HeaderValue,
    pub(super) identity: Identity,
    catalogue: Vec<CatalogueEntry>,
    renew_after: Option<Instant>,
    /// By service, in the order of [`Service::ALL`].
    versions: [OnceCell<VersionRange>; Service::ALL.len()],
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Cloud {
    /// Sets the connection up; nothing is sent yet, so a daemon can start while keystone is down.
    pub fn connect(connection: Connection) -> Result<Self, Error> {
        let setup = |what: String| Error::Setup { what };
        let mut http = Client::builder()
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the token to an address that nobody configured.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE);
        if let Some(pem) = &connection.ca_pem {
            let roots = Certificate::from_pem_bundle(pem).map_err(|error| {
                setup(format!(
                    "openstack.ca_file is not PEM: {}",
                    crate::transport::reason(error)
                ))
            })?;
            if roots.is_empty() {
                return Err(setup("openstack.ca_file holds no certificate".to_owned()));
            }
            http = http.tls_certs_only(roots);
        }
        let http = http
            .build()
            .map_err(|error| setup(crate::transport::reason(error)))?;
        Ok(Self {
            limiter: Limiter::new(connection.limits),
            connection,
            http,
            state: Mutex::new(State::LoggedOut),
        })
    }

    /// The session, after a login when there is none or it is about to end. One login at a time.
    pub(super) async fn token(&self) -> Result<Arc<Session>, Error> {
        let mut state = self.state.lock().await;
        match &*state {
            State::LoggedIn(session) if !session.ends_soon() => return Ok(Arc::clone(session)),
            State::Refused { error, at } if at.elapsed() < LOGIN_PAUSE => {
                return Err(Error::Login(error.clone()));
            }
            State::LoggedIn(_) | State::LoggedOut | State::Refused { .. } => {}
        }
        self.log_in(&mut state).await
    }

    /// A session other than `refused`, which a service would not take: the one that somebody else got
    /// meanwhile, or a new one.
    pub(super) async fn renewed(&self, refused: &Arc<Session>) -> Result<Arc<Session>, Error> {
        let mut state = self.state.lock().await;
        match &*state {
            State::LoggedIn(session) if !Arc::ptr_eq(session, refused) => return Ok(Arc::clone(session)),
            State::Refused { error, at } if at.elapsed() < LOGIN_PAUSE => {
                return Err(Error::Login(error.clone()));
            }
            State::LoggedIn(_) | State::LoggedOut | State::Refused { .. } => {}
        }
        self.log_in(&mut state).await
    }

    /// Has the next call log in anew, unless somebody else did meanwhile.
    pub(super) async fn forget(&self, session: &Arc<Session>) {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::LoggedIn(known) if Arc::ptr_eq(known, session)) {
            *state = State::LoggedOut;
        }
    }

    async fn log_in(&self, state: &mut State) -> Result<Arc<Session>, Error> {
        let (who, body, secret) = self.credentials()?;
        let doing = format!("log in to keystone as {who}");
        let call = Call::post(Service::Identity, "/auth/tokens", &doing)
            .body(body)
            .harmless_twice();
        let url = keystone_url(&self.connection.auth_url, "/auth/tokens");
        let reply = match self
            .exchange_patiently(&call, &url, None, None, &Exchange::default())
            .await
        {
            Ok(reply) => reply,
            Err(Error::Unauthorized(mut answer)) => {
                hide(&mut answer, &secret);
                *state = State::Refused {
                    error: answer.clone(),
                    at: Instant::now(),
                };
                return Err(Error::Login(answer));
            }
            // keystone quotes a request that it does not like.
            Err(Error::Refused(mut answer)) => {
                hide(&mut answer, &secret);
                return Err(Error::Refused(answer));
            }
            Err(error) => return Err(error),
        };
        let unreadable = |reason: String| Error::Unreadable {
            call: doing.clone(),
            service: Service::Identity,
            reason,
        };
        let mut token = reply
            .subject_token
            .ok_or_else(|| unreadable("the header X-Subject-Token is missing".to_owned()))?;
        token.set_sensitive(true);
        let body: TokenBody =
            serde_json::from_slice(&reply.body).map_err(|error| unreadable(error.to_string()))?;
        let renew_after = body
            .token
            .lifetime()
            .and_then(|life| Instant::now().checked_add(life.saturating_sub(RENEW_BEFORE_END.min(life / 4))));
        let session = Arc::new(Session {
            token,
            identity: body.token.identity(),
            catalogue: body.token.catalog,
            renew_after,
            versions: Default::default(),
        });
        *state = State::LoggedIn(Arc::clone(&session));
        Ok(session)
    }

    /// Who logs in, in words, and the body of the login. The secret is read now.
    fn credentials(&self) -> Result<(String, Value, Secret), Error> {
        Ok(match &self.connection.credential {
            Credential::Password {
                username,
                user_domain,
                project,
                project_domain,
                password,
            } => {
                let secret = password.read()?;
                let body = json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {
                        "name": username, "domain": {"name": user_domain}, "password": secret.expose()}}},
                    "scope": {"project": {"name": project, "domain": {"name": project_domain}}}}});
                let who = format!("{username}@{user_domain} on project {project}@{project_domain}");
                (who, body, secret)
            }
            Credential::ApplicationCredential { id, secret } => {
                let secret = secret.read()?;
                let body = json!({"auth": {"identity": {"methods": ["application_credential"],
                    "application_credential": {"id": id, "secret": secret.expose()}}}});
                (format!("application credential {id}"), body, secret)
            }
        })
    }

    /// Where a service is: configured, or from the catalogue.
    pub(super) async fn endpoint(&self, service: Service) -> Result<Url, Error> {
        let endpoints = &self.connection.endpoints;
        let configured = match service {
            Service::Identity => Some(keystone_url(&self.connection.auth_url, "")),
            Service::Compute => endpoints.compute.clone(),
            Service::InstanceHa => endpoints.instance_ha.clone(),
            Service::KeyManager => endpoints.key_manager.clone(),
            Service::Placement => endpoints.placement.clone(),
            Service::BlockStorage => endpoints.block_storage.clone(),
            Service::BareMetal => endpoints.bare_metal.clone(),
        };
        match configured {
            Some(url) => Ok(service.root(url)),
            None => self.catalogued(service, &*self.token().await?),
        }
    }

    fn catalogued(&self, service: Service, session: &Session) -> Result<Url, Error> {
        let interface = self.connection.interface.as_str();
        let region = self.connection.region.as_deref();
        let all = || {
            session
                .catalogue
                .iter()
                .filter(|entry| service.is_called(&entry.kind))
                .flat_map(|entry| &entry.endpoints)
        };
        let in_region = |wanted: &str, endpoint: &super::identity::CatalogueEndpoint| {
            endpoint.region_id.as_deref() == Some(wanted) || endpoint.region.as_deref() == Some(wanted)
        };
        let mut fitting: Vec<Url> = all()
            .filter(|endpoint| endpoint.interface == interface)
            .filter(|endpoint| region.is_none_or(|wanted| in_region(wanted, endpoint)))
            .filter_map(|endpoint| Url::parse(&endpoint.url).ok())
            .collect();
        // cinder stands in the catalogue under its old name and its new one.
        fitting.sort();
        fitting.dedup();
        match fitting.as_slice() {
            [one] => Ok(service.root(one.clone())),
            // None, or one in each of several regions while none was named: never guessed.
            _ => Err(Error::NoEndpoint {
                service,
                interface,
                region: region.unwrap_or("the only region").to_owned(),
                offered: offered(all()),
            }),
        }
    }

    /// The microversions that a service offers, read once for each login.
    pub async fn versions(&self, service: Service) -> Result<VersionRange, Error> {
        let session = self.token().await?;
        let place = Service::ALL.iter().position(|known| *known == service);
        let cell = place
            .filter(|_| service.default_version().is_some())
            .and_then(|place| session.versions.get(place))
            .ok_or_else(|| Error::Setup {
                what: format!("no microversions of {service} are used"),
            })?;
        cell.get_or_try_init(|| async {
            let doing = format!("read which versions {service} offers");
            let url = version_document(self.endpoint(service).await?);
            let call = Call::get(service, "", &doing);
            let reply = self.with_token(&call, &url, None, &Exchange::default()).await?;
            let unreadable = |reason: String| Error::Unreadable {
                call: doing.clone(),
                service,
                reason,
            };
            serde_json::from_slice::<Document>(&reply.body)
                .map_err(|error| unreadable(error.to_string()))?
                .range()
                .ok_or_else(|| unreadable("the version document has no microversions".to_owned()))
        })
        .await
        .copied()
    }
}

impl Session {
    fn ends_soon(&self) -> bool {
        self.renew_after.is_some_and(|at| Instant::now() >= at)
    }
}

/// Takes a secret out of a service's words.
fn hide(answer: &mut Answer, secret: &Secret) {
    answer.message = secret.hidden_in(&answer.message);
}

fn offered<'a>(endpoints: impl Iterator<Item = &'a super::identity::CatalogueEndpoint>) -> String {
    let mut list: Vec<String> = endpoints
        .map(|endpoint| {
            let region = endpoint
                .region_id
                .as_deref()
                .or(endpoint.region.as_deref())
                .unwrap_or("?");
            format!("{} in {region}", endpoint.interface)
        })
        .collect();
    list.sort();
    list.dedup();
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

/// Keystone's v3 API, whether or not `/v3` was configured.
fn keystone_url(auth_url: &Url, path: &str) -> Url {
    let mut url = auth_url.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    let v3 = if base.ends_with("/v3") { "" } else { "/v3" };
    url.set_path(&format!("{base}{v3}{path}"));
    url
}

/// The address of the version document: the endpoint up to its version, without a project's id after it.
fn version_document(mut endpoint: Url) -> Url {
    let is_version = |segment: &&str| {
        segment
            .strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let segments: Vec<String> = endpoint
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect();
    let until = segments
        .iter()
        .position(|segment| is_version(&segment.as_str()))
        .map_or(segments.len(), |at| at + 1);
    let path: String = segments
        .iter()
        .take(until)
        .map(|segment| format!("/{segment}"))
        .collect();
    endpoint.set_path(&format!("{path}/"));
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn keystones_address_may_or_may_not_name_v3() {
        for given in [
            "http://k:5000",
            "http://k:5000/",
            "http://k:5000/v3",
            "http://k:5000/v3/",
        ] {
            assert_eq!(
                keystone_url(&url(given), "/auth/tokens").as_str(),
                "http://k:5000/v3/auth/tokens"
            );
        }
        assert_eq!(
            keystone_url(&url("https://k/identity"), "").as_str(),
            "https://k/identity/v3"
        );
    }

    #[test]
    fn the_version_document_is_above_the_projects_id() {
        for (endpoint, document) in [
            ("http://n:8774/v2.1", "http://n:8774/v2.1/"),
            (
                "http://n:8774/v2.1/5f96289ad6c043788b7c5427d82dcf99",
                "http://n:8774/v2.1/",
            ),
            ("http://n/compute/v2.1", "http://n/compute/v2.1/"),
            (
                "http://m:15868/v1/5f96289ad6c043788b7c5427d82dcf99",
                "http://m:15868/v1/",
            ),
        ] {
            assert_eq!(version_document(url(endpoint)).as_str(), document);
        }
    }
}
