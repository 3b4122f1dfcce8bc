//! A server for tests that answers as it is told, one request for each connection.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// One request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// What is answered.
pub(crate) enum Answer {
    /// Status, further headers, body.
    Http(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed without a word.
    Close,
    /// Nothing, for ever.
    Hang,
    /// This status, and a body without an end.
    Endless(u16),
}

/// A body with a status.
pub(crate) fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer::Http(status, Vec::new(), body.into())
}

/// The server: its address, and every request that came.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts it on a free port of loopback.
    pub(crate) async fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, &*script, &log).await });
            }
        });
        Self { url, seen }
    }

    /// The same with TLS, by a certificate for `localhost` that is its own authority; as PEM.
    pub(crate) async fn start_tls(
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> (Self, String) {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log, acceptor) = (Arc::clone(&script), Arc::clone(&log), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &*script, &log).await;
                    }
                });
            }
        });
        (Self { url, seen }, own.cert.pem())
    }

    /// The requests so far, as "METHOD path".
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// How many requests began with this.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        self.seen()
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Request {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &(dyn Fn(&Request) -> Answer + Sync),
    log: &Mutex<Vec<Request>>,
) {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break (
                String::from_utf8(bytes[..end].to_vec()).unwrap(),
                bytes[end + 4..].to_vec(),
            );
        }
    };
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut request = Request {
        method,
        path,
        head,
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |value| value.parse::<usize>().unwrap());
    while body.len() < length {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        body.extend_from_slice(&buffer[..count]);
    }
    request.body = String::from_utf8(body).unwrap();
    log.lock().unwrap().push(request.clone());
    match script(&request) {
        Answer::Close => {}
        Answer::Hang => std::future::pending().await,
        Answer::Endless(status) => {
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 99999999999\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
        }
        Answer::Http(status, headers, body) => {
            let mut text = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n",
                body.len()
            );
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}
