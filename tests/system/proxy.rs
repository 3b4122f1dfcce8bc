//! A scripted reverse proxy before a real service: it lets everything through but what a rule names.
//!
//! The test's own lazaret.toml points at it, and the daemon knows nothing of it. So what answers is the real service,
//! and what goes wrong is what goes wrong on the way to one: a refusal by something in front, an answer that is lost, a
//! request that arrives late. Every request is written down with what the *service* answered.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::lab::Lab;

/// More than any answer of the lab.
const BODY_MAX: usize = 64 << 20;

/// What becomes of a request that a rule names.
#[derive(Clone)]
pub enum How {
    /// Goes through; a rule of its own, so that those after it begin later.
    Pass,
    /// Answered here: status, one header, body. The service does not see it.
    Answer(u16, Option<(&'static str, String)>, String),
    /// The connection is closed; the service does not see it.
    Drop,
    /// The service does it, and the answer never comes.
    HangAfter,
    /// Goes through with a token that nobody made, so that the service itself refuses it.
    OtherToken,
    /// Waits at the gate, then goes this way, whether or not the client still waits for it.
    Hold(Gate, Box<How>),
    /// The service does it; the answer waits at the gate.
    HoldAfter(Gate),
    /// The JSON of the service's answer is changed on its way.
    Rewrite(Arc<dyn Fn(&mut Value) + Send + Sync>),
}

impl How {
    pub fn answer(status: u16, body: &str) -> Self {
        Self::Answer(status, None, body.to_owned())
    }

    /// Waits at the gate, then goes to the service.
    pub fn hold(gate: &Gate) -> Self {
        Self::Hold(gate.clone(), Box::new(Self::Pass))
    }

    pub fn rewrite(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Rewrite(Arc::new(change))
    }
}

/// A request, as it was seen here.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub body: String,
    /// The caller's token.
    pub token: Option<String>,
    /// When it came.
    pub at: Instant,
    /// What the service answered, or the rule; `None`: not yet, or never asked.
    pub status: Option<u16>,
}

struct Rule {
    pattern: String,
    times: usize,
    how: How,
}

/// Where a request waits until the test lets it go.
#[derive(Clone)]
pub struct Gate(Arc<GateState>);

struct GateState {
    reached: Mutex<usize>,
    news: Condvar,
    open: watch::Sender<bool>,
}

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new(GateState {
            reached: Mutex::new(0),
            news: Condvar::new(),
            open: watch::channel(false).0,
        }))
    }

    /// Waits until a request is at the gate.
    #[track_caller]
    pub fn reached(&self, what: &str, seconds: u64) {
        let reached = self.0.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = Duration::from_secs(seconds);
        let (reached, late) = self
            .0
            .news
            .wait_timeout_while(reached, limit, |reached| *reached == 0)
            .unwrap_or_else(PoisonError::into_inner);
        let count = *reached;
        drop(reached);
        assert!(
            !late.timed_out() && count > 0,
            "{what}: not reached within {seconds} s"
        );
    }

    /// Lets every request go, those to come too.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    async fn pass(&self) {
        *self.0.reached.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.news.notify_all();
        let mut open = self.0.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}

/// The proxy. Ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    /// PEM of its own certificate, where it speaks TLS.
    pub certificate: Option<String>,
    inner: Arc<Inner>,
    tls: Option<TlsAcceptor>,
    serving: Mutex<Option<JoinHandle<()>>>,
    runtime: Runtime,
}

struct Inner {
    /// `http://host:port` of the service.
    upstream: String,
    http: reqwest::Client,
    rules: Mutex<VecDeque<Rule>>,
    seen: Mutex<Vec<Seen>>,
}

impl Proxy {
    /// A proxy before the service at this address; with TLS of its own when the service has it.
    pub fn before(upstream: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        // Whom the *proxy* talks to is known: the lab's own service on loopback.
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(true)
            .build()
            .expect("a client");
        let (tls, certificate) = if upstream.starts_with("https") {
            let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
            let key =
                rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("TLS")
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .expect("TLS");
            (Some(TlsAcceptor::from(Arc::new(config))), Some(made.cert.pem()))
        } else {
            (None, None)
        };
        let url: reqwest::Url = upstream.parse().expect("an address");
        let inner = Arc::new(Inner {
            upstream: url.origin().ascii_serialization(),
            http,
            rules: Mutex::default(),
            seen: Mutex::default(),
        });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(TcpListener::bind(any)).expect("a port");
        let proxy = Self {
            address: listener.local_addr().expect("an address"),
            certificate,
            inner,
            tls,
            serving: Mutex::new(None),
            runtime,
        };
        proxy.serve(listener);
        proxy
    }

    fn serve(&self, listener: TcpListener) {
        let (inner, tls) = (Arc::clone(&self.inner), self.tls.clone());
        let task = self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepted(stream, tls.clone(), Arc::clone(&inner)));
            }
        });
        *locked(&self.serving) = Some(task);
    }

    /// The service's address with the proxy's host and port in it.
    pub fn url(&self, of: &str) -> String {
        of.replacen(
            self.inner.upstream.split_once("://").expect("a URL").1,
            &self.address.to_string(),
            1,
        )
    }

    /// The first `times` requests that fit go another way. A pattern is a method, a part of the path, and parts of
    /// the body, with spaces between: `"POST /action add_host"`.
    pub fn on(&self, pattern: &str, times: usize, how: How) {
        locked(&self.inner.rules).push_back(Rule {
            pattern: pattern.to_owned(),
            times,
            how,
        });
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        locked(&self.inner.rules).clear();
    }

    /// Nothing listens any more.
    pub fn down(&self) {
        if let Some(task) = locked(&self.serving).take() {
            task.abort();
            let _ = self.runtime.block_on(task);
        }
    }

    /// It listens again, where it did.
    pub fn up(&self) {
        let listener = self
            .runtime
            .block_on(TcpListener::bind(self.address))
            .expect("the same port");
        self.serve(listener);
    }

    /// Every request that fits a pattern, in the order in which they came.
    pub fn seen(&self, pattern: &str) -> Vec<Seen> {
        let seen = locked(&self.inner.seen);
        seen.iter()
            .filter(|one| fits(pattern, &one.method, &one.path, &one.body))
            .cloned()
            .collect()
    }

    /// How many requests the service carried out.
    pub fn done(&self, pattern: &str) -> usize {
        let done = |one: &Seen| one.status.is_some_and(|status| (200..300).contains(&status));
        self.seen(pattern).iter().filter(|one| done(one)).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.down();
    }
}

impl Lab {
    /// A proxy before a service of the cloud, with the test's configuration pointed at it.
    pub fn proxied(&mut self, service: &str) -> Proxy {
        if service == "identity" {
            let url = self.about["auth_url"].as_str().expect("auth_url").to_owned();
            let proxy = Proxy::before(&url);
            let here = proxy.url(&url);
            self.set("openstack", "auth_url", here);
            return proxy;
        }
        let url = self.about["endpoints"][service]
            .as_str()
            .expect("an endpoint")
            .to_owned();
        let proxy = Proxy::before(&url);
        let here = proxy.url(&url);
        self.edit(|config| {
            let openstack = config["openstack"].as_table_mut().expect("[openstack]");
            let endpoints = openstack
                .entry("endpoints")
                .or_insert_with(|| toml::Table::new().into());
            endpoints
                .as_table_mut()
                .expect("[openstack.endpoints]")
                .insert(service.to_owned(), here.into());
        });
        proxy
    }

    /// A proxy before the Redfish BMC of a host, and the fence method by which the daemon finds it.
    pub fn bmc(&self, host: &str) -> (Proxy, toml::Table) {
        let about = self.host(host);
        let url = about["redfish_url"].as_str().expect("redfish_url").to_owned();
        let proxy = Proxy::before(&url);
        let here = proxy.url(&url);
        let file = self.path(&format!("bmc-{}.pem", proxy.address.port()));
        std::fs::write(&file, proxy.certificate.as_deref().expect("TLS")).expect("a file");
        let text = |key: &str| toml::Value::from(about[key].as_str().expect(key));
        let method = [
            ("kind", "redfish".into()),
            ("url", here.into()),
            ("system", text("redfish_system")),
            ("system_uuid", text("system_uuid")),
            ("username", text("bmc_username")),
            ("password_file", text("bmc_password_file")),
            ("ca_file", file.display().to_string().into()),
        ];
        let method = method.map(|(key, value)| (key.to_owned(), value));
        (proxy, method.into_iter().collect())
    }

    /// A proxy before the BMC that is the host's first fence method.
    pub fn proxied_bmc(&mut self, host: &str) -> Proxy {
        let (proxy, method) = self.bmc(host);
        self.fence(host, |methods| methods[0] = method.into());
        proxy
    }
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fits(pattern: &str, method: &str, path: &str, body: &str) -> bool {
    let mut words = pattern.split(' ');
    words.next() == Some(method)
        && words.next().is_none_or(|part| path.contains(part))
        && words.all(|part| body.contains(part))
}

async fn accepted(stream: TcpStream, tls: Option<TlsAcceptor>, inner: Arc<Inner>) {
    match tls {
        None => connection(stream, inner).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                connection(stream, inner).await;
            }
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, inner: Arc<Inner>) {
    let service = service_fn(move |request| {
        let inner = Arc::clone(&inner);
        async move {
            // A task of its own: a request that was sent arrives, whatever becomes of who sent it.
            tokio::spawn(async move { inner.answer(request).await })
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
        }
    });
    // An error of the service closes the connection without an answer: that is what it is for.
    let _ = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), BODY_MAX)
            .await
            .map_err(io::Error::other)?;
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        let text = String::from_utf8_lossy(&body).into_owned();
        let token = parts
            .headers
            .get("x-auth-token")
            .and_then(|value| value.to_str().ok());
        let seen = Seen {
            method: parts.method.to_string(),
            path: path.clone(),
            body: text.clone(),
            token: token.map(str::to_owned),
            at: Instant::now(),
            status: None,
        };
        let number = {
            let mut all = locked(&self.seen);
            all.push(seen);
            all.len() - 1
        };
        let forward = |headers: HeaderMap| {
            self.forward(number, parts.method.clone(), path.clone(), headers, body.clone())
        };
        let lost = || Err(io::Error::other("as the test's script says"));
        let mut how = self.rule(parts.method.as_str(), &path, &text);
        while let How::Hold(gate, then) = how {
            gate.pass().await;
            how = *then;
        }
        match how {
            How::Hold(..) => lost(),
            How::OtherToken => {
                let mut headers = parts.headers;
                headers.insert("x-auth-token", HeaderValue::from_static("nobody-made-this"));
                forward(headers).await
            }
            How::Pass => forward(parts.headers).await,
            How::Answer(status, extra, text) => {
                locked(&self.seen)[number].status = Some(status);
                let mut answer = Response::builder()
                    .status(status)
                    .header(header::CONTENT_TYPE, "application/json");
                if let Some((name, value)) = extra {
                    answer = answer.header(name, value);
                }
                answer.body(Body::from(text)).map_err(io::Error::other)
            }
            How::Drop => lost(),
            How::HangAfter => {
                let _ = forward(parts.headers).await;
                std::future::pending().await
            }
            How::HoldAfter(gate) => {
                let answer = forward(parts.headers).await;
                gate.pass().await;
                answer
            }
            How::Rewrite(change) => {
                let (mut head, body) = forward(parts.headers).await?.into_parts();
                let body = to_bytes(body, BODY_MAX).await.map_err(io::Error::other)?;
                let mut json: Value = serde_json::from_slice(&body).map_err(io::Error::other)?;
                change(&mut json);
                head.headers.remove(header::CONTENT_LENGTH);
                Ok(Response::from_parts(head, Body::from(json.to_string())))
            }
        }
    }

    /// What the first rule that fits says.
    fn rule(&self, method: &str, path: &str, body: &str) -> How {
        let mut rules = locked(&self.rules);
        let found = rules
            .iter_mut()
            .find(|rule| rule.times > 0 && fits(&rule.pattern, method, path, body));
        found.map_or(How::Pass, |rule| {
            rule.times -= 1;
            rule.how.clone()
        })
    }

    async fn forward(
        &self,
        number: usize,
        method: Method,
        path: String,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> io::Result<Response<Body>> {
        for of_the_connection in [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ] {
            headers.remove(of_the_connection);
        }
        let url = format!("{}{path}", self.upstream);
        let asked = self
            .http
            .request(method, url)
            .headers(headers)
            .body(body)
            .send()
            .await;
        let answer = asked.map_err(io::Error::other)?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(io::Error::other)?;
        locked(&self.seen)[number].status = Some(status.as_u16());
        for of_the_connection in [header::CONNECTION, header::TRANSFER_ENCODING] {
            headers.remove(of_the_connection);
        }
        let mut made = Response::new(Body::from(body));
        *made.status_mut() = StatusCode::from_u16(status.as_u16()).map_err(io::Error::other)?;
        *made.headers_mut() = headers;
        Ok(made)
    }
}
