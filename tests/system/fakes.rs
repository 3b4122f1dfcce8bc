//! Fakes, for what a real agent cannot be made to do: answer garbage, or relay somebody else's answers.

use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use lazaret_wire::tls::{Peer, PinnedClients, TlsIdentity, client_config, server_config};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_rustls::TlsAcceptor;

/// An HTTPS server with an agent's TLS set-up, that answers what it is told to. Ends when dropped.
pub struct FakeAgent {
    pub address: SocketAddr,
    _runtime: Runtime,
}

/// What it answers.
#[derive(Clone)]
pub enum Answer {
    /// These bytes, to everything.
    Bytes(Vec<u8>),
    /// More bytes than an answer may have.
    Endless,
    /// Whatever the agent at this URL answers, which is asked with the verifier's own key.
    Relay(reqwest::Client, String),
}

impl FakeAgent {
    /// Serves with the TLS identity in this folder (made if there is none).
    pub fn serve(identity: &Path, verifier: &TlsIdentity, answer: Answer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let own = TlsIdentity::load_or_make(identity, "agent").expect("an identity");
        let clients = PinnedClients::new(vec![verifier.pin()], None).expect("a pin");
        let tls = TlsAcceptor::from(Arc::new(server_config(&own, clients).expect("TLS")));
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(reply).with_state(answer);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, app) = (tls.clone(), app.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else {
                        return;
                    };
                    let service = TowerToHyperService::new(app);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            _runtime: runtime,
        }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// A client with the verifier's key that believes any agent, as somebody in the middle would want one.
pub fn verifier_client(verifier: &TlsIdentity) -> reqwest::Client {
    let tls = client_config(verifier, Peer::FirstContact(Arc::default())).expect("TLS");
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .expect("a client")
}

async fn reply(State(answer): State<Answer>, request: axum::extract::Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    match answer {
        Answer::Bytes(bytes) => (StatusCode::OK, Bytes::from(bytes)),
        Answer::Endless => (
            StatusCode::OK,
            Bytes::from(vec![0x40; lazaret_wire::limits::RESPONSE + 1]),
        ),
        Answer::Relay(client, base) => {
            let url = format!("{base}{}", parts.uri.path());
            let content = "application/cbor";
            let asked = client
                .request(parts.method, url)
                .header("content-type", content)
                .body(body)
                .send()
                .await;
            match asked {
                Ok(answer) => {
                    let status = answer.status();
                    (status, answer.bytes().await.unwrap_or_default())
                }
                Err(error) => (StatusCode::BAD_GATEWAY, Bytes::from(error.to_string())),
            }
        }
    }
}
