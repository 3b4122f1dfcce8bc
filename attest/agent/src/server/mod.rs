//! HTTPS with mutual TLS 1.3: bounded connections, each with deadlines, one request each.

mod answers;
mod refusal;

use std::{sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use lazaret_wire::tls::Pin;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::{
    config::{Config, Limits},
    tpm::Tpm,
};

/// hyper's least; requests have few and short headers.
const HEADER_BYTES: usize = 8 * 1024;
const HEADERS: usize = 32;

/// Serves until `stop`, then gives requests under way the drain time of the configuration.
pub async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    pin: Pin,
    tpm: Tpm,
    config: &Config,
    stop: CancellationToken,
) {
    let limits = &config.limits;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let router = answers::router(config, pin, tpm);
    let connections = Arc::new(Semaphore::new(limits.connections));
    let tasks = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, for one: without a pause this loop would spin.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            debug!(%peer, "too many connections: closed");
            continue;
        };
        let (acceptor, router, limits, stop) =
            (acceptor.clone(), router.clone(), limits.clone(), stop.clone());
        tasks.spawn(async move {
            match one(stream, acceptor, router, &limits, stop).await {
                Ok(()) => debug!(%peer, "connection done"),
                Err(why) => info!(%peer, "connection refused or broken: {why}"),
            }
            drop(permit);
        });
    }
    drop(listener);
    tasks.close();
    if timeout(limits.drain_timeout(), tasks.wait()).await.is_err() {
        warn!(open = tasks.len(), "connections were cut after the drain time");
    }
}

/// One connection, from handshake to last byte.
async fn one(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: axum::Router,
    limits: &Limits,
    stop: CancellationToken,
) -> Result<(), String> {
    let stream = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        shaken = timeout(limits.handshake_timeout(), acceptor.accept(stream)) => shaken
            .map_err(|_| "no TLS handshake in time".to_owned())?
            .map_err(|error| format!("TLS handshake: {error}"))?,
    };
    // One request a connection: each proves the key anew, and none is kept open for nothing.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout())
        .max_headers(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // The answer is made within one request time; a verifier gets another to take it.
    timeout(limits.request_timeout() * 2, connection)
        .await
        .map_err(|_| "the peer was too slow".to_owned())?
        .map_err(|error| error.to_string())
}
